//! The files of an image by path, layer laid upon layer: whiteouts and opaque folders applied (OCI image spec,
//! layer.md), folders that archives only imply made as the engines make them.

use std::{collections::BTreeMap, mem};

use super::fact::Fact;
use crate::Attr;

/// Bytes that a tree may take, in all layers together: a base of 500,000 files takes 60 MiB.
const BUDGET: usize = 512 << 20;
/// What a node costs beside its name: its place in the map of its folder, allocator's overhead.
const NODE: usize = 96;
/// Folders below one another; recursion goes as deep.
const MAX_DEPTH: usize = 256;
/// Links followed for one path at most; Linux's own bound.
const MAX_LINKS: usize = 40;

/// Something in a folder.
#[derive(Debug)]
pub(super) struct Node {
    /// The last layer that said something about it or what is below it.
    layer: u32,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Dir(Box<Dir>),
    /// A file, a device or a pipe.
    File(Option<Box<Fact>>),
    /// A symbolic link to this target.
    Link(Box<str>),
}

#[derive(Debug)]
pub(super) struct Dir {
    pub attr: Attr,
    pub children: BTreeMap<Box<str>, Node>,
}

/// What an entry puts into the tree.
pub(super) enum Put {
    Dir(Attr),
    File(Option<Box<Fact>>),
    Link(String),
    /// Another name for what lies at this path.
    Hard(String),
}

/// The layers hold more than is looked at, or in folders too deep; the text says which.
#[derive(Debug)]
pub(super) struct TooMuch(pub &'static str);

/// The files of an image.
pub(super) struct Tree {
    pub root: Dir,
    layer: u32,
    left: usize,
}

impl Tree {
    pub fn new() -> Self {
        let root = Dir { attr: implied(0), children: BTreeMap::new() };
        Self { root, layer: 0, left: BUDGET }
    }

    /// What is put from here on belongs to the next layer.
    pub fn begin_layer(&mut self) {
        self.layer += 1;
    }

    /// Takes one entry of the layer: `path` without leading slash, as [`crate::TarReader`] gives it.
    pub fn put(&mut self, path: &str, mtime: u64, put: Put) -> Result<(), TooMuch> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.is_empty() {
            if let Put::Dir(attr) = put {
                self.root.attr = attr;
            }
            return Ok(());
        }
        let put = match put {
            Put::Hard(target) => match self.find(&target).map(|node| &node.kind) {
                Some(Kind::File(fact)) => Put::File(fact.clone()),
                Some(Kind::Link(target)) => Put::Link(target.to_string()),
                // An archive that is out of order; the engines refuse it, here it is a file of which nothing is known.
                Some(Kind::Dir(_)) | None => Put::File(None),
            },
            put => put,
        };
        let held = match &put {
            Put::File(Some(fact)) => fact.size(),
            Put::Link(target) => target.len(),
            _ => 0,
        };
        self.take(name.len() + NODE + held)?;
        let layer = self.layer;
        let folder = self.folder(folder, mtime)?;
        if let Some(removed) = name.strip_prefix(".wh.") {
            whiteout(folder, removed, layer);
            return Ok(());
        }
        let kind = match put {
            Put::Dir(attr) => {
                if let Some(Node { layer: last, kind: Kind::Dir(dir) }) = folder.children.get_mut(name) {
                    *last = layer;
                    dir.attr = attr;
                    return Ok(());
                }
                Kind::Dir(Box::new(Dir { attr, children: BTreeMap::new() }))
            }
            Put::File(fact) => Kind::File(fact),
            Put::Link(target) => Kind::Link(target.into()),
            Put::Hard(_) => Kind::File(None),
        };
        folder.children.insert(name.into(), Node { layer, kind });
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(bytes).ok_or(TooMuch("its layers hold more files than can be looked at"))?;
        Ok(())
    }

    /// The folder of this path, made where it is missing. Links that this layer has made are followed; one of a layer
    /// below gives way to a folder, since each layer is unpacked by itself.
    fn folder(&mut self, path: &str, mtime: u64) -> Result<&mut Dir, TooMuch> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            match self.detour(&path) {
                Some(other) => path = other,
                None => break,
            }
        }
        if path.split('/').count() > MAX_DEPTH {
            return Err(TooMuch("its folders are more than 256 deep"));
        }
        let layer = self.layer;
        let mut made = 0;
        let mut dir = &mut self.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if !matches!(dir.children.get(name), Some(Node { kind: Kind::Dir(_), .. })) {
                made += name.len() + NODE;
                let new = Dir { attr: implied(mtime), children: BTreeMap::new() };
                dir.children.insert(name.into(), Node { layer, kind: Kind::Dir(Box::new(new)) });
            }
            let Some(Node { layer: last, kind: Kind::Dir(below) }) = dir.children.get_mut(name) else {
                return Err(TooMuch("its folders change while they are read")); // made just above
            };
            if *last < layer {
                // The layer holds something below a folder but not the folder: docker and podman make it anew.
                *last = layer;
                below.attr = implied(mtime);
            }
            dir = below;
        }
        self.left = self.left.saturating_sub(made);
        Ok(dir)
    }

    /// Where the path leads when its first link of this very layer is followed; none where there is no such link.
    fn detour(&self, path: &str) -> Option<String> {
        let mut dir = &self.root;
        let mut at = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let start = at;
            at += name.len() + 1;
            match dir.children.get(name)? {
                Node { kind: Kind::Dir(below), .. } => dir = below,
                Node { layer, kind: Kind::Link(target) } if *layer == self.layer => {
                    let folder = path.get(..start)?.trim_end_matches('/');
                    return Some(joined(&[folder, target, path.get(at..).unwrap_or_default()]));
                }
                _ => return None,
            }
        }
        None
    }

    /// What lies at exactly this path, no link followed.
    pub fn find(&self, path: &str) -> Option<&Node> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = &self.root;
        for name in folder.split('/').filter(|name| !name.is_empty()) {
            match &dir.children.get(name)?.kind {
                Kind::Dir(below) => dir = below,
                _ => return None,
            }
        }
        dir.children.get(name)
    }

    /// What lies at this path when every link is followed, and where it really is, without leading slash.
    pub fn resolve(&self, path: &str) -> Option<(String, Found<'_>)> {
        let mut path = joined(&[path]);
        'links: for _ in 0..MAX_LINKS {
            let mut found = Found::Dir(&self.root);
            let mut at = 0;
            for name in path.split('/').filter(|name| !name.is_empty()) {
                let Found::Dir(dir) = found else { return None };
                let start = at;
                at += name.len() + 1;
                match &dir.children.get(name)?.kind {
                    Kind::Dir(below) => found = Found::Dir(below),
                    Kind::File(fact) => found = Found::File(fact.as_deref()),
                    Kind::Link(target) => {
                        let folder = path.get(..start)?.trim_end_matches('/');
                        path = joined(&[folder, target, path.get(at..).unwrap_or_default()]);
                        continue 'links;
                    }
                }
            }
            return Some((path, found));
        }
        None
    }

    /// Visits every node, folders before what is in them, with its path without leading slash.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&str, &'a Kind)) {
        walk(&self.root, &mut String::new(), visit);
    }
}

/// What a resolved path leads to.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    Dir(&'a Dir),
    File(Option<&'a Fact>),
}

/// What the engines give a folder that an archive implies but does not hold: root's, 0755.
fn implied(mtime: u64) -> Attr {
    Attr { mode: 0o755, uid: 0, gid: 0, mtime }
}

fn walk<'a>(dir: &'a Dir, path: &mut String, visit: &mut dyn FnMut(&str, &'a Kind)) {
    for (name, node) in &dir.children {
        let length = path.len();
        if length > 0 {
            path.push('/');
        }
        path.push_str(name);
        visit(path, &node.kind);
        if let Kind::Dir(below) = &node.kind {
            walk(below, path, visit);
        }
        path.truncate(length);
    }
}

/// Takes away what lower layers have under this name. Other names that begin with `.wh.` are notes of old engines.
fn whiteout(folder: &mut Dir, name: &str, layer: u32) {
    if name == ".wh..opq" {
        prune(folder, layer);
    } else if let Some(node) = folder.children.get_mut(name) {
        if node.layer < layer {
            folder.children.remove(name);
        } else if let Kind::Dir(dir) = &mut node.kind {
            // A layer may take away a folder and make it anew, in either order.
            prune(dir, layer);
        }
    }
}

/// Drops what is not of this layer. What is of it has only folders of it above, so that nothing is lost.
fn prune(dir: &mut Dir, layer: u32) {
    let children = mem::take(&mut dir.children);
    dir.children = children.into_iter().filter(|(_, node)| node.layer == layer).collect();
    for node in dir.children.values_mut() {
        if let Kind::Dir(below) = &mut node.kind {
            prune(below, layer);
        }
    }
}

/// Parts of a path put together, `.` and `..` taken away as far as they go; an absolute part begins anew.
pub(super) fn joined(parts: &[&str]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for part in parts {
        if part.starts_with('/') {
            names.clear();
        }
        for name in part.split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()),
                name => names.push(name),
            }
        }
    }
    names.join("/")
}
