//! From layers to an index.

use std::collections::BTreeMap;

use super::{
    BaseIndex, IndexError, IndexedFile, capture,
    capture::Capture,
    distributions::distributions,
    fact::{Content, Fact},
    python, removal, system,
    tree::{Found, Kind, Put, TooMuch, Tree, joined},
};
use crate::{
    Attr, Base, BlobSource, Digest, Entry, EntryKind, LayerStream, ParentDirs, Store, StoreError, TarReader,
    UnpackError, read_layer,
};

/// Reads every layer and puts together what is known of the base then.
pub(super) fn build(
    store: &Store,
    base: &Base,
    source: &dyn BlobSource,
    files: &[String],
) -> Result<BaseIndex, IndexError> {
    let capture = Capture::new(files);
    let mut tree = Tree::new();
    let mut unpacked_size: u64 = 0;
    for (layer, diff_id) in base.layers.iter().zip(base.config.diff_ids()) {
        tree.begin_layer();
        let put = |stream: &mut LayerStream| take_layer(&mut tree, &capture, stream, base, layer.digest);
        let ((), unpacked) = read_layer(source, layer, Some(*diff_id), put)?;
        unpacked_size = unpacked_size.saturating_add(unpacked.tar_size);
    }
    let mut found = distributions(&tree);
    removal::fill_in(&tree, &mut found);
    let (dirs, links, setid) = walked(&tree);
    Ok(BaseIndex {
        manifest_digest: base.manifest_digest,
        platform: base.config.platform(),
        os_release: system::os_release(&tree),
        glibc: system::glibc(&tree),
        interpreters: python::interpreters(&tree),
        distributions: found.into_iter().map(|found| found.distribution).collect(),
        dirs,
        links,
        users: system::users(&tree),
        groups: system::groups(&tree),
        setid,
        files: kept(store, &tree, files)?,
        unpacked_size,
    })
}

fn take_layer(
    tree: &mut Tree,
    capture: &Capture,
    stream: &mut LayerStream,
    base: &Base,
    digest: Digest,
) -> Result<(), IndexError> {
    let mut tar = stream.entries();
    let damaged = |source| UnpackError::Tar { digest, source };
    while let Some(entry) = tar.next_entry().map_err(damaged)? {
        let put = put(capture, &mut tar, &entry).map_err(|source| UnpackError::Read { digest, source })?;
        tree.put(&entry.path, entry.attr.mtime, put)
            .map_err(|TooMuch(reason)| IndexError::TooMuch { base: base.name.clone(), reason })?;
    }
    Ok(())
}

fn put(capture: &Capture, tar: &mut TarReader<&mut LayerStream>, entry: &Entry) -> std::io::Result<Put> {
    let attr = entry.attr;
    Ok(match &entry.kind {
        EntryKind::Dir => Put::Dir(attr),
        EntryKind::Symlink(target) => Put::Link(target.clone()),
        EntryKind::HardLink(target) => Put::Hard(target.clone()),
        EntryKind::File(size) => match capture.look(&entry.path) {
            Some(look) => {
                let fact = capture::read(look, attr, &mut tar.contents(), *size)?;
                Put::File(Some(Box::new(fact)).filter(|fact| fact.content != Content::None || is_setid(&attr)))
            }
            None => Put::File(is_setid(&attr).then(|| Box::new(Fact { attr, content: Content::None }))),
        },
        EntryKind::Sparse | EntryKind::Other => Put::File(None),
    })
}

fn is_setid(attr: &Attr) -> bool {
    attr.mode & 0o6000 != 0
}

type Walked = (ParentDirs, BTreeMap<String, String>, BTreeMap<String, Attr>);

/// Folders, links to folders, files with the set-id bits.
fn walked(tree: &Tree) -> Walked {
    let mut dirs = ParentDirs::from([("/".to_owned(), tree.root.attr)]);
    let (mut links, mut setid) = (Vec::new(), BTreeMap::new());
    tree.walk(&mut |path, kind| {
        // Nobody's layer goes into a folder with such a name, and the index keeps a line for each.
        if path.contains(['\n', '\r']) {
            return;
        }
        match kind {
            Kind::Dir(dir) => drop(dirs.insert(format!("/{path}"), dir.attr)),
            Kind::Link(_) => links.push(path.to_owned()),
            Kind::File(Some(fact)) if is_setid(&fact.attr) => drop(setid.insert(format!("/{path}"), fact.attr)),
            Kind::File(_) => {}
        }
    });
    let to_folder = |path: String| match tree.resolve(&path)? {
        (real, Found::Dir(_)) => Some((format!("/{path}"), format!("/{real}"))),
        (_, Found::File(_)) => None,
    };
    (dirs, links.into_iter().filter_map(to_folder).collect(), setid)
}

fn kept(store: &Store, tree: &Tree, files: &[String]) -> Result<BTreeMap<String, Option<IndexedFile>>, StoreError> {
    let mut kept = BTreeMap::new();
    for path in files {
        let file = match tree.resolve(&joined(&[path])) {
            Some((_, Found::File(Some(Fact { attr, content: Content::Whole(bytes) })))) => {
                Some(IndexedFile { digest: store.put_blob(bytes)?, size: bytes.len() as u64, attr: *attr })
            }
            _ => None,
        };
        kept.insert(path.clone(), file);
    }
    Ok(kept)
}
