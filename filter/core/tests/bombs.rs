//! What unpacks to more than it may costs no more memory than the limit. A process of its own, because what is measured
//! is the most that it has ever held.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that does not work")]

use std::{fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use hexr_authz_core::{
    bundle::{Bundle, BundleLimits},
    timestamp::Timestamp,
};
use tar::{EntryType, Header};

const MIB: usize = 1 << 20;
const LIMITS: BundleLimits = BundleLimits { compressed: MIB };
/// Four times the limit, and room for what is compressed, a chunk, and the test itself.
const MOST_MIB: usize = 8;

/// The most that this process has held, in MiB.
fn peak_mib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() / 1024
}

fn header(kind: EntryType, path: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn gzip(write: impl FnOnce(&mut GzEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    write(&mut encoder);
    encoder.finish().unwrap()
}

fn zeros(encoder: &mut GzEncoder<Vec<u8>>, mib: usize) {
    let block = vec![0; MIB];
    (0..mib).for_each(|_| encoder.write_all(&block).unwrap());
}

#[track_caller]
fn rejects(bytes: &[u8], expect: &str) {
    let before = peak_mib();
    let problem = Bundle::read(bytes, LIMITS, None, Timestamp::from_unix_nanos(0)).unwrap_err().to_string();
    assert!(problem.contains(expect), "{problem}\nlacks\n{expect}");
    let cost = peak_mib() - before;
    assert!(cost <= MOST_MIB, "{expect}: {cost} MiB");
}

#[test]
fn bombs_cost_no_more_than_the_limit() {
    let large = header(EntryType::Regular, "data.json", 128 << 20);
    let bomb = gzip(|out| {
        out.write_all(large.as_bytes()).unwrap();
        zeros(out, 128);
    });
    assert!(bomb.len() < MIB, "{}", bomb.len());
    rejects(&bomb, "`data.json`: with this file the bundle unpacks to more than 4194304 bytes");
    // Says that it is large, and ends.
    let liar = header(EntryType::Regular, "data.json", 4 << 30);
    rejects(&gzip(|out| out.write_all(liar.as_bytes()).unwrap()), "this is not a gzip tarball");
    // What a folder holds is not kept, and is unpacked all the same.
    let folder = header(EntryType::Directory, "folder", 128 << 20);
    let bomb = gzip(|out| {
        out.write_all(folder.as_bytes()).unwrap();
        zeros(out, 128);
    });
    rejects(&bomb, "`folder`: with this file the bundle unpacks to more than");
    // Behind the end of the archive.
    rejects(&gzip(|out| zeros(out, 128)), "unpacks to more than");
    for kind in [EntryType::GNULongName, EntryType::XHeader] {
        let name = header(kind, "name", 128 << 20);
        let bomb = gzip(|out| {
            out.write_all(name.as_bytes()).unwrap();
            zeros(out, 128);
        });
        rejects(&bomb, "this is not a gzip tarball");
    }
    let many = gzip(|out| {
        for at in 0..20_000 {
            let path = format!("{at}/notes.md");
            out.write_all(header(EntryType::Regular, &path, 0).as_bytes()).unwrap();
        }
    });
    // So many headers are more than the limit already: a larger one lets them through to the limit on files.
    rejects(&many, "unpacks to more than");
    let limits = BundleLimits { compressed: 16 * MIB };
    let problem = Bundle::read(&many, limits, None, Timestamp::from_unix_nanos(0)).unwrap_err();
    let expect = "`10000/notes.md`: with this file the bundle has more than 10000 files";
    assert_eq!(problem.to_string(), expect);
}
