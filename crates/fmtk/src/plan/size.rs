//! How large the image will be, in compressed bytes, as registries count: before anything is built.

use super::{Inputs, PlannedLayer};
use crate::terminal::{progress::bytes, report::Problems};

/// Compressed bytes of the image, as far as they are known: own files count as they are, and CANN, before it is installed,
/// as its installer.
pub(super) fn size(
    inputs: &Inputs<'_>,
    layers: &[PlannedLayer],
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> u64 {
    let of_base = inputs.base.size();
    let size = layers.iter().map(PlannedLayer::size).fold(of_base, u64::saturating_add);
    let says = format!("the image would have {}, {} of it the base's", bytes(size), bytes(of_base));
    let of_base = inputs.base.layers.iter().enumerate().map(|(at, blob)| (format!("base layer {}", at + 1), blob.size));
    let ours = layers.iter().map(|one| (format!("the layer of {}", one.content()), one.largest_part()));
    for excess in inputs.recipe.limits.exceeded(&says, size, of_base.chain(ours)) {
        match excess.is_refused {
            true => problems.push(excess.message, Some(excess.hint)),
            false => warnings.push(excess.message),
        }
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
