//! Looking for a few bytes in a file that streams by.

use std::io::{self, Read};

use memchr::memmem::Finder;

use crate::checked::read_full;

/// Bytes behind the ones that are looked for which are wanted too.
const BEHIND: usize = 32;
/// Bytes looked through at a time.
const WINDOW: usize = 64 * 1024;

/// Reads until `read` makes something of the bytes behind `needle`: at least 32, unless the file ends before.
pub(super) fn find_after<T>(
    needle: &[u8],
    source: &mut dyn Read,
    read: fn(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let finder = Finder::new(needle);
    let overlap = needle.len() + BEHIND;
    let mut window = vec![0; WINDOW];
    let mut kept = 0;
    loop {
        let filled = kept + read_full(source, &mut window[kept..])?;
        let seen = &window[..filled];
        for at in finder.find_iter(seen) {
            let behind = &seen[at + needle.len()..];
            // Too near the end of the window, it comes again in the next.
            if behind.len() < BEHIND && filled == WINDOW {
                break;
            }
            if let Some(found) = read(behind) {
                return Ok(Some(found));
            }
        }
        if filled < WINDOW {
            return Ok(None);
        }
        kept = overlap;
        window.copy_within(WINDOW - overlap.., 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_wherever_the_windows_end() {
        fn number(text: &[u8]) -> Option<u8> {
            text.first().copied().filter(u8::is_ascii_digit)
        }
        for before in (0..3).chain(WINDOW - 60..WINDOW + 20).chain([3 * WINDOW + 5]) {
            let file = [&vec![b'x'; before][..], b"needle ", &[b'y'; 100], b"needle 7", &[b'z'; 10]].concat();
            assert_eq!(find_after(b"needle ", &mut &file[..], number).unwrap(), Some(b'7'), "{before}");
        }
    }
}
