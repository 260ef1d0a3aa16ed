//! What the contents of a file must be.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha384, Sha512};

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

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        let (name, bytes): (_, &[u8]) = match &hash {
            ContentHash::Sha256(bytes) => ("sha256", bytes),
            ContentHash::Sha384(bytes) => ("sha384", bytes),
            ContentHash::Sha512(bytes) => ("sha512", bytes),
        };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}:{hex}")
    }
}

impl TryFrom<String> for ContentHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a hash");
        let (name, hex) = text.split_once(':').ok_or_else(refuse)?;
        let digit = |byte: u8| (byte as char).to_digit(16).map(|value| value as u8);
        let bytes: Option<Vec<u8>> =
            hex.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
        let bytes = bytes.ok_or_else(refuse)?;
        let hash = match name {
            "sha256" => bytes.try_into().ok().map(Self::Sha256),
            "sha384" => bytes.try_into().ok().map(Self::Sha384),
            "sha512" => bytes.try_into().ok().map(Self::Sha512),
            _ => None,
        };
        hash.ok_or_else(refuse)
    }
}

/// A running hash of one file, other than SHA-256, and what it must come to.
pub(crate) enum FileHash {
    Sha384(Sha384, [u8; 48]),
    Sha512(Sha512, [u8; 64]),
}

impl FileHash {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha384(hash, _) => hash.update(bytes),
            Self::Sha512(hash, _) => hash.update(bytes),
        }
    }

    /// Whether the bytes came to what they must.
    pub fn holds(self) -> bool {
        match self {
            Self::Sha384(hash, expected) => <[u8; 48]>::from(hash.finalize()) == expected,
            Self::Sha512(hash, expected) => <[u8; 64]>::from(hash.finalize()) == expected,
        }
    }
}
