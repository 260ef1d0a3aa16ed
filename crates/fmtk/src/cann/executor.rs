//! Runs the installer in a container of the base: packages read-only, no network, nothing built by the engine.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::Stdio,
    time::Instant,
};

use anyhow::{Context, anyhow, ensure};
use oci_image::{Lock, Store, is_within};

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
        machine::free_space,
        progress::{self, Progress, Step},
        report::{self, WithHint},
    },
};

/// The installer, as it was found and checked.
pub struct Installer<'a> {
    pub path: &'a Path,
    /// The program of its first line.
    pub interpreter: &'a str,
}

/// What the engine has as long as this is kept: the container, and the base under a name that other runs would use too.
pub struct Kept {
    // Dropped in this order: the name is free before its lock is.
    _containers: Containers,
    _lock: Lock,
}

/// Installs CANN, unless another run has done so in the meantime.
pub fn install(
    store: &Store,
    key: &CannKey<'_>,
    installer: &Installer<'_>,
    opened: &OpenImage,
    program: &'static str,
    progress: &Progress,
) -> anyhow::Result<(Installed, Option<Kept>)> {
    let started = Instant::now();
    let lock = store.lock("cann")?;
    if let Some(installed) = cached(store, key)? {
        return Ok((installed, None));
    }
    let size = installer.path.metadata().map_or(0, |metadata| metadata.len());
    check_disks(store.root(), engine::storage(program).as_deref(), size, opened.base.size(), free_space)?;
    let base_name = format!("localhost/fmtk-base:{}", engine::here(store));
    let containers = Containers::new("cann", 1, Some(&base_name), 0, program, store, progress)?;
    progress.line(&format!("loading the base into {program}, for CANN's installer"));
    let image = base::as_image(store, opened)?;
    let source = base::Fallback { store, other: opened };
    let id = engine::load(&containers.way, &image, &source, &base_name, progress)?;

    let command = create(&containers, &id, key, installer)?;
    let before = export(&containers, &progress.step("reading the base's files"), |export| changes::snapshot(export))?;
    progress.line("running CANN's installer for arm64; under emulation that takes minutes");
    run(store, &containers, &command, progress)?;
    progress.line(&format!("reading what it wrote, after {}", progress::seconds(started.elapsed())));
    let after = export(&containers, &progress.step("reading all files"), |export| changes::snapshot(export))?;
    let changes = changes::compare(&before, &after, &key.cann.drop.matcher(), key.dirs)?;
    drop((before, after));
    wrote_something(&changes)?;
    let wheels = key.cann.wheels.matcher();
    let step = progress.step("building layers from what it wrote");
    let (layers, wheels) =
        export(&containers, &step, |export| layers::write(store, &changes, export, &wheels, key.max_layer))?;
    drop(step);
    let installed = Installed { layers, wheels, ..described(changes) };
    remember(store, key, &installed)?;
    progress.line(&format!("installed CANN in {}", progress::seconds(started.elapsed())));
    Ok((installed, Some(Kept { _containers: containers, _lock: lock })))
}

/// Refuses what would fill a disk after minutes. The store gets what is installed, in layers, and the engine that and the
/// base. What is not known is no obstacle.
fn check_disks(
    store: &Path,
    engine: Option<&Path>,
    installer: u64,
    base: u64,
    free: impl Fn(&Path) -> Option<u64>,
) -> anyhow::Result<()> {
    let of_engine = base.saturating_mul(3).saturating_add(installer.saturating_mul(4));
    for (folder, needed, other) in [
        (Some(store), installer.saturating_mul(3), "name another folder with `--store DIR`"),
        (engine, of_engine, "choose the other engine with `--engine`"),
    ] {
        if let Some(folder) = folder
            && let Some(free) = free(folder)
            && free < needed
        {
            let [free, needed] = [free, needed].map(progress::bytes);
            return Err(anyhow!(
                "`{}` has {free} of free disk space, and CANN's installation takes up to {needed} there",
                folder.display()
            ))
            .hint(format!("free disk space there, or {other}"));
        }
    }
    Ok(())
}

/// Creates the container, and gives the command line that it will run.
fn create(
    containers: &Containers,
    image: &str,
    key: &CannKey<'_>,
    installer: &Installer<'_>,
) -> anyhow::Result<String> {
    let path = installer.path.canonicalize();
    let path = path.with_context(|| format!("failed to find `{}`", installer.path.display()))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let command = script::command(installer.interpreter, &file);
    let script = script::script(key.cann, &command);
    let mount = engine::mount(path.parent().unwrap_or(Path::new("/")), MOUNT, true);
    let options = ["--user", "0:0", "--workdir", "/", "--hostname", "fmtk", "--mount", &mount];
    // Languages and zones change what programs write; compiled files would be dropped anyway.
    let surroundings = ["LC_ALL=C", "TZ=UTC", "PYTHONDONTWRITEBYTECODE=1"].into_iter().flat_map(|one| ["--env", one]);
    let options: Vec<String> = options.into_iter().chain(surroundings).map(str::to_owned).collect();
    containers.create(0, &options, image, &["/bin/sh", "-c", &script].map(str::to_owned))?;
    Ok(command)
}

/// Bytes of the installer's output in which a failure is looked for.
const TAIL: u64 = 64 << 10;

/// Runs the installer. What it says goes to a file, which stays in the store until the next one is run.
fn run(store: &Store, containers: &Containers, command: &str, progress: &Progress) -> anyhow::Result<()> {
    let path = store.root().join("logs/cann-installer.log");
    let failed = || format!("failed to write `{}`", path.display());
    fs::create_dir_all(store.root().join("logs")).with_context(failed)?;
    let log = File::create(&path).with_context(failed)?;
    let last = {
        let path = path.clone();
        move || lines(&tail(&path, 1000).unwrap_or_default()).last().copied().unwrap_or_default().to_owned()
    };
    let step = progress.told_by("CANN's installer", last);
    let status = containers
        .start(0)
        .stdout(log.try_clone().with_context(failed)?)
        .stderr(log)
        .status()
        .with_context(|| format!("failed to run `{} start`", containers.way.program))?;
    drop(step);
    if status.success() {
        return Ok(());
    }
    let said = tail(&path, TAIL).with_context(|| format!("failed to read `{}`", path.display()))?;
    Err(anyhow!("CANN's installer ended with {status}{}", explained(&said, command))).hint(format!(
        "its full output is in `{}`; if it asks for a user HwHiAiUser, give `--set cann.user=true`",
        path.display()
    ))
}

/// The lines of what a program said; one that it wrote over is one too.
fn lines(said: &str) -> Vec<&str> {
    said.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

/// Why an installer failed, as far as it says: the line that decides, what was run, and its last lines.
fn explained(said: &str, command: &str) -> String {
    let lines = lines(said);
    // What CANN's installers mark as an error comes before the errors that follow from it.
    let is_marked = |line: &&&str| line.contains("[ERROR]") || line.contains("ERR_NO");
    let is_like_one = |line: &&&str| {
        let line = line.to_lowercase();
        ["error", "fail", "cannot", "can't", "denied", "no such", "not found", "no space"]
            .iter()
            .any(|word| line.contains(word))
    };
    let decisive = lines.iter().find(is_marked).or_else(|| lines.iter().rev().find(is_like_one)).or(lines.last());
    let run = format!("it was run in a container of the base as:\n    {command}");
    let Some(decisive) = decisive else { return format!(" and printed nothing\n{run}") };
    let last = lines[lines.len().saturating_sub(20)..].join("\n    ");
    format!(": {}\n{run}\nits last lines:\n    {last}", decisive.trim_start())
}

/// Streams the container's files through `consume`.
fn export<T, E: Into<anyhow::Error>>(
    Containers { way, names, .. }: &Containers,
    step: &Step,
    consume: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> anyhow::Result<T> {
    let failed = || format!("failed to run `{} export`", way.program);
    let mut command = way.command();
    command.arg("export").args(names).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = engine::bound(&mut command).spawn().with_context(failed)?;
    let mut stdout = child.stdout.take().with_context(failed)?;
    let consumed = consume(&mut step.count(&mut stdout));
    // Bytes behind the archive's end would else block the engine.
    let rest = std::io::copy(&mut stdout, &mut std::io::sink());
    drop(stdout);
    let output = child.wait_with_output().with_context(failed)?;
    let said = || engine::said(output.status, &output.stderr);
    ensure!(output.status.success(), "`{} export` failed: {}", way.program, said());
    rest.with_context(failed)?;
    consumed.map_err(Into::into).context("failed to read what CANN's installer wrote")
}

/// An installer that says it succeeded and wrote nothing has not.
fn wrote_something(changes: &Changes) -> anyhow::Result<()> {
    if changes.kept.keys().any(|path| path.path().starts_with(&format!("{}/", ROOTS[0]))) {
        return Ok(());
    }
    Err(report::hinted(
        anyhow!("CANN's installer reported success, but wrote nothing to `{}`", ROOTS[0]),
        "check whether `cann.drop` lists it",
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

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_disk_that_is_too_small_is_told_before_anything_is_run() {
        let (store, engine) = (Path::new("/store"), Path::new("/engine"));
        let said = |of_store, of_engine, engine| {
            let free = |folder: &Path| if folder == store { of_store } else { of_engine };
            let checked = check_disks(store, engine, 1_000_000_000, 5_000_000_000, free);
            checked.map_err(|error| report::render(&error)).err().unwrap_or_default()
        };
        let (store_needs, engine_needs) = (Some(3_000_000_000), Some(19_000_000_000));
        assert_eq!(said(store_needs, engine_needs, Some(engine)), "");
        // An engine elsewhere, or a folder that is not known.
        assert_eq!(said(store_needs, Some(0), None) + &said(None, None, Some(engine)), "");
        expect![[r#"
            error: `/store` has 3.0 GB of free disk space, and CANN's installation takes up to 3.0 GB there
            hint: free disk space there, or name another folder with `--store DIR`
            error: `/engine` has 2.0 GB of free disk space, and CANN's installation takes up to 19.0 GB there
            hint: free disk space there, or choose the other engine with `--engine`
        "#]]
        .assert_eq(
            &(said(Some(2_999_999_999), engine_needs, Some(engine))
                + &said(store_needs, Some(2_000_000_000), Some(engine))),
        );
    }

    #[test]
    fn a_failing_installer_is_told_with_the_line_that_decides_and_what_was_run() {
        let said = |said: &str| explained(said, "/bin/sh /x.run --quiet");
        expect![[r"
            : [Toolkit] [ERROR]: ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists!
            it was run in a container of the base as:
                /bin/sh /x.run --quiet
            its last lines:
                Uncompressing 100%
                [Toolkit] [ERROR]: ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists!
                [Toolkit] [ERROR]: install failed
                cleaning up"]]
        .assert_eq(&said("Uncompressing 100%\r\n[Toolkit] [ERROR]: ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists!\n\n[Toolkit] [ERROR]: install failed\ncleaning up\n"));
        let first = |text: &str| said(text).lines().next().unwrap_or_default().to_owned();
        assert_eq!(first("cp: No space left on device\nbye"), ": cp: No space left on device");
        assert_eq!(first("one\ntwo\n"), ": two");
        assert_eq!(first("\r\n"), " and printed nothing");
        assert_eq!(said(&"line\n".repeat(100)).matches("    line").count(), 20);
    }
}
