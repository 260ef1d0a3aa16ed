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
    let mut world = World::new(RECIPE);
    world.scripts = Some(vec![script("common.py", "x = 1", true), script("fmk.py", FMK, true)]);
    let mut said = world.said("not patched yet");
    let plan = world.plan().unwrap();
    assert_eq!(plan.config.labels["fmtk.patch.log-path"], "applied");
    assert_eq!(plan.config.labels["fmtk.patch.code-cwd"], "applied");
    let Some(PlannedLayer::Scripts { scripts }) = plan.layers.first() else { panic!("{plan}") };
    let patched = String::from_utf8(scripts[0].bytes.clone()).unwrap();
    assert_eq!(plan.parents["/home/ma-user"].mode, 0o750);

    // What is patched already is left where it is.
    world.scripts = Some(vec![script("fmk.py", &patched, true)]);
    said += &world.said("patched already");
    for (title, text) in [("another class", "class Other:\n    pass\n"), ("no Python", "class (")] {
        world.scripts = Some(vec![script("fmk.py", text, true)]);
        said += &world.said(title);
    }
    world.scripts = Some(Vec::new());
    said += &world.said("none");
    check("scripts", &said);
}
