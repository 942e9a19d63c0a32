//! What the clocks of a place show, by the database of time zones that is built in.

use std::{cell::RefCell, collections::HashMap};

use jiff::{Timestamp, tz::TimeZone};

use crate::packed::TIME_ZONES;

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
            let (known, file) = find(TIME_ZONES.bytes(), name.as_bytes())?;
            let place = Self(TimeZone::tzif(known, file).ok()?);
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

/// The zone of this name in the table of all of them, and its name there.
fn find(mut table: &'static [u8], wanted: &[u8]) -> Option<(&'static str, &'static [u8])> {
    loop {
        let mut found = None;
        loop {
            let (name, rest) = table.split_at_checked(table.iter().position(|byte| *byte == 0)?)?;
            table = rest.get(1..)?;
            if name.is_empty() {
                break;
            }
            if name == wanted {
                found = Some(name);
            }
        }
        let (length, rest) = table.split_first_chunk::<4>()?;
        let (file, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        if let Some(name) = found {
            return Some((std::str::from_utf8(name).ok()?, file));
        }
        table = rest;
    }
}
