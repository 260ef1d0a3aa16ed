//! The image as a build context: a folder from which plain `docker build` or `podman build` makes the same image elsewhere.
//!
//! CANN is in it as the layers that its installer's run left, not as the `.run`: to run that again would take emulation,
//! and write other times, logs and compiled files on each machine. So the `.run` can be in no layer either.

mod dockerfile;
mod folder;

use std::path::Path;

use anyhow::Context;
use image_name::ImageRef;
use oci_image::{
    BlobSource, Descriptor, EntryKind, Layer, LayerOptions, MTIME, ParentDirs, Store, TreeEntry, TreeKind, UnpackError,
    is_within, read_layer, stream_archive, tree_layer,
};

use self::{dockerfile::dockerfile, folder::ContextDir};
use crate::{
    resolve::base::{self, Fallback},
    ship::built_image::BuiltImage,
    terminal::report::Problems,
};

pub use folder::check;

/// What the builder need not be sent.
const IGNORED: &str = "README.md\nSHA256SUMS\nbase.tar\n";
/// The base, where it is in no registry.
const BASE: &str = "base.tar";

/// Writes the context, whole or not at all, to a new or empty folder or in place of an earlier one.
pub fn write(image: &BuiltImage<'_>, store: &Store, dir: &Path) -> anyhow::Result<()> {
    buildable(image)?;
    let mut folder = ContextDir::new(dir)?;
    let steps = steps(image, store, &mut folder)?;
    let base = Base::of(image);
    if base.in_context {
        let as_image = base::as_image(store, image.opened, &[])?;
        let source = Fallback { store, other: image.elsewhere };
        folder.stream(BASE, |out| Ok(stream_archive(&as_image, &source, out, &base.name)?))?;
    }
    let name = image.record.name();
    folder.text("Dockerfile", &dockerfile(&name, &base.name, &base.said, &steps, image.config)?)?;
    folder.text(".dockerignore", IGNORED)?;
    folder.text("README.md", &readme(image, &base))?;
    folder.finish()
}

/// What a Dockerfile can't say, or builders do otherwise.
fn buildable(image: &BuiltImage<'_>) -> anyhow::Result<()> {
    let config = image.opened.base.config.get("config");
    let triggers = config.and_then(|config| config.get("OnBuild")).and_then(|list| list.as_array());
    let volumes = config.and_then(|config| config.get("Volumes")).and_then(|volumes| volumes.as_object());
    let mut problems = Problems::default();
    let hint = || Some("write a `docker-archive:FILE` instead".to_owned());
    if triggers.is_some_and(|list| !list.is_empty()) {
        problems.push("the base has ONBUILD triggers, which a build upon it would run", hint());
    }
    let removed = || image.built.layers.iter().flat_map(|layer| &layer.removes);
    for volume in volumes.into_iter().flat_map(|volumes| volumes.keys()) {
        let folder = volume.trim_end_matches('/');
        for path in removed().filter(|path| *path != folder && is_within(path, folder)) {
            let message =
                format!("`{path}` is in the base's volume `{volume}`, where docker's builder removes nothing");
            problems.push(message, hint());
        }
    }
    problems.into_result()
}

/// Copies the layers, and gives the lines that do with each what is to be done. Since `ADD` knows no whiteouts, what a
/// layer removes is removed by `rm`; the folders that this changes get their times back by the layer's own entries of them.
fn steps(image: &BuiltImage<'_>, store: &Store, folder: &mut ContextDir) -> anyhow::Result<String> {
    let of_base = image.built.image.layers.len() - image.built.layers.len();
    let ours = image.built.image.layers.iter().skip(of_base);
    let source = Fallback { store, other: image.elsewhere };
    let mut steps = String::new();
    for (number, (blob, built)) in (1..).zip(ours.zip(&image.built.layers)) {
        let name = format!("layers/{number:03}-{}.tar.gz", slug(&built.holds));
        if built.removes.is_empty() {
            folder.blob(&name, blob, &source)?;
            steps += &dockerfile::unpack(&built.holds, &name);
            continue;
        }
        steps += &dockerfile::remove(&built.holds, &built.removes);
        if let Some(layer) = folders(store, &source, blob)? {
            let media_type = blob.media_type.clone();
            let blob = Descriptor { media_type, digest: layer.digest, size: layer.size, urls: Vec::new() };
            folder.blob(&name, &blob, &source)?;
            steps += &dockerfile::unpack("the folders of what was removed, as they were", &name);
        }
    }
    Ok(steps)
}

/// Letters, digits, dots and hyphens of a text, at most 60: a file name that no pattern of a builder reads otherwise.
fn slug(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_');
    let words: Vec<&str> = text.split(|letter| !plain(letter)).filter(|word| !word.is_empty()).collect();
    let slug: String = words.join("-").chars().take(60).collect();
    slug.trim_end_matches(['-', '.']).to_owned()
}

/// A layer of the folders in this one; none where there are none.
fn folders(store: &Store, source: &dyn BlobSource, blob: &Descriptor) -> anyhow::Result<Option<Layer>> {
    let (entries, _) = read_layer(source, blob, None, |stream| {
        let (mut tar, mut entries) = (stream.entries(), Vec::new());
        while let Some(entry) = tar.next_entry().map_err(|source| UnpackError::Tar { digest: blob.digest, source })? {
            if entry.kind == EntryKind::Dir {
                entries.push(TreeEntry { path: format!("/{}", entry.path), attr: entry.attr, kind: TreeKind::Dir });
            }
        }
        Ok::<_, UnpackError>(entries)
    })
    .context("failed to read a layer of whiteouts")?;
    if entries.is_empty() {
        return Ok(None);
    }
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &ParentDirs::new() };
    Ok(Some(tree_layer(store, entries, options)?))
}

/// How the Dockerfile names the base, and where it is.
struct Base {
    name: String,
    said: String,
    in_context: bool,
}

impl Base {
    fn of(image: &BuiltImage<'_>) -> Self {
        let digest = image.opened.base.manifest_digest;
        match image.reference {
            ImageRef::Registry(reference) => Self {
                // podman refuses a tag beside a digest.
                name: format!("{}/{}@{digest}", reference.host, reference.path),
                said: format!("{reference}, by the digest of its image for arm64."),
                in_context: false,
            },
            ImageRef::Layout { .. } | ImageRef::Archive(_) | ImageRef::Engine { .. } => Self {
                name: format!("localhost/{}-base:{}", image.record.repository, digest.short()),
                said: format!("The base is in no registry but in this folder: `docker load --input {BASE}` first."),
                in_context: true,
            },
        }
    }
}

fn readme(image: &BuiltImage<'_>, base: &Base) -> String {
    let name = &base.name;
    let (step, row) = match base.in_context {
        true => (
            format!(
                "The base is in no registry, so it is in this folder; load it first, under the name `{name}`:\n\n```sh\n\
                 docker load --input {BASE}             # or: podman load --input {BASE}\n```"
            ),
            format!("| `{BASE}` | the base; it is not sent to the builder |\n"),
        ),
        false => (
            format!(
                "The base, `{name}`, is pulled by the builder; log in to its registry first if it asks for that.\n\
                 `--build-arg BASE=…` takes the same image from another place."
            ),
            String::new(),
        ),
    };
    let emulation = match image.built.layers.iter().any(|layer| !layer.removes.is_empty()) {
        true => {
            "One step removes files of the base and so runs `rm` for arm64: a machine that is not arm64 needs emulation \
             (`qemu-user-static`, with binfmt registered)."
        }
        false => "Nothing of the image is run: a machine that is not arm64 needs no emulation.",
    };
    format!(
        include_str!("../../../../../docker/context.README.md.in"),
        IMAGE = image.record.name(),
        DIGEST = image.record.digest,
        BASE_STEP = step,
        BASE_ROW = row,
        EMULATION = emulation,
    )
}

#[cfg(test)]
mod tests;
