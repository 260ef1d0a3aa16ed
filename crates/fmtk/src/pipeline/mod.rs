//! `image`: from recipe, packages and base to an image in the store.

mod planning;
pub mod verify;

use std::{env, time::Instant};

use anyhow::Context;
use image_name::{Digest, ImageRef, Timestamp};
use oci_image::{Descriptor, Store};
use serde_json::json;

use self::planning::{Planned, planned};
use crate::{
    build::Built,
    engine,
    options::{Call, Engine, Format, Inspect, MediaTypes, RecipeArgs, RegistryArgs},
    plan::Plan,
    recipe::Recipe,
    record::{self, BuildRecord, RecordedBase, RecordedLayer},
    resolve::{base, cache::CacheArgs, place},
    ship::{
        built_image::BuiltImage,
        output::{self, Output},
    },
    terminal::{
        clock,
        progress::{self, Progress},
        report::WithHint,
    },
};

/// Flags of `image`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The image goes into the store, from which `cargo xtask push` takes it. --output also writes it as
  oci:DIR              an OCI image layout, for skopeo and other tools; other images in it stay
  docker-archive:FILE  what `docker load` and `podman load` take
  context:DIR          a folder from which plain `docker build` or `podman build` makes the same image elsewhere
each whole or not at all. Every build has a tag of its own: to write an image that was pushed before, give its
--timestamp.")]
pub struct ImageArgs {
    /// Where the recipe and the packages are.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the registry is reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Where layers may be taken from.
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Base image: `host/org/repo:tag[@digest]`, `oci:DIR[:tag]`, `docker-archive:FILE`, `docker-daemon:NAME`, `podman:NAME`
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Timestamp of the tag, `YYYYmmddHHMMSS` [default: now, local time]
    #[arg(long, value_name = "TS", env = "timestamp")]
    pub timestamp: Option<Timestamp>,
    /// Print the plan and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write the image as `oci:DIR`, `docker-archive:FILE` or `context:DIR` too; may be given several times
    #[arg(long, value_name = "KIND:PATH")]
    pub output: Vec<String>,
    /// Load the image into docker or podman too, to run it here
    #[arg(long)]
    pub load: bool,
    /// Engine that runs CANN's installer and compiles modules, and that `--load` uses
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// Media types of the manifest, which `push` sends unless told otherwise
    #[arg(long, value_enum, default_value_t)]
    pub media_types: MediaTypes,
    /// When to inspect a base in a registry, which streams it once
    #[arg(long, value_enum, default_value_t)]
    pub inspect: Inspect,
    /// The same as `--inspect never`
    #[arg(long, conflicts_with = "inspect")]
    pub no_inspect: bool,
    /// Build even if a distribution or a library that a wheel requires is missing
    #[arg(long)]
    pub allow_missing: bool,
}

/// Runs the command.
pub fn run(args: &ImageArgs, call: &Call, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let (started, begun) = (Instant::now(), clock::unix_seconds());
    // Wrong arguments are said before anything is downloaded.
    let outputs: Vec<Output> =
        args.output.iter().map(|text| text.parse()).collect::<anyhow::Result<_>>().context("bad `--output`").input()?;
    output::check(&outputs).context("bad `--output`").input()?;
    let load_into = args.load.then(|| engine::program(args.engine)).transpose();
    let load_into = load_into.hint("to do without one, give `--output docker-archive:FILE` in place of `--load`")?;
    let recipe_file = place::recipe_file(args.recipe.recipe.as_deref())?;
    if !args.dry_run {
        record::begin(store, &recipe_file)?;
    }
    let planned = planned(args, call, store, load_into, true, progress)?;
    let Planned { plan, recipe, opened, caches, .. } = &planned;
    for warning in &plan.warnings {
        progress.warning(warning);
    }
    for note in plan.notes.iter().filter(|_| !args.dry_run) {
        progress.line(&format!("note: {note}"));
    }
    if args.dry_run {
        return args.format.print(|| plan.to_string(), plan);
    }
    progress.line(&format!("building {}:{}", plan.repository, plan.tag));
    let built = planned.build(args, begun, progress)?;
    let with_base = &planned.with_base;
    let elsewhere = planned.source();
    let arguments = args.recipe.overrides(args.base.as_deref());
    let place = |blob: &Descriptor| caches.as_ref().and_then(|caches| caches.place(&blob.digest, blob.size));
    let record = recorded(&planned, &built, arguments, record::file_key(&recipe_file), place)?;
    let (_tag, replaced) = record.claim(store, args.timestamp.is_some())?;
    let reference = &recipe.base.reference;
    let (of_record, of_build, config) = (&record, &built, &plan.config);
    let image = BuiltImage { record: of_record, built: of_build, config, reference, opened, elsewhere: &elsewhere };
    let mut layout_digest = None;
    for output in &outputs {
        progress.line(&format!("writing {output}"));
        let _step = progress.step(format!("writing {output}"));
        layout_digest = output.write(&image, store)?.or(layout_digest);
    }
    if let Some(engine) = load_into {
        let there = if with_base.is_some() { ", which has its base" } else { "" };
        progress.line(&format!("loading {} into {engine}{there}", record.name()));
        output::load(&image, store, engine, with_base.is_some(), progress)?;
    }
    // Last, so that `push` does not take an image whose build is said to have failed.
    record.save(store)?;
    if let Some(other) = replaced {
        progress.warning(&format!("`{}` was {other} in the store; this build has taken its place", record.name()));
    }
    progress.line(&format!("built {} in {}", built.image.digest, progress::seconds(started.elapsed())));
    if let Some(digest) = layout_digest.filter(|digest| *digest != record.digest) {
        progress.line(&format!("its manifest in the OCI layout is {digest}; `push` sends {}", record.digest));
    }
    say_built(&record, layout_digest, args.format)?;
    progress.line(&next(args, recipe, &record, store));
    Ok(())
}

/// The plan that `image --dry-run` prints.
pub fn plan(args: &ImageArgs, call: &Call, store: &Store, progress: &Progress) -> anyhow::Result<Plan> {
    planned(args, call, store, None, true, progress).map(|planned| planned.plan)
}

/// The same where packages are not there yet: wheels are left out, and what they bring is not missed.
pub fn plan_without_wheels(args: &ImageArgs, call: &Call, store: &Store, progress: &Progress) -> anyhow::Result<Plan> {
    planned(args, call, store, None, false, progress).map(|planned| planned.plan)
}

/// What people do with an image that was just built. One that arguments made other than the recipe says has to be named.
fn next(args: &ImageArgs, recipe: &Recipe, record: &BuildRecord, store: &Store) -> String {
    let mut same = String::new();
    if !record.arguments.is_empty() {
        same.push_str(&format!(" {}", record.timestamp));
    }
    same.push_str(&args.recipe.named_file());
    same.push_str(&place::store_flag(store));
    let mut target = match (&args.cache.org, &recipe.registry.org) {
        // It is the next command's too.
        (Some(_), _) if env::var_os("org_name").is_some() => String::new(),
        (Some(org), of_recipe) if of_recipe.as_ref() != Some(org) => format!(" --org {org}"),
        (None, None) => " --org ORG".to_owned(),
        _ => String::new(),
    };
    if let Some(host) = args.cache.host.as_ref().filter(|host| **host != recipe.registry.host) {
        target.push_str(&format!(" --registry {host}"));
    }
    format!(
        "next: `cargo xtask push{target}{same}` pushes it; `cargo xtask try{same}` runs a job in it on this machine"
    )
}

/// `place` gives the image of a registry that has a layer which is not in the store.
fn recorded(
    Planned { plan, recipe, opened, .. }: &Planned,
    built: &Built,
    arguments: String,
    recipe_file: String,
    place: impl Fn(&Descriptor) -> Option<ImageRef>,
) -> anyhow::Result<BuildRecord> {
    let image = &built.image;
    let of_base = image.layers.len() - built.layers.len();
    let base = (1..=of_base).map(|number| progress::piece("base", number, of_base));
    let contents = base.chain(built.layers.iter().map(|layer| layer.holds.clone()));
    let layer = |(number, (blob, content)): (usize, (&Descriptor, String))| RecordedLayer {
        blob: blob.clone(),
        content,
        of_base: number < of_base,
        // Of the base's layers those that were recompressed.
        of_cache: match opened.base.layers.iter().any(|layer| layer.digest == blob.digest) {
            true => None,
            false => place(blob),
        },
    };
    Ok(BuildRecord {
        repository: plan.repository.clone(),
        tag: plan.tag.clone(),
        timestamp: plan.timestamp,
        digest: image.digest,
        media_type: image.format.manifest().to_owned(),
        manifest_size: image.manifest.len() as u64,
        config: image.config_descriptor.clone(),
        layers: image.layers.iter().zip(contents).enumerate().map(layer).collect(),
        // For the push that comes later, from whatever folder.
        base: RecordedBase { reference: base::absolute(&recipe.base.source)?, digest: plan.base.digest },
        arguments,
        recipe: recipe_file,
    })
}

/// `layout_digest` is that of the manifest in an OCI layout, where one was written.
fn say_built(record: &BuildRecord, layout_digest: Option<Digest>, format: Format) -> anyhow::Result<()> {
    let name = record.name();
    let document = json!({
        "image": name,
        "repository": record.repository,
        "tag": record.tag,
        "timestamp": record.timestamp,
        "digest": record.digest,
        "layout_digest": layout_digest,
        "media_type": record.media_type,
        "layers": record.layers,
        "base": record.base,
    });
    format.print(|| format!("{name}\n"), &document)
}
