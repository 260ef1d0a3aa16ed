//! Runs the installer in a container of the base: packages read-only, no network, nothing built by the engine.

use std::{
    fs::File,
    path::Path,
    process::{ChildStdout, Stdio},
    time::Instant,
};

use anyhow::{Context, anyhow, ensure};
use oci_image::{Store, is_within};

use super::{
    CannKey, Installed, LATEST, ROOTS, cached,
    changes::{self, Changes, Kind, Ordered},
    layers, remember,
    script::{self, MOUNT},
};
use crate::{
    engine,
    resolve::{
        base::{self, OpenImage},
        containers::{Containers, tail},
    },
    terminal::{
        progress::{self, Progress},
        report::{self, WithHint},
    },
};

/// The installer, as it was found and checked.
pub struct Installer<'a> {
    pub path: &'a Path,
    /// The program of its first line.
    pub interpreter: &'a str,
}

/// Installs CANN, unless another run has done so in the meantime.
pub fn install(
    store: &Store,
    key: &CannKey<'_>,
    installer: &Installer<'_>,
    opened: &OpenImage,
    program: &'static str,
    progress: &Progress,
) -> anyhow::Result<Installed> {
    let started = Instant::now();
    let _lock = store.lock("cann")?;
    if let Some(installed) = cached(store, key)? {
        return Ok(installed);
    }
    let base_name = format!("localhost/fmtk-base:{}", engine::here(store));
    let containers = Containers::new("cann", 1, Some(&base_name), 0, program, store, progress)?;
    progress.line(&format!("loading the base into {program}, for CANN's installer"));
    let image = base::as_image(store, opened)?;
    let source = base::Fallback { store, other: opened };
    let id = engine::load(&containers.way, &image, &source, &base_name)?;

    create(&containers, &id, key, installer)?;
    let before = export(&containers, |export| Ok(changes::snapshot(export)?))?;
    progress.line("running CANN's installer for arm64; under emulation that takes minutes");
    run(store, &containers)?;
    progress.line(&format!("reading what it wrote, after {}", progress::seconds(started.elapsed())));
    let after = export(&containers, |export| Ok(changes::snapshot(export)?))?;
    let changes = changes::compare(&before, &after, &key.cann.drop.matcher(), key.dirs)?;
    drop((before, after));
    wrote_something(&changes)?;
    let wheels = key.cann.wheels.matcher();
    let (layers, wheels) =
        export(&containers, |export| layers::write(store, &changes, export, &wheels, key.max_layer))?;
    let installed = Installed { layers, wheels, ..described(changes) };
    remember(store, key, &installed)?;
    progress.line(&format!("installed CANN in {}", progress::seconds(started.elapsed())));
    Ok(installed)
}

fn create(containers: &Containers, image: &str, key: &CannKey<'_>, installer: &Installer<'_>) -> anyhow::Result<()> {
    let path = installer.path.canonicalize();
    let path = path.with_context(|| format!("failed to find `{}`", installer.path.display()))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let script = script::script(key.cann, installer.interpreter, &file);
    let mount = engine::mount(path.parent().unwrap_or(Path::new("/")), MOUNT, true);
    let options = ["--user", "0:0", "--workdir", "/", "--hostname", "fmtk", "--mount", &mount];
    // Languages and zones change what programs write; compiled files would be dropped anyway.
    let surroundings = ["LC_ALL=C", "TZ=UTC", "PYTHONDONTWRITEBYTECODE=1"].into_iter().flat_map(|one| ["--env", one]);
    let options: Vec<String> = options.into_iter().chain(surroundings).map(str::to_owned).collect();
    containers.create(0, &options, image, &["/bin/sh", "-c", &script].map(str::to_owned))
}

/// Runs the installer; what it says goes to a file, of which the end is told when it fails.
fn run(store: &Store, containers: &Containers) -> anyhow::Result<()> {
    let scratch = store.scratch()?;
    let path = scratch.path().join("installer.log");
    let failed = || format!("failed to write `{}`", path.display());
    let log = File::create_new(&path).with_context(failed)?;
    let status = containers
        .start(0)
        .stdout(log.try_clone().with_context(failed)?)
        .stderr(log)
        .status()
        .with_context(|| format!("failed to run `{} start`", containers.way.program))?;
    if status.success() {
        return Ok(());
    }
    let said = tail(&path, 4000).with_context(failed)?;
    let lines: Vec<&str> = said.trim().lines().collect();
    let last = match lines.len() {
        0 => " and said nothing".to_owned(),
        many => format!("\n    {}", lines[many.saturating_sub(20)..].join("\n    ")),
    };
    Err(anyhow!("CANN's installer ended with {status}{last}"))
        .hint("where it asks for a user HwHiAiUser: `--set cann.user=true`")
}

/// Streams the container's files through `consume`.
fn export<T>(
    Containers { way, names, .. }: &Containers,
    consume: impl FnOnce(&mut ChildStdout) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let failed = || format!("failed to run `{} export`", way.program);
    let mut command = way.command();
    command.arg("export").args(names).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = engine::bound(&mut command).spawn().with_context(failed)?;
    let mut stdout = child.stdout.take().with_context(failed)?;
    let consumed = consume(&mut stdout);
    // Bytes behind the archive's end would else block the engine.
    let rest = std::io::copy(&mut stdout, &mut std::io::sink());
    drop(stdout);
    let output = child.wait_with_output().with_context(failed)?;
    let said = || engine::said(output.status, &output.stderr);
    ensure!(output.status.success(), "`{} export` failed: {}", way.program, said());
    rest.with_context(failed)?;
    consumed.context("failed to read what CANN's installer wrote")
}

/// An installer that says it succeeded and wrote nothing has not.
fn wrote_something(changes: &Changes) -> anyhow::Result<()> {
    if changes.kept.keys().any(|path| path.path().starts_with(&format!("{}/", ROOTS[0]))) {
        return Ok(());
    }
    Err(report::hinted(
        anyhow!("CANN's installer says that it succeeded, but wrote nothing to `{}`", ROOTS[0]),
        "see whether `cann.drop` names it",
    ))
}

/// What there is to say of the changes.
fn described(changes: Changes) -> Installed {
    let items = || changes.kept.values();
    let names = || items().flat_map(|item| &item.names);
    let is_setid = |kind: &Kind, mode: u32| matches!(kind, Kind::File { .. }) && mode & 0o6000 != 0;
    let setid = items().filter(|item| is_setid(&item.kind, item.attr.mode)).flat_map(|item| item.names.clone());
    let folders = items().filter(|item| item.kind == Kind::Dir).map(|item| (item.names[0].clone(), item.attr));
    Installed {
        layers: Vec::new(),
        entries: names().count() as u64,
        wheels: Vec::new(),
        outside: names().filter(|name| !ROOTS.iter().any(|root| is_within(name, root))).cloned().collect(),
        setid: setid.collect(),
        latest: changes.kept.contains_key(&Ordered::new(LATEST)),
        dirs: changes.parents.iter().map(|(path, attr)| (path.clone(), *attr)).chain(folders).collect(),
        removed: changes.removed,
        dropped: changes.dropped,
    }
}
