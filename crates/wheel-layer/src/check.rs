//! Whether a wheel is sound and fits the target, before anything is built.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

use pep440_rs::Version;

use crate::{
    FileName, Target, WheelFacts,
    filename::normalize,
    marker::full_version,
    record::{self, Row},
    requirement::version_satisfies,
};

/// How many files one sentence names.
const NAMED: usize = 3;

impl WheelFacts {
    /// All that speaks against installing the wheel for `target`, RECORD and machine code aside: each the end of a
    /// sentence that begins with the wheel's name and a colon.
    pub fn check(&self, target: &Target) -> Vec<String> {
        let mut problems = Vec::new();
        let same_name = normalize(&self.file.name) == self.key();
        if !same_name || !same_version(&self.file.version, &self.version) {
            problems.push(format!(
                "its file name says `{} {}`, its METADATA says `{} {}`",
                self.file.name, self.file.version, self.name, self.version
            ));
        }
        let (major, minor) = self.wheel_version;
        if major != 1 {
            problems.push(format!("its format is {major}.{minor}; only 1.x is known"));
        }
        problems.extend(self.file.misfit(target));
        if let Some(wanted) = &self.requires_python {
            // pip, too, takes what it can't understand for satisfied.
            let version = full_version(target);
            if version_satisfies(wanted, &version) == Ok(false) {
                let target = match target.python_micro {
                    Some(_) => version,
                    None => format!("{}.{}", target.python.0, target.python.1),
                };
                problems.push(format!("it requires Python {wanted}, the target is {target}"));
            }
        }
        problems
    }

    /// That some of its files hold code of another machine than the target's, as such a sentence. Some wheels hold several
    /// kinds on purpose.
    pub fn foreign_code(&self) -> Option<String> {
        let foreign: Vec<String> = self
            .elf
            .iter()
            .filter(|(_, found)| found.is_foreign())
            .map(|(file, found)| format!("`{file}` ({found})"))
            .collect();
        let named = foreign.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let files = if foreign.len() == 1 { "file" } else { "files" };
        let more = match foreign.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!foreign.is_empty()).then(|| format!("code in {} {files} is not for aarch64: {named}{more}", foreign.len()))
    }

    /// Why it is not the same on every machine, as the end of a sentence that begins with the wheel: something in it was
    /// compiled.
    pub fn impurity(&self) -> Option<String> {
        if self.file.abis != ["none"] || self.file.platforms != ["any"] {
            return Some(format!("has the tags `{}`", self.file.tags()));
        }
        if let Some((file, found)) = self.elf.first() {
            return Some(format!("has machine code in `{file}` ({found})"));
        }
        (!self.root_is_purelib).then(|| "does not say `Root-Is-Purelib: true`".to_owned())
    }

    /// What is strange about the tags of WHEEL, as such a sentence: none of them is for the target. pip goes by those of
    /// the file name, and so is the wheel installed; but somebody renamed it, or built it for another machine.
    pub fn renamed(&self, target: &Target) -> Option<String> {
        let named = |tag: &String| FileName::parse(&format!("{}-{}-{tag}.whl", self.file.name, self.file.version));
        let misfits: Option<Vec<String>> = self.tags.iter().map(|tag| named(tag).ok()?.misfit(target)).collect();
        let reason = misfits?.into_iter().next()?;
        let (ours, theirs) = (self.file.tags(), self.tags.join("`, `"));
        Some(format!("its file name says `{ours}`, its WHEEL says `{theirs}`: {reason}"))
    }

    /// What RECORD does not say as it has to, as such sentences. That each file has a hash is checked here, the hash
    /// itself when the layer is made.
    pub fn check_record(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let rows: HashMap<&str, &Row> = self.record.iter().map(|row| (row.path.as_str(), row)).collect();
        // RECORD can't list its own hash, nor can its signatures be in it.
        let own = ["RECORD", "RECORD.jws", "RECORD.p7s"].map(|name| format!("{}/{name}", self.dist_info));
        for entry in self.files.iter().filter(|entry| !own.contains(&entry.name)) {
            let name = &entry.name;
            let Some(row) = rows.get(name.as_str()) else {
                problems.push(format!("RECORD does not list `{name}`"));
                continue;
            };
            if !row.size.is_empty() && row.size.parse() != Ok(entry.size) {
                problems.push(format!("`{name}` has {} bytes, RECORD says {}", entry.size, row.size));
            }
            let reason = match record::hash(&row.hash) {
                Ok(Some(_)) => continue,
                Ok(None) => "it is empty".to_owned(),
                Err(reason) => reason,
            };
            problems.push(format!("RECORD has no usable hash of `{name}`: {reason}"));
        }
        let files: HashSet<&str> = self.files.iter().map(|entry| entry.name.as_str()).collect();
        // A row without a hash, of a folder say, promises nothing.
        let absent = self.record.iter().filter(|row| !row.hash.is_empty() && !files.contains(row.path.as_str()));
        problems.extend(absent.map(|row| format!("RECORD lists `{}`, which is not there", row.path)));
        problems
    }
}

/// Whether two spellings are one version: by PEP 440 where both are, else as texts in which `-`, `_` and `+` (which
/// file names can't tell apart) are one.
fn same_version(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace(['-', '+'], "_").to_lowercase();
    let parsed = |text: &str| Version::from_str(text).or_else(|_| Version::from_str(&text.replacen('_', "+", 1)));
    plain(one) == plain(other) || matches!((parsed(one), parsed(other)), (Ok(one), Ok(other)) if one == other)
}
