//! The time in an image's tag: `20221028181325`.

use std::fmt;

use crate::{
    NameError,
    error::{Broken, parsed_by_read},
    names::characters,
};

/// `YYYYmmddHHMMSS` in the local time of who built the image; 1970 or later, a date of the calendar.
///
/// The zone is not in it, so that wherever a point in time is needed the digits are read as UTC: two machines make the
/// same image from the same timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Timestamp {
    /// A timestamp of these numbers. Fails where they are no date and time from 1970 to 9999.
    pub fn new(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Result<Self, NameError> {
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}").parse()
    }

    /// Seconds since 1970, the digits read as UTC.
    pub fn unix_seconds(&self) -> u64 {
        let days = (1970..self.year).map(|year| if leap(year) { 366 } else { 365 }).sum::<u64>()
            + (1..self.month).map(|month| u64::from(days_of(self.year, month))).sum::<u64>()
            + u64::from(self.day - 1);
        let minutes = (days * 24 + u64::from(self.hour)) * 60 + u64::from(self.minute);
        minutes * 60 + u64::from(self.second)
    }

    /// `2022-10-28T18:13:25Z`, the digits read as UTC (RFC 3339).
    pub fn rfc3339(&self) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    pub(crate) fn read(text: &str) -> Result<Self, Broken> {
        characters(text, "digits", |c| c.is_ascii_digit())?;
        if text.len() != 14 {
            return Err(Broken::new("have 14 digits, YYYYmmddHHMMSS", text.len().min(14)));
        }
        // Digits, few enough for each of these numbers.
        let number = |begin: usize| text[begin..begin + 2].parse().unwrap_or(0_u8);
        let year = u16::from(number(0)) * 100 + u16::from(number(2));
        let [month, day, hour, minute, second] = [4, 6, 8, 10, 12].map(number);
        for (holds, at, rule) in [
            (year >= 1970, 0, "have a year of 1970 or later"),
            ((1..=12).contains(&month), 4, "have a month of 01–12"),
            ((1..=days_of(year, month)).contains(&day), 6, "have a day that its month has"),
            (hour <= 23, 8, "have an hour of 00–23"),
            (minute <= 59, 10, "have a minute of 00–59"),
            (second <= 59, 12, "have a second of 00–59"),
        ] {
            if !holds {
                return Err(Broken::new(rule, at));
            }
        }
        Ok(Self { year, month, day, hour, minute, second })
    }
}

parsed_by_read!(Timestamp, "timestamp");

fn leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u16, month: u8) -> u8 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }
}
