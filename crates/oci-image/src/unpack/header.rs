//! What begins an entry of a tar archive: 512 bytes (POSIX ustar, with GNU's and the old V7 form), and PAX extended
//! headers (POSIX.1-2001), records `LENGTH KEY=VALUE\n` that replace fields of the next entry.

use crate::Attr;

/// Bytes of a header; contents are padded to whole ones.
pub(crate) const BLOCK: usize = 512;

/// Whether a header's checksum holds, as the sum of unsigned bytes or, in very old archives, of signed ones.
pub(crate) fn is_intact(block: &[u8; BLOCK]) -> bool {
    let Some(said) = octal(&block[148..156]) else {
        return false;
    };
    // The field itself counts as blanks.
    let others = || block[..148].iter().chain(&block[156..]);
    let unsigned: u64 = others().map(|&byte| u64::from(byte)).sum::<u64>() + 8 * 32;
    let signed: i64 = others().map(|&byte| i64::from(byte as i8)).sum::<i64>() + 8 * 32;
    said == unsigned || i64::try_from(said) == Ok(signed)
}

/// Length of the contents in bytes.
pub(crate) fn size(block: &[u8; BLOCK]) -> Option<u64> {
    let field = &block[124..136];
    if field[0] == 0xff { None } else { number(field) }
}

/// The name, in bytes.
pub(crate) fn path(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(&block[0..100]);
    // GNU's archives have other things where POSIX's have the prefix.
    let prefix = if &block[257..263] == b"ustar\0" { text(&block[345..500]) } else { &[] };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// What a link leads to, in bytes.
pub(crate) fn link(block: &[u8; BLOCK]) -> Vec<u8> {
    text(&block[157..257]).to_vec()
}

/// Owner, mode and time. A time before 1970 counts as 1970.
pub(crate) fn attr(block: &[u8; BLOCK]) -> Option<Attr> {
    let mode = (number(&block[100..108])? & 0o7777) as u32;
    let (uid, gid) = (number(&block[108..116])?, number(&block[116..124])?);
    Some(Attr { mode, uid, gid, mtime: number(&block[136..148])? })
}

/// A field up to its first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    memchr::memchr(0, field).map_or(field, |end| &field[..end])
}

/// Octal digits, or GNU's base 256 where the first bit is set; a negative number counts as 0.
fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        return octal(field);
    }
    let add = |value: u64, &byte: &u8| value.checked_mul(256)?.checked_add(byte.into());
    if first == 0xff { Some(0) } else { rest.iter().try_fold(u64::from(first & 0x7f), add) }
}

/// Octal digits between blanks, ended by a blank or NUL; an empty field is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.trim_ascii_start().split(|byte| matches!(byte, 0 | b' ')).next()?;
    let digits = std::str::from_utf8(digits).ok()?;
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// What a PAX header says, as far as it matters here. Empty values take a field back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub path: Option<Vec<u8>>,
    /// The name of a GNU sparse file; its `path` is made up. Its contents begin with a map.
    pub sparse_name: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<u64>,
}

impl Pax {
    /// Reads the records over what an earlier header said. None where they are malformed.
    pub fn read(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let blank = records.iter().take(20).position(|&byte| byte == b' ')?;
            let length: usize = decimal(&records[..blank])?.try_into().ok()?;
            let record = records.get(blank + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"GNU.sparse.name" => self.sparse_name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value)?),
                b"uid" => self.uid = Some(decimal(value)?),
                b"gid" => self.gid = Some(decimal(value)?),
                // Fractions of a second are cut off; a time before 1970 counts as 1970.
                b"mtime" if value.starts_with(b"-") => self.mtime = Some(0),
                b"mtime" => self.mtime = Some(decimal(value.split(|&byte| byte == b'.').next()?)?),
                _ => {}
            }
            records = &records[length..];
        }
        Some(())
    }

    /// The attributes with what the records replace of them.
    pub fn over(&self, attr: Attr) -> Attr {
        let Attr { mode, uid, gid, mtime } = attr;
        let [uid, gid, mtime] =
            [(self.uid, uid), (self.gid, gid), (self.mtime, mtime)].map(|(own, header)| own.unwrap_or(header));
        Attr { mode, uid, gid, mtime }
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
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

    fn read(records: &[u8]) -> Option<Pax> {
        let mut pax = Pax::default();
        pax.read(records).map(|()| pax)
    }

    #[test]
    fn records_replace_fields() {
        let pax = read(b"20 path=a/b=c\nd e/f\n13 size=1234\n23 mtime=1700000000.25\n10 uid=12\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/b=c\nd e/f"[..]));
        assert_eq!((pax.size, pax.mtime, pax.uid), (Some(1234), Some(1_700_000_000), Some(12)));
    }

    #[test]
    fn malformed_records_are_refused() {
        for records in [
            &b"path=a"[..],
            b"99 path=a\n",
            b"9 path=a!",
            b"0 path=a\n",
            b"3 a\n",
            b"99999999999999999999999 path=a\n",
            b"9 size=x\n",
            b"5\n",
            b" ",
        ] {
            assert_eq!(read(records), None, "{records:?}");
        }
    }
}
