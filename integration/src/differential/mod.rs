//! Our evaluator next to the real OPA.
//!
//! Cases come from two places: [`generated`] makes random policies and inputs from seeds, and [`edge_cases`] reads the
//! hand-written ones under `integration/tests/opa-edges`. What OPA answers stands in `integration/tests/opa-answers`
//! ([`Recording`]) with its version, so that the comparison runs where there is no Go. Where there is Go, [`Oracle`]
//! asks OPA itself.
//!
//! A case that is made otherwise than when it was recorded is told by its digest. Then, and after any change of the
//! generator, of the edge cases or of OPA's version, record anew (this needs Go):
//!
//! ```text
//! cargo run -p integration --bin differential -- --record
//! ```

mod case;
mod comparison;
mod conformance;
mod edges;
mod exceptions;
mod generator;
mod numbers;
mod oracle;
mod ours;
mod random;
mod recording;
mod shrink;
mod signatures;

use std::ops::Range;

pub use case::{Answer, Answers, Case};
pub use comparison::{Difference, Refused, Tally, compare_all};
pub use edges::edge_cases;
pub use exceptions::{EXCEPTIONS, Exception, Right};
pub use oracle::{Oracle, downloading_opa};
pub use recording::Recording;
pub use shrink::shrunk;
pub use signatures::{Signatures, SignedBundle};

/// The seeds whose answers are recorded.
pub const RECORDED_SEEDS: Range<u64> = 0..3000;

/// The cases of `seeds`.
pub fn generated(seeds: Range<u64>) -> Vec<Case> {
    seeds.map(generator::case).collect()
}
