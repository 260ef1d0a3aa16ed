//! pip's log of a download that failed: which distributions have no wheel for the target.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use wheel_layer::{Requirement, Target};

use crate::{recipe::ARCH, resolve::wheels::wheel_name, terminal::shell};

/// Of so many kinds of wheels the tags are told.
const TOLD: usize = 4;

/// Distributions that have no wheel which fits, normalised, and what they have.
pub struct Unfit(BTreeMap<String, Files>);

#[derive(Default)]
struct Files {
    /// Tags of wheels for something else.
    tags: BTreeSet<String>,
    /// Versions that fit, of which there is a wheel.
    wheels: BTreeSet<String>,
    /// Versions of which there is the source.
    sources: BTreeSet<String>,
    /// What is required of it, where pip says so and there is a source that satisfies it.
    required: BTreeSet<String>,
    /// The distribution that an index has under its name.
    other: Option<String>,
}

impl Unfit {
    /// Reads what `pip --log` writes, which has a line for each distribution that is looked for, one for each file that
    /// is taken or passed over, and one for what could not be resolved (pip 20.3 to 26.3); that leaves out constraints.
    pub fn parse(log: &str, constraints: &[String]) -> Self {
        let (mut wanted, mut required) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
        let mut all: BTreeMap<String, Files> = BTreeMap::new();
        for line in log.lines() {
            if let Some((_, name)) = line.split_once("location(s) to search for versions of ") {
                wanted.insert(wheel_layer::normalize(name.trim_end_matches(':')));
            }
            for requirement in unresolved(line) {
                if let Some(read) = read(requirement) {
                    required.entry(read.name).or_default().insert(requirement.to_owned());
                }
            }
            let Some(file) = file_of(line) else { continue };
            // Of a folder of links older ones name an archive once, to whoever looks there first.
            if let Some((_, rest)) = line.split_once("wrong project name (not ") {
                let asked = wheel_layer::normalize(rest.split(')').next().unwrap_or_default());
                // The page of an index is of one distribution, a folder of links of any.
                if line.contains(&format!("/{asked}/)")) {
                    all.entry(asked).or_default().other = Some(wheel_name(&file).map_or(file, |(other, _)| other));
                }
            } else if line.contains("No sources permitted for ")
                && let Some((name, version)) = file.rsplit_once('-')
            {
                let version = [".tar.gz", ".zip", ".tar.bz2"].iter().find_map(|suffix| version.strip_suffix(suffix));
                let sources = &mut all.entry(wheel_layer::normalize(name)).or_default().sources;
                sources.extend(version.map(str::to_owned));
            } else if let Ok((name, parts)) = wheel_name(&file) {
                if line.contains("Found link ") {
                    all.entry(name).or_default().wheels.insert(parts.version);
                } else if line.contains("none of the wheel's tags") {
                    all.entry(name).or_default().tags.insert(parts.tags());
                }
            }
        }
        for constraint in constraints.iter().filter(|constraint| !constraint.contains(';')) {
            if let Some(read) = read(constraint)
                && let Some(required) = required.get_mut(&read.name)
            {
                required.insert(constraint.clone());
            }
        }
        all.retain(|name, files| {
            let required = required.remove(name).unwrap_or_default();
            let satisfies =
                |version: &String| required.iter().filter_map(|one| read(one)).all(|one| one.allows(version));
            let by_version = !required.is_empty() && !files.wheels.iter().any(satisfies);
            let has_source = files.sources.iter().any(satisfies);
            files.required = if has_source { required } else { BTreeSet::new() };
            wanted.contains(name) && (files.wheels.is_empty() || by_version && has_source)
        });
        Self(all)
    }

    /// What has its source alone: names, and what is required of each.
    pub fn sources(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        let sources = self.0.iter().filter(|(_, files)| !files.sources.is_empty());
        sources.map(|(name, files)| match files.required.is_empty() {
            true => (name.as_str(), vec![name.as_str()]),
            false => (name.as_str(), files.required.iter().map(String::as_str).collect()),
        })
    }

    /// The end of the sentence that pip could not download something.
    pub fn lacking(&self, python: &str) -> String {
        let lack = |(name, Files { tags, wheels, sources, required, other }): (&String, &Files)| {
            if let Some(other) = other.as_ref().filter(|_| tags.is_empty() && wheels.is_empty() && sources.is_empty()) {
                return format!("\nthe index lists `{other}` on the page of `{name}`");
            }
            let mut others: Vec<&str> = tags.iter().take(TOLD).map(String::as_str).collect();
            let mut which = String::new();
            if !wheels.is_empty() {
                // Those are of other versions.
                let required: Vec<String> = required.iter().map(|one| format!("`{one}`")).collect();
                which = format!(" that satisfies {}", required.join(" and "));
                others.clear();
            }
            if others.is_empty() {
                others.push("its source");
            } else if tags.len() > TOLD {
                others.push("…");
            }
            format!("\n`{name}` has no wheel for Python {python} on {ARCH}{which}, only {}", others.join(", "))
        };
        self.0.iter().map(lack).collect()
    }

    /// What to do, where wheels are lacking.
    pub fn hint(&self, python: &str, folder: &Path, fetch: &str) -> Option<String> {
        let of_source: Vec<&str> = self.sources().flat_map(|(_, required)| required).collect();
        let other = "ask for another version, or set `versions.python` to one that there are wheels for";
        match (self.0.is_empty(), of_source.is_empty()) {
            (true, _) => None,
            _ if self.0.values().any(|files| files.other.is_some()) => None,
            (_, true) => Some(other.to_owned()),
            _ => Some(format!(
                "if it is pure Python, run `{fetch} --build-pure`; otherwise, {}",
                by_hand(&of_source, python, folder, fetch)
            )),
        }
    }
}

/// How to make a wheel of what compiles something.
pub fn by_hand(required: &[&str], python: &str, folder: &Path, fetch: &str) -> String {
    format!(
        "on an {ARCH} machine with Python {python}, run `python{python} -m pip wheel --no-deps {}`, copy the \
         wheel to `{}` and run `{fetch}` again",
        shell::line(required),
        folder.display()
    )
}

/// The requirements for which pip found nothing, of the line in which it gives up.
fn unresolved(line: &str) -> impl Iterator<Item = &str> {
    let all = line.split_once("ResolutionImpossible: [").map_or("", |(_, all)| all);
    all.split("SpecifierRequirement(").skip(1).filter_map(|one| {
        let text = one.get(1..)?.split(one.chars().next()?).next()?;
        Some(text.split(';').next()?.trim())
    })
}

/// Any target will do: only markers depend on it.
fn read(requirement: &str) -> Option<Requirement> {
    Requirement::parse(requirement, &Target::aarch64((3, 9), (2, 28)), "").ok()
}

/// The file that the URL in the line leads to.
fn file_of(line: &str) -> Option<String> {
    let (_, url) = line.split_once("://")?;
    let url = url.split([' ', '#', ',']).next()?;
    Some(url.rsplit('/').next()?.replace("%2B", "+"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Lines of pip 20.3.4 and 26.0.1.
    #[test]
    fn what_has_no_wheel_that_fits_is_told() {
        let log = "\
2026-01-01T00:00:00,416 1 location(s) to search for versions of jieba:
2026-01-01T00:00:00,416   Skipping link: No sources permitted for jieba: https://x/jieba-0.42.1.tar.gz#sha256=05 (from https://x/simple/jieba/)
2026-01-01T00:00:00,416 1 location(s) to search for versions of Numpy:
2026-01-01T00:00:00,416   Skipping link: No sources permitted for Numpy: https://x/numpy-1.0.zip#sha256=ab (from https://x/simple/numpy/)
2026-01-01T00:00:00,417   Found link https://x/numpy-1.0+a-cp39-cp39-linux_aarch64.whl#sha256=cd (from https://x/simple/numpy/), version: 1.0+a
2026-01-01T00:00:00,418 0 location(s) to search for versions of old_kit:
2026-01-01T00:00:00,418   Skipping link: none of the wheel's tags (cp36-none-any) are compatible (run pip debug): https://x/old_kit-1-cp36-none-any.whl (from https://x/)
2026-01-01T00:00:00,418   Skipping link: none of the wheel's tags match: cp37-none-any: https://x/old_kit-1-cp37-none-any.whl#sha256=05
2026-01-01T00:00:00,418 Skipping link: No sources permitted for gone: file:///links/old-kit-1.tar.gz
2026-01-01T00:00:00,419 Skipping link: No sources permitted for gone: file:///links/never-asked-1.tar.gz
2026-01-01T00:00:00,419 0 location(s) to search for versions of gone:
2026-01-01T00:00:00,420 1 location(s) to search for versions of asked:
2026-01-01T00:00:00,420   Skipping link: wrong project name (not asked): https://x/mine-1-py3-none-any.whl (from https://x/links)
2026-01-01T00:00:00,420   Skipping link: wrong project name (not asked): https://x/other-1-py3-none-any.whl (from https://x/simple/asked/)
2026-01-01T00:00:00,420   Skipping link: wrong project name (not jieba): https://x/other-1-py3-none-any.whl (from https://x/simple/jieba/)
";
        let unfit = Unfit::parse(log, &[]);
        expect![[r#"

            the index lists `other` on the page of `asked`
            `jieba` has no wheel for Python 3.9 on aarch64, only its source
            `old-kit` has no wheel for Python 3.9 on aarch64, only cp36-none-any, cp37-none-any"#]]
        .assert_eq(&unfit.lacking("3.9"));
        assert_eq!(unfit.hint("3.9", Path::new("pkg/pypi"), "fetch"), None);
        let log: String =
            log.lines().filter(|line| !line.contains("wrong project")).map(|line| format!("{line}\n")).collect();
        let unfit = Unfit::parse(&log, &[]);
        expect![[r#"
            if it is pure Python, run `fetch --build-pure`; otherwise, on an aarch64 machine with Python 3.9, run `python3.9 -m pip wheel --no-deps jieba old-kit`, copy the wheel to `pkg/pypi` and run `fetch` again"#]]
        .assert_eq(&unfit.hint("3.9", Path::new("pkg/pypi"), "fetch").unwrap());
        let log =
            "2 location(s) to search for versions of a:\n none of the wheel's tags: http://x/a-1-cp36-none-any.whl";
        assert!(Unfit::parse(log, &[]).hint("3.9", Path::new(""), "").unwrap().starts_with("ask for another version"));
        assert_eq!(Unfit::parse("", &[]).hint("3.9", Path::new(""), ""), None);
    }
    /// Lines of pip 23.0.1 to 26.3: `beta` has wheels of other versions, and of `delta` no version will do.
    #[test]
    fn a_version_that_has_its_source_alone_is_told() {
        let log = |last: &str| {
            format!(
                "\
1 location(s) to search for versions of beta:
  Skipping link: No sources permitted for beta: https://x/beta-1.0.tar.gz#sha256=05 (from https://x/simple/beta/)
  Skipping link: No sources permitted for beta: https://x/beta-2.0.tar.gz#sha256=05 (from https://x/simple/beta/)
  Found link https://x/beta-3.0-py3-none-any.whl (from https://x/simple/beta/), version: 3.0
1 location(s) to search for versions of delta:
  Skipping link: No sources permitted for delta: https://x/delta-1.0.tar.gz#sha256=05 (from https://x/simple/delta/)
  Found link https://x/delta-3.0-py3-none-any.whl (from https://x/simple/delta/), version: 3.0
pip._vendor.resolvelib.resolvers.ResolutionImpossible: [{last}]
"
            )
        };
        let cause = |requirement: &str| {
            format!("RequirementInformation(requirement=SpecifierRequirement({requirement}), parent=None)")
        };
        let causes = [cause("'beta<2'"), cause("\"beta>0.5; sys_platform == 'linux'\""), cause("'delta>1,<3'")];
        let unfit = Unfit::parse(&log(&causes.join(", ")), &[]);
        expect![[r#"

            `beta` has no wheel for Python 3.9 on aarch64 that satisfies `beta<2` and `beta>0.5`, only its source"#]]
        .assert_eq(&unfit.lacking("3.9"));
        assert_eq!(unfit.sources().collect::<Vec<_>>(), [("beta", vec!["beta<2", "beta>0.5"])]);
        assert!(unfit.hint("3.9", Path::new(""), "fetch").unwrap().contains(" 'beta<2' 'beta>0.5'`, copy"));
        let of = |constraints: &[&str]| {
            let constraints: Vec<String> = constraints.iter().map(|one| (*one).to_owned()).collect();
            Unfit::parse(&log(&cause("'beta'")), &constraints).lacking("3.9")
        };
        // A wheel that would do fails for something else.
        assert_eq!(of(&["gamma<2"]), "");
        assert!(
            of(&["beta<2"])
                .contains("`beta` has no wheel for Python 3.9 on aarch64 that satisfies `beta` and `beta<2`")
        );
    }
}
