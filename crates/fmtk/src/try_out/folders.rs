//! The folders of a job on this machine, as the platform gives them to its containers.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, lchown, symlink},
    path::Path,
};

use anyhow::{Context, bail};

use super::{
    network,
    plan::{CODE, EXAMPLE, Job},
    table::{self, ConfigMap},
};
use crate::{terminal::machine::is_root, try_out::Framework};

/// What is run where no command is given.
fn train(framework: Option<Framework>) -> &'static str {
    match framework {
        None => include_str!("train.py"),
        Some(Framework::Torch) => include_str!("train_torch.py"),
        Some(Framework::Mindspore) => include_str!("train_mindspore.py"),
    }
}

/// Removes the folders of a job that has not begun, and the output folder if that `is_new`.
pub fn remove(job: &Job, is_new: bool) {
    // The error that ended it is being told; what can't be removed is harmless.
    for node in &job.nodes {
        let _ = fs::remove_dir_all(job.folder(node));
    }
    let _ = fs::remove_file(job.hosts());
    if is_new {
        let _ = fs::remove_dir(&job.out);
        if let Some(above) = job.out.parent().filter(|above| above.ends_with("target/try")) {
            // Where nothing else was tried yet.
            let _ = fs::remove_dir(above);
        }
    }
}

/// Makes all folders, with the user's code or the example in them, and gives the folder of each node's rank table: none where
/// the job has no table.
pub fn create(job: &Job, code: Option<&Path>, framework: Option<Framework>) -> anyhow::Result<Vec<ConfigMap>> {
    let mut tables = Vec::new();
    for node in &job.nodes {
        let folder = job.folder(node);
        let own = job.on_host(node, CODE).context("the code has no folder on this machine")?;
        let shared = job.folders().iter().map(|(name, ..)| folder.join(name));
        shared.chain([folder.join("modelarts/log"), own.clone()]).try_for_each(|path| create_all(&path))?;
        match code {
            Some(code) => copy(code, &own)?,
            None => write(&own.join(EXAMPLE), train(framework))?,
        }
        for name in ["modelarts", "cache", "tmp"] {
            give(&folder.join(name), job)?;
        }
        mode(&folder.join("tmp"), 0o1777)?;
        if job.table {
            tables.push(ConfigMap::create(&folder.join("config"), &table::initializing())?);
        }
    }
    write(&job.hosts(), &network::hosts(&job.nodes))?;
    Ok(tables)
}

fn create_all(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to create folder `{}`", folder.display()))
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("failed to write `{}`", file.display()))
}

fn mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions)
        .with_context(|| format!("failed to make `{}` writable for all", path.display()))
}

/// Copies a folder's files, folders and links into one that is there. Each node has its own code, as on the platform.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let failed = || format!("failed to copy the code `{}`", from.display());
    for entry in fs::read_dir(from).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let (kind, source, target) =
            (entry.file_type().with_context(failed)?, entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            create_all(&target)?;
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            fs::read_link(&source).and_then(|link| symlink(link, &target)).with_context(failed)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).with_context(failed)?;
        } else {
            bail!("failed to copy the code: `{}` is neither a file, a folder nor a link", source.display());
        }
    }
    Ok(())
}

/// Gives everything to the container's user. Where only root could, everyone gets it: in a rootless engine the user has
/// another number outside.
fn give(path: &Path, job: &Job) -> anyhow::Result<()> {
    let failed = || format!("failed to give `{}` to {}", path.display(), job.user);
    let kind = path.symlink_metadata().with_context(failed)?.file_type();
    if is_root() {
        lchown(path, Some(job.uid), Some(job.gid)).with_context(failed)?;
        // The tuning kit refuses what others can read; links have no mode of their own.
        if !kind.is_symlink() {
            let own = path.metadata().with_context(failed)?.permissions().mode();
            mode(path, own & 0o750)?;
        }
    } else if kind.is_dir() {
        mode(path, 0o777)?;
    }
    if kind.is_dir() {
        for entry in fs::read_dir(path).with_context(failed)? {
            give(&entry.with_context(failed)?.path(), job)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::try_out::plan::tests::job;

    #[test]
    fn of_a_job_that_never_began_nothing_stays_but_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let (own, given) = (folder.path().join("target/try/1"), folder.path().join("given"));
        fs::create_dir(folder.path().join("target")).unwrap();
        fs::create_dir(&given).unwrap();
        let tried = |out: &Path| {
            let (job, is_new) = (job(out, 2), !out.exists());
            create(&job, None, None).unwrap();
            // It may have come since it was looked at.
            fs::create_dir_all(&given).unwrap();
            fs::write(given.join("of-the-user"), "").unwrap();
            remove(&job, is_new);
        };
        tried(&own);
        assert!(!folder.path().join("target/try").exists() && folder.path().join("target").exists());
        create_all(&folder.path().join("target/try/0")).unwrap();
        tried(&own);
        assert!(folder.path().join("target/try/0").exists() && !own.exists());
        fs::remove_file(given.join("of-the-user")).unwrap();
        tried(&given);
        let left: Vec<_> = fs::read_dir(&given).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["of-the-user"]);
    }

    #[test]
    fn code_is_copied_with_its_links_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("a/b/run.py"), "1").unwrap();
        symlink("a/b/run.py", from.join("main.py")).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("main.py")).unwrap(), "1");
        assert!(to.join("main.py").is_symlink());

        let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
        let again = folder.path().join("again");
        fs::create_dir(&again).unwrap();
        let error = copy(&from, &again).unwrap_err().to_string();
        assert!(error.ends_with("socket` is neither a file, a folder nor a link"), "{error}");
    }
}
