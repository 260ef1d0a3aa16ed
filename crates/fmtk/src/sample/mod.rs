//! The sample's base: a small arm64 Debian with a Python that anyone may have, in the shape of the platform's own base.
//!
//! It is made in this process from Debian's packages, pinned by their digests, so that every machine makes the same.
//! Once made, it stays in the store.

mod packages;
mod rootfs;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use oci_image::{
    Base, ConfigEdits, Descriptor, Digest, Format, LAYER_FORMAT, Layer, NewLayer, Platform, Store, assemble,
    write_layout,
};
use registry::RegistryOptions;

pub use self::packages::PackageSet;
use crate::{
    debian::mirror,
    terminal::progress::{self, Progress},
};
use image_name::ImageRef;

/// Tag of the base inside its layout.
pub const TAG: &str = "sample";

/// Changes whenever the same packages would give another base.
const VERSION: u32 = 3;

/// Date of the base: its files are not younger.
const CREATED: &str = "1980-01-01T00:00:00Z";

/// What the sample can be put upon.
#[derive(Debug)]
pub struct SampleBase {
    /// Major and minor number of its Python.
    pub python: (u32, u32),
    /// Its glibc.
    pub glibc: &'static str,
    /// As `versions.os` has it.
    pub os: &'static str,
    /// The list of its packages; `cargo xtask sample-packages` writes it.
    pub pinned: &'static str,
}

/// The one of the manual's stack.
pub const BULLSEYE: &SampleBase =
    &SampleBase { python: (3, 9), glibc: "2.31", os: "debian_11", pinned: include_str!("bullseye.toml") };

/// The one of the stacks of Python 3.11.
pub const BOOKWORM: &SampleBase =
    &SampleBase { python: (3, 11), glibc: "2.36", os: "debian_12", pinned: include_str!("bookworm.toml") };

impl SampleBase {
    /// All of them.
    pub const ALL: [&'static Self; 2] = [BULLSEYE, BOOKWORM];

    /// The one with this Python.
    pub fn of(python: (u32, u32)) -> anyhow::Result<&'static Self> {
        let found = Self::ALL.into_iter().find(|base| base.python == python);
        found.ok_or_else(|| anyhow!("there is no sample with Python {}.{}", python.0, python.1))
    }

    /// What the recipe must say for it, as `KEY=VALUE`. Debian's Python has pip install below `/usr/local`, into
    /// `dist-packages`, with `/usr/bin/python3` as the scripts' interpreter (seen by running pip 26.0.1 there).
    pub fn recipe(&self) -> [String; 6] {
        let Self { python: (major, minor), glibc, os, .. } = self;
        [
            format!("python.site_packages=/usr/local/lib/python{major}.{minor}/dist-packages"),
            "python.interpreter=/usr/bin/python3".to_owned(),
            "python.prefix=/usr/local".to_owned(),
            format!("python.glibc={glibc}"),
            format!("versions.python={major}.{minor}"),
            format!("versions.os={os}"),
        ]
    }

    /// Its packages.
    pub fn packages(&self) -> anyhow::Result<PackageSet> {
        PackageSet::parse(self.pinned)
    }

    /// As `--base` would name it; it need not be there yet.
    pub fn reference(&self, store: &Store) -> anyhow::Result<ImageRef> {
        Ok(layout(store, &self.packages()?))
    }
}

fn layout(store: &Store, set: &PackageSet) -> ImageRef {
    ImageRef::Layout { dir: folder(store, set), tag: Some(TAG.to_owned()) }
}

/// The sample's base, made unless the store has it.
pub fn ensure_base(store: &Store, base: &SampleBase, progress: &Progress) -> anyhow::Result<ImageRef> {
    ensure_base_of(store, base.packages()?, progress)
}

/// A base of these packages, made in the same way.
pub fn ensure_base_of(store: &Store, set: PackageSet, progress: &Progress) -> anyhow::Result<ImageRef> {
    // Two samples at once: the second waits and finds the base of the first.
    let _lock = store.lock("sample-base")?;
    if !is_whole(&folder(store, &set)) {
        let (count, size) = (progress::count(set.packages.len(), "package"), progress::bytes(set.size()));
        progress.line(&format!("making the sample's base from {count} of Debian {} for arm64 ({size})", set.suite));
        let packages: Vec<_> = set.packages.iter().collect();
        mirror::fetch(store, &packages, &mirror::servers()?, &mirror::another_of_sample(), progress)?;
        let _step = progress.step("unpacking Debian's packages");
        make(store, &set).context("failed to make the sample's base")?;
    }
    Ok(layout(store, &set))
}

/// Whether the store has the base, and all of it: one that lost a part is made again.
pub fn is_made(store: &Store, base: &SampleBase) -> anyhow::Result<bool> {
    Ok(is_whole(&folder(store, &base.packages()?)))
}

fn is_whole(dir: &Path) -> bool {
    let Ok((base, _)) = oci_image::open_layout(dir, Some(TAG), &Platform::linux_arm64()) else { return false };
    let blob = |layer: &Descriptor| dir.join("blobs/sha256").join(layer.digest.hex());
    base.layers.iter().all(|layer| fs::metadata(blob(layer)).is_ok_and(|meta| meta.len() == layer.size))
}

/// What a base still has to be downloaded: how many bytes, and from where. The mirror is asked whether it is there.
pub fn probe(
    store: &Store,
    base: &SampleBase,
    options: impl FnOnce(RegistryOptions) -> RegistryOptions,
) -> anyhow::Result<(u64, String)> {
    let mut set = base.packages()?;
    set.packages.retain(|package| !store.has(&package.digest, package.size));
    let [mirror, _] = mirror::servers_with(options(mirror::options()))?;
    if let Some(package) = set.packages.first() {
        mirror::probe(&mirror, package)?;
    }
    Ok((set.size(), mirror.to_string()))
}

/// The folder of the layout; another set of packages gives another folder.
fn folder(store: &Store, set: &PackageSet) -> PathBuf {
    let mut inputs = format!("{VERSION} {LAYER_FORMAT}");
    set.packages.iter().for_each(|package| inputs.push_str(&format!(" {}", package.digest)));
    let key = Digest::of(inputs.as_bytes()).hex();
    store.root().join("samples").join(format!("debian-{}", &key[..16]))
}

/// Unpacks the packages, which the store has, into an image of one layer.
fn make(store: &Store, set: &PackageSet) -> anyhow::Result<()> {
    // The layout has the only copy of the layer.
    let scratch = store.scratch()?;
    let layers = Store::open(scratch.path())?;
    let layer = rootfs::layer(set, store, &layers)?;
    write(&layer, &format!("packages of Debian {}", set.suite), &layers, &folder(store, set))
}

/// Writes an image of one layer, which `layers` has, into the layout at `dir`.
fn write(layer: &Layer, holds: &str, layers: &Store, dir: &Path) -> anyhow::Result<()> {
    let config = br#"{"architecture":"arm64","os":"linux","config":{"Cmd":["/bin/bash"]},"rootfs":{"type":"layers"}}"#;
    let nothing = Base::scratch(config)?;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let edits = ConfigEdits {
        env: [("PATH", path), ("LANG", "C.UTF-8")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        created: CREATED.to_owned(),
        created_by: "fmtk".to_owned(),
        ..ConfigEdits::default()
    };
    let layer = NewLayer { layer: layer.clone(), holds: holds.to_owned() };
    let image = assemble(&nothing, &[layer], &edits, Format::Oci)?;
    write_layout(&image, layers, dir, TAG)?;
    Ok(())
}

#[cfg(test)]
mod tests;
