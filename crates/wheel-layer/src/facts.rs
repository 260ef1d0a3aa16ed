//! What a wheel says of itself and holds, without its contents: all that checks and plans need.

use std::{
    collections::{BTreeSet, HashSet},
    fs::File,
    io,
    path::Path,
};

use elf_file::{Elf, Linkage};
use oci_image::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    WheelError,
    archive::{self, Entry, Peeker, Ranges},
    entry_points::{self, Command},
    fields::Fields,
    filename::{FileName, normalize},
    generated_scripts::PLACEHOLDER,
    record::{self, Row},
};

/// Raised where [`WheelFacts`] change their meaning or more is refused, so that older cached ones are not taken.
const VERSION: u32 = 5;
/// Bytes that METADATA, WHEEL or `entry_points.txt` may have; the longest known METADATA have some 300 KiB.
const METADATA: u64 = 2 << 20;
/// Bytes that RECORD may have: 250,000 rows of 100 bytes.
const RECORD: u64 = 25 << 20;

/// Files whose linkage is read; of 144 that MindSpore has, 57. Of each some 16 KiB are kept at most.
const LINKED: usize = 4096;

/// What a wheel says of itself and holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WheelFacts {
    pub(crate) file: FileName,
    /// Name of the distribution as METADATA writes it.
    pub name: String,
    /// Version as METADATA writes it; not necessarily one of PEP 440.
    pub version: String,
    pub(crate) wheel_version: (u32, u32),
    pub(crate) root_is_purelib: bool,
    /// `Tag` of WHEEL, one for each line.
    pub(crate) tags: Vec<String>,
    /// `Requires-Python`.
    pub requires_python: Option<String>,
    /// `Requires-Dist`, one requirement each.
    pub requires_dist: Vec<String>,
    /// Name of its `.dist-info` folder.
    pub(crate) dist_info: String,
    /// Its commands.
    pub commands: Vec<Command>,
    /// Its files in the order of the archive.
    pub files: Vec<Entry>,
    /// Rows of its RECORD as they are.
    pub(crate) record: Vec<Row>,
    /// Files that are machine code.
    pub elf: Vec<(String, Elf)>,
    /// Those of them that an import or a command loads, and what they tell the dynamic loader.
    pub linked: Vec<(String, Linkage)>,
    /// Scripts whose first line is to name the interpreter.
    pub(crate) unfinished_scripts: Vec<String>,
    /// Of an [`Outline`], the numbers of the files whose CRC-32 it tells; it tells the hash of none. Else none.
    #[serde(skip)]
    pub(crate) known: Option<BTreeSet<usize>>,
}

impl WheelFacts {
    /// Reads the facts of the wheel at `path`.
    pub fn read(path: &Path) -> Result<Self, WheelError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = FileName::parse(name).map_err(|reason| {
            WheelError::Refused(format!("`{}` is not the name of a wheel: {reason}", path.display()))
        })?;
        let file = File::open(path).map_err(WheelError::read(path))?;
        let length = file.metadata().map_err(WheelError::read(path))?.len();
        let reader = rawzip::FileReader::from(file.try_clone().map_err(WheelError::read(path))?);
        let damaged = |reason| WheelError::damaged(path, reason);
        let files = archive::entries(reader, length).map_err(damaged)?;
        let (elf, scripts) = peek(&file, &files).map_err(WheelError::read(path))?;
        let linked = linked(&file, &files, &elf).map_err(WheelError::read(path))?;
        Self::of_files(name, &file, files, (elf, linked, scripts)).map_err(damaged)
    }

    /// The name by which the distribution is compared (PEP 503).
    pub fn key(&self) -> String {
        normalize(&self.name)
    }

    fn of_files(
        file_name: FileName,
        file: &File,
        files: Vec<Entry>,
        (elf, linked, unfinished_scripts): Contents,
    ) -> Result<Self, String> {
        let dist_info = dist_info(&files, &file_name)?;
        let read = |name: &str, limit| {
            let path = format!("{dist_info}/{name}");
            let entry = files.iter().find(|entry| entry.name == path);
            entry.map(|entry| archive::contents(file, entry, limit)).transpose()
        };
        let needed = |name: &str, limit| read(name, limit)?.ok_or_else(|| format!("it has no `{dist_info}/{name}`"));
        let malformed = |name: &str| {
            let file = format!("{dist_info}/{name}");
            move |reason: String| format!("`{file}`: {reason}")
        };
        let wheel = Fields::parse(&needed("WHEEL", METADATA)?);
        let metadata = Fields::parse(&needed("METADATA", METADATA)?);
        let record = record::parse(&needed("RECORD", RECORD)?).map_err(malformed("RECORD"))?;
        let commands = match read("entry_points.txt", METADATA)? {
            Some(bytes) => entry_points::parse(&bytes).map_err(malformed("entry_points.txt"))?,
            None => Vec::new(),
        };
        let field = |name: &str| {
            let value = metadata.first(name).filter(|value| !value.is_empty());
            value.map(str::to_owned).ok_or_else(|| malformed("METADATA")(format!("it has no `{name}`")))
        };
        Ok(Self {
            name: field("Name")?,
            version: field("Version")?,
            wheel_version: wheel_version(wheel.first("Wheel-Version")).map_err(malformed("WHEEL"))?,
            root_is_purelib: wheel.first("Root-Is-Purelib").is_some_and(|value| value.eq_ignore_ascii_case("true")),
            tags: wheel.all("Tag").map(str::to_owned).collect(),
            requires_python: metadata.first("Requires-Python").map(str::to_owned),
            requires_dist: metadata.all("Requires-Dist").map(str::to_owned).collect(),
            file: file_name,
            dist_info,
            commands,
            files,
            record,
            elf,
            linked,
            unfinished_scripts,
            known: None,
        })
    }
}

/// The key of what is known of the wheel with these contents and this file name.
pub(crate) fn record_key(digest: &Digest, file_name: &str) -> String {
    format!("{VERSION} {digest} {file_name}")
}

/// The one folder of metadata; pip wants its name to begin with the distribution's.
fn dist_info(files: &[Entry], file_name: &FileName) -> Result<String, String> {
    let mut found: Vec<&str> = files
        .iter()
        .filter_map(|entry| entry.name.split_once('/'))
        .map(|(folder, _)| folder)
        .filter(|folder| folder.ends_with(".dist-info"))
        .collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [] => Err("it has no `.dist-info` folder".to_owned()),
        [one] if normalize(one).starts_with(&normalize(&file_name.name)) => Ok(one.to_owned()),
        [one] => Err(format!("its folder `{one}` is not that of `{}`", file_name.name)),
        _ => Err(format!("it has several `.dist-info` folders: `{}`", found.join("`, `"))),
    }
}

fn wheel_version(value: Option<&str>) -> Result<(u32, u32), String> {
    let text = value.ok_or("it has no `Wheel-Version`")?;
    let mut numbers = text.trim().split('.').map(str::parse);
    match (numbers.next(), numbers.next().unwrap_or(Ok(0))) {
        (Some(Ok(major)), Ok(minor)) => Ok((major, minor)),
        _ => Err(format!("`{text}` is not a `Wheel-Version`")),
    }
}

/// Machine code, its linkage, and unfinished scripts.
type Contents = (OfFiles<Elf>, OfFiles<Linkage>, Vec<String>);
/// What is known of files, by name.
type OfFiles<T> = Vec<(String, T)>;

fn peek(file: &File, files: &[Entry]) -> io::Result<(OfFiles<Elf>, Vec<String>)> {
    let mut peeker = Peeker::new(file);
    let (mut machine_code, mut unfinished) = (Vec::new(), Vec::new());
    let mut head = [0; elf_file::HEAD];
    for entry in files {
        let head = peeker.peek(entry, &mut head)?;
        if let Some(found) = Elf::parse(head) {
            machine_code.push((entry.name.clone(), found));
        }
        if is_script(&entry.name) && head.starts_with(PLACEHOLDER) {
            unfinished.push(entry.name.clone());
        }
    }
    Ok((machine_code, unfinished))
}

/// What an import may load: modules for CPython and commands, then what these need of the wheel's own, and so on. Of
/// other libraries nobody knows whether they are ever loaded; MindSpore has 600 MB of them.
fn linked(file: &File, files: &[Entry], elf: &[(String, Elf)]) -> io::Result<OfFiles<Linkage>> {
    let ours: HashSet<&str> =
        elf.iter().filter(|(_, found)| *found == Elf::AARCH64).take(LINKED).map(|(name, _)| name.as_str()).collect();
    let (mut next, mut others): (Vec<&Entry>, Vec<&Entry>) =
        files.iter().filter(|entry| ours.contains(entry.name.as_str())).partition(|entry| is_loaded(&entry.name));
    let mut linked = Vec::new();
    while !next.is_empty() {
        let read = side_by_side::map_longest_first(
            &next,
            side_by_side::cores(),
            |entry| entry.size,
            |entry| {
                let mut ranges = Ranges::new(file, entry);
                Linkage::read(|offset, size| ranges.read(offset, size))
            },
        );
        let mut needed = HashSet::new();
        for (entry, linkage) in next.iter().zip(read) {
            let Some(linkage) = linkage? else { continue };
            needed.extend(linkage.needed.iter().cloned());
            linked.push((entry.name.clone(), linkage));
        }
        (next, others) = others.into_iter().partition(|entry| needed.contains(base_name(&entry.name)));
    }
    linked.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(linked)
}

/// Whether Python or a user loads this file by itself: `x.cpython-311-aarch64-linux-gnu.so`, `x.abi3.so`, a command.
fn is_loaded(name: &str) -> bool {
    let module = base_name(name).strip_suffix(".so").and_then(|name| name.split_once('.'));
    let is_module = module.is_some_and(|(_, tag)| tag == "abi3" || tag.starts_with("cpython-"));
    is_module || is_script(name)
}

fn is_script(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.next().is_some_and(|folder| folder.ends_with(".data")) && parts.next() == Some("scripts")
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
