//! Points in time as text.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time to the millisecond. As text it is RFC 3339 in UTC: `2026-01-31T23:59:59.123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Milliseconds since 1970; before the year 10000.
    pub millis: u64,
}

/// The first millisecond of the year 10000, whose text would be longer.
const END: u64 = 253_402_300_800_000;

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Moment {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Moment { millis: u64::try_from(since).unwrap_or(END).min(END - 1) }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.millis / 1000;
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let fraction = self.millis % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
    }
}

impl FromStr for Moment {
    type Err = String;

    /// Reads what [`Moment`] writes and nothing else.
    fn from_str(text: &str) -> Result<Moment, String> {
        let wrong = || format!("`{text}` is not a time such as `2026-01-31T23:59:59.123Z`");
        let number = |at: std::ops::Range<usize>| text.get(at)?.parse::<u64>().ok();
        let numbers = || {
            let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
            let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
            let days = days(year.max(1970), month.clamp(1, 12), day.clamp(1, 31));
            Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(20..23)?)
        };
        let moment = Moment { millis: numbers().ok_or_else(wrong)? };
        // What is out of range, or written in another way, is not what it would be written as.
        if moment.to_string() == text { Ok(moment) } else { Err(wrong()) }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Year, month and day of a day since 1970-01-01: `civil_from_days` of Howard Hinnant's chrono-compatible date algorithms.
/// Years begin in March there, so that a leap day is the last day of one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The inverse of [`date`]: `days_from_civil` of the same algorithms, for years from 1970 on.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_666_981_105, "2022-10-28T18:18:25.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (253_402_300_799, "9999-12-31T23:59:59.007Z"),
        ] {
            let moment = Moment::from(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7));
            assert_eq!(moment.to_string(), expected);
            assert_eq!(expected.parse(), Ok(moment));
        }
        assert_eq!(Moment::from(UNIX_EPOCH + Duration::from_secs(1 << 50)).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn only_what_would_be_written_is_read() {
        for text in [
            "",
            "2026",
            "2026-01-31T23:59:59Z",
            "2026-01-31 23:59:59.123Z",
            "2026-01-31T23:59:59.123+08:00",
            "2026-02-29T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "2026-01-31T23:59:59.123Z ",
            "+026-01-31T23:59:59.123Z",
            "２026-01-31T23:59:59.12Z",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
