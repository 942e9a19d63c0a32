//! A look at a module's text before the parser sees it, for what the parser and the evaluator cannot be trusted with.

/// The deepest nesting of brackets that is parsed. The parser's time doubles with every level of nested array and
/// set literals: twelve levels take it a tenth of a second, thirty do not end.
const MAX_NESTING: usize = 12;

/// Why a text is not given to the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What is wrong there and how to mend it.
    pub(crate) message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    Comment,
    String,
    RawString,
}

/// Checks what can be told from the text alone.
pub(crate) fn check(text: &str) -> Result<(), Refused> {
    let (mut nesting, mut line, mut inside) = (0_usize, 1_usize, Inside::Code);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match (inside, byte) {
            (Inside::Code, b'#') => inside = Inside::Comment,
            (Inside::Code, b'"') => inside = Inside::String,
            (Inside::Code, b'`') => inside = Inside::RawString,
            (Inside::Code, b'[' | b'{' | b'(') => nesting += 1,
            (Inside::Code, b']' | b'}' | b')') => nesting = nesting.saturating_sub(1),
            (Inside::String, b'\\') => drop(bytes.next()),
            (Inside::Comment | Inside::String, b'\n')
            | (Inside::String, b'"')
            | (Inside::RawString, b'`') => {
                inside = Inside::Code;
            }
            _ => {}
        }
        if byte == b'\n' {
            line += 1;
        }
        if nesting > MAX_NESTING {
            let message = format!(
                "brackets are nested deeper than {MAX_NESTING} levels: give the inner part a rule of its own"
            );
            return Err(Refused { line, message });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_line(text: &str, expect: Option<usize>) {
        assert_eq!(check(text).err().map(|refused| refused.line), expect, "{text}");
    }

    #[test]
    fn nesting() {
        let nested = |depth: usize| format!("package p\nx := {}1{}", "[".repeat(depth), "]".repeat(depth));
        check_line(&nested(12), None);
        check_line(&nested(13), Some(2));
        check_line(&format!("# {}", "[".repeat(99)), None);
        check_line(&format!("x := \"{}\"", "[".repeat(99)), None);
        check_line(&format!("x := `\n{}`", "[".repeat(99)), None);
    }
}
