//! Changes as byte ranges of the text before them: what no range covers can't change.

use std::ops::Range;

/// Bytes `range` of the old text are replaced by `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// What is taken away; empty for an insertion.
    pub range: Range<usize>,
    /// What comes in its place.
    pub text: Vec<u8>,
}

impl Splice {
    /// Puts `text` in at `offset`.
    pub fn insert(offset: usize, text: impl Into<Vec<u8>>) -> Splice {
        Splice { range: offset..offset, text: text.into() }
    }
}

/// `old` with all of `splices`, which are in order and do not overlap.
pub fn apply(old: &[u8], splices: &[Splice]) -> Vec<u8> {
    let mut new = Vec::with_capacity(old.len() + splices.iter().map(|splice| splice.text.len()).sum::<usize>());
    let mut kept = 0;
    for splice in splices {
        new.extend_from_slice(&old[kept..splice.range.start]);
        new.extend_from_slice(&splice.text);
        kept = splice.range.end;
    }
    new.extend_from_slice(&old[kept..]);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_range_covers_stays() {
        let splices = [
            Splice::insert(0, "<"),
            Splice { range: 1..3, text: b"-".to_vec() },
            Splice { range: 3..4, text: Vec::new() },
            Splice::insert(6, ">"),
        ];
        assert_eq!(apply(b"abcdef", &splices), b"<a-ef>");
        assert_eq!(apply(b"abcdef", &[]), b"abcdef");
    }
}
