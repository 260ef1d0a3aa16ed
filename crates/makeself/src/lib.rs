//! A self-extracting archive of makeself, as CANN's installer is one, is checked without being run.
//!
//! Such a file is a shell script of a known number of lines, and behind it the payload in one or more parts, whose sizes
//! and checksums the script has in variables (makeself 2.1 to 2.5; Debian has 2.4.5).

mod header;
mod sums;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use serde::{Deserialize, Serialize};

use self::sums::Sums;

/// Raised where more is refused or kept, so that what a cache has is not taken for what would be found now.
pub const VERSION: u32 = 1;
/// The longest script that is read, bytes. Those of makeself have 20 KiB; licences may be in them.
const MAX_HEADER: u64 = 4 << 20;

/// What the script of such a file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Makeself {
    /// The program that its first line wants: `/bin/sh`, `/bin/bash`.
    pub interpreter: String,
    /// What the archive is called.
    pub label: String,
    /// How the payload is compressed, where the script says it: `gzip`, `none`.
    pub compression: Option<String>,
    /// Bytes of the script.
    pub offset: u64,
    /// The payload.
    pub parts: Vec<Part>,
}

/// A part of the payload. A sum that was left out when the file was made is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Length in bytes.
    pub size: u64,
    /// CRC of POSIX's `cksum`.
    pub crc: Option<u32>,
    /// MD5, in hex.
    pub md5: Option<String>,
    /// SHA-256, in hex.
    pub sha256: Option<String>,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file can't be read.
    #[error("failed to read it")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("it is no archive of makeself: {0}")]
    Foreign(&'static str),
    /// It ends too early.
    #[error("it is cut off: it must have {expected} bytes and has {found}")]
    Short {
        /// Bytes of script and payload.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// The script itself is cut off, so that its length is not known.
    #[error("it is cut off: it must have more than {least} bytes and has {found}")]
    ShortScript {
        /// Bytes that are there and those of the payload.
        least: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// Something follows the payload.
    #[error("it must have {expected} bytes and has {found}: something else was put behind it")]
    Long {
        /// Bytes of script and payload.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// The payload is not what the script says.
    #[error("part {part} of its payload is damaged: its {sum} is {found}, the script says {said}")]
    Sum {
        /// Which part, from 1.
        part: usize,
        /// `CRC`, `MD5` or `SHA-256`.
        sum: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        said: String,
    },
}

impl Makeself {
    /// Reads the script, and compares the length of the file with what the script says.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut start = Vec::new();
        (&mut file).take(MAX_HEADER).read_to_end(&mut start)?;
        Self::parse(&start, length)
    }

    /// Reads the file and compares every sum that the script has. Memory is constant.
    pub fn read_whole(path: &Path) -> Result<Self, Fault> {
        let read = Self::read(path)?;
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(read.offset))?;
        for (number, part) in read.parts.iter().enumerate() {
            let sums = Sums::of(&mut (&mut file).take(part.size))?;
            sums.compare(number + 1, part)?;
        }
        Ok(read)
    }

    /// Bytes of the payload.
    pub fn payload(&self) -> u64 {
        self.parts.iter().map(|part| part.size).sum()
    }

    /// The sums that every part has, in words.
    pub fn sums(&self) -> Vec<&'static str> {
        let all = |has: fn(&Part) -> bool| self.parts.iter().all(has);
        [
            ("CRC", all(|part| part.crc.is_some())),
            ("MD5", all(|part| part.md5.is_some())),
            ("SHA-256", all(|part| part.sha256.is_some())),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
    }

    /// `start` is the beginning of a file of so many bytes.
    fn parse(start: &[u8], length: u64) -> Result<Self, Fault> {
        let (read, whole) = header::parse(start).map_err(Fault::Foreign)?;
        let payload = read.payload();
        if !whole && (start.len() as u64) < length {
            return Err(Fault::Foreign("its script has more than 4 MiB"));
        }
        if !whole {
            return Err(Fault::ShortScript { least: length.saturating_add(payload), found: length });
        }
        let expected = read.offset.saturating_add(payload);
        match length {
            found if found < expected => Err(Fault::Short { expected, found }),
            found if found > expected => Err(Fault::Long { expected, found }),
            _ => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests;
