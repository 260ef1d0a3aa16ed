//! What pip is asked for: the recipe's requirements for the Python and the machine of the image.

use std::{collections::BTreeSet, ffi::OsString, path::Path};

use serde::{Deserialize, Serialize};

use super::{Pins, version_of};
use crate::{
    recipe::{ARCH, Glibc, Recipe},
    terminal::shell,
};

/// All that decides which wheels come: a folder that was filled for an equal one is not filled again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub requirements: Vec<String>,
    /// Bounds on whatever that needs.
    pub constraints: Vec<String>,
    pub python: String,
    pub abi: String,
    /// Platform tags, the most demanding first: pip takes a wheel of the first that has one.
    pub platforms: Vec<String>,
}

impl Request {
    /// What the recipe wants of PyPI.
    pub fn of(recipe: &Recipe) -> Self {
        let texts = |list: &[crate::recipe::Requirement]| list.iter().map(ToString::to_string).collect();
        let (major, minor) = recipe.python.version;
        Self {
            requirements: texts(&recipe.pypi.requirements),
            constraints: texts(&recipe.pypi.constraints),
            python: format!("{major}.{minor}"),
            abi: recipe.python.abi(),
            platforms: platforms(recipe.python.glibc),
        }
    }

    /// What pip is asked for so that these pins hold. Of a lock of the same requirements that is what is `missing`, each
    /// by version and hash. Wheels that lie there by hand are pinned by lying there.
    pub fn with(&self, pins: &Pins, missing: &[String], by_hand: &BTreeSet<String>) -> Self {
        let pin = |file: &String| version_of(file).map(|(name, version)| format!("{name}=={version}"));
        if !pins.exact {
            let pinned = pins.files.keys().filter(|file| !by_hand.contains(*file)).filter_map(pin);
            let constraints = self.constraints.iter().cloned().chain(pinned).collect();
            return Self { constraints, ..self.clone() };
        }
        let pinned = |file: &String| Some(format!("{} --hash={}", pin(file)?, pins.files.get(file)?.sha256));
        let requirements = missing.iter().filter_map(pinned).collect();
        Self { requirements, constraints: Vec::new(), ..self.clone() }
    }

    /// In what this one is not the other, of which a folder was filled.
    pub fn apart_from(&self, other: &Self) -> String {
        let mut apart = Vec::new();
        for (what, ours, theirs) in
            [("", &self.requirements, &other.requirements), ("constraint ", &self.constraints, &other.constraints)]
        {
            let lack = |from: &[String], one: &&String| !from.contains(one);
            apart.extend(ours.iter().filter(|one| lack(theirs, one)).map(|one| format!("{what}`{one}` is new")));
            apart.extend(theirs.iter().filter(|one| lack(ours, one)).map(|one| format!("{what}`{one}` is gone")));
        }
        if self.python != other.python {
            apart.push(format!("Python was {}", other.python));
        }
        if self.platforms != other.platforms {
            apart.push("glibc was different".to_owned());
        }
        apart.join(", ")
    }

    /// pip's arguments, with everything that they name in `work`; `exact` where each requirement has its hash. Index,
    /// proxies, certificates and find-links are left to pip's own configuration.
    pub fn arguments(&self, work: &Path, exact: bool) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["download", "--disable-pip-version-check", "--no-input"].map(OsString::from).into();
        arguments.extend([ONLY_WHEELS.into()]);
        arguments.extend(self.target().map(OsString::from));
        if exact {
            arguments.extend(["--no-deps", "--require-hashes"].map(OsString::from));
        }
        for (flag, file) in [
            ("--requirement", REQUIREMENTS),
            ("--constraint", CONSTRAINTS),
            ("--find-links", OWN),
            ("--log", LOG),
            ("--dest", WHEELS),
        ] {
            arguments.extend([flag.into(), work.join(file).into()]);
        }
        arguments
    }

    /// pip's arguments for the source of a distribution into `folder`: the newest for the target that satisfies all of
    /// what is `required` of it.
    pub fn source_arguments(&self, work: &Path, name: &str, required: &[&str], folder: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["download", "--disable-pip-version-check", "--no-input", "--no-deps"].map(OsString::from).into();
        arguments.push(format!("--no-binary={name}").into());
        arguments.extend(self.target().map(OsString::from));
        arguments.extend(["--constraint".into(), work.join(CONSTRAINTS).into()]);
        arguments.extend(["--dest".into(), folder.into()]);
        arguments.extend(required.iter().map(OsString::from));
        arguments
    }

    /// What the image runs.
    fn target(&self) -> impl Iterator<Item = String> {
        let python = [format!("--python-version={}", self.python), format!("--abi={}", self.abi)];
        let platforms = self.platforms.iter().map(|platform| format!("--platform={platform}"));
        std::iter::once("--implementation=cp".to_owned()).chain(python).chain(platforms)
    }

    /// A line for bash on another machine, which downloads the same into a folder `wheels`. What a lock pins is asked for
    /// without hashes, which pip reads only from files: the lock is compared with what comes.
    pub fn bash_line(&self, pins: &Pins) -> String {
        let all: Vec<String> = pins.files.keys().cloned().collect();
        let asked = self.with(pins, &all, &BTreeSet::new());
        let quoted = |list: &[String]| shell::line(list.iter().map(|one| one.split(" --hash=").next().unwrap_or(one)));
        let target = std::iter::once(ONLY_WHEELS.to_owned()).chain(self.target());
        let mut line = format!("python3 -m pip download --dest wheels {}", shell::line(target));
        if pins.exact {
            line.push_str(" --no-deps");
        }
        if !asked.constraints.is_empty() {
            line.push_str(&format!(" --constraint <(printf '%s\\n' {})", quoted(&asked.constraints)));
        }
        format!("{line} {}", quoted(&asked.requirements))
    }

    /// The files that the arguments name: their names and what is in them.
    pub fn files(&self) -> [(&'static str, String); 2] {
        let lines = |list: &[String]| list.iter().map(|line| format!("{line}\n")).collect();
        [(REQUIREMENTS, lines(&self.requirements)), (CONSTRAINTS, lines(&self.constraints))]
    }

    /// What markers (PEP 508) are about, where the target differs from the machine that pip runs on, as JSON. The patch
    /// level is not known; like other tools for foreign targets it counts as the first.
    pub fn marker_environment(&self) -> String {
        let full = format!("{}.0", self.python);
        serde_json::json!({
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": ARCH,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": full,
            "python_version": self.python,
            "sys_platform": "linux",
        })
        .to_string()
    }
}

/// An sdist would be built for, and by, the machine that pip runs on.
const ONLY_WHEELS: &str = "--only-binary=:all:";

const REQUIREMENTS: &str = "requirements.txt";
const CONSTRAINTS: &str = "constraints.txt";
/// Where pip finds the wheels that lie there by hand, what it did, and what it brought.
pub const OWN: &str = "own";
pub const LOG: &str = "pip.log";
pub const WHEELS: &str = "wheels";

/// Platform tags of wheels that run with this glibc: every manylinux down to 2.17, the first for aarch64 (PEP 600),
/// whose older name is manylinux2014 (PEP 599), and plain Linux.
fn platforms(glibc: Glibc) -> Vec<String> {
    let mut tags: Vec<String> = (17..=glibc.minor).rev().map(|minor| format!("manylinux_2_{minor}_{ARCH}")).collect();
    if !tags.is_empty() {
        tags.push(format!("manylinux2014_{ARCH}"));
    }
    tags.push(format!("linux_{ARCH}"));
    tags
}
