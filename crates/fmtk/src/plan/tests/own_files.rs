//! The folders that come to be by the user's own files.

use oci_image::{Attr, MTIME};
use wheel_fake::FakeWheel;

use super::{RECIPE, SITE, World, check, own_file as file};

/// They were root's, so that a job could not write beside its own code.
#[test]
fn a_new_folder_belongs_to_the_file_that_brings_it() {
    let dirs = r#"
        layout.dirs."/srv/named" = { mode = "0700", owner = "7:8" }
        layout.dirs."/link/inner" = { mode = "0770", owner = "5:6" }
        layout.dirs."/home/ma-user" = { mode = "0777", owner = "0:0" }
    "#;
    let mut world = World::new(&format!("{RECIPE}{dirs}"));
    world.link("link", "home/ma-user").wheel(&FakeWheel::new("one"));
    world.files = vec![
        file("/srv/named/zed", (0, 0), 1),
        file("/link/inner/x", (1000, 100), 1),
        file("/home/ma-user/code/b/y", (2000, 200), 40 << 20),
        file("/home/ma-user/code/a/x", (1000, 100), 40 << 20),
        file(&format!("/{SITE}/one-1.0.dist-info/note"), (0, 0), 1),
    ];
    let parents = world.plan().unwrap().parents;
    // All pieces say the same of a folder; what the base or a wheel has stays as it is.
    let attr = |mode, uid, gid| Attr { mode, uid, gid, mtime: MTIME };
    assert_eq!(parents["/home/ma-user/code"], attr(0o755, 1000, 100));
    assert_eq!(parents["/srv/named"], attr(0o700, 7, 8));
    assert_eq!(parents["/home/ma-user"].mode, 0o750);
    assert_eq!(parents[&format!("/{SITE}/one-1.0.dist-info")], attr(0o755, 1000, 100));
    check("new_folders", &[("new folders", world)]);
}
