//! Where words go: what a command was asked for to standard output, everything else to standard error.
//!
//! Colours are taken out where nobody would see them (`--color`).

use std::{
    fmt::Display,
    io::{self, Write as _},
};

/// Writes to standard output. A reader that has gone away, as `head` does, is no error: it has what it wanted, and the
/// exit code says what the command found.
///
/// # Errors
/// When it cannot be written for another reason, as on a full disk.
pub(crate) fn say(text: impl Display) -> Result<(), String> {
    let mut out = anstream::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line to standard error. Where that is closed nobody is there to be told.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
