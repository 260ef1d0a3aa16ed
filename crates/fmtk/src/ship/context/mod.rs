//! The image as a build context: a folder of which plain `docker build` or `podman build` makes the same image elsewhere.
//!
//! CANN is in it as the layers that its installer's run left, not as the `.run`: to run that again would take emulation,
//! and write other times, logs and compiled files on each machine. So the `.run` can be in no layer either.

mod dockerfile;
mod folder;
mod place;
mod template;

use std::path::Path;

use anyhow::Context;
use oci_image::{
    Descriptor, EntryKind, Layer, LayerOptions, MTIME, ParentDirs, Store, TreeEntry, TreeKind, UnpackError, is_within,
    read_layer, stream_archive, tree_layer,
};

use self::{
    dockerfile::{Dockerfile, Step},
    folder::Folder,
    place::Place,
};
use crate::{
    resolve::base::{self, Fallback},
    ship::made::Made,
    terminal::report::Problems,
};
use image_name::ImageRef;

pub use place::check;

const README: &str = include_str!("../../../../../docker/context.README.md.in");
/// What the builder need not be sent.
const IGNORED: &str = "README.md\nSHA256SUMS\nbase.tar\n";
/// The base, where it is in no registry.
const BASE: &str = "base.tar";

/// Writes the context, whole or not at all, to a new or empty folder or in place of an earlier one.
pub fn write(made: &Made<'_>, store: &Store, dir: &Path) -> anyhow::Result<()> {
    buildable(made)?;
    let place = Place::open(dir)?;
    let mut folder = Folder::new(place.folder());
    let steps = steps(made, store, &mut folder)?;
    let base = Base::of(made);
    if base.in_context {
        let image = base::as_image(store, made.opened)?;
        let source = Fallback { store, other: made.opened };
        folder.stream(BASE, |out| Ok(stream_archive(&image, &source, out, &base.name)?))?;
    }
    let removes = steps.iter().any(|step| matches!(step, Step::Remove { .. }));
    let text = Dockerfile { image: &made.name, base: &base.name, base_said: &base.said, steps, config: made.config };
    folder.text("Dockerfile", &text.text()?)?;
    folder.text(".dockerignore", IGNORED)?;
    folder.text("README.md", &readme(made, &base, removes))?;
    folder.finish()?;
    place.put()
}

/// What a Dockerfile can't say, or builders do otherwise.
fn buildable(made: &Made<'_>) -> anyhow::Result<()> {
    let config = made.opened.base.config.get("config");
    let triggers = config.and_then(|config| config.get("OnBuild")).and_then(|list| list.as_array());
    let volumes = config.and_then(|config| config.get("Volumes")).and_then(|volumes| volumes.as_object());
    let mut problems = Problems::default();
    let hint = || Some("write a `docker-archive:FILE` instead".to_owned());
    if triggers.is_some_and(|list| !list.is_empty()) {
        problems.push("the base has ONBUILD triggers, which a build upon it would run", hint());
    }
    let removed = made.built.layers.iter().flat_map(|layer| &layer.removes);
    for (path, volume) in
        removed.flat_map(|path| volumes.iter().flat_map(move |all| all.keys().map(move |v| (path, v))))
    {
        let volume_path = volume.trim_end_matches('/');
        if path != volume_path && is_within(path, volume_path) {
            let message =
                format!("`{path}` is in the base's volume `{volume}`, where docker's builder removes nothing");
            problems.push(message, hint());
        }
    }
    problems.into_result()
}

/// Copies the layers, and says what is to be done with each. Since `ADD` knows no whiteouts, what a layer takes away is
/// removed by `rm`; the folders that this changes get their times back by the layer's own entries of them.
fn steps(made: &Made<'_>, store: &Store, folder: &mut Folder) -> anyhow::Result<Vec<Step>> {
    let of_base = made.built.image.layers.len() - made.built.layers.len();
    let ours = made.built.image.layers.iter().skip(of_base);
    let source = Fallback { store, other: made.opened };
    let mut steps = Vec::new();
    for (number, (blob, built)) in (1..).zip(ours.zip(&made.built.layers)) {
        let name = format!("layers/{number:03}-{}.tar.gz", template::slug(&built.holds));
        if built.removes.is_empty() {
            folder.blob(&name, blob, &source)?;
            steps.push(Step::Unpack { said: built.holds.clone(), file: name });
            continue;
        }
        steps.push(Step::Remove { said: built.holds.clone(), paths: built.removes.clone() });
        if let Some(layer) = folders(store, blob)? {
            let media_type = blob.media_type.clone();
            let blob = Descriptor { media_type, digest: layer.digest, size: layer.size, urls: Vec::new() };
            folder.blob(&name, &blob, &source)?;
            steps.push(Step::Unpack { said: "the folders of what was removed, as they were".to_owned(), file: name });
        }
    }
    Ok(steps)
}

/// A layer of the folders in this one; none where there are none.
fn folders(store: &Store, blob: &Descriptor) -> anyhow::Result<Option<Layer>> {
    let (entries, _) = read_layer(store, blob, None, |stream| {
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
    fn of(made: &Made<'_>) -> Self {
        let digest = made.opened.base.manifest_digest;
        match made.reference {
            ImageRef::Registry(reference) => Self {
                // podman refuses a tag beside a digest.
                name: format!("{}/{}@{digest}", reference.host, reference.path),
                said: format!("{reference}, by the digest of its image for arm64."),
                in_context: false,
            },
            ImageRef::Layout { .. } | ImageRef::Archive(_) | ImageRef::Engine { .. } => {
                let repository = made.name.split(':').next().unwrap_or_default();
                Self {
                    name: format!("localhost/{repository}-base:{}", &digest.hex()[..12]),
                    said: format!("The base is in no registry but in this folder: `docker load --input {BASE}` first."),
                    in_context: true,
                }
            }
        }
    }
}

fn readme(made: &Made<'_>, base: &Base, removes: bool) -> String {
    let Base { name, in_context, .. } = base;
    let (step, row) = match in_context {
        true => (
            format!(
                "The base is in no registry, so it is in this folder; load it first, under the name `{name}`:\n\n```sh\n\
                 docker load --input {BASE}             # or: podman load --input {BASE}\n```"
            ),
            format!("| `{BASE}` | the base; it is not sent to the builder |\n"),
        ),
        false => (
            format!(
                "The base, `{name}`, is pulled by the builder; log in to its registry first if that wants it.\n\
                 `--build-arg BASE=…` takes the same image from another place."
            ),
            String::new(),
        ),
    };
    let emulation = match removes {
        true => {
            "One step removes files of the base and so runs `rm` for arm64: a machine that is not arm64 needs emulation \
             (`qemu-user-static`, with binfmt registered)."
        }
        false => "Nothing of the image is run: a machine that is not arm64 needs no emulation.",
    };
    let values = [
        ("IMAGE", made.name.clone()),
        ("DIGEST", made.built.image.digest.to_string()),
        ("BASE_STEP", step),
        ("BASE_ROW", row),
        ("EMULATION", emulation.to_owned()),
    ];
    template::filled(README, &values)
}

#[cfg(test)]
mod tests;
