//! Bytes that a bundle server may send.

#![no_main]

use hexr_authz_core::{
    bundle::{Bundle, BundleLimits},
    timestamp::Timestamp,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Bundle::read(bytes, BundleLimits { compressed: 1 << 16 }, None, Timestamp::from_unix_nanos(0));
});
