//! The vendor's scripts in a plan.

use expect_test::expect;
use oci_image::{Attr, MTIME};

use super::{super::PlannedLayer, RECIPE, World};
use crate::resolve::scripts::{Found, Place, Script};

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
    let scripts = vec![script("common.py", "x = 1", true), script("fmk.py", FMK, true)];
    world.scripts = Some(Found { from: Place::Folder, scripts });
    world.check(expect![[r#"
        layer /home/ma-user/ascend910/fmk.py 0640 1000:100
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
        patch log-path: applied (line 33)
        patch code-cwd: applied (line 80)
    "#]]);
    let plan = world.plan().unwrap();
    assert_eq!(plan.config.labels["fmtk.patch.log-path"], "applied");
    assert_eq!(plan.config.labels["fmtk.patch.code-cwd"], "applied");
    let Some(PlannedLayer::Scripts { scripts }) = plan.layers.first() else { panic!("{plan}") };
    let patched = String::from_utf8(scripts[0].bytes.clone()).unwrap();
    assert_eq!(plan.parents["/home/ma-user"].mode, 0o750);

    // What is patched already is left where it is.
    world.scripts = Some(Found { from: Place::Base, scripts: vec![script("fmk.py", &patched, true)] });
    world.check(expect![[r#"
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
        patch log-path: already-applied (lines 35, 36)
        patch code-cwd: already-applied (line 84)
    "#]]);
}

#[test]
fn a_script_that_can_not_be_patched_stops_the_build() {
    let mut world = World::new(RECIPE);
    world.scripts =
        Some(Found { from: Place::Base, scripts: vec![script("fmk.py", "class Other:\n    pass\n", true)] });
    world.check(expect![[r#"
        error: the base's `/home/ma-user/ascend910/fmk.py` can't be patched: log-path: not-found: there is no class `FMK`; code-cwd: not-found: there is no class `FMK`
        hint: put another into `pkg/ascend910`, or leave the base's as it is: `--set scripts=keep`
    "#]]);
    world.scripts = Some(Found { from: Place::Folder, scripts: vec![script("fmk.py", "class (", true)] });
    world.check(expect![[r#"
        error: the base's `/home/ma-user/ascend910/fmk.py` can't be patched: it is not valid Python: Expected an identifier at line 1
        hint: put another into `pkg/ascend910`, or leave the base's as it is: `--set scripts=keep`
    "#]]);
    world.scripts = Some(Found { from: Place::Base, scripts: Vec::new() });
    world.check(expect![[r#"
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
        warning: the base has no `/home/ma-user/ascend910/fmk.py` to be patched
    "#]]);
}
