//! What speaks against a base.

use super::{World, check};
use crate::terminal::report;

#[test]
fn a_base_that_is_not_what_the_recipe_says_is_refused() {
    let mut world = World::new("python = { prefix = \"/opt/py\" }");
    world.file("etc/passwd", b"ma-user:x:1001:1001::/home/ma-user:/bin/sh\n");
    world.file("etc/os-release", b"ID=ubuntu\nVERSION_ID=\"18.04\"\nPRETTY_NAME=\"Ubuntu 18.04.6 LTS\"\n");
    let mut said = world.said("another system, another user id");
    let mut world = World::new("versions.python = '3.8'\npython.prefix = '/opt/py'\nuser = 'nobody:100'");
    world.architecture = "amd64";
    said += &world.said("another machine, another Python, no such user");
    check("base", &said);
}

#[test]
fn the_tag_names_the_system_of_the_base() {
    for (os, release, known_as) in [
        ("euler_2.8.3", "ID=\"euleros\"\nVERSION_ID=\"2.0\"\n", None),
        ("ubuntu_18.04", "ID=ubuntu\nVERSION_ID=\"18.04\"\n", None),
        ("debian_11.5", "ID=debian\nVERSION_ID=\"11\"\n", None),
        ("euler_2.8.3", "PRETTY_NAME=nothing\n", None),
        ("euler_2.8.3", "ID=\"openEuler\"\nVERSION_ID=\"22.03\"\n", Some("openeuler_22.03")),
        ("debian_11", "ID=debian\nVERSION_ID=\"12\"\n", Some("debian_12")),
    ] {
        let mut world =
            World::new(&format!("python.prefix = \"/opt/py\"\nversions = {{ cann = \"none\", os = \"{os}\" }}"));
        world.file("etc/os-release", release.as_bytes());
        match (world.plan(), known_as) {
            (Ok(plan), None) => assert_eq!(plan.warnings, [""; 0], "{os} {release}"),
            (Err(error), Some(name)) => {
                let said = report::render(&error);
                assert!(said.ends_with(&format!("hint: set `versions.os` to `{name}`\n")), "{said}");
            }
            (plan, _) => panic!("{os} {release}: {plan:?}"),
        }
    }
}
