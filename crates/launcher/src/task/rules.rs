//! What the tuning kit asks of a path, found out before it does.
//!
//! The rules are those of `mindpet` 1.0.4, the open successor of the tuning kit: absolute, no `..` or quotes, not a link
//! itself, and letters, digits, `/`, `-`, `_` and blanks alone in the real path, plus `.` where it is a file's. Wider modes
//! than 0750 and another owner are refused for the boot file, and no more than warned of elsewhere, as it is called with
//! `--quiet`.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// Bits of a mode that the tuning kit takes for a risk.
const RISKY: u32 = 0o027;

/// Bytes of the largest file that it reads itself.
const MAX_FILE: u64 = 10 << 20;

/// What a path is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder that can be read.
    Folder,
    /// The Python file that is started.
    Boot,
    /// A YAML file, of which the tuning kit sees a copy.
    Config,
}

/// Says what is wrong with the characters of a path that is to hold files, or is to be one.
pub fn characters(path: &str, is_file: bool) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err("is not an absolute path: write it from `/` on".to_owned());
    }
    if path.contains("..") || path.to_ascii_lowercase().contains("%2e") {
        return Err("has `..` in it, which the tuning kit refuses: write the path that is meant".to_owned());
    }
    let allowed = |it: char| it.is_ascii_alphanumeric() || "/-_ ".contains(it) || (is_file && it == '.');
    match path.chars().find(|it| !allowed(*it)) {
        None => Ok(()),
        Some(bad) => {
            let dot = if is_file { "`.`, " } else { "" };
            Err(format!(
                "has {bad:?} in it, which the tuning kit refuses: rename it to letters, digits, {dot}`-`, `_` and blanks"
            ))
        }
    }
}

/// Checks a path that has to be there. Gives it, or what is wrong with it.
pub fn existing(path: &str, kind: Kind) -> Result<PathBuf, String> {
    let is_file = kind != Kind::Folder;
    match kind {
        Kind::Config if path.starts_with('/') => {}
        _ => characters(path, is_file)?,
    }
    let path = PathBuf::from(path);
    let metadata = path.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "does not exist: is it mounted, and typed as it is called there?".to_owned(),
        _ => format!("can't be looked at: {error}"),
    })?;
    if kind != Kind::Config {
        itself(&path, is_file)?;
    }
    if is_file != metadata.is_file() || is_file == metadata.is_dir() {
        return Err(if is_file { "is not a file" } else { "is not a folder" }.to_owned());
    }
    let endings = match kind {
        Kind::Folder => &[][..],
        Kind::Boot => &[".py"],
        Kind::Config => &[".yaml", ".yml"],
    };
    if is_file && !endings.iter().any(|it| path.as_os_str().as_encoded_bytes().ends_with(it.as_bytes())) {
        return Err(format!("is not a {} file, which the tuning kit wants", endings.join(" or ")));
    }
    if is_file && metadata.len() > MAX_FILE {
        return Err("is larger than 10 MiB, which the tuning kit refuses".to_owned());
    }
    let wanted = if is_file { AccessFlags::R_OK } else { AccessFlags::R_OK | AccessFlags::X_OK };
    let add = if is_file { "r" } else { "rx" };
    access(&path, wanted).map_err(|error| {
        format!("can't be read by uid {}: {error}; let it by `chmod u+{add}` or change its owner", uid())
    })?;
    Ok(path)
}

/// Checks a folder that can be made where it is missing, and then be written to. Gives it, or what is wrong with it.
pub fn writable(value: &str, is_of_tool: bool) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    let nearest = path.ancestors().find(|it| it.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    if !value.starts_with('/') {
        return Err("is not an absolute path: write it from `/` on".to_owned());
    }
    if is_of_tool {
        characters(value, false)?;
        if let Some(real) = nearest.canonicalize().ok().as_deref().and_then(Path::to_str) {
            characters(real, false).map_err(|why| format!("leads to `{real}`, which {why}"))?;
        }
    }
    let what = nearest.display();
    if !nearest.is_dir() {
        return Err(format!("can't be a folder: `{what}` is none"));
    }
    access(nearest, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|error| format!("can't be written to: `{what}`: {error}"))?;
    Ok(path)
}

/// Where the path really leads.
fn itself(path: &Path, is_file: bool) -> Result<(), String> {
    let real = path.canonicalize().map_err(|error| format!("can't be looked at: {error}"))?;
    if path.is_symlink() {
        return Err(format!("is a link, which the tuning kit refuses: name `{}` instead", real.display()));
    }
    let text = real.to_str().ok_or("leads to a path that is not UTF-8")?;
    characters(text, is_file).map_err(|why| format!("leads to `{text}`, which {why}"))
}

/// What the tuning kit takes for a risk in the mode or the owner of a path.
pub fn risk(path: &Path) -> Option<String> {
    let metadata: Metadata = path.metadata().ok()?;
    let mode = metadata.mode() & 0o777;
    if mode & RISKY != 0 {
        let wanted = mode & !RISKY;
        return Some(format!("has mode {mode:04o}, and the tuning kit wants 0750 at most: `chmod {wanted:04o}` it"));
    }
    let owner = metadata.uid();
    (owner != uid())
        .then(|| format!("belongs to uid {owner} and not to {}, as the tuning kit wants: `chown` it", uid()))
}

fn uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_folders_and_files() {
        for (path, is_file, expected) in [
            ("/home/ma-user/a_b c/D9", false, ""),
            ("/a/train.py", true, ""),
            ("a/b", false, "is not an absolute path"),
            ("", false, "is not an absolute path"),
            ("/a/v1.0", false, "has '.' in it"),
            ("/a/../b", true, "has `..` in it"),
            ("/a/%2E%2e/b", true, "has `..` in it"),
            ("/a/b+c", false, "has '+' in it"),
            ("/数据", false, "has '数' in it"),
            ("/a\nb", true, "has '\\n' in it"),
        ] {
            let said = characters(path, is_file).err().unwrap_or_default();
            assert!(if expected.is_empty() { said.is_empty() } else { said.starts_with(expected) }, "{path}: {said}");
        }
    }

    #[test]
    fn risks() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, expected) in
            [(0o750, None), (0o640, None), (0o644, Some("`chmod 0640` it")), (0o770, Some("`chmod 0750` it"))]
        {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let said = risk(file.path());
            assert_eq!(said.is_some(), expected.is_some(), "{mode:o}");
            assert!(said.is_none_or(|it| it.ends_with(expected.unwrap_or_default())));
        }
    }
}
