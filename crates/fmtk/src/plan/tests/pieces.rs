//! In how many layers what is large is put.

use wheel_double::WheelDouble;

use super::{RECIPE, World, own_file};
use crate::plan::PlannedLayer;

#[test]
fn layers_are_split_in_smaller_pieces_where_there_is_room() {
    let max_layer = |base_layers, recipe: &str| {
        let mut world = World::new(recipe);
        world.base_layers = base_layers;
        let wheel = (0..20).fold(WheelDouble::new("a"), |wheel, file| wheel.file(&format!("{file}.bin"), &[1]));
        world.wheel(&wheel);
        world.large();
        world.plan().unwrap().max_layer >> 20
    };
    let auto = [20, 105, 112, 116].map(|base_layers| max_layer(base_layers, RECIPE));
    assert_eq!(auto, [64, 128, 256, 512]);
    assert_eq!(max_layer(113, &format!("{RECIPE}\nlayout.max_layer = \"300 MiB\"\n")), 300);
}

#[test]
fn the_user_s_files_are_split_too() {
    let mut world = World::new(RECIPE);
    world.files =
        [("/srv/c", 40), ("/srv/b", 30), ("/srv/a", 30)].map(|(to, size)| own_file(to, (0, 0), size << 20)).into();
    let layers = |world: &World| -> Vec<Vec<String>> {
        let of_files = |layer: &PlannedLayer| match layer {
            PlannedLayer::Files { files, .. } => Some(files.iter().map(|file| file.to.clone()).collect()),
            _ => None,
        };
        world.plan().unwrap().layers.iter().filter_map(of_files).collect()
    };
    assert_eq!(layers(&world), [vec!["/srv/a", "/srv/b"], vec!["/srv/c"]]);
    world.base_layers = 116;
    assert_eq!(layers(&world), [vec!["/srv/a", "/srv/b", "/srv/c"]]);
}

/// All of them were `1 own files`.
#[test]
fn layers_of_own_files_are_numbered() {
    let named = |sizes: &[u64]| -> Vec<String> {
        let mut world = World::new(RECIPE);
        world.files =
            (1..).zip(sizes).map(|(number, size)| own_file(&format!("/srv/{number}"), (0, 0), *size)).collect();
        let layers = world.plan().unwrap().layers;
        let of_files = layers.iter().filter(|layer| matches!(layer, PlannedLayer::Files { .. }));
        of_files.map(PlannedLayer::content).collect()
    };
    assert_eq!(named(&[1]), ["1 own file"]);
    assert_eq!(named(&[1, 2]), ["2 own files"]);
    assert_eq!(named(&[60 << 20, 60 << 20, 1]), ["own files (1 of 2)", "own files (2 of 2)"]);
}
