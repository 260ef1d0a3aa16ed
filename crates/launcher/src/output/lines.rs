//! A stream of bytes as lines: those that the console shows, the same however the stream was chunked, and the last ones.

use memchr::memchr;

/// Bytes of a console line without its newline; what is longer is shown as several lines.
///
/// 16 KiB: longer than any line meant for people, and eight unfinished ones cost 128 KiB at most.
pub(crate) const LONGEST: usize = 16 * 1024;

/// Bytes of the first piece; `None` while its end can't be known.
fn first_piece(bytes: &[u8]) -> Option<usize> {
    match memchr(b'\n', &bytes[..bytes.len().min(LONGEST + 1)]) {
        Some(at) => Some(at + 1),
        None if bytes.len() > LONGEST => Some(cut(bytes)),
        None => None,
    }
}

/// Where a line over [`LONGEST`] is cut: not inside a character, if it is UTF-8 at all.
fn cut(bytes: &[u8]) -> usize {
    // A character has at most 3 bytes after its first.
    (LONGEST - 3..=LONGEST).rev().find(|&at| bytes[at] & 0xC0 != 0x80).unwrap_or(LONGEST)
}

/// Keeps the unfinished line of a stream.
#[derive(Default)]
pub(crate) struct Splitter {
    /// At most [`LONGEST`] bytes between calls.
    unfinished: Vec<u8>,
}

impl Splitter {
    /// Calls `each` with all lines that `bytes` end, newlines included, and with what is cut off lines over [`LONGEST`].
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while !self.unfinished.is_empty() && !bytes.is_empty() {
            // Up to the newline, or as much as it takes to know where to cut.
            let most = bytes.len().min(LONGEST + 1 - self.unfinished.len());
            let length = memchr(b'\n', &bytes[..most]).map_or(most, |at| at + 1);
            self.unfinished.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            if let Some(length) = first_piece(&self.unfinished) {
                each(&self.unfinished[..length]);
                self.unfinished.drain(..length);
            }
        }
        while let Some(length) = first_piece(bytes) {
            each(&bytes[..length]);
            bytes = &bytes[length..];
        }
        self.unfinished.extend_from_slice(bytes);
    }

    /// The unfinished line, at the end of the stream; empty where there is none.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unfinished)
    }
}

/// Lines that a report shows.
const LINES: usize = 50;

/// Bytes of a [`Tail`] that are surely kept; between one and two times that many are.
const KEPT: usize = 16 * 1024;

#[derive(Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// The first line may lack its start.
    cut: bool,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let last = &bytes[bytes.len().saturating_sub(KEPT)..];
        let kept = if last.len() < bytes.len() { 0 } else { self.bytes.len().min(KEPT) };
        if last.len() < bytes.len() || self.bytes.len() + last.len() > 2 * KEPT {
            self.cut = true;
            self.bytes.drain(..self.bytes.len() - kept);
        }
        self.bytes.extend_from_slice(last);
    }

    /// At most 50 lines, oldest first, as a terminal would show them: of a progress bar the last state, no control
    /// characters but tabs, what is not UTF-8 replaced.
    pub(crate) fn lines(&self) -> Vec<String> {
        if self.bytes.is_empty() {
            return Vec::new();
        }
        let text = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        // A line without its start is better than nothing.
        let whole = usize::from(self.cut && lines.len() > 1);
        lines[whole.max(lines.len().saturating_sub(LINES))..].iter().map(|line| visible(line)).collect()
    }
}

/// What is left on a terminal after `line`.
fn visible(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.rsplit('\r').next().unwrap_or(text).chars().peekable();
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
    use proptest::prelude::*;

    use super::*;

    fn shown(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, |line| lines.push(line.to_vec()));
            assert!(splitter.unfinished.len() <= LONGEST);
        }
        lines.extend(Some(splitter.finish()).filter(|it| !it.is_empty()));
        lines
    }

    fn check(bytes: &[u8], expect: &[usize]) {
        assert_eq!(shown(&[bytes]).iter().map(Vec::len).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn lines_are_cut_at_newlines_and_when_too_long() {
        check(b"", &[]);
        check(b"a\rb\rc\n\nd", &[6, 1, 1]);
        check(&[b'x'; LONGEST], &[LONGEST]);
        check(&[&[b'x'; LONGEST][..], b"\n"].concat(), &[LONGEST + 1]);
        check(&[&[b'x'; LONGEST][..], b"x\n"].concat(), &[LONGEST, 2]);
        check(&[&[b'x'; LONGEST - 1][..], "é\n".as_bytes()].concat(), &[LONGEST - 1, 3]);
        check(&[0x80; LONGEST + 1], &[LONGEST, 1]);
    }

    /// Runs of one byte, so that lines get near and over the limit.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(b'\n'), Just(b'x'), Just(0x80), Just(0xC3)];
        let length = prop_oneof![1..4usize, LONGEST - 3..LONGEST + 3, 1..3 * LONGEST];
        let run = (byte, length).prop_map(|(byte, n)| vec![byte; if byte == b'\n' { n % 7 } else { n }]);
        prop::collection::vec(run, 0..12).prop_map(|runs| runs.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_chunking_shows_the_same(bytes in stream(), sizes in prop::collection::vec(1..40_000usize, 1..40)) {
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break }
                let (chunk, after) = rest.split_at(rest.len().min(*size));
                chunks.push(chunk);
                rest = after;
            }
            prop_assert_eq!(shown(&chunks), shown(&[&bytes]));
            prop_assert_eq!(shown(&chunks).concat(), bytes);
        }
    }

    fn last_lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.push(chunk));
        assert!(tail.bytes.len() <= 2 * KEPT);
        tail.lines()
    }

    #[test]
    fn last_lines_are_as_a_terminal_shows_them() {
        let long = [b'x'; 3 * KEPT];
        let check = |chunks: &[&[u8]], expect: &[&str]| assert_eq!(last_lines(chunks), expect);
        check(&[], &[]);
        check(&[b"\n"], &[""]);
        check(&[b"one\ntw", b"o\n", b"\nthree"], &["one", "two", "", "three"]);
        check(&[b"10%\r50%\r100%\r\n\tx\0y\x07"], &["100%", "\txy"]);
        check(&[b"\x1b[31;1mred\x1b[0m \xff \xe4\xbd\xa0"], &["red \u{fffd} \u{4f60}"]);
        check(&[b"\x1b[", b"31\x1b"], &[""]);
        // A line without its start is shown only when it is the only one.
        check(&[&long, b"\nlast\n"], &["last"]);
        check(&[&long], &[std::str::from_utf8(&long[..KEPT]).unwrap()]);
    }

    #[test]
    fn the_last_fifty_lines_are_kept_from_any_amount() {
        let text: String = (0..29_000).map(|n| format!("line {n}\n")).collect();
        let expect: Vec<_> = (28_950..29_000).map(|n| format!("line {n}")).collect();
        for chunk in [7, 1000, KEPT - 1, KEPT, KEPT + 1, 65_536] {
            assert_eq!(last_lines(&text.as_bytes().chunks(chunk).collect::<Vec<_>>()), expect, "{chunk}");
        }
    }
}
