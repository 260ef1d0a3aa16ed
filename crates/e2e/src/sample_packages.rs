//! Renews the pinned lists of packages from releases of Debian: what the roots depend on, as apt would choose it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    io::Read as _,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, ensure};
use debian_package::XzReader;
use fmtk::{
    resolve::place,
    sample::{self, Package, PackageSet, SampleBase},
    terminal::{
        progress::{self, Progress},
        report::{self, WithHint},
    },
};
use oci_image::{Descriptor, Digest};
use registry::FileServer;

/// Keys that sign Debian's releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// 16 MiB: a release's list of indexes has 150 KB.
const RELEASE_LIMIT: u64 = 16 << 20;

/// 256 MiB: the index of a release, unpacked, has 60 MB.
const INDEX_LIMIT: u64 = 256 << 20;

const INDEX: &str = "main/binary-arm64/Packages.xz";

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
    let [mirror, _] = sample::servers()?;
    progress.line(&format!("reading the index of Debian {} from {mirror}", old.suite));
    let index = index(&mirror, &old.suite)?;
    let packages = resolve(&index, &old.roots)?;
    let new = PackageSet { packages, ..old.clone() };
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

/// The release's index of packages, whose signature and digest are checked.
fn index(mirror: &FileServer, suite: &str) -> anyhow::Result<String> {
    let signed = mirror.unchecked(&format!("dists/{suite}/InRelease"), RELEASE_LIMIT)?;
    let release = verified(&signed).with_context(|| format!("the release `{suite}` of {mirror} is not Debian's"))?;
    let (digest, size) =
        listed(&release, INDEX).with_context(|| format!("the release `{suite}` of {mirror} lists no `{INDEX}`"))?;
    let wanted = Descriptor { media_type: "application/x-xz".to_owned(), digest, size, urls: Vec::new() };
    let packed = mirror.file(&format!("dists/{suite}/{INDEX}"), &wanted)?;
    let mut text = String::new();
    XzReader::new(packed, true).take(INDEX_LIMIT).read_to_string(&mut text).context("the index can't be read")?;
    Ok(text)
}

/// The text that Debian's keys have signed, as gpgv says.
fn verified(signed: &[u8]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir().context("failed to create a temporary folder")?;
    let (file, text) = (folder.path().join("InRelease"), folder.path().join("Release"));
    fs::write(&file, signed).context("failed to write a temporary file")?;
    let output = Command::new("gpgv")
        .args(["--keyring", KEYRING, "--output"])
        .args([&text, &file])
        .output()
        .context("failed to run gpgv")
        .hint("install Debian's packages `gpgv` and `debian-archive-keyring`")?;
    ensure!(output.status.success(), "gpgv: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    fs::read_to_string(&text).context("gpgv wrote no text")
}

/// SHA-256 and length of a file in a release's list.
fn listed(release: &str, name: &str) -> Option<(Digest, u64)> {
    let mut lines =
        release.lines().skip_while(|line| *line != "SHA256:").skip(1).take_while(|line| line.starts_with(' '));
    lines.find_map(|line| {
        let mut fields = line.split_whitespace();
        let (digest, size, path) = (fields.next()?, fields.next()?, fields.next()?);
        (path == name).then_some((format!("sha256:{digest}").parse().ok()?, size.parse().ok()?))
    })
}

/// A package's stanza of the index.
type Stanza<'a> = BTreeMap<&'a str, &'a str>;

/// The roots and all that they depend on, by name. Of alternatives the first that is there already counts, else the
/// first that is in the index; what several packages provide has to be named among the roots.
fn resolve(index: &str, roots: &[String]) -> anyhow::Result<Vec<Package>> {
    let stanzas = index
        .split("\n\n")
        .map(|stanza| stanza.lines().filter_map(|line| line.split_once(": ")).collect::<Stanza<'_>>());
    let known: BTreeMap<&str, Stanza<'_>> =
        stanzas.filter_map(|stanza| Some((*stanza.get("Package")?, stanza))).collect();
    let providers = |name: &str| -> Vec<&str> {
        let provides = |stanza: &Stanza<'_>| names(stanza.get("Provides").unwrap_or(&"")).any(|given| given == name);
        known.iter().filter(|(_, stanza)| provides(stanza)).map(|(name, _)| *name).collect()
    };

    let mut chosen: BTreeSet<&str> = roots.iter().map(String::as_str).collect();
    let mut waiting: VecDeque<&str> = chosen.iter().copied().collect();
    while let Some(name) = waiting.pop_front() {
        let stanza = known.get(name).with_context(|| format!("the release has no package `{name}`"))?;
        for field in ["Pre-Depends", "Depends"] {
            for dependency in stanza.get(field).unwrap_or(&"").split(',').filter(|text| !text.trim().is_empty()) {
                let alternatives: Vec<&str> = dependency.split('|').flat_map(names).collect();
                let is_met =
                    |name: &&str| chosen.contains(*name) || providers(name).iter().any(|by| chosen.contains(by));
                if alternatives.iter().any(is_met) {
                    continue;
                }
                let found = match alternatives.iter().find(|name| known.contains_key(*name)) {
                    Some(found) => found,
                    None => match alternatives.iter().flat_map(|name| providers(name)).collect::<Vec<_>>()[..] {
                        [only] => known.get_key_value(only).map(|(name, _)| name).context("a provider is unknown")?,
                        ref several => {
                            return Err(report::hinted(
                                anyhow::anyhow!("`{name}` depends on `{}`, provided by {several:?}", dependency.trim()),
                                "name one of them in `roots`",
                            ));
                        }
                    },
                };
                chosen.insert(found);
                waiting.push_back(found);
            }
        }
    }
    chosen.into_iter().map(|name| package(name, &known)).collect()
}

/// Names without versions and architectures, of `a (>= 1), b:any`.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter_map(|one| one.trim().split([' ', ':', '(']).next()).filter(|name| !name.is_empty())
}

fn package(name: &str, known: &BTreeMap<&str, Stanza<'_>>) -> anyhow::Result<Package> {
    let stanza = known.get(name).with_context(|| format!("the release has no package `{name}`"))?;
    let field = |key: &str| stanza.get(key).copied().with_context(|| format!("`{name}` has no `{key}` in the index"));
    Ok(Package {
        name: name.to_owned(),
        version: field("Version")?.to_owned(),
        path: field("Filename")?.to_owned(),
        size: field("Size")?.parse().with_context(|| format!("`{name}` has a size that is not a number"))?,
        digest: format!("sha256:{}", field("SHA256")?).parse().with_context(|| format!("bad SHA256 of `{name}`"))?,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn index() -> String {
        let stanza = |(name, fields): (&str, &str)| {
            let digest = if name == "a" { "a" } else { "b" }.repeat(64);
            format!(
                "Package: {name}\nVersion: 1\nFilename: pool/main/{name}.deb\nSize: 10\nSHA256: {digest}\n{fields}\n"
            )
        };
        let stanzas = [
            ("a", "Version: 1:2-3\nPre-Depends: lib (>= 1)\nDepends: shell, either | b, bulk:any\n"),
            ("b", "Provides: either, other (= 2)\n"),
            ("bulk", ""),
            ("dash", "Provides: shell\n"),
            ("lib", "Depends: a\n"),
        ];
        stanzas.map(stanza).concat() + "Package: bash\nProvides: shell\n"
    }

    fn resolved(roots: &[&str]) -> anyhow::Result<Vec<Package>> {
        resolve(&index(), &roots.iter().map(|root| (*root).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn roots_bring_what_they_depend_on() {
        let packages = resolved(&["a", "dash"]).unwrap();
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "bulk", "dash", "lib"]);
        let set = PackageSet { suite: "s".to_owned(), roots: vec!["a".to_owned()], packages: packages[..2].to_vec() };
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
                { name = "b", version = "1", path = "pool/main/b.deb", size = 10, digest = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" },
            ]
        "##]].assert_eq(&text);
        assert_eq!(toml_edit::de::from_str::<PackageSet>(&text).unwrap(), set);
    }

    #[test]
    fn what_can_not_be_chosen_is_told() {
        let said = |roots: &[&str]| format!("{:#}", resolved(roots).unwrap_err());
        assert_eq!(said(&["nowhere"]), "the release has no package `nowhere`");
        assert_eq!(said(&["a"]), "`a` depends on `shell`, provided by [\"bash\", \"dash\"]");
        assert_eq!(said(&["bash", "a"]), "`bash` has no `Version` in the index");
    }

    #[test]
    fn a_file_of_a_release_is_found_by_its_digest() {
        let release = "Origin: Debian\nMD5Sum:\n d41d 0 main/x\nSHA256:\n \
            bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  12 main/x\n short 1 main/y\nOther: z\n";
        let (digest, size) = listed(release, "main/x").unwrap();
        assert_eq!((digest.hex(), size), ("b".repeat(64), 12));
        assert_eq!(listed(release, "main/y"), None);
        assert_eq!(listed(release, "main/z"), None);
    }

    #[test]
    fn a_release_that_nobody_signed_is_refused() {
        let text = b"Origin: Debian\nSHA256:\n";
        // Without gpgv this fails too: nothing unsigned is ever believed.
        assert!(verified(text).is_err());
    }
}
