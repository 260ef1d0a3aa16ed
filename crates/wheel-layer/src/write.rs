//! Writing the files of wheels into layers.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    ops::ControlFlow,
};

use oci_image::{Attr, Content, ContentHash, Layer, LayerError, LayerOptions, LayerWriter, ParentDirs, Store};
use sha2::{Sha256, Sha384, Sha512, digest::DynDigest};

use crate::{
    Compiler, InstalledWheel, Layout, WheelError,
    archive::{self, RawReader, WHOLE},
    bytecode::Bytecode,
    generated_scripts,
    install::{Archived, FileContent, InstalledFile, hashed},
    record::Row,
};

/// Pieces that are made at once, at most: each takes two threads and some 6 MiB.
const AT_ONCE: usize = 4;

/// A wheel that is ready to be written, with its bytecode and the contents of its RECORD.
struct Ready<'a> {
    wheel: &'a InstalledWheel,
    bytecode: Bytecode,
    record: Vec<u8>,
}

/// A file on its way into a layer.
#[derive(Clone, Copy)]
struct Item<'a> {
    /// The number of its wheel.
    of: usize,
    file: &'a InstalledFile,
}

/// Writes the wheels one after the other, into pieces of at most `max_layer` compressed bytes that are made side by
/// side. What two of the wheels have at one path is alike.
pub(crate) fn write(
    wheels: &[&InstalledWheel],
    store: &Store,
    layout: &Layout,
    parents: &ParentDirs,
    max_layer: u64,
    compiler: &dyn Compiler,
) -> Result<Vec<Layer>, WheelError> {
    let mut there: HashSet<&str> = HashSet::new();
    let (mut ready, mut items) = (Vec::new(), Vec::new());
    for (of, wheel) in wheels.iter().enumerate() {
        let bytecode = Bytecode::compile(wheel, store, compiler)?;
        let record = wheel.record(&checked(wheel, &there, layout)?, |source| bytecode.has(source));
        let is_there = |file: &InstalledFile| match &file.content {
            FileContent::Bytecode(source) => bytecode.has(source.number),
            _ => true,
        };
        let kept = wheel.files.iter();
        let kept = kept.filter(|file| !file.overwritten && is_there(file) && there.insert(&file.path));
        items.extend(kept.map(|file| Item { of, file }));
        ready.push(Ready { wheel, bytecode, record });
    }
    let size = |item: &Item<'_>| match item.file.content {
        FileContent::Record { .. } => ready[item.of].record.len() as u64,
        _ => ready[item.of].wheel.size(item.file),
    };
    let pieces = oci_image::split(items.iter().map(size), max_layer);
    let options = LayerOptions { mtime: layout.mtime, uid: layout.uid, gid: layout.gid, parents };
    // Pieces behind one that failed are not begun; those before it are, so that it is always the first failure that is
    // told.
    let made = side_by_side::until(&pieces, side_by_side::cores().min(AT_ONCE), |piece| {
        let made = write_piece(&items[piece.clone()], &ready, store, options, layout);
        match &made {
            Err((_, error)) if !matches!(error, LayerError::Hashes { .. }) => ControlFlow::Break(made),
            _ => ControlFlow::Continue(made),
        }
    });
    let (mut layers, mut wrong) = (Vec::new(), Vec::new());
    for made in made.into_iter().flatten() {
        match made {
            Ok(layer) => layers.push(layer),
            // All files with a wrong hash are named, whichever piece they are in.
            Err((_, LayerError::Hashes { paths })) => wrong.extend(paths),
            // Not caused by the wheel.
            Err((_, LayerError::Store(error))) => return Err(error.into()),
            Err((of, source)) => return Err(WheelError::Layer { wheel: wheels[of].path.clone(), source }),
        }
    }
    if wrong.is_empty() {
        return Ok(layers);
    }
    let of =
        |wheel: &&&InstalledWheel| wheel.files.iter().any(|file| !file.overwritten && wrong[0] == relative(&file.path));
    let wheel = wheels.iter().find(of).unwrap_or(&wheels[0]);
    let own: HashSet<&str> = wheel.files.iter().map(|file| relative(&file.path)).collect();
    wrong.retain(|path| own.contains(path.as_str()));
    Err(not_as_recorded(wheel, wrong))
}

fn not_as_recorded(wheel: &InstalledWheel, files: Vec<String>) -> WheelError {
    WheelError::Record { wheel: wheel.path.clone(), name: wheel.facts.key(), files }
}

/// Where a file is installed, without the leading slash.
fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// RECORD's rows of finished scripts. Checks the files that no layer gets, as another wheel's are `there`: a damaged wheel
/// is not to pass.
fn checked(wheel: &InstalledWheel, there: &HashSet<&str>, layout: &Layout) -> Result<HashMap<usize, Row>, WheelError> {
    let file = File::open(&wheel.path).map_err(WheelError::read(&wheel.path))?;
    let damaged = |reason| WheelError::damaged(&wheel.path, reason);
    let (mut changed, mut wrong) = (HashMap::new(), Vec::new());
    for InstalledFile { path, content, overwritten, .. } in &wheel.files {
        let FileContent::Archived(archived @ Archived { hash, unfinished, number }) = content else { continue };
        let entry = wheel.entry(archived);
        let mut hasher = hash.as_ref().map(hasher);
        let mut update = |bytes: &[u8]| hasher.iter_mut().for_each(|(hasher, _)| hasher.update(bytes));
        if *unfinished {
            let script = archive::contents(&file, entry, WHOLE).map_err(damaged)?;
            update(&script);
            changed.insert(*number, hashed("", &generated_scripts::with_interpreter(&script, &layout.interpreter)));
        } else if *overwritten || there.contains(path.as_str()) {
            archive::read(&file, entry, update).map_err(damaged)?;
        } else {
            continue;
        }
        if hasher.is_some_and(|(hasher, expected)| *hasher.finalize() != *expected) {
            wrong.push(relative(path).to_owned());
        }
    }
    if wrong.is_empty() { Ok(changed) } else { Err(not_as_recorded(wheel, wrong)) }
}

/// What takes a hash of this kind, and what it must come to.
fn hasher(hash: &ContentHash) -> (Box<dyn DynDigest>, &[u8]) {
    match hash {
        ContentHash::Sha256(bytes) => (Box::<Sha256>::default(), bytes),
        ContentHash::Sha384(bytes) => (Box::<Sha384>::default(), bytes),
        ContentHash::Sha512(bytes) => (Box::<Sha512>::default(), bytes),
    }
}

/// Writes one layer. An error comes with the number of the wheel that was being written: that of a hash may be another's.
fn write_piece(
    items: &[Item<'_>],
    ready: &[Ready<'_>],
    store: &Store,
    options: LayerOptions<'_>,
    layout: &Layout,
) -> Result<Layer, (usize, LayerError)> {
    let of_wheel = |of| move |error| (of, error);
    let (first, last) = (items.first().map_or(0, |item| item.of), items.last().map_or(0, |item| item.of));
    let mut writer = LayerWriter::new(store, options).map_err(of_wheel(first))?;
    for items in items.chunk_by(|one, other| one.of == other.of) {
        // One at a time: a thousand wheels may share a layer.
        let of = items[0].of;
        let path = &ready[of].wheel.path;
        let file =
            File::open(path).map_err(|source| (of, LayerError::Read { path: path.display().to_string(), source }))?;
        for item in items {
            write_item(&mut writer, item.file, &ready[of], &file, layout).map_err(of_wheel(of))?;
        }
    }
    writer.finish().map_err(of_wheel(last))
}

fn write_item(
    writer: &mut LayerWriter<'_>,
    InstalledFile { path, mode, content, .. }: &InstalledFile,
    Ready { wheel, bytecode, record }: &Ready<'_>,
    file: &File,
    layout: &Layout,
) -> Result<(), LayerError> {
    let attr = Attr { mode: *mode, uid: layout.uid, gid: layout.gid, mtime: layout.mtime };
    let archived = match content {
        FileContent::Archived(archived) => archived,
        FileContent::Made(bytes) => return writer.file(path, &attr, bytes),
        FileContent::Bytecode(source) => {
            let read = |source| LayerError::Read { path: path.clone(), source };
            return writer.file(path, &attr, &bytecode.read(source.number).map_err(read)?);
        }
        FileContent::Record { .. } => return writer.file(path, &attr, record),
    };
    let entry = wheel.entry(archived);
    if archived.unfinished {
        // Read again where it is written, since all of a wheel's may be much.
        let script = archive::contents(file, entry, WHOLE)
            .map_err(|reason| LayerError::Damaged { path: path.clone(), reason })?;
        return writer.file(path, &attr, &generated_scripts::with_interpreter(&script, &layout.interpreter));
    }
    let content = Content { size: entry.size, crc32: Some(entry.crc32), hash: archived.hash };
    let mut source = RawReader::new(file, entry);
    match entry.deflated {
        true => writer.deflated(path, &attr, &content, entry.compressed, &mut source),
        false => writer.file_from(path, &attr, &content, &mut source),
    }
}
