//! The files of an image by path, its layers applied one after the other: with whiteouts and opaque folders (OCI image
//! spec, layer.md), and folders that archives only imply made as the engines make them.

use std::{collections::BTreeMap, mem};

use super::{
    IndexError,
    budget::{Budget, ENTRY, FOLDER},
    capture::{Content, Fact},
    entries::{EntryContent, PackedEntry},
};
use crate::{
    Attr, Digest,
    paths::{joined, split_name},
};

/// Folders below one another; recursion goes as deep.
pub(super) const MAX_DEPTH: usize = 256;
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

impl Kind {
    pub fn empty_dir(attr: Attr) -> Self {
        Self::Dir(Box::new(Dir { attr, children: BTreeMap::new() }))
    }
}

impl Dir {
    /// The folder of this name in it.
    pub fn dir(&self, name: &str) -> Option<&Self> {
        match &self.children.get(name)?.kind {
            Kind::Dir(dir) => Some(dir),
            _ => None,
        }
    }

    /// What was taken from the contents of the file of this name in it.
    pub fn content(&self, name: &str) -> Option<&Content> {
        match &self.children.get(name)?.kind {
            Kind::File(Some(fact)) => Some(&fact.content),
            _ => None,
        }
    }
}

/// The files of an image.
pub(super) struct Tree {
    pub root: Dir,
    layer: u32,
}

impl Tree {
    pub fn new() -> Self {
        let root = Dir { attr: implied(0), children: BTreeMap::new() };
        Self { root, layer: 0 }
    }

    /// Applies the layer with this digest to those below it. The memory of its entries was counted when they were read; what
    /// they imply is counted here.
    pub fn apply(&mut self, digest: &Digest, entries: Vec<PackedEntry>, budget: &Budget<'_>) -> Result<(), IndexError> {
        self.layer += 1;
        let mut path = String::new();
        for PackedEntry { shared, rest, mtime, content } in entries {
            path.truncate(shared.into());
            path.push_str(&rest);
            let kind = match content {
                EntryContent::Dir(attr) => Kind::empty_dir(*attr),
                EntryContent::File(fact) => Kind::File(fact),
                EntryContent::Link(target) => Kind::Link(target),
                EntryContent::Hard(target) => self.hard_link(&target, budget)?,
            };
            self.put(digest, &path, mtime, kind, budget)?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        digest: &Digest,
        path: &str,
        mtime: u64,
        kind: Kind,
        budget: &Budget<'_>,
    ) -> Result<(), IndexError> {
        let (folder, name) = split_name(path);
        if name.is_empty() {
            if let Kind::Dir(dir) = kind {
                self.root.attr = dir.attr;
            }
            return Ok(());
        }
        let layer = self.layer;
        let folder = self.folder(digest, folder, mtime, budget)?;
        if let Some(removed) = name.strip_prefix(".wh.") {
            whiteout(folder, removed, layer);
            return Ok(());
        }
        if let Kind::Dir(new) = &kind
            && let Some(Node { layer: last, kind: Kind::Dir(dir) }) = folder.children.get_mut(name)
        {
            *last = layer;
            dir.attr = new.attr;
            return Ok(());
        }
        folder.children.insert(name.into(), Node { layer, kind });
        Ok(())
    }

    /// Another name for what lies at this path.
    fn hard_link(&self, target: &str, budget: &Budget<'_>) -> Result<Kind, IndexError> {
        Ok(match self.find(target).map(|node| &node.kind) {
            Some(Kind::File(fact)) => {
                budget.take(fact.as_deref().map_or(0, Fact::size))?;
                Kind::File(fact.clone())
            }
            Some(Kind::Link(target)) => {
                budget.take(target.len())?;
                Kind::Link(target.clone())
            }
            // An archive that is out of order; the engines refuse it, here it is a file of which nothing is known.
            Some(Kind::Dir(_)) | None => Kind::File(None),
        })
    }

    /// The folder of this path, made where it is missing. Links that this layer has made are followed; one of a layer
    /// below gives way to a folder, since each layer is unpacked by itself.
    fn folder(&mut self, digest: &Digest, path: &str, mtime: u64, budget: &Budget<'_>) -> Result<&mut Dir, IndexError> {
        let too_deep = IndexError::TooDeep { layer: *digest };
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            match self.without_first_link(&path, Some(self.layer)) {
                Some(other) => path = other,
                None => break,
            }
        }
        if path.split('/').count() > MAX_DEPTH {
            return Err(too_deep);
        }
        let layer = self.layer;
        let mut length = 0;
        let mut dir = &mut self.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            length += name.len() + 1;
            if dir.dir(name).is_none() {
                // The tree has its name, the index its path.
                budget.take(name.len() + length + ENTRY + FOLDER)?;
                dir.children.insert(name.into(), Node { layer, kind: Kind::empty_dir(implied(mtime)) });
            }
            let Some(Node { layer: last, kind: Kind::Dir(below) }) = dir.children.get_mut(name) else {
                return Err(too_deep); // can't happen: it was made just above
            };
            if *last < layer {
                // The layer holds something below a folder but not the folder: docker and podman make it anew.
                *last = layer;
                below.attr = implied(mtime);
            }
            dir = below;
        }
        Ok(dir)
    }

    /// Where the path leads when its first link is followed, if it is one of this layer where a layer is given; none
    /// where there is no such link.
    fn without_first_link(&self, path: &str, of: Option<u32>) -> Option<String> {
        let mut dir = &self.root;
        let mut end = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let start = end;
            end += name.len() + 1;
            match dir.children.get(name)? {
                Node { kind: Kind::Dir(below), .. } => dir = below,
                Node { layer, kind: Kind::Link(target) } if of.is_none_or(|of| of == *layer) => {
                    return Some(joined(&[path.get(..start)?, target, path.get(end..).unwrap_or_default()]));
                }
                _ => return None,
            }
        }
        None
    }

    /// What lies at exactly this path, no link followed.
    fn find(&self, path: &str) -> Option<&Node> {
        let (folder, name) = split_name(path);
        self.exact_dir(folder)?.children.get(name)
    }

    /// The folder at exactly this path, no link followed.
    pub fn exact_dir(&self, path: &str) -> Option<&Dir> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(&self.root, |dir, name| dir.dir(name))
    }

    /// Where the path really is when every link is followed, without leading slash; something need not be there.
    fn real(&self, path: &str) -> Option<String> {
        let mut path = joined(&[path]);
        for _ in 0..MAX_LINKS {
            match self.without_first_link(&path, None) {
                Some(other) => path = other,
                None => return Some(path),
            }
        }
        None
    }

    /// The folder that this path leads to, and where it really is.
    pub fn dir(&self, path: &str) -> Option<(String, &Dir)> {
        let real = self.real(path)?;
        let dir = self.exact_dir(&real)?;
        Some((real, dir))
    }

    /// The file that this path leads to, and where it really is.
    pub fn file(&self, path: &str) -> Option<(String, Option<&Fact>)> {
        let real = self.real(path)?;
        match &self.find(&real)?.kind {
            Kind::File(fact) => Some((real, fact.as_deref())),
            _ => None,
        }
    }

    /// What was taken from the contents of the file that this path leads to.
    pub fn content(&self, path: &str) -> Option<&Content> {
        Some(&self.file(path)?.1?.content)
    }

    /// Visits every node, folders before what is in them, with its path without leading slash.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&str, &'a Kind)) {
        walk(&self.root, &mut String::new(), visit);
    }
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

/// Removes what lower layers have under this name. Other names that begin with `.wh.` are notes of old engines.
fn whiteout(folder: &mut Dir, name: &str, layer: u32) {
    if name == ".wh..opq" {
        prune(folder, layer);
    } else if let Some(node) = folder.children.get_mut(name) {
        if node.layer < layer {
            folder.children.remove(name);
        } else if let Kind::Dir(dir) = &mut node.kind {
            // A layer may remove a folder and make it anew, in either order.
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
