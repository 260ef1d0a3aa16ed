//! Files in which other tools have pinned wheels by hash: `pylock.toml` (PEP 751) and requirements files with `--hash`
//! (pip, "Hash-checking mode"). Both are read for one target, in which markers hold or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use image_name::Digest;
use serde::{Deserialize, de::IgnoredAny};
use wheel_layer::{FileName, Target, marker_holds};

use super::{
    distribution::Requirement,
    read as read_file,
    versions::{ARCH, Python},
};

/// Bytes of such a file. Of a lock for all platforms PyTorch and 100 packages have some 500 KiB.
const LIMIT: u64 = 16 << 20;

/// Of so many kinds of wheels the tags are told.
const TOLD: usize = 4;

/// One version of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// `name==version`, the name normalised.
    pub requirement: Requirement,
    /// What its wheel may have for content: of several that fit, pip takes the one that fits best.
    pub hashes: BTreeSet<Digest>,
}

/// As a line of a requirements file.
impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.requirement)?;
        self.hashes.iter().try_for_each(|hash| write!(f, " --hash={hash}"))
    }
}

/// What is wrong with such a file, and the hint, if there is one.
type Problem = (String, Option<String>);

/// What markers are evaluated for. Of Python's version only two numbers are known; pip is told that the third is 0.
pub fn target(python: &Python) -> Target {
    Target { python_micro: Some(0), ..python.target() }
}

/// What the file pins for the target, and all that is wrong with it.
pub fn read(file: &Path, target: &Target) -> Result<Vec<Pinned>, Vec<Problem>> {
    let text = read_file(file, LIMIT).map_err(|error| vec![(format!("failed to read it: {error}"), None)])?;
    let is_toml = file.extension().is_some_and(|extension| extension == "toml");
    let pinned = if is_toml { pylock(&text, target)? } else { requirements(&text, target)? };
    let mut seen: Vec<Pinned> = Vec::new();
    let mut problems = Vec::new();
    for one in pinned {
        let Pinned { requirement, .. } = &one;
        match seen.iter().find(|other| other.requirement.name() == requirement.name()) {
            None => seen.push(one),
            Some(same) if *same == one => {}
            Some(other) if other.requirement == *requirement => {
                problems.push((format!("it has `{requirement}` twice, with other hashes"), None));
            }
            Some(Pinned { requirement: other, .. }) => {
                problems.push((format!("it has both `{other}` and `{requirement}` for the image's Python"), None));
            }
        }
    }
    let pinned = seen;
    if pinned.is_empty() {
        problems.push(("it pins nothing for the image's Python".to_owned(), None));
    }
    if problems.is_empty() { Ok(pinned) } else { Err(problems) }
}

/// `pylock.toml`, as far as wheels are concerned.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PyLock {
    lock_version: String,
    requires_python: Option<String>,
    #[serde(default)]
    environments: Vec<String>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    #[serde(default)]
    wheels: Vec<Wheel>,
    sdist: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Wheel {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// What a `pylock.toml` pins for the target.
pub fn pylock(text: &str, target: &Target) -> Result<Vec<Pinned>, Vec<Problem>> {
    let one = |message| vec![(message, None)];
    let lock: PyLock = toml_edit::de::from_str(text).map_err(|error| one(error.to_string().trim_end().to_owned()))?;
    if lock.lock_version.split('.').next() != Some("1") {
        return Err(one(format!("its `lock-version` is {}, but only 1 is known", lock.lock_version)));
    }
    let (major, minor) = target.python;
    if refuses(lock.requires_python.as_deref(), target) {
        let wanted = lock.requires_python.unwrap_or_default();
        return Err(one(format!("it is for Python {wanted}, the image has {major}.{minor}")));
    }
    let holds = |marker: &str| marker_holds(marker, target, &lock.default_groups);
    let environments: Result<Vec<bool>, String> = lock.environments.iter().map(|marker| holds(marker)).collect();
    let environments = environments.map_err(|reason| one(format!("in `environments`, {reason}")))?;
    if !environments.is_empty() && !environments.contains(&true) {
        return Err(one(format!("none of its `environments` is Python {major}.{minor} on Linux and {ARCH}")));
    }
    let (mut pinned, mut problems) = (Vec::new(), Vec::new());
    for package in &lock.packages {
        match package.marker.as_deref().map_or(Ok(true), holds).map_err(|reason| (reason, None)) {
            Ok(false) => {}
            Ok(true) => match package.pinned(target) {
                Ok(one) => pinned.push(one),
                Err((message, hint)) => problems.push((format!("`{}` {message}", package.name), hint)),
            },
            Err((reason, hint)) => problems.push((format!("`{}` can't be read: {reason}", package.name), hint)),
        }
    }
    if problems.is_empty() { Ok(pinned) } else { Err(problems) }
}

/// Whether a `requires-python` does not allow the target's. As with wheels, one that can't be read allows all.
fn refuses(requires_python: Option<&str>, target: &Target) -> bool {
    // A bound such as `>=3.9.2` does not count against a Python whose third number is unknown.
    let version = format!("{}.{}.99", target.python.0, target.python.1);
    requires_python.is_some_and(|wanted| wheel_layer::version_satisfies(wanted, &version) == Ok(false))
}

impl Package {
    fn pinned(&self, target: &Target) -> Result<Pinned, Problem> {
        let plain = |message: &str| (message.to_owned(), None);
        let (major, minor) = target.python;
        if refuses(self.requires_python.as_deref(), target) {
            let wanted = self.requires_python.as_deref().unwrap_or_default();
            return Err((format!("is for Python {wanted}, the image has {major}.{minor}"), None));
        }
        if self.wheels.is_empty() {
            let message = match self.sdist {
                Some(_) => "has only a source distribution, and no wheel",
                None => "is not a package of an index: it has no wheels",
            };
            let hint =
                "lock a version that has a wheel; or build one, and lock with the folder it is in as `--find-links`";
            return Err((message.to_owned(), Some(hint.to_owned())));
        }
        let version = self.version.as_deref().ok_or_else(|| plain("has no version"))?;
        let requirement = exactly(&self.name, version).map_err(|reason| (format!("can't be read: {reason}"), None))?;
        let (mut hashes, mut others) = (BTreeSet::new(), BTreeSet::new());
        for wheel in &self.wheels {
            let (file, name) = wheel.file_name().ok_or_else(|| plain("has a wheel without a file name"))?;
            if wheel_layer::normalize(&name.name) != requirement.name().as_str() {
                return Err((format!("has the wheel of another distribution, `{file}`"), None));
            }
            if name.misfit(target).is_some() {
                others.insert(name.tags());
                continue;
            }
            let sha256 = wheel.hashes.get("sha256").and_then(|hex| digest(&format!("sha256:{hex}")));
            hashes.insert(sha256.ok_or_else(|| (format!("has no sha256 of `{file}`"), None))?);
        }
        if hashes.is_empty() {
            let more = if others.len() > TOLD { ", …" } else { "" };
            let told: Vec<String> = others.into_iter().take(TOLD).collect();
            let told = told.join(", ");
            return Err((format!("has no wheel for Python {major}.{minor} on {ARCH}, only {told}{more}"), None));
        }
        Ok(Pinned { requirement, hashes })
    }
}

/// A digest, which some write in capitals.
fn digest(text: &str) -> Option<Digest> {
    text.to_ascii_lowercase().parse().ok()
}

fn exactly(name: &str, version: &str) -> Result<Requirement, String> {
    format!("{}=={version}", wheel_layer::normalize(name)).parse()
}

impl Wheel {
    fn file_name(&self) -> Option<(String, FileName)> {
        let of_url = || self.url.as_deref()?.split(['?', '#']).next();
        let place = self.name.as_deref().or(self.path.as_deref()).or_else(of_url)?;
        let file = place.rsplit('/').next()?.replace("%2B", "+");
        let name = FileName::parse(&file).ok()?;
        Some((file, name))
    }
}

/// What a requirements file pins for the target.
fn requirements(text: &str, target: &Target) -> Result<Vec<Pinned>, Vec<Problem>> {
    let (mut pinned, mut problems) = (Vec::new(), Vec::new());
    for line in joined(text) {
        match pinned_line(line.trim(), target) {
            Ok(one) => pinned.extend(one),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(pinned) } else { Err(problems) }
}

/// Lines with those that continue them, without comments. What begins with `--hash` continues a line even after a
/// comment, which ends a line for pip.
fn joined(text: &str) -> Vec<String> {
    let (mut lines, mut goes_on) = (Vec::<String>::new(), false);
    for line in text.lines() {
        // A comment begins the line or follows a blank.
        let comment = line.find(" #").or_else(|| line.find("\t#"));
        let line = line[..comment.unwrap_or(line.len())].trim();
        let (text, more) = line.strip_suffix('\\').map_or((line, false), |text| (text, true));
        let is_text = !text.is_empty() && !text.starts_with('#');
        match lines.last_mut() {
            Some(last) if is_text && (goes_on || text.starts_with("--hash")) => *last += &format!(" {text}"),
            _ if is_text => lines.push(text.to_owned()),
            _ => {}
        }
        goes_on = is_text && more;
    }
    lines
}

/// What a line pins; none where its marker does not hold.
fn pinned_line(line: &str, target: &Target) -> Result<Option<Pinned>, Problem> {
    if line.starts_with('-') {
        let option = line.split([' ', '\t', '=']).next().unwrap_or_default();
        let hint = "remove it from the file; `[[pypi.index]]` of the recipe and pip's own configuration name indexes";
        return Err((format!("its option `{option}` is not read"), Some(hint.to_owned())));
    }
    let mut parts = line.split(" --hash");
    let text = parts.next().unwrap_or_default().trim();
    let requirement: Requirement = text.parse().map_err(|reason| (reason, None))?;
    let Some(read) = requirement.on(target) else { return Ok(None) };
    let Some(version) = read.pin() else {
        return Err((format!("`{text}` is not pinned to one version"), None));
    };
    // A hash of another algorithm is of no use to us.
    let hashes: BTreeSet<Digest> =
        parts.filter_map(|hash| digest(hash.trim_start_matches(['=', ' ']).trim())).collect();
    if hashes.is_empty() {
        let hint = "`uv pip compile --generate-hashes` and `pip-compile --generate-hashes` write them";
        return Err((format!("`{}` has no sha256 hash", requirement.name()), Some(hint.to_owned())));
    }
    // Extras are pinned by lines of their own.
    let requirement = exactly(&read.name, version).map_err(|reason| (reason, None))?;
    Ok(Some(Pinned { requirement, hashes }))
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::{
        recipe::{Draft, Found, Overrides, Recipe},
        terminal::report,
    };

    /// Each file below this line's title as if it were `pypi.locked`: what it pins for Python 3.9 on aarch64, or the error.
    #[test]
    fn files_of_other_tools() {
        let folder = tempfile::tempdir().unwrap();
        let mut said = String::new();
        for part in include_str!("tests/locked.txt").split("=== ").skip(1) {
            let (title, rest) = part.split_once('\n').unwrap();
            let text = rest.split("--->\n").next().unwrap();
            let name = title.split(' ').next().unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
            let recipe = format!("pypi.locked = '{name}'");
            let read = Recipe::parse(&recipe, "image.toml", folder.path(), Overrides::default());
            let outcome = read.map_or_else(
                |error| format!("{}\n", report::render(&error)),
                |recipe| {
                    let hashes = &recipe.pypi.resolution.hashes;
                    let line = |one: &Requirement| {
                        let hashes: Vec<String> = hashes[one.name()].iter().map(Digest::short).collect();
                        format!("{one} {}\n", hashes.join(" "))
                    };
                    recipe.pypi.requirements.iter().map(line).collect()
                },
            );
            said += &format!("=== {title}\n{text}--->\n{outcome}");
        }
        expect_file!["tests/locked.txt"].assert_eq(&said);
    }

    #[test]
    fn requirements_can_not_be_given_besides() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("r.txt"), format!("a==1 --hash={}", Digest::of("a"))).unwrap();
        let read = |text: &str| Recipe::parse(text, "image.toml", folder.path(), Overrides::default());
        let error = report::render(&read("[pypi]\nlocked = 'r.txt'\nrequirements = ['b']").unwrap_err());
        assert!(error.contains("`pypi.locked`: conflicts with `pypi.requirements`"), "{error}");
        // The stack's own are not asked for, so its versions need not be there.
        for more in ["", "requirements = []\nconstraints = []\n"] {
            let text = format!("[pypi]\nlocked = 'r.txt'\n{more}[versions]\nmindspore = false\ncann = false\n");
            let text = format!("tag = '{{python}}-{{timestamp}}'\n{text}");
            assert_eq!(read(&text).unwrap().pypi.requirements, ["a==1".parse().unwrap()]);
        }
    }

    #[test]
    fn a_base_that_decides_the_python_is_asked_first() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = format!(
            "wheels = [{{ url = 'https://x/a-1-cp311-cp311-manylinux_2_17_aarch64.whl', hashes = {{ sha256 = '{}' }} }}]",
            "1".repeat(64)
        );
        let lock =
            "lock-version = '1.0'\nrequires-python = '>=3.11'\n[[packages]]\nname = 'a'\nversion = '1'\n".to_owned();
        std::fs::write(folder.path().join("pylock.toml"), lock + &wheel).unwrap();
        let draft = |more: &str| {
            let text =
                format!("base.reference = 'docker.io/library/ubuntu:22.04'\npypi.locked = 'pylock.toml'\n{more}");
            Draft::parse(&text, "image.toml", folder.path(), Overrides::default())
        };
        let waiting = draft("").unwrap();
        let found = serde_json::from_str(r#"{"keys": [["versions.python", "'3.11'"]], "notes": []}"#).unwrap();
        assert_eq!(waiting.completed(&found).unwrap().pypi.requirements, ["a==1".parse().unwrap()]);
        for error in [waiting.completed(&Found::default()).unwrap_err(), draft("versions.python = '3.9'").unwrap_err()]
        {
            let error = report::render(&error);
            assert!(error.contains("it is for Python >=3.11, the image has 3.9"), "{error}");
        }
    }
}
