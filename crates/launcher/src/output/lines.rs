//! A stream of bytes as the lines that the console shows, the same however the stream was chunked.

use std::time::{Duration, Instant};

use memchr::{memchr2, memmem};

/// Bytes of a console line without its newline; what is longer is shown as several lines.
///
/// 16 KiB: longer than any line meant for people, and eight unfinished ones cost 128 KiB at most.
pub(crate) const LONGEST: usize = 16 * 1024;

/// Bytes of the first piece; `None` while its end can't be known.
fn first_piece(bytes: &[u8]) -> Option<usize> {
    match memchr2(b'\n', b'\r', &bytes[..bytes.len().min(LONGEST + 1)]) {
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

/// Cuts a stream into console lines at newlines. What follows the last newline may overwrite itself by `\r`, as a progress
/// bar does, or wait for an answer, as a prompt does. So its newest state becomes a line of its own when it is due. Of several
/// bars that is the one that has changed last.
#[derive(Default)]
pub(crate) struct Splitter {
    /// How long a state waits for a newer one before it is shown.
    pause: Duration,
    /// What follows the last newline or `\r`: at most [`LONGEST`] bytes between calls.
    unfinished: Vec<u8>,
    /// Bytes of it that were shown.
    shown: usize,
    /// What the last `\r` ended and nothing has overwritten yet; empty once it was shown.
    state: Vec<u8>,
    /// A state was shown since the last newline.
    has_shown: bool,
    /// When the newest state is to be shown.
    due: Option<Instant>,
    /// The pause, twice as long each time that the same unfinished line is shown: dots that come one by one make few lines.
    wait: Duration,
    /// Rows below the cursor, from where it was moved up: those of further bars.
    below: usize,
    /// A `\r` has begun the line, as one begins that of a bar.
    is_begun: bool,
    /// The state is such a row. Whether it is a bar's, or text that stays, is told by the next: a bar below it moves up again.
    is_row: bool,
}

impl Splitter {
    pub(crate) fn new(pause: Duration) -> Splitter {
        Splitter { pause, wait: pause, ..Splitter::default() }
    }

    /// Calls `each` with all lines that `bytes` end, newlines included, and with what is cut off lines over [`LONGEST`].
    pub(crate) fn feed(&mut self, mut bytes: &[u8], now: Instant, mut each: impl FnMut(&[u8])) {
        while !self.unfinished.is_empty() && !bytes.is_empty() {
            // Up to the end of the line, or as much as it takes to know where to cut.
            let most = bytes.len().min(LONGEST + 1 - self.unfinished.len());
            let length = memchr2(b'\n', b'\r', &bytes[..most]).map_or(most, |at| at + 1);
            self.unfinished.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            if let Some(length) = first_piece(&self.unfinished) {
                let mut unfinished = std::mem::take(&mut self.unfinished);
                self.end(&unfinished[..length], &mut each);
                unfinished.drain(..length);
                self.unfinished = unfinished;
            }
        }
        while let Some(length) = first_piece(bytes) {
            self.end(&bytes[..length], &mut each);
            bytes = &bytes[length..];
        }
        self.unfinished.extend_from_slice(bytes);
        self.due = self.has_news().then(|| self.due.unwrap_or(now + self.wait));
    }

    /// Takes over a piece of the stream, up to a newline or `\r`, to where it is cut, or to its end.
    fn end(&mut self, mut piece: &[u8], each: &mut impl FnMut(&[u8])) {
        let shown = std::mem::take(&mut self.shown);
        // What follows in a row above is a piece of its own.
        let row = memmem::rfind(piece, UP).map(|at| at + UP.len());
        if let Some(at) = row.filter(|at| !matches!(&piece[*at..], b"" | b"\n" | b"\r")) {
            self.shown = shown.min(at);
            self.end(&piece[..at], each);
            self.shown = shown.saturating_sub(at);
            return self.end(&piece[at..], each);
        }
        self.wait = self.pause;
        let text = piece.strip_suffix(b"\r").or_else(|| piece.strip_suffix(b"\n")).unwrap_or(piece);
        let state = before_moving_up(text);
        let moves_up = state.len() < text.len();
        let returns = piece.ends_with(b"\r");
        // What is written where something was erased is text and no bar.
        let is_begun =
            std::mem::replace(&mut self.is_begun, returns && (text.is_empty() || moves_up || !is_blank(text)));
        if self.is_row && !is_blank(state) {
            self.is_row = false;
            if !moves_up && !self.state.is_empty() {
                each(&std::mem::take(&mut self.state));
            }
        }
        self.below += (text.len() - state.len()) / UP.len();
        // Where there are rows below, a line end only leads to the next.
        let leads_down = piece.ends_with(b"\n") && self.below > 0;
        self.below -= usize::from(leads_down);
        let is_row = leads_down && (moves_up || is_begun != text.is_empty());
        if returns || is_row || (piece.ends_with(UP) && (is_begun || state.is_empty())) {
            // Blanks erase a bar before other text is printed. They are no news.
            if !is_blank(state) {
                self.state.clear();
                self.state.extend_from_slice(if shown < state.len() { state } else { b"" });
                self.is_row = is_row && !moves_up;
            }
            return;
        }
        if moves_up {
            piece = state;
        }
        self.due = None;
        let state = std::mem::take(&mut self.state);
        let has_shown = std::mem::take(&mut self.has_shown);
        if state.is_empty() && !has_shown {
            each(piece);
        } else if !is_blank(text) {
            // All of a prompt may have been shown by now.
            if shown < text.len() {
                each(piece);
            }
        } else if !state.is_empty() {
            each(&state);
        }
    }

    /// When [`Splitter::show`] is to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something was not shown yet.
    fn has_news(&self) -> bool {
        !self.state.is_empty() || self.shown < self.unfinished.len()
    }

    /// The newest state that is whole, else the unfinished line as far as it has come.
    pub(crate) fn show(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut line = std::mem::take(&mut self.state);
        if line.is_empty() {
            line.extend_from_slice(before_moving_up(&self.unfinished));
            self.shown = self.unfinished.len();
            self.wait *= 2;
        }
        self.due = self.has_news().then(|| now + self.wait);
        let is_text = !is_blank(&line);
        self.has_shown |= is_text;
        Some(line).filter(|_| is_text)
    }

    /// At the end of the stream, calls `each` with what was not shown yet.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        while self.has_news() {
            let unfinished = std::mem::take(&mut self.unfinished);
            self.end(&unfinished, &mut each);
        }
        self.due = None;
    }
}

/// Moves the cursor up, as tqdm does behind a bar that is below others.
const UP: &[u8] = b"\x1b[A";

/// A line without a "cursor up" at its end, which would make the console's next line overwrite it.
fn before_moving_up(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_suffix(UP) {
        line = rest;
    }
    line
}

fn is_blank(line: &[u8]) -> bool {
    visible(line).trim().is_empty()
}

/// What is left on a terminal after `line`.
pub(crate) fn visible(line: &[u8]) -> String {
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

    /// Without any that becomes due.
    fn shown(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut splitter, now) = (Splitter::new(Duration::from_secs(1)), Instant::now());
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, now, |line| lines.push(line.to_vec()));
            assert!(splitter.unfinished.len() <= LONGEST);
        }
        splitter.finish(|line| lines.push(line.to_vec()));
        lines
    }

    fn check(bytes: &[u8], expect: &[usize]) {
        assert_eq!(shown(&[bytes]).iter().map(Vec::len).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn lines_are_cut_at_newlines_and_when_too_long() {
        check(b"", &[]);
        check(b"abc\n\nd", &[4, 1, 1]);
        check(&[b'x'; LONGEST], &[LONGEST]);
        check(&[&[b'x'; LONGEST][..], b"\n"].concat(), &[LONGEST + 1]);
        check(&[&[b'x'; LONGEST][..], b"x\n"].concat(), &[LONGEST, 2]);
        check(&[&[b'x'; LONGEST - 1][..], "é\n".as_bytes()].concat(), &[LONGEST - 1, 3]);
        check(&[0x80; LONGEST + 1], &[LONGEST, 1]);
    }

    /// Runs of one byte, so that lines get near and over the limit.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b'x'), Just(0x80), Just(0xC3), Just(0x1b)];
        let length = prop_oneof![1..4usize, LONGEST - 3..LONGEST + 3, 1..3 * LONGEST];
        let run = (byte, length).prop_map(|(byte, n)| match byte {
            b'\r' | b'\n' => vec![byte; n % 7],
            0x1b => UP.repeat(n % 3),
            _ => vec![byte; n],
        });
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
            if !bytes.contains(&b'\r') && !bytes.contains(&0x1b) {
                prop_assert_eq!(shown(&chunks).concat(), bytes);
            }
        }
    }

    /// What is shown of a stream that comes in pieces, each after the milliseconds at which it comes. The pause is 500 ms.
    fn check_timed(pieces: &[(u64, &str)], expect: &[&str]) {
        let (mut splitter, begin) = (Splitter::new(Duration::from_millis(500)), Instant::now());
        let mut shown = Vec::new();
        let mut put = |at: Instant, line: &[u8]| {
            let text = String::from_utf8_lossy(line);
            shown.push(format!("{} {}", (at - begin).as_millis(), text.trim_end_matches('\n')));
        };
        // Long enough for everything to become due.
        for &(at, piece) in pieces.iter().chain(&[(99_999, "")]) {
            let now = begin + Duration::from_millis(at);
            while let Some(due) = splitter.due().filter(|due| *due <= now) {
                splitter.show(due).into_iter().for_each(|line| put(due, &line));
            }
            splitter.feed(piece.as_bytes(), now, |line| put(now, line));
        }
        splitter.finish(|line| put(begin + Duration::from_millis(99_999), line));
        assert_eq!(shown, expect);
    }

    /// The bytes are those that tqdm 4.70 writes to a pipe for `for i in tqdm(range(N))`.
    #[test]
    fn a_progress_bar_is_shown_as_it_goes_on() {
        let updates: Vec<_> = (0..=20).map(|n| (n * 100, format!("\r{:3}%|     | {n}/20", n * 5))).collect();
        let end = [(2001, "\r100%|█████| 20/20"), (2002, "\n")];
        let fast: Vec<_> = updates.iter().map(|(at, piece)| (*at, piece.as_str())).chain(end).collect();
        check_timed(
            &fast,
            &[
                "500  15%|     | 3/20",
                "1000  40%|     | 8/20",
                "1500  65%|     | 13/20",
                "2000  90%|     | 18/20",
                "2002 100%|█████| 20/20",
            ],
        );
        let slow = [
            (0, "\r  0%|          | 0/2 [00:00<?, ?it/s]"),
            (3000, "\r 50%|█████     | 1/2 [00:03<00:03,  3.00s/it]"),
            (6000, "\r100%|██████████| 2/2 [00:06<00:00,  3.00s/it]"),
            (6001, "\r100%|██████████| 2/2 [00:06<00:00,  3.00s/it]"),
            (6002, "\n"),
        ];
        check_timed(
            &slow,
            &[
                "500   0%|          | 0/2 [00:00<?, ?it/s]",
                "3500  50%|█████     | 1/2 [00:03<00:03,  3.00s/it]",
                "6002 100%|██████████| 2/2 [00:06<00:00,  3.00s/it]",
            ],
        );
        // `tqdm.write("step 0")`, and a bar that `leave=False` erases.
        let erased = [
            (0, "\r  0%|          | 0/3 [00:00<?, ?it/s]"),
            (700, "\r                                     \rstep 0\n\r  0%|          | 0/3 [00:00<?, ?it/s]"),
            (701, "\r 33%|███▎      | 1/3 [00:00<00:00,  4.99it/s]"),
            (720, "\r                                             \r"),
        ];
        check_timed(
            &erased,
            &[
                "500   0%|          | 0/3 [00:00<?, ?it/s]",
                "700 step 0",
                "1200  33%|███▎      | 1/3 [00:00<00:00,  4.99it/s]",
            ],
        );
        let nested = [
            (0, "\repoch:   0%|          | 0/2 [00:00<?, ?it/s]\n\rstep:   0%|          | 0/2 [00:00<?, ?it/s]\x1b[A"),
            (150, "\n\rstep:  50%|█████     | 1/2 [00:00<00:00,  6.66it/s]\x1b[A"),
            (700, "\n\rstep: 100%|██████████| 2/2 [00:00<00:00,  6.65it/s]"),
            (701, "\x1b[A\n\r                                                   \x1b[A"),
            (702, "\repoch:  50%|█████     | 1/2 [00:00<00:00,  3.32it/s]\n"),
        ];
        check_timed(
            &nested,
            &[
                "0 epoch:   0%|          | 0/2 [00:00<?, ?it/s]",
                "500 step:   0%|          | 0/2 [00:00<?, ?it/s]",
                "1000 epoch:  50%|█████     | 1/2 [00:00<00:00,  3.32it/s]",
            ],
        );
    }

    /// The bytes are those that tqdm 4.70 writes for two bars that are open at once.
    #[test]
    fn several_bars_are_no_more_lines_than_one_and_text_between_them_is_not_lost() {
        let bars = |n: u64| format!("\rA {n}/20\n\rB {n}/20\x1b[A");
        let check = |at_300: &str, expect: &[&str]| {
            let mut updates: Vec<_> = (0..=5).map(|n| (n * 100, bars(n))).collect();
            updates[3].1 += at_300;
            updates.push((1100, "\rA 5/20\n\rB 5/20\n".to_owned()));
            let pieces: Vec<_> = updates.iter().map(|(at, piece)| (*at, piece.as_str())).collect();
            check_timed(&pieces, expect);
        };
        check("", &["0 A 0/20", "500 A 4/20", "1000 A 5/20", "1100 A 5/20", "1100 B 5/20"]);
        // `tqdm.write("hello")`, which erases the bars before.
        let written = "\r      \r\n\r      \r\x1b[Ahello\n\rA 3/20\n\rB 3/20\x1b[A";
        check(written, &["0 A 0/20", "300 hello", "300 A 3/20", "800 A 5/20", "1100 A 5/20", "1100 B 5/20"]);
        let printed = ["0 A 0/20", "300 hello", "300 more", "400 A 4/20", "900 A 5/20", "1100 A 5/20", "1100 B 5/20"];
        check("hello\nmore\n", &printed);
        check("hello\r\nmore\r\n", &printed);
        // Of three bars the one in the middle goes on next, after `print` and after `tqdm.write`.
        let three = "\rA 0\n\rB 0\x1b[A\n\n\rC 0\x1b[A\x1b[A";
        for between in ["hello\n", "\n\r   \r\x1b[A\n\n\r   \r\x1b[A\x1b[A\r   \rhello\n"] {
            check_timed(&[(0, three), (1, between), (2, "\n\rB 1\x1b[A")], &["0 A 0", "0 B 0", "1 hello", "502 B 1"]);
        }
        check_timed(&[(0, "one\x1b[A"), (1, "two\n\x1b[Athree\n\n")], &["1 one", "1 two", "1 three", "1 "]);
    }

    #[test]
    fn what_no_newline_ends_is_shown_when_it_is_due() {
        // A prompt, whose line is shown whole when its answer ends it.
        check_timed(&[(0, "one\nContinue? "), (700, "yes\n")], &["0 one", "500 Continue? ", "700 Continue? yes"]);
        check_timed(&[(0, "Continue? "), (700, "\nnext\n")], &["500 Continue? ", "700 next"]);
        check_timed(&[(0, "Continue? ")], &["500 Continue? "]);
        // Each line has its own time.
        check_timed(&[(0, "a"), (400, "\nb"), (800, "\nc"), (1200, "\n")], &["400 a", "800 b", "1200 c"]);
        let dots = [(0, "."), (1000, "."), (2000, "."), (3000, "."), (4000, "."), (5000, "."), (6000, "\n")];
        check_timed(&dots, &["500 .", "2000 ..", "4000 ....", "6000 ......"]);
        check_timed(&[(0, "1%\r"), (100, "2%\r"), (900, "3%\r"), (2000, "\n\n")], &["500 2%", "1400 3%", "2000 "]);
        check_timed(&[(0, "1%\r2%\rlast")], &["500 2%", "1000 last"]);
        // Windows line ends are line ends, and what nobody would see is not shown.
        check_timed(&[(0, "dos\r\n\r"), (1, "\nline\r"), (2, "\n")], &["0 dos", "1 ", "2 line"]);
        check_timed(&[(0, "\x1b[2K\r  \r\x1b[1m\r")], &[]);
    }
}
