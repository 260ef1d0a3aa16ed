//! How large the image will be, in compressed bytes, as registries count: before anything is built.

use super::{Inputs, PlannedLayer};
use crate::{
    recipe::Limits,
    terminal::{progress::bytes, report::Problems},
};

/// Compressed bytes of the image, as far as they are known: own files count as they are, and CANN, before it is installed,
/// as its installer.
pub(super) fn size(
    inputs: &Inputs<'_>,
    layers: &[PlannedLayer],
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> u64 {
    let Limits { advised, image, layer } = inputs.recipe.limits;
    let of_base = inputs.base.size();
    let size = layers.iter().map(PlannedLayer::size).fold(of_base, u64::saturating_add);
    let says = format!("the image would have {}, {} of it the base's", bytes(size), bytes(of_base));
    if size > image.0 {
        let hint = format!("{}; or raise `limits.image`", Limits::TOO_LARGE);
        problems.push(format_args!("{says}; `limits.image` is {}", bytes(image.0)), Some(hint));
    } else if size > advised.0 {
        warnings.push(format!("{says}; {} are advised (`limits.advised`)", bytes(advised.0)));
    }
    let of_base = inputs.base.layers.iter().enumerate().map(|(at, blob)| (format!("base layer {}", at + 1), blob.size));
    let ours = layers.iter().map(|one| (format!("the layer of {}", one.content()), one.largest_part()));
    for (what, size) in of_base.chain(ours).filter(|(_, size)| *size > layer.0) {
        let message = format_args!("{what} has {}; `limits.layer` is {}", bytes(size), bytes(layer.0));
        problems.push(message, Some("build it of smaller files or layers, or raise `limits.layer`".to_owned()));
    }
    size
}

impl PlannedLayer {
    /// Compressed bytes, as far as they are known.
    fn size(&self) -> u64 {
        match self {
            Self::Cann(cann) if cann.layers.is_empty() => cann.size,
            Self::Cann(cann) => cann.layers.iter().map(|layer| layer.size).sum(),
            Self::System(system) => system.packages.iter().map(|one| one.package.size).sum(),
            Self::Wheel(wheel) => wheel.size,
            Self::SharedByWheels { wheels, .. } => wheels.iter().map(|wheel| wheel.size).sum(),
            Self::Files { files, .. } => files.iter().map(|file| file.size).fold(0, u64::saturating_add),
            _ => 0,
        }
    }

    /// Of the layers that it becomes the largest: no file is split.
    fn largest_part(&self) -> u64 {
        match self {
            Self::Cann(cann) => cann.layers.iter().map(|layer| layer.size).max().unwrap_or_default(),
            Self::Wheel(wheel) => wheel.installed.sizes().max().unwrap_or_default(),
            Self::SharedByWheels { wheels, .. } => {
                wheels.iter().flat_map(|wheel| wheel.installed.sizes()).max().unwrap_or_default()
            }
            other => other.size(),
        }
    }
}
