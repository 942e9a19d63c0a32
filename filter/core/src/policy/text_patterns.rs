//! Regular expressions and globs in a policy. The evaluator's libraries are not OPA's, and where one of them refuses a
//! pattern that the other takes, a deny-list denies nothing. What both read in the same way is let through.

use regorus::unstable::Expr;

use super::certainty::children;

/// Whether a call is none of a regular expression or a glob, or one with a constant pattern that both read alike.
pub(super) fn is_safe_call(function: &Expr, params: &[&Expr]) -> bool {
    match function.span().text() {
        "regex.match"
        | "regex.is_valid"
        | "regex.split"
        | "regex.find_n"
        | "regex.find_all_string_submatch_n"
        | "re_match" => params.first().is_some_and(|pattern| constant(pattern).is_some_and(is_common_regex)),
        "regex.replace" => {
            params.get(1).is_some_and(|pattern| constant(pattern).is_some_and(is_common_regex))
        }
        "glob.match" => {
            let pattern = params.first().is_some_and(|pattern| constant(pattern).is_some_and(is_common_glob));
            pattern && params.get(1).is_some_and(|delimiters| are_common_delimiters(delimiters))
        }
        name => !name.starts_with("regex.") && !name.starts_with("glob."),
    }
}

fn constant(expr: &Expr) -> Option<&str> {
    if let Expr::String { value, .. } | Expr::RawString { value, .. } = expr {
        value.as_string().ok().map(|text| &**text)
    } else {
        None
    }
}

/// Literals, `.`, groups, alternatives, anchors, the usual classes and repetitions.
fn is_common_regex(pattern: &str) -> bool {
    let mut rest = pattern.strip_prefix("(?i)").unwrap_or(pattern);
    while let Some(char) = rest.chars().next() {
        let after = rest.get(char.len_utf8()..).unwrap_or_default();
        rest = match char {
            '\\' => match common_escape(after) {
                Some(after) => after,
                None => return false,
            },
            '[' => match after.split_once(']') {
                Some((class, after)) if is_common_class(class) => after,
                Some(_) | None => return false,
            },
            '{' => match after.split_once('}') {
                Some((count, after)) if is_count(count) => after,
                Some(_) | None => return false,
            },
            '(' => {
                let inner = after.strip_prefix("?:").unwrap_or(after);
                if inner.starts_with('?') {
                    return false;
                }
                inner
            }
            ']' | '}' => return false,
            _ if char.is_ascii_graphic() || char == ' ' => after,
            _ => return false,
        };
    }
    regex::Regex::new(pattern).is_ok()
}

fn common_escape(after: &str) -> Option<&str> {
    let char = after.chars().next()?;
    let common = matches!(char, 'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'b' | 'B' | 'n' | 't')
        || char.is_ascii_punctuation();
    // Rust has word boundaries in braces and angle brackets, Go has not.
    let bounded = matches!(char, '<' | '>')
        || (matches!(char, 'b' | 'B') && after.get(1..).is_some_and(|rest| rest.starts_with('{')));
    (common && !bounded).then(|| after.get(char.len_utf8()..).unwrap_or_default())
}

/// Letters, digits and ranges of them, `_`, `.`, `:`, `/`, `@`, and a dash at an end.
fn is_common_class(class: &str) -> bool {
    let class = class.strip_prefix('^').unwrap_or(class);
    let inner = class.strip_suffix('-').unwrap_or(class);
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let dashes = inner.split('-').collect::<Vec<_>>();
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'@' | b' ' | b',')
    };
    !class.is_empty()
        && dashes.iter().all(|part| part.bytes().all(plain))
        // A dash stands between two letters or digits.
        && dashes.windows(2).all(|pair| match pair {
            [left, right] => {
                let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
                end(left.as_bytes().last()) && end(right.as_bytes().first())
            }
            _ => false,
        })
}

fn is_count(count: &str) -> bool {
    let (least, most) = count.split_once(',').unwrap_or((count, "0"));
    let number =
        |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    number(least) && (most.is_empty() || number(most))
}

/// `*` and `?` between literals; no `**`, classes, alternatives or escapes.
fn is_common_glob(pattern: &str) -> bool {
    !pattern.contains("**") && !pattern.contains(['[', ']', '{', '}', '\\', '!'])
}

/// A list of single characters.
fn are_common_delimiters(delimiters: &Expr) -> bool {
    let Expr::Array { .. } = delimiters else { return false };
    let items = children(delimiters);
    !items.is_empty()
        && items.into_iter().all(|item| constant(item).is_some_and(|text| text.chars().count() == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regexes() {
        for good in [
            "^agent-[0-9]+$",
            "(?i)admin",
            "a.*b",
            "^[a-zA-Z0-9_.-]{1,63}$",
            r"^\d+\.\d+$",
            "(?:a|b)+",
            r"\bword\b",
            "[^/]+",
            "",
        ] {
            assert!(is_common_regex(good), "{good}");
        }
        for bad in [
            r"^[\w-.]+$",
            "x{a}",
            "{",
            r"\Qa\E",
            "[[]",
            "[^[]",
            r"\pL",
            r"\p{Lu}",
            "(?x)a",
            r"\<a",
            r"\b{start}",
            "(?R)",
            "(?-u)a",
            "[a&&b]",
            "[a--b]",
            "[[a]]",
            "(?P<n>a)",
            "é",
            "(",
            "a{1000}",
        ] {
            assert!(!is_common_regex(bad), "{bad}");
        }
    }

    #[test]
    fn globs() {
        assert!(is_common_glob("*.example.com") && is_common_glob("agent-?"));
        for bad in ["ev**", "a/**/b", "[^a]", "{a,b}", "\\*"] {
            assert!(!is_common_glob(bad), "{bad}");
        }
    }
}
