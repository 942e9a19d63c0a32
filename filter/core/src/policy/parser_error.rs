//! What the parser says of a module that does not parse, and where.

use super::{CompileError, Module};

/// An error of the parser, `\n--> FILE:LINE:COLUMN\n...\nerror: MESSAGE`.
pub(super) fn unparsable(module: &Module, error: &anyhow::Error) -> CompileError {
    let text = error.to_string();
    let message = text.lines().find_map(|line| line.trim_start().strip_prefix("error: "));
    let path = module.path.clone();
    match (place_of(error), message) {
        (Some((line, column)), Some(message)) => CompileError::Unparsable {
            path,
            line,
            column: column_in(&module.text, line, column),
            message: message.trim().to_owned(),
        },
        _ => {
            CompileError::Unreadable { path, message: text.split_whitespace().collect::<Vec<_>>().join(" ") }
        }
    }
}

/// The line and the column of an error of the parser, as the parser counts them.
pub(super) fn place_of(error: &anyhow::Error) -> Option<(usize, usize)> {
    let text = error.to_string();
    let place = text.lines().find_map(|line| line.trim_start().strip_prefix("--> "))?;
    let mut numbers = place.trim().rsplit(':').map(|number| number.parse().ok());
    let (column, line) = (numbers.next()??, numbers.next()??);
    Some((line, column))
}

/// The column that the parser means, which counts a tab as four columns and other characters by their bytes.
pub(super) fn column_in(text: &str, line: usize, counted: usize) -> usize {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let (mut column, mut at) = (1, 1);
    for char in line.chars() {
        if at >= counted {
            break;
        }
        at += if char == '\t' { 4 } else { char.len_utf8() };
        column += 1;
    }
    column
}
