//! Time.

use regorus::Value;

use super::calendar::{Civil, Moment, days_in};
use super::duration::parse_duration;
use super::number::Numeric;
use super::operand::{integer, mismatch, number, operands, text};
use super::place::Place;
use super::time_layout::{DAYS, format, parse};
use super::{Builtin, Dependence, Failure, Outcome, Surroundings};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("time.now_ns", 0, now_ns).depending(Dependence::Clock),
    Builtin::new("time.parse_ns", 2, parse_ns),
    Builtin::new("time.parse_rfc3339_ns", 1, parse_rfc3339_ns),
    Builtin::new("time.parse_duration_ns", 1, parse_duration_ns),
    Builtin::new("time.format", 1, time_format),
    Builtin::new("time.date", 1, date),
    Builtin::new("time.clock", 1, clock),
    Builtin::new("time.weekday", 1, weekday),
    Builtin::new("time.add_date", 4, add_date),
    Builtin::new("time.diff", 2, diff),
];

const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

/// Steps in which a date may be moved: further is out of any range.
const MOST_STEPS: u64 = 1_000_000_000;

/// When 2100 begins.
const YEAR_2100: i64 = 4_102_444_800;

/// A layout by OPA's name for it, or itself.
fn layout(name: &str) -> &str {
    match name {
        "ANSIC" => "Mon Jan _2 15:04:05 2006",
        "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
        "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
        "RFC822" => "02 Jan 06 15:04 MST",
        "RFC822Z" => "02 Jan 06 15:04 -0700",
        "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
        "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
        "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
        "RFC3339" => RFC3339,
        "RFC3339Nano" => RFC3339_NANO,
        other => other,
    }
}

fn now_ns(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [] = operands(arguments)?;
    Ok(Value::from(surroundings.now_ns))
}

fn nanoseconds(moment: &Moment) -> Outcome {
    let nanoseconds = moment.nanoseconds();
    nanoseconds.map(Value::from).ok_or_else(|| Failure::undefined("time outside of valid range"))
}

fn parse_ns(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [name, value] = operands(arguments)?;
    let (name, value) = (text(name, 1)?, text(value, 2)?);
    surroundings.work.spend_on_new_text((name.len() + value.len()) * 4)?;
    let moment = parse(layout(name), value);
    nanoseconds(&moment.ok_or_else(|| Failure::undefined(format!("cannot parse `{value}` as `{name}`")))?)
}

fn parse_rfc3339_ns(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let value = text(value, 1)?;
    surroundings.work.spend_on_new_text(value.len() * 4)?;
    let moment = parse(RFC3339, value);
    nanoseconds(&moment.ok_or_else(|| Failure::undefined(format!("cannot parse `{value}` as RFC 3339")))?)
}

fn parse_duration_ns(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let value = text(value, 1)?;
    surroundings.work.spend_on_new_text(value.len() * 4)?;
    let duration = parse_duration(value);
    duration.map(Value::from).ok_or_else(|| Failure::undefined(format!("time: invalid duration `{value}`")))
}

/// An instant: nanoseconds, or an array of them, of a place, and of a layout.
fn moment<'v>(surroundings: &mut Surroundings, value: &'v Value) -> Result<(Moment, &'v str), Failure> {
    surroundings.work.spend(8)?;
    let wrong = || mismatch(1, "either number (ns) or [number (ns), string (tz)]", value);
    let (time, place, layout) = match value {
        Value::Number(_) => (value, "", ""),
        Value::Array(items) => {
            let time = items.first().ok_or_else(wrong)?;
            number(time, 1)?;
            let part = |at| items.get(at).map_or(Ok(""), |part| text(part, 1).map(|text| &**text));
            (time, part(1)?, part(2)?)
        }
        Value::Null
        | Value::Bool(_)
        | Value::String(_)
        | Value::Set(_)
        | Value::Object(_)
        | Value::Undefined => return Err(wrong()),
    };
    let place = match place {
        "" | "UTC" => Place::UTC,
        "Local" => return Err(Failure::fatal("`Local` is no time zone that is known here")),
        name => Place::named(name).ok_or_else(|| Failure::undefined(format!("unknown time zone {name}")))?,
    };
    let nanoseconds = match number(time, 1)? {
        Numeric::Integer(integer) => Some(integer),
        Numeric::Big(_) => None,
        number @ Numeric::Float(_) => number.whole().and_then(|whole| i64::try_from(whole).ok()),
    };
    let nanoseconds = nanoseconds.ok_or_else(|| Failure::undefined("timestamp too big"))?;
    let moment = Moment::of_nanoseconds(nanoseconds, place);
    known(&moment)?;
    Ok((moment, layout))
}

/// Before 1970 databases of time zones differ, and from 2100 on the one here knows no summer time.
fn known(moment: &Moment) -> Result<(), Failure> {
    if moment.place == Place::UTC || (0..YEAR_2100).contains(&moment.unix) {
        Ok(())
    } else {
        Err(Failure::fatal("what a place shows before 1970 or after 2099 is not known here"))
    }
}

fn time_format(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let (moment, name) = moment(surroundings, value)?;
    surroundings.work.spend_on_new_text(64 + name.len() * 10)?;
    let layout = if name.is_empty() { RFC3339_NANO } else { layout(name) };
    Ok(Value::from(format(&moment, layout)))
}

fn integers(integers: impl IntoIterator<Item = i64>) -> Value {
    Value::from(integers.into_iter().map(Value::from).collect::<Vec<_>>())
}

fn date(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let civil = moment(surroundings, value)?.0.civil();
    Ok(integers([civil.year, civil.month, civil.day]))
}

fn clock(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let civil = moment(surroundings, value)?.0.civil();
    Ok(integers([civil.hour, civil.minute, civil.second]))
}

fn weekday(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let weekday = moment(surroundings, value)?.0.weekday();
    Ok(Value::from(DAYS.get(weekday).copied().unwrap_or_default()))
}

fn add_date(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value, years, months, days] = operands(arguments)?;
    let (moment, _) = moment(surroundings, value)?;
    let steps = [integer(years, 2)?, integer(months, 3)?, integer(days, 4)?];
    if steps.iter().any(|steps| steps.unsigned_abs() > MOST_STEPS) {
        return Err(Failure::fatal("time.add_date: a date this far away is not known here"));
    }
    let [years, months, days] = steps;
    let civil = moment.civil();
    let civil =
        Civil { year: civil.year + years, month: civil.month + months, day: civil.day + days, ..civil };
    let result = Moment::at(civil, moment.nanosecond, moment.place);
    let nanoseconds = nanoseconds(&result)?;
    known(&result)?;
    Ok(nanoseconds)
}

/// Years, months, days, hours, minutes and seconds between two instants, in the place of the first.
fn diff(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (moment(surroundings, left)?.0, moment(surroundings, right)?.0);
    let right = Moment { place: left.place.clone(), ..right };
    known(&right)?;
    let is_later = (left.unix, left.nanosecond) > (right.unix, right.nanosecond);
    let (from, to) = if is_later { (right, left) } else { (left, right) };
    let (from, to) = (from.civil(), to.civil());
    let mut between = [
        to.year - from.year,
        to.month - from.month,
        to.day - from.day,
        to.hour - from.hour,
        to.minute - from.minute,
        to.second - from.second,
    ];
    // What is below zero is borrowed from what is left of it.
    let of_month = days_in(from.year, from.month);
    let [year, month, day, hour, minute, second] = &mut between;
    borrow(second, minute, 60);
    borrow(minute, hour, 60);
    borrow(hour, day, 24);
    borrow(day, month, of_month);
    borrow(month, year, 12);
    Ok(integers(between))
}

fn borrow(lower: &mut i64, higher: &mut i64, size: i64) {
    if *lower < 0 {
        *lower += size;
        *higher -= 1;
    }
}
