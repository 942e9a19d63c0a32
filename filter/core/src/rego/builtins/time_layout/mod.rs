//! Go's layouts of time: the reference time as it would be written.

mod element;
mod parse;

use self::element::{Element, MONTHS, next};
pub(super) use self::parse::parse;
use super::calendar::{Moment, days_before};

pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Writes an instant as its place shows it.
pub(super) fn format(moment: &Moment, layout: &str) -> String {
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
