//! What an image is written as: an OCI layout, a docker archive, a build context, an engine.

use std::{fmt, fs, path::PathBuf, str::FromStr};

use anyhow::{Context, anyhow};
use oci_image::{Store, write_archive, write_layout};

use crate::{
    engine::{self, EngineCommand},
    resolve::base::Fallback,
    ship::{built_image::BuiltImage, context},
    terminal::progress::Progress,
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
    pub fn write(&self, image: &BuiltImage<'_>, store: &Store) -> anyhow::Result<()> {
        let BuiltImage { record, built, opened, .. } = image;
        let source = Fallback { store, other: *opened };
        let written = match self {
            Self::Layout(dir) => write_layout(&built.image, &source, dir, record.tag.as_str()).map_err(Into::into),
            Self::Archive(file) => write_archive(&built.image, &source, file, &record.name()).map_err(Into::into),
            Self::Context(dir) => context::write(image, store, dir),
        };
        written.with_context(|| format!("failed to write `{self}`")).map_err(|error| record.explained(error, store))
    }
}

/// Loads the image into an engine, which may have its base.
pub fn load(
    image: &BuiltImage<'_>,
    store: &Store,
    program: &'static str,
    has_base: bool,
    progress: &Progress,
) -> anyhow::Result<()> {
    let source = Fallback { store, other: image.opened };
    let (way, name) = (EngineCommand::plain(program), image.record.name());
    let there = if has_base { image.opened.base.layers.len() } else { 0 };
    let loaded = engine::load_upon(there, &way, &image.built.image, &source, &name, progress);
    loaded.map(drop).map_err(|error| image.record.explained(error, store))
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
        let wrong = |output: &str| {
            let output = output.replace("PATH", &path.to_string());
            let error = output.parse::<Output>().unwrap().check().err()?;
            Some(error.to_string().replace(&path.to_string(), "PATH"))
        };
        for output in
            ["docker-archive:PATH/file", "docker-archive:PATH/new", "oci:PATH", "oci:PATH/new", "context:PATH/new/er"]
        {
            assert_eq!(wrong(output), None, "{output}");
        }
        for (output, expected) in [
            ("oci:PATH/file", "`PATH/file` is there already and is not a folder"),
            ("context:PATH/file", "`PATH/file` is there already and is not a folder"),
            ("context:PATH", "`PATH` is there already and is not a build context that fmtk wrote: `file` is in it"),
            ("docker-archive:PATH", "`PATH` is there already and is not a file"),
            ("docker-archive:/dev/null", "`/dev/null` is there already and is not a file"),
        ] {
            assert_eq!(wrong(output).as_deref(), Some(expected), "{output}");
        }
    }

    #[test]
    fn every_output_prints_as_it_was_written() {
        for text in ["oci:a/b", "docker-archive:/x.tar", "context:a b"] {
            assert_eq!(text.parse::<Output>().unwrap().to_string(), text);
        }
        for text in ["", "context:", "dir:x", "oci"] {
            let error = text.parse::<Output>().unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is not `oci:DIR`, `docker-archive:FILE` or `context:DIR`"));
        }
    }
}
