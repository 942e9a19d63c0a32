//! The one instant of a decision. It comes from the caller: the core has no clock.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};

use crate::rego::builtins::parse_duration;

/// Nanoseconds in a second.
pub(crate) const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The whole seconds after which `nanos` nanoseconds have passed; at least one, as callers are told to wait.
pub(crate) fn seconds_to_wait(nanos: i64) -> i64 {
    (nanos.saturating_add(NANOS_PER_SECOND - 1) / NANOS_PER_SECOND).max(1)
}

/// Reads a duration as Go and OPA write it: `5s`, `1m30s`, `1.5h`. None for what is none, or is below zero.
pub fn read_duration(text: &str) -> Option<Duration> {
    parse_duration(text).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos)
}

/// An instant in nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    unix_nanos: i64,
}

impl Timestamp {
    /// The instant `unix_nanos` nanoseconds after the Unix epoch. The range ends in the year 2262.
    pub const fn from_unix_nanos(unix_nanos: i64) -> Self {
        Self { unix_nanos }
    }

    /// Reads RFC 3339: `2026-01-15T10:30:00Z`. None for what is none, or lies beyond the range.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt().map(Self::from_unix_nanos)
    }

    /// Nanoseconds since the Unix epoch: what `time.now_ns()` answers in a policy.
    pub const fn unix_nanos(self) -> i64 {
        self.unix_nanos
    }

    /// Whole seconds since the Unix epoch, truncated.
    pub const fn unix_seconds(self) -> i64 {
        self.unix_nanos.div_euclid(NANOS_PER_SECOND)
    }

    /// How long after `earlier` it is; no time at all where the clock was set back in between.
    pub fn since(self, earlier: Self) -> Duration {
        let nanos = self.unix_nanos().saturating_sub(earlier.unix_nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
    }

    /// Whole milliseconds since the Unix epoch, truncated.
    pub const fn unix_millis(self) -> i64 {
        self.unix_nanos.div_euclid(1_000_000)
    }

    /// RFC 3339 in UTC with whole seconds, truncated: `2026-01-15T10:30:00Z`.
    pub fn to_rfc3339(self) -> String {
        DateTime::from_timestamp_nanos(self.unix_nanos).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// RFC 3339 in UTC with nanoseconds: `2026-01-15T10:30:00.000000001Z`.
    pub fn to_rfc3339_nanos(self) -> String {
        DateTime::from_timestamp_nanos(self.unix_nanos).to_rfc3339_opts(SecondsFormat::Nanos, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_waits_long_enough() {
        for (nanos, seconds) in [
            (-5, 1),
            (0, 1),
            (1, 1),
            (NANOS_PER_SECOND, 1),
            (NANOS_PER_SECOND + 1, 2),
            (i64::MAX, 9_223_372_036),
        ] {
            assert_eq!(seconds_to_wait(nanos), seconds, "{nanos}");
        }
    }

    #[test]
    fn instants_and_durations_are_read() {
        for (text, nanos) in [
            ("2026-01-15T10:30:00Z", Some(1_768_473_000_000_000_000)),
            ("2026-01-15T11:30:00.5+01:00", Some(1_768_473_000_500_000_000)),
            ("2026-01-15", None),
            ("2263-01-01T00:00:00Z", None),
        ] {
            assert_eq!(Timestamp::from_rfc3339(text).map(Timestamp::unix_nanos), nanos, "{text}");
        }
        for (text, millis) in [
            ("5s", Some(5_000)),
            ("1m30.5s", Some(90_500)),
            ("0", Some(0)),
            ("-1s", None),
            ("5", None),
            ("soon", None),
        ] {
            assert_eq!(read_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn seconds_are_truncated() {
        for (nanos, text) in [
            (1_768_473_000_999_999_999, "2026-01-15T10:30:00Z"),
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_unix_nanos(nanos).to_rfc3339(), text);
        }
    }
}
