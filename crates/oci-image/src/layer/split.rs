//! Which files of a layer that would be too large go into which of its pieces.

use std::ops::Range;

/// Tar header and padding of a file, about.
const OVERHEAD: u64 = 1024;

/// Splits files of these compressed sizes in bytes, in their order, into pieces of at most `limit` bytes; a larger file
/// has a piece to itself. At least one piece, which is empty where there are no files.
///
/// Two neighbours are more than `limit` together, so that files of `n` bytes in all, with a KiB for the header of each,
/// make `2 * n / limit + 1` pieces at most.
pub fn split(sizes: impl IntoIterator<Item = u64>, limit: u64) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut begin, mut end, mut size) = (0, 0, 0_u64);
    for bytes in sizes {
        let bytes = bytes.saturating_add(OVERHEAD);
        if size > 0 && size.saturating_add(bytes) > limit {
            pieces.push(begin..end);
            (begin, size) = (end, 0);
        }
        size = size.saturating_add(bytes);
        end += 1;
    }
    pieces.push(begin..end);
    pieces
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn files_are_put_together_as_long_as_they_fit() {
        let pieces = |sizes: &[u64], limit| -> Vec<(usize, usize)> {
            split(sizes.iter().copied(), limit).into_iter().map(|piece| (piece.start, piece.end)).collect()
        };
        assert_eq!(pieces(&[], 10_000), [(0, 0)]);
        assert_eq!(pieces(&[1000, 2000, 3000, 1], 11_000), [(0, 4)]);
        assert_eq!(pieces(&[4000, 4000, 4000], 10_048), [(0, 2), (2, 3)]);
        assert_eq!(pieces(&[4000, 4000, 4000], 10_047), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(pieces(&[10, 50_000, 10], 10_000), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(pieces(&[u64::MAX, u64::MAX], 5), [(0, 1), (1, 2)]);
    }
}
