use std::io::Write;

use super::*;
use crate::{
    audit_log::AuditLog,
    pace::{Pace, finish},
    policy::{Budget, RulePath},
    timestamp::Timestamp,
};

const LIMITS: BundleLimits = BundleLimits { compressed: 1 << 20 };
const NOW: Timestamp = Timestamp::from_unix_nanos(1_800_000_000_000_000_000);
const POLICY: &str = "package hexr.authz\nallow if data.grants[input.role]";

fn file(path: &str, content: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), content: content.as_bytes().to_vec() }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tarball of anything, as no careful tool would write it.
fn tarball(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

#[test]
fn what_is_packed_is_read() {
    let files = [
        file("authz/authz.rego", POLICY),
        file("grants/data.json", r#"{"editor": true}"#),
        file("grants/more/data.yaml", "limit: 5"),
        file("README.md", "not policy"),
    ];
    let packed = pack(&files, "r1").unwrap();
    assert_eq!(packed, pack(&files, "r1").unwrap(), "the same bytes for the same files");
    let bundle = Bundle::read(&packed, LIMITS, None, NOW).unwrap();
    assert_eq!(bundle.revision(), "r1");
    assert_eq!(bundle.manifest.roots, ["grants", "hexr/authz"]);
    assert_eq!(
        bundle.modules.iter().map(|module| module.path.as_str()).collect::<Vec<_>>(),
        ["authz/authz.rego"]
    );
    assert_eq!(
        bundle.data,
        Data::from_json(r#"{"grants": {"editor": true, "more": {"limit": 5}}}"#).unwrap()
    );
    assert!(
        bundle
            .compile(
                &RulePath::parse("hexr/authz/allow").unwrap(),
                Budget { milliseconds: 50 },
                &AuditLog::default()
            )
            .is_ok()
    );
}

/// OPA takes every module for v1 unless the manifest says otherwise.
#[test]
fn old_dialects_are_written_down() {
    let files = [
        file("new.rego", "package a\nb := 1"),
        file("old.rego", "package hexr.authz\nallow { true }"),
        file("oldest.rego", "package c\nd { 1 in [1] }"),
    ];
    let bundle = Bundle::read(&pack(&files, "r").unwrap(), LIMITS, None, NOW).unwrap();
    let old = [("old.rego".to_owned(), 0), ("oldest.rego".to_owned(), 0)];
    assert_eq!(bundle.manifest.file_rego_versions, old.into());
    let texts: Vec<&str> = bundle.modules.iter().map(|module| module.text.as_str()).collect();
    let with_import = "package c import future.keywords.contains import future.keywords.every \
             import future.keywords.if import future.keywords.in\nd { 1 in [1] }";
    assert_eq!(texts, ["package a\nb := 1", "package hexr.authz\nallow { true }", with_import]);
}

/// OPA's own writer puts a slash before each path.
#[test]
fn paths_may_begin_with_a_slash() {
    let bundle =
        Bundle::read(&tarball(&[("/data.json", "{\"a\": 1}"), ("/authz.rego", POLICY)]), LIMITS, None, NOW)
            .unwrap();
    assert_eq!(bundle.data.keys(), ["a"]);
    assert_eq!(bundle.manifest, Manifest::default());
}

#[track_caller]
fn rejects(bytes: &[u8], expect: &str) {
    let error = Bundle::read(bytes, LIMITS, None, NOW).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(expect), "{error}\nlacks\n{expect}");
}

#[test]
fn what_is_no_bundle() {
    rejects(b"", "this is not a gzip tarball");
    rejects(b"<html>not found</html>", "this is not a gzip tarball");
    let good = pack(&[file("authz.rego", POLICY)], "r1").unwrap();
    rejects(&good[..good.len() / 2], "this is not a gzip tarball");
    rejects(&gzip(b"just text"), "this is not a gzip tarball");
    rejects(&vec![0; LIMITS.compressed + 1], "more than `limits.bundle_bytes` (1048576)");
    rejects(&gzip(&vec![0; 64 << 20]), "unpacks to more than 4194304 bytes");
    rejects(&tarball(&[("data.json", "{\"a\":")]), "data.json: ");
    rejects(&tarball(&[("data.json", "[1]")]), "data.json: data must be an object, but is an array");
    rejects(&tarball(&[("x/data.yaml", "a: [")]), "x/data.yaml: ");
    rejects(
        &tarball(&[("a/data.json", "{\"b\": 1}"), ("data.json", "{\"a\": {\"b\": 2}}")]),
        "`data.a.b` is given twice",
    );
    rejects(&tarball(&[(".manifest", "{\"roots\": 1}")]), ".manifest: ");
    rejects(&tarball(&[(".manifest", "{\"rego_version\": 2}")]), ".manifest: there is no Rego version 2");
    rejects(
        &tarball(&[(".manifest", "{\"file_rego_versions\": {\"a?\": 0}}")]),
        "only `*` is known in the pattern `a?`",
    );
    rejects(
        &tarball(&[(".manifest", "{\"roots\": [\"a/b\"]}"), ("data.json", "{\"a\": {\"bc\": 1}}")]),
        "`data.a.bc` lies under none of the manifest's roots",
    );
    rejects(&tarball(&[("patch.json", "{\"data\": []}")]), "delta bundles are not read");
}

#[test]
fn paths_are_bounded() {
    let deep = |path: &str| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        builder.append_data(&mut header, path, &b"{}"[..]).unwrap();
        gzip(&builder.into_inner().unwrap())
    };
    assert!(Bundle::read(&deep(&format!("{}data.json", "d/".repeat(63))), LIMITS, None, NOW).is_ok());
    rejects(
        &deep(&format!("{}data.json", "d/".repeat(64))),
        "d/...`: this path has 137 bytes and 65 segments, more than 1024 or 64",
    );
    rejects(
        &deep(&format!("{}/data.json", "d".repeat(1024))),
        "ddd...`: this path has 1034 bytes and 2 segments, more than 1024 or 64",
    );
}

#[test]
fn paths_stay_in_the_bundle() {
    for path in [
        "../data.json",
        "a/../data.json",
        "a/..",
        "..",
        "/../data.json",
        "./../data.json",
        "a/./data.json",
        "a//data.json",
        "/",
        "./",
        "data.json/",
    ] {
        rejects(&tarball(&[(path, "{}")]), &format!("`{path}`: this path leaves the bundle"));
    }
    // An absolute path is one within the bundle, as in OPA, and so are names that only look like the way out.
    for path in
        ["/data.json", "./data.json", "//data.json", "..a/data.json", "a../data.json", ".../data.json"]
    {
        assert!(Bundle::read(&tarball(&[(path, "{}")]), LIMITS, None, NOW).is_ok(), "{path}");
    }
    for [first, second] in
        [["data.json", "data.json"], ["data.json", "/data.json"], ["./data.json", "data.json"]]
    {
        rejects(&tarball(&[(first, "{}"), (second, "{}")]), &format!("`{second}`: this path stands twice"));
    }
}

#[test]
fn links_and_special_files_have_no_place() {
    use tar::EntryType;
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_path("data.json").unwrap();
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
        rejects(
            &gzip(&builder.into_inner().unwrap()),
            "`data.json`: links and special files have no place in a bundle",
        );
    }
}

/// What is written deeper than this has no use, and whoever walks it needs a stack that is as deep.
#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    for (path, depth) in [("data.json", 100), ("data.yaml", 100)] {
        assert!(Bundle::read(&tarball(&[(path, &nested(depth))]), LIMITS, None, NOW).is_ok(), "{path}");
    }
    let deep = nested(20_000);
    rejects(&tarball(&[("data.json", &deep)]), "data.json: recursion limit exceeded");
    rejects(&tarball(&[("data.yaml", &deep)]), "data.yaml: brackets are nested deeper than 256");
    let blocks = format!("a:\n {}1", "- ".repeat(20_000));
    rejects(&tarball(&[("data.yaml", &blocks)]), "data.yaml: ");
    let manifest = format!("{{\"metadata\": {deep}}}");
    rejects(&tarball(&[(".manifest", &manifest)]), ".manifest: recursion limit exceeded");
}

#[test]
fn dialects_of_a_manifest() {
    let manifest =
        Manifest::parse(r#"{"rego_version": 1, "file_rego_versions": {"/old/*.rego": 0}}"#).unwrap();
    assert_eq!(manifest.dialect_of("old/a.rego"), Some(crate::policy::Dialect::V0));
    // As in OPA, a star crosses slashes.
    assert_eq!(manifest.dialect_of("old/sub/a.rego"), Some(crate::policy::Dialect::V0));
    assert_eq!(manifest.dialect_of("new/old/a.rego"), Some(crate::policy::Dialect::V1));
    assert_eq!(Manifest::default().dialect_of("a.rego"), None);
    let is_old = |pattern: &str, path: &str| {
        let text = serde_json::json!({"file_rego_versions": {pattern: 0}}).to_string();
        Manifest::parse(&text).unwrap().dialect_of(path) == Some(crate::policy::Dialect::V0)
    };
    for (pattern, path, expect) in [
        ("*.rego", "a.rego", true),
        ("*.rego", "b/a.rego", true),
        ("b/*.rego", "a.rego", false),
        ("/*/a*b*.rego", "x/aabb.rego", true),
        ("/*/a*b*.rego", "x/aa.rego", false),
        ("**", "anything", true),
        ("a*", "a", true),
        ("a.rego", "/a.rego", true),
    ] {
        assert_eq!(is_old(pattern, path), expect, "{pattern} {path}");
    }
    // Would not end if every star were tried in every place.
    assert!(!is_old(&format!("{}b", "*a".repeat(200)), &"a".repeat(5000)));
}

#[test]
fn packages_outside_the_roots_are_refused() {
    let bytes = tarball(&[
        (".manifest", "{\"roots\": [\"other\"]}"),
        ("authz.rego", "package hexr.authz\nallow if true"),
    ]);
    let bundle = Bundle::read(&bytes, LIMITS, None, NOW).unwrap();
    let errors = bundle.compile(
        &RulePath::parse("hexr/authz/allow").unwrap(),
        Budget { milliseconds: 50 },
        &AuditLog::default(),
    );
    let text = errors.map(|_| ()).unwrap_err().to_string();
    assert_eq!(text, "authz.rego: the package `data.hexr.authz` lies under none of the manifest's roots");
}

/// Modules of two bundles may have one name between them: whose roots a module is under goes by the bundle it came in.
#[test]
fn a_module_is_under_the_roots_of_its_own_bundle() {
    let compile = |second_package: &str| {
        let first = [
            (".manifest", "{\"roots\": [\"hexr/authz\"]}"),
            ("b/m.rego", "package hexr.authz\nallow := true"),
        ];
        let module = format!("package {second_package}\nx := 1");
        let second = [(".manifest", "{\"roots\": [\"lists\"]}"), ("m.rego", &*module)];
        let read = |files: &[(&str, &str)]| Bundle::read(&tarball(files), LIMITS, None, NOW).unwrap();
        let set = BundleSet::new(vec![("a".to_owned(), read(&first)), ("a/b".to_owned(), read(&second))]);
        let subject = Subject::Platform(RulePath::parse("hexr/authz/allow").unwrap());
        let budget = Budget { milliseconds: 50 };
        finish(set.compile(&subject, budget, &AuditLog::default(), &Pace::unhurried())).map(|_| ())
    };
    assert_eq!(compile("lists"), Ok(()));
    let error = compile("hexr.authz.more").unwrap_err();
    assert!(error.contains("a/b/m.rego") && error.contains("roots"), "{error}");
}
