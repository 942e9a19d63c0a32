//! What is the same for every command: help, colours, completions, manual pages, and readers that go away.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{
    fs,
    io::Read as _,
    process::{Command, Output, Stdio},
};

const S3: [&str; 5] = ["request", "--method", "GET", "--url", "https://s3.amazonaws.com/"];
/// Commands that have examples in their help.
const COMMANDS: [&str; 5] = ["request", "replay", "serve", "completions", "man"];

fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexr-authz"));
    command.args(arguments).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = tool(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn help_has_examples_of_command_lines_that_exist() {
    let (code, help, stderr) = output(&["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(help.contains("\nExamples:\n  hexr-authz test policies\n"), "{help}");
    for command in COMMANDS {
        let (code, help, stderr) = output(&[command, "--help"]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let (_, examples) = help.split_once("\nExamples:\n").unwrap();
        assert!(examples.contains(&format!("hexr-authz {command}")), "{help}");
        // Every flag of an example is one of the command.
        for word in examples.split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = word.split('=').next().unwrap();
            assert!(
                help.contains(&format!("{flag} <")) || help.contains(&format!("{flag}\n")),
                "{command}: {word}"
            );
        }
    }
}

#[test]
fn colours_are_for_terminals_unless_they_are_asked_for() {
    let plain = "service: aws_s3\naction:  ListBuckets\nreason:  `s3.amazonaws.com` is a host of the built-in catalog, \
                 and `GET /` says what is asked for\n";
    let green = plain
        .replace("aws_s3", "\u{1b}[32maws_s3\u{1b}[0m")
        .replace("ListBuckets", "\u{1b}[32mListBuckets\u{1b}[0m");
    for (color, said) in
        [(None, plain), (Some("auto"), plain), (Some("never"), plain), (Some("always"), green.as_str())]
    {
        let color = color.map(|when| ["--color", when]);
        let color = color.as_ref().map_or(&[][..], |flag| flag.as_slice());
        // It is a flag of the tool, wherever it stands.
        for arguments in [[color, &S3[..]].concat(), [&S3[..], color].concat()] {
            assert_eq!(output(&arguments), (Some(0), said.to_owned(), String::new()), "{arguments:?}");
        }
    }
    assert_eq!(output(&["--color", "green"]).0, Some(2));
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, script, stderr) = output(&["completions", shell]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
    }
    assert_eq!(output(&["completions", "dos"]).0, Some(2));
    let mut check = Command::new("bash");
    check.arg("-c").arg(format!(
        "source <({} completions bash) && complete -p hexr-authz",
        env!("CARGO_BIN_EXE_hexr-authz")
    ));
    let found = check.output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.starts_with("complete ") && found.contains(" -F _hexr"), "{found}");
}

#[test]
fn manual_pages() {
    let (code, page, stderr) = output(&["man"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(page.contains(".TH hexr-authz 1 "), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    assert_eq!(output(&["man", pages.to_str().unwrap()]), (Some(0), String::new(), String::new()));
    assert_eq!(fs::read_to_string(pages.join("hexr-authz.1")).unwrap(), page);
    for command in COMMANDS {
        let page = fs::read_to_string(pages.join(format!("hexr-authz-{command}.1"))).unwrap();
        assert!(page.contains(".SH EXTRA\n") && page.contains("Examples:"), "{command}: {page}");
    }
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, stdout, stderr) = output(&["man", file.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str(), stderr.contains("file: ")), (Some(1), "", true), "{stderr}");
}

/// What `| head` does: nobody reads. The exit code stays what the command found.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let unknown = ["request", "--method", "GET", "--url", "https://nowhere.example/"];
    for (arguments, code) in
        [(&S3[..], 0), (&unknown, 1), (&["completions", "bash"], 0), (&["man"], 0), (&["--help"], 0)]
    {
        let mut process = tool(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(process.stdout.take());
        let mut errors = String::new();
        process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!((process.wait().unwrap().code(), errors.as_str()), (Some(code), ""), "{arguments:?}");
    }
}

/// What cannot be written is an error, and not silence.
#[test]
fn a_full_disk_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let Output { status, stderr, .. } = tool(&["completions", "bash"]).stdout(full).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(
        (status.code(), stderr.as_str()),
        (Some(1), "standard output: No space left on device (os error 28)\n")
    );
}
