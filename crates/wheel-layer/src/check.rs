//! Whether a wheel is sound and fits the target, before anything is built.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    str::FromStr,
};

use pep440_rs::Version;

use crate::{
    Elf, Target, WheelFacts,
    filename::normalize,
    marker::full_version,
    record::{self, Row},
    requirement::version_satisfies,
    tags::{self, Misfit},
};

/// What may be otherwise than it should, by distribution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Distributions that may hold machine code for other machines; some ship several on purpose. Names are compared
    /// as PEP 503 says.
    pub foreign_code: BTreeSet<String>,
}

/// Why a wheel is not to be installed; as text, the end of a sentence that begins with the wheel's name and a colon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Name in the file name and in METADATA differ.
    #[error("its file name says `{file}`, its METADATA says `{metadata}`")]
    Name {
        /// Name and version of the file name.
        file: String,
        /// Name and version of METADATA.
        metadata: String,
    },
    /// A newer format of wheels.
    #[error("its format is {0}.{1}; only 1.x is known")]
    WheelVersion(u32, u32),
    /// Its Python tags do not fit.
    #[error("it is for {wheel}, the target is {target}")]
    Python {
        /// Tags of the wheel.
        wheel: String,
        /// Version of the target.
        target: String,
    },
    /// Its platform tags do not fit.
    #[error("it is for {wheel}, the target is Linux on {target}")]
    Platform {
        /// Tags of the wheel.
        wheel: String,
        /// Machine of the target.
        target: String,
    },
    /// It needs a newer glibc.
    #[error("it needs glibc {}.{}, the target has {}.{}", wheel.0, wheel.1, target.0, target.1)]
    Glibc {
        /// The oldest version that does.
        wheel: (u32, u32),
        /// The target's.
        target: (u32, u32),
    },
    /// `Requires-Python` excludes the target.
    #[error("it requires Python {wheel}, the target is {target}")]
    RequiresPython {
        /// What METADATA says.
        wheel: String,
        /// Version of the target.
        target: String,
    },
    /// A file holds code for another machine.
    #[error("`{file}` holds {found} code, the target is {target}")]
    ForeignCode {
        /// The file.
        file: String,
        /// What it is for.
        found: Elf,
        /// Machine of the target.
        target: String,
    },
    /// A file that RECORD does not list.
    #[error("RECORD does not list `{0}`")]
    Unlisted(String),
    /// A file that RECORD lists and the archive lacks.
    #[error("RECORD lists `{0}`, which is not there")]
    Absent(String),
    /// RECORD has another size.
    #[error("`{file}` has {found} bytes, RECORD says {listed}")]
    Size {
        /// The file.
        file: String,
        /// Its size.
        found: u64,
        /// What RECORD says.
        listed: String,
    },
    /// RECORD has no hash of a file, or one that can't be used.
    #[error("RECORD has no usable hash of `{file}`: {reason}")]
    Hash {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl WheelFacts {
    /// All that speaks against installing the wheel for `target`. The hashes of RECORD are checked when the layer is
    /// made, that each file has one is checked here.
    pub fn check(&self, target: &Target, allowances: &Allowances) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_names(&mut problems);
        self.check_tags(target, &mut problems);
        self.check_code(target, allowances, &mut problems);
        self.check_record(&mut problems);
        problems
    }

    fn check_names(&self, problems: &mut Vec<Problem>) {
        let same_name = normalize(&self.file.name) == self.key();
        if !same_name || !same_version(&self.file.version, &self.version) {
            problems.push(Problem::Name {
                file: format!("{} {}", self.file.name, self.file.version),
                metadata: format!("{} {}", self.name, self.version),
            });
        }
        if self.wheel_version.0 != 1 {
            problems.push(Problem::WheelVersion(self.wheel_version.0, self.wheel_version.1));
        }
    }

    fn check_tags(&self, target: &Target, problems: &mut Vec<Problem>) {
        let pythons = || format!("{}-{}", self.file.pythons.join("."), self.file.abis.join("."));
        match tags::fit(&self.file, target) {
            Ok(()) => {}
            Err(Misfit::Python) => problems.push(Problem::Python { wheel: pythons(), target: target.abi.clone() }),
            Err(Misfit::Platform) => problems
                .push(Problem::Platform { wheel: self.file.platforms.join(" or "), target: target.machine.clone() }),
            Err(Misfit::Glibc(major, minor)) => {
                problems.push(Problem::Glibc { wheel: (major, minor), target: target.glibc });
            }
        }
        if let Some(wanted) = &self.requires_python {
            // pip, too, takes what it can't understand for satisfied.
            let version = full_version(target);
            if version_satisfies(wanted, &version) == Ok(false) {
                let target = match target.python_micro {
                    Some(_) => version,
                    None => format!("{}.{}", target.python.0, target.python.1),
                };
                problems.push(Problem::RequiresPython { wheel: wanted.clone(), target });
            }
        }
    }

    fn check_code(&self, target: &Target, allowances: &Allowances, problems: &mut Vec<Problem>) {
        let Some(wanted) = Elf::of_machine(&target.machine) else {
            return;
        };
        if allowances.foreign_code.iter().any(|name| normalize(name) == self.key()) {
            return;
        }
        for (file, found) in self.elf.iter().filter(|(_, found)| *found != wanted) {
            let target = target.machine.clone();
            problems.push(Problem::ForeignCode { file: file.clone(), found: *found, target });
        }
    }

    fn check_record(&self, problems: &mut Vec<Problem>) {
        let rows: HashMap<&str, &Row> = self.record.iter().map(|row| (row.path.as_str(), row)).collect();
        // RECORD can't list its own hash, nor can its signatures be in it.
        let own = ["RECORD", "RECORD.jws", "RECORD.p7s"].map(|name| format!("{}/{name}", self.dist_info));
        for entry in self.files.iter().filter(|entry| !own.contains(&entry.name)) {
            let Some(row) = rows.get(entry.name.as_str()) else {
                problems.push(Problem::Unlisted(entry.name.clone()));
                continue;
            };
            if !row.size.is_empty() && row.size.parse() != Ok(entry.size) {
                let (file, listed) = (entry.name.clone(), row.size.clone());
                problems.push(Problem::Size { file, found: entry.size, listed });
            }
            let reason = match record::hash(&row.hash) {
                Ok(Some(_)) => continue,
                Ok(None) => "it is empty".to_owned(),
                Err(reason) => reason,
            };
            problems.push(Problem::Hash { file: entry.name.clone(), reason });
        }
        let files: HashSet<&str> = self.files.iter().map(|entry| entry.name.as_str()).collect();
        // A row without a hash, of a folder say, promises nothing.
        for row in self.record.iter().filter(|row| !row.hash.is_empty() && !files.contains(row.path.as_str())) {
            problems.push(Problem::Absent(row.path.clone()));
        }
    }
}

/// Whether two spellings are one version: by PEP 440 where both are, else as texts in which `-`, `_` and `+` (which
/// file names can't tell apart) are one.
fn same_version(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace(['-', '+'], "_").to_lowercase();
    let parsed = |text: &str| Version::from_str(text).or_else(|_| Version::from_str(&text.replacen('_', "+", 1)));
    plain(one) == plain(other) || matches!((parsed(one), parsed(other)), (Ok(one), Ok(other)) if one == other)
}
