//! Versions of packages, which compare by rules of their own (deb-version(7)).

use std::cmp::Ordering;

/// Which of two versions is the newer one.
pub fn compare(one: &str, other: &str) -> Ordering {
    let ((epoch, upstream, revision), (of_other, other, other_revision)) = (split(one), split(other));
    epoch.cmp(&of_other).then_with(|| part(upstream, other)).then_with(|| part(revision, other_revision))
}

/// `[EPOCH:]UPSTREAM[-REVISION]`.
fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.parse().unwrap_or(0), upstream, revision)
}

/// Text and numbers in turns: text compares by [`order`], numbers by their value.
fn part(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while !one.is_empty() || !other.is_empty() {
        let (text, of_other) = (taken(&mut one, false), taken(&mut other, false));
        let at = |text: &[u8], at| order(text.get(at));
        let texts = (0..text.len().max(of_other.len())).map(|index| at(text, index).cmp(&at(of_other, index)));
        let digits = [taken(&mut one, true), taken(&mut other, true)];
        let [number, of_other] =
            digits.map(|digits| &digits[digits.iter().take_while(|digit| **digit == b'0').count()..]);
        let numbers = number.len().cmp(&of_other.len()).then_with(|| number.cmp(of_other));
        if let Some(order) = texts.chain([numbers]).find(|order| order.is_ne()) {
            return order;
        }
    }
    Ordering::Equal
}

/// `~` sorts before the end, letters after it, anything else after letters.
fn order(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Takes the digits at the start, or what comes before the first one.
fn taken<'a>(text: &mut &'a [u8], digits: bool) -> &'a [u8] {
    let (taken, rest) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit() == digits).count());
    *text = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `dpkg --compare-versions` says of them.
    #[test]
    fn versions_compare_as_dpkg_compares_them() {
        for (one, order, other) in [
            ("1.0", Ordering::Equal, "1.0"),
            ("1.0", Ordering::Equal, "0:1.0"),
            ("1.0", Ordering::Equal, "1.00"),
            ("1.0", Ordering::Less, "1.0-1"),
            ("1.9", Ordering::Less, "1.10"),
            ("1:0.1", Ordering::Greater, "2.0"),
            ("1.0~rc1", Ordering::Less, "1.0"),
            ("1.0~~", Ordering::Less, "1.0~"),
            ("1.0", Ordering::Less, "1.0a"),
            ("1.0a", Ordering::Less, "1.0+"),
            ("2.36-9+deb12u10", Ordering::Greater, "2.36-9+deb12u9"),
            ("12.2.0-14+deb12u1", Ordering::Greater, "12.2.0-14"),
            ("12.3.0-1ubuntu1~22.04", Ordering::Less, "12.3.0-1ubuntu1~22.04.2"),
            ("12-20220319-1ubuntu1", Ordering::Less, "12.3.0-1ubuntu1~22.04"),
            ("1.2.3-4-5", Ordering::Greater, "1.2.3-4"),
            ("5.2.15-2+b13", Ordering::Greater, "5.2.15-2+b2"),
            ("1.ä", Ordering::Greater, "1."),
        ] {
            assert_eq!(compare(one, other), order, "{one} {other}");
            assert_eq!(compare(other, one), order.reverse(), "{other} {one}");
        }
    }
}
