//! What an image is written as: an OCI layout, a docker archive, a build context, an engine.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, anyhow};
use oci_image::{Digest, Store, check_layout, write_archive, write_layout};

use crate::{
    engine::{self, EngineCommand},
    resolve::base::Fallback,
    ship::{built_image::BuiltImage, context},
    terminal::{progress::Progress, report::WithHint, shell},
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
        let output = match text.split_once(':') {
            Some(("oci", dir)) if !dir.is_empty() => Self::Layout(dir.into()),
            Some(("docker-archive", file)) if !file.is_empty() => Self::Archive(file.into()),
            Some(("context", dir)) if !dir.is_empty() => Self::Context(dir.into()),
            _ => return Err(anyhow!("`{text}` is not `oci:DIR`, `docker-archive:FILE` or `context:DIR`")),
        };
        // Other tools take a name after the path. `oci:/a:b/c` is a path, as it is for a base.
        let path = output.path().to_string_lossy().into_owned();
        let file = path.rfind('/').map_or(0, |slash| slash + 1);
        match path[file..].find(':') {
            Some(colon) => {
                Err(anyhow!("`{text}` names an image after the path; the image is written under its own name"))
                    .hint(format!("write `{}`", &text[..text.len() - path.len() + file + colon]))
            }
            None => Ok(output),
        }
    }
}

impl Output {
    fn path(&self) -> &Path {
        let (Self::Layout(path) | Self::Archive(path) | Self::Context(path)) = self;
        path
    }

    /// What keeps it from being written, said before the build and not after it.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(above) =
            self.path().ancestors().skip(1).find(|above| above.exists()).filter(|above| !above.is_dir())
        {
            return Err(anyhow!("`{}` is not a folder", above.display())).hint("name another path");
        }
        match self {
            Self::Layout(dir) => check_layout(dir).hint("name a new or empty folder, or that of another layout"),
            Self::Archive(file) if fs::metadata(file).is_ok_and(|meta| !meta.is_file()) => {
                Err(anyhow!("`{}` exists already and is not a file", file.display())).hint("name another file")
            }
            Self::Archive(file) => match file.parent() {
                Some(folder) if folder != Path::new("") && !folder.exists() => {
                    Err(anyhow!("there is no folder `{}`", folder.display()))
                        .hint(format!("create it: `mkdir -p {}`", shell::word(folder.display())))
                }
                _ => Ok(()),
            },
            Self::Context(dir) => context::check(dir),
        }
    }

    /// Writes the image, whole or not at all. Gives the digest of its manifest there, where that has one.
    pub fn write(&self, image: &BuiltImage<'_>, store: &Store) -> anyhow::Result<Option<Digest>> {
        let BuiltImage { record, built, opened, .. } = image;
        let source = Fallback { store, other: *opened };
        let written = match self {
            Self::Layout(dir) => {
                write_layout(&built.image, &source, dir, record.tag.as_str()).map(Some).map_err(Into::into)
            }
            Self::Archive(file) => {
                write_archive(&built.image, &source, file, &record.name()).map(|()| None).map_err(Into::into)
            }
            Self::Context(dir) => context::write(image, store, dir).map(|()| None),
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
    use expect_test::expect;

    use super::*;
    use crate::terminal::report;

    /// Some were found only after the build, and one made a folder with a colon in its name.
    #[test]
    fn what_is_in_the_way_is_said_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        fs::write(folder.path().join("file"), "").unwrap();
        let said = |output: &str| {
            let output = output.replace("PATH", &path).parse::<Output>();
            let error = output.and_then(|output| output.check()).err()?;
            Some(report::render(&error).replace(&path, "PATH"))
        };
        for output in [
            "docker-archive:PATH/file",
            "docker-archive:PATH/new",
            "docker-archive:new",
            "oci:PATH/new/er",
            "oci:PATH/a:b/c",
            "context:PATH/new/er",
        ] {
            assert_eq!(said(output), None, "{output}");
        }
        let table = [
            "oci:PATH",
            "oci:PATH/file",
            "oci:PATH/file/x",
            "oci:PATH/new:1",
            "docker-archive:PATH",
            "docker-archive:/dev/null",
            "docker-archive:PATH/new folder/x.tar",
            "docker-archive:PATH/x.tar:name:1",
            "context:PATH",
            "context:PATH/file",
            "context:PATH/file/x",
        ]
        .map(|output| format!("# {output}\n{}", said(output).unwrap()));
        expect![[r#"
            # oci:PATH
            error: `PATH` is there already and is not an OCI image layout
            hint: name a new or empty folder, or that of another layout
            # oci:PATH/file
            error: `PATH/file` is there already and is not a folder
            hint: name a new or empty folder, or that of another layout
            # oci:PATH/file/x
            error: `PATH/file` is not a folder
            hint: name another path
            # oci:PATH/new:1
            error: `oci:PATH/new:1` names an image after the path; the image is written under its own name
            hint: write `oci:PATH/new`
            # docker-archive:PATH
            error: `PATH` exists already and is not a file
            hint: name another file
            # docker-archive:/dev/null
            error: `/dev/null` exists already and is not a file
            hint: name another file
            # docker-archive:PATH/new folder/x.tar
            error: there is no folder `PATH/new folder`
            hint: create it: `mkdir -p 'PATH/new folder'`
            # docker-archive:PATH/x.tar:name:1
            error: `docker-archive:PATH/x.tar:name:1` names an image after the path; the image is written under its own name
            hint: write `docker-archive:PATH/x.tar`
            # context:PATH
            error: `PATH` exists already and is not a build context that fmtk wrote: `file` is in it
            hint: name a new or empty folder
            # context:PATH/file
            error: `PATH/file` exists already and is not a folder
            hint: name a new or empty folder
            # context:PATH/file/x
            error: `PATH/file` is not a folder
            hint: name another path
        "#]]
        .assert_eq(&table.concat());
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
