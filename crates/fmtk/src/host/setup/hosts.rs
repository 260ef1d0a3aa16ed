//! Lines of `/etc/hosts` that are ours: each ends with `# fmtk`. Foreign lines are read and never changed.

use std::{net::IpAddr, ops::Range};

use file_edit::Splice;

const MARK: &str = "# fmtk";

/// A foreign line has the name at another address, so that ours would be in its shadow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} has `{name}` at `{found}`, not `{wanted}`")]
pub struct Shadowed {
    /// From 1.
    pub line: usize,
    /// The name.
    pub name: String,
    /// The address that it has.
    pub found: String,
    /// The address that it was to have.
    pub wanted: IpAddr,
}

/// The changes after which every name has this address.
pub fn set(text: &[u8], ip: IpAddr, names: &[&str]) -> Result<Vec<Splice>, Shadowed> {
    let lines = lines(text);
    let mut splices = Vec::new();
    let mut added = String::new();
    let ending = if text.windows(2).any(|pair| pair == b"\r\n") { "\r\n" } else { "\n" };
    for name in names {
        let with_name = || lines.iter().filter(|line| line.has(name));
        let mut found = false;
        for line in with_name().filter(|line| !line.ours) {
            if line.address.parse() != Ok(ip) {
                let found = line.address.clone();
                return Err(Shadowed { line: line.number, name: (*name).to_owned(), found, wanted: ip });
            }
            found = true;
        }
        for line in with_name().filter(|line| line.ours) {
            if found {
                splices.push(Splice { range: line.range.clone(), text: Vec::new() });
            } else if line.address.parse() != Ok(ip) {
                splices.push(Splice { range: line.address_range.clone(), text: ip.to_string().into_bytes() });
            }
            found = true;
        }
        if !found {
            added.push_str(&format!("{ip} {name} {MARK}{ending}"));
        }
    }
    splices.sort_by_key(|splice| splice.range.start);
    if !added.is_empty() {
        let before = if text.is_empty() || text.ends_with(b"\n") { "" } else { ending };
        splices.push(Splice::insert(text.len(), format!("{before}{added}")));
    }
    Ok(splices)
}

/// The changes that take our lines of these names out.
pub fn unset(text: &[u8], names: &[&str]) -> Vec<Splice> {
    let ours = lines(text).into_iter().filter(|line| line.ours && names.iter().any(|name| line.has(name)));
    ours.map(|line| Splice { range: line.range, text: Vec::new() }).collect()
}

struct Line {
    number: usize,
    /// With its line end.
    range: Range<usize>,
    address: String,
    address_range: Range<usize>,
    names: Vec<String>,
    ours: bool,
}

impl Line {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|found| found.eq_ignore_ascii_case(name))
    }
}

/// The lines that have an address.
fn lines(text: &[u8]) -> Vec<Line> {
    let mut found = Vec::new();
    let mut start = 0;
    for (number, bytes) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let range = start..start + bytes.len();
        start = range.end;
        let content = bytes.split(|byte| *byte == b'#').next().unwrap_or_default();
        let blanks = content.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let length = content[blanks..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        let content = String::from_utf8_lossy(content).into_owned();
        let mut words = content.split_ascii_whitespace().map(str::to_owned);
        let Some(address) = words.next() else { continue };
        let names: Vec<String> = words.collect();
        // A line with more names was edited by somebody, and is theirs.
        let ours = names.len() == 1 && bytes.trim_ascii_end().ends_with(MARK.as_bytes());
        let address_range = range.start + blanks..range.start + blanks + length;
        found.push(Line { number: number + 1, range, address, address_range, names, ours });
    }
    found
}

#[cfg(test)]
mod tests {
    use file_edit::apply;

    use super::*;

    const NAMES: &[&str] = &["swr.x.com", "modelarts.x.com"];

    fn done(text: &str, ip: &str) -> String {
        match set(text.as_bytes(), ip.parse().unwrap(), NAMES) {
            Ok(splices) => String::from_utf8(apply(text.as_bytes(), &splices)).unwrap(),
            Err(shadowed) => shadowed.to_string(),
        }
    }

    #[test]
    fn our_lines_come_once_follow_the_address_and_go_again() {
        let text = "127.0.0.1\tlocalhost\n::1 localhost # loop\n";
        let with = |ip: &str| format!("{text}{ip} swr.x.com # fmtk\n{ip} modelarts.x.com # fmtk\n");
        assert_eq!(done(text, "10.0.0.7"), with("10.0.0.7"));
        assert_eq!(done(&with("10.0.0.7"), "10.0.0.7"), with("10.0.0.7"));
        assert_eq!(done(&with("10.0.0.7"), "fd00::1"), with("fd00::1"));
        let splices = unset(with("10.0.0.7").as_bytes(), NAMES);
        assert_eq!(apply(with("10.0.0.7").as_bytes(), &splices), text.as_bytes());
        assert_eq!(unset(text.as_bytes(), NAMES), []);
        assert_eq!(
            done("1.1.1.1 a\r\n2.2.2.2 b", "10.0.0.7"),
            "1.1.1.1 a\r\n2.2.2.2 b\r\n10.0.0.7 swr.x.com # fmtk\r\n10.0.0.7 modelarts.x.com # fmtk\r\n"
        );
    }

    #[test]
    fn foreign_lines_stay_and_are_never_shadowed() {
        let same = "10.0.0.7 swr.x.com swr\n10.0.0.7 modelarts.x.com other # fmtk\n";
        assert_eq!(done(same, "10.0.0.7"), same);
        assert_eq!(unset(same.as_bytes(), NAMES), []);
        assert_eq!(
            done("# 1.1.1.1 swr.x.com\n\n 10.0.0.8 a SWR.x.com # fmtk\n", "10.0.0.7"),
            "line 3 has `swr.x.com` at `10.0.0.8`, not `10.0.0.7`"
        );
        let both = "10.0.0.9 swr.x.com # fmtk\n10.0.0.7 swr.x.com modelarts.x.com\n";
        assert_eq!(done(both, "10.0.0.7"), "10.0.0.7 swr.x.com modelarts.x.com\n");
    }
}
