//! The script before the payload: only lines of the form `NAME="value"` are read, none is run.

use super::{Makeself, Part};

/// Lines that a script may have.
const MAX_LINES: usize = 100_000;
/// Parts that a payload may have; makeself writes one.
const MAX_PARTS: usize = 1000;
/// The largest payload: 1 TiB, so that sums of sizes stay far from overflowing.
const MAX_PAYLOAD: u64 = 1 << 40;

/// Reads the script at the beginning of a file, and whether all of it is there. The error says what is missing.
pub(super) fn parse(start: &[u8]) -> Result<(Makeself, bool), &'static str> {
    // No line break is lost or made by what is not UTF-8.
    let text = String::from_utf8_lossy(start);
    let mut lines: Vec<&str> = text.split('\n').take(MAX_LINES).collect();
    let interpreter = lines[0].strip_prefix("#!").and_then(|line| line.split_whitespace().next());
    let interpreter = interpreter.filter(|program| program.starts_with('/'));
    let interpreter = interpreter.ok_or("it does not begin with `#!` and an interpreter")?.to_owned();
    // A variable since 2.2, a number in the commands of earlier ones.
    let variable = lines.iter().find_map(|line| number(unquoted(line.strip_prefix("skip=")?)?));
    let in_command = || lines.iter().find_map(|line| number(line.split_once("head -n ")?.1));
    let count = variable.or_else(in_command).filter(|count| (1..=MAX_LINES).contains(count));
    let count = count.ok_or("no line says how many lines the script has (`skip=`, `head -n`)")?;
    lines.truncate(count);
    let end = start.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(count - 1).map(|(at, _)| at + 1);

    // The value of the first assignment to this name at the beginning of a line.
    let value = |name: &str| lines.iter().find_map(|line| unquoted(line.strip_prefix(name)?.strip_prefix('=')?));
    let sizes = value("filesizes").ok_or("no line says how large the payload is (`filesizes=`)")?;
    let sizes: Option<Vec<u64>> = sizes.split_whitespace().map(|size| size.parse().ok()).collect();
    let sizes = sizes.filter(|sizes| (1..=MAX_PARTS).contains(&sizes.len()));
    let sizes = sizes.ok_or("its `filesizes=` are not numbers")?;
    let payload = sizes.iter().try_fold(0_u64, |sum, size| sum.checked_add(*size));
    if payload.is_none_or(|payload| payload > MAX_PAYLOAD) {
        return Err("its `filesizes=` are more than any file has");
    }
    let sums = |name| -> Vec<&str> { value(name).unwrap_or_default().split_whitespace().collect() };
    let (crcs, md5s, shas) = (sums("CRCsum"), sums("MD5"), sums("SHA"));
    // Only zeros stand for one that was not made.
    let sum = |of_kind: &[&str], part: usize| {
        let sum = of_kind.get(part).filter(|sum| sum.bytes().any(|byte| byte != b'0'))?;
        Some(sum.to_ascii_lowercase())
    };
    let hex = |of_kind: &[&str], part, digits| {
        sum(of_kind, part).filter(|sum| sum.len() == digits && sum.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let parts = sizes.into_iter().enumerate().map(|(part, size)| Part {
        size,
        crc: sum(&crcs, part).and_then(|sum| sum.parse().ok()),
        md5: hex(&md5s, part, 32),
        sha256: hex(&shas, part, 64),
    });
    // What `--info` of the script would say.
    let compression = lines.iter().find_map(|line| line.trim().strip_prefix("echo Compression: "));
    let read = Makeself {
        interpreter,
        label: value("label").unwrap_or_default().to_owned(),
        compression: compression.map(str::to_owned),
        offset: end.unwrap_or(start.len()) as u64,
        parts: parts.collect(),
    };
    Ok((read, end.is_some()))
}

/// The digits that a text begins with.
fn number(text: &str) -> Option<usize> {
    text.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// A value without the quotes around it.
fn unquoted(value: &str) -> Option<&str> {
    let value = value.trim_ascii_end();
    match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].strip_suffix(quote),
        _ => Some(value),
    }
}
