//! A tar archive as a stream of entries, in constant memory whatever the archive says.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
};

use super::{
    TarError,
    header::{self, BLOCK, Pax},
};
use crate::{Attr, checked::read_full};

/// The largest extended header that is read: 1 MiB, what Go's reader takes too.
const MAX_EXTENDED: u64 = 1 << 20;
/// The longest path, PATH_MAX of Linux.
const MAX_PATH: usize = 4096;

/// Where an archive is read from.
pub trait SkipRead: BufRead {
    /// Passes over at most so many bytes and says how many there were.
    fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        while left > 0 {
            let available = self.fill_buf()?.len();
            if available == 0 {
                break;
            }
            let step = available.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.consume(step);
            left -= step as u64;
        }
        Ok(length - left)
    }
}

impl SkipRead for &[u8] {}
impl SkipRead for &mut dyn BufRead {}

impl SkipRead for BufReader<File> {
    fn skip(&mut self, length: u64) -> io::Result<u64> {
        use io::Seek;
        let end = self.get_ref().metadata()?.len();
        let left = end.saturating_sub(self.stream_position()?);
        let step = length.min(left);
        self.seek_relative(i64::try_from(step).map_err(io::Error::other)?)?;
        Ok(step)
    }
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path without leading slash and `.` components, empty for the archive's root; bytes that are not UTF-8
    /// are replaced.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Owner, mode, time.
    pub attr: Attr,
    /// Where in the archive its contents begin.
    pub offset: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file of so many bytes.
    File(u64),
    /// A file with holes; what the archive holds of it is not its contents.
    Sparse,
    /// Another name for the entry at this path.
    HardLink(String),
    /// A symbolic link to this target.
    Symlink(String),
    /// A folder.
    Dir,
    /// A device, a pipe, or what only some tars know.
    Other,
}

/// Reads entries one after the other.
pub struct TarReader<R> {
    inner: R,
    offset: u64,
    /// Bytes of the last entry's contents that were not read, and its padding.
    contents: u64,
    padding: u64,
}

impl<R: SkipRead> TarReader<R> {
    /// Reads the archive that `inner` gives.
    pub fn new(inner: R) -> Self {
        Self { inner, offset: 0, contents: 0, padding: 0 }
    }

    /// The source, somewhere behind the archive's last entry.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry, none at the end. Contents of the one before that were not read are passed over.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut pax = Pax::default();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            self.pass_over()?;
            let at = self.offset;
            let Some(block) = self.block()? else {
                return Ok(None);
            };
            // Two blocks of zeros end an archive.
            if block == [0; BLOCK] {
                return Ok(None);
            }
            let malformed = |reason: &str| TarError::Malformed { offset: at, reason: reason.to_owned() };
            if !header::is_intact(&block) {
                return Err(malformed("there is no header of an entry"));
            }
            let size = header::size(&block).ok_or_else(|| malformed("an entry's size is not a number"))?;
            match block[156] {
                b'x' => {
                    let records = self.extended(at, size)?;
                    pax.read(&records).ok_or_else(|| malformed("an extended header's records are malformed"))?;
                }
                // For all entries to come; in practice it holds comments.
                b'g' => drop(self.extended(at, size)?),
                b'L' => long_name = Some(header::text(&self.extended(at, size)?).to_vec()),
                b'K' => long_link = Some(header::text(&self.extended(at, size)?).to_vec()),
                flag => {
                    let pax_name = pax.sparse_name.take();
                    let sparse = flag == b'S' || pax_name.is_some();
                    let path =
                        pax_name.or(pax.path.take()).or(long_name.take()).unwrap_or_else(|| header::path(&block));
                    let link = pax.link.take().or(long_link.take()).unwrap_or_else(|| header::link(&block));
                    let size = pax.size.unwrap_or(size);
                    let attr =
                        header::attr(&block).ok_or_else(|| malformed("an entry's owner or mode is not a number"))?;
                    let attr = pax.over(attr);
                    // An old GNU sparse entry's map may go on in blocks of its own.
                    let mut goes_on = flag == b'S' && block[482] != 0;
                    while goes_on {
                        let map = self.block()?.ok_or_else(|| malformed("a sparse file's map is cut off"))?;
                        goes_on = map[504] != 0;
                    }
                    let path = plain(&path).map_err(&malformed)?;
                    let folder_by_name = header::path(&block).ends_with(b"/");
                    let kind = match flag {
                        _ if sparse => EntryKind::Sparse,
                        0 if folder_by_name => EntryKind::Dir,
                        0 | b'0' | b'7' => EntryKind::File(size),
                        b'1' => EntryKind::HardLink(plain(&link).map_err(&malformed)?),
                        b'2' if link.len() > MAX_PATH => return Err(malformed("a link is longer than 4096 bytes")),
                        b'2' => EntryKind::Symlink(String::from_utf8_lossy(&link).into_owned()),
                        b'5' => EntryKind::Dir,
                        _ => EntryKind::Other,
                    };
                    // Some writers give a size to what has no contents.
                    if !matches!(flag, b'1'..=b'6') && kind != EntryKind::Dir {
                        self.begin(at, size)?;
                    }
                    return Ok(Some(Entry { path, kind, attr, offset: self.offset }));
                }
            }
        }
    }

    /// The contents of the entry that was read last.
    pub fn contents(&mut self) -> Contents<'_, R> {
        Contents { tar: self }
    }

    /// So many bytes follow, and padding.
    fn begin(&mut self, at: u64, size: u64) -> Result<(), TarError> {
        // 2^62: sums of offsets stay far from overflowing.
        if size > 1 << 62 {
            return Err(TarError::Malformed { offset: at, reason: format!("an entry has {size} bytes") });
        }
        self.contents = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn extended(&mut self, at: u64, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENDED {
            let reason = format!("an extended header has {size} bytes; at most {MAX_EXTENDED} are read");
            return Err(TarError::Malformed { offset: at, reason });
        }
        self.begin(at, size)?;
        let mut bytes = Vec::new();
        self.contents().read_to_end(&mut bytes).map_err(|source| TarError::Read { offset: at, source })?;
        Ok(bytes)
    }

    fn pass_over(&mut self) -> Result<(), TarError> {
        let length = self.contents + self.padding;
        (self.contents, self.padding) = (0, 0);
        let skipped = self.inner.skip(length).map_err(|source| TarError::Read { offset: self.offset, source })?;
        self.offset += skipped;
        if skipped < length {
            return Err(self.cut_off());
        }
        Ok(())
    }

    /// The next block, none where the archive ends without one.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let read_error = |source| TarError::Read { offset: self.offset, source };
        let filled = read_full(&mut self.inner, &mut block).map_err(read_error)?;
        self.offset += filled as u64;
        match filled {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.cut_off()),
        }
    }

    fn cut_off(&self) -> TarError {
        TarError::Malformed { offset: self.offset, reason: "it is cut off".to_owned() }
    }
}

/// Reads the contents of an entry.
pub struct Contents<'a, R> {
    tar: &'a mut TarReader<R>,
}

impl<R: SkipRead> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let space = usize::try_from(self.tar.contents).unwrap_or(usize::MAX).min(buffer.len());
        if space == 0 {
            return Ok(0);
        }
        let length = self.tar.inner.read(&mut buffer[..space])?;
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off"));
        }
        self.tar.contents -= length as u64;
        self.tar.offset += length as u64;
        Ok(length)
    }
}

/// A path without leading slash, empty and `.` components. One that leads out is refused, as docker does.
fn plain(path: &[u8]) -> Result<String, &'static str> {
    if path.len() > MAX_PATH {
        return Err("a path is longer than 4096 bytes");
    }
    if path.contains(&0) {
        return Err("a path holds a NUL");
    }
    let text = String::from_utf8_lossy(path);
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err("a path leads out by `..`");
    }
    Ok(parts.join("/"))
}
