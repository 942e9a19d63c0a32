//! A command line as it stands in documentation, and the words that a shell makes of it.

use std::{iter::Peekable, str::Chars};

/// The words of one command, and what in them only a shell would know.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    /// Variables and commands that a shell would put something in the place of; they stand in the words as they are.
    pub(super) unknown: Vec<String>,
}

/// What ends a command.
const OPERATORS: [&str; 9] = ["|", "||", "&&", "&", ";", ">", ">>", "<", "2>"];

/// The words of the first command of `text`.
///
/// # Errors
/// When a quote is not closed.
pub(super) fn words(text: &str) -> Result<Words, String> {
    let mut rewriting = Rewriting { out: String::new(), unknown: Vec::new() };
    rewriting.rewrite(&mut text.chars().peekable())?;
    let words = shlex::split(&rewriting.out).ok_or("a quote is not closed")?;
    let words = words.into_iter().take_while(|word| !OPERATORS.contains(&word.as_str())).collect();
    Ok(Words { words, unknown: rewriting.unknown })
}

/// The text without what `shlex` does not know: it has the quoting of every shell, and not bash's own.
struct Rewriting {
    out: String,
    unknown: Vec<String>,
}

// === impl Rewriting ===

impl Rewriting {
    fn rewrite(&mut self, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        let mut is_double = false;
        while let Some(next) = rest.next() {
            match next {
                '\\' => {
                    let _ = rest.next_if(|next| *next == '\r');
                    // The line goes on.
                    if rest.next_if_eq(&'\n').is_none() {
                        self.out.push(next);
                        self.out.extend(rest.next());
                    }
                }
                '\'' if !is_double => {
                    self.out.push(next);
                    for inner in rest.by_ref() {
                        self.out.push(inner);
                        if inner == '\'' {
                            break;
                        }
                    }
                }
                '"' => {
                    is_double = !is_double;
                    self.out.push(next);
                }
                '$' if !is_double && rest.peek() == Some(&'\'') => self.ansi(rest)?,
                '$' => self.expansion(rest),
                '`' => {
                    self.unknown.push("`...`".to_owned());
                    self.out.push_str("\\`...\\`");
                    rest.by_ref().find(|end| *end == '`');
                }
                _ => self.out.push(next),
            }
        }
        Ok(())
    }

    /// `$NAME`, `${NAME}` and `$(command)`, behind the `$`.
    fn expansion(&mut self, rest: &mut Peekable<Chars<'_>>) {
        let mut text = "$".to_owned();
        match rest.peek() {
            Some('(') => {
                let mut depth = 0_usize;
                for inner in rest.by_ref() {
                    depth += usize::from(inner == '(');
                    depth -= usize::from(inner == ')');
                    if depth == 0 {
                        break;
                    }
                }
                text.push_str("(...)");
            }
            Some('{') => {
                for inner in rest.by_ref() {
                    text.push(inner);
                    if inner == '}' {
                        break;
                    }
                }
            }
            _ => {
                while let Some(inner) = rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                    text.push(inner);
                }
            }
        }
        self.out.push_str(&text);
        if text.len() > 1 {
            self.unknown.push(text);
        }
    }

    /// `$'...'`, which browsers write, behind the `$`.
    fn ansi(&mut self, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        rest.next();
        let mut text = String::new();
        loop {
            match rest.next().ok_or("a quote is not closed")? {
                '\'' => break,
                '\\' => text.push(escaped(rest)?),
                other => text.push(other),
            }
        }
        self.out.push_str(&shlex::try_quote(&text).map_err(|error| error.to_string())?);
        Ok(())
    }
}

fn escaped(rest: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    let kind = rest.next().ok_or("a quote is not closed")?;
    let digits = match kind {
        'n' => return Ok('\n'),
        'r' => return Ok('\r'),
        't' => return Ok('\t'),
        '\\' | '\'' | '"' | '?' => return Ok(kind),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return Err(format!("`\\{kind}` in `$'...'` is not known here")),
    };
    let mut code = String::new();
    while let Some(digit) = rest.next_if(|next| code.len() < digits && next.is_ascii_hexdigit()) {
        code.push(digit);
    }
    let number = u32::from_str_radix(&code, 16).ok().filter(|number| kind != 'x' || *number < 128);
    number.and_then(char::from_u32).ok_or_else(|| format!("`\\{kind}{code}` in `$'...'` is no character"))
}
