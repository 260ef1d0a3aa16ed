//! From packages to a layer.

use std::io::Read as _;

use debian_fake::{Deb, Tar};
use expect_test::{expect, expect_file};
use oci_image::{Descriptor, Digest, EntryKind, TarReader, UnpackError, read_layer};

use super::*;
use crate::debian::Package;

/// The packages that [`MADE`] takes files from, and one of each kind of thing.
fn base() -> Vec<Deb> {
    let deb = |name: &str, more: &str, data| {
        Deb::new(&format!("Package: {name}\nVersion: 1\nArchitecture: arm64\n{more}"), data)
    };
    let passwd = Tar::default()
        .file(
            "./usr/share/base-passwd/passwd.master",
            0o644,
            b"root:*:0:0:root:/root:/bin/bash\nx:*:1000:9::/:/bin/sh\n",
        )
        .file("./usr/share/base-passwd/group.master", 0o644, b"root:*:0:\nusers:*:100:\n");
    let files = Tar::default()
        .folder("./", 0o755)
        .folder("./tmp/", 0o1777)
        .file("./usr/share/base-files/profile", 0o644, b"umask 022\n")
        .file("./usr/share/base-files/dot.profile", 0o644, b"mesg n\n")
        .file("./usr/share/base-files/dot.bashrc", 0o644, b"PS1=x\n")
        .file("./usr/share/libc-bin/nsswitch.conf", 0o644, b"passwd: files\n")
        .file("./usr/share/readline/inputrc", 0o644, b"set bell\n");
    let dash = Tar::default()
        .folder("./", 0o755)
        .folder("./bin/", 0o755)
        .file("./bin/dash", 0o4755, b"dash")
        .link("./bin/sh", "dash")
        .hard_link("./bin/ash", "./bin/dash")
        .file("./etc/dash.conf", 0o600, b"a=1\n")
        .file("./dev/null", 0o644, b"")
        .file("./usr/bin/awk", 0o755, b"in the place of a link")
        .file("./usr/share/doc/dash/changelog.gz", 0o644, b"")
        .file("./usr/share/doc/dash/copyright", 0o644, b"")
        .link("./usr/share/doc/gcc", "gcc-10-base")
        .file("./usr/share/manners", 0o644, b"")
        .file("./usr/share/man/man1/dash.1.gz", 0o644, b"");
    let dash = deb("dash", "Multi-Arch: same\nDescription: x\n More.\n", dash);
    let dash = dash.tells("conffiles", "/etc/dash.conf\n/etc/gone.conf\n").tells("postinst", "#!/bin/sh\n");
    vec![deb("base-passwd", "", passwd), deb("base-files", "", files), dash]
}

struct Bed {
    packages: Store,
    set: PackageSet,
    _folder: tempfile::TempDir,
}

impl Bed {
    fn new(debs: Vec<Deb>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packages = Store::open(folder.path()).unwrap();
        let package = |deb: Deb| {
            let bytes = deb.bytes();
            let (digest, size) = (packages.put_blob(&bytes).unwrap(), bytes.len() as u64);
            Package { name: "p".into(), version: "1".into(), path: "pool/p.deb".into(), size, digest }
        };
        let set = debs.into_iter().map(package).collect();
        let set = PackageSet { suite: "bullseye".into(), roots: Vec::new(), packages: set };
        Self { packages, set, _folder: folder }
    }

    fn layer(&self) -> anyhow::Result<Layer> {
        layer(&self.set, &self.packages, &self.packages)
    }
}

#[test]
fn packages_become_a_base() {
    let bed = Bed::new(base());
    let layer = bed.layer().unwrap();
    let (mut shown, mut texts) = (String::new(), String::new());
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
    let blob = Descriptor { media_type: gzip, digest: layer.digest, size: layer.size, urls: Vec::new() };
    let read = read_layer(&bed.packages, &blob, Some(layer.diff_id), |stream| {
        let mut tar = TarReader::new(stream);
        while let Some(entry) = tar.next_entry().unwrap() {
            let mut text = String::new();
            tar.contents().read_to_string(&mut text).unwrap();
            let Attr { mode, uid, gid, .. } = entry.attr;
            let kind = match entry.kind {
                EntryKind::File(_) if entry.path.starts_with("var/lib/dpkg") => {
                    texts.push_str(&format!("== {}\n{text}", entry.path));
                    "below".to_owned()
                }
                EntryKind::File(_) => format!("{text:?}"),
                other => format!("{other:?}"),
            };
            shown.push_str(&format!("{mode:o} {uid}:{gid} {} {kind}\n", entry.path));
        }
        Ok::<_, UnpackError>(())
    });
    read.unwrap();
    expect_file!["base.txt"].assert_eq(&(shown + &texts));
}

/// The same bytes whenever and wherever it is made.
#[test]
fn the_same_packages_give_the_same_layer() {
    assert_eq!(Bed::new(base()).layer().unwrap(), Bed::new(base()).layer().unwrap());
}

#[test]
fn packages_without_what_a_base_needs_are_none() {
    let refusal = |debs| Bed::new(debs).layer().unwrap_err().to_string();
    let less = refusal(base().into_iter().skip(1).collect());
    assert_eq!(less, "the packages hold no `/usr/share/base-passwd/passwd.master`");
    let nameless = refusal(vec![Deb::new("Version: 1\nArchitecture: all\n", Tar::default())]);
    assert_eq!(nameless, "its `control` names no package");
}

/// It is removed, so that the next run downloads it again.
#[test]
fn a_package_that_was_damaged_in_the_store_is_removed_from_it() {
    let bed = Bed::new(base());
    let package = &bed.set.packages[1];
    let path = bed.packages.blob_path(&package.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let shown = report::render(&bed.layer().unwrap_err());
    expect![[r#"
        error: a package was damaged in the store and has been removed from it
        caused by: failed to unpack `pool/p.deb`
        caused by: the package can't be read
        caused by: blob sha256:c239d2e108b908b99d7cfee4f9e88b2f54420353bfe4dec1a8c93be18a855c40 is damaged: its digest is sha256:1be426b6168ad3ffed142104fa7e17e941415d5fdcd70491f757a16ea92a52f8
        hint: run the same command again to download the package again
    "#]].assert_eq(&shown);
    assert!(!bed.packages.has(&package.digest, package.size));
}

#[test]
fn a_digest_of_the_list_that_the_store_lacks_is_told() {
    let mut bed = Bed::new(base());
    bed.set.packages[0].digest = Digest::from_bytes([7; 32]);
    let shown = report::render(&bed.layer().unwrap_err());
    assert!(shown.contains("pool/p.deb") && shown.contains("failed to"), "{shown}");
}
