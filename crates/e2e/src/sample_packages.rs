//! Renews the pinned lists of packages from releases of Debian: what the roots depend on, as apt would choose it.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context, ensure};
use fmtk::{
    debian::{Archive, Release, Vendor, archive, choose, mirror},
    resolve::place,
    sample::{PackageSet, SampleBase},
    terminal::progress::{self, Progress},
};

/// Keys that sign Debian's releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Written above the list.
const HEAD: &str = "\
# The Debian packages of the sample's base. Written by `cargo xtask sample-packages`, which asks a mirror what `roots`
# depend on in `suite`; change those two and run it again.
";

/// Writes the lists anew; with `check` only asks whether they are still what the releases say.
pub fn run(check: bool, progress: &Progress) -> anyhow::Result<()> {
    SampleBase::ALL.into_iter().try_for_each(|base| renew(base.packages()?, check, progress))
}

fn renew(old: PackageSet, check: bool, progress: &Progress) -> anyhow::Result<()> {
    let [mirror, _] = mirror::servers()?;
    progress.line(&format!("reading the index of Debian {} from {mirror}", old.suite));
    let keyring = fs::read(KEYRING).with_context(|| format!("failed to read `{KEYRING}`"))?;
    let release = archive::release(&mirror, &old.suite, Some(&keyring))?;
    let index = archive::index(&mirror, &old.suite, "main", &release)?;
    let (roots, release) = (old.roots.iter().map(String::as_str), release_of(&old.suite));
    let choice = choose(&Archive(vec![index]), "", &roots.collect::<Vec<_>>(), &BTreeSet::new(), &release)?;
    let new = PackageSet { packages: choice.packages, ..old.clone() };
    let (count, size) = (progress::count(new.packages.len(), "package"), progress::bytes(new.size()));
    if new == old {
        progress.line(&format!("the list of `{}` is up to date: {count}, {size}", new.suite));
        return Ok(());
    }
    ensure!(!check, "the list of the sample's packages is not what {mirror} has: run `cargo xtask sample-packages`");
    let path = file(&new.suite);
    fs::write(&path, render(&new)?).with_context(|| format!("failed to write `{}`", path.display()))?;
    progress.line(&format!("wrote `{}`: {count}, {size}", path.display()));
    Ok(())
}

fn release_of(suite: &str) -> Release {
    Release { vendor: Vendor::Debian, codename: suite.to_owned() }
}

fn file(suite: &str) -> PathBuf {
    place::workspace().join(format!("crates/fmtk/src/sample/{suite}.toml"))
}

/// The list as it stands in the sources: a line a package.
fn render(set: &PackageSet) -> anyhow::Result<String> {
    let roots: Vec<String> = set.roots.iter().map(|root| format!("    \"{root}\",\n")).collect();
    let mut text = format!("{HEAD}suite = \"{}\"\nroots = [\n{}]\npackages = [\n", set.suite, roots.concat());
    for package in &set.packages {
        let line = toml_edit::ser::to_string(package).context("a package can't be written as TOML")?;
        text.push_str(&format!("    {{ {} }},\n", line.trim_end().replace('\n', ", ")));
    }
    text.push_str("]\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use fmtk::debian::Package;

    use super::*;

    #[test]
    fn a_list_is_written_a_line_a_package() {
        let digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let [name, version, path] = ["a", "1:2-3", "pool/main/a.deb"].map(str::to_owned);
        let packages = vec![Package { name, version, path, size: 10, digest }];
        let set = PackageSet { suite: "s".to_owned(), roots: vec!["a".to_owned()], packages };
        let text = render(&set).unwrap();
        expect![[r##"
            # The Debian packages of the sample's base. Written by `cargo xtask sample-packages`, which asks a mirror what `roots`
            # depend on in `suite`; change those two and run it again.
            suite = "s"
            roots = [
                "a",
            ]
            packages = [
                { name = "a", version = "1:2-3", path = "pool/main/a.deb", size = 10, digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
            ]
        "##]]
        .assert_eq(&text);
        assert_eq!(toml_edit::de::from_str::<PackageSet>(&text).unwrap(), set);
    }
}
