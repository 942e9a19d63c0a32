//! The examples of the documentation: each command line in a block of `console` is run, and prints what stands below it.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use walkdir::WalkDir;

/// A command line, and what it prints.
#[derive(Debug)]
struct Example {
    line: usize,
    command: String,
    output: String,
}

/// The shipped policies, and the files of the examples.
const SHIPPED: [(&str, &str); 2] = [("policies", "policies"), ("filter/cli/tests/documentation", "")];

/// Shows the exit code of the command before. One that shows none has succeeded.
const EXIT_CODE: &str = "echo $?";

/// The examples of a document. Command lines begin with `$ `, and go on behind a `\` at their end, and to the end of a
/// text that they write.
fn examples(document: &str) -> Vec<Example> {
    let (mut examples, mut is_inside) = (Vec::<Example>::new(), false);
    let mut goes_on = false;
    for (at, text) in document.lines().enumerate() {
        if text.starts_with("```") {
            (is_inside, goes_on) = (text == "```console", false);
        } else if !is_inside {
            continue;
        } else if let Some(command) = text.strip_prefix("$ ") {
            goes_on = is_open(command);
            examples.push(Example { line: at + 1, command: command.to_owned(), output: String::new() });
        } else if let Some(example) = examples.last_mut() {
            let part = if goes_on { &mut example.command } else { &mut example.output };
            let separator = if goes_on { "\n" } else { "" };
            part.push_str(&format!("{separator}{text}{}", if goes_on { "" } else { "\n" }));
            goes_on = goes_on && is_open(&example.command);
        }
    }
    examples
}

/// Whether a command line goes on in the next one.
fn is_open(command: &str) -> bool {
    command.ends_with('\\') || (command.contains("<<'EOF'") && !command.ends_with("\nEOF"))
}

/// Runs the examples of a document, one after the other, in a folder with the given ones of the repository in it.
#[track_caller]
fn check(document: &str, at_least: usize, folders: &[(&str, &str)]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in folders {
        copy(&root.join(from), &folder.path().join(to));
    }
    let tools = Path::new(env!("CARGO_BIN_EXE_hexr-authz")).parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools].into_iter().chain(env::split_paths(&path))).unwrap();
    let examples = examples(&fs::read_to_string(root.join(document)).unwrap());
    assert!(examples.len() >= at_least, "{document} has {} examples", examples.len());
    let (mut code, mut differences) = (0, Vec::new());
    for (at, Example { line, command, output }) in examples.iter().enumerate() {
        let found = if command == EXIT_CODE {
            format!("{code}\n")
        } else {
            let run = Command::new("bash")
                .args(["-c", &format!("{{ {command}\n}} 2>&1")])
                .current_dir(folder.path())
                .env("PATH", &path)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            code = run.status.code().unwrap();
            String::from_utf8(run.stdout).unwrap()
        };
        let shows_code = examples.get(at + 1).is_some_and(|next| next.command == EXIT_CODE);
        if found != *output || (code != 0 && !shows_code && command != EXIT_CODE) {
            differences.push(format!("{document}:{line}: `{command}` ends with {code} and prints\n{found}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn copy(from: &Path, to: &Path) {
    for entry in WalkDir::new(from) {
        let entry = entry.unwrap();
        let path = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::copy(entry.path(), path).unwrap();
        }
    }
}

#[test]
fn the_tools_own_page() {
    check("docs/tool.md", 20, &SHIPPED);
}

#[test]
fn why_something_was_denied() {
    check("docs/explain.md", 6, &SHIPPED);
}

#[test]
fn the_readme_from_an_empty_folder() {
    check("README.md", 7, &[]);
}

#[test]
fn examples_are_found() {
    let found = examples("```console\n$ a \\\n  b\nx\n\n$ c\n```\n$ d\n```sh\n$ e\n```\n");
    let found: Vec<(usize, &str, &str)> = found
        .iter()
        .map(|example| (example.line, example.command.as_str(), example.output.as_str()))
        .collect();
    assert_eq!(found, [(2, "a \\\n  b", "x\n\n"), (6, "c", "")]);
}
