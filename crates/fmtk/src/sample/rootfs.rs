//! Packages become the layer of a base image: unpacked as dpkg does it, with what their maintainer scripts would have
//! made. No script is run, so that any machine can do it, for any architecture.

use std::io;

use anyhow::Context;
use debian_package::Kind;
use oci_image::{Attr, CheckedReader, Layer, LayerOptions, LayerWriter, ParentDirs, Store, is_within};

use super::packages::PackageSet;
use crate::{
    debian::{
        dpkg,
        unpack::{Unpacking, is_document},
    },
    terminal::report,
};

/// Times of all files, so that two machines give the same bytes: 1980-01-01.
const MTIME: u64 = 315_532_800;

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

/// What is left out besides documents.
const DROPPED: [&str; 3] = ["etc/apt", "usr/share/zoneinfo/posix", "usr/share/zoneinfo/right"];

/// Writes the layer of these packages, which are in `packages`, into `store`.
pub fn layer(set: &PackageSet, packages: &Store, store: &Store) -> anyhow::Result<Layer> {
    let parents = ParentDirs::new();
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &parents };
    let mut rootfs = Unpacking::new(LayerWriter::new(store, options)?, MTIME, &[]);
    let files = set.packages.iter().map(|package| {
        let file = packages.open_blob(&package.digest).map_err(io::Error::other)?;
        Ok(CheckedReader::new(file, &package.blob()))
    });
    debian_package::read_each(files, |package| rootfs.unpack(package, &place, is_source))
        .map_err(|error| unpack_error(error, set, packages))?;
    finish(rootfs)
}

/// Whether something of [`MADE`] is made from this file.
fn is_source(path: &str) -> bool {
    MADE.iter().any(|(_, made)| matches!(made, Made::CopyOf(source) | Made::Accounts(source, _) if *source == path))
}

/// Where an entry of a package goes in a base.
fn place(path: &str, kind: &Kind<'_>) -> Option<String> {
    let is_made = MADE.iter().any(|(made, _)| *made == path);
    (!path.is_empty() && !is_made && is_wanted(path, kind)).then(|| format!("/{path}"))
}

fn finish(mut rootfs: Unpacking<'_>) -> anyhow::Result<Layer> {
    let attr = |mode, (uid, gid)| Attr { mode, uid, gid, mtime: MTIME };
    let (writer, kept) = (&mut rootfs.writer, &rootfs.kept);
    let copy = |path: &str| kept.get(path).with_context(|| format!("the packages hold no `/{path}`"));
    for (path, made) in MADE {
        let path = &format!("/{path}");
        match made {
            Made::Folder(mode, owner) => writer.dir(path, &attr(mode, owner))?,
            Made::Link(target) => writer.symlink(path, &attr(0o777, ROOT), target)?,
            Made::Text(text) => writer.file(path, &attr(0o644, ROOT), text.as_bytes())?,
            Made::CopyOf(source) => writer.file(path, &attr(0o644, ROOT), copy(source)?)?,
            Made::Accounts(source, entry) => {
                let master = std::str::from_utf8(copy(source)?);
                let text = accounts(master.with_context(|| format!("`/{source}` is not UTF-8"))?, entry);
                writer.file(path, &attr(0o644, ROOT), text.as_bytes())?;
            }
        }
    }
    rootfs.finish(dpkg::FOLDER)
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
    let is_emptied = EMPTIED.iter().any(|folder| path != *folder && is_within(path, folder));
    let is_dropped = DROPPED.iter().any(|name| is_within(path, name));
    !is_emptied && !is_dropped && !is_document(path, matches!(kind, Kind::Folder | Kind::Link(_)))
}

#[cfg(test)]
mod tests;
