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
    let interpreter = interpreter(start).ok_or("it does not begin with `#!` and an interpreter")?;
    let lines = line_count(start).ok_or("no line says how many lines the script has (`skip=`, `head -n`)")?;
    let end = nth_line_end(start, lines);
    let script = Script(&start[..end.unwrap_or(start.len())]);
    let sizes = script.list("filesizes").ok_or("no line says how large the payload is (`filesizes=`)")?;
    let sizes: Option<Vec<u64>> = sizes.iter().map(|size| size.parse().ok()).collect();
    let sizes = sizes.filter(|sizes| (1..=MAX_PARTS).contains(&sizes.len()));
    let sizes = sizes.ok_or("its `filesizes=` are no numbers")?;
    let payload = sizes.iter().try_fold(0_u64, |sum, size| sum.checked_add(*size));
    if payload.is_none_or(|payload| payload > MAX_PAYLOAD) {
        return Err("its `filesizes=` are more than any file has");
    }
    let (crcs, md5s, shas) = (sums(&script, "CRCsum"), sums(&script, "MD5"), sums(&script, "SHA"));
    let parts = sizes.into_iter().enumerate().map(|(number, size)| Part {
        size,
        crc: crcs.get(number).and_then(|sum| sum.parse().ok()),
        md5: hex(md5s.get(number), 32),
        sha256: hex(shas.get(number), 64),
    });
    let read = Makeself {
        interpreter,
        label: script.value("label").unwrap_or_default(),
        compression: script.compression(),
        offset: end.unwrap_or(start.len()) as u64,
        parts: parts.collect(),
    };
    Ok((read, end.is_some()))
}

/// The program of the first line, its options left out.
fn interpreter(start: &[u8]) -> Option<String> {
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let program = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
    program.starts_with('/').then(|| program.to_owned())
}

/// How many lines the script has: a variable since 2.2, a number in the commands of earlier ones.
fn line_count(start: &[u8]) -> Option<usize> {
    let lines = || start.split(|&byte| byte == b'\n').take(MAX_LINES);
    let variable = lines().find_map(|line| number(unquoted(line.strip_prefix(b"skip=")?)?));
    let in_command = || lines().find_map(|line| number(behind(line, b"head -n ")?));
    variable.or_else(in_command).filter(|count| (1..=MAX_LINES).contains(count))
}

/// The digits that a text begins with.
fn number(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}

/// What follows the first `words`.
fn behind<'a>(line: &'a [u8], words: &[u8]) -> Option<&'a [u8]> {
    let at = line.windows(words.len()).position(|window| window == words)?;
    Some(&line[at + words.len()..])
}

/// Where the n-th line ends, its line break included.
fn nth_line_end(bytes: &[u8], lines: usize) -> Option<usize> {
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    ends.nth(lines - 1)
}

/// A value without the quotes around it.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii_end();
    match value.first()? {
        quote @ (b'"' | b'\'') => value[1..].strip_suffix(&[*quote]),
        _ => Some(value),
    }
}

struct Script<'a>(&'a [u8]);

impl Script<'_> {
    /// The value of the first assignment to this name at the beginning of a line.
    fn value(&self, name: &str) -> Option<String> {
        let assigned = |line: &[u8]| {
            let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(unquoted(value)?).into_owned())
        };
        self.0.split(|&byte| byte == b'\n').find_map(assigned)
    }

    /// The same as a list of words.
    fn list(&self, name: &str) -> Option<Vec<String>> {
        Some(self.value(name)?.split_whitespace().map(str::to_owned).collect())
    }

    /// What `--info` of the script would say.
    fn compression(&self) -> Option<String> {
        let said = |line: &[u8]| {
            let text = line.trim_ascii().strip_prefix(b"echo Compression: ")?;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        self.0.split(|&byte| byte == b'\n').find_map(said)
    }
}

/// The sums of a kind. Only zeros stand for one that was not made.
fn sums(script: &Script<'_>, name: &str) -> Vec<String> {
    let mut all = script.list(name).unwrap_or_default();
    for sum in &mut all {
        if sum.bytes().all(|byte| byte == b'0') {
            sum.clear();
        }
    }
    all
}

fn hex(sum: Option<&String>, digits: usize) -> Option<String> {
    let sum = sum?.to_ascii_lowercase();
    (sum.len() == digits && sum.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(sum)
}
