//! Packages are read whole and in order; what is no package, or leads out of itself, is refused.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Cursor;

use debian_fake::{Deb, Tar, archive, gzip, xz};
use debian_package::{Error, Kind, read_each};
use expect_test::expect;
use proptest::prelude::*;
use tar::EntryType;

fn package(name: &str, data: Tar) -> Vec<u8> {
    Deb::new(&format!("Package: {name}\n"), data).bytes()
}

fn tar() -> Tar {
    Tar::default()
}

/// What is read, a line an entry.
fn read(packages: &[Vec<u8>]) -> Result<String, Error> {
    let mut shown = String::new();
    read_each(packages.iter().map(|bytes| Ok(Cursor::new(bytes.clone()))), |package| {
        shown.push_str(&format!("{} {}", package.number, String::from_utf8_lossy(&package.control["control"])));
        let number = package.number;
        package.entries(|entry| {
            let kind = match entry.kind {
                Kind::Folder => "folder".to_owned(),
                Kind::Link(target) => format!("link to {target}"),
                Kind::HardLink(target) => format!("same as {target}"),
                Kind::File(size, contents) => {
                    let mut text = String::new();
                    contents.read_to_string(&mut text).map_err(|source| Error { package: number, source })?;
                    format!("{size} bytes: {text}")
                }
            };
            shown.push_str(&format!("{:o} {}:{} `{}` {kind}\n", entry.mode, entry.uid, entry.gid, entry.path));
            Ok::<_, Error>(())
        })
    })?;
    Ok(shown)
}

fn refusal(package: Vec<u8>) -> String {
    let error = read(&[package]).unwrap_err();
    assert_eq!(error.to_string(), "the package can't be read");
    error.source.to_string()
}

#[test]
fn ubuntu_s_packages_are_read_like_debian_s() {
    let deb = || Deb::new("Package: a\n", tar().file("./etc/x", 0o600, &[b'y'; 300_000]));
    assert_eq!(read(&[deb().zstd()]).unwrap(), read(&[deb().bytes()]).unwrap());
}

/// Debian has some packages from the time of gzip, such as libxdmcp6 of bookworm.
#[test]
fn packages_are_read_as_deb_5_lets_them_be_packed() {
    let deb = || Deb::new("Package: a\n", tar().file("./etc/x", 0o600, &[b'y'; 300_000]));
    let wanted = read(&[deb().bytes()]).unwrap();
    assert_eq!(read(&[deb().packed(".gz", gzip)]).unwrap(), wanted);
    assert_eq!(read(&[deb().packed("", <[u8]>::to_vec)]).unwrap(), wanted);
    let without_end = Deb::new(&"x".repeat(5 << 20), tar()).packed(".gz", gzip);
    assert_eq!(refusal(without_end), "it tells more than 4194304 bytes about itself");
}

#[test]
fn packages_are_read_one_after_the_other() {
    let one = tar()
        .folder("./", 0o755)
        .folder("./bin/", 0o2755)
        .file("./bin/dash", 0o4755, b"dash")
        .link("./bin/sh", "dash")
        .hard_link("./bin/ash", "./bin/dash")
        .entry(EntryType::Char, "./dev/null", 0o666, "", b"");
    let two = tar().file("etc/x", 0o600, b"y");
    let shown = read(&[package("one", one), package("two", two)]).unwrap();
    expect![[r#"
        0 Package: one
        755 0:0 `` folder
        2755 0:0 `bin` folder
        4755 0:0 `bin/dash` 4 bytes: dash
        777 0:0 `bin/sh` link to dash
        755 0:0 `bin/ash` same as bin/dash
        1 Package: two
        600 0:0 `etc/x` 1 bytes: y
    "#]]
    .assert_eq(&shown);
}

/// More than may wait between the two threads, and a reader that has seen enough.
#[test]
fn a_package_may_be_read_in_part() {
    let large = |name| package(name, tar().file("large", 0o644, &vec![b'x'; 9 << 20]));
    let packages = [large("one"), large("two")];
    let files = || packages.iter().map(|bytes| Ok(Cursor::new(bytes.clone())));
    let mut names = Vec::new();
    let all = read_each(files(), |package| {
        names.push(package.control["control"].clone());
        Ok::<_, Error>(())
    });
    all.unwrap();
    assert_eq!(names, [b"Package: one\n", b"Package: two\n"]);
    let error = read_each(files(), |package| {
        package.entries(|_| Err(Error { package: 7, source: std::io::Error::other("enough") }))
    });
    assert_eq!(error.unwrap_err().package, 7);
}

#[test]
fn what_is_no_package_is_refused() {
    let packed = |name: &str, size| xz(&tar().file(name, 0o644, &vec![0; size]).bytes());
    // More than one block.
    let (control, data) = (packed("control", 1), packed("x", 1 << 20));
    let mut said = String::new();
    for members in [
        &[("data.tar.xz", &data[..])][..],
        &[("control.tar.xz", &control)],
        &[("control.tar.xz", &data)],
        &[("control.tar.lzma", b"x")],
        &[("control.tar.gz", b"x")],
        &[("control.tar.xz", &control), ("data.tar.xz", &data[..data.len() - 9])],
        &[("control.tar.xz", b"x"), ("data.tar.xz", &data)],
    ] {
        said.push_str(&refusal(archive(members)));
        said.push('\n');
    }
    said.push_str(&refusal(b"<html>".to_vec()));
    expect![[r#"
        it has `data.tar.xz` where a package has another member
        it has no `data.tar`
        its `control.tar` has no file `control`
        it has `control.tar.lzma` where a package has another member
        unexpected end of file
        failed to fill whole buffer
        failed to fill whole buffer
        failed to read global header"#]]
    .assert_eq(&said);
}

#[test]
fn a_package_that_tells_without_end_is_refused() {
    let deb = Deb::new(&"x".repeat(5 << 20), tar());
    assert_eq!(refusal(deb.bytes()), "it tells more than 4194304 bytes about itself");
}

#[test]
fn nothing_leads_out_of_a_package() {
    for path in ["../x", "a/../../x", "/x"] {
        let said = refusal(package("x", tar().file(path, 0o644, b"")));
        assert_eq!(said, format!("`{path}` leads out of the package"));
        let said = refusal(package("x", tar().file("y", 0o644, b"").hard_link("x", path)));
        assert_eq!(said, format!("`{path}` leads out of the package"));
    }
}

/// The error is that of the damaged package, however far ahead it was read.
#[test]
fn a_bad_package_is_named_by_its_number() {
    let good = package("one", tar().file("x", 0o644, &[1; 3000]));
    let cut = good[..good.len() - 100].to_vec();
    for (packages, number) in [
        (vec![good.clone(), good.clone(), b"x".to_vec()], 2),
        (vec![good.clone(), cut.clone(), good.clone()], 1),
        (vec![cut, good], 0),
    ] {
        assert_eq!(read(&packages).unwrap_err().package, number);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_package_is_read_or_refused(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = package("x", tar().file("a", 0o644, &[1; 3000]).file("b", 0o644, b"2"));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read(&[bytes.clone()]);
        bytes.truncate(cut.index(bytes.len()));
        let _ = read(&[bytes]);
    }
}
