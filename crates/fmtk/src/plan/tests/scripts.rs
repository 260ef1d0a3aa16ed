//! The vendor's scripts in a plan.

use oci_image::{Attr, MTIME};

use super::{super::PlannedLayer, RECIPE, World, check};
use crate::resolve::scripts::Script;

const FMK: &str = include_str!("../../../../fmk-patch/tests/shapes/pristine.py");

fn script(name: &str, text: &str, in_base: bool) -> Script {
    let path = format!("/home/ma-user/ascend910/{name}");
    let attr = Attr { mode: 0o640, uid: 1000, gid: 100, mtime: MTIME };
    let in_base = in_base.then(|| image_name::Digest::of(text));
    let origin = format!("the base's `{path}`");
    Script { path, origin, bytes: text.as_bytes().to_vec(), attr, in_base }
}

#[test]
fn only_scripts_that_change_are_put_in() {
    let world = |scripts: Vec<Script>| {
        let mut world = World::new(RECIPE);
        world.scripts = Some(scripts);
        world
    };
    let fmk = |text: &str| world(vec![script("fmk.py", text, true)]);
    let changed = world(vec![script("common.py", "x = 1", true), script("fmk.py", FMK, true)]);
    let plan = changed.plan().unwrap();
    assert_eq!(plan.config.labels["fmtk.patch.log-path"], "applied");
    assert_eq!(plan.config.labels["fmtk.patch.code-cwd"], "applied");
    let Some(PlannedLayer::Scripts { scripts }) = plan.layers.first() else { panic!("{plan}") };
    assert_eq!(plan.parents["/home/ma-user"].mode, 0o750);
    let rows = [
        ("not patched yet", changed),
        ("patched already", fmk(str::from_utf8(&scripts[0].bytes).unwrap())),
        ("another class", fmk("class Other:\n    pass\n")),
        ("no Python", fmk("class (")),
        ("none", world(Vec::new())),
    ];
    check("scripts", &rows);
}
