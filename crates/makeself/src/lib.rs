//! A self-extracting archive of makeself, as CANN's installer is one, is checked without being run.
//!
//! Such a file is a shell script of a known number of lines, and behind it the payload in one or more parts, whose sizes
//! and checksums the script has in variables (makeself 2.1 to 2.5; Debian has 2.4.5).

mod script;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Raised where more is refused or kept, so that what a cache has is not taken for what would be found now.
pub const VERSION: u32 = 1;
/// The longest script that is read, bytes. Those of makeself have 20 KiB; licences may be in them.
const MAX_SCRIPT: u64 = 4 << 20;

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
pub enum Error {
    /// The file can't be read.
    #[error("failed to read it")]
    Read(#[from] io::Error),
    /// It is something else, cut off or damaged.
    #[error("{0}")]
    Bad(String),
}

impl Makeself {
    /// Reads the file, compares its length with what the script says, and every sum that the script has. Memory is
    /// constant.
    pub fn read_whole(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut start = Vec::new();
        (&mut file).take(MAX_SCRIPT).read_to_end(&mut start)?;
        let read = Self::parse(&start, length).map_err(Error::Bad)?;
        file.seek(SeekFrom::Start(read.offset))?;
        for (number, part) in read.parts.iter().enumerate() {
            part.check(number + 1, &mut (&mut file).take(part.size))?;
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
        let kinds = [
            ("CRC", all(|part| part.crc.is_some())),
            ("MD5", all(|part| part.md5.is_some())),
            ("SHA-256", all(|part| part.sha256.is_some())),
        ];
        kinds.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }

    /// `start` is the beginning of a file of so many bytes.
    fn parse(start: &[u8], length: u64) -> Result<Self, String> {
        let (read, whole) = script::parse(start).map_err(|why| format!("not a makeself archive: {why}"))?;
        let expected = read.offset.saturating_add(read.payload());
        match whole {
            false if (start.len() as u64) < length => {
                Err("not a makeself archive: its script has more than 4 MiB".to_owned())
            }
            // The script itself is cut off, so that its length is not known.
            false => Err(format!("it is cut off: it must have more than {expected} bytes and has {length}")),
            true if length < expected => Err(format!("it is cut off: it must have {expected} bytes and has {length}")),
            true if length > expected => {
                Err(format!("it must have {expected} bytes and has {length}: something else was put behind it"))
            }
            true => Ok(read),
        }
    }
}

impl Part {
    /// Compares the sums with those of `payload`, the part of this number.
    fn check(&self, number: usize, payload: &mut dyn Read) -> Result<(), Error> {
        let (crc, md5, sha256) = sums(payload)?;
        let pairs = [
            ("CRC", crc.to_string(), self.crc.map(|crc| crc.to_string())),
            ("MD5", md5, self.md5.clone()),
            ("SHA-256", sha256, self.sha256.clone()),
        ];
        match pairs.into_iter().find(|(_, found, said)| said.as_ref().is_some_and(|said| said != found)) {
            Some((sum, found, Some(said))) => Err(Error::Bad(format!(
                "part {number} of its payload is damaged: its {sum} is {found}, the script says {said}"
            ))),
            _ => Ok(()),
        }
    }
}

/// The CRC of `cksum`, MD5 and SHA-256 of what is read to the end, in one pass.
fn sums(source: &mut dyn Read) -> io::Result<(u32, String, String)> {
    // That of zip with the bits of every byte and of the sum reversed, and begun with zeros.
    let mut crc = crc32fast::Hasher::new_with_initial(u32::MAX);
    let mut reversed = |bytes: &[u8]| crc.update(&bytes.iter().map(|byte| byte.reverse_bits()).collect::<Vec<_>>());
    let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
    let mut length = 0_u64;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += read.len() as u64;
        reversed(read);
        md5.update(read);
        sha256.update(read);
    }
    // The length goes in too, lowest byte first, as many bytes as it has.
    let bytes = length.to_le_bytes();
    reversed(&bytes[..bytes.len() - length.leading_zeros() as usize / 8]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((crc.finalize().reverse_bits(), hex(&md5.finalize()), hex(&sha256.finalize())))
}

#[cfg(test)]
mod tests;
