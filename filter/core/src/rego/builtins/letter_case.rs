//! Upper and lower case as Go has them: character by character, by the tables of Unicode 15.

pub(super) fn lower(text: &str) -> String {
    text.chars().map(lower_char).collect()
}

pub(super) fn upper(text: &str) -> String {
    text.chars().map(upper_char).collect()
}

fn lower_char(char: char) -> char {
    match char {
        '\u{130}' => 'i',
        // Came with later versions of Unicode.
        '\u{1c89}'
        | '\u{a7cb}'
        | '\u{a7cc}'
        | '\u{a7ce}'
        | '\u{a7d2}'
        | '\u{a7d4}'
        | '\u{a7da}'
        | '\u{a7dc}'
        | '\u{10d50}'..='\u{10d65}'
        | '\u{16ea0}'..='\u{16eb8}' => char,
        _ => single(char.to_lowercase(), char),
    }
}

fn upper_char(char: char) -> char {
    let shifted = |by| char::from_u32(u32::from(char) + by).unwrap_or(char);
    match char {
        // Their only single upper case is the title case.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(9),
        // Came with later versions of Unicode.
        '\u{19b}'
        | '\u{264}'
        | '\u{1c8a}'
        | '\u{a7cd}'
        | '\u{a7cf}'
        | '\u{a7d3}'
        | '\u{a7d5}'
        | '\u{a7db}'
        | '\u{10d70}'..='\u{10d85}'
        | '\u{16ebb}'..='\u{16ed3}' => char,
        _ => single(char.to_uppercase(), char),
    }
}

/// The mapping to one character; what maps to more stays.
fn single(mut mapped: impl ExactSizeIterator<Item = char>, char: char) -> char {
    if mapped.len() == 1 { mapped.next().unwrap_or(char) } else { char }
}
