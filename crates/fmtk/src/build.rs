//! Executes a plan: layers into the store, side by side, then the image.

use std::{collections::BTreeMap, ops::ControlFlow, time::Instant};

use anyhow::{Context, bail, ensure};
use oci_image::{
    Attr, Base, BlobSource, Digest, Format, Image, LAYER_FORMAT, Layer, LayerError, LayerOptions, MTIME, NewLayer,
    ParentDirs, Store, TreeEntry, TreeKind,
};
use sha2::{Digest as _, Sha256};
use wheel_layer::{Layout, Member, Options, WheelError, WheelFacts};

use crate::{
    plan::{Plan, PlannedLayer, PlannedScript, PlannedWheel, above},
    resolve::{
        own_file::PlannedFile,
        tools::{self, Tool},
    },
    terminal::{
        progress::{self, Progress},
        report::{self, Exit},
    },
};

/// Layers that are made side by side. Each takes two threads, one that inflates and one that hashes; the second is not
/// always busy, so that there is room for another layer even on two cores.
fn workers() -> usize {
    side_by_side::cores().div_ceil(2).clamp(2, 4)
}

/// A built image and what its layers hold.
pub struct Built {
    /// The image; its manifest and config are in the store.
    pub image: Image,
    /// The layers of ours, bottom to top.
    pub layers: Vec<BuiltLayer>,
}

/// What is known of a layer of ours.
pub struct BuiltLayer {
    /// What it holds, for people.
    pub holds: String,
    /// What it takes away of the layers below; one that does holds nothing else.
    pub removes: Vec<String>,
}

/// Makes every layer that the store lacks, then the image.
pub fn build(
    store: &Store,
    plan: &Plan,
    facts: &BTreeMap<Digest, &WheelFacts>,
    base: &Base,
    source: &(dyn BlobSource + Sync),
    progress: &Progress,
) -> anyhow::Result<Built> {
    let tools = tools::build(store, progress)?;
    let base = oci_image::recompress(store, base, source).context("failed to read the base's layers")?;
    let made = side_by_side::until(&plan.layers, workers(), |planned| {
        let started = Instant::now();
        let layers = layer(store, plan, planned, facts, &tools);
        match &layers {
            Ok(layers) => {
                let size = layers.iter().map(|layer| layer.size).sum();
                let pieces = if layers.len() > 1 { format!(" in {} layers", layers.len()) } else { String::new() };
                progress.line(&format!(
                    "layer  {:<32} {:>9}{pieces}  {}",
                    planned.content(),
                    progress::bytes(size),
                    progress::seconds(started.elapsed())
                ));
            }
            // Damaged packages are told together. Nothing else is made where the disk or the store does not take it.
            Err(error) if report::exit(error) == Exit::Input => {}
            Err(_) => return ControlFlow::Break(layers),
        }
        ControlFlow::Continue(layers)
    });
    let (mut new, mut built, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (planned, made) in plan.layers.iter().zip(made) {
        // Empty only where another layer failed first, and that one's error comes out of this loop.
        let Some(layers) = made else { continue };
        let mut removes = planned.removes().to_vec();
        let layers = match layers {
            Ok(layers) => layers,
            Err(error) if report::exit(&error) == Exit::Input => {
                errors.push(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let pieces = layers.len();
        for (number, layer) in (1..).zip(layers) {
            let holds = progress::piece(&planned.content(), number, pieces);
            new.push(NewLayer { layer, holds: holds.clone() });
            built.push(BuiltLayer { holds, removes: std::mem::take(&mut removes) });
        }
    }
    report::all(errors)?;
    let format = if plan.oci { Format::Oci } else { Format::DockerV2 };
    let image = oci_image::assemble(&base, &new, &plan.config, format)?;
    store.put_blob(&image.config)?;
    store.put_blob(&image.manifest)?;
    Ok(Built { image, layers: built })
}

fn layer(
    store: &Store,
    plan: &Plan,
    planned: &PlannedLayer,
    facts: &BTreeMap<Digest, &WheelFacts>,
    tools: &[Tool],
) -> anyhow::Result<Vec<Layer>> {
    match planned {
        PlannedLayer::Cann(cann) => {
            ensure!(!cann.layers.is_empty(), "CANN's installer `{}` was not run", cann.path.display());
            Ok(cann.layers.clone())
        }
        PlannedLayer::Wheel(wheel) => wheel_layers(store, plan, std::slice::from_ref(&**wheel), facts),
        PlannedLayer::SharedByWheels { wheels, .. } => wheel_layers(store, plan, wheels, facts),
        PlannedLayer::Whiteouts { paths, .. } => {
            let entry = |path: &String| tree_entry(path, 0, 0, 0, TreeKind::Whiteout);
            tree(store, paths.iter().map(entry).collect(), &plan.parents)
        }
        PlannedLayer::Scripts { scripts } | PlannedLayer::Front { files: scripts } => {
            let entry = |script: &PlannedScript| {
                let PlannedScript { to, mode, uid, gid, bytes, .. } = script;
                tree_entry(to, *mode, *uid, *gid, TreeKind::Bytes(bytes.clone()))
            };
            tree(store, scripts.iter().map(entry).collect(), &plan.parents)
        }
        PlannedLayer::Files { files, .. } => {
            tree(store, files.iter().map(own_file).collect(), &plan.parents).map_err(changed)
        }
        PlannedLayer::Tools { paths } => {
            let entry = |(tool, path): (&Tool, &String)| {
                let kind = TreeKind::Known { file: store.blob_path(&tool.sha256), sha256: tool.sha256 };
                tree_entry(path, 0o755, 0, 0, kind)
            };
            tree(store, tools.iter().zip(paths).map(entry).collect(), &plan.parents)
                .map_err(|error| tools::damaged(error, store, tools))
        }
    }
}

fn wheel_layers(
    store: &Store,
    plan: &Plan,
    wheels: &[PlannedWheel],
    facts: &BTreeMap<Digest, &WheelFacts>,
) -> anyhow::Result<Vec<Layer>> {
    let mut members = Vec::new();
    let mut layout: Option<Layout> = None;
    for wheel in wheels {
        let Some(facts) = facts.get(&wheel.sha256) else {
            bail!("the plan has no facts of `{}`", wheel.path.display())
        };
        members.push(Member { facts, path: &wheel.path, digest: &wheel.sha256 });
        // Of one plan they differ in nothing but the folders of the base that they lead through.
        let Layout { parents, links, .. } = wheel.layout.clone();
        let layout = layout.get_or_insert_with(|| wheel.layout.clone());
        layout.parents.extend(parents);
        layout.links.extend(links);
    }
    let Some(layout) = layout else { return Ok(Vec::new()) };
    let options = Options { max_layer: plan.max_layer };
    wheel_layer::shared_layers(&members, store, &layout, &plan.target, &options).map_err(damaged)
}

/// A wheel that turns out to be damaged while it is read is bad input, like one that was seen to be before.
fn damaged(error: WheelError) -> anyhow::Error {
    match error {
        WheelError::Archive { .. }
        | WheelError::Record { .. }
        | WheelError::Layer {
            source:
                LayerError::Path { .. }
                | LayerError::Twice { .. }
                | LayerError::NotAFolder { .. }
                | LayerError::Damaged { .. },
            ..
        } => report::hinted(report::input(error.into()), "copy the file again from where it came"),
        error => error.into(),
    }
}

/// The file as the plan knows it: one that changed since is an error, not another image.
fn own_file(file: &PlannedFile) -> TreeEntry {
    let kind = TreeKind::Known { file: file.from.clone(), sha256: file.sha256 };
    tree_entry(&file.to, file.mode, file.uid, file.gid, kind)
}

fn changed(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(LayerError::Hashes { .. }) => error.context("`[[files]]` changed while the image was built"),
        _ => error,
    }
}

fn tree_entry(path: &str, mode: u32, uid: u64, gid: u64, kind: TreeKind) -> TreeEntry {
    TreeEntry { path: path.to_owned(), attr: Attr { mode, uid, gid, mtime: MTIME }, kind }
}

/// A small layer, from the store where it was made of the same entries before.
fn tree(store: &Store, entries: Vec<TreeEntry>, known: &ParentDirs) -> anyhow::Result<Vec<Layer>> {
    let parents = above(known, entries.iter().map(|entry| entry.path.as_str()));
    let key = tree_key(&entries, &parents)?;
    let made: Option<Layer> = store.record("tree-layers", &key)?;
    if let Some(layer) = made.filter(|layer| store.has(&layer.digest, layer.size)) {
        return Ok(vec![layer]);
    }
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &parents };
    let layer = oci_image::tree_layer(store, entries, options)?;
    store.put_record("tree-layers", &key, &layer)?;
    Ok(vec![layer])
}

/// All that the bytes of a small layer depend on. The number is raised where they come to depend on something else.
fn tree_key(entries: &[TreeEntry], parents: &ParentDirs) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    for TreeEntry { path, attr, kind } in entries {
        let (kind, content) = match kind {
            TreeKind::Bytes(bytes) => ("bytes", Digest::of(bytes).hex()),
            TreeKind::Known { sha256, .. } => ("bytes", sha256.hex()),
            TreeKind::Dir => ("dir", String::new()),
            TreeKind::Symlink(target) => ("symlink", target.clone()),
            TreeKind::Whiteout => ("whiteout", String::new()),
        };
        hash.update(serde_json::to_vec(&(path, attr, kind, content))?);
    }
    hash.update(serde_json::to_vec(parents)?);
    Ok(format!("3 {LAYER_FORMAT} {}", Digest::from_bytes(hash.finalize().into())))
}
