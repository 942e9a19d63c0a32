//! Reads an instant by a layout.

use super::{
    DAYS,
    element::{Element, MONTHS, next},
};
use crate::rego::builtins::{
    calendar::{Civil, Moment, days_before, days_in},
    place::Place,
};

impl Read {
    /// Reads an element, and returns what follows it.
    pub(super) fn element<'v>(
        &mut self,
        element: Element,
        layout: &[u8],
        value: &'v [u8],
    ) -> Option<&'v [u8]> {
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

    pub(super) fn named_month<'v>(&mut self, value: &'v [u8], length: usize) -> Option<&'v [u8]> {
        let (month, rest) = name(value, &MONTHS, length)?;
        self.month = Some(month + 1);
        Some(rest)
    }

    pub(super) fn year_day<'v>(&mut self, mut value: &'v [u8], element: Element) -> Option<&'v [u8]> {
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

    pub(super) fn half<'v>(&mut self, value: &'v [u8], am: &[u8], pm: &[u8]) -> Option<&'v [u8]> {
        let (text, rest) = value.split_at_checked(2)?;
        let half = if text == pm { Half::Pm } else { Some(Half::Am).filter(|_| text == am)? };
        // Once it is the afternoon it stays so.
        if self.half != Some(Half::Pm) {
            self.half = Some(half);
        }
        Some(rest)
    }

    pub(super) fn fraction<'v>(&mut self, value: &'v [u8]) -> Option<&'v [u8]> {
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
    pub(super) fn unannounced_fraction<'v>(&mut self, layout: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
        if matches!(next(layout).1, Some(Element::Fraction { .. })) {
            return Some(value);
        }
        Some(self.fraction(value).unwrap_or(value))
    }

    pub(super) fn moment(mut self) -> Option<Moment> {
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
        let moment = Moment::at(civil, self.nanosecond, Place::UTC);
        // A name alone does not move the clock, and Go keeps -1 for no offset.
        let offset = self.offset.filter(|offset| !self.is_utc && *offset != -1).unwrap_or(0);
        Some(Moment { unix: moment.unix - offset, ..moment })
    }

    /// Month and day of a day of the year, which must agree with those that were given.
    pub(super) fn date_of_year(&self, year_day: i64) -> Option<(i64, i64)> {
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

/// What has been read of a time.
#[derive(Default)]
pub(super) struct Read {
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
pub(super) enum Half {
    Am,
    Pm,
}

/// Reads a time; none for what is not of the layout. Without a zone it is of UTC.
pub(in crate::rego::builtins) fn parse(layout: &str, value: &str) -> Option<Moment> {
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
pub(super) fn skip<'v>(mut value: &'v [u8], mut prefix: &[u8]) -> Option<&'v [u8]> {
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
pub(super) fn number(value: &[u8], two: bool) -> Option<(i64, &[u8])> {
    match value {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
            Some((i64::from((tens - b'0') * 10 + ones - b'0'), rest))
        }
        [ones @ b'0'..=b'9', rest @ ..] if !two => Some((i64::from(ones - b'0'), rest)),
        _ => None,
    }
}

pub(super) fn name<'v>(value: &'v [u8], names: &[&str], length: usize) -> Option<(i64, &'v [u8])> {
    names.iter().zip(0_i64..).find_map(|(name, at)| {
        let name = name.as_bytes();
        let name = name.get(..length).unwrap_or(name);
        let (start, rest) = value.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some((at, rest))
    })
}

/// A point or comma and digits, in nanoseconds; digits beyond the ninth are dropped.
pub(super) fn nanoseconds(value: &[u8]) -> Option<i64> {
    let (separator, digits) = value.split_first()?;
    let is_separated = matches!(separator, b'.' | b',');
    if !is_separated || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some(padded.fold(0, |all, digit| all * 10 + i64::from(digit - b'0')))
}

pub(super) fn digits(value: &[u8]) -> usize {
    value.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

pub(super) fn signed(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// How long a name of a zone is at the start; none if there is none.
pub(super) fn zone_name_length(value: &[u8]) -> Option<usize> {
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
pub(super) fn offset_length(value: &[u8]) -> Option<usize> {
    let (sign, rest) = value.split_first()?;
    let length = digits(rest);
    let hours = signed(rest.get(..length)?)?;
    (matches!(sign, b'+' | b'-') && hours <= 23).then_some(length + 1)
}
