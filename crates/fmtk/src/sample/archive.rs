//! mmdebstrap's archive, read twice: once for what is in it and where, once for the contents on the way into a layer.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path},
};

use anyhow::{Context, bail, ensure};
use oci_image::{Attr, Content, Layer, LayerOptions, LayerWriter, ParentDirs, Store};

use super::rootfs::{Kind, Node, Tree};

/// No file of the packages that is read into memory is longer.
const MADE_LIMIT: u64 = 1024 * 1024;

/// What the archive holds. Hard links become symbolic ones: a layer has none. Device nodes are left out: the container
/// runtime makes its own.
pub fn index(archive: &Path) -> anyhow::Result<Tree> {
    let open = || format!("failed to read `{}`", archive.display());
    let mut reader = tar::Archive::new(io::BufReader::new(File::open(archive).with_context(open)?));
    let mut tree = Tree::new();
    for entry in reader.entries_with_seek().with_context(open)? {
        let entry = entry.with_context(open)?;
        let path = entry.path().with_context(open)?;
        let Some(path) = inside(&path)? else { continue };
        let link = || {
            let target = entry.link_name().with_context(open)?.with_context(|| format!("`{path}` links to nothing"))?;
            target.to_str().map(str::to_owned).with_context(|| format!("`{path}` links to a name that is not UTF-8"))
        };
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Folder,
            tar::EntryType::Symlink => Kind::Link(link()?),
            tar::EntryType::Link => {
                let target = link()?;
                let target = inside(Path::new(&target))?.with_context(|| format!("`{path}` links to the root"))?;
                Kind::Link(format!("/{target}"))
            }
            tar::EntryType::Regular => Kind::Packed { offset: entry.raw_file_position(), size: entry.size() },
            tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => continue,
            other => bail!("`{path}` is of a kind that packages do not have: {other:?}"),
        };
        let attr = Attr {
            mode: header.mode().with_context(open)? & 0o7777,
            uid: header.uid().with_context(open)?,
            gid: header.gid().with_context(open)?,
            mtime: header.mtime().with_context(open)?,
        };
        tree.insert(path, Node { attr, kind });
    }
    ensure!(!tree.is_empty(), "`{}` holds nothing", archive.display());
    Ok(tree)
}

/// A path of the archive without its leading `./`; none for the root itself.
fn inside(path: &Path) -> anyhow::Result<Option<String>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => {
                parts.push(part.to_str().with_context(|| format!("`{}` is not UTF-8", path.display()))?);
            }
            _ => bail!("`{}` leads out of the archive", path.display()),
        }
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// The bytes of one small packed file.
pub fn contents(archive: &mut File, node: &Node) -> anyhow::Result<Vec<u8>> {
    match &node.kind {
        Kind::Packed { offset, size } => {
            ensure!(*size <= MADE_LIMIT, "a file of {size} bytes is longer than {MADE_LIMIT}");
            archive.seek(SeekFrom::Start(*offset))?;
            let mut bytes = Vec::new();
            archive.take(*size).read_to_end(&mut bytes)?;
            Ok(bytes)
        }
        Kind::Made(bytes) => Ok(bytes.clone()),
        Kind::Folder | Kind::Link(_) => bail!("it is not a file"),
    }
}

/// Writes the tree as one layer into the store.
pub fn layer(store: &Store, archive: &mut File, tree: &Tree) -> anyhow::Result<Layer> {
    let parents = ParentDirs::new();
    let mtime = tree.values().map(|node| node.attr.mtime).max().unwrap_or(0);
    let mut writer = LayerWriter::new(store, LayerOptions { mtime, uid: 0, gid: 0, parents: &parents })?;
    for (path, Node { attr, kind }) in tree {
        let path = format!("/{path}");
        match kind {
            Kind::Folder => writer.dir(&path, attr)?,
            Kind::Link(target) => writer.symlink(&path, attr, target)?,
            Kind::Made(bytes) => writer.file(&path, attr, bytes)?,
            Kind::Packed { offset, size } => {
                archive.seek(SeekFrom::Start(*offset)).with_context(|| format!("failed to read `{path}`"))?;
                let content = Content { size: *size, crc32: None, hash: None };
                writer.file_from(&path, attr, &content, &mut Read::by_ref(archive).take(*size))?;
            }
        }
    }
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(build: impl FnOnce(&mut tar::Builder<&mut File>)) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.as_file_mut());
        build(&mut builder);
        builder.finish().unwrap();
        drop(builder);
        file
    }

    fn header(kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        header.set_size(size);
        header.set_cksum();
        header
    }

    #[test]
    fn what_packages_hold_is_found_with_its_contents() {
        let file = archive(|builder| {
            builder.append_data(&mut header(tar::EntryType::Directory, 0), "./bin/", io::empty()).unwrap();
            builder.append_data(&mut header(tar::EntryType::Regular, 4), "./bin/dash", &b"dash"[..]).unwrap();
            builder.append_link(&mut header(tar::EntryType::Symlink, 0), "./bin/sh", "dash").unwrap();
            builder.append_link(&mut header(tar::EntryType::Link, 0), "./bin/ash", "./bin/dash").unwrap();
            builder.append_data(&mut header(tar::EntryType::Char, 0), "./dev/null", io::empty()).unwrap();
        });
        let tree = index(file.path()).unwrap();
        let kinds: Vec<(&str, &Kind)> = tree.iter().map(|(path, node)| (path.as_str(), &node.kind)).collect();
        assert_eq!(kinds[0], ("bin", &Kind::Folder));
        assert_eq!(kinds[1], ("bin/ash", &Kind::Link("/bin/dash".to_owned())));
        assert_eq!(kinds[3], ("bin/sh", &Kind::Link("dash".to_owned())));
        assert_eq!(kinds.len(), 4);
        assert_eq!(contents(&mut file.reopen().unwrap(), &tree["bin/dash"]).unwrap(), b"dash");
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        assert!(inside(Path::new("../x")).is_err());
        assert!(inside(Path::new("/x")).is_err());
        assert_eq!(inside(Path::new("./")).unwrap(), None);
        assert_eq!(inside(Path::new("./a//b/")).unwrap().as_deref(), Some("a/b"));
    }

    #[test]
    fn the_same_tree_gives_the_same_layer() {
        let file = archive(|builder| {
            builder.append_data(&mut header(tar::EntryType::Regular, 4), "./bin/dash", &b"dash"[..]).unwrap();
        });
        let tree = index(file.path()).unwrap();
        let made = || {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            layer(&store, &mut file.reopen().unwrap(), &tree).unwrap()
        };
        assert_eq!(made(), made());
    }
}
