//! An image that a command is about: one of the store, or any that a reference names.

use std::{iter, path::Path};

use anyhow::anyhow;
use image_name::{Digest, ImageRef};
use oci_image::{BlobSource, Descriptor, ImageConfig, Store};
use serde_json::Value;

use crate::{
    options::RegistryArgs,
    recipe::Recipe,
    record::{self, BuildRecord},
    resolve::base::{self, Fallback, OpenImage},
    ship::lazy::Elsewhere,
    terminal::{
        progress::Progress,
        report::{self, WithHint},
    },
};

/// An image, and where its blobs are.
pub enum Subject {
    /// One that was built here.
    Built { record: Box<BuildRecord>, config: Box<ImageConfig> },
    /// Any other.
    Other { reference: ImageRef, opened: Box<OpenImage> },
}

impl Subject {
    /// The image that is meant by a tag or timestamp of the store, a reference, a layout's folder or an archive.
    pub fn find(
        name: &str,
        args: &RegistryArgs,
        recipe: &Recipe,
        store: &Store,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        if let Some(record) = BuildRecord::named(store, name)? {
            if name.contains('/') {
                progress.line(&format!(
                    "showing `{name}` from the store; to inspect the one in the registry, put its host in front"
                ));
            }
            return Self::built(record, store);
        }
        let reference: ImageRef = guessed(name)
            .map_or_else(|| name.parse(), Ok)
            .or_else(|error| Err(unknown(name, error.into(), &record::all(store)?)))
            .input()?;
        let opened = base::open(&reference, args, &recipe.registry, store, progress)?.into();
        Ok(Self::Other { reference, opened })
    }

    /// The image of this record.
    pub fn built(record: BuildRecord, store: &Store) -> anyhow::Result<Self> {
        let config = store.read_blob(&record.config.digest, record.config.size).hint(record.again())?;
        Ok(Self::Built { record: record.into(), config: ImageConfig::parse(&config)?.into() })
    }

    pub fn name(&self) -> String {
        match self {
            Self::Built { record, .. } => record.name(),
            Self::Other { reference, .. } => reference.to_string(),
        }
    }

    pub fn digest(&self) -> Digest {
        match self {
            Self::Built { record, .. } => record.digest,
            Self::Other { opened, .. } => opened.base.manifest_digest,
        }
    }

    pub fn media_type(&self) -> &str {
        match self {
            Self::Built { record, .. } => &record.media_type,
            Self::Other { opened, .. } => opened.base.format.manifest(),
        }
    }

    pub fn config(&self) -> &ImageConfig {
        match self {
            Self::Built { config, .. } => config,
            Self::Other { opened, .. } => &opened.base.config,
        }
    }

    /// Digest and bytes of the config.
    pub fn config_blob(&self) -> (Digest, u64) {
        match self {
            Self::Built { record, .. } => (record.config.digest, record.config.size),
            Self::Other { opened, .. } => {
                let bytes = &opened.base.config_bytes;
                (Digest::of(bytes), bytes.len() as u64)
            }
        }
    }

    /// The layers, bottom first, each with what it is.
    pub fn layers(&self) -> Vec<(&Descriptor, String)> {
        match self {
            Self::Built { record, .. } => {
                record.layers.iter().map(|layer| (&layer.blob, layer.content.clone())).collect()
            }
            Self::Other { opened, .. } => {
                let comments = layer_comments(&opened.base.config).into_iter();
                opened.base.layers.iter().zip(comments.chain(iter::repeat(String::new()))).collect()
            }
        }
    }

    /// Has `read` read from the image's blobs.
    pub fn with_blobs<T>(
        &self,
        args: &RegistryArgs,
        recipe: &Recipe,
        store: &Store,
        progress: &Progress,
        read: impl FnOnce(&dyn BlobSource) -> T,
    ) -> T {
        match self {
            Self::Built { record, .. } => {
                let elsewhere = Elsewhere::new(record, args, &recipe.registry, store, progress);
                read(&Fallback { store, other: &elsewhere })
            }
            Self::Other { opened, .. } => read(&**opened),
        }
    }
}

/// What the history says of each layer, bottom first.
pub fn layer_comments(config: &ImageConfig) -> Vec<String> {
    let history = config.get("history").and_then(Value::as_array);
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    history
        .into_iter()
        .flatten()
        .filter(|entry| entry.get("empty_layer") != Some(&Value::Bool(true)))
        .map(|entry| text(entry, "comment").or_else(|| text(entry, "created_by")).unwrap_or_default())
        .collect()
}

/// A folder and an archive are told by what lies there.
fn guessed(subject: &str) -> Option<ImageRef> {
    let path = Path::new(subject);
    if path.join("oci-layout").is_file() {
        return Some(ImageRef::Layout { dir: path.to_owned(), tag: None });
    }
    let named = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"].iter().any(|end| subject.ends_with(end));
    let archive = path.is_file() || named;
    // `docker-archive:image.tar` is not a file of that name.
    (archive && !subject.contains(':')).then(|| ImageRef::Archive(path.to_owned()))
}

/// None of the above. What looks like the name of an image of the store was meant as one.
fn unknown(subject: &str, error: anyhow::Error, built: &[BuildRecord]) -> anyhow::Error {
    if record::closest_name(subject, built).is_some() || !subject.contains([':', '/']) {
        return report::hinted(anyhow!("no image `{subject}` in the store"), record::meant(subject, built));
    }
    error.context(format!("`{subject}` is neither a wheel nor an installer nor an image of the store nor a reference"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::expect;

    use super::*;

    /// A tag with a digit too few was answered with the syntax of references.
    #[test]
    fn an_image_that_is_not_in_the_store_is_told_what_is() {
        let said =
            |subject: &str| report::render(&unknown(subject, subject.parse::<ImageRef>().unwrap_err().into(), &[]));
        expect![[r#"
            error: no image `py_3.9-d910-2022102818132` in the store
            hint: nothing has been built yet: run `cargo xtask image`
        "#]]
        .assert_eq(&said("py_3.9-d910-2022102818132"));
        // What was meant as a reference is still told how one is written.
        assert!(said("org/repo:tag").contains("write `HOST/org/repo:tag`"), "{}", said("org/repo:tag"));
    }

    #[test]
    fn a_layout_and_an_archive_need_no_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("layout");
        fs::create_dir(&layout).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        assert_eq!(guessed(&path(&layout)), None);
        fs::write(layout.join("oci-layout"), "{}").unwrap();
        assert_eq!(guessed(&path(&layout)), Some(ImageRef::Layout { dir: layout.clone(), tag: None }));
        let archive = folder.path().join("saved");
        fs::write(&archive, "").unwrap();
        assert_eq!(guessed(&path(&archive)), Some(ImageRef::Archive(archive)));
        // Not there: the error shall name the file, not the registry `missing.tar`.
        for missing in ["missing.tar", "missing.tar.gz"] {
            assert_eq!(guessed(missing), Some(ImageRef::Archive(missing.into())));
        }
        for other in ["docker-archive:missing.tar", "registry.example/a/b.tar:1", "podman:a", "a/b"] {
            assert_eq!(guessed(other), None, "{other}");
        }
    }
}
