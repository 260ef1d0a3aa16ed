//! pip's log of a download that failed: which distributions have no wheel for the target.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{recipe::ARCH, resolve::wheels::wheel_name};

/// Of so many kinds of wheels the tags are told.
const TOLD: usize = 4;

/// What pip wrote of the files that it found on its index.
pub struct PipLog {
    /// Distributions that have no wheel which fits, normalised, and the tags of those that they have.
    unfit: BTreeMap<String, BTreeSet<String>>,
    /// Distributions that have a source distribution.
    sources: BTreeSet<String>,
}

impl PipLog {
    /// Reads what `pip --log` writes, which has a line for each distribution that is looked for, and one for each file
    /// that is taken or passed over (pip 20.3 to 26.0).
    pub fn parse(log: &str) -> Self {
        let (mut wanted, mut taken, mut sources) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut unfit: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in log.lines() {
            if let Some((_, name)) = line.split_once("location(s) to search for versions of ") {
                wanted.insert(wheel_layer::normalize(name.trim_end_matches(':')));
            }
            let Some(file) = file_of(line) else { continue };
            // Of a folder of links older ones name an archive once, to whoever looks there first.
            if line.contains("No sources permitted for ") {
                sources.extend(file.rsplit_once('-').map(|(name, _)| wheel_layer::normalize(name)));
            } else if let Ok((name, parts)) = wheel_name(&file) {
                if line.contains("Found link ") {
                    taken.insert(name);
                } else if line.contains("none of the wheel's tags") {
                    let tags = [parts.pythons, parts.abis, parts.platforms].map(|tags| tags.join("."));
                    unfit.entry(name).or_default().insert(tags.join("-"));
                }
            }
        }
        for name in &sources {
            unfit.entry(String::clone(name)).or_default();
        }
        unfit.retain(|name, _| wanted.contains(name) && !taken.contains(name));
        Self { unfit, sources }
    }

    /// The end of the sentence that pip could not download something.
    pub fn lacking(&self, python: &str) -> String {
        let lack = |(name, tags): (&String, &BTreeSet<String>)| {
            let mut others: Vec<&str> = tags.iter().take(TOLD).map(String::as_str).collect();
            if tags.is_empty() {
                others.push("its source");
            } else if tags.len() > TOLD {
                others.push("…");
            }
            format!("\n`{name}` has no wheel for Python {python} on {ARCH}, only {}", others.join(", "))
        };
        self.unfit.iter().map(lack).collect()
    }

    /// What to do, where wheels are lacking.
    pub fn hint(&self, python: &str, folder: &Path, fetch: &str) -> Option<String> {
        const OTHER: &str = "ask for another version, or set `versions.python` to one that there are wheels for";
        let (of_source, others): (Vec<_>, Vec<_>) = self.unfit.keys().partition(|name| self.sources.contains(*name));
        let make = || {
            let names: String = of_source.iter().map(|name| format!(" {name}")).collect();
            format!(
                "on a machine with {ARCH} and Python {python} run `python{python} -m pip wheel --no-deps{names}`, copy what \
                 it makes to `{}` and run `{fetch}` again",
                folder.display()
            )
        };
        match (of_source.is_empty(), others.is_empty()) {
            (true, true) => None,
            (true, false) => Some(OTHER.to_owned()),
            (false, _) => Some(make()),
        }
    }
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
";
        let log = PipLog::parse(log);
        expect![[r#"

            `jieba` has no wheel for Python 3.9 on aarch64, only its source
            `old-kit` has no wheel for Python 3.9 on aarch64, only cp36-none-any, cp37-none-any"#]]
        .assert_eq(&log.lacking("3.9"));
        assert!(log.hint("3.9", Path::new("pkg/pypi"), "fetch").unwrap().contains(" jieba old-kit`, copy"));
        let unfit =
            "2 location(s) to search for versions of a:\n none of the wheel's tags: http://x/a-1-cp36-none-any.whl";
        assert!(PipLog::parse(unfit).hint("3.9", Path::new(""), "").unwrap().starts_with("ask for another version"));
        assert_eq!(PipLog::parse("").hint("3.9", Path::new(""), ""), None);
    }
}
