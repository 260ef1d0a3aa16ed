//! The folders that come to be by the user's own files.

use expect_test::expect;
use oci_image::{Attr, Digest, MTIME};
use wheel_double::WheelDouble;

use super::{RECIPE, SITE, World};
use crate::resolve::own_file::PlannedFile;

fn file(to: &str, (uid, gid): (u64, u64), size: u64) -> PlannedFile {
    let from = format!("/here/{}", to.rsplit('/').next().unwrap()).into();
    PlannedFile { from, to: to.to_owned(), mode: 0o644, uid, gid, sha256: Digest::from_bytes([0; 32]), size }
}

/// They were root's, so that a job could not write beside its own code.
#[test]
fn a_new_folder_belongs_to_the_file_that_brings_it() {
    let dirs = r#"
        layout.dirs."/srv/named" = { mode = "0700", owner = "7:8" }
        layout.dirs."/link/inner" = { mode = "0770", owner = "5:6" }
        layout.dirs."/home/ma-user" = { mode = "0777", owner = "0:0" }
    "#;
    let mut world = World::new(&format!("{RECIPE}{dirs}"));
    world.link("link", "home/ma-user").wheel(&WheelDouble::new("one"));
    world.files = vec![
        file("/srv/named/zed", (0, 0), 1),
        file("/link/inner/x", (1000, 100), 1),
        file("/home/ma-user/code/b/y", (2000, 200), 40 << 20),
        file("/home/ma-user/code/a/x", (1000, 100), 40 << 20),
        file(&format!("/{SITE}/one-1.0.dist-info/note"), (0, 0), 1),
    ];
    world.check(expect![[r#"
        layer one 1.0 863 B one-1.0-py3-none-any.whl
        layer /home/ma-user/code/a/x 0644 1000:100 41.9 MB from /here/x
        layer /home/ma-user/code/b/y 0644 2000:200 41.9 MB from /here/y
        layer /home/ma-user/inner/x 0644 1000:100 1 B from /here/x
        layer /opt/py/lib/python3.9/site-packages/one-1.0.dist-info/note 0644 0:0 1 B from /here/note
        layer /srv/named/zed 0644 0:0 1 B from /here/zed
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
        folder /home/ma-user/code 0755 1000:100
        folder /home/ma-user/code/a 0755 1000:100
        folder /home/ma-user/code/b 0755 2000:200
        folder /home/ma-user/inner 0770 5:6
        folder /srv 0755 0:0
        folder /srv/named 0700 7:8
    "#]]);
    // All pieces say the same of a folder; what the base or a wheel has stays as it is.
    let parents = world.plan().unwrap().parents;
    let attr = |mode, uid, gid| Attr { mode, uid, gid, mtime: MTIME };
    assert_eq!(parents["/home/ma-user/code"], attr(0o755, 1000, 100));
    assert_eq!(parents["/srv/named"], attr(0o700, 7, 8));
    assert_eq!(parents["/home/ma-user"].mode, 0o750);
    assert_eq!(parents[&format!("/{SITE}/one-1.0.dist-info")], attr(0o755, 1000, 100));
}

/// Nobody knows which folders it has: those that the recipe does not name might become another's.
#[test]
fn above_a_base_that_was_not_looked_into_no_folder_is_new() {
    let mut world = World::new(RECIPE);
    world.look = false;
    world.files = vec![file("/var/lib/x", (1000, 100), 1)];
    assert!(world.plan().unwrap().folders.is_empty());
}
