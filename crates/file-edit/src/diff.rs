//! A unified diff, made from the changes themselves.

use std::{
    ops::Range,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path},
};

use crate::splice::{Splice, apply};

/// Lines that stand around a change.
const CONTEXT: usize = 3;

/// The unified diff from `old` to `old` with `splices`, in bytes as they are in the file, as `patch -p0` takes it; empty
/// when there are no changes. `name` is that of both files: see [`name_in_diff`].
///
/// `splices` are in order and apart from each other.
pub fn unified_diff(name: &[u8], old: &[u8], splices: &[Splice]) -> Vec<u8> {
    let changes = changes(old, splices);
    if changes.is_empty() {
        return Vec::new();
    }
    // A name ends at the first blank unless a tab follows.
    let end: &[u8] = if name.contains(&b' ') { b"\t\n" } else { b"\n" };
    let mut diff = [b"--- ", name, end, b"+++ ", name, end].concat();
    let lines: Vec<&[u8]> = lines(old).collect();
    let mut shift = 0;
    for hunk in changes.chunk_by(|one, next| next.start <= one.end + 2 * CONTEXT) {
        write_hunk(&mut diff, &lines, hunk, &mut shift);
    }
    diff
}

/// How a diff names the file at `path`, whose place without symbolic links is `target`, so that `patch -p0` finds it:
/// `path` itself where it is below the current folder and no link, else `target` from the root, for `patch -p0 -d /`.
/// `patch` refuses absolute names and names with `..`.
pub fn name_in_diff(path: &Path, target: &Path) -> Vec<u8> {
    let below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let name = if below && !path.is_symlink() { path } else { target.strip_prefix("/").unwrap_or(target) };
    let bytes = name.as_os_str().as_bytes();
    if bytes.iter().all(|byte| !byte.is_ascii_control() && !matches!(byte, b'"' | b'\\')) {
        return bytes.to_vec();
    }
    // GNU's quoting, which `patch` reads.
    let mut quoted = vec![b'"'];
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', byte]),
            _ if byte.is_ascii_control() => quoted.extend(format!("\\{byte:03o}").bytes()),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    quoted
}

/// Whole lines, counted from 0, and the bytes that replace them.
struct Change {
    start: usize,
    end: usize,
    new: Vec<u8>,
}

/// Lines as `patch` knows them: only LF ends one.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n')
}

/// The changes in whole lines; splices that share lines become one.
fn changes(old: &[u8], splices: &[Splice]) -> Vec<Change> {
    let ends = lines(old).scan(0, |end, line| {
        *end += line.len();
        Some(*end)
    });
    // Where each line begins; the last one is where the next would.
    let starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
    // Behind a line without an end there is no other.
    let most = starts.len() - 1 - usize::from(old.last().is_some_and(|byte| *byte != b'\n'));
    let touched = |splice: &Splice| {
        let first = (starts.partition_point(|start| *start <= splice.range.start) - 1).min(most);
        let last = starts.partition_point(|start| *start < splice.range.end).max(first + 1);
        first..last.min(starts.len() - 1)
    };
    let mut groups: Vec<(Range<usize>, Vec<Splice>)> = Vec::new();
    for splice in splices {
        let range = touched(splice);
        match groups.last_mut() {
            Some((group, members)) if range.start < group.end || range.start == group.start => {
                group.end = group.end.max(range.end);
                members.push(splice.clone());
            }
            _ => groups.push((range, vec![splice.clone()])),
        }
    }
    let changed = groups.into_iter().map(|(range, mut members)| {
        let offset = starts[range.start];
        for splice in &mut members {
            splice.range = splice.range.start - offset..splice.range.end - offset;
        }
        let old = &old[offset..starts[range.end]];
        changed_lines(range.start, old, &apply(old, &members))
    });
    changed.filter(|change| change.start < change.end || !change.new.is_empty()).collect()
}

/// The change without the lines at its ends that stay: what is put behind a line touches that line, and leaves it.
fn changed_lines(start: usize, old: &[u8], new: &[u8]) -> Change {
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) = (lines(old).collect(), lines(new).collect());
    let before = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[before..], &new[before..]);
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let start = start + before;
    Change { start, end: start + old.len() - after, new: new[..new.len() - after].concat() }
}

fn write_hunk(diff: &mut Vec<u8>, old: &[&[u8]], changes: &[Change], shift: &mut isize) {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return };
    let start = first.start.saturating_sub(CONTEXT);
    let end = (last.end + CONTEXT).min(old.len());
    let mut body = Vec::new();
    let (mut at, mut new_count) = (start, end - start);
    for change in changes {
        old[at..change.start].iter().for_each(|line| write_line(&mut body, b' ', line));
        old[change.start..change.end].iter().for_each(|line| write_line(&mut body, b'-', line));
        lines(&change.new).for_each(|line| write_line(&mut body, b'+', line));
        new_count = new_count + lines(&change.new).count() - (change.end - change.start);
        at = change.end;
    }
    old[at..end].iter().for_each(|line| write_line(&mut body, b' ', line));
    let old_count = end - start;
    // The line before, by the rule of the format, where a side has none.
    let number = |count: usize, start: usize| if count == 0 { start } else { start + 1 };
    let (old_number, new_number) = (number(old_count, start), number(new_count, start.saturating_add_signed(*shift)));
    diff.extend_from_slice(format!("@@ -{old_number},{old_count} +{new_number},{new_count} @@\n").as_bytes());
    diff.append(&mut body);
    *shift += new_count.cast_signed() - old_count.cast_signed();
}

fn write_line(diff: &mut Vec<u8>, mark: u8, line: &[u8]) {
    diff.push(mark);
    diff.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        diff.extend_from_slice(b"\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, splices: &[(usize, usize, &str)], expected: &str) {
        let splices: Vec<Splice> = splices
            .iter()
            .map(|(start, end, text)| Splice { range: *start..*end, text: text.as_bytes().to_vec() })
            .collect();
        let diff = unified_diff(b"f", old.as_bytes(), &splices);
        assert_eq!(String::from_utf8(diff).unwrap(), expected, "{old:?}");
    }

    #[test]
    fn hunks() {
        check("a\n", &[], "");
        check("a\nb\n", &[(2, 2, "x\n")], "--- f\n+++ f\n@@ -1,2 +1,3 @@\n a\n+x\n b\n");
        check("a\nbc\n", &[(3, 3, "x")], "--- f\n+++ f\n@@ -1,2 +1,2 @@\n a\n-bc\n+bxc\n");
        check("", &[(0, 0, "x\n")], "--- f\n+++ f\n@@ -0,0 +1,1 @@\n+x\n");
        // Two changes of one line; a line ending that is no LF; text without a final one.
        check(
            "abc\r",
            &[(0, 1, "1"), (2, 3, "3")],
            concat!(
                "--- f\n+++ f\n@@ -1,1 +1,1 @@\n-abc\r\n\\ No newline at end of file\n",
                "+1b3\r\n\\ No newline at end of file\n"
            ),
        );
    }

    /// A key appended to a mapping was put behind the value before it, whose line was shown as taken out and put in.
    #[test]
    fn a_line_that_stays_is_not_shown_as_changed() {
        check("a\nb\nc\n", &[(3, 3, "\nx")], "--- f\n+++ f\n@@ -1,3 +1,4 @@\n a\n b\n+x\n c\n");
        check("a\nb\n", &[(3, 3, "\nx")], "--- f\n+++ f\n@@ -1,2 +1,3 @@\n a\n b\n+x\n");
        check("a\nb\nc\n", &[(0, 6, "a\nx\nc\n")], "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        check("a\nb\n", &[(2, 3, "b")], "");
        // Without a last LF the line changes: it gets one.
        check("a", &[(1, 1, "\nx\n")], "--- f\n+++ f\n@@ -1,1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+x\n");
    }

    #[test]
    fn far_changes_are_hunks_of_their_own() {
        let old: String = (1..=20).map(|line| format!("{line:02}\n")).collect();
        check(
            &old,
            &[(0, 0, "x\n"), (12, 14, "x5"), (54, 56, "x9")],
            concat!(
                "--- f\n+++ f\n@@ -1,8 +1,9 @@\n+x\n 01\n 02\n 03\n 04\n-05\n+x5\n 06\n 07\n 08\n",
                "@@ -16,5 +17,5 @@\n 16\n 17\n 18\n-19\n+x9\n 20\n"
            ),
        );
    }

    #[test]
    fn names_that_patch_takes() {
        let name = |path: &str| String::from_utf8(name_in_diff(Path::new(path), Path::new("/opt/x y/fmk.py"))).unwrap();
        assert_eq!(name("ascend910/fmk.py"), "ascend910/fmk.py");
        assert_eq!(name("../fmk.py"), "opt/x y/fmk.py");
        assert_eq!(name("/home/fmk.py"), "opt/x y/fmk.py");
        assert_eq!(name("a\n\"b\"/fmk.py"), r#""a\012\"b\"/fmk.py""#);
    }
    /// Applies a unified diff as `patch` does, but with no tolerance: each line must be where the diff says.
    fn apply_diff(old: &[u8], diff: &[u8]) -> Vec<u8> {
        let old: Vec<&[u8]> = old.split_inclusive(|&byte| byte == b'\n').collect();
        let mut diff = diff.split_inclusive(|&byte| byte == b'\n').skip(2).peekable();
        let (mut new, mut made, mut at) = (Vec::new(), 0, 0);
        while let Some(header) = diff.next() {
            let header = std::str::from_utf8(header).unwrap();
            let numbers = header.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
            let [old_start, old_count, new_start, new_count] = numbers.collect::<Vec<usize>>()[..] else { panic!() };
            let start = if old_count == 0 { old_start } else { old_start - 1 };
            new.extend(old[at..start].concat());
            (made, at) = (made + start - at, start);
            assert_eq!(made, if new_count == 0 { new_start } else { new_start - 1 }, "{header}");
            let end = made + new_count;
            while let Some(line) = diff.next_if(|line| !line.starts_with(b"@@")) {
                let no_newline = diff.next_if(|next| next.starts_with(b"\\ No newline")).is_some();
                let text = &line[1..line.len() - usize::from(no_newline)];
                if line[0] != b'+' {
                    assert_eq!(old[at], text, "{header}");
                    at += 1;
                }
                if line[0] != b'-' {
                    new.extend_from_slice(text);
                    made += 1;
                }
            }
            assert_eq!((at, made), (start + old_count, end), "{header}");
        }
        new.extend(old[at..].concat());
        new
    }

    #[test]
    fn the_diff_makes_what_the_splices_make() {
        let lines = ["a\n", "b\r\n", "c\r", "\n", "d"];
        let texts = (0..lines.len().pow(3)).map(|n| [lines[n % 5], lines[n / 5 % 5], lines[n / 25]].concat());
        for old in texts.flat_map(|text| [text.clone(), format!("{text}{}{text}", "x\n".repeat(8))]) {
            let old = old.as_bytes();
            for new in ["", "y", "y\n", "y\r\nz\n"] {
                for start in 0..old.len() - 1 {
                    let splices =
                        [Splice { range: start..start + 1, text: new.into() }, Splice::insert(old.len() - 1, new)];
                    let made = apply_diff(old, &unified_diff(b"f", old, &splices));
                    assert_eq!(made, apply(old, &splices), "{old:?} {splices:?}");
                }
            }
        }
    }
}
