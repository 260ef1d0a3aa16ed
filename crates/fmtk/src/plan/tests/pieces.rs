//! In how many layers what is large is put.

use wheel_fake::FakeWheel;

use super::{RECIPE, World, own_file};
use crate::plan::PlannedLayer;

#[test]
fn layers_are_split_in_smaller_pieces_where_there_is_room() {
    let max_layer = |base_layers, recipe: &str| {
        let mut world = World::new(recipe);
        world.base_layers = base_layers;
        let wheel = (0..20).fold(FakeWheel::new("a"), |wheel, file| wheel.file(&format!("{file}.bin"), &[1]));
        world.wheel(&wheel);
        world.large();
        world.plan().unwrap().max_layer >> 20
    };
    let auto = [20, 105, 112, 116].map(|base_layers| max_layer(base_layers, RECIPE));
    assert_eq!(auto, [64, 128, 256, 512]);
    assert_eq!(max_layer(113, &format!("{RECIPE}\nlayout.max_layer = \"300 MiB\"\n")), 300);
}

/// Own files of these sizes in MiB: what their layers are called (all of them were `1 own files`), how many each has.
#[test]
fn the_user_s_files_are_split_too() {
    for (base_layers, sizes, expected) in [
        (1, &[1][..], &[("1 own file", 1)][..]),
        (1, &[1, 2], &[("2 own files", 2)]),
        (1, &[60, 60, 1], &[("own files (1 of 2)", 1), ("own files (2 of 2)", 2)]),
        (1, &[30, 30, 40], &[("own files (1 of 2)", 2), ("own files (2 of 2)", 1)]),
        (116, &[30, 30, 40], &[("3 own files", 3)]),
    ] {
        let mut world = World::new(RECIPE);
        world.base_layers = base_layers;
        world.files =
            (1..).zip(sizes).map(|(number, size)| own_file(&format!("/srv/{number}"), (0, 0), size << 20)).collect();
        let plan = world.plan().unwrap();
        let of_files = plan.layers.iter().filter_map(|layer| match layer {
            PlannedLayer::Files { files, .. } => Some((layer.content(), files.len())),
            _ => None,
        });
        let expected: Vec<(String, usize)> =
            expected.iter().map(|(name, files)| ((*name).to_owned(), *files)).collect();
        assert_eq!(of_files.collect::<Vec<_>>(), expected);
    }
}
