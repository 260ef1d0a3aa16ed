//! Bytecode beside its sources, in `__pycache__` (PEP 3147), where an installer puts it.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    ops::{ControlFlow, Range},
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
};

use oci_image::{Scratch, Store, StoreError};

use crate::{
    InstalledWheel, WheelError,
    archive::{self, WHOLE},
    generated_scripts,
    install::FileContent,
};

/// What compiles modules as the target's Python does, on several threads at once.
pub trait Compiler: Sync {
    /// The `.pyc` file of a source that lies at this absolute path of the image, with the time of the layout; none where
    /// the source does not compile.
    fn compile(&self, path: &str, source: &[u8]) -> io::Result<Option<Vec<u8>>>;
}

/// For layouts that ask for no bytecode, and for layers that are made already.
pub struct NoCompiler;

impl Compiler for NoCompiler {
    fn compile(&self, _: &str, _: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "nothing was found that compiles"))
    }
}

/// The bytecode of a wheel, outside of memory until it is written into a layer.
pub(crate) struct Bytecode {
    spool: Option<(File, Scratch)>,
    /// Where that of each source is, by the source's number among the wheel's files.
    places: HashMap<usize, Range<u64>>,
}

impl Bytecode {
    /// Compiles all of a wheel that is to be, that of files too that another wheel's are there for: RECORD lists it.
    pub fn compile(wheel: &InstalledWheel, store: &Store, compiler: &dyn Compiler) -> Result<Self, WheelError> {
        let source = |content: &FileContent| match content {
            FileContent::Bytecode(source) => Some(*source),
            _ => None,
        };
        let sources: Vec<_> = wheel.files.iter().filter_map(|file| source(&file.content)).collect();
        if sources.is_empty() {
            return Ok(Self { spool: None, places: HashMap::new() });
        }
        let archive = File::open(&wheel.path).map_err(WheelError::read(&wheel.path))?;
        let scratch = store.scratch()?;
        let path = scratch.path().join("bytecode");
        let spool = File::options().read(true).write(true).create_new(true).open(&path);
        let spooling = |source| StoreError::Io { action: "write", path: path.clone(), source };
        let spool = spool.map_err(spooling)?;
        let written = Mutex::new((&spool, 0));
        let made = side_by_side::until(&sources, side_by_side::cores(), |source| {
            let entry = wheel.entry(source);
            if entry.size > WHOLE {
                return ControlFlow::Continue(Ok(None));
            }
            let compiled = || {
                let mut bytes = archive::contents(&archive, entry, WHOLE)
                    .map_err(|reason| WheelError::damaged(&wheel.path, reason))?;
                if source.unfinished {
                    bytes = generated_scripts::with_interpreter(&bytes, &wheel.layout.interpreter);
                }
                let path = wheel.called(source).unwrap_or_default();
                let failed =
                    |error| WheelError::Compile { wheel: wheel.path.clone(), path: path.clone(), source: error };
                let Some(bytes) = compiler.compile(&path, &bytes).map_err(failed)? else { return Ok(None) };
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                let (file, at) = &mut *written;
                file.write_all(&bytes).map_err(spooling)?;
                let begin = *at;
                *at += bytes.len() as u64;
                Ok(Some((source.number, begin..*at)))
            };
            match compiled() {
                Ok(place) => ControlFlow::Continue(Ok(place)),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        });
        let places: Result<Vec<_>, WheelError> = made.into_iter().flatten().collect();
        let places = places?.into_iter().flatten().collect();
        Ok(Self { spool: Some((spool, scratch)), places })
    }

    /// Whether there is bytecode of the source with this number.
    pub fn has(&self, source: usize) -> bool {
        self.places.contains_key(&source)
    }

    /// The bytecode of the source with this number.
    pub fn read(&self, source: usize) -> io::Result<Vec<u8>> {
        let (Some((spool, _)), Some(place)) = (&self.spool, self.places.get(&source)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut bytes = vec![0; usize::try_from(place.end - place.start).map_err(io::Error::other)?];
        spool.read_exact_at(&mut bytes, place.start)?;
        Ok(bytes)
    }
}
