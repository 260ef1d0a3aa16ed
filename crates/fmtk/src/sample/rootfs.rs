//! Packages become the layer of a base image: unpacked as dpkg does it, with what their maintainer scripts would have
//! made. No script is run, so that any machine can do it, for any architecture.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use anyhow::{Context, ensure};
use debian_package::{Entry, Kind};
use oci_image::{Attr, CheckedReader, Content, Layer, LayerOptions, LayerWriter, ParentDirs, Store, is_within};

use super::{
    dpkg::{self, Database},
    packages::PackageSet,
};
use crate::terminal::report;

/// Times of all files, so that two machines give the same bytes: 1980-01-01.
const MTIME: u64 = 315_532_800;

/// No file that is read into memory is longer: 1 MiB.
const MADE_LIMIT: u64 = 1 << 20;

/// The user that jobs run as on the platform, with its group, and the home that only they may enter.
const USER: &str = "ma-user:x:1000:100::/home/ma-user:/bin/bash";
const GROUP: &str = "ma-group:x:100:";
const OWNER: (u64, u64) = (1000, 100);

const ROOT: (u64, u64) = (0, 0);

/// Something that no package installs.
enum Made {
    Folder(u32, (u64, u64)),
    Link(&'static str),
    Text(&'static str),
    /// The same as this file of a package.
    CopyOf(&'static str),
    /// From the master copy: no passwords, and the second in place of whoever has its number.
    Accounts(&'static str, &'static str),
}

/// What maintainer scripts would have made of this set of packages, and what the platform's own base has. Left out:
/// `/etc/ld.so.cache`, since the loader looks into the folders of libraries by itself; `.pyc` files, which would hold
/// this machine's time; empty logs.
const MADE: [(&str, Made); 22] = [
    // base-passwd copies its master files. The platform runs jobs as uid 1000, gid 100.
    ("etc/passwd", Made::Accounts("usr/share/base-passwd/passwd.master", USER)),
    ("etc/group", Made::Accounts("usr/share/base-passwd/group.master", GROUP)),
    // base-files copies its defaults, and names the vendor.
    ("etc/profile", Made::CopyOf("usr/share/base-files/profile")),
    ("root/.bashrc", Made::CopyOf("usr/share/base-files/dot.bashrc")),
    ("root/.profile", Made::CopyOf("usr/share/base-files/dot.profile")),
    ("etc/dpkg/origins/default", Made::Link("debian")),
    // libc-bin: without it names of users and hosts are looked up by built-in rules.
    ("etc/nsswitch.conf", Made::CopyOf("usr/share/libc-bin/nsswitch.conf")),
    // readline-common: keys of interactive shells.
    ("etc/inputrc", Made::CopyOf("usr/share/readline/inputrc")),
    // tzdata, where nobody is asked.
    ("etc/timezone", Made::Text("Etc/UTC\n")),
    ("etc/localtime", Made::Link("/usr/share/zoneinfo/Etc/UTC")),
    // update-alternatives, for mawk and tar.
    ("etc/alternatives/awk", Made::Link("/usr/bin/mawk")),
    ("etc/alternatives/rmt", Made::Link("/usr/sbin/rmt-tar")),
    ("usr/bin/awk", Made::Link("/etc/alternatives/awk")),
    ("usr/sbin/rmt", Made::Link("/etc/alternatives/rmt")),
    // dash diverts the shell that others would install, and installs its own.
    (
        "var/lib/dpkg/diversions",
        Made::Text(
            "/bin/sh\n/bin/sh.distrib\ndash\n/usr/share/man/man1/sh.1.gz\n/usr/share/man/man1/sh.distrib.1.gz\ndash\n",
        ),
    ),
    // dpkg's own, of a base for one architecture.
    ("var/lib/dpkg/arch", Made::Text("arm64\n")),
    // Files of the database are named with the architecture where several may be there at once.
    ("var/lib/dpkg/info/format", Made::Text("1\n")),
    // Jobs boot by this name, and the tuning kit starts the training by it.
    ("usr/bin/python", Made::Link("python3")),
    ("home/ma-user", Made::Folder(0o750, OWNER)),
    // Where container runtimes mount theirs.
    ("dev", Made::Folder(0o755, ROOT)),
    ("proc", Made::Folder(0o555, ROOT)),
    ("sys", Made::Folder(0o555, ROOT)),
];

/// Folders whose contents are left out: made by the runtime or by a running system.
const EMPTIED: [&str; 6] = ["dev", "proc", "sys", "run", "var/cache/apt", "var/log"];

/// What serves readers of manuals and translators, or other programs than those of a job. Debian's own small images
/// leave out the same.
const DROPPED: [&str; 7] = [
    "etc/apt",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zoneinfo/posix",
    "usr/share/zoneinfo/right",
];

/// Writes the layer of these packages, which are in `packages`, into `store`.
pub fn layer(set: &PackageSet, packages: &Store, store: &Store) -> anyhow::Result<Layer> {
    let parents = ParentDirs::new();
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &parents };
    let mut rootfs =
        Rootfs { writer: LayerWriter::new(store, options)?, kept: BTreeMap::new(), database: Database::default() };
    let files = set.packages.iter().map(|package| {
        let file = packages.open_blob(&package.digest).map_err(io::Error::other)?;
        Ok(CheckedReader::new(file, &package.blob()))
    });
    debian_package::read_each(files, |package| rootfs.unpack(package))
        .map_err(|error| unpack_error(error, set, packages))?;
    rootfs.finish()
}

/// Whether something of [`MADE`] is made from this file.
fn is_source(path: &str) -> bool {
    MADE.iter().any(|(_, made)| matches!(made, Made::CopyOf(source) | Made::Accounts(source, _) if *source == path))
}

struct Rootfs<'a> {
    writer: LayerWriter<'a>,
    /// Contents of configuration files, and of those that [`MADE`] is made from.
    kept: BTreeMap<String, Vec<u8>>,
    database: Database,
}

impl Rootfs<'_> {
    fn unpack(&mut self, package: &mut debian_package::Package<'_>) -> anyhow::Result<()> {
        let conffiles: BTreeSet<String> = dpkg::conffiles(&package.control).map(str::to_owned).collect();
        let mut paths = BTreeSet::new();
        package.entries(|entry| {
            paths.insert(entry.path.clone());
            let is_kept = conffiles.contains(&entry.path) || is_source(&entry.path);
            self.install(entry, is_kept)
        })?;
        self.database.add(&package.control, &paths, &self.kept)
    }

    /// Puts an entry into the layer, if it belongs there.
    fn install(&mut self, entry: Entry<'_>, is_kept: bool) -> anyhow::Result<()> {
        let Entry { path, mode, uid, gid, kind } = entry;
        let is_made = MADE.iter().any(|(made, _)| *made == path);
        if path.is_empty() || is_made || !is_wanted(&path, &kind) {
            return Ok(());
        }
        let attr = Attr { mode, uid, gid, mtime: MTIME };
        let absolute = format!("/{path}");
        match kind {
            Kind::Folder => self.writer.dir(&absolute, &attr)?,
            Kind::Link(target) => self.writer.symlink(&absolute, &attr, &target)?,
            Kind::HardLink(target) => self.writer.hard_link(&absolute, &attr, &format!("/{target}"))?,
            Kind::File(size, contents) if is_kept => {
                ensure!(size <= MADE_LIMIT, "`{absolute}` has {size} bytes, more than {MADE_LIMIT}");
                let mut bytes = Vec::new();
                contents.read_to_end(&mut bytes)?;
                self.writer.file(&absolute, &attr, &bytes)?;
                self.kept.insert(path, bytes);
            }
            Kind::File(size, contents) => {
                let content = Content { size, crc32: None, hash: None };
                self.writer.file_from(&absolute, &attr, &content, contents)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<Layer> {
        let attr = |mode, (uid, gid)| Attr { mode, uid, gid, mtime: MTIME };
        let copy = |path: &str| self.kept.get(path).with_context(|| format!("the packages hold no `/{path}`"));
        for (path, made) in MADE {
            let path = &format!("/{path}");
            match made {
                Made::Folder(mode, owner) => self.writer.dir(path, &attr(mode, owner))?,
                Made::Link(target) => self.writer.symlink(path, &attr(0o777, ROOT), target)?,
                Made::Text(text) => self.writer.file(path, &attr(0o644, ROOT), text.as_bytes())?,
                Made::CopyOf(source) => self.writer.file(path, &attr(0o644, ROOT), copy(source)?)?,
                Made::Accounts(source, entry) => {
                    let master = std::str::from_utf8(copy(source)?);
                    let text = accounts(master.with_context(|| format!("`/{source}` is not UTF-8"))?, entry);
                    self.writer.file(path, &attr(0o644, ROOT), text.as_bytes())?;
                }
            }
        }
        for (path, mode, text) in self.database.files() {
            self.writer.file(path, &attr(mode, ROOT), text)?;
        }
        Ok(self.writer.finish()?)
    }
}

/// A package's digest was checked when it was downloaded: one that can't be read was damaged since then.
fn unpack_error(error: anyhow::Error, set: &PackageSet, packages: &Store) -> anyhow::Error {
    let package = |cause: &debian_package::Error| set.packages.get(cause.package);
    let Some(package) = error.downcast_ref().and_then(package) else { return error };
    let error = error.context(format!("failed to unpack `{}`", package.path));
    match packages.discard_damaged(&package.digest) {
        Ok(true) => report::hinted(
            error.context("a package was damaged in the store and has been removed from it"),
            "run the same command again to download the package again",
        ),
        _ => error,
    }
}

/// A passwd or group file from Debian's master copy: no passwords, and `entry` in place of whoever has its number.
fn accounts(master: &str, entry: &str) -> String {
    let number = entry.split(':').nth(2);
    let mut text = String::new();
    for line in master.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.get(2).copied() == number {
            continue;
        }
        if let Some(password) = fields.get_mut(1) {
            *password = "x";
        }
        text.push_str(&fields.join(":"));
        text.push('\n');
    }
    text + entry + "\n"
}

fn is_wanted(path: &str, kind: &Kind<'_>) -> bool {
    let below = |folder: &str| path != folder && is_within(path, folder);
    if EMPTIED.iter().any(|folder| below(folder)) || DROPPED.iter().any(|name| path == *name || below(name)) {
        return false;
    }
    // Licences stay, with the links to those of a sister package.
    if below("usr/share/doc") && matches!(kind, Kind::File(..) | Kind::HardLink(_)) {
        return path.ends_with("/copyright");
    }
    true
}

#[cfg(test)]
mod tests;
