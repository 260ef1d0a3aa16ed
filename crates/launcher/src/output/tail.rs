//! The end of a rank's output: its last lines, and before them the last traceback of Python where that began earlier. What
//! lies between them is counted.
//!
//! What is kept is bounded, however much a rank writes: 32 KiB for the lines, and 64 KiB more while there is a traceback.

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::lines::visible;

/// Lines that a report shows.
pub const LINES: usize = 50;

/// Bytes of a [`Tail`] that are surely kept; between one and two times that many are.
const KEPT: usize = 16 * 1024;

/// Bytes that are kept from the beginning of a traceback on. One of 1,000 frames has more; most have a tenth.
const HEAD: usize = 64 * 1024;

/// Lines that are shown below the one of a traceback's last frame: its source, marks below that, and the exception, whose
/// message may have several and does not tell where it ends.
const BELOW_FRAME: usize = 25;

/// Bytes of output after which a traceback is no longer taken for what ended the rank.
const REACH: u64 = 1024 * 1024;

/// Bytes before a traceback in which it is looked for what it belongs to.
const CONTEXT: usize = 1024;

/// How tracebacks begin, behind whatever their lines are prefixed with: PyTorch has `[rank0]: `.
const BEGINNING: &[u8] = b"Traceback (most recent call last):";

/// What stands between the tracebacks of one exception.
const CHAINS: [&[u8]; 2] = [b"During handling of the above exception", b"The above exception was the direct cause"];

#[derive(Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// The first line may lack its start.
    cut: bool,
    traceback: Option<Traceback>,
}

/// The output from the beginning of the last traceback on.
#[derive(Default)]
struct Traceback {
    /// Its first bytes, [`HEAD`] at most.
    head: Vec<u8>,
    bytes: u64,
    newlines: u64,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self.last_traceback(bytes) {
            Some(traceback) => self.traceback = Some(traceback),
            None => self.traceback.iter_mut().for_each(|it| it.push(bytes)),
        }
        self.traceback.take_if(|it| it.bytes > REACH);
        let last = &bytes[bytes.len().saturating_sub(KEPT)..];
        let kept = if last.len() < bytes.len() { 0 } else { self.bytes.len().min(KEPT) };
        if last.len() < bytes.len() || self.bytes.len() + last.len() > 2 * KEPT {
            self.cut = true;
            self.bytes.drain(..self.bytes.len() - kept);
        }
        self.bytes.extend_from_slice(last);
    }

    /// The last traceback that begins in `bytes`, or with the end of what came before, and goes on to their end.
    fn last_traceback(&self, bytes: &[u8]) -> Option<Traceback> {
        let before = &self.bytes[self.bytes.len().saturating_sub(CONTEXT)..];
        let end = &before[before.len().saturating_sub(BEGINNING.len() - 1)..];
        let seam = [end, &bytes[..bytes.len().min(BEGINNING.len() - 1)]].concat();
        if memmem::find(&seam, BEGINNING).is_none() && memmem::find(bytes, BEGINNING).is_none() {
            return None;
        }
        let text = [before, bytes].concat();
        let (mut last, mut is_open) = (None, self.traceback.is_some());
        // Those that were there before have been seen.
        for at in memmem::find_iter(&text, BEGINNING).filter(|at| at + BEGINNING.len() > before.len()) {
            let line = memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
            if !is_open || !goes_on(&text[..line], &text[line..at]) {
                last = Some(line);
            }
            is_open = true;
        }
        let mut traceback = Traceback::default();
        traceback.push(&text[last?..]);
        Some(traceback)
    }

    /// At most 50 lines, oldest first, as a terminal would show them: of a progress bar the last state, no control
    /// characters but tabs, what is not UTF-8 replaced. Before them the last traceback where that began earlier, and a line
    /// that tells how many between the two, or of a traceback that is longer than what is kept, are left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let last = self.last_lines();
        let Some(Traceback { head, bytes, newlines }) = &self.traceback else { return shown(last) };
        let between = bytes.saturating_sub(last.len() as u64);
        let kept = with_last_frame(head);
        if between <= kept.len() as u64 {
            return shown(&[&kept[..between as usize], last].concat());
        }
        let head = &kept[..memrchr(b'\n', kept).map_or(kept.len(), |newline| newline + 1)];
        let count = |bytes| memchr_iter(b'\n', bytes).count() as u64;
        let left_out = newlines.saturating_sub(count(head) + count(last));
        let note = match left_out {
            1 => "[… 1 line is left out here, the log has it]".to_owned(),
            _ => format!("[… {left_out} lines are left out here, the log has them]"),
        };
        shown(head).into_iter().chain([note]).chain(shown(last)).collect()
    }

    /// The bytes of the last 50 lines.
    fn last_lines(&self) -> &[u8] {
        let text = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let starts = || memchr_iter(b'\n', text).map(|newline| newline + 1);
        let (lines, first) = (starts().count() + 1, starts().next());
        // A line without its start is better than nothing.
        let begin = if lines > LINES { starts().nth(lines - LINES - 1) } else { first.filter(|_| self.cut) };
        &self.bytes[begin.unwrap_or(0)..]
    }
}

impl Traceback {
    fn push(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD - self.head.len())]);
        self.bytes += bytes.len() as u64;
        self.newlines += memchr_iter(b'\n', bytes).count() as u64;
    }
}

/// The beginning of a traceback, to the lines that belong to its last frame.
fn with_last_frame(head: &[u8]) -> &[u8] {
    let is_frame = |at: &usize| {
        let line = &head[*at..];
        let end = memchr(b'\n', line).unwrap_or(line.len());
        memmem::find(&line[..end], b", line ").is_some()
    };
    let frame = memmem::rfind_iter(head, b"File \"").find(is_frame).unwrap_or(0);
    let end = memchr_iter(b'\n', &head[frame..]).nth(BELOW_FRAME);
    end.map_or(head, |newline| &head[..frame + newline + 1])
}

/// Whether a traceback behind `prefix` belongs to the one before it, which `earlier` ends with: it is chained to it, part
/// of an exception group, or quoted in its message, as PyTorch does with that of a data worker.
fn goes_on(earlier: &[u8], prefix: &[u8]) -> bool {
    let is_chained = |line: &[u8]| CHAINS.iter().any(|phrase| memmem::find(line, phrase).is_some());
    // The last of them is the empty one behind the last newline, the one before is blank.
    earlier.rsplit(|byte| *byte == b'\n').take(4).any(is_chained)
        || prefix.trim_ascii_start().starts_with(b"|")
        || prefix.ends_with(b"Original ")
}

/// Lines as a terminal shows them.
fn shown(bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.push(chunk));
        assert!(tail.bytes.len() <= 2 * KEPT);
        assert!(tail.traceback.as_ref().is_none_or(|it| it.head.len() <= HEAD));
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

    /// Of so many frames, with a message of so many lines.
    fn traceback(name: &str, frames: usize, message: usize) -> String {
        let frame = |n| format!("  File \"{name}.py\", line {n}, in {name}\n    step({n})\n");
        let frames: String = (0..frames).map(frame).collect();
        let message: String = (0..message).map(|n| format!("{name} {n}\n")).collect();
        format!("Traceback (most recent call last):\n{frames}RuntimeError: {name}\n{message}")
    }

    /// The lines from the text `begin` on are shown, however the output is chunked.
    fn check(output: &str, begin: &str) {
        let expect: Vec<&str> = output[output.rfind(begin).unwrap()..].lines().collect();
        for chunk in [1, 7, 33, 1000, KEPT + 1, 65_536] {
            let chunks: Vec<&[u8]> = output.as_bytes().chunks(chunk).collect();
            assert_eq!(last_lines(&chunks), expect, "by {chunk}");
        }
    }

    #[test]
    fn the_last_traceback_is_whole() {
        let steps: String = (0..900).map(|n| format!("step {n}\n")).collect();
        // Longer than the lines, and longer than the bytes that are kept of them.
        for frames in [40, 800] {
            check(&format!("{steps}{}", traceback("own", frames, 3)), "Traceback");
            check(&format!("{}{steps}{}", traceback("caught", 2, 1), traceback("own", frames, 0)), "Traceback");
        }
        // One that is shorter changes nothing.
        check(&format!("{steps}{}", traceback("own", 5, 0)), "step 862");
        // PyTorch prefixes each line.
        let torch = traceback("own", 40, 0).replace('\n', "\n[rank0]: ");
        check(&format!("{steps}[rank0]: {}", torch.strip_suffix("[rank0]: ").unwrap()), "[rank0]: Traceback");
    }

    /// Noise of other threads, say, while the rank ends.
    #[test]
    fn of_what_comes_after_a_traceback_the_last_lines_are_shown() {
        let traceback = traceback("own", 40, 3);
        for (noise, left_out) in [(60, None), (70, None), (72, Some(2)), (5000, Some(4930))] {
            let output = format!("old\n{traceback}{}", "noise\n".repeat(noise));
            // Below the last frame are its source, the exception and three lines of its message.
            let (shown, most) = (traceback.lines().count() + BELOW_FRAME - 5, LINES);
            for chunk in [7, 1000, 65_536] {
                let lines = last_lines(&output.as_bytes().chunks(chunk).collect::<Vec<_>>());
                assert_eq!(
                    (lines[0].as_str(), lines[1].contains("line 0,")),
                    ("Traceback (most recent call last):", true)
                );
                let note = lines.iter().position(|line| line.starts_with("[…"));
                let expected = left_out.map(|it| format!("[… {it} lines are left out here, the log has them]"));
                assert_eq!(note.map(|at| lines[at].clone()), expected, "{noise}");
                let all = left_out.map_or(traceback.lines().count() + noise, |_| shown + 1 + most);
                assert_eq!((lines.len(), note.unwrap_or(shown)), (all, shown), "{noise}");
            }
        }
    }

    #[test]
    fn what_belongs_to_a_traceback_comes_with_it() {
        let (first, second) = (traceback("first", 30, 2), traceback("second", 30, 0));
        for between in [
            "\nDuring handling of the above exception, another exception occurred:\n\n",
            "\nThe above exception was the direct cause of the following exception:\n\n",
            // A message that quotes another, and the parts of an exception group.
            "Original ",
            "  +-+---------------- 1 ----------------\n    | ",
        ] {
            check(
                &format!("old\n{first}{between}{second}end\n"),
                "Traceback (most recent call last):\n  File \"first.py\", line 0,",
            );
        }
        check(&format!("{first}step\n{second}end\n"), "Traceback");
        // The first of a group.
        check(&format!("{first}\n  + Exception Group {second}end\n"), "  + Exception Group ");
    }

    #[test]
    fn a_traceback_that_is_too_long_has_its_head_and_its_end() {
        let output = format!("old\n{}", traceback("own", 3000, 0)).into_bytes();
        for chunk in [64, 10_000, 65_536] {
            let lines = last_lines(&output.chunks(chunk).collect::<Vec<_>>());
            let note = lines.iter().position(|line| line.starts_with("[…")).expect("a note");
            assert_eq!((lines[0].as_str(), lines.len() - note - 1), ("Traceback (most recent call last):", LINES));
            assert_eq!(lines.last().unwrap(), "RuntimeError: own");
            let left_out: usize = lines[note].split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(note + left_out + LINES, 2 + 2 * 3000, "{}", lines[note]);
        }
    }

    #[test]
    fn a_traceback_of_long_ago_is_forgotten() {
        let output = format!("{}{}", traceback("caught", 100, 0), "x\n".repeat(REACH as usize / 2));
        let mut tail = Tail::default();
        output.as_bytes().chunks(4096).for_each(|chunk| tail.push(chunk));
        assert!(tail.traceback.is_none());
        assert_eq!(tail.lines(), ["x"; LINES]);
    }
}
