//! Lines of `/etc/hosts` that are ours: each ends with `# fmtk`. Foreign lines are read and never changed.

use std::{net::IpAddr, ops::Range};

use anyhow::bail;
use file_edit::Splice;

const MARK: &str = "# fmtk";

/// The changes after which every name has this address. Fails where a foreign line has one at another, so that ours would
/// be in its shadow.
pub fn set(text: &[u8], ip: IpAddr, names: &[String]) -> anyhow::Result<Vec<Splice>> {
    let lines = lines(text);
    let (mut splices, mut added) = (Vec::new(), String::new());
    let ending = if text.windows(2).any(|pair| pair == b"\r\n") { "\r\n" } else { "\n" };
    for name in names {
        let (ours, theirs): (Vec<&Line>, Vec<&Line>) =
            lines.iter().filter(|line| line.has(name)).partition(|line| line.is_ours);
        if let Some(line) = theirs.iter().find(|line| line.address.parse() != Ok(ip)) {
            bail!("line {} has `{name}` at `{}`, not `{ip}`", line.number, line.address);
        }
        let mut is_there = !theirs.is_empty();
        for line in ours {
            if is_there || line.address.parse() != Ok(ip) {
                splices.push(line.removed());
            } else {
                is_there = true;
            }
        }
        if !is_there {
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
pub fn unset(text: &[u8], names: &[String]) -> Vec<Splice> {
    let ours = lines(text).into_iter().filter(|line| line.is_ours && names.iter().any(|name| line.has(name)));
    ours.map(|line| line.removed()).collect()
}

/// A line that has an address.
struct Line {
    /// From 1.
    number: usize,
    /// With its line end.
    range: Range<usize>,
    address: String,
    names: Vec<String>,
    is_ours: bool,
}

impl Line {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|found| found.eq_ignore_ascii_case(name))
    }

    fn removed(&self) -> Splice {
        Splice { range: self.range.clone(), text: Vec::new() }
    }
}

fn lines(text: &[u8]) -> Vec<Line> {
    let mut found = Vec::new();
    let mut end = 0;
    for (number, bytes) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let range = end..end + bytes.len();
        end = range.end;
        let content = String::from_utf8_lossy(bytes.split(|byte| *byte == b'#').next().unwrap_or_default());
        let mut words = content.split_ascii_whitespace().map(str::to_owned);
        let Some(address) = words.next() else { continue };
        let names: Vec<String> = words.collect();
        // A line with more names was edited by somebody, and is theirs.
        let is_ours = names.len() == 1 && bytes.trim_ascii_end().ends_with(MARK.as_bytes());
        found.push(Line { number, range, address, names, is_ours });
    }
    found
}

#[cfg(test)]
mod tests {
    use file_edit::apply;

    use super::*;

    fn names() -> [String; 2] {
        ["swr.x.com", "modelarts.x.com"].map(str::to_owned)
    }

    fn done(text: &str, ip: &str) -> String {
        match set(text.as_bytes(), ip.parse().unwrap(), &names()) {
            Ok(splices) => String::from_utf8(apply(text.as_bytes(), &splices)).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn our_lines_come_once_follow_the_address_and_go_again() {
        let text = "127.0.0.1\tlocalhost\n::1 localhost # loop\n";
        let with = |ip: &str| format!("{text}{ip} swr.x.com # fmtk\n{ip} modelarts.x.com # fmtk\n");
        assert_eq!(done(text, "10.0.0.7"), with("10.0.0.7"));
        assert_eq!(done(&with("10.0.0.7"), "10.0.0.7"), with("10.0.0.7"));
        assert_eq!(done(&with("10.0.0.7"), "fd00::1"), with("fd00::1"));
        let splices = unset(with("10.0.0.7").as_bytes(), &names());
        assert_eq!(apply(with("10.0.0.7").as_bytes(), &splices), text.as_bytes());
        assert_eq!(unset(text.as_bytes(), &names()), []);
        assert_eq!(
            done("1.1.1.1 a\r\n2.2.2.2 b", "10.0.0.7"),
            "1.1.1.1 a\r\n2.2.2.2 b\r\n10.0.0.7 swr.x.com # fmtk\r\n10.0.0.7 modelarts.x.com # fmtk\r\n"
        );
    }

    #[test]
    fn foreign_lines_stay_and_are_never_shadowed() {
        let same = "10.0.0.7 swr.x.com swr\n10.0.0.7 modelarts.x.com other # fmtk\n";
        assert_eq!(done(same, "10.0.0.7"), same);
        assert_eq!(unset(same.as_bytes(), &names()), []);
        assert_eq!(
            done("# 1.1.1.1 swr.x.com\n\n 10.0.0.8 a SWR.x.com # fmtk\n", "10.0.0.7"),
            "line 3 has `swr.x.com` at `10.0.0.8`, not `10.0.0.7`"
        );
        let both = "10.0.0.9 swr.x.com # fmtk\n10.0.0.7 swr.x.com modelarts.x.com\n";
        assert_eq!(done(both, "10.0.0.7"), "10.0.0.7 swr.x.com modelarts.x.com\n");
        let both = "10.0.0.7 swr.x.com # fmtk\n10.0.0.7 swr.x.com modelarts.x.com\n";
        assert_eq!(done(both, "10.0.0.7"), "10.0.0.7 swr.x.com modelarts.x.com\n");
    }
}
