//! `push --app-config`: the job's app_config gets the image's address, and nothing else of it changes.

mod place;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::Context;
use file_edit::{Original, Splice, apply, unified_diff};

use crate::terminal::report::WithHint;

/// 1 MiB: a thousand times what a real one has.
const LIMIT: usize = 1 << 20;

/// What is to be done to one app_config.
pub struct Planned {
    path: PathBuf,
    original: Original,
    change: Option<Splice>,
}

/// Finds the place of `scenario.modelarts.user_image_url` in the file and the change that sets it; writes nothing.
/// A file in which it can't be set, or that can't be written, is an error of the input.
pub fn plan(path: &Path, url: &str) -> anyhow::Result<Planned> {
    let original = Original::read(path, LIMIT).input()?;
    let change = place::change(&original.bytes, url)
        .with_context(|| format!("can't set `user_image_url` in `{}`", path.display()))
        .hint("it has to be `scenario: {modelarts: {user_image_url: …}}`, each key once and the value on one line")
        .input()?;
    if change.is_some() {
        original.check_writable().input()?;
    }
    Ok(Planned { path: path.to_owned(), original, change })
}

impl Planned {
    /// Whether the file has another value yet.
    pub fn changes(&self) -> bool {
        self.change.is_some()
    }

    /// The change as a unified diff; empty where there is none.
    pub fn diff(&self) -> String {
        let name = file_edit::name_in_diff(&self.path, &self.original.target);
        String::from_utf8_lossy(&unified_diff(&name, &self.original.bytes, self.change.as_slice())).into_owned()
    }

    /// Replaces the file, whole or not at all.
    pub fn write(&self) -> anyhow::Result<()> {
        if let Some(change) = &self.change {
            self.original.replace(&apply(&self.original.bytes, std::slice::from_ref(change)), None)?;
        }
        Ok(())
    }
}
