//! Runs the installer in a container of the base: packages read-only, no network, nothing built by the engine.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::{ChildStdout, Stdio},
    time::Instant,
};

use anyhow::{Context, anyhow, ensure};
use oci_image::{Store, is_within};

use super::{
    Installed, LATEST, ROOTS, Wanted, cached,
    changes::{self, Changes, Kind},
    layers, remember,
    script::{self, MOUNT},
};
use crate::{
    engine::{self, Guard, Way, probe},
    resolve::{
        base::{self, OpenImage},
        tools,
    },
    terminal::{
        progress::{self, Progress},
        report::{self, WithHint},
    },
};

/// Label of our containers; its value says which store they work for.
const LABEL: &str = "fmtk.cann";

/// The installer, as it was found and checked.
pub struct Installer<'a> {
    /// The file.
    pub path: &'a Path,
    /// The program of its first line.
    pub interpreter: &'a str,
}

/// Installs CANN, unless another run has done so in the meantime.
pub fn install(
    store: &Store,
    wanted: &Wanted<'_>,
    installer: &Installer<'_>,
    opened: &OpenImage,
    program: &'static str,
    progress: &Progress,
) -> anyhow::Result<Installed> {
    let started = Instant::now();
    let tools = tools::build(store, progress)?;
    let tool = tools.first().context("no program for the image was built")?;
    let _lock = store.lock("cann")?;
    if let Some(installed) = cached(store, wanted)? {
        return Ok(installed);
    }
    let here = engine::here(store);
    engine::remove_leftovers(program, &format!("{LABEL}={here}"));
    let container = format!("fmtk-cann-{here}-{}", std::process::id());
    let (probe_name, base_name) = (format!("localhost/fmtk-probe:{here}"), format!("localhost/fmtk-base:{here}"));
    let _guard = Guard::new(program, 0, &[&container], &[&probe_name, &base_name])?;
    let way = probe(store, program, &probe_name, &tool.sha256)
        .map_err(|error| tools::damaged(error, store, std::slice::from_ref(tool)))?;
    progress.line(&format!("loading the base into {program}, for CANN's installer"));
    let image = base::as_image(store, opened)?;
    let source = base::Fallback { store, other: opened };
    let id = engine::load(&way, &image, &source, &base_name)?;

    create(&way, &container, &here, &id, wanted, installer)?;
    let before = export(&way, &container, |export| Ok(changes::snapshot(export)?))?;
    progress.line("running CANN's installer for arm64; under emulation that takes minutes");
    run(store, &way, &container)?;
    progress.line(&format!("reading what it wrote, after {}", progress::seconds(started.elapsed())));
    let drop = wanted.cann.drop.matcher();
    let changes = export(&way, &container, |export| changes::compare(&before, export, &drop, wanted.dirs))?;
    std::mem::drop(before);
    wrote_something(&changes)?;
    let wheels = wanted.cann.wheels.matcher();
    let (layers, wheels) =
        export(&way, &container, |export| layers::write(store, &changes, export, &wheels, wanted.max_layer))?;
    let installed = Installed { layers, wheels, ..described(&changes) };
    remember(store, wanted, &installed)?;
    progress.line(&format!("installed CANN in {}", progress::seconds(started.elapsed())));
    Ok(installed)
}

fn create(
    way: &Way,
    container: &str,
    here: &str,
    image: &str,
    wanted: &Wanted<'_>,
    installer: &Installer<'_>,
) -> anyhow::Result<()> {
    let path = installer.path.canonicalize();
    let path = path.with_context(|| format!("failed to find `{}`", installer.path.display()))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let script = script::script(wanted.cann, installer.interpreter, &file);
    let mount = engine::mount(path.parent().unwrap_or(Path::new("/")), MOUNT, true);
    let label = format!("{LABEL}={here}");
    let fixed =
        ["--network", "none", "--user", "0:0", "--workdir", "/", "--hostname", "fmtk", "--entrypoint", "/bin/sh"];
    // Languages and zones change what programs write; compiled files would be dropped anyway. Labels of SELinux keep
    // containers from folders of the host.
    let surroundings = ["LC_ALL=C", "TZ=UTC", "PYTHONDONTWRITEBYTECODE=1"].into_iter().flat_map(|one| ["--env", one]);
    let mut arguments = vec!["create", "--name", container, "--label", &label];
    arguments.extend(fixed);
    arguments.extend(surroundings);
    arguments.extend(["--security-opt", "label=disable", "--mount", &mount]);
    arguments.extend(&way.create);
    arguments.extend([image, "-c", &script]);
    way.say(&arguments).map(drop)
}

/// Runs the installer; what it says goes to a file, of which the end is told when it fails.
fn run(store: &Store, way: &Way, container: &str) -> anyhow::Result<()> {
    let scratch = store.scratch()?;
    let path = scratch.path().join("installer.log");
    let failed = || format!("failed to write `{}`", path.display());
    let log = File::options().create_new(true).read(true).write(true).open(&path).with_context(failed)?;
    let twin = || log.try_clone().with_context(failed);
    let status = way
        .command()
        .args(["start", "--attach", container])
        .stdin(Stdio::null())
        .stdout(twin()?)
        .stderr(twin()?)
        .status()
        .with_context(|| format!("failed to run `{} start`", way.program))?;
    if status.success() {
        return Ok(());
    }
    let (mut log, mut said) = (log, Vec::new());
    let end = log.seek(SeekFrom::End(0)).with_context(failed)?;
    log.seek(SeekFrom::Start(end.saturating_sub(4000)))
        .and_then(|_| log.read_to_end(&mut said))
        .with_context(failed)?;
    let said = String::from_utf8_lossy(&said);
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
    way: &Way,
    container: &str,
    consume: impl FnOnce(&mut ChildStdout) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let failed = || format!("failed to run `{} export`", way.program);
    let mut command = way.command();
    command.args(["export", container]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
fn described(changes: &Changes) -> Installed {
    let inside = |path: &str| ROOTS.iter().any(|root| is_within(path, root));
    let (mut outside, mut setid, mut entries) = (Vec::new(), Vec::new(), 0);
    let mut dirs = changes.parents.clone();
    for (path, kept) in &changes.kept {
        let path = path.path();
        let others: Vec<String> = match &kept.kind {
            Kind::File { others, .. } => others.iter().map(changes::Ordered::path).collect(),
            _ => Vec::new(),
        };
        if kept.kind == Kind::Dir {
            dirs.insert(path.clone(), kept.attr);
        }
        for path in std::iter::once(path).chain(others) {
            entries += 1;
            if matches!(kept.kind, Kind::File { .. }) && kept.attr.mode & 0o6000 != 0 {
                setid.push(path.clone());
            }
            if !inside(&path) {
                outside.push(path);
            }
        }
    }
    let latest = changes.kept.contains_key(&changes::Ordered::new(LATEST.trim_start_matches('/')));
    let (removed, dropped) = (changes.removed.clone(), changes.dropped);
    Installed { layers: Vec::new(), entries, wheels: Vec::new(), outside, setid, removed, dropped, latest, dirs }
}
