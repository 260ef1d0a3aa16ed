//! The 512 bytes that begin an entry of a tar archive (POSIX ustar, with GNU's and the old V7 form).

use crate::Attr;

/// Bytes of a header; contents are padded to whole ones.
pub(crate) const BLOCK: usize = 512;

/// A header, fields taken out of it on demand.
pub(crate) struct Header<'a>(pub &'a [u8; BLOCK]);

impl Header<'_> {
    /// Whether all bytes are zero: two such blocks end an archive.
    pub fn is_end(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// Whether the checksum holds, as the sum of unsigned bytes or, in very old archives, of signed ones.
    pub fn is_intact(&self) -> bool {
        let Some(said) = octal(&self.0[148..156]) else {
            return false;
        };
        // The field itself counts as blanks.
        let others = || self.0[..148].iter().chain(&self.0[156..]);
        let unsigned: u64 = others().map(|&byte| u64::from(byte)).sum::<u64>() + 8 * 32;
        let signed: i64 = others().map(|&byte| i64::from(byte as i8)).sum::<i64>() + 8 * 32;
        said == unsigned || i64::try_from(said) == Ok(signed)
    }

    /// What kind of entry it begins.
    pub fn flag(&self) -> u8 {
        self.0[156]
    }

    /// Length of the contents in bytes.
    pub fn size(&self) -> Option<u64> {
        let field = &self.0[124..136];
        if field[0] == 0xff { None } else { number(field) }
    }

    /// The name, in bytes.
    pub fn path(&self) -> Vec<u8> {
        let name = text(&self.0[0..100]);
        // GNU's archives have other things where POSIX's have the prefix.
        let prefix = if &self.0[257..263] == b"ustar\0" { text(&self.0[345..500]) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// What a link leads to, in bytes.
    pub fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    /// Owner, mode and time. A time before 1970 counts as 1970.
    pub fn attr(&self) -> Option<Attr> {
        Some(Attr {
            mode: (number(&self.0[100..108])? & 0o7777) as u32,
            uid: number(&self.0[108..116])?,
            gid: number(&self.0[116..124])?,
            mtime: number(&self.0[136..148])?,
        })
    }

    /// Whether an old GNU sparse entry's map goes on in the next block.
    pub fn sparse_goes_on(&self) -> bool {
        self.0[482] != 0
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Octal digits, or GNU's base 256 where the first bit is set; a negative number counts as 0.
fn number(field: &[u8]) -> Option<u64> {
    match field.first()? {
        0xff => Some(0),
        first if first & 0x80 != 0 => {
            let mut value = u64::from(first & 0x7f);
            for &byte in &field[1..] {
                value = value.checked_mul(256)?.checked_add(byte.into())?;
            }
            Some(value)
        }
        _ => octal(field),
    }
}

/// Octal digits between blanks, ended by a blank or NUL; an empty field is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    let mut value: u64 = 0;
    for &byte in &digits[..end] {
        if !matches!(byte, b'0'..=b'7') {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(u64::from(byte - b'0'))?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_dialect_are_read() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"00000000", Some(0)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777", Some(0o77777777)),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(0)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff", Some(u64::MAX)),
            (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000648\0", None),
            (b"-000001\0", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }
}
