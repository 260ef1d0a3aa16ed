//! Reading a zip archive that may be hostile: names, places and sizes of its entries, bounded, without overlaps.
//!
//! The central directory is what counts (as for pip); sizes and CRCs it claims are checked when an entry is read.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, ReaderAt, ZipLocator};
use serde::{Deserialize, Serialize};

use crate::cp437;

/// More entries than any wheel has; the largest known have some 30,000.
pub(crate) const ENTRIES: usize = 250_000;
/// A path of Linux is shorter than this.
pub(crate) const NAME: usize = 4096;
/// What all files of one wheel may unpack to: an image is at most 30 GB.
const UNPACKED: u64 = 64 << 30;
/// Folders that all files of one wheel may lie in: each is an entry of the layer.
const FOLDERS: usize = ENTRIES;
/// Bytes of those folders' paths together. Of 60,000 folders they are some 3 MiB; of a few hundred names that are
/// `a/a/a/…` they would be gigabytes.
const FOLDER_PATHS: usize = 32 << 20;

/// The largest entry that is read whole: a script that is changed, a module that is compiled.
pub(crate) const WHOLE: u64 = 16 << 20;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, as Python's zipfile would decode it.
    pub name: String,
    /// Length of the contents in bytes, as the archive claims.
    pub size: u64,
    /// CRC-32 of the contents, as the archive claims.
    pub crc32: u32,
    /// Where its bytes begin in the archive.
    pub offset: u64,
    /// How many bytes it takes in the archive.
    pub compressed: u64,
    /// Whether those are a deflate stream; else they are the contents.
    pub deflated: bool,
    /// Whether it is marked as an executable regular file.
    pub executable: bool,
}

/// Lists the files of the archive in `reader`, `length` bytes long, in the order of the central directory. Entries for
/// folders are left out, as pip does.
pub fn entries<R: ReaderAt>(reader: R, length: u64) -> Result<Vec<Entry>, String> {
    let zip = |error: rawzip::Error| not_whole(&error.to_string());
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let archive = ZipLocator::new().locate_in_reader(reader, &mut buffer, length).map_err(|(_, error)| zip(error))?;
    let announced = archive.entries_hint();
    if announced > ENTRIES as u64 {
        return Err(too("many entries"));
    }
    let directory = archive.directory_offset();
    let mut found = Vec::new();
    let mut names = HashSet::new();
    let mut ranges = Vec::new();
    let mut local = vec![0; 2 * (1 << 16)];
    let (mut count, mut unpacked) = (0_u64, 0_u64);
    let mut records = archive.entries(&mut buffer);
    while let Some(record) = records.next_entry().map_err(zip)? {
        count += 1;
        if count > announced {
            break;
        }
        let raw = record.file_path();
        let raw: &[u8] = raw.as_ref();
        let flags = record.flags();
        let name = decode_name(raw, flags.is_utf8())?;
        check_name(&name)?;
        let refuse = |reason: &str| format!("entry `{name}` {reason}");
        if flags.is_encrypted() || flags.has_strong_encryption() || flags.is_masked() {
            return Err(refuse("is encrypted"));
        }
        let method = record.compression_method();
        let size = record.uncompressed_size_hint();
        let deflated = match method {
            CompressionMethod::STORE => false,
            // Of an empty file pip never looks at the stream.
            CompressionMethod::DEFLATE => size > 0,
            other => return Err(refuse(&format!("is compressed by {}, not by deflate", method_name(other)))),
        };
        if !names.insert(name.clone()) {
            return Err(refuse("is there twice"));
        }
        let place = archive.get_entry(record.wayfinder()).map_err(zip)?;
        let header = place.local_header(&mut local).map_err(zip)?;
        if AsRef::<[u8]>::as_ref(&header.file_path()) != raw {
            return Err(refuse("has another name in its own header"));
        }
        let (begin, end) = place.compressed_data_range();
        ranges.push((record.local_header_offset(), end));
        let compressed = record.compressed_size_hint();
        if method == CompressionMethod::STORE && size != compressed {
            return Err(refuse(&format!("is stored, yet {size} bytes take {compressed}")));
        }
        // Deflate can't do better than 1032 to 1.
        if deflated && size / 1032 > compressed {
            return Err(refuse(&format!("claims that {compressed} bytes unpack to {size}")));
        }
        unpacked = unpacked.saturating_add(size);
        if unpacked > UNPACKED {
            return Err(too("much to unpack"));
        }
        if name.ends_with('/') {
            continue;
        }
        let mode = record.external_attributes() >> 16;
        found.push(Entry {
            size,
            crc32: record.crc32(),
            offset: begin,
            compressed: if size > 0 { compressed } else { 0 },
            deflated,
            // S_IFREG and any of the three execute bits, whatever system wrote it: pip's rule.
            executable: mode & 0o170_000 == 0o100_000 && mode & 0o111 != 0,
            name,
        });
    }
    if count != announced {
        return Err(not_whole(&format!("{announced} entries announced, {count} or more found")));
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if pair[0].1 > pair[1].0 {
            return Err(not_whole("entries overlap"));
        }
    }
    if ranges.last().is_some_and(|range| range.1 > directory) {
        return Err(not_whole("an entry reaches into the directory"));
    }
    check_folders(&found)?;
    Ok(found)
}

/// Refuses few names that make many folders.
pub(crate) fn check_folders(files: &[Entry]) -> Result<(), String> {
    let mut names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    let (mut folders, mut bytes, mut last) = (0_usize, 0_usize, "");
    for name in names {
        // Names that begin with a folder's path are neighbours, so that a folder is new where it is not the last name's.
        let is_new = |end: usize| !last.as_bytes().starts_with(&name.as_bytes()[..=end]);
        for (end, _) in name.match_indices('/').filter(|(end, _)| is_new(*end)) {
            folders += 1;
            bytes += end;
        }
        last = name;
        if folders > FOLDERS || bytes > FOLDER_PATHS {
            return Err(too("many folders"));
        }
    }
    Ok(())
}

fn not_whole(reason: &str) -> String {
    format!("it is not a whole zip archive ({reason})")
}

fn too(what: &str) -> String {
    format!("it has too {what}")
}

fn decode_name(raw: &[u8], utf8: bool) -> Result<String, String> {
    if raw.len() >= NAME {
        return Err(too("long names"));
    }
    if utf8 {
        return String::from_utf8(raw.to_vec()).map_err(|_| {
            format!("entry `{}`: its name is not UTF-8, as it says", String::from_utf8_lossy(raw).escape_debug())
        });
    }
    Ok(cp437::decode(raw))
}

/// Stricter than pip where a name could mean something else to another tool.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let of_part = |part: &str| match part {
        ".." => Some("its name leads out of the wheel"),
        "" | "." => Some("its name has an empty or `.` component"),
        _ if part.starts_with(".wh.") => Some("its name is that of a whiteout"),
        _ if part.len() > 255 => Some("its name has a component longer than 255 bytes"),
        _ => None,
    };
    let reason = if name.is_empty() || name == "/" {
        Some("it names nothing")
    } else if ['\0', '\n', '\r'].into_iter().any(|control| name.contains(control)) {
        Some("its name holds a NUL or a line end")
    } else if name.contains('\\') {
        Some("its name holds a backslash")
    } else if name.starts_with('/') {
        Some("its name is an absolute path")
    } else {
        name.strip_suffix('/').unwrap_or(name).split('/').find_map(of_part)
    };
    reason.map_or(Ok(()), |reason| Err(format!("entry `{}`: {reason}", name.escape_debug())))
}

fn method_name(method: CompressionMethod) -> String {
    method.name().map_or_else(|| format!("method {}", method.as_u16()), str::to_lowercase)
}

/// Reads the bytes of an entry as they are in the archive.
pub(crate) struct RawReader<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl<'a> RawReader<'a> {
    pub fn new(file: &'a File, entry: &Entry) -> Self {
        Self { file, at: entry.offset, left: entry.compressed }
    }
}

impl Read for RawReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Reads an entry to its end, gives its contents to `sink` as they come, and checks size and CRC. Constant memory.
pub(crate) fn read(file: &File, entry: &Entry, mut sink: impl FnMut(&[u8])) -> Result<(), String> {
    let refuse = |reason: &str| format!("entry `{}` {reason}", entry.name);
    let raw = RawReader::new(file, entry);
    let mut contents: Box<dyn Read + '_> =
        if entry.deflated { Box::new(DeflateDecoder::new(raw)) } else { Box::new(raw) };
    let mut crc = crc32fast::Hasher::new();
    let mut size = 0;
    let mut buffer = [0; 32 * 1024];
    while size <= entry.size {
        match contents.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                size += length as u64;
                crc.update(&buffer[..length]);
                sink(&buffer[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(refuse(&format!("can't be read: {error}"))),
        }
    }
    match size == entry.size && crc.finalize() == entry.crc32 {
        true => Ok(()),
        false => Err(refuse("does not have the size and CRC that the archive claims")),
    }
}

/// The contents of a small entry.
pub(crate) fn contents(file: &File, entry: &Entry, limit: u64) -> Result<Vec<u8>, String> {
    if entry.size > limit {
        return Err(format!("entry `{}` has {} bytes, more than {limit}", entry.name, entry.size));
    }
    let mut bytes = Vec::with_capacity(entry.size as usize);
    read(file, entry, |more| bytes.extend_from_slice(more))?;
    Ok(bytes)
}

/// Reads the first bytes of entries; what it needs is kept from one to the next.
pub(crate) struct Peeker<'a> {
    file: &'a File,
    decoder: DeflateDecoder<RawReader<'a>>,
}

impl<'a> Peeker<'a> {
    pub fn new(file: &'a File) -> Self {
        // 1 KiB: the code tables of a block take 300 bytes at most, and some dozen bytes follow from them.
        let nothing = RawReader { file, at: 0, left: 0 };
        Self { file, decoder: DeflateDecoder::new_with_buf(nothing, vec![0; 1024]) }
    }

    /// The first bytes of the entry, at most as many as `head` has; fewer where it is shorter or does not unpack.
    pub fn peek<'b>(&mut self, entry: &Entry, head: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let mut raw = RawReader::new(self.file, entry);
        let source: &mut dyn Read = if entry.deflated {
            self.decoder.reset(raw);
            &mut self.decoder
        } else {
            &mut raw
        };
        let mut length = 0;
        while length < head.len() {
            match source.read(&mut head[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if is_damage(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(&head[..length])
    }
}

/// Whether a deflate stream is damaged or incomplete. That shows itself, with a better message, when the layer is made.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof)
}

/// Reads ranges of an entry. One that lies before the last is read from the beginning of the entry again.
pub(crate) struct Ranges<'a> {
    file: &'a File,
    entry: &'a Entry,
    decoder: DeflateDecoder<RawReader<'a>>,
    /// Where in the contents the decoder is.
    at: u64,
}

impl<'a> Ranges<'a> {
    pub fn new(file: &'a File, entry: &'a Entry) -> Self {
        Self { file, entry, decoder: DeflateDecoder::new(RawReader::new(file, entry)), at: 0 }
    }

    /// So many bytes from `offset` on, fewer where the contents end or do not unpack.
    pub fn read(&mut self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        let size = size.min(self.entry.size.saturating_sub(offset));
        let mut bytes = Vec::with_capacity(size as usize);
        if !self.entry.deflated {
            let mut raw = RawReader { file: self.file, at: self.entry.offset.saturating_add(offset), left: size };
            return raw.read_to_end(&mut bytes).map(|_| bytes);
        }
        if offset < self.at {
            self.decoder.reset(RawReader::new(self.file, self.entry));
            self.at = 0;
        }
        let unpacked = self.skip_to(offset).and_then(|()| self.decoder.by_ref().take(size).read_to_end(&mut bytes));
        self.at += bytes.len() as u64;
        match unpacked {
            Err(error) if !is_damage(&error) => Err(error),
            _ => Ok(bytes),
        }
    }

    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        // With the 8 KiB of `io::copy` it takes a seventh longer.
        let mut passed = vec![0; 128 << 10];
        while self.at < offset {
            let length = passed.len().min(usize::try_from(offset - self.at).unwrap_or(usize::MAX));
            match self.decoder.read(&mut passed[..length])? {
                0 => break,
                read => self.at += read as u64,
            }
        }
        Ok(())
    }
}
