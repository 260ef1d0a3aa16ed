//! What is done to one file of the host, and undone again.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, ensure};
use file_edit::{Original, Splice, apply, create, json::Json, unified_diff};

use super::{hosts, options};
use crate::terminal::report::WithHint;

/// 4 MiB: hosts files that block advertisers reach some megabytes.
pub const LIMIT: usize = 4 << 20;

/// The key of docker's own file.
pub const KEY: &str = "insecure-registries";

/// What a file is to say.
#[derive(Debug, Clone)]
pub enum Edit {
    /// docker's own file names the insecure registry.
    Daemon { host: String },
    /// A variable of options does.
    Options { variable: String, host: String },
    /// The hosts file has the names at the address; without one they can only be taken out.
    Hosts { ip: Option<IpAddr>, names: Vec<String> },
}

impl Edit {
    fn apply(&self, old: &[u8]) -> anyhow::Result<Vec<Splice>> {
        Ok(match self {
            Self::Daemon { host } => {
                let json = Json::parse(old, "    ")?;
                let there = json.strings(&[KEY])?.unwrap_or_default().contains(host);
                if there { Vec::new() } else { vec![json.push(&[KEY], host)?] }
            }
            Self::Options { variable, host } => {
                let splices: Vec<Splice> = options::set(text(old)?, variable, host).into_iter().collect();
                let value = options::value(text(&apply(old, &splices))?, variable).unwrap_or_default();
                ensure!(options::names(&value, Some(host)), "`{variable}` is written in a way that is not understood");
                splices
            }
            Self::Hosts { ip: None, .. } => Vec::new(),
            Self::Hosts { ip: Some(ip), names } => hosts::set(old, *ip, names)
                .hint("if that line is wrong, remove it; only lines marked `# fmtk` are changed")?,
        })
    }

    /// Takes out what [`Edit::apply`] puts in, but not what `before` had already.
    fn take_out(&self, now: &[u8], before: &[u8]) -> anyhow::Result<Vec<Splice>> {
        Ok(match self {
            Self::Daemon { host } => {
                let old = Json::parse(before, "    ")?.strings(&[KEY])?;
                let had = old.as_ref().is_some_and(|old| old.contains(host));
                let splice = if had { None } else { Json::parse(now, "    ")?.remove(&[KEY], host, old.is_none())? };
                splice.into_iter().collect()
            }
            Self::Options { variable, host } => {
                let had = options::value(text(before)?, variable).is_some_and(|old| options::names(&old, Some(host)));
                let splice = if had { None } else { options::unset(text(now)?, variable, host) };
                splice.into_iter().collect()
            }
            Self::Hosts { names, .. } => hosts::unset(now, names),
        })
    }

    /// Whether nothing is left in a file that was made for it.
    fn is_nothing(&self, text: &[u8]) -> bool {
        match self {
            Self::Daemon { .. } => Json::parse(text, "").is_ok_and(|json| json.is_empty()),
            _ => text.trim_ascii().is_empty(),
        }
    }
}

/// The change that makes one text of another: lines that begin and end both stay, so that a diff does not show them.
fn between(now: &[u8], before: &[u8]) -> Splice {
    let same = |one: &mut dyn Iterator<Item = &u8>, other: &mut dyn Iterator<Item = &u8>| {
        one.zip(other).take_while(|(one, other)| one == other).count()
    };
    let start = same(&mut now.iter(), &mut before.iter());
    let start = now[..start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = same(&mut now[start..].iter().rev(), &mut before[start..].iter().rev());
    let end = now[now.len() - end..].iter().position(|byte| *byte == b'\n').map_or(0, |at| end - at - 1);
    Splice { range: start..now.len() - end, text: before[start..before.len() - end].to_vec() }
}

fn text(bytes: &[u8]) -> anyhow::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| anyhow!("it is not UTF-8"))
}

/// What is to be done to one file.
pub struct Change {
    path: PathBuf,
    original: Option<Original>,
    splices: Vec<Splice>,
    /// The file as it was before the first run, which left it beside it; empty where there was none.
    backup: Option<PathBuf>,
    /// Whether the file becomes what it was, so that the backup goes, and with it a file that was not there.
    restores: bool,
}

/// The start of the name of a file's backups.
fn backup_name(path: &Path) -> String {
    format!("{}.fmtk-backup-", path.file_name().unwrap_or_default().to_string_lossy())
}

fn find_backup(path: &Path) -> Option<PathBuf> {
    let start = backup_name(path);
    let entries = fs::read_dir(path.parent()?).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_backup = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start));
    entries.filter(is_backup).min()
}

impl Change {
    /// What makes the file say it.
    pub fn plan(path: &Path, edit: &Edit) -> anyhow::Result<Self> {
        let original = Original::find(path, LIMIT)?;
        let old = original.as_ref().map_or(&[][..], |original| &original.bytes);
        let splices = edit.apply(old).with_context(|| format!("can't change `{}`", path.display()))?;
        Ok(Self { path: path.to_owned(), original, splices, backup: find_backup(path), restores: false })
    }

    /// What takes our part out again. Where nobody else has changed the file since, it becomes what it was before.
    pub fn undo(path: &Path, edit: &Edit) -> anyhow::Result<Self> {
        let backup = find_backup(path);
        let before = backup.as_deref().map(|backup| Original::read(backup, LIMIT)).transpose()?.map(|it| it.bytes);
        let mut change = Self {
            path: path.to_owned(),
            original: Original::find(path, LIMIT)?,
            splices: Vec::new(),
            backup,
            restores: false,
        };
        let Some(Original { bytes: now, .. }) = &change.original else { return Ok(change) };
        let doing = || format!("can't change `{}`", path.display());
        let take_out = |before: &[u8]| edit.take_out(now, before).with_context(doing);
        change.splices = match &before {
            Some(before) => take_out(before)?,
            // No run of ours changed it, or the backup is gone; marked lines are ours all the same.
            None if matches!(edit, Edit::Hosts { .. }) => take_out(b"")?,
            None => Vec::new(),
        };
        let new = apply(now, &change.splices);
        let is_as_before = |before: &Vec<u8>| {
            let again =
                || edit.apply(before).is_ok_and(|splices| !splices.is_empty() && apply(before, &splices) == *now);
            // The line end that the last line lacked came with ours.
            new.trim_ascii_end() == before.trim_ascii_end() || (before.is_empty() && edit.is_nothing(&new)) || again()
        };
        if let Some(before) = before.filter(is_as_before) {
            change.splices = if before == *now { Vec::new() } else { vec![between(now, &before)] };
            change.restores = true;
        }
        Ok(change)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anything is to be done.
    pub fn is_needed(&self) -> bool {
        !self.splices.is_empty()
    }

    /// Files that go: this one, if it was made by us, and what an earlier run left beside it.
    pub fn removes(&self) -> impl Iterator<Item = &Path> {
        let backup = self.backup.as_deref().filter(|_| self.restores);
        Some(self.path()).filter(|_| self.is_removed()).into_iter().chain(backup)
    }

    /// Whether nothing is left of the file.
    fn is_removed(&self) -> bool {
        let original = self.original.as_ref().filter(|_| self.restores);
        original.is_some_and(|original| apply(&original.bytes, &self.splices).is_empty())
    }

    /// The change as a unified diff.
    pub fn diff(&self) -> String {
        let old = self.original.as_ref().map_or(&[][..], |original| &original.bytes);
        let target = self.original.as_ref().map_or(&*self.path, |original| &original.target);
        String::from_utf8_lossy(&unified_diff(&file_edit::name_in_diff(&self.path, target), old, &self.splices))
            .into_owned()
    }

    /// Whether [`Change::write`] may do its work, as far as that can be known before.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(original) = &self.original {
            return Ok(original.check_writable()?);
        }
        let folder = self.path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let made = tempfile::tempfile_in(folder);
        made.map(drop).with_context(|| format!("can't write to the folder `{}`; nothing was changed", folder.display()))
    }

    /// Writes it, with a backup beside the file unless there is one: `stamp` ends its name.
    pub fn write(&self, stamp: &str, undo: bool) -> anyhow::Result<()> {
        let doing = |path: &Path| format!("failed to write `{}`", path.display());
        let backup = self.path.with_file_name(backup_name(&self.path) + stamp);
        match &self.original {
            Some(original) if self.is_removed() => match fs::remove_file(&original.target) {
                // A mount point can't be removed.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => original.replace(b"", None)?,
                removed => removed.with_context(|| doing(&original.target))?,
            },
            Some(original) => {
                let backup = (!undo && self.backup.is_none()).then_some(&*backup);
                original.replace(&apply(&original.bytes, &self.splices), backup)?;
            }
            None => {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder).with_context(|| doing(folder))?;
                }
                create(&self.path, &apply(b"", &self.splices), 0o644)?;
                if self.backup.is_none() {
                    fs::write(&backup, "").with_context(|| doing(&backup))?;
                }
            }
        }
        if let Some(path) = self.backup.as_deref().filter(|_| self.restores) {
            fs::remove_file(path).with_context(|| format!("failed to remove `{}`", path.display()))?;
        }
        Ok(())
    }
}
