//! What the archive of one layer holds, in its order, as far as the index wants it. Layers are read side by side; what
//! they do to one another shows only when they are applied, bottom to top.

use super::{
    IndexError,
    budget::{Budget, ENTRY, FOLDER},
    capture::{Capture, Content, Fact},
};
use crate::{Attr, Digest, Entry, EntryKind, LayerStream, TarReader, UnpackError, paths::split_name};

/// An entry of a layer. Its path, without leading slash, is so many bytes of that of the entry before it, and the rest:
/// most are of one folder, and whole paths would be half of what a list takes.
pub(super) struct PackedEntry {
    pub shared: u16,
    pub rest: Box<str>,
    pub mtime: u64,
    pub content: EntryContent,
}

/// What an entry makes of its path.
pub(super) enum EntryContent {
    Dir(Box<Attr>),
    File(Option<Box<Fact>>),
    /// A symbolic link to this target.
    Link(Box<str>),
    /// Another name for what lies at this path then.
    Hard(Box<str>),
}

/// Reads the archive of the layer with this digest.
pub(super) fn entries(
    stream: &mut LayerStream,
    capture: &Capture,
    budget: &Budget<'_>,
    digest: Digest,
) -> Result<Vec<PackedEntry>, IndexError> {
    let mut tar = stream.entries();
    let (mut entries, mut last) = (Vec::new(), String::new());
    let damaged = |source| UnpackError::Tar { digest, source };
    while let Some(entry) = tar.next_entry().map_err(damaged)? {
        let content = match &entry.kind {
            EntryKind::Dir => EntryContent::Dir(Box::new(entry.attr)),
            EntryKind::Symlink(target) => EntryContent::Link(target.as_str().into()),
            EntryKind::HardLink(target) => EntryContent::Hard(target.as_str().into()),
            EntryKind::File(size) => {
                let fact = fact(capture, &mut tar, &entry, *size);
                EntryContent::File(fact.map_err(|source| UnpackError::Read { digest, source })?)
            }
            EntryKind::Sparse | EntryKind::Other => EntryContent::File(None),
        };
        let held = match &content {
            EntryContent::File(Some(fact)) => fact.size(),
            EntryContent::Link(target) | EntryContent::Hard(target) => target.len(),
            // The index has the path of each.
            EntryContent::Dir(_) => entry.path.len() + FOLDER,
            EntryContent::File(None) => 0,
        };
        // The whole path: the index names what can be removed by its path.
        budget.take(entry.path.len() + ENTRY + held)?;
        let folder = split_name(&entry.path).0;
        let shared = if last.starts_with(folder) { u16::try_from(folder.len()).unwrap_or(0) } else { 0 };
        entries.push(PackedEntry {
            shared,
            rest: entry.path[shared.into()..].into(),
            mtime: entry.attr.mtime,
            content,
        });
        last = entry.path;
    }
    entries.shrink_to_fit();
    Ok(entries)
}

fn fact(
    capture: &Capture,
    tar: &mut TarReader<&mut LayerStream>,
    entry: &Entry,
    size: u64,
) -> std::io::Result<Option<Box<Fact>>> {
    let content = capture.read(&entry.path, &mut tar.contents(), size)?;
    let fact = Fact { attr: entry.attr, content };
    Ok((fact.content != Content::None || fact.is_setid()).then(|| Box::new(fact)))
}
