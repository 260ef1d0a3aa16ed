//! Contents of files that do not go through a layer on their way: whether they are what RECORD says.

use std::{
    fs::File,
    io::{self, Read},
};

use flate2::read::DeflateDecoder;
use oci_image::ContentHash;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::{
    Fault,
    archive::{Entry, RawReader},
};

/// A running hash and what it must come to.
enum Expected {
    Nothing,
    Sha256(Sha256, [u8; 32]),
    Sha384(Sha384, [u8; 48]),
    Sha512(Sha512, [u8; 64]),
}

impl Expected {
    fn new(hash: Option<&ContentHash>) -> Self {
        match hash {
            None => Self::Nothing,
            Some(ContentHash::Sha256(bytes)) => Self::Sha256(Sha256::new(), *bytes),
            Some(ContentHash::Sha384(bytes)) => Self::Sha384(Sha384::new(), *bytes),
            Some(ContentHash::Sha512(bytes)) => Self::Sha512(Sha512::new(), *bytes),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Nothing => {}
            Self::Sha256(hash, _) => hash.update(bytes),
            Self::Sha384(hash, _) => hash.update(bytes),
            Self::Sha512(hash, _) => hash.update(bytes),
        }
    }

    fn holds(self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Sha256(hash, expected) => <[u8; 32]>::from(hash.finalize()) == expected,
            Self::Sha384(hash, expected) => <[u8; 48]>::from(hash.finalize()) == expected,
            Self::Sha512(hash, expected) => <[u8; 64]>::from(hash.finalize()) == expected,
        }
    }
}

/// Whether the bytes have this hash.
pub(crate) fn holds(hash: &ContentHash, bytes: &[u8]) -> bool {
    let mut expected = Expected::new(Some(hash));
    expected.update(bytes);
    expected.holds()
}

/// Reads an entry to its end and checks size and CRC; says whether it has this hash. Constant memory.
pub(crate) fn entry(file: &File, entry: &Entry, hash: Option<&ContentHash>) -> Result<bool, Fault> {
    let fault = |reason: String| Fault::Entry { name: entry.name.clone(), reason };
    let raw = RawReader::new(file, entry);
    let mut contents: Box<dyn Read + '_> =
        if entry.deflated { Box::new(DeflateDecoder::new(raw)) } else { Box::new(raw) };
    let mut expected = Expected::new(hash);
    let mut crc = crc32fast::Hasher::new();
    let mut size = 0;
    let mut buffer = [0; 32 * 1024];
    while size <= entry.size {
        match contents.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                size += length as u64;
                crc.update(&buffer[..length]);
                expected.update(&buffer[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fault(format!("can't be read: {error}"))),
        }
    }
    if size != entry.size || crc.finalize() != entry.crc32 {
        return Err(fault("does not have the size and CRC that the archive claims".to_owned()));
    }
    Ok(expected.holds())
}
