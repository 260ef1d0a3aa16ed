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
    terminal::{
        hints,
        progress::Progress,
        report::{self, WithHint},
        shell,
    },
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

    /// The path from the root, links that are there followed.
    fn place(&self) -> PathBuf {
        let path = std::path::absolute(self.path()).unwrap_or_else(|_| self.path().to_owned());
        let real = |above: &Path| Some(fs::canonicalize(above).ok()?.join(path.strip_prefix(above).ok()?));
        path.ancestors().find_map(real).unwrap_or_else(|| path.clone())
    }

    /// What keeps it from being written.
    fn check(&self) -> anyhow::Result<()> {
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
        let BuiltImage { record, built, elsewhere, .. } = image;
        let source = Fallback { store, other: *elsewhere };
        let new: Vec<&Path> = self.path().ancestors().take_while(|path| !path.exists()).collect();
        let written = match self {
            Self::Layout(dir) => {
                write_layout(&built.image, &source, dir, record.tag.as_str()).map(Some).map_err(Into::into)
            }
            Self::Archive(file) => {
                write_archive(&built.image, &source, file, &record.name()).map(|()| None).map_err(Into::into)
            }
            Self::Context(dir) => context::write(image, store, dir).map(|()| None),
        };
        written.with_context(|| format!("failed to write `{self}`")).map_err(|error| {
            // Each only if it is empty.
            new.iter().for_each(|folder| drop(fs::remove_dir(folder)));
            record.explained(self.on_full_disk(error), store)
        })
    }

    /// The error, with a hint where its disk is full. An error of the store's has its own.
    fn on_full_disk(&self, error: anyhow::Error) -> anyhow::Error {
        let of_store = report::causes(&error).into_iter().any(|cause| hints::of_store(cause).is_some());
        let is_full = !of_store && error.chain().filter_map(|cause| cause.downcast_ref()).any(oci_image::is_full);
        let hint =
            is_full.then(|| format!("free disk space where `{}` is, or name another path", self.path().display()));
        report::hinted_if(error, hint)
    }
}

/// All that keeps these outputs from being written, said before the build and not after it.
pub fn check(outputs: &[Output]) -> anyhow::Result<()> {
    let mut obstacles: Vec<anyhow::Error> = outputs.iter().filter_map(|output| output.check().err()).collect();
    for (number, one) in outputs.iter().enumerate() {
        for other in &outputs[..number] {
            let (path, above) = (one.place(), other.place());
            if path.starts_with(&above) || above.starts_with(&path) {
                let message = anyhow!("`{other}` and `{one}` would be written one into the other");
                obstacles.push(report::hinted(message, "give each a folder of its own"));
            }
        }
    }
    report::all(obstacles)
}

/// Loads the image into an engine, which may have its base.
pub fn load(
    image: &BuiltImage<'_>,
    store: &Store,
    program: &'static str,
    has_base: bool,
    progress: &Progress,
) -> anyhow::Result<()> {
    let source = Fallback { store, other: image.elsewhere };
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
    use std::io;

    use expect_test::expect;
    use oci_image::{LayerError, StoreError};

    use super::*;

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
    fn a_full_disk_is_told_with_the_path_on_it() {
        let output: Output = "oci:/media/stick".parse().unwrap();
        let said = |kind: io::ErrorKind| {
            // As temporary files tell it.
            let error = io::Error::new(kind, anyhow!("at a path").into_boxed_dyn_error());
            report::render(&output.on_full_disk(anyhow!(error).context("failed to write `oci:/media/stick`")))
        };
        let hint = "hint: free disk space where `/media/stick` is, or name another path\n";
        assert!(said(io::ErrorKind::StorageFull).ends_with(hint));
        assert!(!said(io::ErrorKind::PermissionDenied).contains("hint"));
        // Layers of a build context are made in the store.
        let full =
            StoreError::Io { action: "write to", path: "/store".into(), source: io::ErrorKind::StorageFull.into() };
        let of_store = report::render(&output.on_full_disk(LayerError::Store(full).into()));
        assert!(of_store.contains("--store DIR") && !of_store.contains("/media/stick"), "{of_store}");
    }

    /// The second build found the first's layout changed, or lost it.
    #[test]
    fn outputs_do_not_lie_in_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        let said = |outputs: &[&str]| {
            let parsed: Vec<Output> = outputs.iter().map(|text| text.replace("PATH", &path).parse().unwrap()).collect();
            check(&parsed).err().map(|error| report::render(&error).replace(&path, "PATH")).unwrap_or_default()
        };
        assert_eq!(said(&["oci:PATH/a", "oci:PATH/a-b", "docker-archive:PATH/a.tar"]), "");
        let table = [
            said(&["oci:PATH/a", "context:PATH/a/b"]),
            said(&["context:PATH/link/a/b", "oci:PATH/a"]),
            said(&["oci:PATH/a", "context:PATH/a"]),
        ];
        expect![[r#"
            error: `oci:PATH/a` and `context:PATH/a/b` would be written one into the other
            hint: give each a folder of its own
            error: `context:PATH/link/a/b` and `oci:PATH/a` would be written one into the other
            hint: give each a folder of its own
            error: `oci:PATH/a` and `context:PATH/a` would be written one into the other
            hint: give each a folder of its own
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
