//! Times as they are typed.

use std::time::Duration;

/// A whole number of seconds, minutes or hours: `90`, `90s`, `30m`, `2h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((end, 's')) => (&text[..end], 1),
        Some((end, 'm')) => (&text[..end], 60),
        Some((end, 'h')) => (&text[..end], 3600),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds =
        number.and_then(|number| number.checked_mul(factor)).filter(|seconds| (1..=1 << 31).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "write `90`, `90s`, `30m` or `2h`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_a_clock() {
        let read = |text: &str| duration(text).map(|time| time.as_secs()).ok();
        assert_eq!(["90", "90s", "30m", "2h"].map(read), [Some(90), Some(90), Some(1800), Some(7200)]);
        assert_eq!(["", "0", "m", "+5", "5d", "99999999999999999999", "9999999999999h"].map(read), [None; 7]);
    }
}
