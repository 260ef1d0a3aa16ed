//! Writing the files of wheels into layers.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::Path,
};

use oci_image::{Content, Layer, LayerError, Store};

use crate::{
    Layout, WheelError,
    archive::{self, RawReader},
    install::{Installation, Placed},
    pieces::Pieces,
    scripts, verify,
};

/// A script that is changed is read whole.
const SCRIPT: u64 = 16 << 20;

/// A wheel and where its files go.
pub(crate) struct Source<'a> {
    /// Where it lies.
    pub path: &'a Path,
    pub plan: Installation<'a>,
}

/// Writes the wheels one after the other. What two of them have at one path is alike.
pub(crate) fn write(
    sources: &[Source<'_>],
    store: &Store,
    layout: &Layout,
    max_layer: u64,
) -> Result<Vec<Layer>, WheelError> {
    let mut pieces = Pieces::new(store, layout, max_layer);
    let mut there: HashSet<&str> = HashSet::new();
    for source in sources {
        write_one(source, &there, layout, &mut pieces).map_err(|error| blamed(error, sources, source))?;
        let Installation { placed, generated, .. } = &source.plan;
        there.extend(placed.iter().map(|placed| placed.path.as_str()));
        there.extend(generated.iter().map(|made| made.path.as_str()));
    }
    let Some(last) = sources.last() else {
        return Ok(Vec::new());
    };
    pieces.finish().map_err(|error| blamed(error.into(), sources, last))
}

/// Why one wheel could not be written.
enum Failed {
    Wheel(WheelError),
    Layer(LayerError),
}

impl From<WheelError> for Failed {
    fn from(error: WheelError) -> Self {
        Self::Wheel(error)
    }
}

impl From<LayerError> for Failed {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

/// The error with the wheel that it is about. Hashes are known at the end of a layer only, which may be another's.
fn blamed(error: Failed, sources: &[Source<'_>], at: &Source<'_>) -> WheelError {
    match error {
        Failed::Wheel(error) => error,
        Failed::Layer(LayerError::Hashes { paths }) => {
            let of = |source: &Source<'_>| -> Vec<String> {
                let own: HashSet<&str> =
                    source.plan.placed.iter().map(|placed| placed.path.trim_start_matches('/')).collect();
                paths.iter().filter(|path| own.contains(path.as_str())).cloned().collect()
            };
            let found = sources.iter().map(|source| (source, of(source))).find(|(_, files)| !files.is_empty());
            let (source, files) = found.unwrap_or((at, paths.clone()));
            WheelError::Record { wheel: source.path.to_owned(), files }
        }
        Failed::Layer(source) => WheelError::Layer { wheel: at.path.to_owned(), source },
    }
}

fn write_one(
    source: &Source<'_>,
    there: &HashSet<&str>,
    layout: &Layout,
    pieces: &mut Pieces<'_>,
) -> Result<(), Failed> {
    let Source { path: wheel, plan } = source;
    let damaged = |fault| WheelError::Archive { wheel: wheel.to_path_buf(), fault };
    let file = File::open(wheel).map_err(|source| WheelError::Read { wheel: wheel.to_path_buf(), source })?;
    let mut changed = HashMap::new();
    let mut wrong = Vec::new();
    for placed in plan.placed.iter().filter(|placed| placed.unfinished) {
        let script = archive::contents(&file, placed.entry, SCRIPT).map_err(damaged)?;
        if !placed.hash.is_none_or(|hash| verify::holds(&hash, &script)) {
            wrong.push(placed.path.trim_start_matches('/').to_owned());
        }
        let script = scripts::with_interpreter(&script, &layout.interpreter);
        changed.insert(placed.entry.name.as_str(), script);
    }
    // What another wheel has put there already is read all the same: a damaged wheel is not to pass.
    let again = |placed: &&Placed<'_>| !placed.unfinished && there.contains(placed.path.as_str());
    for placed in plan.placed.iter().filter(again) {
        if !verify::entry(&file, placed.entry, placed.hash.as_ref()).map_err(damaged)? {
            wrong.push(placed.path.trim_start_matches('/').to_owned());
        }
    }
    if !wrong.is_empty() {
        return Err(WheelError::Record { wheel: wheel.to_path_buf(), files: wrong }.into());
    }
    for placed in plan.placed.iter().filter(|placed| !there.contains(placed.path.as_str())) {
        let Placed { path, mode, entry, hash, unfinished: _ } = placed;
        let attr = pieces.attr(*mode);
        if let Some(script) = changed.get(entry.name.as_str()) {
            pieces.with(script.len() as u64)?.file(path, &attr, script)?;
            continue;
        }
        let content = Content { size: entry.size, crc32: Some(entry.crc32), hash: *hash };
        let mut source = RawReader::new(&file, entry);
        let writer = pieces.with(entry.compressed)?;
        if entry.deflated {
            writer.deflated(path, &attr, &content, entry.compressed, &mut source)?;
        } else {
            writer.file_from(path, &attr, &content, &mut source)?;
        }
    }
    let record = plan.record(&changed);
    let own = plan.generated.iter().map(|made| (&made.path, made.mode, &made.bytes));
    for (path, mode, bytes) in own.chain([(&plan.record_path, 0o644, &record)]) {
        if !there.contains(path.as_str()) {
            let attr = pieces.attr(mode);
            pieces.with(bytes.len() as u64)?.file(path, &attr, bytes)?;
        }
    }
    Ok(())
}
