//! Writing the files of wheels into layers.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fs::File,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use oci_image::{Attr, Content, Layer, LayerError, LayerOptions, LayerWriter, Store};

use crate::{
    Fault, Layout, WheelError,
    archive::{self, RawReader},
    install::{Installation, Placed, hashed},
    paths, scripts, verify,
};

/// A script that is changed is read whole.
const SCRIPT: u64 = 16 << 20;
/// Pieces that are made at once, at most: each takes two threads and some 6 MiB.
const AT_ONCE: usize = 4;
/// Mode of RECORD.
const RECORD: u32 = 0o644;

/// A wheel and where its files go.
pub(crate) struct Source<'a> {
    /// Where it lies.
    pub path: &'a Path,
    pub plan: Installation<'a>,
}

/// A file on its way into a layer.
struct Item<'a> {
    /// The wheel that it is of: a place in the list of them.
    source: usize,
    path: &'a str,
    mode: u32,
    bytes: Bytes<'a>,
}

/// Where its contents come from.
enum Bytes<'a> {
    /// The archive, as they are there.
    Archive(&'a Placed<'a>),
    /// The archive, but for the first line. Read again where it is written, since all of a wheel's may be much.
    Script(&'a Placed<'a>),
    /// An installer.
    Made(Cow<'a, [u8]>),
}

impl Item<'_> {
    /// Bytes in the layer, about.
    fn size(&self) -> u64 {
        match &self.bytes {
            Bytes::Archive(placed) | Bytes::Script(placed) => placed.entry.compressed,
            Bytes::Made(bytes) => bytes.len() as u64,
        }
    }
}

/// Writes the wheels one after the other, into pieces of at most `max_layer` compressed bytes that are made side by
/// side. What two of the wheels have at one path is alike.
pub(crate) fn write(
    sources: &[Source<'_>],
    store: &Store,
    layout: &Layout,
    max_layer: u64,
) -> Result<Vec<Layer>, WheelError> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let mut there: HashSet<&str> = HashSet::new();
    let mut items = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let file = File::open(source.path)
            .map_err(|error| WheelError::Read { wheel: source.path.to_owned(), source: error })?;
        items.extend(items_of(number, source, &file, &there, layout)?);
        let Installation { placed, generated, record_path, .. } = &source.plan;
        there.extend(placed.iter().map(|placed| placed.path.as_str()));
        there.extend(generated.iter().map(|made| made.path.as_str()));
        there.insert(record_path);
    }
    let of_layer = |source: usize, error| WheelError::Layer { wheel: sources[source].path.to_owned(), source: error };
    paths::agree(items.iter().map(|item| item.path)).map_err(|(at, error)| of_layer(items[at].source, error))?;
    let pieces = oci_image::split(items.iter().map(Item::size), max_layer);
    let pieces: Vec<_> = pieces.into_iter().enumerate().collect();
    // Pieces behind one that failed are given up; those before it go on, so that it is always the first failure that is
    // told.
    let failed = AtomicUsize::new(usize::MAX);
    let made = side_by_side::map(&pieces, side_by_side::cores().min(AT_ONCE), |(number, piece)| {
        let is_given_up = || failed.load(Ordering::Relaxed) < *number;
        let made = write_piece(&items[piece.clone()], sources, store, layout, &is_given_up);
        if made.as_ref().is_err_and(|(_, error)| !matches!(error, LayerError::Hashes { .. })) {
            failed.fetch_min(*number, Ordering::Relaxed);
        }
        made
    });
    let mut layers = Vec::new();
    let mut wrong = Vec::new();
    for made in made {
        match made {
            Ok(layer) => layers.extend(layer),
            // All files with a wrong hash are named, whichever piece they are in.
            Err((_, LayerError::Hashes { paths })) => wrong.extend(paths),
            // No wheel can help it.
            Err((_, LayerError::Store(error))) => return Err(error.into()),
            Err((source, error)) => return Err(of_layer(source, error)),
        }
    }
    if wrong.is_empty() { Ok(layers) } else { Err(not_as_recorded(sources, wrong)) }
}

/// The error for files that do not hash to what RECORD says, with the wheel that they are of.
fn not_as_recorded(sources: &[Source<'_>], wrong: Vec<String>) -> WheelError {
    let of = |source: &Source<'_>| -> Vec<String> {
        let own: HashSet<&str> = source.plan.placed.iter().map(|placed| relative(&placed.path)).collect();
        wrong.iter().filter(|path| own.contains(path.as_str())).cloned().collect()
    };
    let found = sources.iter().map(|source| (source, of(source))).find(|(_, files)| !files.is_empty());
    let (source, files) = found.unwrap_or_else(|| (&sources[0], wrong.clone()));
    WheelError::Record { wheel: source.path.to_owned(), files }
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// The files of one wheel, in their order. Those that it shares with an earlier one, which are `there`, are read all the
/// same: a damaged wheel is not to pass.
fn items_of<'a>(
    number: usize,
    source: &'a Source<'_>,
    file: &File,
    there: &HashSet<&str>,
    layout: &Layout,
) -> Result<Vec<Item<'a>>, WheelError> {
    let Source { path: wheel, plan } = source;
    let damaged = |fault| WheelError::Archive { wheel: wheel.to_path_buf(), fault };
    let mut changed = HashMap::new();
    let mut wrong = Vec::new();
    for placed in plan.placed.iter().filter(|placed| placed.unfinished) {
        let script = archive::contents(file, placed.entry, SCRIPT).map_err(damaged)?;
        if !placed.hash.is_none_or(|hash| verify::holds(&hash, &script)) {
            wrong.push(relative(&placed.path).to_owned());
        }
        let script = scripts::with_interpreter(&script, &layout.interpreter);
        changed.insert(placed.entry.name.as_str(), hashed("", &script));
    }
    let again = |placed: &&Placed<'_>| !placed.unfinished && there.contains(placed.path.as_str());
    for placed in plan.placed.iter().filter(again) {
        if !verify::entry(file, placed.entry, placed.hash.as_ref()).map_err(damaged)? {
            wrong.push(relative(&placed.path).to_owned());
        }
    }
    if !wrong.is_empty() {
        return Err(WheelError::Record { wheel: wheel.to_path_buf(), files: wrong });
    }
    let record = plan.record(&changed);
    let item = |path, mode, bytes| Item { source: number, path, mode, bytes };
    let mut items = Vec::new();
    for placed in &plan.placed {
        let bytes = if placed.unfinished { Bytes::Script(placed) } else { Bytes::Archive(placed) };
        items.push(item(&placed.path, placed.mode, bytes));
    }
    let own = plan.generated.iter().map(|made| item(&made.path, made.mode, Bytes::Made((&made.bytes).into())));
    items.extend(own);
    items.push(item(&plan.record_path, RECORD, Bytes::Made(record.into())));
    items.retain(|item| !there.contains(item.path));
    Ok(items)
}

/// Writes one layer; none where it is given up meanwhile. An error comes with the wheel that was being written:
/// that of a hash may be another's.
fn write_piece(
    items: &[Item<'_>],
    sources: &[Source<'_>],
    store: &Store,
    layout: &Layout,
    is_given_up: &dyn Fn() -> bool,
) -> Result<Option<Layer>, (usize, LayerError)> {
    let Layout { mtime, uid, gid, parents, .. } = layout;
    let (mtime, uid, gid) = (*mtime, *uid, *gid);
    let first = items.first().map_or(0, |item| item.source);
    let mut writer =
        LayerWriter::new(store, LayerOptions { mtime, uid, gid, parents }).map_err(|error| (first, error))?;
    for items in items.chunk_by(|one, other| one.source == other.source) {
        // One at a time: a thousand wheels may share a layer.
        let (number, path) = (items[0].source, sources[items[0].source].path);
        let file = File::open(path)
            .map_err(|error| (number, LayerError::Read { path: path.display().to_string(), source: error }))?;
        for item in items {
            if is_given_up() {
                return Ok(None);
            }
            let attr = Attr { mode: item.mode, uid, gid, mtime };
            write_item(&mut writer, item, &file, attr, layout).map_err(|error| (number, error))?;
        }
    }
    let last = items.last().map_or(0, |item| item.source);
    writer.finish().map(Some).map_err(|error| (last, error))
}

fn write_item(
    writer: &mut LayerWriter<'_>,
    item: &Item<'_>,
    file: &File,
    attr: Attr,
    layout: &Layout,
) -> Result<(), LayerError> {
    let Placed { path, entry, hash, .. } = match &item.bytes {
        Bytes::Made(bytes) => return writer.file(item.path, &attr, bytes),
        Bytes::Script(placed) => {
            let changed = |fault: Fault| LayerError::Damaged { path: item.path.to_owned(), reason: fault.to_string() };
            let script = archive::contents(file, placed.entry, SCRIPT).map_err(changed)?;
            return writer.file(item.path, &attr, &scripts::with_interpreter(&script, &layout.interpreter));
        }
        Bytes::Archive(placed) => placed,
    };
    let content = Content { size: entry.size, crc32: Some(entry.crc32), hash: *hash };
    let mut source = RawReader::new(file, entry);
    if entry.deflated {
        writer.deflated(path, &attr, &content, entry.compressed, &mut source)
    } else {
        writer.file_from(path, &attr, &content, &mut source)
    }
}
