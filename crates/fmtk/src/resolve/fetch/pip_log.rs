//! pip's log of a download that failed: which distributions have no wheel for the target.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{recipe::ARCH, resolve::wheels::wheel_name};

/// Of so many kinds of wheels the tags are told.
const TOLD: usize = 4;

/// Distributions that have no wheel which fits, normalised, and what they have.
pub struct Unfit(BTreeMap<String, Files>);

#[derive(Default)]
struct Files {
    /// Tags of its wheels.
    tags: BTreeSet<String>,
    has_source: bool,
    /// The distribution that an index has under its name.
    other: Option<String>,
}

impl Unfit {
    /// Reads what `pip --log` writes, which has a line for each distribution that is looked for, and one for each file
    /// that is taken or passed over (pip 20.3 to 26.0).
    pub fn parse(log: &str) -> Self {
        let (mut wanted, mut fits) = (BTreeSet::new(), BTreeSet::new());
        let mut unfit: BTreeMap<String, Files> = BTreeMap::new();
        for line in log.lines() {
            if let Some((_, name)) = line.split_once("location(s) to search for versions of ") {
                wanted.insert(wheel_layer::normalize(name.trim_end_matches(':')));
            }
            let Some(file) = file_of(line) else { continue };
            // Of a folder of links older ones name an archive once, to whoever looks there first.
            if let Some((_, rest)) = line.split_once("wrong project name (not ") {
                let asked = wheel_layer::normalize(rest.split(')').next().unwrap_or_default());
                let other = wheel_name(&file).map_or(file, |(other, _)| other);
                // The page of an index is of one distribution, a folder of links of any.
                if line.contains(&format!("/{asked}/)")) {
                    unfit.entry(asked).or_default().other = Some(other);
                }
            } else if line.contains("No sources permitted for ")
                && let Some((name, _)) = file.rsplit_once('-')
            {
                unfit.entry(wheel_layer::normalize(name)).or_default().has_source = true;
            } else if let Ok((name, parts)) = wheel_name(&file) {
                if line.contains("Found link ") {
                    fits.insert(name);
                } else if line.contains("none of the wheel's tags") {
                    unfit.entry(name).or_default().tags.insert(parts.tags());
                }
            }
        }
        unfit.retain(|name, _| wanted.contains(name) && !fits.contains(name));
        Self(unfit)
    }

    /// The end of the sentence that pip could not download something.
    pub fn lacking(&self, python: &str) -> String {
        let lack = |(name, Files { tags, has_source, other }): (&String, &Files)| {
            if let Some(other) = other.as_ref().filter(|_| tags.is_empty() && !has_source) {
                return format!("\nthe index answers with `{other}` to who asks for `{name}`");
            }
            let mut others: Vec<&str> = tags.iter().take(TOLD).map(String::as_str).collect();
            if tags.is_empty() {
                others.push("its source");
            } else if tags.len() > TOLD {
                others.push("…");
            }
            format!("\n`{name}` has no wheel for Python {python} on {ARCH}, only {}", others.join(", "))
        };
        self.0.iter().map(lack).collect()
    }

    /// What to do, where wheels are lacking.
    pub fn hint(&self, python: &str, folder: &Path, fetch: &str) -> Option<String> {
        let of_source = self.0.iter().filter(|(_, files)| files.has_source);
        let of_source: String = of_source.map(|(name, _)| format!(" {name}")).collect();
        let make = || {
            format!(
                "on an {ARCH} machine with Python {python}, run `python{python} -m pip wheel --no-deps{of_source}`, copy \
                 the wheel to `{}` and run `{fetch}` again",
                folder.display()
            )
        };
        let other = "ask for another version, or set `versions.python` to one that there are wheels for";
        match (self.0.is_empty(), of_source.is_empty()) {
            (true, _) => None,
            _ if self.0.values().any(|files| files.other.is_some()) => None,
            (_, true) => Some(other.to_owned()),
            _ => Some(make()),
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
2026-01-01T00:00:00,420 1 location(s) to search for versions of asked:
2026-01-01T00:00:00,420   Skipping link: wrong project name (not asked): https://x/mine-1-py3-none-any.whl (from https://x/links)
2026-01-01T00:00:00,420   Skipping link: wrong project name (not asked): https://x/other-1-py3-none-any.whl (from https://x/simple/asked/)
2026-01-01T00:00:00,420   Skipping link: wrong project name (not jieba): https://x/other-1-py3-none-any.whl (from https://x/simple/jieba/)
";
        let unfit = Unfit::parse(log);
        expect![[r#"

            the index answers with `other` to who asks for `asked`
            `jieba` has no wheel for Python 3.9 on aarch64, only its source
            `old-kit` has no wheel for Python 3.9 on aarch64, only cp36-none-any, cp37-none-any"#]]
        .assert_eq(&unfit.lacking("3.9"));
        assert_eq!(unfit.hint("3.9", Path::new("pkg/pypi"), "fetch"), None);
        let log: String =
            log.lines().filter(|line| !line.contains("wrong project")).map(|line| format!("{line}\n")).collect();
        let unfit = Unfit::parse(&log);
        assert!(unfit.hint("3.9", Path::new("pkg/pypi"), "fetch").unwrap().contains(" jieba old-kit`, copy"));
        let log =
            "2 location(s) to search for versions of a:\n none of the wheel's tags: http://x/a-1-cp36-none-any.whl";
        assert!(Unfit::parse(log).hint("3.9", Path::new(""), "").unwrap().starts_with("ask for another version"));
        assert_eq!(Unfit::parse("").hint("3.9", Path::new(""), ""), None);
    }
}
