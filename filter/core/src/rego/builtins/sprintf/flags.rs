//! Flags, widths and the places of arguments in a format.

use super::{Argument, MOST_WIDTH};

impl Position {
    /// Reads an explicit index like `[2]`. True if there was one.
    pub(super) fn index(&mut self, format: &str, count: usize) -> bool {
        let Some(inner) = format.get(self.at..).and_then(|rest| rest.strip_prefix('[')) else { return false };
        self.reordered = true;
        let Some((number, _)) = inner.split_once(']') else {
            self.at += 1;
            self.is_good = false;
            return false;
        };
        self.at += number.len() + 2;
        let index = number
            .parse::<usize>()
            .ok()
            .filter(|index| *index <= MOST_WIDTH && number.bytes().all(|byte| byte.is_ascii_digit()));
        match index {
            Some(index) if (1..=count).contains(&index) => {
                self.argument = index - 1;
                true
            }
            Some(_) => {
                self.is_good = false;
                true
            }
            None => {
                self.is_good = false;
                false
            }
        }
    }

    /// Reads a number. One that is too large swallows the rest of the format.
    pub(super) fn digits(&mut self, format: &str) -> Option<usize> {
        let rest = format.get(self.at..).unwrap_or_default();
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mut number = 0;
        for digit in rest.bytes().take(length) {
            if number > MOST_WIDTH {
                self.at = format.len();
                return None;
            }
            number = number * 10 + usize::from(digit - b'0');
        }
        self.at += length;
        (length > 0).then_some(number)
    }

    /// Takes a width or precision from the arguments.
    pub(super) fn star(&mut self, arguments: &[Argument]) -> Option<i64> {
        let argument = arguments.get(self.argument)?;
        self.argument += 1;
        match argument {
            Argument::Integer(integer) if integer.unsigned_abs() <= MOST_WIDTH as u64 => Some(*integer),
            Argument::Integer(_) | Argument::Big(_) | Argument::Float(_) | Argument::Text(_) => None,
        }
    }
}

/// Where the reading of a format stands.
pub(super) struct Position {
    pub(super) at: usize,
    pub(super) argument: usize,
    pub(super) is_good: bool,
    pub(super) reordered: bool,
}
