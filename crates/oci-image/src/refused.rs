//! Why a manifest or an index is not taken.

/// Why a manifest or an index is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON, or not of the right shape.
    #[error("the manifest can't be read")]
    Json(#[source] serde_json::Error),
    /// It is readable but not one that can be used.
    #[error("refused the manifest: {reason}")]
    Refused {
        /// Which rule it breaks.
        reason: String,
    },
}

pub(crate) fn refuse(reason: impl Into<String>) -> ManifestError {
    ManifestError::Refused { reason: reason.into() }
}
