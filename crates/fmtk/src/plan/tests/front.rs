//! The launch kit's front in a plan.

use expect_test::expect;
use oci_image::{Attr, MTIME};

use super::{super::PlannedLayer, RECIPE, World};
use crate::resolve::front::{Replaced, TEXT};

/// The vendor's file is kept as it is, ours can be read by whoever a job runs as.
#[test]
fn ours_takes_the_place_of_the_base_s_which_is_kept() {
    let mut world = World::new(&RECIPE.replace("front = false", "front = true"));
    world.check(expect![[r#"
        layer /home/ma-user/mxLaunchKit/ma/launcher.py 0644 1000:100
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
    world.dir("home/ma-user/mxLaunchKit", 0o700, 7).dir("home/ma-user/mxLaunchKit/ma", 0o711, 7);
    let attr = Attr { mode: 0o700, uid: 7, gid: 8, mtime: MTIME };
    world.replaced = Replaced::Vendors(attr, b"print('old')\n".to_vec());
    world.check(expect![[r#"
        layer /home/ma-user/mxLaunchKit/ma/launcher.py 0744 7:8
        layer /home/ma-user/mxLaunchKit/ma/launcher.py.vendor 0700 7:8
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Front { files }) = plan.layers.first() else { panic!("{plan}") };
    assert_eq!((&files[0].bytes[..], &files[1].bytes[..]), (TEXT.as_bytes(), &b"print('old')\n"[..]));
    assert_eq!(plan.parents["/home/ma-user/mxLaunchKit/ma"].mode, 0o711);
    assert_eq!(plan.config.labels["fmtk.launch.front"], "true");
}

#[test]
fn upon_an_image_of_ours_nothing_is_kept_twice() {
    let mut world = World::new(&RECIPE.replace("front = false", "front = true"));
    let attr = Attr { mode: 0o744, uid: 7, gid: 8, mtime: MTIME };
    world.replaced = Replaced::Ours(attr, TEXT.as_bytes().to_vec());
    world.check(expect![[r#"
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
    world.replaced = Replaced::Ours(attr, b"an older one".to_vec());
    world.check(expect![[r#"
        layer /home/ma-user/mxLaunchKit/ma/launcher.py 0744 7:8
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
}

#[test]
fn it_is_left_out_where_the_recipe_says_so_and_warned_of_where_the_base_is_not_known() {
    let mut world = World::new(RECIPE);
    world.replaced = Replaced::Unknown;
    world.check(expect![[r#"
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
    assert_eq!(world.plan().unwrap().config.labels["fmtk.launch.front"], "false");
    world.recipe.launch.front = true;
    world.check(expect![[r#"
        layer /home/ma-user/mxLaunchKit/ma/launcher.py 0644 1000:100
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
        warning: the base's `/home/ma-user/mxLaunchKit/ma/launcher.py`, if it has one, is replaced and not kept as `/home/ma-user/mxLaunchKit/ma/launcher.py.vendor`, as the base was not looked into
    "#]]);
}

#[test]
fn who_starts_the_ranks_reaches_the_launcher_and_has_to_be_in_the_image() {
    let world = World::new(RECIPE);
    let env = |world: &World| world.plan().unwrap().config.env;
    assert!(env(&world).contains(&("FMTK_LAUNCH_RANKS".to_owned(), "native".to_owned())));
    let mut world = World::new(&format!("{RECIPE}\nlaunch.ranks = 'scripts'"));
    world.check(expect![[r#"
        error: `launch.ranks` is `scripts`, but `run_ascend910.py` is not in the base's `/home/ma-user/ascend910`
        hint: put the vendor's scripts into `pkg/ascend910`, or set `launch.ranks=native`
    "#]]);
    // Where the base's are kept, to put them there is not enough.
    world.recipe.scripts = crate::recipe::Scripts::Keep;
    world.check(expect![[r#"
        error: `launch.ranks` is `scripts`, but `run_ascend910.py` is not in the base's `/home/ma-user/ascend910`
        hint: put the vendor's scripts into `pkg/ascend910` and set `scripts=auto`, or set `launch.ranks=native`
    "#]]);
    world.look = false;
    assert!(env(&world).contains(&("FMTK_LAUNCH_RANKS".to_owned(), "scripts".to_owned())));
}

#[test]
fn the_programs_are_on_path_whatever_the_recipe_makes_of_it() {
    let path = |recipe: &str| {
        let env = World::new(recipe).plan().unwrap().config.env;
        env.into_iter().find(|(name, _)| name == "PATH").map(|(_, value)| value)
    };
    assert_eq!(path(&format!("{RECIPE}\nenvironment.PATH = '/opt/bin'")).unwrap(), "/opt/bin:/usr/local/bin");
    assert_eq!(path(&format!("{RECIPE}\nenvironment.PATH = '/usr/local/bin/:/x'")).unwrap(), "/usr/local/bin/:/x");
    assert_eq!(path(&format!("{RECIPE}\nenvironment.PATH = false")), None);
}
