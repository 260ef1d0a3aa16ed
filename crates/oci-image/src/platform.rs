//! The platform of an image (OCI image spec, image-index.md, "platform").

use std::fmt;

use serde::{Deserialize, Serialize};

/// Operating system and architecture, in Go's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `arm64`, `amd64`, …
    pub architecture: String,
    /// `v8` of arm64; often absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on 64-bit ARM, whatever the variant.
    pub fn linux_arm64() -> Self {
        Self { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: None }
    }

    /// The architecture as Go names it; some builders write the kernel's name into configs.
    pub fn go_architecture(&self) -> &str {
        match self.architecture.as_str() {
            "aarch64" => "arm64",
            other => other,
        }
    }

    /// Whether an image for `self` runs where `wanted` is asked for. A variant counts only where both name one.
    pub fn serves(&self, wanted: &Self) -> bool {
        let variants = self.variant.as_deref().zip(wanted.variant.as_deref());
        self.os == wanted.os
            && self.go_architecture() == wanted.go_architecture()
            && variants.is_none_or(|(ours, theirs)| ours == theirs)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}
