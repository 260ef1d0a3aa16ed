//! From packages to a layer.

use std::io::Read as _;

use debian_double::{Deb, Tar};
use expect_test::expect;
use oci_image::{Descriptor, Digest, EntryKind, TarReader, UnpackError, read_layer};

use super::*;
use crate::sample::packages::Package;

/// The packages that [`MADE`] takes files from, and one of each kind of thing.
fn base() -> Vec<Deb> {
    let deb = |name: &str, add: fn(Tar) -> io::Result<Tar>| {
        let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
        Deb::new(&control).unwrap().with(add).unwrap()
    };
    let passwd: fn(Tar) -> io::Result<Tar> = |tar| {
        let users = b"root:*:0:0:root:/root:/bin/bash\nx:*:1000:9::/:/bin/sh\n";
        tar.file("./usr/share/base-passwd/passwd.master", 0o644, users)?.file(
            "./usr/share/base-passwd/group.master",
            0o644,
            b"root:*:0:\nusers:*:100:\n",
        )
    };
    let files: fn(Tar) -> io::Result<Tar> = |tar| {
        tar.folder("./", 0o755)?
            .folder("./tmp/", 0o1777)?
            .file("./usr/share/base-files/profile", 0o644, b"umask 022\n")?
            .file("./usr/share/base-files/dot.profile", 0o644, b"mesg n\n")?
            .file("./usr/share/base-files/dot.bashrc", 0o644, b"PS1=x\n")?
            .file("./usr/share/libc-bin/nsswitch.conf", 0o644, b"passwd: files\n")?
            .file("./usr/share/readline/inputrc", 0o644, b"set bell\n")
    };
    let dash: fn(Tar) -> io::Result<Tar> = |tar| {
        tar.folder("./", 0o755)?
            .folder("./bin/", 0o755)?
            .file("./bin/dash", 0o4755, b"dash")?
            .link("./bin/sh", "dash")?
            .hard_link("./bin/ash", "./bin/dash")?
            .file("./etc/dash.conf", 0o600, b"a=1\n")?
            .file("./dev/null", 0o644, b"")?
            .file("./usr/bin/awk", 0o755, b"in the place of a link")?
            .file("./usr/share/doc/dash/changelog.gz", 0o644, b"")?
            .file("./usr/share/doc/dash/copyright", 0o644, b"")?
            .link("./usr/share/doc/gcc", "gcc-10-base")?
            .file("./usr/share/manners", 0o644, b"")?
            .file("./usr/share/man/man1/dash.1.gz", 0o644, b"")
    };
    let dash = deb("dash", dash).tells("conffiles", "/etc/dash.conf\n").unwrap();
    vec![deb("base-passwd", passwd), deb("base-files", files), dash]
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
            let bytes = deb.bytes().unwrap();
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
    expect![[r#"
        755 0:0 usr Dir
        755 0:0 usr/share Dir
        755 0:0 usr/share/base-passwd Dir
        644 0:0 usr/share/base-passwd/passwd.master "root:*:0:0:root:/root:/bin/bash\nx:*:1000:9::/:/bin/sh\n"
        644 0:0 usr/share/base-passwd/group.master "root:*:0:\nusers:*:100:\n"
        1777 0:0 tmp Dir
        755 0:0 usr/share/base-files Dir
        644 0:0 usr/share/base-files/profile "umask 022\n"
        644 0:0 usr/share/base-files/dot.profile "mesg n\n"
        644 0:0 usr/share/base-files/dot.bashrc "PS1=x\n"
        755 0:0 usr/share/libc-bin Dir
        644 0:0 usr/share/libc-bin/nsswitch.conf "passwd: files\n"
        755 0:0 usr/share/readline Dir
        644 0:0 usr/share/readline/inputrc "set bell\n"
        755 0:0 bin Dir
        4755 0:0 bin/dash "dash"
        777 0:0 bin/sh Symlink("dash")
        755 0:0 bin/ash HardLink("bin/dash")
        755 0:0 etc Dir
        600 0:0 etc/dash.conf "a=1\n"
        755 0:0 usr/share/doc Dir
        755 0:0 usr/share/doc/dash Dir
        644 0:0 usr/share/doc/dash/copyright ""
        777 0:0 usr/share/doc/gcc Symlink("gcc-10-base")
        644 0:0 usr/share/manners ""
        644 0:0 etc/passwd "root:x:0:0:root:/root:/bin/bash\nma-user:x:1000:100::/home/ma-user:/bin/bash\n"
        644 0:0 etc/group "root:x:0:\nma-group:x:100:\n"
        644 0:0 etc/profile "umask 022\n"
        755 0:0 root Dir
        644 0:0 root/.bashrc "PS1=x\n"
        644 0:0 root/.profile "mesg n\n"
        755 0:0 etc/dpkg Dir
        755 0:0 etc/dpkg/origins Dir
        777 0:0 etc/dpkg/origins/default Symlink("debian")
        644 0:0 etc/nsswitch.conf "passwd: files\n"
        644 0:0 etc/inputrc "set bell\n"
        644 0:0 etc/timezone "Etc/UTC\n"
        777 0:0 etc/localtime Symlink("/usr/share/zoneinfo/Etc/UTC")
        755 0:0 etc/alternatives Dir
        777 0:0 etc/alternatives/awk Symlink("/usr/bin/mawk")
        777 0:0 etc/alternatives/rmt Symlink("/usr/sbin/rmt-tar")
        755 0:0 usr/bin Dir
        777 0:0 usr/bin/awk Symlink("/etc/alternatives/awk")
        755 0:0 usr/sbin Dir
        777 0:0 usr/sbin/rmt Symlink("/etc/alternatives/rmt")
        755 0:0 var Dir
        755 0:0 var/lib Dir
        755 0:0 var/lib/dpkg Dir
        644 0:0 var/lib/dpkg/diversions below
        644 0:0 var/lib/dpkg/arch below
        755 0:0 var/lib/dpkg/info Dir
        644 0:0 var/lib/dpkg/info/format below
        777 0:0 usr/bin/python Symlink("python3")
        755 0:0 home Dir
        750 1000:100 home/ma-user Dir
        755 0:0 dev Dir
        555 0:0 proc Dir
        555 0:0 sys Dir
        644 0:0 var/lib/dpkg/status below
        644 0:0 var/lib/dpkg/info/base-files.list below
        644 0:0 var/lib/dpkg/info/base-passwd.list below
        644 0:0 var/lib/dpkg/info/dash.conffiles below
        644 0:0 var/lib/dpkg/info/dash.list below
    "#]]
    .assert_eq(&shown);
    expect![[r#"
        == var/lib/dpkg/diversions
        /bin/sh
        /bin/sh.distrib
        dash
        /usr/share/man/man1/sh.1.gz
        /usr/share/man/man1/sh.distrib.1.gz
        dash
        == var/lib/dpkg/arch
        arm64
        == var/lib/dpkg/info/format
        1
        == var/lib/dpkg/status
        Package: base-passwd
        Status: install ok installed
        Version: 1
        Architecture: all

        Package: base-files
        Status: install ok installed
        Version: 1
        Architecture: all

        Package: dash
        Status: install ok installed
        Version: 1
        Architecture: all
        Conffiles:
         /etc/dash.conf d5e29449b9e66d5b4bb0d6ce48fbbcb1

        == var/lib/dpkg/info/base-files.list
        /.
        /tmp
        /usr/share/base-files/dot.bashrc
        /usr/share/base-files/dot.profile
        /usr/share/base-files/profile
        /usr/share/libc-bin/nsswitch.conf
        /usr/share/readline/inputrc
        == var/lib/dpkg/info/base-passwd.list
        /usr/share/base-passwd/group.master
        /usr/share/base-passwd/passwd.master
        == var/lib/dpkg/info/dash.conffiles
        /etc/dash.conf
        == var/lib/dpkg/info/dash.list
        /.
        /bin
        /bin/ash
        /bin/dash
        /bin/sh
        /dev/null
        /etc/dash.conf
        /usr/bin/awk
        /usr/share/doc/dash/changelog.gz
        /usr/share/doc/dash/copyright
        /usr/share/doc/gcc
        /usr/share/man/man1/dash.1.gz
        /usr/share/manners
    "#]]
    .assert_eq(&texts);
}

/// The same bytes whenever and wherever it is made.
#[test]
fn the_same_packages_give_the_same_layer() {
    assert_eq!(Bed::new(base()).layer().unwrap(), Bed::new(base()).layer().unwrap());
}

#[test]
fn packages_without_what_a_base_needs_are_none() {
    let error = Bed::new(base().into_iter().skip(1).collect()).layer().unwrap_err();
    assert_eq!(error.to_string(), "the packages hold no `/usr/share/base-passwd/passwd.master`");
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
        error: a package was damaged in the store, and was removed from it
        caused by: failed to unpack `pool/p.deb`
        caused by: the package can't be read
        caused by: blob sha256:68ec8863c134a8f56b04b9f2e3aeb0ce7130cc487097d9d382b89197e57865f4 is damaged: its digest is sha256:8b6fb3b89e187a8a696fb97747e02fa81e0b7d17696ecf3f953aab2190daa0ad
        hint: run the same command again: it downloads the package again
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
