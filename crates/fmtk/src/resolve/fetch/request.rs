//! What pip is asked for: the recipe's requirements for the Python and the machine of the image.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{Pins, version_of};
use crate::{
    recipe::{ARCH, Glibc, Index, Recipe, Requirement, Resolution, Resolver, is_default, locked::Pinned},
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
    #[serde(default, skip_serializing_if = "is_default")]
    pub resolution: Resolution,
}

impl Request {
    /// What the recipe wants of PyPI.
    pub fn of(recipe: &Recipe) -> Self {
        let texts = |list: &[Requirement]| list.iter().map(ToString::to_string).collect();
        let (major, minor) = recipe.python.version;
        Self {
            requirements: texts(&recipe.pypi.requirements),
            constraints: texts(&recipe.pypi.constraints),
            python: format!("{major}.{minor}"),
            abi: recipe.python.abi(),
            platforms: platforms(recipe.python.glibc),
            resolution: recipe.pypi.resolution.clone(),
        }
    }

    /// Whether there is nothing to resolve: a lock or another tool pins all.
    pub fn is_pinned(&self, pins: &Pins) -> bool {
        pins.exact || !self.resolution.hashes.is_empty()
    }

    /// What pip is asked for so that these pins hold. Of a lock of the same requirements that is what is `missing`, each
    /// by version and hash. Wheels that lie there by hand are pinned by lying there.
    pub fn with(&self, pins: &Pins, missing: &[String], by_hand: &BTreeSet<String>) -> Self {
        let pin = |file: &String| version_of(file).map(|(name, version)| format!("{name}=={version}"));
        let hashes = &self.resolution.hashes;
        if !pins.exact && !hashes.is_empty() {
            let own: BTreeSet<String> = by_hand.iter().filter_map(pin).collect();
            let pinned = self.requirements.iter().filter(|text| !own.contains(*text)).filter_map(|text| {
                let requirement: Requirement = text.parse().ok()?;
                let hashes = hashes.get(requirement.name())?.clone();
                Some(Pinned { requirement, hashes }.to_string())
            });
            return Self { requirements: pinned.collect(), constraints: Vec::new(), ..self.clone() };
        }
        if !pins.exact {
            let pinned = pins.files.keys().filter(|file| !by_hand.contains(*file)).filter_map(pin);
            let constraints = self.constraints.iter().cloned().chain(pinned).collect();
            return Self { constraints, ..self.clone() };
        }
        let pinned = |file: &String| Some(format!("{} --hash={}", pin(file)?, pins.files.get(file)?.sha256));
        let requirements = missing.iter().filter_map(pinned).collect();
        Self { requirements, constraints: Vec::new(), ..self.clone() }
    }

    /// The same by the index that alone has what is required there; none stands for those that have all else. Where there
    /// are no such indexes, that is the whole request.
    pub fn by_index(&self) -> Vec<(Option<String>, Self)> {
        let mut parts: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
        for text in &self.requirements {
            let requirement: Option<Requirement> = text.split(" --hash=").next().and_then(|text| text.parse().ok());
            let index = requirement.and_then(|one| self.resolution.only_index(one.name().as_str()));
            parts.entry(index).or_default().push(text.clone());
        }
        let part = |(index, requirements): (Option<&str>, _)| {
            (index.map(str::to_owned), Self { requirements, ..self.clone() })
        };
        parts.into_iter().map(part).collect()
    }

    /// In what this one is not the other, of which a folder was filled.
    pub fn apart_from(&self, other: &Self) -> String {
        let mut apart = Vec::new();
        for ((what, ours), (_, theirs)) in self.lists().into_iter().zip(other.lists()) {
            let lack = |from: &[String], one: &&String| !from.contains(one);
            apart.extend(ours.iter().filter(|one| lack(&theirs, one)).map(|one| format!("{what}`{one}` is new")));
            apart.extend(theirs.iter().filter(|one| lack(&ours, one)).map(|one| format!("{what}`{one}` is gone")));
        }
        if self.python != other.python {
            apart.push(format!("Python was {}", other.python));
        }
        if self.platforms != other.platforms {
            apart.push("glibc was different".to_owned());
        }
        if self.resolution.resolver != other.resolution.resolver {
            apart.push("the resolver was different".to_owned());
        }
        if self.resolution.hashes != other.resolution.hashes {
            apart.push("other hashes are locked".to_owned());
        }
        apart.join(", ")
    }

    /// Requirements, constraints, overrides, exclusions and indexes, each with what messages call one of them.
    pub fn lists(&self) -> [(&'static str, Vec<String>); 5] {
        let Resolution { index, overrides, exclude, .. } = &self.resolution;
        let index = index.iter().map(|Index { url, only }| match only.is_empty() {
            true => url.clone(),
            false => format!("{url} for {}", only.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        });
        [
            ("", self.requirements.clone()),
            ("constraint ", self.constraints.clone()),
            ("override ", overrides.iter().map(ToString::to_string).collect()),
            ("exclude ", exclude.iter().map(ToString::to_string).collect()),
            ("index ", index.collect()),
        ]
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

    /// pip's arguments for the source of a distribution into `folder`: the newest for the target that satisfies all lines
    /// of this file.
    pub fn source_arguments(&self, work: &Path, name: &str, required: &Path, folder: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["download", "--disable-pip-version-check", "--no-input", "--no-deps"].map(OsString::from).into();
        arguments.push(format!("--no-binary={name}").into());
        arguments.extend(self.target().map(OsString::from));
        for (flag, path) in [("--requirement", required), ("--constraint", &work.join(CONSTRAINTS)), ("--dest", folder)]
        {
            arguments.extend([flag.into(), path.into()]);
        }
        arguments
    }

    /// What the image runs.
    fn target(&self) -> impl Iterator<Item = String> {
        let python = [format!("--python-version={}", self.python), format!("--abi={}", self.abi)];
        let platforms = self.platforms.iter().map(|platform| format!("--platform={platform}"));
        std::iter::once("--implementation=cp".to_owned()).chain(python).chain(platforms)
    }

    /// A line for bash on another machine, which downloads the same into a folder `wheels`. What a lock pins is asked for
    /// without hashes, which pip reads only from files: the lock is compared with what comes. What takes uv, or several
    /// indexes, is no line.
    pub fn bash_line(&self, pins: &Pins) -> Option<String> {
        let Resolution { resolver, index, .. } = &self.resolution;
        let takes_uv = *resolver == Resolver::Uv && !self.is_pinned(pins);
        if takes_uv || index.iter().any(|index| !index.only.is_empty()) {
            return None;
        }
        let all: Vec<String> = pins.files.keys().cloned().collect();
        let asked = self.with(pins, &all, &BTreeSet::new());
        let quoted = |list: &[String]| shell::line(list.iter().map(|one| one.split(" --hash=").next().unwrap_or(one)));
        let target = std::iter::once(ONLY_WHEELS.to_owned()).chain(self.target());
        let mut line = format!("python3 -m pip download --dest wheels {}", shell::line(target));
        if self.is_pinned(pins) {
            line.push_str(" --no-deps");
        }
        if let Some(url) = self.resolution.default_index() {
            line.push_str(&format!(" --index-url {}", shell::word(url)));
        }
        if !asked.constraints.is_empty() {
            line.push_str(&format!(" --constraint <(printf '%s\\n' {})", quoted(&asked.constraints)));
        }
        Some(format!("{line} {}", quoted(&asked.requirements)))
    }

    /// The files that the arguments name: their names and what is in them. An index that a file names takes the place of
    /// all that pip is configured for; the constraints are read for sources, too.
    pub fn files(&self, index: Option<&str>) -> [(&'static str, String); 2] {
        let lines = |list: &[String]| list.iter().map(|line| format!("{line}\n")).collect::<String>();
        let option = self.index_line(index);
        [(REQUIREMENTS, lines(&self.requirements)), (CONSTRAINTS, option + &lines(&self.constraints))]
    }

    /// The line of a requirements file for an index, else for the one of the recipe, which takes the place of pip's. It may
    /// hold a password, which arguments are not for.
    pub fn index_line(&self, index: Option<&str>) -> String {
        index.or(self.resolution.default_index()).map(|url| format!("--index-url {url}\n")).unwrap_or_default()
    }

    /// The file that asks for the source of a distribution, which comes from its own index if it has one.
    pub fn source_lines(&self, name: &str, required: &[&str]) -> String {
        let lines = required.iter().map(|line| format!("{line}\n"));
        self.index_line(self.resolution.only_index(name)) + &lines.collect::<String>()
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
