//! `--bundle`.

use super::*;

const BUNDLED: &[(&str, &str)] = &[
    ("p/.manifest", "{\"revision\": \"r7\", \"roots\": [\"hexr\"]}"),
    ("p/hexr/authz.rego", "package hexr.authz\n\nallow if input.role in data.hexr.roles\n"),
    ("p/hexr/data.json", "{\"roles\": [\"editor\"]}"),
    ("p/hexr/other.json", "{\"other\": 1}"),
    (
        "p/hexr/authz_test.rego",
        "package hexr.authz_test\nimport data.hexr.authz\n\
         test_editor if authz.allow with input.role as \"editor\"\n\
         test_data_files_only if not data.hexr.other\n\
         test_manifest if { some name, bundle in data.system.bundles; print(name, bundle.manifest.revision) }\n",
    ),
];

#[test]
fn bundles_are_tested() {
    let folder = folder(BUNDLED);
    check_in(&folder, &["-b", "p"], 0, &["PASS: 3/3"], &[]);
    check_in(&folder, &["--bundle", "./p/"], 0, &["PASS: 3/3"], &[]);
    check_in(&folder, &["-b", "p", "--ignore", "*_test.rego"], 0, &[], &[]);
    let build = |arguments: &[&str]| {
        let built = Command::new(env!("CARGO_BIN_EXE_hexr-authz"))
            .args([&["build", "-b", "p"], arguments].concat())
            .current_dir(folder.path())
            .status();
        assert!(built.unwrap().success());
    };
    build(&["-o", "b.tar.gz"]);
    build(&["-o", "signed.tar.gz", "--signing-key", "a secret", "--signing-alg", "HS256"]);
    let manifest = |bundle: &str| {
        [
            format!("{bundle}/hexr/authz_test.rego:5:"),
            "data.hexr.authz_test.test_manifest: PASS".to_owned(),
            String::new(),
            format!("  {bundle} r7"),
            String::new(),
            RULE.to_owned(),
            "PASS: 1/1".to_owned(),
        ]
    };
    for bundle in ["p", "b.tar.gz", "signed.tar.gz"] {
        check_in(&folder, &["-b", bundle], 0, &["PASS: 3/3"], &[]);
        let expect = manifest(bundle);
        let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
        check_in(&folder, &["-b", bundle, "-v", "-r", "manifest"], 0, &expect, &[]);
    }
    check_in(&folder, &["-b", "b.tar.gz", "--ignore", "*_test.rego"], 0, &[], &[]);
    let overlap = "bundles `p` and `b.tar.gz` overlap: the root `hexr` of the one and `hexr` of the other";
    check_in(&folder, &["-b", "p", "b.tar.gz"], 1, &[], &[overlap]);
    check_in(&folder, &["-b", "p", "./p"], 0, &["PASS: 3/3"], &[]);
    write(folder.path(), "q/.manifest", "{\"roots\": [\"q\"]}");
    write(folder.path(), "q/q.rego", "package q\ntest_both if data.hexr.roles == [\"editor\"]\n");
    check_in(&folder, &["-b", "p", "q"], 0, &["PASS: 4/4"], &[]);
    write(folder.path(), "q/foreign.rego", "package foreign\nx := 1\n");
    let foreign = "q/foreign.rego: the package `data.foreign` lies under none of the manifest's roots";
    check_in(&folder, &["-b", "p", "q"], 1, &[], &[foreign]);
    check_in(&folder, &["-b", "missing", "gone"], 1, &[], &["missing: No such file", "gone: No such file"]);
    check_in(&folder, &["-b", "p/hexr/authz.rego"], 1, &[], &["p/hexr/authz.rego: "]);
    write(folder.path(), "q/data.json", "{");
    check_in(&folder, &["-b", "q"], 1, &[], &["q: data.json: "]);
}
