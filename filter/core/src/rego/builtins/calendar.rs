//! Instants and the calendar of a place.

use super::place::Place;

/// An instant as a place shows it.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) unix: i64,
    pub(super) nanosecond: i64,
    pub(super) place: Place,
}

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
}

pub(super) const SECONDS_PER_DAY: i64 = 86_400;

// === impl Moment ===

impl Moment {
    pub(super) fn of_nanoseconds(nanoseconds: i64, place: Place) -> Self {
        let unix = nanoseconds.div_euclid(1_000_000_000);
        Self { unix, nanosecond: nanoseconds.rem_euclid(1_000_000_000), place }
    }

    /// Nanoseconds since 1970, if they fit.
    pub(super) fn nanoseconds(&self) -> Option<i64> {
        i64::try_from(i128::from(self.unix) * 1_000_000_000 + i128::from(self.nanosecond)).ok()
    }

    /// Seconds east of Greenwich, and the name of the zone.
    pub(super) fn zone(&self) -> (i64, String) {
        self.place.zone_at(self.unix)
    }

    pub(super) fn civil(&self) -> Civil {
        let local = self.local();
        let (days, seconds) = (local.div_euclid(SECONDS_PER_DAY), local.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date_of(days);
        Civil { year, month, day, hour: seconds / 3_600, minute: seconds / 60 % 60, second: seconds % 60 }
    }

    pub(super) fn weekday(&self) -> usize {
        // 1970 began on a Thursday.
        let days = self.local().div_euclid(SECONDS_PER_DAY);
        usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0)
    }

    /// The instant at which a place shows a date and time; what is beyond a month or a day flows over.
    pub(super) fn at(civil: Civil, nanosecond: i64, place: Place) -> Self {
        let months = civil.month - 1;
        let (year, month) = (civil.year + months.div_euclid(12), months.rem_euclid(12) + 1);
        let days = days_before(year, month) + civil.day - 1;
        let local = days * SECONDS_PER_DAY + civil.hour * 3_600 + civil.minute * 60 + civil.second;
        // As Go does: the offset of the local time taken for an instant leads to the instant.
        let offset = match place.offset_at(local) {
            0 => 0,
            offset => place.offset_at(local - offset),
        };
        Self { unix: local - offset, nanosecond, place }
    }

    /// The time that clocks show there, in seconds, as if it were that of Greenwich.
    fn local(&self) -> i64 {
        self.unix + self.place.offset_at(self.unix)
    }
}

/// Days from 1970 to the first of a month, by the Gregorian calendar.
pub(super) fn days_before(year: i64, month: i64) -> i64 {
    // Years begin in March, so that the odd day is at the end.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (month * 153 + 2) / 5 - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    let month = (of_year * 5 + 2) / 153;
    let day = of_year - (month * 153 + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

pub(super) fn days_in(year: i64, month: i64) -> i64 {
    let next = if month == 12 { days_before(year + 1, 1) } else { days_before(year, month + 1) };
    next - days_before(year, month)
}
