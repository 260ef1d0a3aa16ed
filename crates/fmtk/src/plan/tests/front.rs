//! The launch kit's front in a plan.

use super::{super::PlannedLayer, RECIPE, World, check};
use crate::resolve::front::{PATH, TEXT};

/// A base with this file where ours goes.
fn world(bytes: &[u8]) -> World {
    let mut world = World::new(&RECIPE.replace("front = false", "front = true"));
    world.dir("home/ma-user/mxLaunchKit", 0o751, 7).dir("home/ma-user/mxLaunchKit/ma", 0o711, 7);
    world.entry(&PATH[1..], tar::EntryType::Regular, 0o700, 7, bytes);
    world
}

/// The vendor's file is kept as it is, ours can be read by whoever a job runs as.
#[test]
fn ours_takes_the_place_of_the_base_s_which_is_kept() {
    let fresh = World::new(&RECIPE.replace("front = false", "front = true"));
    let vendors = world(b"print('old')\n");
    let plan = vendors.plan().unwrap();
    let Some(PlannedLayer::Front { files }) = plan.layers.first() else { panic!("{plan}") };
    assert_eq!((&files[0].bytes[..], &files[1].bytes[..]), (TEXT.as_bytes(), &b"print('old')\n"[..]));
    assert_eq!(plan.parents["/home/ma-user/mxLaunchKit/ma"].mode, 0o711);
    assert_eq!(plan.config.labels["fmtk.launch.front"], "true");
    // Upon an image of ours nothing is kept twice.
    let (ours, older) = (world(TEXT.as_bytes()), world(format!("{TEXT}# an older one\n").as_bytes()));
    let mut off = World::new(RECIPE);
    assert_eq!(off.plan().unwrap().config.labels["fmtk.launch.front"], "false");
    off.look = false;
    let mut unknown = world(b"print('old')\n");
    unknown.look = false;
    let rows = [
        ("the base has none", fresh),
        ("the vendor's", vendors),
        ("ours", ours),
        ("an older one of ours", older),
        ("it is left out", off),
        ("the base is not known", unknown),
    ];
    check("front", &rows);
}

#[test]
fn who_starts_the_ranks_reaches_the_launcher_and_has_to_be_in_the_image() {
    let env = |world: &World| world.plan().unwrap().config.env;
    assert!(env(&World::new(RECIPE)).contains(&("FMTK_LAUNCH_RANKS".to_owned(), "native".to_owned())));
    let scripts = |more: &str| World::new(&format!("{RECIPE}\nlaunch.ranks = 'scripts'\n{more}"));
    let mut unknown = scripts("");
    unknown.look = false;
    assert!(env(&unknown).contains(&("FMTK_LAUNCH_RANKS".to_owned(), "scripts".to_owned())));
    // Where the base's are kept, to put them there is not enough.
    check("ranks", &[("scripts that are nowhere", scripts("")), ("and are kept", scripts("scripts = 'keep'"))]);
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
