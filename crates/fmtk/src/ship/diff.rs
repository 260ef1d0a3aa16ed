//! `diff`: what is different in two images, and what a push of the second would send to a registry that has the first.
//!
//! Only layers that one of them has alone are read. They tell which packages came and went: by the folders of metadata
//! (`numpy-1.21.2.dist-info`) in them, and by those that they remove from layers below.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use image_name::Digest;
use oci_image::{BlobSource, Descriptor, EntryKind, LayerStream, Store, UnpackError, read_layer};
use serde::Serialize;
use serde_json::json;

use crate::{
    options::{Format, RegistryArgs},
    record::BuildRecord,
    resolve::place,
    ship::subject::Subject,
    terminal::{
        progress::{Progress, bytes, count},
        report::{self, WithHint},
    },
};

/// Flags of `diff`.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// How the registry is reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Recipe whose last image is compared [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// The first image: a tag or timestamp in the store, any reference of a base, a layout's folder, a docker archive
    #[arg(value_name = "IMAGE")]
    pub from: String,
    /// The second image [default: the last one of the recipe]
    #[arg(value_name = "IMAGE")]
    pub to: Option<String>,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A layer that only one of the images has.
#[derive(Debug, Serialize)]
struct OwnLayer {
    digest: Digest,
    /// Compressed bytes.
    size: u64,
    files: u64,
    /// Bytes of the files.
    unpacked: u64,
    content: String,
}

/// Packages by folder and name, with their versions.
type Packages = BTreeMap<(String, String), String>;

/// What the layers that one image has alone hold.
#[derive(Default)]
struct Own {
    layers: Vec<OwnLayer>,
    packages: Packages,
    /// Of layers below.
    removed: Packages,
}

/// What one image has of a name, and the other.
#[derive(Debug, Serialize)]
struct Change {
    name: String,
    from: Option<String>,
    to: Option<String>,
}

/// Runs the command.
pub fn run(args: &DiffArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let recipe = place::recipe(args.recipe.as_deref())?;
    let find = |name: &str| {
        let is_package = [".whl", ".run", ".deb"].iter().any(|end| name.ends_with(end));
        let found = match Path::new(name).is_file() && is_package {
            true => Err(anyhow!("`{name}` is a package, not an image")).input(),
            false => Subject::find(name, &args.registry, &recipe, store, progress),
        };
        match Path::new(name).is_file() {
            true => found.hint("`diff` takes images; `cargo xtask inspect FILE` shows a wheel or an installer"),
            false => found,
        }
    };
    let to = match &args.to {
        Some(name) => find(name)?,
        None => Subject::built(BuildRecord::latest(store, &place::recipe_file(args.recipe.as_deref())?)?, store)?,
    };
    let from = find(&args.from)?;
    let own = |one: &Subject, other: &Subject| {
        let shared: BTreeSet<&Digest> = other.config().diff_ids().iter().collect();
        one.with_blobs(&args.registry, &recipe, store, progress, |blobs| own(one, &shared, blobs, progress))
    };
    let (of_from, of_to) = (own(&from, &to)?, own(&to, &from)?);
    let packages = packages(&of_from, &of_to);
    let env = changes(from.config().env(), to.config().env());
    let labels = changes(from.config().labels(), to.config().labels());
    let settings = |it: &Subject| {
        let config = it.config();
        [("user", config.user()), ("workdir", config.working_dir())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let settings = changes(settings(&from), settings(&to));
    let blobs = |it: &Subject| -> BTreeMap<Digest, u64> {
        let layers = it.layers().into_iter().map(|(layer, _)| (layer.digest, layer.size));
        layers.chain([it.config_blob()]).collect()
    };
    let has = blobs(&from);
    let sent: Vec<u64> =
        blobs(&to).into_iter().filter(|(digest, _)| !has.contains_key(digest)).map(|(_, size)| size).collect();
    let size: u64 = sent.iter().sum();
    let text = || {
        let mut text = String::new();
        let mut row = |label: &str, value: String| text += &format!("{label:<9}{value}\n");
        for (label, one) in [("from", &from), ("to", &to)] {
            row(label, format!("{} {}", one.name(), one.digest()));
        }
        for Change { name, from, to } in &packages {
            row(
                "package",
                match (from, to) {
                    (Some(from), Some(to)) => format!("~ {name} {from} -> {to}"),
                    (Some(from), None) => format!("- {name} {from}"),
                    (None, to) => format!("+ {name} {}", to.as_deref().unwrap_or_default()),
                },
            );
        }
        for (sign, layer) in signed("-", &of_from.layers).chain(signed("+", &of_to.layers)) {
            let OwnLayer { digest, size, files, unpacked, content } = layer;
            let files = count(*files as usize, "file");
            row(
                "layer",
                format!("{sign} {} {:>9}  {content} ({files}, {})", digest.short(), bytes(*size), bytes(*unpacked)),
            );
        }
        for (label, changes) in [("", &settings), ("env", &env), ("label", &labels)] {
            for Change { name, from, to } in changes {
                let (label, start) =
                    if label.is_empty() { (name.as_str(), String::new()) } else { (label, format!("{name}=")) };
                from.iter().for_each(|value| row(label, format!("- {start}{value}")));
                to.iter().for_each(|value| row(label, format!("+ {start}{value}")));
            }
        }
        row("push", format!("{}, {}, that the first lacks", count(sent.len(), "blob"), bytes(size)));
        report::printable(&text)
    };
    let shown = |it: &Subject| json!({ "image": it.name(), "digest": it.digest() });
    let document = json!({
        "from": shown(&from),
        "to": shown(&to),
        "packages": packages,
        "layers": { "removed": of_from.layers, "added": of_to.layers },
        "settings": settings,
        "env": env,
        "labels": labels,
        "push": { "blobs": sent.len(), "size": size },
    });
    args.format.print(text, &document)
}

fn signed<'a>(sign: &'a str, layers: &'a [OwnLayer]) -> impl Iterator<Item = (&'a str, &'a OwnLayer)> {
    layers.iter().map(move |layer| (sign, layer))
}

/// Reads the layers of the image whose archives are not among `shared`.
fn own(
    image: &Subject,
    shared: &BTreeSet<&Digest>,
    blobs: &dyn BlobSource,
    progress: &Progress,
) -> anyhow::Result<Own> {
    let mut own = Own::default();
    let layers = image.layers().into_iter().zip(image.config().diff_ids());
    for ((blob, content), diff_id) in layers.filter(|(_, diff_id)| !shared.contains(diff_id)) {
        let step = progress.step(format!("reading {content}"));
        let (files, unpacked) = read(blob, diff_id, blobs, &mut own)?;
        drop(step);
        own.layers.push(OwnLayer { digest: blob.digest, size: blob.size, files, unpacked, content });
    }
    Ok(own)
}

/// How many files a layer has, and their bytes.
fn read(blob: &Descriptor, diff_id: &Digest, blobs: &dyn BlobSource, own: &mut Own) -> anyhow::Result<(u64, u64)> {
    let (mut files, mut unpacked) = (0, 0_u64);
    let (mut packages, mut removed) = (Packages::new(), Packages::new());
    let entries = |stream: &mut LayerStream| -> Result<(), UnpackError> {
        let mut entries = stream.entries();
        while let Some(entry) =
            entries.next_entry().map_err(|source| UnpackError::Tar { digest: blob.digest, source })?
        {
            if let Some((place, version, is_removed)) = package(&entry.path) {
                let packages = if is_removed { &mut removed } else { &mut packages };
                packages.insert(place, version);
            }
            if !entry.path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh."))
                && let EntryKind::File(size) = entry.kind
            {
                files += 1;
                unpacked = unpacked.saturating_add(size);
            }
        }
        Ok(())
    };
    read_layer(blobs, blob, Some(*diff_id), entries)?;
    // What a layer removes is of those below it.
    for (place, version) in removed {
        if own.packages.remove(&place).is_none() {
            own.removed.insert(place, version);
        }
    }
    own.packages.extend(packages);
    Ok((files, unpacked))
}

/// The package whose folder of metadata this path leads to or through: its folder and name, its version, and whether it
/// is removed.
fn package(path: &str) -> Option<((String, String), String, bool)> {
    let mut end = 0;
    // A file of it that is removed says nothing of the rest.
    let of_whiteout =
        |end: usize| path.get(end..).is_some_and(|rest| rest.starts_with(".wh.") || rest.contains("/.wh."));
    for part in path.split('/') {
        let start = end;
        end += part.len() + 1;
        let (is_removed, name) = part.strip_prefix(".wh.").map_or((false, part), |name| (true, name));
        let Some(name) = name.strip_suffix(".dist-info").or_else(|| name.strip_suffix(".egg-info")) else { continue };
        let (name, version) = name.split_once('-').filter(|_| !of_whiteout(end))?;
        // `name-1.0-py3.9.egg-info`
        let version = version.split('-').next().unwrap_or(version).to_owned();
        let folder = path.get(..start).unwrap_or_default().trim_end_matches('/').to_owned();
        return Some(((folder, wheel_layer::normalize(name)), version, is_removed));
    }
    None
}

/// Packages that are not the same in both; what one image removed or replaced of layers that both have, the other has.
fn packages(from: &Own, to: &Own) -> Vec<Change> {
    let all = [&from.packages, &from.removed, &to.packages, &to.removed];
    let places: BTreeSet<&(String, String)> = all.into_iter().flat_map(BTreeMap::keys).collect();
    let version = |own: &Own, other: &Own, place: &(String, String)| {
        let kept = || other.removed.get(place).filter(|_| !own.removed.contains_key(place));
        own.packages.get(place).or_else(kept).cloned()
    };
    let change = |place: &(String, String)| {
        let (name, before, after) = (place.1.clone(), version(from, to, place), version(to, from, place));
        (before != after).then_some(Change { name, from: before, to: after })
    };
    let mut changes: Vec<Change> = places.into_iter().filter_map(change).collect();
    changes.sort_by(|one, other| one.name.cmp(&other.name));
    changes
}

/// Names whose values are not the same in both.
fn changes(
    from: impl IntoIterator<Item = (String, String)>,
    to: impl IntoIterator<Item = (String, String)>,
) -> Vec<Change> {
    let [mut from, mut to] = [from.into_iter().collect(), to.into_iter().collect::<BTreeMap<_, _>>()];
    let names: BTreeSet<String> = from.keys().chain(to.keys()).cloned().collect();
    let change = |name: String| Change { from: from.remove(&name), to: to.remove(&name), name };
    names.into_iter().map(change).filter(|change| change.from != change.to).collect()
}
