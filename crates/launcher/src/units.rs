//! Durations, sizes and lists as they are typed.

use std::collections::BTreeSet;
use std::time::Duration;

/// The longest duration, in days: longer than any job, and short enough for any clock.
const MAX_DAYS: u64 = 3650;

/// A duration: a number with `ms`, `s`, `m`, `h` or `d`, several of them in a row (`1h30m`), or a bare number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a duration: write `90`, `90s`, `1m30s`, `2h` or `500ms`, `{MAX_DAYS}d` at most");
    let seconds = format!("{text}s");
    let is_bare = text.bytes().all(|it| it.is_ascii_digit());
    let (mut milliseconds, mut rest) = (0, if is_bare { &seconds } else { text });
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or_else(wrong)?;
        let end = after.find(|it: char| it.is_ascii_digit()).unwrap_or(after.len());
        let unit: u64 = match &after[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        milliseconds = number.checked_mul(unit).and_then(|it| it.checked_add(milliseconds)).ok_or_else(wrong)?;
        rest = &after[end..];
    }
    if milliseconds > MAX_DAYS * 86_400_000 { Err(wrong()) } else { Ok(Duration::from_millis(milliseconds)) }
}

/// The number that a text begins with, and what follows.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_at(text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len()));
    Some((digits.parse().ok()?, rest))
}

/// A size in bytes: a number with `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024), `KB`, `MB`, `GB`, `TB` (of 1000), `B` or
/// nothing.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size: write `1073741824`, `512MiB` or `1GiB`");
    let (number, unit) = leading_number(text).ok_or_else(wrong)?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Numbers and ranges with commas between them, `0,2-5`, in the order in which they are written; none twice.
pub fn numbers(text: &str) -> Result<Vec<u32>, String> {
    /// Ranges are bounded before they are made: `0-4294967295` would not fit into memory.
    const MAX: usize = 1 << 20;
    let wrong = || format!("`{text}` is not a list of numbers: write `0,1,2` or `0-7`");
    let mut seen = BTreeSet::new();
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| match text.bytes().all(|it| it.is_ascii_digit()) {
            true => text.parse::<u32>().map_err(|_| wrong()),
            false => Err(wrong()),
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last || (last - first) as usize >= MAX - numbers.len() {
            return Err(wrong());
        }
        for number in first..=last {
            if !seen.insert(number) {
                return Err(format!("`{text}` has {number} twice"));
            }
            numbers.push(number);
        }
    }
    Ok(numbers)
}

/// Numbers as text with ranges: the inverse of [`numbers`] for numbers in rising order.
pub fn ranges(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some((&first, _)) = rest.split_first() {
        let run = (first..=u32::MAX).zip(rest).take_while(|(expected, found)| expected == *found).count();
        let last = rest[run - 1];
        let comma = if text.is_empty() { "" } else { "," };
        text += &if last == first { format!("{comma}{first}") } else { format!("{comma}{first}-{last}") };
        rest = &rest[run..];
    }
    text
}

/// Ranks for people: `rank 3`, `ranks 0-3,5`.
pub fn ranks(numbers: &[u32]) -> String {
    let s = if numbers.len() == 1 { "" } else { "s" };
    format!("rank{s} {}", ranges(numbers))
}

/// A duration for people: `0.4 s`, `12.3 s`, `5 min 3 s`, `2 h 5 min`, `3 d 4 h`.
pub fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("0", Some(0)),
            ("90", Some(90_000)),
            ("90s", Some(90_000)),
            ("30m", Some(1_800_000)),
            ("1h30m", Some(5_400_000)),
            ("2d", Some(172_800_000)),
            ("250ms", Some(250)),
            ("1s500ms", Some(1_500)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("10 s", None),
            ("5x", None),
            ("5s3", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("18446744073709551615", None),
            ("3650d", Some(3650 * 86_400_000)),
            ("3650d1ms", None),
        ] {
            assert_eq!(duration(text).ok(), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("1KiB", Some(1024)),
            ("512MiB", Some(512 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1gib", Some(1 << 30)),
            ("1G", Some(1 << 30)),
            ("2GB", Some(2_000_000_000)),
            ("", None),
            ("GiB", None),
            ("1.5GiB", None),
            ("1 GiB", None),
            ("-1", None),
            ("17179869184TiB", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn lists() {
        for (text, expected) in [
            ("0", Some(vec![0])),
            ("3,1", Some(vec![3, 1])),
            ("0-3,8", Some(vec![0, 1, 2, 3, 8])),
            ("", None),
            (",", None),
            ("1-", None),
            ("3-1", None),
            ("1,1", None),
            ("0-2,1", None),
            ("+1", None),
            ("0-4294967295", None),
        ] {
            assert_eq!(numbers(text).ok(), expected, "{text}");
        }
        for text in ["", "0", "0-7", "0,2,4-6", "1-2,4294967294-4294967295"] {
            let list = if text.is_empty() { Vec::new() } else { numbers(text).expect(text) };
            assert_eq!(ranges(&list), text);
        }
    }

    #[test]
    fn durations_for_people() {
        for (milliseconds, text) in [
            (0, "0.0 s"),
            (12_340, "12.3 s"),
            (61_000, "1 min 1 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(shown(Duration::from_millis(milliseconds)), text);
        }
    }
}
