//! PAX extended headers (POSIX.1-2001): records `LENGTH KEY=VALUE\n` that replace fields of the next entry.

/// What a PAX header says, as far as it matters here. Empty values take a field back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub path: Option<Vec<u8>>,
    /// The name of a GNU sparse file; its `path` is made up. Its contents begin with a map.
    pub sparse_name: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<u64>,
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
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
