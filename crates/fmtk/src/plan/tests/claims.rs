//! What the tag says of the image's contents.

use wheel_double::WheelDouble;

use super::{RECIPE, SITE, World};

#[test]
fn another_mindspore_of_the_base_than_the_tag_s_is_refused() {
    let mut world = World::new(RECIPE);
    world.has("mindspore", "1.7.0");
    world.check("another_mindspore");
    world.recipe.versions.mindspore = "1.7.0".parse().unwrap();
    assert_eq!(world.plan().unwrap().warnings, [""; 0]);
    for same in ["1.7.0+ascend", "1.7.0.0", "1.7"] {
        world.has("mindspore", same);
        assert_eq!(world.plan().unwrap().warnings, [""; 0], "{same}");
    }
}

#[test]
fn a_mindspore_that_the_interpreter_finds_elsewhere_counts_too() {
    let of_user = "/home/ma-user/.local/lib/python3.9/site-packages";
    for (folder, environment) in
        [(of_user, ""), ("/opt/pp/site-packages", "environment.PYTHONPATH = \"/opt/pp/site-packages\"")]
    {
        let warnings = |version: &str| {
            let mut world = World::new(&format!("{RECIPE}\n{environment}"));
            world.file(&format!("{SITE}/mindspore.dist-info/METADATA"), b"Name: other\nVersion: 1.8.1\n");
            let metadata = format!("Name: mindspore\nVersion: {version}\n");
            world.file(&format!("{folder}/mindspore-{version}.dist-info/METADATA")[1..], metadata.as_bytes());
            world.plan().unwrap().warnings
        };
        assert_eq!(warnings("1.8.1"), [""; 0], "{folder}");
        let other = format!("the tag would say MindSpore `1.8.1`, and the base `oci:base` has `1.7.0` in `{folder}`");
        assert_eq!(warnings("1.7.0"), [other]);
    }
}

#[test]
fn a_wheel_replaces_the_base_s_mindspore_of_the_same_name_alone() {
    let recipe = RECIPE.replace("os =", "mindspore = \"1.0\", os =");
    let mut world = World::new(&format!("{recipe}\nallow.no_record = ['mindspore']"));
    world.wheel(&WheelDouble::new("mindspore"));
    assert!(world.plan().is_ok());
    let mut world = World::new(&recipe);
    world.wheel(&WheelDouble::new("mindspore_ascend"));
    world.check("mixed_mindspores");
}

#[test]
fn a_tag_that_claims_what_nothing_brings_is_warned_of() {
    let mut world = World::new(&RECIPE.replace("cann = \"none\"", "cann = \"5.1.RC2\""));
    world.file(&format!("{SITE}/mindspore.dist-info/METADATA"), b"Name: other\nVersion: 1.8.1\n");
    world.check("claims");
    // Where the interpreter looks besides, there may be one.
    let mut other = World::new(RECIPE);
    other.recipe.python.site_packages = "/opt/other".parse().unwrap();
    assert_eq!(other.plan().unwrap().warnings, [""; 0]);
    // What is not known is not guessed at.
    world.look = false;
    assert!(world.plan().unwrap().warnings.iter().all(|warning| !warning.contains("the tag would say")));
}

#[test]
fn a_base_has_the_cann_that_its_folders_tell() {
    let mut world = World::new(&RECIPE.replace("cann = \"none\"", "cann = \"5.1.RC2\""));
    world.dir("usr/local/Ascend/ascend-toolkit/latest", 0o755, 0);
    assert_eq!(world.plan().unwrap().warnings, [""; 0]);
    world.dir("usr/local/Ascend/ascend-toolkit/5.1.RC1/opp", 0o755, 0);
    world.dir("usr/local/Ascend/ascend-toolkit-other/5.1.RC2", 0o755, 0);
    world.check("another_cann");
    world.dir("opt/nnae/5.1.RC2", 0o755, 0).link("usr/local/Ascend/nnae", "/opt/nnae");
    assert_eq!(world.plan().unwrap().warnings, [""; 0]);
}
