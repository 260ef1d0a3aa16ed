//! What the contents of a file must be.

use serde::{Deserialize, Serialize};
use sha2::{Sha384, Sha512, digest::DynDigest};

use super::LayerError;

/// What is known of a file's contents before they are read; each of it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Length in bytes; reading stops and fails where there are more.
    pub size: u64,
    /// CRC-32 as zip and gzip have it.
    pub crc32: Option<u32>,
    /// A cryptographic hash.
    pub hash: Option<ContentHash>,
}

impl Content {
    /// Refuses contents with another CRC.
    pub(super) fn check_crc(&self, path: &str, crc: crc32fast::Hasher) -> Result<(), LayerError> {
        let found = crc.finalize();
        match self.crc32 {
            Some(expected) if expected != found => {
                let reason = format!("its CRC-32 is {found:08x} instead of {expected:08x}");
                Err(LayerError::Damaged { path: path.to_owned(), reason })
            }
            _ => Ok(()),
        }
    }
}

pub(super) type Hasher = Box<dyn DynDigest + Send>;

/// What the contents of a file must hash to, as RECORD of a wheel may say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ContentHash {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-384.
    Sha384([u8; 48]),
    /// SHA-512.
    Sha512([u8; 64]),
}

impl ContentHash {
    /// The algorithm's name and the bytes.
    fn parts(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Sha256(bytes) => ("sha256", bytes),
            Self::Sha384(bytes) => ("sha384", bytes),
            Self::Sha512(bytes) => ("sha512", bytes),
        }
    }

    /// A running hash of its kind, none for SHA-256, which the archive's own takes along.
    pub(super) fn hasher(&self) -> Option<Hasher> {
        match self {
            Self::Sha256(_) => None,
            Self::Sha384(_) => Some(Box::new(Sha384::default())),
            Self::Sha512(_) => Some(Box::new(Sha512::default())),
        }
    }

    pub(super) fn is(&self, found: &[u8]) -> bool {
        self.parts().1 == found
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        let (name, bytes) = hash.parts();
        let hex: Self = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}:{hex}")
    }
}

impl TryFrom<String> for ContentHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digit = |byte: u8| (byte as char).to_digit(16).map(|value| value as u8);
        let parse = || {
            let (name, hex) = text.split_once(':')?;
            let pairs = hex.as_bytes().chunks(2);
            let bytes: Vec<u8> =
                pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect::<Option<_>>()?;
            match name {
                "sha256" => bytes.try_into().ok().map(Self::Sha256),
                "sha384" => bytes.try_into().ok().map(Self::Sha384),
                "sha512" => bytes.try_into().ok().map(Self::Sha512),
                _ => None,
            }
        };
        parse().ok_or_else(|| format!("`{text}` is not a hash"))
    }
}
