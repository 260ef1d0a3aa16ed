//! Ways out of the store: an OCI layout, a docker archive, an engine.

use std::{fmt, fs, path::PathBuf, str::FromStr};

use anyhow::anyhow;

/// A place to write the image to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// `oci:DIR`, an OCI image layout.
    Layout(PathBuf),
    /// `docker-archive:FILE`, what `docker load` takes.
    Archive(PathBuf),
}

impl FromStr for Output {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.split_once(':') {
            Some(("oci", dir)) if !dir.is_empty() => Ok(Self::Layout(dir.into())),
            Some(("docker-archive", file)) if !file.is_empty() => Ok(Self::Archive(file.into())),
            _ => Err(anyhow!("`{text}` is not `oci:DIR` or `docker-archive:FILE`")),
        }
    }
}

impl Output {
    /// Whether something else is where it is to be: said before the build, not after it.
    pub fn check(&self) -> anyhow::Result<()> {
        let (path, wrong) = match self {
            Self::Layout(dir) => (dir, fs::metadata(dir).is_ok_and(|meta| !meta.is_dir()).then_some("a folder")),
            Self::Archive(file) => (file, fs::metadata(file).is_ok_and(|meta| !meta.is_file()).then_some("a file")),
        };
        match wrong {
            Some(kind) => Err(anyhow!("`{}` is there already and is not {kind}", path.display())),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(dir) => write!(f, "oci:{}", dir.display()),
            Self::Archive(file) => write!(f, "docker-archive:{}", file.display()),
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
        assert_eq!(
            check(format!("oci:{path}/file")),
            Err(format!("`{path}/file` is there already and is not a folder"))
        );
        assert_eq!(
            check(format!("docker-archive:{path}")),
            Err(format!("`{path}` is there already and is not a file"))
        );
        let device = "`/dev/null` is there already and is not a file".to_owned();
        assert_eq!(check("docker-archive:/dev/null".to_owned()), Err(device));
    }
}
