//! Which layers are put upon the base, and in which order.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use wheel_layer::InstalledWheel;

use super::{Inputs, MAX_LAYERS, PlannedLayer, PlannedWheel, folders};
use crate::{
    resolve::{
        own_file::PlannedFile,
        packages::{Package, Wheel},
        tools::TOOLS,
    },
    terminal::{hints::is_typo, progress, report::Problems},
};

/// What wheels replace in the base goes away first: `pip install` over an older version would uninstall it.
pub(super) fn whiteouts(inputs: &Inputs<'_>, problems: &mut Problems) -> Option<PlannedLayer> {
    let index = inputs.index?;
    let site_packages = index.real_path(inputs.recipe.python.site_packages.as_str());
    let (mut distributions, mut paths) = (Vec::new(), BTreeSet::new());
    for key in inputs.wheels.iter().map(|wheel| wheel.facts.key()) {
        for old in index.distributions.iter().filter(|old| old.key == key && old.location == site_packages) {
            match index.removal(old) {
                Ok(removed) => {
                    distributions.push(format!("{} {}", old.name, old.version));
                    paths.extend(removed);
                }
                Err(_) if inputs.recipe.allow.no_record.iter().any(|name| name.as_str() == key) => {}
                Err(reason) => problems.push(
                    format_args!("the base's {reason}, so that it can't be replaced"),
                    Some(format!(
                        "leave the wheel out, or put \"{key}\" into `allow.no_record` to install it over the old one"
                    )),
                ),
            }
        }
    }
    distributions.sort();
    let paths: Vec<String> = paths.into_iter().collect();
    (!paths.is_empty()).then_some(PlannedLayer::Whiteouts { distributions, paths })
}

/// How many layers CANN may have above this base, and the user's files, where smaller pieces would make more.
pub(super) fn share(base_layers: usize) -> usize {
    MAX_LAYERS.saturating_sub(base_layers) / 3
}

/// The user's own files at the places where the base really has them, sorted.
pub(super) fn own_files(inputs: &Inputs<'_>) -> Vec<PlannedFile> {
    let place = |file: &PlannedFile| PlannedFile { to: folders::real(inputs, &file.to), ..file.clone() };
    let mut files: Vec<PlannedFile> = inputs.files.iter().map(place).collect();
    files.sort_by(|a, b| a.to.cmp(&b.to));
    files
}

/// The layers of the user's own files. How small these will be is not known, so they are split as if they stayed as
/// they are.
pub(super) fn files(inputs: &Inputs<'_>, files: &[PlannedFile]) -> Vec<PlannedLayer> {
    let split = |bytes| oci_image::split(files.iter().map(|file| file.size), bytes);
    let max_layer = inputs.recipe.layout.max_layer.fitting(share(inputs.base.layers.len()), |bytes| split(bytes).len());
    let pieces: Vec<Range<usize>> = split(max_layer).into_iter().filter(|piece| !piece.is_empty()).collect();
    let of = pieces.len();
    let layer =
        |(number, piece): (usize, Range<usize>)| PlannedLayer::Files { files: files[piece].to_vec(), number, of };
    (1..).zip(pieces).map(layer).collect()
}

/// Our own programs.
pub(super) fn tools(inputs: &Inputs<'_>) -> PlannedLayer {
    PlannedLayer::Tools { paths: TOOLS.map(|(_, _, path)| folders::real(inputs, path)).into() }
}

/// The wheels as they will lie in the image, with their packages, largest first: what changes often is small and comes
/// last. Those that can't be installed, or not together, are problems.
pub(super) fn installed(
    inputs: &Inputs<'_>,
    removed: &[String],
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Vec<(Package, InstalledWheel)> {
    let allow = &inputs.recipe.allow;
    let layout = Arc::new(folders::layout(inputs));
    let index = |folder: &str| inputs.index.filter(|_| !folders::is_gone(folder, removed));
    let real = |folder: &str| index(folder).map(|index| index.real_path(folder));
    let files = |wheel: &Wheel| wheel.facts.files.len() as u64;
    let placed = side_by_side::map_longest_first(&inputs.wheels, side_by_side::cores(), files, |wheel| {
        let Wheel { package, facts } = wheel;
        InstalledWheel::new(facts.clone(), package.path.clone(), package.sha256, layout.clone(), real)
    });
    let (mut found, mut wheels) = (Vec::new(), Vec::new());
    for (Wheel { package, facts }, placed) in inputs.wheels.iter().zip(placed) {
        match placed {
            Ok(mut wheel) => {
                if allow.wrong_record.iter().any(|name| name.as_str() == facts.key()) {
                    wheel.ignore_record();
                }
                warnings.extend(wheel.twice.iter().map(|said| format!("wheel `{}`: {said}", package.path.display())));
                found.push(package.clone());
                wheels.push(wheel);
            }
            Err(error) => problems.push(error, None),
        }
    }
    let winners: Vec<String> = allow.overwrite.iter().map(ToString::to_string).collect();
    unknown_winners(inputs, &winners, problems, warnings);
    warnings.extend(wheel_layer::overwrite(&mut wheels, &winners));
    for conflict in wheel_layer::conflicts(&wheels.iter().collect::<Vec<_>>()) {
        let hint = conflict.either.as_ref().map(|[one, two]| {
            format!(
                "leave one of them out; or put \"{one}\" or \"{two}\" into `allow.overwrite`, to have its files replace \
                 the other's as if pip installed it last"
            )
        });
        problems.push(conflict, hint);
    }
    let mut installed: Vec<(Package, InstalledWheel)> = found.into_iter().zip(wheels).collect();
    installed.sort_by(|(a, of_a), (b, of_b)| b.size.cmp(&a.size).then_with(|| of_a.facts.key().cmp(&of_b.facts.key())));
    installed
}

/// Says which of the names in `allow.overwrite` no wheel has: a slip of the finger, or one that this build leaves out.
fn unknown_winners(inputs: &Inputs<'_>, winners: &[String], problems: &mut Problems, warnings: &mut Vec<String>) {
    // CANN's own wheels are not known before.
    if inputs.cann.iter().flat_map(|cann| &cann.steps).any(|step| step.installed.is_none()) {
        return;
    }
    let keys: Vec<String> = inputs.wheels.iter().map(|wheel| wheel.facts.key()).collect();
    for name in winners.iter().filter(|name| !keys.contains(name)) {
        let message = format!("`allow.overwrite` names `{name}`, of which there is no wheel");
        match keys.iter().find(|key| is_typo(key, name)) {
            Some(near) => problems.push(message, Some(format!("did you mean `{near}`?"))),
            None => warnings.push(message),
        }
    }
}

/// One layer a wheel. Where these would be more than `room`, the smallest share one. Also gives the compressed bytes
/// above which one is split.
pub(super) fn wheels(
    inputs: &Inputs<'_>,
    installed: Vec<(Package, InstalledWheel)>,
    room: usize,
    problems: &mut Problems,
) -> (Vec<PlannedLayer>, u64) {
    let sizes: Vec<Vec<u64>> = installed.iter().map(|(_, wheel)| wheel.sizes().collect()).collect();
    let mut planned: Vec<PlannedWheel> = Vec::new();
    for (Package { kind, size, .. }, installed) in installed {
        let InstalledWheel { facts, path, digest, .. } = &installed;
        let (name, version, path, sha256) = (facts.name.clone(), facts.version.clone(), path.clone(), *digest);
        planned.push(PlannedWheel { kind, name, version, path, sha256, size, pieces: 0, installed });
    }
    let max_layer = inputs.recipe.layout.max_layer.fitting(room, |bytes| total(&sizes, bytes));
    let Some(alone) = alone(&sizes, room, max_layer) else {
        let (base, most) = (inputs.base.layers.len(), MAX_LAYERS);
        problems.push(
            format_args!(
                "no layers are left for {}: an image can have {most}, and {} are taken, {base} of them by the base",
                progress::count(planned.len(), "wheel"),
                most - room,
            ),
            Some("use a base with fewer layers, or a larger `layout.max_layer`".to_owned()),
        );
        return (Vec::new(), max_layer);
    };
    let (own, together) = sizes.split_at(alone);
    for (wheel, sizes) in planned.iter_mut().zip(own) {
        wheel.pieces = pieces_of(sizes.iter().copied(), max_layer);
    }
    let shared = planned.split_off(alone);
    let mut layers: Vec<PlannedLayer> = planned.into_iter().map(|wheel| PlannedLayer::Wheel(wheel.into())).collect();
    if !shared.is_empty() {
        let pieces = pieces_of(together.iter().flatten().copied(), max_layer);
        layers.push(PlannedLayer::SharedByWheels { wheels: shared, pieces });
    }
    (layers, max_layer)
}

/// How many of the wheels, the sizes of whose files these are, have layers of their own when all of them together may
/// have `room` layers; none where there is no way.
fn alone(sizes: &[Vec<u64>], room: usize, max_layer: u64) -> Option<usize> {
    if total(sizes, max_layer) <= room {
        return Some(sizes.len());
    }
    (0..sizes.len().saturating_sub(1)).rev().find(|&alone| {
        let (own, shared) = sizes.split_at(alone);
        total(own, max_layer) + pieces_of(shared.iter().flatten().copied(), max_layer) <= room
    })
}

/// How many layers wheels of these files become at most, each by itself.
fn total(sizes: &[Vec<u64>], max_layer: u64) -> usize {
    sizes.iter().map(|sizes| pieces_of(sizes.iter().copied(), max_layer)).sum()
}

/// How many layers files of these sizes become.
fn pieces_of(sizes: impl Iterator<Item = u64>, max_layer: u64) -> usize {
    oci_image::split(sizes, max_layer).len()
}

/// How many layers this many compressed bytes become as a rule where their files are not known: [`oci_image::split`] makes no
/// more. CANN, whose files are compressed as they are written, may have more; once it is installed they are counted.
pub(super) fn pieces(size: u64, max_layer: u64) -> usize {
    if size <= max_layer { 1 } else { usize::try_from(2 * size / max_layer + 1).unwrap_or(usize::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Wheels, the sizes of whose files in MiB these are.
    #[test]
    fn wheels_share_a_layer_only_where_there_is_no_room() {
        let five: &[&[u64]] = &[&[90], &[80], &[3], &[2], &[1]];
        // The first needs the room of its pieces.
        let split: &[&[u64]] = &[&[90, 60, 60, 30], &[5]];
        for (sizes, room, max_layer, expected) in [
            (five, 6, 100, Some(5)),
            (five, 5, 100, Some(5)),
            (five, 4, 100, Some(3)),
            (five, 3, 100, Some(2)),
            // All but the first, or all, in one layer: 86 MiB fit, 176 do not.
            (five, 2, 100, Some(1)),
            (five, 1, 100, None),
            (five, 1, 200, Some(0)),
            (five, 0, 200, None),
            (&[], 0, 200, Some(0)),
            (split, 4, 100, Some(2)),
            (split, 3, 100, Some(0)),
            (split, 2, 100, None),
        ] {
            let sizes: Vec<Vec<u64>> =
                sizes.iter().map(|wheel| wheel.iter().map(|size| size * MIB).collect()).collect();
            assert_eq!(alone(&sizes, room, max_layer * MIB), expected, "{sizes:?} {room} {max_layer}");
        }
    }

    #[test]
    fn a_wheel_is_as_many_layers_as_it_will_be() {
        // Twice the largest layer, but no file that would leave half of one empty.
        let wheel = [vec![MIB; 40]];
        assert_eq!(total(&wheel, 20 * MIB), 3);
        assert_eq!(pieces(40 * MIB, 20 * MIB), 5);
    }
}
