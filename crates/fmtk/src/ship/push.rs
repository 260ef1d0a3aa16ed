//! `push`: a built image to a registry, under the organisation, and its `user_image_url` to stdout.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context, anyhow};
use image_name::{Host, ImageRef, OrgName, RepoPath, Timestamp, user_image_url};
use oci_image::{Descriptor, Digest, Image, RecompressError, Store, zstd_layer};
use registry::{Arrival, Push, PushBlob, PushEvent, PushReport};
use serde_json::json;

use crate::{
    host::app_config::{self, Planned},
    options::{Format, LayerCompression, MediaTypes, flag},
    recipe::Recipe,
    record::{self, BuildRecord, RecordedLayer},
    resolve::{base::Fallback, connect, place},
    ship::{intact, lazy::Elsewhere, pushed::PushRecord, target::TargetArgs},
    terminal::{
        progress::{self, Progress, Step},
        report::{self, WithHint},
    },
};

/// Flags of `push`.
#[derive(Debug, clap::Args)]
pub struct PushArgs {
    /// A tag or timestamp in the store [default: the last image of the recipe]
    pub image: Option<String>,
    /// Where the image goes to.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Push the image with this timestamp, if none is named
    #[arg(long, value_name = "TS", env = "timestamp")]
    pub timestamp: Option<Timestamp>,
    /// Media types of the manifest [default: those that the image was built with]
    #[arg(long, value_enum)]
    pub media_types: Option<MediaTypes>,
    /// Compression of the layers that were added to the base
    #[arg(long, value_enum, default_value_t)]
    pub compression: LayerCompression,
    /// Move the tag even if it exists with another digest
    #[arg(long)]
    pub overwrite: bool,
    /// Set `scenario.modelarts.user_image_url` in this YAML file after the push; nothing else in it changes
    #[arg(long, value_name = "FILE")]
    pub app_config: Option<PathBuf>,
    /// Print what would be pushed and stop, without asking the registry
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command.
pub fn run(args: &PushArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let recipe = args.target.recipe()?;
    let (host, org) = args.target.names(&recipe, "no organisation to push to")?;
    let record = match (&args.image, &args.timestamp) {
        (Some(name), timestamp) => of_name(name, timestamp.as_ref(), org, store)?,
        (None, Some(timestamp)) => BuildRecord::with_timestamp(store, timestamp)?,
        (None, None) => last_of_recipe(args, store, progress)?,
    };
    note_recipe(&record, &args.target, progress)?;
    {
        let _step = progress.step("checking the image in the store");
        intact::check(&record, store)?;
    }
    let path = RepoPath::of(org, &record.repository);
    let reference = format!("{host}/{path}:{}", record.tag);
    let url = user_image_url(org, &record.repository, &record.tag);
    let reached = args.target.registry_args.only_for(host);
    let elsewhere = Elsewhere::new(&record, &reached, &recipe.registry, store, progress);
    // Layers of the base that were recompressed are in the store.
    let layers = Fallback { store, other: &elsewhere };
    let image = shipped(&record, args, &layers, progress)?;
    let target = Target { host, org, path, record: &record, image, reference, url };
    let url = &target.url;
    // What can't be written later is better known before hours of upload.
    let app_config = args.app_config.as_deref().map(|file| app_config::plan(file, url)).transpose()?;
    if args.dry_run {
        return say(&target, None, app_config.as_ref(), args.format);
    }
    progress.line(&format!("pushing {} to {}", target.reference, host));
    let report = push(&target, args, &recipe, &layers, progress)?;
    PushRecord::save(host, &target.path, &record, &target.image.digest, store)?;
    // Planned anew: somebody may have edited the file during the upload.
    let app_config = match args.app_config.as_deref() {
        Some(file) => Some(set_url(file, url, progress)?),
        None => None,
    };
    say(&target, Some(&report), app_config.as_ref(), args.format)?;
    if app_config.is_none() {
        progress.line(
            "next: put `user_image_url` into the job's app_config.yaml, which `--app-config FILE` does; \
             or `cargo xtask job -- COMMAND` prints what starts a job on a cluster",
        );
    }
    Ok(())
}

/// The image of this name. What else says which image and where to may not contradict it.
fn of_name(name: &str, timestamp: Option<&Timestamp>, org: &OrgName, store: &Store) -> anyhow::Result<BuildRecord> {
    let record = BuildRecord::existing(store, name)?;
    let own = record.timestamp;
    if let Some(timestamp) = timestamp.filter(|timestamp| **timestamp != own) {
        return Err(anyhow!("`{name}` has the timestamp {own}, and `--timestamp` or `$timestamp` says {timestamp}"))
            .hint("leave out one of the two")
            .input();
    }
    if let Some((named, _)) = name.split_once('/').filter(|(named, _)| *named != org.as_str()) {
        return Err(anyhow!("`{name}` names the organisation `{named}`, and it would be pushed to `{org}`"))
            .hint(format!("give `--org {named}`, or name the image without `{named}/`"))
            .input();
    }
    Ok(record)
}

/// Says whose registry and organisation are taken for an image of another recipe.
fn note_recipe(record: &BuildRecord, target: &TargetArgs, progress: &Progress) -> anyhow::Result<()> {
    let read = record::file_key(&place::recipe_file(target.recipe.as_deref())?);
    let taken = match (&target.registry, &target.org) {
        (Some(_), Some(_)) => return Ok(()),
        (None, None) => "registry and organisation are those",
        (None, Some(_)) => "the registry is that",
        (Some(_), None) => "the organisation is that",
    };
    if !record.recipe.is_empty() && record.recipe != read {
        progress.line(&format!(
            "note: this image was built from `{}`; {taken} of `{read}`; `--recipe` names another",
            record.recipe
        ));
    }
    Ok(())
}

/// The last image of the recipe. One that arguments made other than the recipe says may have been a trial, so it has to
/// be named.
fn last_of_recipe(args: &PushArgs, store: &Store, progress: &Progress) -> anyhow::Result<BuildRecord> {
    let recipe = place::recipe_file(args.target.recipe.as_deref())?;
    let record = BuildRecord::latest(store, &recipe)?;
    let of_stack: String = args.target.stack.iter().map(|stack| flag("--stack", stack)).collect();
    if record.arguments != of_stack.trim_start() {
        let with = match record.arguments.as_str() {
            "" => "without arguments".to_owned(),
            arguments => format!("with `{arguments}`"),
        };
        let message = format!("the last image of `{}` was built {with}", recipe.display());
        let (newest, timestamp) = (record::newest(&record::all(store)?), record.timestamp);
        return Err(anyhow!(message))
            .hint(format!("if that is the one to push, name it, as in `cargo xtask push {timestamp}`, with the same flags; {newest}"))
            .input();
    }
    if record::newer_unfinished(store, &recipe)? {
        let time = record.timestamp;
        progress.warning(&format!("this image was built at {time}; a later build failed or is still running"));
    }
    Ok(record)
}

fn set_url(file: &Path, url: &str, progress: &Progress) -> anyhow::Result<Planned> {
    let set = || {
        let planned = app_config::plan(file, url)?;
        planned.write().map(|()| planned)
    };
    let planned = set()
        .with_context(|| format!("the image was pushed, but `{}` was not changed", file.display()))
        .hint(format!("write it by hand: `user_image_url: {url}`"))?;
    let said = if planned.changes() { "set `user_image_url` in" } else { "unchanged:" };
    progress.line(&format!("{said} `{}`", file.display()));
    Ok(planned)
}

/// The image as the registry gets it. Layers of the base stay the blobs that they are: they are mounted, or other images have
/// them.
fn shipped(record: &BuildRecord, args: &PushArgs, layers: &Fallback<'_>, progress: &Progress) -> anyhow::Result<Image> {
    let store = layers.store;
    let built = record.image(store)?;
    let format = args.media_types.map_or(built.format, MediaTypes::format);
    // As it was built, byte for byte, where nothing else is asked for.
    let image = if format == built.format { built } else { built.in_format(format) };
    if args.compression == LayerCompression::Gzip {
        return Ok(image);
    }
    if format != oci_image::Format::Oci {
        return Err(anyhow!("Docker's manifests have no media type for layers in zstd"))
            .hint("add `--media-types oci`, if the registry takes OCI manifests")
            .input();
    }
    image.with_blobs(|number, blob, diff_id| {
        let layer = &record.layers[number];
        if layer.of_base {
            return Ok(blob.clone());
        }
        let _step = progress.step(format!("compressing {} with zstd", layer.content));
        let explained = |error: RecompressError| record.explained_of(layer.blob.digest, error.into(), store);
        zstd_layer(store, blob, diff_id, layers).map_err(explained)
    })
}

struct Target<'a> {
    host: &'a Host,
    org: &'a OrgName,
    path: RepoPath,
    record: &'a BuildRecord,
    /// The record's image as it is sent.
    image: Image,
    reference: String,
    url: String,
}

fn push(
    target: &Target<'_>,
    args: &PushArgs,
    recipe: &Recipe,
    layers: &Fallback<'_>,
    progress: &Progress,
) -> anyhow::Result<PushReport> {
    let (Target { record, image, .. }, store) = (target, layers.store);
    let registry = connect::registry(target.host, &args.target.registry_args, &recipe.registry);
    // A base that lies in this very registry is mounted from its repository.
    let mount_from = match &record.base.reference {
        ImageRef::Registry(reference) if reference.host == *target.host => Some(reference.path.clone()),
        _ => None,
    };
    let layer = |(layer, blob): (&RecordedLayer, &Descriptor)| PushBlob {
        descriptor: blob.clone(),
        name: layer.content.clone(),
        mount_from: match &layer.of_cache {
            Some(ImageRef::Registry(reference)) if reference.host == *target.host => Some(reference.path.clone()),
            _ => mount_from.clone().filter(|_| layer.of_base),
        },
        source: layers,
    };
    // Whoever can read it could write to uploads of ours: it is no record, of which the others are readable to all.
    let unfinished = store.root().join("uploads");
    let push = Push {
        repository: &target.path,
        tag: &record.tag,
        manifest: &image.manifest,
        media_type: image.format.manifest(),
        config: PushBlob {
            descriptor: image.config_descriptor.clone(),
            name: "config".to_owned(),
            mount_from: None,
            source: store,
        },
        layers: record.layers.iter().zip(&image.layers).map(layer).collect(),
        overwrite: args.overwrite,
        parallel: 0,
        unfinished: Some(&unfinished),
    };
    let started = Instant::now();
    let shown = Shown::new(push.layers.iter().chain([&push.config]), progress);
    let pushed = registry.push_image(&push, &|event| shown.show(event));
    drop(shown);
    connect::warn_of(&registry, progress);
    let report = pushed.map_err(|error| match error.cause() {
        registry::Cause::Damaged { .. } | registry::Cause::Source(..) => record.explained(error.into(), store),
        _ => hinted(error, target, store),
    })?;
    let counts =
        format!("{} sent, {} mounted, {} already there", report.sent_blobs, report.mounted_blobs, report.present_blobs);
    progress.line(&match report.unchanged {
        true => format!("{} already exists with this digest; nothing was sent", target.reference),
        false => format!(
            "pushed {} ({counts}; {}) in {}",
            report.digest,
            progress::bytes(report.sent.bodies),
            progress::seconds(started.elapsed())
        ),
    });
    if image.digest != record.digest {
        progress.line(&format!(
            "its manifest was built as {}; the one that was pushed is of the same image and has another digest",
            record.digest
        ));
    }
    Ok(report)
}

fn hinted(error: registry::Error, target: &Target<'_>, store: &Store) -> anyhow::Error {
    let is_of_image = |digest: &Digest| {
        let formats = [oci_image::Format::DockerV2, oci_image::Format::Oci];
        target.record.image(store).is_ok_and(|built| formats.map(|it| built.in_format(it).digest).contains(digest))
    };
    let of_base = |name: &str| target.record.layers.iter().any(|layer| layer.of_base && layer.content == *name);
    let hint = match error.cause() {
        registry::Cause::TagExists { found, .. } if is_of_image(found) => Some(
            "the tag has this very image with other media types: leave it, or move the tag with `--overwrite`".to_owned(),
        ),
        registry::Cause::TagExists { .. } => Some(
            "build again for a new timestamp, or move the tag with `--overwrite`: jobs that use it then get the new image"
                .to_owned(),
        ),
        registry::Cause::CutShort { name, .. } if of_base(name) => Some(format!(
            "this layer is the base's own, which is not split: push the base to `{}` first, over a better line; its \
             layers are then taken from there",
            target.host
        )),
        registry::Cause::Denied { .. } | registry::Cause::NotFound(..) => Some(format!(
            "check that the organisation `{}` exists on `{}` and is yours: it must be created before a push (SWR gives each user \
             five)",
            target.org, target.host
        )),
        _ => None,
    };
    report::hinted_if(error.into(), hint)
}

fn say(
    target: &Target<'_>,
    report: Option<&PushReport>,
    app_config: Option<&Planned>,
    format: Format,
) -> anyhow::Result<()> {
    let Target { record, image, reference, url, .. } = target;
    let layers: Vec<RecordedLayer> =
        record.layers.iter().zip(&image.layers).map(|(layer, blob)| layer.with_blob(blob)).collect();
    let text = || {
        if report.is_some() {
            return format!("{url}\n");
        }
        let layer = |layer: &RecordedLayer| {
            let (digest, size) = (layer.blob.digest.short(), progress::bytes(layer.blob.size));
            format!("  {digest} {size:>9}  {}\n", layer.content)
        };
        let lines: String = layers.iter().map(layer).collect();
        let diff = app_config.map(Planned::diff).unwrap_or_default();
        format!("would push {} to {}\n{lines}user_image_url: {url}\n{diff}", image.digest, reference)
    };
    let document = json!({
        "reference": reference,
        "digest": image.digest,
        "media_type": image.format.manifest(),
        "built_digest": record.digest,
        "user_image_url": url,
        "pushed": report.is_some(),
        "unchanged": report.map(|report| report.unchanged),
        "bytes_sent": report.map(|report| report.sent.bodies),
        "header_bytes_sent": report.map(|report| report.sent.overhead),
        "sent": report.map(|report| report.sent_blobs),
        "mounted": report.map(|report| report.mounted_blobs),
        "already_there": report.map(|report| report.present_blobs),
        "layers": layers,
        "app_config": app_config.map(|it| json!({ "changes": it.changes(), "diff": it.diff() })),
    });
    format.print(text, &document)
}

/// What is shown of a push: a line for each blob, and the bytes of all of them.
struct Shown<'a> {
    progress: &'a Progress,
    step: Step,
    /// How large each blob is, and how much of it was sent.
    blobs: Mutex<BTreeMap<&'a str, (u64, u64)>>,
}

impl<'a> Shown<'a> {
    fn new(blobs: impl Iterator<Item = &'a PushBlob<'a>>, progress: &'a Progress) -> Self {
        // A layer that the image has twice is pushed once.
        let mut seen = BTreeSet::new();
        let blobs = blobs.filter(|blob| seen.insert(blob.descriptor.digest));
        let blobs: BTreeMap<_, _> = blobs.map(|blob| (blob.name.as_str(), (blob.descriptor.size, 0))).collect();
        let total = blobs.values().map(|(size, _)| size).sum();
        Self { progress, step: progress.transfer("pushing", total), blobs: Mutex::new(blobs) }
    }

    fn show(&self, event: PushEvent<'_>) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let (PushEvent::Sending { name, .. } | PushEvent::Sent { name, .. } | PushEvent::Done { name, .. }) = event;
        let Some((size, sent)) = blobs.get_mut(name) else { return };
        match event {
            // Anew, or from where the registry says, where it was begun before.
            PushEvent::Sending { kept, .. } => {
                self.step.lost(std::mem::replace(sent, kept));
                self.step.spared(kept);
            }
            PushEvent::Sent { bytes, .. } => {
                *sent += bytes;
                self.step.moved(bytes);
            }
            PushEvent::Done { how, .. } => {
                let how = match how {
                    Arrival::Present => "there",
                    Arrival::Mounted => "mounted",
                    Arrival::Sent => "sent",
                };
                self.step.spared(size.saturating_sub(*sent));
                self.progress.line(&format!("{how:<8} {name}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The total grew with every layer that was begun, so that nobody knew how long a push would take.
    #[test]
    fn the_total_of_a_push_is_known_from_the_begin() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let blob = |name: &str, size| {
            let digest = Digest::of(name);
            let descriptor = Descriptor { media_type: String::new(), digest, size, urls: Vec::new() };
            PushBlob { descriptor, name: name.to_owned(), mount_from: None, source: &store }
        };
        let blobs = [blob("base", 147_000_000), blob("wheel", 100_000_000), blob("wheel", 100_000_000)];
        let progress = Progress::new(true);
        let shown = Shown::new(blobs.iter(), &progress);
        let after = |seconds, event| {
            shown.show(event);
            shown.step.state(seconds)
        };
        let sent = |bytes| PushEvent::Sent { name: "wheel", bytes };
        let going_on = |kept| PushEvent::Sending { name: "wheel", size: 100_000_000, kept };
        let begun = going_on(0);
        let done = PushEvent::Done { name: "base", how: Arrival::Present };
        assert_eq!(after(1, begun), "1 s");
        assert_eq!(after(10, sent(40_000_000)), "10 s, 40.0 MB of 247.0 MB (4.0 MB/s, 51 s left)");
        assert_eq!(after(10, done), "10 s, 187.0 MB of 247.0 MB (4.0 MB/s, 15 s left)");
        // The connection was cut.
        assert_eq!(after(10, begun), "10 s, 147.0 MB of 247.0 MB (4.0 MB/s, 25 s left)");
        // The registry had more than half of it all the same.
        assert_eq!(after(10, going_on(60_000_000)), "10 s, 207.0 MB of 247.0 MB (4.0 MB/s, 10 s left)");
        assert_eq!(after(10, begun), "10 s, 147.0 MB of 247.0 MB (4.0 MB/s, 25 s left)");
        assert_eq!(after(35, sent(100_000_000)), "35 s, 247.0 MB of 247.0 MB (4.0 MB/s, 0 s left)");
    }
}
