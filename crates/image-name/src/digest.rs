//! Content digests, `sha256:<64 lowercase hex digits>` (OCI image spec, descriptor.md, "Digests").

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::error::{Broken, parsed_by_read};

/// A SHA-256 content digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps the 32 bytes of a SHA-256.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the SHA-256.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits without the algorithm.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// The first 12 hex digits, as people read them.
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }

    pub(crate) fn read(text: &str) -> Result<Self, Broken> {
        // The one algorithm that the registries of this field use.
        let hex = text.strip_prefix("sha256:").ok_or_else(|| Broken::new("start with `sha256:`", 0))?;
        let wrong = hex.find(|c: char| !matches!(c, '0'..='9' | 'a'..='f'));
        if wrong.is_some() || hex.len() != 64 {
            let at = text.len() - hex.len() + wrong.unwrap_or(hex.len().min(64));
            return Err(Broken::new("have 64 lowercase hex digits after `sha256:`", at));
        }
        let byte = |number: usize| u8::from_str_radix(&hex[2 * number..2 * number + 2], 16);
        // All are hex digits.
        Ok(Self(std::array::from_fn(|number| byte(number).unwrap_or_default())))
    }
}

parsed_by_read!(Digest, "digest");

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
