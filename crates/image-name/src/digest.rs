//! Content digests, `sha256:<64 lowercase hex digits>` (OCI image spec, descriptor.md, "Digests").

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::{
    NameError,
    refusal::{Fault, Rule},
    text::serde_as_text,
};

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
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first 12 hex digits, as people read them.
    pub fn short(&self) -> String {
        self.0[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

pub(crate) fn check(text: &str) -> Result<Digest, Fault> {
    // The one algorithm that the registries of this field use.
    let hex = text.strip_prefix("sha256:").ok_or(Fault::new(Rule::Start("`sha256:`"), 0))?;
    let rule = Rule::Parts("have 64 lowercase hex digits after `sha256:`");
    let start = text.len() - hex.len();
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if let Some(at) = hex.find(|c: char| !matches!(c, '0'..='9' | 'a'..='f')) {
        return Err(Fault::new(rule, start + at));
    }
    if hex.len() != 64 {
        return Err(Fault::new(rule, start + hex.len().min(64)));
    }
    let mut bytes = [0; 32];
    for (slot, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let byte = nibble(pair[0]).zip(nibble(pair[1])).map(|(high, low)| high << 4 | low);
        *slot = byte.ok_or(Fault::new(rule, start))?;
    }
    Ok(Digest(bytes))
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text).map_err(|fault| fault.of("digest", text))
    }
}

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

serde_as_text!(Digest);
