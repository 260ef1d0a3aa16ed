//! Packages that fit a base, and those that do not.

use expect_test::expect;

use super::*;
use crate::{debian::Vendor, terminal::report};

/// An index of these packages, each with its fields beside name and version.
fn index(packages: &[(&str, &str, &str)]) -> Archive {
    let stanza = |(name, version, fields): &(&str, &str, &str)| {
        let digest = "a".repeat(64);
        format!(
            "Package: {name}\nArchitecture: arm64\nVersion: {version}\n{fields}Filename: pool/{name}_{version}.deb\n\
             Size: 10\nSHA256: {digest}\n"
        )
    };
    Archive(vec![packages.iter().map(stanza).collect::<Vec<_>>().join("\n")])
}

fn installed(packages: &[(&str, &str, &str)]) -> String {
    let stanza = |(name, version, fields): &(&str, &str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\n{fields}")
    };
    packages.iter().map(stanza).collect::<Vec<_>>().join("\n")
}

/// The base of the tests: a slim one without C++.
const BASE: &[(&str, &str, &str)] = &[
    ("libc6", "2.36-9", ""),
    ("gcc-12-base", "12.2.0-14", ""),
    ("libgcc-s1", "12.2.0-14", "Depends: gcc-12-base (= 12.2.0-14)\n"),
    ("mawk", "1.3", "Provides: awk\n"),
    ("old", "1", "Breaks: new (<< 2)\n"),
];

fn chosen(archive: &Archive, status: &str, wanted: &[&str]) -> String {
    let release = Release { vendor: Vendor::Debian, codename: "bookworm".to_owned() };
    match choose(archive, status, wanted, &BTreeSet::new(), &release) {
        Ok(Choice { packages, present }) => {
            let added = packages.iter().map(|one| format!("+ {} {}\n", one.name, one.version));
            added.chain(present.iter().map(|(name, version)| format!("= {name} {version}\n"))).collect()
        }
        Err(error) => report::render(&error),
    }
}

#[test]
fn what_the_base_lacks_is_added_with_its_dependencies() {
    let archive = index(&[
        ("libstdc++6", "12.2.0-14", "Depends: gcc-12-base (= 12.2.0-14), libc6 (>= 2.36), libgcc-s1 (>= 4.2)\n"),
        ("app", "1:2-3", "Pre-Depends: libstdc++6 (>= 12)\nDepends: awk, either | other, bulk:any\nRecommends: x\n"),
        ("other", "1", "Depends: app\n"),
        ("bulk", "1", ""),
        ("x", "1", ""),
        ("impl", "1", "Provides: virtual (= 3)\n"),
        ("user", "1", "Depends: virtual (>= 2)\n"),
        ("libc6", "2.40", ""),
    ]);
    let base = installed(BASE);
    expect!["+ libstdc++6 12.2.0-14\n"].assert_eq(&chosen(&archive, &base, &["libstdc++6"]));
    expect!["+ app 1:2-3\n+ bulk 1\n+ libstdc++6 12.2.0-14\n+ other 1\n= libc6 2.36-9\n"].assert_eq(&chosen(
        &archive,
        &base,
        &["app", "libc6", "app"],
    ));
    expect!["+ impl 1\n+ user 1\n"].assert_eq(&chosen(&archive, &base, &["user"]));
    // What was removed, and what is for another machine, is not there.
    let gone = "Package: bulk\nStatus: deinstall ok config-files\nArchitecture: arm64\nVersion: 1\n\n\
                Package: x\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
    expect!["+ bulk 1\n+ x 1\n"].assert_eq(&chosen(&archive, gone, &["x", "bulk"]));
}

/// An update needs other libraries than the base has; the version that the base was released with fits.
#[test]
fn of_several_versions_the_newest_that_fits_is_taken() {
    let mut archive = index(&[("libstdc++6", "12.2.0-14", "Depends: gcc-12-base (= 12.2.0-14)\n")]);
    let updates = index(&[
        ("libstdc++6", "12.2.0-14+deb12u1", "Depends: gcc-12-base (= 12.2.0-14+deb12u1)\n"),
        ("gcc-12-base", "12.2.0-14+deb12u1", ""),
    ]);
    archive.0.extend(updates.0);
    expect!["+ libstdc++6 12.2.0-14\n"].assert_eq(&chosen(&archive, &installed(BASE), &["libstdc++6"]));
    expect!["+ gcc-12-base 12.2.0-14+deb12u1\n+ libstdc++6 12.2.0-14+deb12u1\n"].assert_eq(&chosen(
        &archive,
        "",
        &["libstdc++6"],
    ));
}

#[test]
fn what_does_not_fit_the_base_is_told() {
    let archive = index(&[
        ("libstdc++6", "13.1", "Depends: gcc-12-base (= 13.1), libc6 (>= 2.38)\n"),
        ("gcc-12-base", "13.1", ""),
        ("needs-c++", "1", "Depends: libstdc++6\n"),
        ("lost", "1", "Depends: nowhere (>= 1) | gone\n"),
        ("new", "1", ""),
        ("a", "1", "Conflicts: b\n"),
        ("b", "1", ""),
        ("bash", "1", "Provides: shell\n"),
        ("dash", "1", "Provides: shell\n"),
        ("script", "1", "Depends: shell\n"),
        ("app", "1", "Depends: lib\n"),
        ("lib", "1", "Depends: b\n"),
    ]);
    let base = installed(BASE);
    let said = [
        &["libstdc++6"][..],
        &["needs-c++"],
        &["lost"],
        &["new"],
        &["a", "b"],
        &["a", "app"],
        &["script"],
        &["shell"],
        &["libstdc++7", "libstdc++", "zzzz"],
    ]
    .map(|wanted| format!("# {}\n{}", wanted.join(" "), chosen(&archive, &base, wanted)));
    expect_test::expect_file!["refusals.txt"].assert_eq(&said.concat());
}
