//! Wheels on this machine as our layers have them, whatever machine they are for.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use image_name::Digest;
use oci_image::{Layer, ParentDirs, Store};
use wheel_layer::{Compiler, InstalledWheel, Layout, WheelFacts};

use super::{
    Log,
    files::{bytes, folder},
};

/// The layers of each of these wheels.
pub fn layers(
    wheels: &[PathBuf],
    layout: &Arc<Layout>,
    store: &Store,
    compiler: &dyn Compiler,
) -> anyhow::Result<Vec<Layer>> {
    let layers = |wheel: &PathBuf| -> anyhow::Result<Vec<Layer>> {
        let (facts, digest) = (Arc::new(WheelFacts::read(wheel)?), Digest::of(bytes(wheel)?));
        let installed = InstalledWheel::new(facts, wheel.clone(), digest, layout.clone(), |_| None)?;
        Ok(wheel_layer::layers(&[&installed], store, &ParentDirs::new(), 64 << 20, compiler)?)
    };
    Ok(wheels.iter().map(layers).collect::<anyhow::Result<Vec<_>>>()?.concat())
}

/// Unpacks them into `root`, one after the other.
pub fn unpack(log: &Log, store: &Store, layers: &[Layer], root: &Path) -> anyhow::Result<()> {
    folder(root)?;
    for layer in layers {
        let tar =
            log.command("tar").words("--extract --gzip --no-same-owner --file").arg(store.blob_path(&layer.digest));
        tar.arg("--directory").arg(root).run()?;
    }
    Ok(())
}
