//! The image's user upon bases that lack it.

use super::*;

const DEBIAN: &[(&str, &str)] = &[
    ("passwd", "root:x:0:0:root:/root:/bin/bash\n_apt:x:42:65534::/nonexistent:/usr/sbin/nologin"),
    ("group", "root:x:0:\nusers:x:100:\n"),
    ("shadow", "root:*:19000:0:99999:7:::\n"),
    ("gshadow", "root:*::\nusers:*::\n"),
];
const UBUNTU: &[(&str, &str)] = &[
    ("passwd", "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash\n"),
    ("group", "root:x:0:\nadm:x:4:syslog,ubuntu\nusers:x:100:\nubuntu:x:1000:\n"),
    ("shadow", "root:*:19000:0:99999:7:::\nubuntu:!:19000:0:99999:7:::\n"),
];
/// With what CANN's images have of it.
const OPEN_EULER: &[(&str, &str)] = &[
    ("passwd", "root:x:0:0:root:/root:/bin/bash\nHwHiAiUser:x:1001:1001::/home/HwHiAiUser:/bin/bash\n"),
    ("group", "root:x:0:\nusers:x:100:\nHwHiAiUser:x:1001:\n"),
];
const READY: &[(&str, &str)] = &[
    ("passwd", "root:x:0:0:root:/root:/bin/bash\nma-user:x:1000:100::/home/ma-user:/bin/bash\n"),
    ("group", "root:x:0:\nma-group:x:100:\nHwHiAiUser:x:1000:ma-user\n"),
];

fn world(files: &[(&str, &str)], user: &str) -> World {
    let mut world = World::new(RECIPE);
    world.tar = tar::Builder::new(Vec::new());
    world.program("opt/py/bin/python3.9").dir(SITE, 0o755, 1000).set.push(format!("user={user}"));
    for (name, text) in files {
        let mode = if name.ends_with("shadow") { 0o640 } else { 0o644 };
        world.entry(&format!("etc/{name}"), tar::EntryType::Regular, mode, 0, text.as_bytes());
    }
    world
}

#[test]
fn a_user_that_the_base_lacks_is_added() {
    let mut said = String::new();
    for (title, files, user) in [
        ("upon Debian", DEBIAN, "{}"),
        ("with the group of the devices", DEBIAN, "{ groups = ['HwHiAiUser:1000'] }"),
        ("upon Ubuntu 24.04", UBUNTU, "{}"),
        ("upon Ubuntu 24.04, replacing", UBUNTU, "{ create = 'replace', groups = ['HwHiAiUser:1000'] }"),
        ("upon openEuler with CANN", OPEN_EULER, "{ groups = ['HwHiAiUser'] }"),
        ("a group without a number", DEBIAN, "{ groups = ['HwHiAiUser'] }"),
        ("a group of another number", OPEN_EULER, "{ name = 'me', groups = ['HwHiAiUser:1000'] }"),
        ("it is there", READY, "{ groups = ['HwHiAiUser'] }"),
        ("it is there with other numbers", READY, "{ uid = 1001 }"),
        ("no users at all", &[], "{ name = 'me', group = 'us', gid = '1000' }"),
    ] {
        let mut world = world(files, user);
        if user.contains("1001") {
            world.set.push("layout.owner=1001:100".to_owned());
        }
        said += &format!("# {title}\n");
        let plan = match world.plan() {
            Ok(plan) => plan,
            Err(error) => {
                said += &format!("{}\n", report::render(&error));
                continue;
            }
        };
        for layer in &plan.layers {
            let PlannedLayer::Account { files, home, .. } = layer else { continue };
            for file in files {
                let text = String::from_utf8(file.bytes.clone()).unwrap();
                said += &format!("{} {:04o} {}:{}\n{text}", file.to, file.mode, file.uid, file.gid);
            }
            if let Some(home) = home {
                said += &format!("{}/ {:04o} {}:{}\n", home.path, home.mode, home.uid, home.gid);
            }
        }
        plan.notes.iter().for_each(|note| said += &format!("note: {note}\n"));
        said += &format!("user {}\n\n", plan.config.user.unwrap_or_default());
    }
    expect_file!["said/account.txt"].assert_eq(&said);
}

/// As an image of ours is the base of the next.
#[test]
fn what_was_added_is_not_added_again() {
    let mut world = world(DEBIAN, "{ groups = ['HwHiAiUser:1000'] }");
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Account { files, .. }) = plan.layers.first() else { panic!("{plan}") };
    for file in files {
        world.entry(&file.to[1..], tar::EntryType::Regular, file.mode, file.uid, &file.bytes);
    }
    world.dir("home/ma-user", 0o750, 1000);
    let again = world.plan().unwrap();
    assert!(!again.layers.iter().any(|layer| matches!(layer, PlannedLayer::Account { .. })), "{again}");
}

#[test]
fn a_base_that_is_not_inspected_can_not_be_given_a_user() {
    let mut world = world(DEBIAN, "{}");
    world.look = false;
    expect_test::expect![[r#"
        error: base `oci:base` not inspected, so what it lacks of the user `ma-user` is not known
        hint: leave out `--no-inspect`, or set `user` to "ma-user", which the base must have then
    "#]]
    .assert_eq(&world.said());
}
