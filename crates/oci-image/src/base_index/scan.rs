//! Looking for a few bytes in a file that streams by.

use std::io::{self, Read};

use memchr::memmem::Finder;

/// Bytes behind the ones that are looked for which are wanted too.
const BEHIND: usize = 32;
/// Bytes looked through at a time.
const WINDOW: usize = 64 * 1024;

/// Looks for some bytes.
pub(super) struct Scanner<'n> {
    finder: Finder<'n>,
}

impl<'n> Scanner<'n> {
    pub fn new(needle: &'n [u8]) -> Self {
        Self { finder: Finder::new(needle) }
    }

    /// Reads until `read` makes something of the bytes behind the ones that are looked for: at least 32, unless the
    /// file ends before.
    pub fn find<T>(&self, source: &mut dyn Read, read: fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
        let overlap = self.finder.needle().len() + BEHIND;
        let mut window = vec![0; WINDOW];
        let mut kept = 0;
        loop {
            let mut filled = kept;
            while filled < WINDOW {
                match source.read(&mut window[filled..]) {
                    Ok(0) => break,
                    Ok(length) => filled += length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            let seen = &window[..filled];
            for at in self.finder.find_iter(seen) {
                let behind = &seen[at + self.finder.needle().len()..];
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
}

/// ELF's number of the machine: 183 is aarch64, 62 x86-64 (ELF header, `e_machine`). None where it is no ELF file.
pub(super) fn elf_machine(start: &[u8]) -> Option<u16> {
    let header = start.get(..20).filter(|header| header.starts_with(b"\x7fELF"))?;
    let bytes = [header[18], header[19]];
    Some(if header[5] == 2 { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

/// `(3, 9)` of `python3.9`.
pub(super) fn python_version_of(name: &str) -> Option<(u32, u32)> {
    let (major, minor) = name.strip_prefix("python")?.split_once('.')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(major)?, number(minor)?))
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
            assert_eq!(Scanner::new(b"needle ").find(&mut &file[..], number).unwrap(), Some(b'7'), "{before}");
        }
    }
}
