//! Ways out of the store: an OCI layout, a docker archive, a build context, an engine.

use std::{fmt, fs, path::PathBuf, str::FromStr};

use anyhow::{Context, anyhow};
use oci_image::Store;

use crate::{
    engine::{self, Way},
    resolve::base::Fallback,
    ship::{context, made::Made},
};

/// A place to write the image to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// `oci:DIR`, an OCI image layout.
    Layout(PathBuf),
    /// `docker-archive:FILE`, what `docker load` takes.
    Archive(PathBuf),
    /// `context:DIR`, what `docker build` takes.
    Context(PathBuf),
}

impl FromStr for Output {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.split_once(':') {
            Some(("oci", dir)) if !dir.is_empty() => Ok(Self::Layout(dir.into())),
            Some(("docker-archive", file)) if !file.is_empty() => Ok(Self::Archive(file.into())),
            Some(("context", dir)) if !dir.is_empty() => Ok(Self::Context(dir.into())),
            _ => Err(anyhow!("`{text}` is not `oci:DIR`, `docker-archive:FILE` or `context:DIR`")),
        }
    }
}

impl Output {
    /// Whether something else is where it is to be: said before the build, not after it.
    pub fn check(&self) -> anyhow::Result<()> {
        let (path, wrong) = match self {
            Self::Layout(dir) => (dir, fs::metadata(dir).is_ok_and(|meta| !meta.is_dir()).then_some("a folder")),
            Self::Archive(file) => (file, fs::metadata(file).is_ok_and(|meta| !meta.is_file()).then_some("a file")),
            Self::Context(dir) => return context::check(dir),
        };
        match wrong {
            Some(kind) => Err(anyhow!("`{}` is there already and is not {kind}", path.display())),
            None => Ok(()),
        }
    }

    /// Writes the image, whole or not at all.
    pub fn write(&self, made: &Made<'_>, store: &Store) -> anyhow::Result<()> {
        let source = Fallback { store, other: made.opened };
        let image = &made.built.image;
        let written = match self {
            Self::Layout(dir) => oci_image::write_layout(image, &source, dir, made.tag.as_str()).map_err(Into::into),
            Self::Archive(file) => oci_image::write_archive(image, &source, file, &made.name).map_err(Into::into),
            Self::Context(dir) => context::write(made, store, dir),
        };
        written.with_context(|| format!("failed to write `{self}`")).map_err(|error| made.explained(error, store))
    }
}

/// Loads the image into an engine.
pub fn load(made: &Made<'_>, store: &Store, program: &'static str) -> anyhow::Result<()> {
    let source = Fallback { store, other: made.opened };
    let loaded = engine::load(&Way::plain(program), &made.built.image, &source, &made.name);
    loaded.map(drop).map_err(|error| made.explained(error, store))
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(dir) => write!(f, "oci:{}", dir.display()),
            Self::Archive(file) => write!(f, "docker-archive:{}", file.display()),
            Self::Context(dir) => write!(f, "context:{}", dir.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        fs::write(folder.path().join("file"), "").unwrap();
        let check = |text: String| text.parse::<Output>().unwrap().check().map_err(|error| error.to_string());
        assert_eq!(check(format!("docker-archive:{path}/file")), Ok(()));
        assert_eq!(check(format!("docker-archive:{path}/new")), Ok(()));
        assert_eq!(check(format!("oci:{path}")), Ok(()));
        assert_eq!(check(format!("oci:{path}/new")), Ok(()));
        assert_eq!(check(format!("context:{path}/new/er")), Ok(()));
        assert_eq!(
            check(format!("oci:{path}/file")),
            Err(format!("`{path}/file` is there already and is not a folder"))
        );
        assert_eq!(
            check(format!("context:{path}/file")),
            Err(format!("`{path}/file` is there already and is not a folder"))
        );
        assert_eq!(
            check(format!("context:{path}")),
            Err(format!("`{path}` is there already and is no build context that fmtk wrote: `file` is in it"))
        );
        assert_eq!(
            check(format!("docker-archive:{path}")),
            Err(format!("`{path}` is there already and is not a file"))
        );
        let device = "`/dev/null` is there already and is not a file".to_owned();
        assert_eq!(check("docker-archive:/dev/null".to_owned()), Err(device));
    }

    #[test]
    fn every_way_out_prints_as_it_was_written() {
        for text in ["oci:a/b", "docker-archive:/x.tar", "context:a b"] {
            assert_eq!(text.parse::<Output>().unwrap().to_string(), text);
        }
        for text in ["", "context:", "dir:x", "oci"] {
            assert!(text.parse::<Output>().is_err(), "{text}");
        }
    }
}
