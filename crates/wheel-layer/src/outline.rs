//! The facts of a wheel without its contents' places, checksums and hashes: enough to plan an image with it, and never
//! enough to write a layer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use oci_image::{Digest, Store};
use serde::{Deserialize, Serialize};

use crate::{
    InstalledWheel, WheelError, WheelFacts,
    archive::{self, ENTRIES, Entry, NAME},
    facts::record_key,
    install::FileContent,
    record::Row,
};

/// The kind under which stores have outlines.
pub const OUTLINES: &str = "wheel-outline";

/// What stands for the SHA-256 of a file in RECORD.
const HASH: &str = "sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// An outline. Files are told in columns, which compress to half of what objects do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// All but the files and RECORD.
    facts: WheelFacts,
    names: Vec<String>,
    sizes: Vec<u64>,
    compressed: Vec<u64>,
    /// Numbers of the files that are executable.
    executable: Vec<usize>,
    /// The files in the order of their bytes, where that is not the order of the archive's directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    order: Vec<usize>,
    /// CRC-32 of those that another wheel of the image has at the same path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    crc32: BTreeMap<usize, u32>,
    /// Numbers of the files whose row in RECORD is not of the usual form.
    unlisted: Vec<usize>,
    /// Those rows, and those of no file.
    rows: Vec<Row>,
}

impl WheelFacts {
    /// The facts of the wheel at `path`, whose contents have this digest (the caller's word): from the store where it
    /// has them, else read and stored. Of a wheel that is not there, its outline behind the store is taken.
    pub fn cached(store: &Store, path: &Path, digest: &Digest) -> Result<Self, WheelError> {
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let key = record_key(digest, file_name);
        if let Some(facts) = store.record("wheel-facts", &key)? {
            return Ok(facts);
        }
        if !path.exists()
            && let Some(facts) = store.record_behind(OUTLINES, &key).and_then(Outline::facts)
        {
            return Ok(facts);
        }
        let facts = Self::read(path)?;
        store.put_record("wheel-facts", &key, &facts)?;
        Ok(facts)
    }
}

/// The outlines of the wheels of one image, each under the key that a store has it by.
pub fn outlines(wheels: &[&InstalledWheel]) -> Vec<(String, Outline)> {
    let mut count: HashMap<&str, u32> = HashMap::new();
    for file in wheels.iter().flat_map(|wheel| &wheel.files) {
        *count.entry(&file.path).or_default() += 1;
    }
    let outline = |wheel: &&InstalledWheel| {
        let numbers =
            wheel.files.iter().filter(|file| count[file.path.as_str()] > 1).filter_map(|file| match &file.content {
                FileContent::Archived(archived) | FileContent::Bytecode(archived) => Some(archived.number),
                _ => None,
            });
        let file_name = wheel.path.file_name().unwrap_or_default().to_string_lossy();
        (record_key(&wheel.digest, &file_name), Outline::of(&wheel.facts, numbers.collect()))
    };
    wheels.iter().map(outline).collect()
}

/// Whether there is an outline of this wheel behind the store.
pub fn is_outlined(store: &Store, file_name: &str, digest: &Digest) -> bool {
    store.record_behind(OUTLINES, &record_key(digest, file_name)).and_then(Outline::facts).is_some()
}

impl Outline {
    fn of(facts: &WheelFacts, shared: HashSet<usize>) -> Self {
        let WheelFacts { files, record, .. } = facts;
        let mut order: Vec<usize> = (0..files.len()).collect();
        order.sort_by_key(|number| files[*number].offset);
        let mut rows: HashMap<&str, &Row> = HashMap::new();
        let mut others = Vec::new();
        let numbers: HashMap<&str, usize> =
            files.iter().enumerate().map(|(number, file)| (file.name.as_str(), number)).collect();
        for row in record {
            let of_file = numbers.get(row.path.as_str()).filter(|number| is_usual(row, &files[**number]));
            match of_file.is_some() && !rows.contains_key(row.path.as_str()) {
                true => drop(rows.insert(&row.path, row)),
                false => others.push(row.clone()),
            }
        }
        let is_known = |number: &usize| facts.known.as_ref().is_none_or(|known| known.contains(number));
        let numbered = |keep: &dyn Fn(&Entry) -> bool| {
            files.iter().enumerate().filter(|(_, file)| keep(file)).map(|(number, _)| number).collect::<Vec<_>>()
        };
        Self {
            names: files.iter().map(|file| file.name.clone()).collect(),
            sizes: files.iter().map(|file| file.size).collect(),
            compressed: files.iter().map(|file| file.compressed).collect(),
            executable: numbered(&|file| file.executable),
            order: if order.is_sorted() { Vec::new() } else { order },
            crc32: shared.into_iter().filter(is_known).map(|number| (number, files[number].crc32)).collect(),
            unlisted: numbered(&|file| !rows.contains_key(file.name.as_str())),
            rows: others,
            facts: WheelFacts { files: Vec::new(), record: Vec::new(), known: None, ..facts.clone() },
        }
    }

    /// The facts that it tells; none where it can't be an outline.
    pub(crate) fn facts(self) -> Option<WheelFacts> {
        let Self { mut facts, names, sizes, compressed, executable, order, crc32, unlisted, rows } = self;
        let count = names.len();
        let fits = count <= ENTRIES
            && rows.len() <= ENTRIES
            && sizes.len() == count
            && compressed.len() == count
            && (order.is_empty() || order.len() == count);
        let is_name = |name: &String| name.len() < NAME && archive::check_name(name).is_ok();
        let is_unique = names.iter().collect::<HashSet<_>>().len() == count;
        if !fits || !is_unique || !names.iter().all(is_name) {
            return None;
        }
        facts.files = names
            .into_iter()
            .zip(sizes)
            .zip(compressed)
            .enumerate()
            .map(|(number, ((name, size), compressed))| {
                let crc32 = crc32.get(&number).copied().unwrap_or_default();
                let offset = number as u64;
                Entry { name, size, crc32, offset, compressed, deflated: true, executable: false }
            })
            .collect();
        archive::check_folders(&facts.files).ok()?;
        for number in executable {
            facts.files.get_mut(number)?.executable = true;
        }
        for (offset, number) in order.into_iter().enumerate() {
            facts.files.get_mut(number)?.offset = offset as u64;
        }
        let unlisted: HashSet<usize> = unlisted.into_iter().collect();
        let usual = facts
            .files
            .iter()
            .enumerate()
            .filter(|(number, _)| !unlisted.contains(number))
            .map(|(_, file)| Row { path: file.name.clone(), hash: HASH.to_owned(), size: file.size.to_string() });
        facts.record = usual.chain(rows).collect();
        facts.known = Some(crc32.into_keys().collect());
        Some(facts)
    }
}

/// Whether the row can be made again of the file, but for the hash.
fn is_usual(row: &Row, file: &Entry) -> bool {
    let is_base64 = |value: &str| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    row.hash.len() == HASH.len()
        && row.hash.strip_prefix("sha256=").is_some_and(is_base64)
        && row.size == file.size.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One name made a hundred thousand folders, which took 10 GB.
    #[test]
    fn an_outline_has_the_limits_of_an_archive() {
        let facts = |names: &[&str]| {
            let sizes = vec![1; names.len()];
            let outline = json!({
                "facts": {
                    "file": { "name": "a", "version": "1", "build": null, "pythons": [], "abis": [], "platforms": [] },
                    "name": "a", "version": "1", "wheel_version": [1, 0], "root_is_purelib": true, "tags": [],
                    "requires_python": null, "requires_dist": [], "dist_info": "a-1.dist-info", "commands": [],
                    "files": [], "record": [], "elf": [], "linked": [], "unfinished_scripts": [],
                },
                "names": names, "sizes": sizes, "compressed": sizes, "executable": [], "unlisted": [], "rows": [],
            });
            serde_json::from_value::<Outline>(outline).unwrap().facts()
        };
        assert!(facts(&["a/b.py", "a/c.py"]).is_some());
        assert!(facts(&["a/b.py", "a/b.py"]).is_none(), "one name twice");
        assert!(facts(&[&"a/".repeat(NAME)]).is_none(), "a long name");
        let many: Vec<String> = (0..20).map(|number| format!("{number}/{}b", "a/".repeat(2000))).collect();
        assert!(facts(&many.iter().map(String::as_str).collect::<Vec<_>>()).is_none(), "too many folders");
    }
}
