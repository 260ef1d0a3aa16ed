//! Why a layer could not be written.

use std::io;

use crate::StoreError;

/// Why a layer could not be written.
#[allow(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A path that has no place in a layer.
    #[error("refused path `{path}` of a layer: {reason}")]
    Path { path: String, reason: &'static str },
    /// Two entries of one name.
    #[error("refused a second `{path}` in one layer")]
    Twice { path: String },
    /// Something lies below a path that is not a folder in this layer.
    #[error("refused `{path}`: `{parent}` is not a folder in this layer")]
    NotAFolder { path: String, parent: String },
    /// The contents could not be read.
    #[error("failed to read the contents of `{path}`")]
    Read { path: String, source: io::Error },
    /// The contents are not what was announced.
    #[error("`{path}` is damaged: {reason}")]
    Damaged { path: String, reason: String },
    /// Contents whose hash is not the one that was announced.
    #[error("the contents of {} are not those that were announced: `{}`", count(paths), paths.join("`, `"))]
    Hashes { paths: Vec<String> },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that writes the blob could not be started, or has gone.
    #[error("failed to write a layer")]
    Write(#[source] io::Error),
}

fn count(paths: &[String]) -> String {
    match paths.len() {
        1 => "one file".to_owned(),
        many => format!("{many} files"),
    }
}
