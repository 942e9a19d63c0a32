//! Texts that others have written, for reading. What HTML means by them is escaped by the templates; what a browser would do
//! with them unseen, as turning the direction of a line, is escaped here.

use std::fmt::Write as _;

/// At most so many characters of a text, those that would not be seen as `\u{202e}`.
pub(super) fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut chars = text.chars();
    for char in chars.by_ref().take(most) {
        if is_seen(char) {
            shown.push(char);
        } else {
            shown.extend(char.escape_debug());
        }
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// The same of a text of several lines.
pub(super) fn shown_lines(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    let mut lines: Vec<String> = cut.lines().map(|line| shown(line, most)).collect();
    lines.extend((cut.len() < text.len()).then(|| "…".to_owned()));
    lines.join("\n")
}

/// JSON that says the same in characters that are seen.
pub(super) fn visible_json(json: &str) -> String {
    let mut visible = String::new();
    for char in json.chars() {
        // Others stand in texts alone.
        if char.is_ascii() || is_seen(char) {
            visible.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            // Writing to a text cannot fail.
            let _ = write!(visible, "\\u{unit:04x}");
        }
    }
    visible
}

/// Whether a reader sees the character: control and format characters are none, as those that turn the direction of a line.
fn is_seen(char: char) -> bool {
    let is_quoted = matches!(char, '\\' | '"' | '\'');
    // Behind a letter, so that an accent is one.
    is_quoted
        || char == ' '
        || char.is_ascii_graphic()
        || format!("a{char}").escape_debug().nth(1) == Some(char)
}

/// `1 234 567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_unseen() {
        for (text, expected) in [
            ("crew", "crew"),
            ("don't \"ask\"", "don't \"ask\""),
            ("a\u{202e}b\u{200b}c", "a\\u{202e}b\\u{200b}c"),
            ("a\r\nb\0\u{1b}[2J", "a\\r\\nb\\0\\u{1b}[2J"),
            ("back\\slash", "back\\slash"),
            ("日本 é", "日本 é"),
            ("हिन्दी e\u{301}", "हिन्दी e\u{301}"),
            ("01234567890123456789abc", "01234567890123456789…"),
        ] {
            assert_eq!(shown(text, 20), expected, "{text}");
        }
        assert_eq!(shown_lines("a\u{2066}\n  b\n", 99), "a\\u{2066}\n  b");
        assert_eq!(shown_lines("ab\ncd", 3), "ab\n…");
    }

    #[test]
    fn json_stays_what_it_was() {
        let value = serde_json::json!({"a\u{202e}": "é\u{1f600}\u{200b}\u{e0041}日"});
        let visible = visible_json(&value.to_string());
        assert_eq!(visible, "{\"a\\u202e\":\"é\u{1f600}\\u200b\\udb40\\udc41日\"}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&visible).unwrap(), value);
    }

    #[test]
    fn numbers_are_read_in_groups() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number).replace('\u{202f}', " "), expected);
        }
    }
}
