//! The examples of `docs/testing.md`.

use super::*;

/// The indented blocks of the page, an empty line between two of them being a part of the block.
fn blocks() -> Vec<String> {
    let page = include_str!("../../../../docs/testing.md");
    let mut blocks: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        let code = line.strip_prefix("    ").or(line.is_empty().then_some("").filter(|_| is_inside));
        match (code, blocks.last_mut()) {
            (Some(code), Some(block)) if is_inside => *block = format!("{block}{code}\n"),
            (Some(code), _) => blocks.push(format!("{code}\n")),
            (None, _) => {}
        }
        is_inside = code.is_some();
    }
    blocks.into_iter().map(|block| format!("{}\n", block.trim_end())).collect()
}

#[test]
fn what_the_documentation_shows_is_what_happens() {
    let blocks = blocks();
    let find = |beginning: &str| {
        let block = blocks.iter().find(|block| block.starts_with(beginning));
        block.unwrap_or_else(|| panic!("no block begins with {beginning}"))
    };
    let folder = folder(&[
        ("example/authz.rego", find("package hexr.authz\n")),
        ("example/authz_test.rego", find("package hexr.authz_test\n")),
    ]);
    let time = regex::Regex::new(" time=\"[0-9.]+\"").unwrap();
    let commands: Vec<&str> =
        blocks.iter().filter_map(|block| block.strip_prefix("$ hexr-authz test ")).collect();
    assert_eq!(commands.len(), 2);
    for command in commands {
        let (arguments, shown) = command.split_once('\n').unwrap();
        let ran = run(&folder, &arguments.split_whitespace().collect::<Vec<_>>());
        let shown: String = shown.split_inclusive('\n').map(without_duration).collect();
        assert_eq!(time.replace_all(&ran.stdout, ""), time.replace_all(&shown, ""));
        assert_eq!(ran.code, Some(2));
    }
}
