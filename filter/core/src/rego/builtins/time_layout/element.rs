//! The elements of a layout, as Go names them by an example.

/// A part of a layout that stands for a part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    LongMonth,
    Month,
    NumericMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    SpaceDay,
    ZeroDay,
    SpaceYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    Zone(Zone),
    /// So many digits behind a point or comma; trailing zeros are left out if `trimmed`.
    Fraction {
        digits: usize,
        separator: u8,
        trimmed: bool,
    },
}

/// How an offset is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    /// `Z` for no offset.
    pub(super) letter: bool,
    colons: bool,
    minutes: bool,
    seconds: bool,
}

/// Elements by their text; where one begins with another, the longer is first.
const FIXED: &[(&str, Element)] = &[
    ("January", Element::LongMonth),
    ("Jan", Element::Month),
    ("Monday", Element::LongWeekday),
    ("Mon", Element::Weekday),
    ("MST", Element::ZoneName),
    ("01", Element::ZeroMonth),
    ("02", Element::ZeroDay),
    ("03", Element::ZeroHour12),
    ("04", Element::ZeroMinute),
    ("05", Element::ZeroSecond),
    ("06", Element::Year),
    ("002", Element::ZeroYearDay),
    ("15", Element::Hour),
    ("1", Element::NumericMonth),
    ("2006", Element::LongYear),
    ("2", Element::Day),
    ("__2", Element::SpaceYearDay),
    ("_2", Element::SpaceDay),
    ("3", Element::Hour12),
    ("4", Element::Minute),
    ("5", Element::Second),
    ("PM", Element::UpperPm),
    ("pm", Element::LowerPm),
];

const ZONES: &[(&str, Zone)] = &[
    ("070000", Zone { letter: false, colons: false, minutes: true, seconds: true }),
    ("07:00:00", Zone { letter: false, colons: true, minutes: true, seconds: true }),
    ("0700", Zone { letter: false, colons: false, minutes: true, seconds: false }),
    ("07:00", Zone { letter: false, colons: true, minutes: true, seconds: false }),
    ("07", Zone { letter: false, colons: false, minutes: false, seconds: false }),
];

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The element that a layout begins with, and its length.
pub(super) fn element(layout: &[u8]) -> Option<(Element, usize)> {
    match layout {
        [b'_', b'2', b'0', b'0', b'6', ..] => return None,
        [sign @ (b'-' | b'Z'), rest @ ..] => {
            let found = ZONES.iter().find(|(text, _)| rest.starts_with(text.as_bytes()))?;
            let zone = Zone { letter: *sign == b'Z', ..found.1 };
            return Some((Element::Zone(zone), found.0.len() + 1));
        }
        [separator @ (b'.' | b','), digit @ (b'0' | b'9'), rest @ ..] => {
            let digits = 1 + rest.iter().take_while(|next| *next == digit).count();
            let is_last = !layout.get(digits + 1).is_some_and(u8::is_ascii_digit);
            let fraction = Element::Fraction { digits, separator: *separator, trimmed: *digit == b'9' };
            return is_last.then_some((fraction, digits + 1));
        }
        _ => {}
    }
    let (text, element) = FIXED.iter().find(|(text, _)| layout.starts_with(text.as_bytes()))?;
    let is_word = matches!(element, Element::Month | Element::Weekday);
    let goes_on = layout.get(text.len()).is_some_and(u8::is_ascii_lowercase);
    (!(is_word && goes_on)).then_some((*element, text.len()))
}

/// The next element of a layout: what is in front of it, itself, and what follows.
pub(super) fn next(layout: &[u8]) -> (&[u8], Option<Element>, &[u8]) {
    for at in 0..layout.len() {
        let (before, rest) = layout.split_at_checked(at).unwrap_or((layout, &[]));
        if let Some((element, length)) = element(rest) {
            return (before, Some(element), rest.get(length..).unwrap_or_default());
        }
    }
    (layout, None, &[])
}

// === impl Zone ===

impl Zone {
    pub(super) fn format(self, offset: i64) -> String {
        if self.letter && offset == 0 {
            return "Z".to_owned();
        }
        // The sign is that of whole minutes.
        let minutes = offset / 60;
        let colon = if self.colons { ":" } else { "" };
        let mut text = format!("{}{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60);
        if self.minutes {
            text.push_str(&format!("{colon}{:02}", minutes.abs() % 60));
        }
        if self.seconds {
            let seconds = if minutes < 0 { -offset } else { offset };
            text.push_str(&format!("{colon}{:02}", seconds % 60));
        }
        text
    }

    /// Reads an offset, and what follows it.
    pub(super) fn parse(self, value: &[u8]) -> Option<(i64, &[u8])> {
        let mut rest = value;
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at_checked(count)?;
            rest = after;
            Some(taken)
        };
        let sign = take(1)?;
        let hours = two_digits(take(2)?)?;
        let mut part = |wanted: bool| {
            if !wanted {
                return Some(0);
            }
            if self.colons && take(1)? != b":" {
                return None;
            }
            two_digits(take(2)?)
        };
        let (minutes, seconds) = (part(self.minutes)?, part(self.seconds)?);
        let offset = (hours * 60 + minutes) * 60 + seconds;
        let is_in_range = hours <= 24 && minutes <= 60 && seconds <= 60;
        match sign {
            b"+" if is_in_range => Some((offset, rest)),
            b"-" if is_in_range => Some((-offset, rest)),
            _ => None,
        }
    }
}

fn two_digits(text: &[u8]) -> Option<i64> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(i64::from((tens - b'0') * 10 + ones - b'0')),
        _ => None,
    }
}
