//! The sample's base: a small arm64 Python 3.9 that anyone may have, in the shape of the platform's own base.
//!
//! Where Debian's packages can be had it is made from them by mmdebstrap, without emulation; elsewhere the official
//! Python image is pulled. Made once, it stays in the store.

mod archive;
mod bootstrap;
mod layout;
mod mirror;
mod official;
mod rootfs;
mod tool;

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::Context;
use oci_image::{Descriptor, Digest, LAYER_FORMAT, Platform, Store};
use registry::RegistryOptions;
use sha2::{Digest as _, Sha256};

pub use self::{
    official::probe as probe_official,
    tool::{Consent, command as install_command, is_root, on_path},
};
use crate::terminal::{
    progress::{self, Progress},
    report::WithHint,
};
use image_name::ImageRef;

/// Tag of the base inside its layout.
pub const TAG: &str = "sample";

/// Changes whenever the same packages would give another base.
const VERSION: u32 = 2;

/// Date of the base: its files are not younger.
const CREATED: &str = "1980-01-01T00:00:00Z";

/// Where a sample's base comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleBase {
    /// Debian's packages, unpacked by mmdebstrap.
    Debian,
    /// The official Python image of a container registry.
    Official,
}

impl SampleBase {
    /// What the recipe must say for this base, as `KEY=VALUE`. Debian's Python has pip install below `/usr/local`, into
    /// `dist-packages`, with `/usr/bin/python3` as the scripts' interpreter (seen by running pip 26.0.1 there).
    pub fn recipe_overrides(self) -> Vec<String> {
        let python = match self {
            Self::Debian => {
                ["python.site_packages=/usr/local/lib/python3.9/dist-packages", "python.interpreter=/usr/bin/python3"]
            }
            Self::Official => [
                "python.site_packages=/usr/local/lib/python3.9/site-packages",
                "python.interpreter=/usr/local/bin/python3.9",
            ],
        };
        let shared = ["python.prefix=/usr/local", "python.glibc=2.31", "versions.python=3.9", "versions.os=debian_11"];
        python.into_iter().chain(shared).map(str::to_owned).collect()
    }
}

/// A base that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Where it came from.
    pub from: SampleBase,
    /// What `--base` would say to take it.
    pub reference: ImageRef,
}

/// How the sample's base comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prospect {
    /// The store has it.
    Made(Ready),
    /// It will be made of Debian's packages.
    Packages {
        /// Where these are had from.
        mirror: String,
        /// Whether mmdebstrap is there.
        is_ready: bool,
    },
    /// The official image will be pulled.
    Official,
}

/// How [`ensure_base`] will go about it; nothing is made.
pub fn prospect(store: &Store) -> Prospect {
    match (find(store), mirror::find()) {
        (Some(ready), _) => Prospect::Made(ready),
        (None, Some(mirror)) => Prospect::Packages { mirror, is_ready: tool::present() },
        (None, None) => Prospect::Official,
    }
}

/// The base as it will be called; it need not be there yet.
pub fn expected(store: &Store, prospect: &Prospect) -> anyhow::Result<Ready> {
    match prospect {
        Prospect::Made(ready) => Ok(ready.clone()),
        Prospect::Packages { .. } => Ok(made(place(store))),
        Prospect::Official => official(),
    }
}

fn official() -> anyhow::Result<Ready> {
    Ok(Ready { from: SampleBase::Official, reference: official::IMAGE.parse()? })
}

/// The sample's base, made unless the store has it; where it cannot be made, the official image.
pub fn ensure_base(store: &Store, consent: Consent, progress: &Progress) -> anyhow::Result<Ready> {
    // Two samples at once: the second waits and finds the base of the first.
    let _lock = store.lock("sample-base")?;
    if let Some(ready) = find(store) {
        return Ok(ready);
    }
    let mirror = mirror::find();
    if let Some(mirror) = &mirror
        && (tool::present() || tool::install(consent, progress)?)
    {
        return from_packages(store, mirror, progress);
    }
    let install = tool::command();
    official::probe(RegistryOptions::default())
        .context("the sample's base can be neither made, for want of mmdebstrap, nor pulled")
        .hint(if mirror.is_some() {
            format!("run `{install}`, or give `--yes`; or give a base of your own with `--base`")
        } else {
            let variable = mirror::MIRROR_VARIABLE;
            format!("name a mirror of Debian's packages in `{variable}` and run `{install}`; or give `--base`")
        })?;
    official()
}

/// The base that was made, where the store has one, and all of it: what was lost is made again.
pub fn find(store: &Store) -> Option<Ready> {
    let dir = place(store);
    let (base, _) = oci_image::open_layout(&dir, Some(TAG), &Platform::linux_arm64()).ok()?;
    let blob = |layer: &Descriptor| dir.join("blobs/sha256").join(layer.digest.hex());
    let is_there = |layer: &Descriptor| fs::metadata(blob(layer)).is_ok_and(|meta| meta.len() == layer.size);
    base.layers.iter().all(is_there).then(|| made(dir))
}

fn made(dir: PathBuf) -> Ready {
    Ready { from: SampleBase::Debian, reference: ImageRef::Layout { dir, tag: Some(TAG.to_owned()) } }
}

/// The folder of the layout; another set of packages gives another folder.
fn place(store: &Store) -> PathBuf {
    let inputs = format!("{VERSION} {LAYER_FORMAT} {} {}", bootstrap::SUITE, bootstrap::PACKAGES.join(" "));
    let key = Digest::from_bytes(Sha256::digest(inputs.as_bytes()).into()).hex();
    store.root().join("samples").join(format!("debian-{}", &key[..16]))
}

fn from_packages(store: &Store, mirror: &str, progress: &Progress) -> anyhow::Result<Ready> {
    progress.line("making the sample's base: Debian's Python 3.9 for arm64 (about 10 s)");
    let scratch = store.scratch()?;
    let tar = scratch.path().join("packages.tar");
    bootstrap::run(mirror, &tar, scratch.path()).context("failed to make the sample's base")?;
    let mut tree = archive::index(&tar)?;
    let mut file = File::open(&tar).with_context(|| format!("failed to read `{}`", tar.display()))?;
    rootfs::furnish(&mut tree, |node| archive::contents(&mut file, node))?;
    let layer = archive::layer(store, &mut file, &tree)?;
    let dir = place(store);
    layout::write(store, &layer, CREATED, &dir)?;
    progress.line(&format!("made the sample's base: {} files, {}", tree.len(), progress::bytes(layer.size)));
    Ok(made(dir))
}

#[cfg(test)]
mod tests {
    use oci_image::Layer;

    use super::*;

    /// A base whose layer was lost could not be read, and was not made again.
    #[test]
    fn a_base_that_lost_a_part_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        assert_eq!(find(&store), None);
        let digest = store.put_blob(&[0; 1024]).unwrap();
        let layer = Layer { digest, size: 1024, diff_id: digest, tar_size: 1024 };
        layout::write(&store, &layer, CREATED, &place(&store)).unwrap();
        assert_eq!(find(&store), Some(made(place(&store))));
        fs::remove_file(place(&store).join("blobs/sha256").join(digest.hex())).unwrap();
        assert_eq!(find(&store), None);
        layout::write(&store, &layer, CREATED, &place(&store)).unwrap();
        assert!(find(&store).is_some());
    }
}
