//! What the base says of its system: release, C library, users.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{capture::Content, tree::Tree};
use crate::paths::{joined, split_name};

/// A line of `/etc/passwd`.
#[allow(missing_docs, reason = "the names of passwd(5)")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub uid: u64,
    pub gid: u64,
    pub home: String,
}

/// A line of `/etc/group`.
#[allow(missing_docs, reason = "the names of group(5)")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    pub gid: u64,
    pub members: Vec<String>,
}

/// The keys of `os-release` (os-release(5)), quotes taken off.
pub(super) fn os_release(tree: &Tree) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once('=').filter(|(key, _)| !key.starts_with('#'))?;
        let quoted = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
        Some((key.to_owned(), quoted.unwrap_or(value).replace('\\', "")))
    };
    let there = ["etc/os-release", "usr/lib/os-release"].map(|path| text(tree, path));
    let text = there.iter().find(|text| !text.is_empty());
    text.iter().flat_map(|text| text.lines()).filter_map(pair).collect()
}

pub(super) fn users(tree: &Tree) -> Vec<User> {
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        Some(User { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: home.to_owned() })
    };
    text(tree, "etc/passwd").lines().filter_map(user).collect()
}

pub(super) fn groups(tree: &Tree) -> Vec<Group> {
    let group = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members, ..] = fields[..] else { return None };
        let members = members.split(',').map(str::to_owned).collect();
        Some(Group { name: name.to_owned(), gid: gid.parse().ok()?, members })
    };
    text(tree, "etc/group").lines().filter_map(group).collect()
}

/// Version of glibc: by the name of what `libc.so.6` leads to (before 2.34 `libc-2.31.so`), else by the words in it.
/// Only the system's own library folders count: conda environments and compilers bring libraries of their own.
pub(super) fn glibc(tree: &Tree) -> Option<(u32, u32)> {
    let fixed = ["lib64", "lib", "usr/lib64", "usr/lib"].map(str::to_owned).into_iter();
    let triplets = ["lib", "usr/lib"].into_iter().filter_map(|folder| tree.dir(folder)).flat_map(|(real, dir)| {
        let names = dir.children.keys().filter(|name| name.ends_with("-linux-gnu"));
        names.map(move |name| joined(&[&real, name]))
    });
    fixed.chain(triplets).find_map(|folder| {
        let (real, fact) = tree.file(&format!("{folder}/libc.so.6"))?;
        let named = split_name(&real).1.strip_prefix("libc-").and_then(|name| name.strip_suffix(".so"));
        match named.and_then(|version| version.split_once('.')) {
            Some((major, minor)) => Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?)),
            None => match fact?.content {
                Content::Library { glibc, .. } => glibc,
                _ => None,
            },
        }
    })
}

/// The text of a file that is kept whole, empty where there is none.
fn text<'a>(tree: &'a Tree, path: &str) -> Cow<'a, str> {
    match tree.content(path) {
        Some(Content::Whole(bytes)) => String::from_utf8_lossy(bytes),
        _ => Cow::default(),
    }
}
