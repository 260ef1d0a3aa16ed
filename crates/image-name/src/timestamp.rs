//! The time in an image's tag: `20221028181325`.

use std::{fmt, str::FromStr};

use crate::{
    NameError,
    refusal::{Fault, Rule},
    text::serde_as_text,
};

/// `YYYYmmddHHMMSS` in the local time of who built the image; 1970 or later, a date of the calendar.
///
/// The zone is not in it, so that wherever a point in time is needed the digits are read as UTC: two machines make the
/// same image from the same timestamp.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

/// Where each number begins and ends in the 14 digits, and its rule.
const FIELDS: [(usize, usize, Rule); 6] = [
    (0, 4, Rule::Range("have a year of 1970 or later")),
    (4, 6, Rule::Range("have a month of 01–12")),
    (6, 8, Rule::Range("have a day that its month has")),
    (8, 10, Rule::Range("have an hour of 00–23")),
    (10, 12, Rule::Range("have a minute of 00–59")),
    (12, 14, Rule::Range("have a second of 00–59")),
];

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
}

pub(crate) fn check(text: &str) -> Result<Timestamp, Fault> {
    if let Some(at) = text.find(|c: char| !c.is_ascii_digit()) {
        return Err(Fault::new(Rule::Characters("digits"), at));
    }
    if text.len() != 14 {
        return Err(Fault::new(Rule::Parts("have 14 digits, YYYYmmddHHMMSS"), text.len().min(14)));
    }
    // At most four digits each, all checked above.
    let number = |(begin, end, _): (usize, usize, Rule)| {
        text.as_bytes()[begin..end].iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    };
    let [year, month, day, hour, minute, second] = FIELDS.map(number);
    let days = if (1..=12).contains(&month) { days_of(year, month as u8) } else { 31 };
    let holds = [
        year >= 1970,
        (1..=12).contains(&month),
        (1..=u16::from(days)).contains(&day),
        hour <= 23,
        minute <= 59,
        second <= 59,
    ];
    match holds.iter().zip(FIELDS).find(|(holds, _)| !**holds) {
        Some((_, (at, _, rule))) => Err(Fault::new(rule, at)),
        None => Ok(Timestamp {
            year,
            month: month as u8,
            day: day as u8,
            hour: hour as u8,
            minute: minute as u8,
            second: second as u8,
        }),
    }
}

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

impl FromStr for Timestamp {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text).map_err(|fault| fault.of("timestamp", text))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

serde_as_text!(Timestamp);
