//! pip's log of a download that failed: which distributions have no wheel for the target.

use std::{collections::BTreeSet, path::Path};

use crate::{recipe::ARCH, resolve::wheels::wheel_name};

/// The file that a URL leads to, before what pip says of it.
fn file_of(url: &str) -> String {
    let url = url.split([' ', '#', ',']).next().unwrap_or_default();
    url.rsplit('/').next().unwrap_or_default().replace("%2B", "+")
}

/// What pip wrote of the files that it found on its index.
pub struct PipLog {
    /// Distributions of which it found source distributions and no wheel that fits, normalised.
    sources_alone: Vec<String>,
}

impl PipLog {
    /// Reads what `pip --log` writes, which has a line for each distribution that is looked for, and one for each file
    /// that is taken or passed over (pip 20.3 to 26.0).
    pub fn parse(log: &str) -> Self {
        let (mut wanted, mut sources, mut wheels) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for line in log.lines() {
            if let Some((_, name)) = line.split_once("location(s) to search for versions of ") {
                wanted.insert(wheel_layer::normalize(name.trim_end_matches(':')));
            } else if let Some((_, rest)) = line.split_once("No sources permitted for ") {
                // Older ones say so of an archive in a folder of links once, to whoever looks there first.
                let file = rest.split_once(": ").map(|(_, url)| file_of(url));
                let name = file.as_deref().and_then(|file| file.rsplit_once('-'));
                sources.extend(name.map(|(name, _)| wheel_layer::normalize(name)));
            } else if let Some((_, url)) = line.split_once("Found link ") {
                wheels.extend(wheel_name(&file_of(url)).map(|(name, _)| name));
            }
        }
        let alone = sources.into_iter().filter(|name| wanted.contains(name) && !wheels.contains(name));
        Self { sources_alone: alone.collect() }
    }

    /// The end of the sentence that pip could not download something.
    pub fn lacking(&self, python: &str) -> String {
        let lack = |name: &String| format!("\n`{name}` has no wheel for Python {python} on {ARCH}, only its source");
        self.sources_alone.iter().map(lack).collect()
    }

    /// How to make the wheels, where that is what is lacking.
    pub fn way_out(&self, python: &str, folder: &Path, fetch: &str) -> Option<String> {
        (!self.sources_alone.is_empty()).then(|| {
            format!(
                "on a machine with {ARCH} and Python {python} run `python{python} -m pip wheel --no-deps {}`, copy what it \
                 makes to `{}` and run `{fetch}` again",
                self.sources_alone.join(" "),
                folder.display()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of pip 20.3.4 and 26.0.1.
    #[test]
    fn only_what_has_sources_and_no_wheel_is_told() {
        let log = "\
2026-01-01T00:00:00,416 1 location(s) to search for versions of jieba:
2026-01-01T00:00:00,416   Skipping link: No sources permitted for jieba: https://x/jieba-0.42.1.tar.gz#sha256=05 (from https://x/simple/jieba/)
2026-01-01T00:00:00,416 1 location(s) to search for versions of Numpy:
2026-01-01T00:00:00,416   Skipping link: No sources permitted for Numpy: https://x/numpy-1.0.zip#sha256=ab (from https://x/simple/numpy/)
2026-01-01T00:00:00,417   Found link https://x/numpy-1.0+a-cp39-cp39-linux_aarch64.whl#sha256=cd (from https://x/simple/numpy/), version: 1.0+a
2026-01-01T00:00:00,418 0 location(s) to search for versions of old_kit:
2026-01-01T00:00:00,418   Skipping link: none of the wheel's tags (cp36-cp36m-linux_aarch64) are compatible: https://x/old_kit-1-cp36-cp36m-linux_aarch64.whl
2026-01-01T00:00:00,418 Skipping link: No sources permitted for gone: file:///links/old-kit-1.tar.gz
2026-01-01T00:00:00,419 Skipping link: No sources permitted for gone: file:///links/never-asked-1.tar.gz
2026-01-01T00:00:00,419 0 location(s) to search for versions of gone:
";
        assert_eq!(PipLog::parse(log).sources_alone, ["jieba", "old-kit"]);
    }
}
