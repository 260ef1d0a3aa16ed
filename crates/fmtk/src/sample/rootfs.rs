//! What makes unpacked packages a base image: what their maintainer scripts would have made is made here, and what
//! differs from run to run or serves nobody in a container is left out.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use oci_image::Attr;

/// One thing in a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner, mode and time.
    pub attr: Attr,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A symbolic link to this.
    Link(String),
    /// A file that lies in the archive at this offset with so many bytes.
    Packed {
        /// From the start of the archive, bytes.
        offset: u64,
        /// Length in bytes.
        size: u64,
    },
    /// A file made here.
    Made(Vec<u8>),
}

/// The whole tree by path, without slashes at either end; a folder sorts before what it holds.
pub type Tree = BTreeMap<String, Node>;

/// The user that jobs run as on the platform, with its group, and the home that only they may enter.
const USER: &str = "ma-user:x:1000:100::/home/ma-user:/bin/bash";
const GROUP: &str = "ma-group:x:100:";
const OWNER: (u64, u64) = (1000, 100);

/// Folders whose contents are left out: made by the runtime, by apt for itself, or for readers of manuals.
const EMPTIED: [&str; 7] = ["dev", "proc", "sys", "run", "var/cache/apt", "var/lib/apt", "var/log"];
const DROPPED: [&str; 9] = [
    "etc/apt",
    // The build machine's own, copied by mmdebstrap.
    "etc/hostname",
    "etc/resolv.conf",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zoneinfo/posix",
    "usr/share/zoneinfo/right",
];

/// Turns unpacked packages into a base. `read` gives the bytes of a packed file.
pub fn furnish(tree: &mut Tree, mut read: impl FnMut(&Node) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<()> {
    let mut text = |tree: &Tree, path: &str| {
        let node = tree.get(path).with_context(|| format!("the packages hold no `/{path}`"))?;
        String::from_utf8(read(node)?).with_context(|| format!("`/{path}` is not UTF-8"))
    };
    let passwd = accounts(&text(tree, "usr/share/base-passwd/passwd.master")?, USER, 2, "1000");
    let group = accounts(&text(tree, "usr/share/base-passwd/group.master")?, GROUP, 2, "100");
    let profile = text(tree, "usr/share/base-files/profile")?;
    let python = "usr/bin/python3.9";
    ensure!(tree.contains_key(python), "the packages hold no `/{python}`");

    tree.retain(|path, node| wanted(path, node));
    let mtime = tree.get(python).map_or(0, |node| node.attr.mtime);
    let mut put = |path: &str, mode: u32, (uid, gid): (u64, u64), kind: Kind| {
        tree.insert(path.to_owned(), Node { attr: Attr { mode, uid, gid, mtime }, kind });
    };
    put("etc/passwd", 0o644, (0, 0), Kind::Made(passwd.into_bytes()));
    put("etc/group", 0o644, (0, 0), Kind::Made(group.into_bytes()));
    put("etc/profile", 0o644, (0, 0), Kind::Made(profile.into_bytes()));
    put("etc/nsswitch.conf", 0o644, (0, 0), Kind::Made(b"passwd: files\ngroup: files\nhosts: files dns\n".to_vec()));
    // Jobs boot by this name, and the tuning kit starts the training by it.
    put("usr/bin/python", 0o777, (0, 0), Kind::Link("python3".to_owned()));
    put("usr/bin/python3", 0o777, (0, 0), Kind::Link("python3.9".to_owned()));
    put("usr/bin/awk", 0o777, (0, 0), Kind::Link("mawk".to_owned()));
    put("home/ma-user", 0o750, OWNER, Kind::Folder);
    put("root", 0o700, (0, 0), Kind::Folder);
    put("tmp", 0o1777, (0, 0), Kind::Folder);
    put("var/tmp", 0o1777, (0, 0), Kind::Folder);
    Ok(())
}

/// A passwd or group file from Debian's master copy: no passwords, and `entry` in place of whoever has its number.
fn accounts(master: &str, entry: &str, field: usize, number: &str) -> String {
    let mut text = String::new();
    for line in master.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.get(field) == Some(&number) {
            continue;
        }
        if let Some(password) = fields.get_mut(1) {
            *password = "x";
        }
        text.push_str(&fields.join(":"));
        text.push('\n');
    }
    text + entry + "\n"
}

fn wanted(path: &str, node: &Node) -> bool {
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if EMPTIED.iter().any(|folder| below(folder)) || DROPPED.iter().any(|name| path == *name || below(name)) {
        return false;
    }
    // Licences stay, with the links to those of a sister package.
    if below("usr/share/doc") && matches!(node.kind, Kind::Packed { .. }) {
        return path.ends_with("/copyright");
    }
    true
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn tree(paths: &[(&str, Kind)]) -> Tree {
        let attr = Attr { mode: 0o755, uid: 0, gid: 0, mtime: 7 };
        paths.iter().map(|(path, kind)| ((*path).to_owned(), Node { attr, kind: kind.clone() })).collect()
    }

    fn packed(size: u64) -> Kind {
        Kind::Packed { offset: 0, size }
    }

    fn packages() -> Tree {
        tree(&[
            ("dev", Kind::Folder),
            ("dev/null", packed(0)),
            ("etc", Kind::Folder),
            ("etc/apt/sources.list", packed(0)),
            ("etc/hostname", packed(0)),
            ("tmp", Kind::Folder),
            ("usr/bin/python3.9", packed(9)),
            ("usr/share/base-files/profile", packed(3)),
            ("usr/share/base-passwd/group.master", packed(2)),
            ("usr/share/base-passwd/passwd.master", packed(1)),
            ("usr/share/doc/dash/changelog.gz", packed(0)),
            ("usr/share/doc/dash/copyright", packed(0)),
            ("usr/share/doc/gcc", Kind::Link("gcc-10-base".to_owned())),
            ("usr/share/manners", packed(0)),
            ("usr/share/man/man1/dash.1.gz", packed(0)),
        ])
    }

    fn read(node: &Node) -> anyhow::Result<Vec<u8>> {
        Ok(match node.kind {
            Kind::Packed { size: 1, .. } => b"root:*:0:0:root:/root:/bin/bash\nx:*:1000:9::/:/bin/sh\n".to_vec(),
            Kind::Packed { size: 2, .. } => b"root:*:0:\nusers:*:100:\n".to_vec(),
            _ => b"umask 022\n".to_vec(),
        })
    }

    #[test]
    fn packages_become_a_base() {
        let mut tree = packages();
        furnish(&mut tree, read).unwrap();
        let mut shown = String::new();
        for (path, Node { attr, kind }) in &tree {
            let kind = match kind {
                Kind::Made(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
                other => format!("{other:?}"),
            };
            shown.push_str(&format!("{:o} {}:{} {path} {kind}\n", attr.mode, attr.uid, attr.gid));
        }
        expect![[r#"
            755 0:0 dev Folder
            755 0:0 etc Folder
            644 0:0 etc/group "root:x:0:\nma-group:x:100:\n"
            644 0:0 etc/nsswitch.conf "passwd: files\ngroup: files\nhosts: files dns\n"
            644 0:0 etc/passwd "root:x:0:0:root:/root:/bin/bash\nma-user:x:1000:100::/home/ma-user:/bin/bash\n"
            644 0:0 etc/profile "umask 022\n"
            750 1000:100 home/ma-user Folder
            700 0:0 root Folder
            1777 0:0 tmp Folder
            777 0:0 usr/bin/awk Link("mawk")
            777 0:0 usr/bin/python Link("python3")
            777 0:0 usr/bin/python3 Link("python3.9")
            755 0:0 usr/bin/python3.9 Packed { offset: 0, size: 9 }
            755 0:0 usr/share/base-files/profile Packed { offset: 0, size: 3 }
            755 0:0 usr/share/base-passwd/group.master Packed { offset: 0, size: 2 }
            755 0:0 usr/share/base-passwd/passwd.master Packed { offset: 0, size: 1 }
            755 0:0 usr/share/doc/dash/copyright Packed { offset: 0, size: 0 }
            755 0:0 usr/share/doc/gcc Link("gcc-10-base")
            755 0:0 usr/share/manners Packed { offset: 0, size: 0 }
            1777 0:0 var/tmp Folder
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn packages_without_python_are_no_base() {
        let mut tree = packages();
        tree.remove("usr/bin/python3.9");
        assert_eq!(furnish(&mut tree, read).unwrap_err().to_string(), "the packages hold no `/usr/bin/python3.9`");
    }
}
