//! Go's layouts of time: the reference time as it would be written.

use chrono_tz::Tz;

use super::calendar::{Civil, Moment, days_before, days_in};

pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] = [
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

/// A part of a layout that stands for a part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
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
struct Zone {
    /// `Z` for no offset.
    letter: bool,
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

/// The element that a layout begins with, and its length.
fn element(layout: &[u8]) -> Option<(Element, usize)> {
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
fn next(layout: &[u8]) -> (&[u8], Option<Element>, &[u8]) {
    for at in 0..layout.len() {
        let (before, rest) = layout.split_at_checked(at).unwrap_or((layout, &[]));
        if let Some((element, length)) = element(rest) {
            return (before, Some(element), rest.get(length..).unwrap_or_default());
        }
    }
    (layout, None, &[])
}

/// Writes an instant as its place shows it.
pub(super) fn format(moment: Moment, layout: &str) -> String {
    let civil = moment.civil();
    let (offset, zone_name) = moment.zone();
    let mut out = Vec::new();
    let mut layout = layout.as_bytes();
    loop {
        let (before, element, after) = next(layout);
        out.extend_from_slice(before);
        let Some(element) = element else { break };
        layout = after;
        let month = usize::try_from(civil.month - 1).ok().and_then(|month| MONTHS.get(month)).copied();
        let month = month.unwrap_or_default();
        let weekday = DAYS.get(moment.weekday()).copied().unwrap_or_default();
        let year_day = days_before(civil.year, civil.month) - days_before(civil.year, 1) + civil.day;
        let hour12 = (civil.hour + 11) % 12 + 1;
        let is_afternoon = civil.hour >= 12;
        let text = match element {
            Element::LongMonth => month.to_owned(),
            Element::Month => month.get(..3).unwrap_or_default().to_owned(),
            Element::NumericMonth => civil.month.to_string(),
            Element::ZeroMonth => format!("{:02}", civil.month),
            Element::LongWeekday => weekday.to_owned(),
            Element::Weekday => weekday.get(..3).unwrap_or_default().to_owned(),
            Element::Day => civil.day.to_string(),
            Element::SpaceDay => format!("{:2}", civil.day),
            Element::ZeroDay => format!("{:02}", civil.day),
            Element::SpaceYearDay => format!("{year_day:3}"),
            Element::ZeroYearDay => format!("{year_day:03}"),
            Element::Hour => format!("{:02}", civil.hour),
            Element::Hour12 => hour12.to_string(),
            Element::ZeroHour12 => format!("{hour12:02}"),
            Element::Minute => civil.minute.to_string(),
            Element::ZeroMinute => format!("{:02}", civil.minute),
            Element::Second => civil.second.to_string(),
            Element::ZeroSecond => format!("{:02}", civil.second),
            Element::LongYear => format!("{:04}", civil.year),
            Element::Year => format!("{:02}", civil.year.abs() % 100),
            Element::UpperPm => if is_afternoon { "PM" } else { "AM" }.to_owned(),
            Element::LowerPm => if is_afternoon { "pm" } else { "am" }.to_owned(),
            Element::ZoneName => zone_name.clone(),
            Element::Zone(zone) => zone.format(offset),
            Element::Fraction { digits, separator, trimmed } => {
                fraction(moment.nanosecond, digits, separator, trimmed)
            }
        };
        out.extend_from_slice(text.as_bytes());
    }
    // Elements are of ASCII, so what is between them is whole.
    String::from_utf8_lossy(&out).into_owned()
}

fn fraction(nanosecond: i64, digits: usize, separator: u8, trimmed: bool) -> String {
    if trimmed && nanosecond == 0 {
        return String::new();
    }
    let all = format!("{nanosecond:09}");
    let shown = all.get(..digits).unwrap_or(&all);
    let shown = if trimmed { shown.trim_end_matches('0') } else { shown };
    if trimmed && shown.is_empty() { String::new() } else { format!("{}{shown}", char::from(separator)) }
}

// === impl Zone ===

impl Zone {
    fn format(self, offset: i64) -> String {
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
    fn parse(self, value: &[u8]) -> Option<(i64, &[u8])> {
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

/// What has been read of a time.
#[derive(Default)]
struct Read {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: i64,
    is_utc: bool,
    offset: Option<i64>,
    half: Option<Half>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Am,
    Pm,
}

/// Reads a time; none for what is not of the layout. Without a zone it is of UTC.
pub(super) fn parse(layout: &str, value: &str) -> Option<Moment> {
    let mut read = Read::default();
    let (mut layout, mut value) = (layout.as_bytes(), value.as_bytes());
    loop {
        let (before, element, after) = next(layout);
        value = skip(value, before)?;
        let Some(element) = element else { break };
        layout = after;
        value = read.element(element, layout, value)?;
    }
    if value.is_empty() { read.moment() } else { None }
}

/// Passes over literal text; spaces stand for any number of them.
fn skip<'v>(mut value: &'v [u8], mut prefix: &[u8]) -> Option<&'v [u8]> {
    let spaces = |text: &[u8]| text.iter().take_while(|byte| **byte == b' ').count();
    while let Some((first, rest)) = prefix.split_first() {
        if *first == b' ' {
            if value.first().is_some_and(|byte| *byte != b' ') {
                return None;
            }
            prefix = prefix.get(spaces(prefix)..)?;
            value = value.get(spaces(value)..)?;
        } else {
            value = value.strip_prefix(&[*first])?;
            prefix = rest;
        }
    }
    Some(value)
}

/// One digit or two; two if they must be.
fn number(value: &[u8], two: bool) -> Option<(i64, &[u8])> {
    match value {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
            Some((i64::from((tens - b'0') * 10 + ones - b'0'), rest))
        }
        [ones @ b'0'..=b'9', rest @ ..] if !two => Some((i64::from(ones - b'0'), rest)),
        _ => None,
    }
}

fn name<'v>(value: &'v [u8], names: &[&str], length: usize) -> Option<(i64, &'v [u8])> {
    names.iter().zip(0_i64..).find_map(|(name, at)| {
        let name = name.as_bytes();
        let name = name.get(..length).unwrap_or(name);
        let (start, rest) = value.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some((at, rest))
    })
}

/// A point or comma and digits, in nanoseconds; digits beyond the ninth are dropped.
fn nanoseconds(value: &[u8]) -> Option<i64> {
    let (separator, digits) = value.split_first()?;
    let is_separated = matches!(separator, b'.' | b',');
    if !is_separated || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some(padded.fold(0, |all, digit| all * 10 + i64::from(digit - b'0')))
}

fn digits(value: &[u8]) -> usize {
    value.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn signed(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

// === impl Read ===

impl Read {
    /// Reads an element, and returns what follows it.
    fn element<'v>(&mut self, element: Element, layout: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
        match element {
            Element::Year => {
                let (text, rest) = value.split_at_checked(2)?;
                let year = signed(text)?;
                self.year = year + if year >= 69 { 1_900 } else { 2_000 };
                Some(rest)
            }
            Element::LongYear => {
                let (text, rest) = value.split_at_checked(4)?;
                self.year = signed(text).filter(|_| text.first().is_some_and(u8::is_ascii_digit))?;
                Some(rest)
            }
            Element::Month => self.named_month(value, 3),
            Element::LongMonth => self.named_month(value, usize::MAX),
            Element::NumericMonth | Element::ZeroMonth => {
                let (month, rest) = number(value, element == Element::ZeroMonth)?;
                self.month = Some(month).filter(|month| (1..=12).contains(month));
                self.month.map(|_| rest)
            }
            Element::Weekday => name(value, &DAYS, 3).map(|(_, rest)| rest),
            Element::LongWeekday => name(value, &DAYS, usize::MAX).map(|(_, rest)| rest),
            Element::Day | Element::SpaceDay | Element::ZeroDay => {
                let value =
                    value.strip_prefix(b" ").filter(|_| element == Element::SpaceDay).unwrap_or(value);
                let (day, rest) = number(value, element == Element::ZeroDay)?;
                self.day = Some(day);
                Some(rest)
            }
            Element::SpaceYearDay | Element::ZeroYearDay => self.year_day(value, element),
            Element::Hour => {
                let (hour, rest) = number(value, false)?;
                self.hour = Some(hour).filter(|hour| *hour < 24)?;
                Some(rest)
            }
            Element::Hour12 | Element::ZeroHour12 => {
                let (hour, rest) = number(value, element == Element::ZeroHour12)?;
                self.hour = Some(hour).filter(|hour| *hour <= 12)?;
                Some(rest)
            }
            Element::Minute | Element::ZeroMinute => {
                let (minute, rest) = number(value, element == Element::ZeroMinute)?;
                self.minute = Some(minute).filter(|minute| *minute < 60)?;
                Some(rest)
            }
            Element::Second | Element::ZeroSecond => {
                let (second, rest) = number(value, element == Element::ZeroSecond)?;
                self.second = Some(second).filter(|second| *second < 60)?;
                self.unannounced_fraction(layout, rest)
            }
            Element::UpperPm => self.half(value, b"AM", b"PM"),
            Element::LowerPm => self.half(value, b"am", b"pm"),
            Element::Zone(zone) => {
                if zone.letter
                    && let Some(rest) = value.strip_prefix(b"Z")
                {
                    self.is_utc = true;
                    return Some(rest);
                }
                let (offset, rest) = zone.parse(value)?;
                self.offset = Some(offset);
                Some(rest)
            }
            Element::ZoneName => {
                if let Some(rest) = value.strip_prefix(b"UTC") {
                    self.is_utc = true;
                    return Some(rest);
                }
                let (_, rest) = value.split_at_checked(zone_name_length(value)?)?;
                Some(rest)
            }
            Element::Fraction { digits, trimmed: false, .. } => {
                let (text, rest) = value.split_at_checked(digits + 1)?;
                self.nanosecond = nanoseconds(text)?;
                Some(rest)
            }
            Element::Fraction { trimmed: true, .. } => Some(self.fraction(value).unwrap_or(value)),
        }
    }

    fn named_month<'v>(&mut self, value: &'v [u8], length: usize) -> Option<&'v [u8]> {
        let (month, rest) = name(value, &MONTHS, length)?;
        self.month = Some(month + 1);
        Some(rest)
    }

    fn year_day<'v>(&mut self, mut value: &'v [u8], element: Element) -> Option<&'v [u8]> {
        let is_padded = element == Element::SpaceYearDay;
        for _ in 0..2 {
            value = value.strip_prefix(b" ").filter(|_| is_padded).unwrap_or(value);
        }
        let length = digits(value).min(3);
        let (text, rest) = value.split_at_checked(length)?;
        if length == 0 || !is_padded && length != 3 {
            return None;
        }
        self.year_day = Some(signed(text)?);
        Some(rest)
    }

    fn half<'v>(&mut self, value: &'v [u8], am: &[u8], pm: &[u8]) -> Option<&'v [u8]> {
        let (text, rest) = value.split_at_checked(2)?;
        let half = if text == pm { Half::Pm } else { Some(Half::Am).filter(|_| text == am)? };
        // Once it is the afternoon it stays so.
        if self.half != Some(Half::Pm) {
            self.half = Some(half);
        }
        Some(rest)
    }

    fn fraction<'v>(&mut self, value: &'v [u8]) -> Option<&'v [u8]> {
        let (separator, rest) = value.split_first()?;
        let length = digits(rest);
        if !matches!(separator, b'.' | b',') || length == 0 {
            return None;
        }
        let (text, rest) = value.split_at_checked(length + 1)?;
        self.nanosecond = nanoseconds(text)?;
        Some(rest)
    }

    /// Behind seconds there may be a fraction, though the layout has none.
    fn unannounced_fraction<'v>(&mut self, layout: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
        if matches!(next(layout).1, Some(Element::Fraction { .. })) {
            return Some(value);
        }
        Some(self.fraction(value).unwrap_or(value))
    }

    fn moment(mut self) -> Option<Moment> {
        match self.half {
            Some(Half::Pm) if self.hour < 12 => self.hour += 12,
            Some(Half::Am) if self.hour == 12 => self.hour = 0,
            Some(_) | None => {}
        }
        let (month, day) = match self.year_day {
            Some(year_day) => self.date_of_year(year_day)?,
            None => (self.month.unwrap_or(1), self.day.unwrap_or(1)),
        };
        if !(1..=days_in(self.year, month)).contains(&day) {
            return None;
        }
        let civil =
            Civil { year: self.year, month, day, hour: self.hour, minute: self.minute, second: self.second };
        let moment = Moment::at(civil, self.nanosecond, Tz::UTC);
        // A name alone does not move the clock, and Go keeps -1 for no offset.
        let offset = self.offset.filter(|offset| !self.is_utc && *offset != -1).unwrap_or(0);
        Some(Moment { unix: moment.unix - offset, ..moment })
    }

    /// Month and day of a day of the year, which must agree with those that were given.
    fn date_of_year(&self, year_day: i64) -> Option<(i64, i64)> {
        let length = days_before(self.year + 1, 1) - days_before(self.year, 1);
        if !(1..=length).contains(&year_day) {
            return None;
        }
        let before = |month| days_before(self.year, month) - days_before(self.year, 1);
        let month = (1..=12).rev().find(|month| before(*month) < year_day)?;
        let day = year_day - before(month);
        let agrees =
            self.month.is_none_or(|given| given == month) && self.day.is_none_or(|given| given == day);
        agrees.then_some((month, day))
    }
}

/// How long a name of a zone is at the start; none if there is none.
fn zone_name_length(value: &[u8]) -> Option<usize> {
    if value.starts_with(b"ChST") || value.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = value.strip_prefix(b"GMT") {
        return Some(3 + offset_length(rest).unwrap_or(0));
    }
    if value.len() < 3 {
        return None;
    }
    if matches!(value.first(), Some(b'+' | b'-')) {
        return offset_length(value);
    }
    let letters = value.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count();
    let ends_in_t = |length: usize| value.get(length - 1) == Some(&b'T');
    match letters {
        3 => Some(3),
        4 => (ends_in_t(4) || value.starts_with(b"WITA")).then_some(4),
        5 => ends_in_t(5).then_some(5),
        _ => None,
    }
}

/// A sign and hours up to 23.
fn offset_length(value: &[u8]) -> Option<usize> {
    let (sign, rest) = value.split_first()?;
    let length = digits(rest);
    let hours = signed(rest.get(..length)?)?;
    (matches!(sign, b'+' | b'-') && hours <= 23).then_some(length + 1)
}
