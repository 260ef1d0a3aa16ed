//! Physical lines as Python counts them: ended by LF, CR LF or a lone CR.

/// Length of the line ending that `bytes` starts with; 0 where there is none.
fn ending_length(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// The lines of `bytes`, each with its ending; the last may have none.
pub fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let body = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, after) = rest.split_at(body + ending_length(&rest[body..]));
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

/// Where each line starts; the first is 0, and the last may be the end of `bytes`.
pub fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut end = 0;
    for line in split(bytes) {
        end += line.len();
        if line.ends_with(b"\n") || line.ends_with(b"\r") {
            starts.push(end);
        }
    }
    starts
}

/// The number, from 1, of the line that `offset` lies on.
pub fn line_at(bytes: &[u8], offset: usize) -> usize {
    starts(bytes).partition_point(|&start| start <= offset)
}

/// The offset at which the line of `offset` starts.
pub fn start_of_line(bytes: &[u8], offset: usize) -> usize {
    bytes[..offset].iter().rposition(|byte| matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1)
}

/// The ending of the line that `offset` lies on; empty where the text ends before one.
pub fn ending_of_line(bytes: &[u8], offset: usize) -> &[u8] {
    let rest = &bytes[offset..];
    let body = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
    let ending = &rest[body..];
    &ending[..ending_length(ending)]
}

/// The ending of the line before the one that starts at `start`; LF where that is the first.
pub fn ending_before(bytes: &[u8], start: usize) -> &'static [u8] {
    match &bytes[..start] {
        [.., b'\r', b'\n'] => b"\r\n",
        [.., b'\r'] => b"\r",
        _ => b"\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_endings_end_a_line() {
        let text = b"a\r\nb\rc\n\nd";
        assert_eq!(split(text).collect::<Vec<_>>(), [&b"a\r\n"[..], b"b\r", b"c\n", b"\n", b"d"]);
        assert_eq!((0..=9).map(|at| line_at(text, at)).collect::<Vec<_>>(), [1, 1, 1, 2, 2, 3, 3, 4, 5, 5]);
        assert_eq!([0, 3, 5, 7, 8].map(|at| ending_of_line(text, at)), [&b"\r\n"[..], b"\r", b"\n", b"\n", b""]);
        assert_eq!([0, 1, 3, 4, 8].map(|at| start_of_line(text, at)), [0, 0, 3, 3, 8]);
        assert_eq!([0, 3, 5, 7, 8].map(|at| ending_before(text, at)), [&b"\n"[..], b"\r\n", b"\r", b"\n", b"\n"]);
    }
}
