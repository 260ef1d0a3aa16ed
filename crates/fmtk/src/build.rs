//! Executes a plan: layers into the store, side by side, then the image.

use std::{
    collections::HashMap,
    fs,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, ensure};
use oci_image::{
    Attr, Base, BlobSource, ConfigEdits, Digest, Format, Image, LAYER_FORMAT, Layer, LayerError, LayerOptions,
    LayerWriter, MTIME, NewLayer, ParentDirs, Store, TreeEntry, TreeKind,
};
use serde::Serialize;
use wheel_layer::{Compiler, InstalledWheel, NoCompiler, WheelError};

use crate::{
    debian::{facts, unpack::Unpacking},
    plan::{Plan, PlannedFolder, PlannedLayer, PlannedScript, PlannedSystem, PlannedWheel, above},
    resolve::{
        bytecode::Pool,
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
    pub layers: Vec<BuiltLayer>,
}

/// What is known of a layer of ours.
pub struct BuiltLayer {
    /// What it holds, for people.
    pub holds: String,
    /// What it takes away of the layers below; one that does holds nothing else.
    pub removes: Vec<String>,
}

/// Whether modules have to be compiled, for layers of wheels that the store lacks.
pub fn compiles(store: &Store, plan: &Plan) -> anyhow::Result<bool> {
    if plan.bytecode.is_none() {
        return Ok(false);
    }
    for layer in plan.layers.iter().filter(|layer| layer.is_of_wheels()) {
        if made(store, plan, layer)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The layers of a planned one where they are known before anything is built: those of wheels that are in the store or
/// behind it, and CANN's.
pub fn made(store: &Store, plan: &Plan, layer: &PlannedLayer) -> anyhow::Result<Option<Vec<Layer>>> {
    match layer {
        PlannedLayer::Cann(cann) => Ok(Some(cann.layers.clone())),
        layer if layer.is_of_wheels() => {
            Ok(wheel_layer::made(&installed(layer.wheels()), store, &plan.parents, plan.max_layer)?)
        }
        _ => Ok(None),
    }
}

/// What of a run the plan does not say.
pub struct Run<'a> {
    /// When it began, in seconds since 1970: a layer that is older is shown as one that was there.
    pub begun: u64,
    /// What compiles; it may be missing unless [`compiles`] says so.
    pub pool: Option<&'a Pool>,
    /// What the image carries of how its layers were built, asked for when they are.
    pub carry: &'a dyn Fn() -> anyhow::Result<Option<String>>,
    /// The image in a registry that a layer is taken from, if it is.
    pub place: &'a (dyn Fn(&Layer) -> Option<String> + Sync),
}

/// Makes every layer that the store lacks, then the image.
pub fn build(
    store: &Store,
    plan: &Plan,
    base: &Base,
    source: &(dyn BlobSource + Sync),
    run: &Run<'_>,
    progress: &Progress,
) -> anyhow::Result<Built> {
    let Run { begun, pool, carry, place } = *run;
    let tools = tools::build(store, progress)?;
    let base = {
        let _step = progress.step("reading the base's layers");
        oci_image::recompress(store, base, source).context("failed to read the base's layers")?
    };
    let (total, done) = (plan.layers.len(), Arc::new(AtomicUsize::new(0)));
    let tell = {
        let done = done.clone();
        move || format!("{} of {total} done", done.load(Ordering::Relaxed))
    };
    let step = progress.told_by("building layers", tell);
    let compiler = pool.map_or(&NoCompiler as &dyn Compiler, |pool| pool);
    // Wheels are compressed already, and come largest first.
    let length = |planned: &PlannedLayer| u64::from(!planned.is_of_wheels());
    let made = side_by_side::until_longest_first(&plan.layers, workers(), length, |planned| {
        let started = Instant::now();
        let layers = layer(store, plan, planned, &tools, compiler);
        done.fetch_add(1, Ordering::Relaxed);
        match &layers {
            Ok(layers) => {
                let size = layers.iter().map(|layer| layer.size).sum();
                let pieces = if layers.len() > 1 { format!(" in {} layers", layers.len()) } else { String::new() };
                let was_there = |layer: &Layer| {
                    fs::metadata(store.blob_path(&layer.digest)).is_ok_and(|meta| meta.mtime() < begun as i64)
                };
                let time = match layers.iter().find_map(place) {
                    Some(from) => format!("from {from}"),
                    None if layers.iter().all(was_there) => "cached".to_owned(),
                    None => progress::seconds(started.elapsed()),
                };
                let (content, size) = (planned.content(), progress::bytes(size));
                progress.line(&format!("layer  {content:<32} {size:>9}{pieces}  {time}"));
            }
            // Damaged packages are told together. Nothing else is made where the disk or the store does not take it.
            Err(error) if report::exit(error) == Exit::Input => {}
            Err(_) => return ControlFlow::Break(layers),
        }
        ControlFlow::Continue(layers)
    });
    drop(step);
    if let Some(skipped) = pool.map(|pool| pool.skipped()).filter(|skipped| *skipped > 0) {
        progress.line(&format!("note: no bytecode for {}: not valid Python or, before Python 3.11, a set with `None`, whose order is not fixed",
            progress::count(skipped, "module")));
    }
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
    let config = ConfigEdits { cache: carry()?, ..plan.config.clone() };
    let image = oci_image::assemble(&base, &new, &config, format)?;
    store.put_blob(&image.config)?;
    store.put_blob(&image.manifest)?;
    Ok(Built { image, layers: built })
}

fn layer(
    store: &Store,
    plan: &Plan,
    planned: &PlannedLayer,
    tools: &[Tool],
    compiler: &dyn Compiler,
) -> anyhow::Result<Vec<Layer>> {
    match planned {
        PlannedLayer::Cann(cann) => {
            ensure!(!cann.layers.is_empty(), "CANN's installer `{}` was not run", cann.path.display());
            Ok(cann.layers.clone())
        }
        PlannedLayer::System(system) => system_layer(store, &plan.parents, system),
        PlannedLayer::Opened { folders } => tree(store, plan, planned, folders.iter().map(folder).collect()),
        PlannedLayer::Account { files, home, .. } => {
            tree(store, plan, planned, files.iter().map(script).chain(home.iter().map(folder)).collect())
        }
        PlannedLayer::Wheel(_) | PlannedLayer::SharedByWheels { .. } => {
            wheel_layers(store, plan, planned.wheels(), compiler)
        }
        PlannedLayer::Whiteouts { paths, .. } => {
            let entry = |path: &String| tree_entry(path, 0, 0, 0, TreeKind::Whiteout);
            tree(store, plan, planned, paths.iter().map(entry).collect())
        }
        PlannedLayer::Scripts { scripts } | PlannedLayer::Front { files: scripts } => {
            tree(store, plan, planned, scripts.iter().map(script).collect())
        }
        PlannedLayer::Files { files, .. } => {
            // Wherever they are on this machine.
            let content: Vec<_> = files.iter().map(|it| (&it.to, it.mode, it.uid, it.gid, it.sha256)).collect();
            tree(store, plan, content, files.iter().map(own_file).collect()).map_err(changed)
        }
        PlannedLayer::Tools { paths } => {
            let entry = |(tool, path): (&Tool, &String)| {
                let kind = TreeKind::Known { file: store.blob_path(&tool.sha256), sha256: tool.sha256 };
                tree_entry(path, 0o755, 0, 0, kind)
            };
            tree(store, plan, (planned, tools), tools.iter().zip(paths).map(entry).collect())
                .map_err(|error| tools::damaged(error, store, tools))
        }
    }
}

/// Unpacks packages upon the base's, from the store where that was done before.
fn system_layer(store: &Store, known: &ParentDirs, system: &PlannedSystem) -> anyhow::Result<Vec<Layer>> {
    let PlannedSystem { packages, status, installed, database } = system;
    let paths = system.paths();
    let parents = above(known, paths.iter().map(String::as_str));
    let digests: Vec<_> = packages.iter().map(|one| (one.package.sha256, &one.places)).collect();
    // The number is raised where the bytes come to depend on something else.
    let key = format!("1 {LAYER_FORMAT} {}", Digest::of(serde_json::to_vec(&(digests, status, database, &parents))?));
    let made: Option<Layer> = store.record("system-layers", &key)?;
    if let Some(layer) = made.filter(|layer| layer.is_in(store)) {
        return Ok(vec![layer]);
    }
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &parents };
    let mut unpacking = Unpacking::new(LayerWriter::new(store, options)?, MTIME, installed);
    let files = packages.iter().map(|one| facts::open(&one.package.path, one.package.size, one.package.sha256));
    debian_package::read_each(files, |package| {
        let places: HashMap<_, _> = packages[package.number].places.iter().cloned().collect();
        unpacking.unpack(package, &|path, _| places.get(path).cloned(), |_| false)
    })
    .context("failed to unpack the packages of `system.packages`")?;
    let layer = unpacking.finish(database)?;
    store.put_record("system-layers", &key, &layer)?;
    Ok(vec![layer])
}

fn folder(PlannedFolder { path, mode, uid, gid }: &PlannedFolder) -> TreeEntry {
    tree_entry(path, *mode, *uid, *gid, TreeKind::Dir)
}

fn script(PlannedScript { to, mode, uid, gid, bytes, .. }: &PlannedScript) -> TreeEntry {
    tree_entry(to, *mode, *uid, *gid, TreeKind::Bytes(bytes.clone()))
}

fn wheel_layers(
    store: &Store,
    plan: &Plan,
    wheels: &[PlannedWheel],
    compiler: &dyn Compiler,
) -> anyhow::Result<Vec<Layer>> {
    wheel_layer::layers(&installed(wheels), store, &plan.parents, plan.max_layer, compiler).map_err(damaged)
}

fn installed(wheels: &[PlannedWheel]) -> Vec<&InstalledWheel> {
    wheels.iter().map(|wheel| &wheel.installed).collect()
}

/// A wheel that turns out to be damaged while it is read is bad input, like one that was seen to be before.
fn damaged(error: WheelError) -> anyhow::Error {
    const AGAIN: &str = "copy the file again from its source";
    match error {
        WheelError::Record { ref name, .. } => {
            let hint = format!(
                "{AGAIN}; if it is the same there, only RECORD is wrong: put \"{name}\" into `allow.wrong_record`"
            );
            report::hinted(report::input(error.into()), hint)
        }
        WheelError::Refused(_)
        | WheelError::Layer {
            source:
                LayerError::Path { .. }
                | LayerError::Twice { .. }
                | LayerError::NotAFolder { .. }
                | LayerError::Damaged { .. },
            ..
        } => report::hinted(report::input(error.into()), AGAIN),
        WheelError::Compile { .. } => report::hinted(error.into(), "to do without bytecode: `--set bytecode=off`"),
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

/// A small layer, from the store where one with this content was made before.
fn tree(store: &Store, plan: &Plan, content: impl Serialize, entries: Vec<TreeEntry>) -> anyhow::Result<Vec<Layer>> {
    let parents = above(&plan.parents, entries.iter().map(|entry| entry.path.as_str()));
    // The number is raised where the bytes come to depend on something else.
    let key = format!("4 {LAYER_FORMAT} {}", Digest::of(serde_json::to_vec(&(content, &parents))?));
    let made: Option<Layer> = store.record("tree-layers", &key)?;
    if let Some(layer) = made.filter(|layer| layer.is_in(store)) {
        return Ok(vec![layer]);
    }
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &parents };
    let layer = oci_image::tree_layer(store, entries, options)?;
    store.put_record("tree-layers", &key, &layer)?;
    Ok(vec![layer])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan::PlannedDeb, resolve::packages::Package};

    /// Packages of Debian upon a base: `/lib` of the package is `/usr/lib` there, and dpkg's list of the base goes on.
    #[test]
    fn packages_are_unpacked_upon_the_base_s() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let deb = |name: &str, data| {
            let deb = debian_fake::Deb::new(&format!("Package: {name}\nVersion: 1\nArchitecture: arm64\n"), data);
            let bytes = deb.tells("md5sums", "0 x\n").tells("postinst", "#!/bin/sh\n").bytes();
            let path = folder.path().join(name);
            fs::write(&path, &bytes).unwrap();
            let (kind, file) = ("system".to_owned(), name.to_owned());
            Package { kind, file, path, size: bytes.len() as u64, sha256: Digest::of(&bytes) }
        };
        let a = debian_fake::Tar::default().file("./lib/liba.so.1", 0o644, b"a").link("./lib/liba.so", "liba.so.1");
        let b = debian_fake::Tar::default().folder("./opt/b/", 0o750).file("./opt/b/doc", 0o644, b"left out");
        let planned = |name: &str, package, places: &[(&str, &str)]| {
            let places = places.iter().map(|(path, place)| ((*path).to_owned(), (*place).to_owned())).collect();
            PlannedDeb { name: name.to_owned(), version: "1".to_owned(), package, places }
        };
        let status = b"Package: base\nStatus: install ok installed\nVersion: 1".to_vec();
        let libraries = [("lib/liba.so.1", "/usr/lib/liba.so.1"), ("lib/liba.so", "/usr/lib/liba.so")];
        let system = PlannedSystem {
            packages: vec![planned("a", deb("a", a), &libraries), planned("b", deb("b", b), &[("opt/b", "/opt/b")])],
            status: Digest::of(&status),
            installed: status,
            database: "/var/lib/dpkg".to_owned(),
        };
        let known = ParentDirs::from([("/usr/lib".to_owned(), Attr { mode: 0o2755, uid: 0, gid: 5, mtime: 9 })]);
        let [layer] = &system_layer(&store, &known, &system).unwrap()[..] else { panic!("one layer") };
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
        let blob = oci_image::Descriptor { media_type, digest: layer.digest, size: layer.size, urls: Vec::new() };
        let mut shown = String::new();
        oci_image::read_layer(&store, &blob, Some(layer.diff_id), |stream| {
            let mut tar = stream.entries();
            while let Some(entry) = tar.next_entry().unwrap() {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut tar.contents(), &mut text).unwrap();
                let (kind, Attr { mode, gid, .. }) = (entry.kind, entry.attr);
                shown.push_str(&format!("{mode:o} {gid} {} {kind:?} {text:?}\n", entry.path));
            }
            Ok::<_, oci_image::UnpackError>(())
        })
        .unwrap();
        expect_test::expect_file!["build/system.txt"].assert_eq(&shown);
        assert_eq!(system_layer(&store, &known, &system).unwrap(), std::slice::from_ref(layer));
        // A file that has changed since it was planned makes no layer.
        fs::write(folder.path().join("b"), fs::read(folder.path().join("a")).unwrap()).unwrap();
        let moved = PlannedSystem { database: "/var/dpkg".to_owned(), ..system };
        let said = format!("{:#}", system_layer(&store, &known, &moved).unwrap_err());
        assert!(said.starts_with("failed to unpack the packages of `system.packages`"), "{said}");
    }

    /// Copied again, it was as wrong as before, and nothing said what then.
    #[test]
    fn a_record_that_is_wrong_is_told_with_the_key_that_allows_it() {
        let (wheel, name, files) = ("kit-1.whl".into(), "kit".to_owned(), vec!["opt/kit.py".to_owned()]);
        let said = report::render(&damaged(WheelError::Record { wheel, name, files }));
        expect_test::expect![[r#"
            error: wheel `kit-1.whl` is damaged: its RECORD has other hashes of `opt/kit.py`
            hint: copy the file again from its source; if it is the same there, only RECORD is wrong: put "kit" into `allow.wrong_record`
        "#]]
        .assert_eq(&said);
    }
}
