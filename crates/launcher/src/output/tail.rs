//! The last lines of a rank, for the report.

use memchr::memrchr;

/// Lines that a report shows.
const LINES: usize = 50;

/// Bytes that are surely kept; between one and two times that many are.
const KEPT: usize = 16 * 1024;

/// A window on the last bytes of a stream.
#[derive(Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// The window no longer starts where the stream did.
    cut: bool,
}

impl Tail {
    /// Moves the window over `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            // Once for all; pages that are never touched cost nothing.
            self.bytes.reserve_exact(2 * KEPT);
        }
        if bytes.len() >= KEPT {
            self.cut |= !self.bytes.is_empty() || bytes.len() > KEPT;
            self.bytes.clear();
            self.bytes.extend_from_slice(&bytes[bytes.len() - KEPT..]);
            return;
        }
        if self.bytes.len() + bytes.len() > 2 * KEPT {
            self.cut = true;
            self.bytes.drain(..self.bytes.len() - KEPT);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// At most 50 lines, oldest first, as a terminal would show them: of a progress bar the last state, no control
    /// characters but tabs, what is not UTF-8 replaced.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut rest = &self.bytes[..];
        if let [before @ .., b'\n'] = rest {
            rest = before;
        } else if rest.is_empty() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        while lines.len() < LINES {
            let newline = memrchr(b'\n', rest);
            // The first line of a window lacks its start; better that than nothing.
            if newline.is_none() && self.cut && !lines.is_empty() {
                break;
            }
            lines.push(visible(&rest[newline.map_or(0, |at| at + 1)..]));
            match newline {
                Some(at) => rest = &rest[..at],
                None => break,
            }
        }
        lines.reverse();
        lines
    }
}

/// What is left on a terminal after `line`.
fn visible(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\x1b' && chars.next_if_eq(&'[').is_some() {
            // A control sequence (ECMA-48, 5.4): parameters, then one final byte from `@` to `~`.
            while chars.next_if(|char| (' '..='?').contains(char)).is_some() {}
            chars.next_if(|char| ('@'..='~').contains(char));
        } else if char == '\t' || !char.is_control() {
            shown.push(char);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]], expect: &[&str]) {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.push(chunk));
        assert_eq!(tail.lines(), expect);
    }

    #[test]
    fn lines_are_as_a_terminal_shows_them() {
        check(&[], &[]);
        check(&[b"\n"], &[""]);
        check(&[b"one\ntw", b"o\n", b"\nthree"], &["one", "two", "", "three"]);
        check(&[b"10%\r50%\r100%\r\n\tx\0y\x07"], &["100%", "\txy"]);
        check(&[b"\x1b[31;1mred\x1b[0m \xff \xe4\xbd\xa0"], &["red \u{fffd} \u{4f60}"]);
        check(&[b"\x1b[", b"31\x1b"], &[""]);
    }

    #[test]
    fn the_last_fifty_lines_are_kept_from_any_amount() {
        for chunk in [7, 1000, KEPT - 1, KEPT, KEPT + 1, 65_536] {
            let text: String = (0..29_000).map(|n| format!("line {n}\n")).collect();
            let mut tail = Tail::default();
            text.as_bytes().chunks(chunk).for_each(|chunk| tail.push(chunk));
            let expect: Vec<_> = (28_950..29_000).map(|n| format!("line {n}")).collect();
            assert_eq!(tail.lines(), expect, "{chunk}");
            assert!((KEPT..=2 * KEPT).contains(&tail.bytes.len()));
            assert!(tail.bytes.capacity() <= 2 * KEPT);
        }
    }

    #[test]
    fn a_line_without_its_start_is_shown_only_when_it_is_the_only_one() {
        let long = [b'x'; 3 * KEPT];
        check(&[&long, b"\nlast\n"], &["last"]);
        check(&[&long], &[std::str::from_utf8(&long[..KEPT]).unwrap()]);
    }
}
