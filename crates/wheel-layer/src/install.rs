//! What an installer would put where: pip 26.0.1's `_internal/operations/install/wheel.py` as a pure function.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use oci_image::ContentHash;
use sha2::{Digest as _, Sha256};

use crate::{
    Fault, Layout, Target, WheelFacts,
    archive::Entry,
    filename::normalize,
    record::{self, Row},
    scripts,
};

/// Mode of an ordinary file under umask 022.
const PLAIN: u32 = 0o644;
/// Mode of a file that the archive marks as executable, and of generated scripts.
const EXECUTABLE: u32 = 0o755;

/// An installed distribution before it is one.
#[derive(Debug)]
pub(crate) struct Installation<'a> {
    /// Files of the archive that stay, in the order of the archive.
    pub placed: Vec<Placed<'a>>,
    /// Files that the installer makes; RECORD is still missing.
    pub generated: Vec<Generated>,
    /// Path of RECORD.
    pub record_path: String,
    /// From a file's name in the archive to its path in RECORD.
    recorded: BTreeMap<&'a str, String>,
    rows: &'a [Row],
    library: &'a str,
}

/// A file of the archive and where it goes.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    /// Absolute path.
    pub path: String,
    pub mode: u32,
    pub entry: &'a Entry,
    /// What RECORD says it hashes to.
    pub hash: Option<ContentHash>,
    /// Whether it is a script whose first line is to name the interpreter.
    pub unfinished: bool,
}

/// A file that the installer makes.
#[derive(Debug)]
pub(crate) struct Generated {
    /// Absolute path.
    pub path: String,
    pub mode: u32,
    pub bytes: Vec<u8>,
}

/// By how much a row of RECORD may grow where its script is finished: the digits of a length.
const GROWTH: u64 = 20;

impl WheelFacts {
    /// Compressed bytes of each file of its layer, in their order: what [`oci_image::split`] is to know. No file is
    /// larger, so that there are no more pieces than it says.
    pub fn sizes(&self, layout: &Layout, target: &Target) -> Result<Vec<u64>, Fault> {
        let plan = install(self, layout, target)?;
        let placed = plan.placed.iter().map(|placed| placed.entry.compressed);
        let made = plan.generated.iter().map(|made| made.bytes.len() as u64);
        let scripts = plan.placed.iter().filter(|placed| placed.unfinished).count() as u64;
        let record = plan.record(&HashMap::new()).len() as u64 + GROWTH * scripts;
        Ok(placed.chain(made).chain([record]).collect())
    }

    /// Every folder that its files lie in, directly or below, as absolute paths: those that the base may have already.
    pub fn folders(&self, layout: &Layout, target: &Target) -> Result<BTreeSet<String>, Fault> {
        let plan = install(self, layout, target)?;
        let made = plan.generated.iter().map(|made| made.path.as_str());
        let mut folders = BTreeSet::new();
        for path in plan.placed.iter().map(|placed| placed.path.as_str()).chain(made).chain([plan.record_path.as_str()])
        {
            let mut path = path;
            while let Some((above, _)) = path.rsplit_once('/') {
                path = if above.is_empty() { "/" } else { above };
                if folders.contains(path) {
                    break;
                }
                folders.insert(path.to_owned());
                if path == "/" {
                    break;
                }
            }
        }
        Ok(folders)
    }
}

/// Places the files of a wheel.
pub(crate) fn install<'a>(
    facts: &'a WheelFacts,
    layout: &'a Layout,
    target: &Target,
) -> Result<Installation<'a>, Fault> {
    let library = if facts.root_is_purelib { layout.purelib.as_str() } else { &layout.platlib };
    let hashes: HashMap<&str, &Row> = facts.record.iter().map(|row| (row.path.as_str(), row)).collect();
    let unfinished: HashSet<&str> = facts.unfinished_scripts.iter().map(String::as_str).collect();
    // pip's order: what lies at the root, then other schemes, then scripts. The last one at a path stays.
    let mut stages: [Vec<(String, &Entry)>; 3] = Default::default();
    for entry in &facts.files {
        let (stage, path) = destination(entry, facts, layout, library)?;
        if stage == 2 && is_wrapper(&path, facts) {
            continue;
        }
        stages[stage].push((path, entry));
    }
    let mut recorded = BTreeMap::new();
    let mut owner: HashMap<String, &str> = HashMap::new();
    for (path, entry) in stages.iter().flatten() {
        recorded.insert(entry.name.as_str(), relative(path, library));
        owner.insert(path.clone(), &entry.name);
    }
    let dist_info = format!("{library}/{}", facts.dist_info);
    let mut generated = Vec::new();
    for (name, bytes) in scripts::generated(&facts.commands, layout, target.python) {
        generated.push(Generated { path: format!("{}/{name}", layout.scripts), mode: EXECUTABLE, bytes });
    }
    for (name, bytes) in [("INSTALLER", &b"pip\n"[..]), ("REQUESTED", b"")] {
        generated.push(Generated { path: format!("{dist_info}/{name}"), mode: PLAIN, bytes: bytes.to_vec() });
    }
    let record_path = format!("{dist_info}/RECORD");
    for path in generated.iter().map(|made| &made.path).chain([&record_path]) {
        owner.remove(path);
    }
    let mut placed: Vec<Placed<'_>> = stages
        .into_iter()
        .flatten()
        .filter(|(path, entry)| owner.get(path) == Some(&entry.name.as_str()))
        .map(|(path, entry)| Placed {
            // RECORD has the path as it is called, as pip's does.
            path: layout.behind_links(path),
            mode: if entry.executable { EXECUTABLE } else { PLAIN },
            entry,
            // A hash that can't be read is found by `WheelFacts::check`.
            hash: hashes.get(entry.name.as_str()).and_then(|row| record::hash(&row.hash).ok()?),
            unfinished: unfinished.contains(entry.name.as_str()),
        })
        .collect();
    placed.sort_by_key(|placed| placed.entry.offset);
    Ok(Installation { placed, generated, record_path, recorded, rows: &facts.record, library })
}

impl Installation<'_> {
    /// RECORD as the installer writes it. `changed` are rows of finished scripts by their name in the archive.
    pub fn record(&self, changed: &HashMap<&str, Row>) -> Vec<u8> {
        let changed: HashMap<&str, &Row> =
            changed.iter().filter_map(|(name, row)| Some((self.recorded.get(name)?.as_str(), row))).collect();
        let mut left: BTreeMap<&str, &str> = self.recorded.iter().map(|(name, path)| (*name, path.as_str())).collect();
        let mut rows = Vec::new();
        for row in self.rows {
            let path = left.remove(row.path.as_str()).unwrap_or(&row.path);
            rows.push(match changed.get(path) {
                Some(row) => Row { path: path.to_owned(), ..(*row).clone() },
                None => Row { path: path.to_owned(), ..row.clone() },
            });
        }
        for Generated { path, bytes, .. } in &self.generated {
            rows.push(hashed(&relative(path, self.library), bytes));
        }
        for path in left.into_values() {
            rows.push(Row { path: path.to_owned(), hash: String::new(), size: String::new() });
        }
        record::write(rows)
    }
}

/// The row of a file of these bytes.
pub(crate) fn hashed(path: &str, bytes: &[u8]) -> Row {
    Row { path: path.to_owned(), hash: record::sha256(&Sha256::digest(bytes)), size: bytes.len().to_string() }
}

/// Where an entry goes, and in which of pip's three stages.
fn destination(entry: &Entry, facts: &WheelFacts, layout: &Layout, library: &str) -> Result<(usize, String), Fault> {
    let (folder, rest) = entry.name.split_once('/').unwrap_or((&entry.name, ""));
    if !folder.ends_with(".data") {
        return Ok((0, format!("{library}/{}", entry.name)));
    }
    let refuse = |reason| Fault::Entry { name: entry.name.clone(), reason };
    let (scheme, rest) = rest.split_once('/').ok_or_else(|| {
        refuse("lies in a `.data` folder, but not in one of a scheme below it (purelib, platlib, …)".to_owned())
    })?;
    let base = match scheme {
        "purelib" => layout.purelib.clone(),
        "platlib" => layout.platlib.clone(),
        "scripts" => return Ok((2, format!("{}/{rest}", layout.scripts))),
        "headers" => format!("{}/{}", layout.headers, normalize(&facts.file.name)),
        "data" => layout.data.clone(),
        other => {
            return Err(refuse(format!(
                "is of the unknown scheme `{other}`; there are data, headers, platlib, purelib, scripts"
            )));
        }
    };
    Ok((1, format!("{}/{rest}", base.trim_end_matches('/'))))
}

/// Scripts that setuptools made for a command; the installer makes its own.
fn is_wrapper(path: &str, facts: &WheelFacts) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lower = name.to_lowercase();
    let cut = [".exe", "-script.py", ".pya"].into_iter().find(|end| lower.ends_with(end)).map_or(0, str::len);
    name.get(..name.len() - cut).is_some_and(|stem| facts.commands.has(stem))
}

/// `path` as seen from the folder `from`, as `os.path.relpath` gives it; both absolute and plain.
fn relative(path: &str, from: &str) -> String {
    let parts = |text: &'_ str| text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (path, from) = (parts(path), parts(from));
    let same = path.iter().zip(&from).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", from.len() - same);
    up.chain(path[same..].iter().map(String::as_str)).collect::<Vec<_>>().join("/")
}
