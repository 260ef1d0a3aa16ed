//! Which files of a layer that would be too large go into which of its parts.

use std::ops::Range;

/// Tar header and padding of a file, about.
const OVERHEAD: u64 = 1024;

/// Splits files of these compressed sizes in bytes, in their order, into parts of at most `limit` bytes; a larger file
/// has a part to itself. At least one part, which is empty where there are no files.
///
/// Two neighbours are more than `limit` together, so that files of `n` bytes in all, with a KiB for the header of each,
/// make `2 * n / limit + 1` parts at most.
pub fn split(sizes: impl IntoIterator<Item = u64>, limit: u64) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut begin, mut end, mut size) = (0, 0, 0_u64);
    for bytes in sizes {
        let bytes = bytes.saturating_add(OVERHEAD);
        if size > 0 && size.saturating_add(bytes) > limit {
            parts.push(begin..end);
            (begin, size) = (end, 0);
        }
        size = size.saturating_add(bytes);
        end += 1;
    }
    parts.push(begin..end);
    parts
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn files_are_put_together_as_long_as_they_fit() {
        let parts = |sizes: &[u64], limit| -> Vec<(usize, usize)> {
            split(sizes.iter().copied(), limit).into_iter().map(|part| (part.start, part.end)).collect()
        };
        assert_eq!(parts(&[], 10_000), [(0, 0)]);
        assert_eq!(parts(&[1000, 2000, 3000, 1], 11_000), [(0, 4)]);
        assert_eq!(parts(&[4000, 4000, 4000], 10_048), [(0, 2), (2, 3)]);
        assert_eq!(parts(&[4000, 4000, 4000], 10_047), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(parts(&[10, 50_000, 10], 10_000), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(parts(&[u64::MAX, u64::MAX], 5), [(0, 1), (1, 2)]);
    }
}
