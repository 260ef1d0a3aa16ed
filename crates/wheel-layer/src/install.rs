//! What an installer would put where: pip 26.0.1's `_internal/operations/install/wheel.py` as a pure function.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use image_name::Digest;
use oci_image::ContentHash;
use sha2::{Digest as _, Sha256};

use crate::{
    Layout, WheelError, WheelFacts,
    archive::Entry,
    filename::normalize,
    generated_scripts,
    record::{self, Row},
};

/// Mode of an ordinary file under umask 022.
const PLAIN: u32 = 0o644;
/// Mode of a file that the archive marks as executable, and of generated scripts.
const EXECUTABLE: u32 = 0o755;
/// By how much a row of RECORD may grow where its script is finished: the digits of a length.
const GROWTH: u64 = 20;
/// Which of pip's three stages scripts are.
const SCRIPTS: usize = 2;

/// A wheel as it will lie in the image: computed once, and handed on from the checks to the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledWheel {
    /// What it says and holds.
    pub facts: Arc<WheelFacts>,
    /// Where it lies on this machine.
    pub path: PathBuf,
    /// SHA-256 of its bytes, the caller's word.
    pub digest: Digest,
    /// Every folder that its files lie in, directly or below, as absolute paths without the root: those that the base
    /// may have already.
    pub folders: BTreeSet<String>,
    /// Files that another of its own replaces, each a sentence: pip says nothing of it.
    pub twice: Vec<String>,
    /// Whether files are held against RECORD's hashes.
    pub(crate) believes_record: bool,
    /// Its files in the order of the archive, then those that the installer makes, RECORD last.
    pub(crate) files: Vec<InstalledFile>,
    pub(crate) layout: Arc<Layout>,
    /// Folders that a link of the base leads elsewhere, as `<prefix>/man/man1`, and where they really are.
    pub(crate) links: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstalledFile {
    /// Absolute path, behind the links of the base.
    pub path: String,
    pub mode: u32,
    pub content: FileContent,
    /// Another wheel's file is there in its place. RECORD lists it all the same.
    pub overwritten: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileContent {
    /// The archive has it.
    Archived(Archived),
    /// The installer makes it.
    Made(Vec<u8>),
    /// The installer compiles it from this source, where that compiles.
    Bytecode(Archived),
    /// RECORD, at most so many bytes: it has the hashes of scripts that are still to be read.
    Record { at_most: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Archived {
    /// Its number among the wheel's files.
    pub number: usize,
    /// What RECORD says it hashes to.
    pub hash: Option<ContentHash>,
    /// Whether it is a script whose first line is to name the interpreter.
    pub unfinished: bool,
}

impl InstalledWheel {
    /// Places the files of the wheel at `path`, whose contents have this digest and these facts. `real` gives where a
    /// folder really is that a link of the base leads elsewhere.
    pub fn new(
        facts: Arc<WheelFacts>,
        path: PathBuf,
        digest: Digest,
        layout: Arc<Layout>,
        real: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, WheelError> {
        let (folders, files, links) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
        let (twice, believes_record) = (Vec::new(), true);
        let mut wheel = Self { facts, path, digest, folders, twice, believes_record, files, layout, links };
        wheel.place(real).map_err(|reason| WheelError::damaged(&wheel.path, reason))?;
        Ok(wheel)
    }

    /// Has its files be what they are, whatever RECORD says of them.
    pub fn ignore_record(&mut self) {
        self.believes_record = false;
        for file in &mut self.files {
            if let FileContent::Archived(archived) = &mut file.content {
                archived.hash = None;
            }
        }
    }

    /// Whether one of its files lies at this absolute path.
    pub fn has_file(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// About how many compressed bytes each file of its layer has, in their order: what [`oci_image::split`] is to
    /// know. There are no more pieces than it says then; only those that bytecode is in may be larger.
    pub fn sizes(&self) -> impl Iterator<Item = u64> {
        self.files.iter().filter(|file| !file.overwritten).map(|file| self.size(file))
    }

    /// Paths of its files that another wheel's are there for.
    pub(crate) fn overwritten(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter(|file| file.overwritten).map(|file| file.path.as_str())
    }

    pub(crate) fn size(&self, file: &InstalledFile) -> u64 {
        match &file.content {
            FileContent::Archived(archived) => self.entry(archived).compressed,
            // About twice as much as it is in the end, which is not known before it is compiled.
            FileContent::Bytecode(source) => self.entry(source).size,
            FileContent::Made(bytes) => bytes.len() as u64,
            FileContent::Record { at_most } => *at_most,
        }
    }

    pub(crate) fn entry(&self, archived: &Archived) -> &Entry {
        &self.facts.files[archived.number]
    }

    fn place(&mut self, real: impl Fn(&str) -> Option<String>) -> Result<(), String> {
        let (facts, layout) = (self.facts.clone(), self.layout.clone());
        // pip's order: what lies at the root, then other schemes, then scripts. The last one at a path stays, and
        // what the installer makes comes after them all.
        let mut stages: [Vec<(String, usize)>; 3] = Default::default();
        for (number, entry) in facts.files.iter().enumerate() {
            if let Some((stage, path)) = destination(entry, &facts, &layout)? {
                stages[stage].push((path, number));
            }
        }
        let dist_info = format!("{}/{}", library(&facts, &layout), facts.dist_info);
        let made =
            |path, mode, bytes| InstalledFile { path, mode, content: FileContent::Made(bytes), overwritten: false };
        let mut generated: Vec<InstalledFile> = generated_scripts::generated(&facts.commands, &layout)
            .into_iter()
            .map(|(name, bytes)| made(format!("{}/{name}", layout.scripts), EXECUTABLE, bytes))
            .collect();
        generated.push(made(format!("{dist_info}/INSTALLER"), PLAIN, b"pip\n".to_vec()));
        generated.push(made(format!("{dist_info}/REQUESTED"), PLAIN, Vec::new()));
        let content = FileContent::Record { at_most: 0 };
        generated.push(InstalledFile { path: format!("{dist_info}/RECORD"), mode: PLAIN, content, overwritten: false });

        let mut owners: HashMap<&str, usize> = HashMap::new();
        for (path, number) in stages.iter().flatten() {
            if let Some(earlier) = owners.insert(path, *number) {
                let [one, other] = [*number, earlier].map(|number| &facts.files[number].name);
                self.twice.push(format!("its `{one}` overwrites its `{other}` at `{path}`"));
            }
        }
        for file in &generated {
            owners.remove(file.path.as_str());
        }
        let hashes: HashMap<&str, &str> =
            facts.record.iter().map(|row| (row.path.as_str(), row.hash.as_str())).collect();
        let unfinished: HashSet<&str> = facts.unfinished_scripts.iter().map(String::as_str).collect();
        let (mut placed, mut compiled) = (Vec::with_capacity(owners.len()), Vec::new());
        for (path, number) in stages.iter().flatten().filter(|(path, number)| owners.get(path.as_str()) == Some(number))
        {
            let entry = &facts.files[*number];
            let name = entry.name.as_str();
            // A hash that can't be read is found by `WheelFacts::check`; an outline has none.
            let hash = hashes.get(name).filter(|_| facts.known.is_none()).and_then(|hash| record::hash(hash).ok()?);
            let archived = Archived { number: *number, hash, unfinished: unfinished.contains(name) };
            let mode = if entry.executable { EXECUTABLE } else { PLAIN };
            // RECORD has the path as it is called, as pip's does.
            let path = self.behind_links(path, &real);
            if let Some(path) = layout.bytecode_path(&path) {
                let path = self.behind_links(&path, &real);
                let content = FileContent::Bytecode(archived);
                compiled.push((entry.offset, InstalledFile { path, mode: PLAIN, content, overwritten: false }));
            }
            let content = FileContent::Archived(archived);
            placed.push((entry.offset, InstalledFile { path, mode, content, overwritten: false }));
        }
        // What the wheel has in its place is overwritten.
        let cached: HashSet<&str> = compiled.iter().map(|(_, file)| file.path.as_str()).collect();
        placed.retain(|(_, file)| !cached.contains(file.path.as_str()));
        placed.sort_by_key(|(offset, _)| *offset);
        compiled.sort_by_key(|(offset, _)| *offset);
        self.files = placed.into_iter().chain(compiled).map(|(_, file)| file).chain(generated).collect();

        let mut paths = HashSet::new();
        for InstalledFile { path, .. } in &self.files {
            if !paths.insert(path.as_str()) {
                return Err(format!("two of its files would be `{path}`, behind a link of the base"));
            }
            let mut below = path.as_str();
            while let Some((folder, _)) = below.rsplit_once('/').filter(|(folder, _)| !folder.is_empty())
                && self.folders.insert(folder.to_owned())
            {
                below = folder;
            }
        }
        if let Some(both) = self.folders.iter().find(|folder| paths.contains(folder.as_str())) {
            return Err(format!("`{both}` would be a file and a folder"));
        }
        let scripts = facts.unfinished_scripts.len() as u64;
        let at_most = self.record(&HashMap::new(), |_| true).len() as u64 + GROWTH * scripts;
        self.files.iter_mut().rev().take(1).for_each(|record| record.content = FileContent::Record { at_most });
        Ok(())
    }

    /// Where a file really lies.
    fn behind_links(&mut self, path: &str, real: &impl Fn(&str) -> Option<String>) -> String {
        let Some((folder, name)) = path.rsplit_once('/') else { return path.to_owned() };
        if !self.links.contains_key(folder) {
            let real = real(folder).unwrap_or_else(|| folder.to_owned());
            self.links.insert(folder.to_owned(), real);
        }
        format!("{}/{name}", self.links[folder].trim_end_matches('/'))
    }

    /// Where the installer puts an archived file, as it is called.
    pub(crate) fn called(&self, archived: &Archived) -> Option<String> {
        // What is not to be placed was refused before.
        destination(self.entry(archived), &self.facts, &self.layout).ok().flatten().map(|(_, path)| path)
    }

    /// RECORD as the installer writes it. `changed` are rows of finished scripts by their number among the files, and
    /// `is_compiled` tells of which sources there is bytecode, by the same number.
    pub(crate) fn record(&self, changed: &HashMap<usize, Row>, is_compiled: impl Fn(usize) -> bool) -> Vec<u8> {
        let Self { facts, layout, files, .. } = self;
        let library = library(facts, layout);
        let mut left: BTreeMap<&str, (usize, String)> = BTreeMap::new();
        for (number, entry) in facts.files.iter().enumerate() {
            // What is not to be placed was refused before.
            if let Ok(Some((_, path))) = destination(entry, facts, layout) {
                left.insert(&entry.name, (number, relative(&path, library)));
            }
        }
        let mut rows = Vec::new();
        for row in &facts.record {
            rows.push(match left.remove(row.path.as_str()) {
                None => row.clone(),
                Some((number, path)) => Row { path, ..changed.get(&number).unwrap_or(row).clone() },
            });
        }
        let mut unhashed: Vec<String> = left.into_values().map(|(_, path)| path).collect();
        for InstalledFile { path, content, .. } in files {
            match content {
                FileContent::Made(bytes) => rows.push(hashed(&relative(path, library), bytes)),
                FileContent::Bytecode(source) if is_compiled(source.number) => {
                    let path = self.called(source).and_then(|path| layout.bytecode_path(&path));
                    unhashed.extend(path.map(|path| relative(&path, library)));
                }
                _ => {}
            }
        }
        rows.extend(unhashed.into_iter().map(|path| Row { path, hash: String::new(), size: String::new() }));
        record::write(rows)
    }
}

/// The row of a file of these bytes.
pub(crate) fn hashed(path: &str, bytes: &[u8]) -> Row {
    Row { path: path.to_owned(), hash: record::sha256(&Sha256::digest(bytes)), size: bytes.len().to_string() }
}

fn library<'a>(facts: &WheelFacts, layout: &'a Layout) -> &'a str {
    if facts.root_is_purelib { &layout.purelib } else { &layout.platlib }
}

/// Where an entry goes, and in which of pip's three stages; none where a command takes its place.
fn destination(entry: &Entry, facts: &WheelFacts, layout: &Layout) -> Result<Option<(usize, String)>, String> {
    let (folder, rest) = entry.name.split_once('/').unwrap_or((&entry.name, ""));
    if !folder.ends_with(".data") {
        return Ok(Some((0, format!("{}/{}", library(facts, layout), entry.name))));
    }
    let (scheme, rest) = rest.split_once('/').ok_or_else(|| {
        format!(
            "entry `{}` lies in a `.data` folder, but not in one of a scheme below it (purelib, platlib, …)",
            entry.name
        )
    })?;
    let base = match scheme {
        "purelib" => layout.purelib.clone(),
        "platlib" => layout.platlib.clone(),
        "scripts" => {
            return Ok((!is_wrapper(rest, facts)).then(|| (SCRIPTS, format!("{}/{rest}", layout.scripts))));
        }
        "headers" => format!("{}/{}", layout.headers, normalize(&facts.file.name)),
        "data" => layout.data.clone(),
        other => {
            return Err(format!(
                "entry `{}` is of the unknown scheme `{other}`; there are data, headers, platlib, purelib, scripts",
                entry.name
            ));
        }
    };
    Ok(Some((1, format!("{}/{rest}", base.trim_end_matches('/')))))
}

/// Scripts that setuptools made for a command; the installer makes its own.
fn is_wrapper(path: &str, facts: &WheelFacts) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lower = name.to_lowercase();
    let cut = [".exe", "-script.py", ".pya"].into_iter().find(|end| lower.ends_with(end)).map_or(0, str::len);
    let stem = name.get(..name.len() - cut);
    stem.is_some_and(|stem| facts.commands.iter().any(|command| command.name == stem))
}

/// `path` as seen from the folder `from`, as `os.path.relpath` gives it; both absolute and plain.
fn relative(path: &str, from: &str) -> String {
    if let Some(below) = path.strip_prefix(from).and_then(|rest| rest.strip_prefix('/')) {
        return below.to_owned();
    }
    let parts = |text: &'_ str| text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (path, from) = (parts(path), parts(from));
    let same = path.iter().zip(&from).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", from.len() - same);
    up.chain(path[same..].iter().map(String::as_str)).collect::<Vec<_>>().join("/")
}
