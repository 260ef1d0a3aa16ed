//! From layers to an index.

use std::{collections::BTreeMap, io};

use super::{
    BaseIndex, IndexError, IndexedFile,
    capture::{Capture, Content, Fact},
    distributions::distributions,
    libraries::libraries,
    python, system,
    tree::{Kind, TooMuch, Tree},
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
    let (mut unpacked_size, mut compressions): (u64, _) = (0, Vec::new());
    for (layer, diff_id) in base.layers.iter().zip(base.config.diff_ids()) {
        tree.begin_layer();
        let put = |stream: &mut LayerStream| take_layer(&mut tree, &capture, stream, base, layer.digest);
        let ((), unpacked) = read_layer(source, layer, Some(*diff_id), put)?;
        unpacked_size = unpacked_size.saturating_add(unpacked.tar_size);
        compressions.push(unpacked.compression);
    }
    let Walked { dirs, links, names, setid } = walked(&tree);
    Ok(BaseIndex {
        manifest_digest: base.manifest_digest,
        platform: base.config.platform(),
        os_release: system::os_release(&tree),
        glibc: system::glibc(&tree),
        libraries: libraries(&tree),
        interpreters: python::interpreters(&tree),
        distributions: distributions(&tree),
        dirs,
        links,
        names,
        users: system::users(&tree),
        groups: system::groups(&tree),
        setid,
        files: kept(store, &tree, files)?,
        unpacked_size,
        compressions,
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
        let kind = match &entry.kind {
            EntryKind::Dir => Kind::empty_dir(entry.attr),
            EntryKind::Symlink(target) => Kind::Link(target.as_str().into()),
            EntryKind::HardLink(target) => tree.hard_link(target),
            EntryKind::File(size) => {
                let fact = fact(capture, &mut tar, &entry, *size);
                Kind::File(fact.map_err(|source| UnpackError::Read { digest, source })?)
            }
            EntryKind::Sparse | EntryKind::Other => Kind::File(None),
        };
        tree.put(&entry.path, entry.attr.mtime, kind)
            .map_err(|TooMuch(reason)| IndexError::TooMuch { base: base.name.clone(), reason })?;
    }
    Ok(())
}

fn fact(
    capture: &Capture,
    tar: &mut TarReader<&mut LayerStream>,
    entry: &Entry,
    size: u64,
) -> io::Result<Option<Box<Fact>>> {
    let content = capture.read(&entry.path, &mut tar.contents(), size)?;
    let wanted = content != Content::None || is_setid(&entry.attr);
    Ok(wanted.then(|| Box::new(Fact { attr: entry.attr, content })))
}

fn is_setid(attr: &Attr) -> bool {
    attr.mode & 0o6000 != 0
}

/// What is known of a base by the paths in it alone.
struct Walked {
    dirs: ParentDirs,
    links: BTreeMap<String, String>,
    names: String,
    setid: BTreeMap<String, Attr>,
}

fn walked(tree: &Tree) -> Walked {
    let mut dirs = ParentDirs::from([("/".to_owned(), tree.root.attr)]);
    let (mut links, mut names, mut setid) = (Vec::new(), String::new(), BTreeMap::new());
    tree.walk(&mut |path, kind| {
        // Nobody's layer goes into a folder with such a name, and the index keeps a line for each.
        if path.contains(['\n', '\r']) {
            return;
        }
        let absolute = format!("/{path}");
        match kind {
            Kind::Dir(dir) => {
                dirs.insert(absolute, dir.attr);
                return;
            }
            Kind::Link(_) => links.push(path.to_owned()),
            Kind::File(Some(fact)) if is_setid(&fact.attr) => drop(setid.insert(absolute.clone(), fact.attr)),
            Kind::File(_) => {}
        }
        names.push_str(&Digest::of(absolute).short());
    });
    let to_folder = |path: String| Some((format!("/{path}"), format!("/{}", tree.dir(&path)?.0)));
    Walked { dirs, links: links.into_iter().filter_map(to_folder).collect(), names, setid }
}

fn kept(store: &Store, tree: &Tree, files: &[String]) -> Result<BTreeMap<String, Option<IndexedFile>>, StoreError> {
    let kept = files.iter().map(|path| {
        let file = match tree.file(path) {
            Some((_, Some(Fact { attr, content: Content::Whole(bytes) }))) => {
                Some(IndexedFile { digest: store.put_blob(bytes)?, size: bytes.len() as u64, attr: *attr })
            }
            _ => None,
        };
        Ok((path.clone(), file))
    });
    kept.collect()
}
