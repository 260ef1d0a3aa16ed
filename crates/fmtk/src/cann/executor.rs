//! Runs each installer in a container of what lies below it: packages read-only, no network, nothing built by the engine.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Child, Stdio},
    time::Instant,
};

use anyhow::{Context, anyhow, ensure};
use oci_image::{Layer, Lock, ParentDirs, Store, is_within};

use super::{
    ENVIRONMENT, Installed, Job, LATEST, ROOTS,
    changes::{self, Changes, Kind, Ordered},
    environment::{self, Sourced, Variables},
    layers, remember,
    script::{self, MOUNT},
};
use crate::{
    engine,
    recipe::NNAL,
    resolve::{
        base::{self, OpenImage},
        containers::{Containers, Network, tail},
        packages::Installer,
    },
    terminal::{
        machine::free_space,
        progress::{self, Progress, Step},
        report::{self, WithHint},
    },
};

/// What the engine has as long as this is kept: containers, and the base under a name that other runs would use too.
pub struct Kept {
    // Dropped in this order: the name is free before its lock is.
    _containers: Containers,
    _lock: Lock,
}

/// What each installer wrote, the variables that were learned, and what the engine has of it.
pub type Done = (Vec<Installed>, Option<Variables>, Option<Kept>);

/// Does what of the job is not in the store; another run may have done all of it in the meantime.
pub fn install(
    store: &Store,
    job: &Job<'_>,
    opened: &OpenImage,
    program: &'static str,
    progress: &Progress,
) -> anyhow::Result<Done> {
    let started = Instant::now();
    let lock = store.lock("cann")?;
    let known = job.known(store)?;
    let is_whole = job.is_whole(&known);
    let (known, mut variables) = known;
    if is_whole {
        return Ok((known.into_iter().flatten().collect(), variables, None));
    }
    let missing = job.missing(&known);
    let size = missing.iter().map(|package| package.size).sum();
    check_disks(store.root(), engine::storage(program).as_deref(), size, opened.base.size(), free_space)?;
    // The last installer's container learns the variables too. Where it is not run, one is there for that alone.
    let sourced = job.sourced.filter(|_| variables.is_none());
    let alone = sourced.filter(|_| known.last().is_none_or(Option::is_some));
    let names = (0..missing.len() + alone.iter().len()).map(|run| match run {
        0 => format!("localhost/fmtk-base:{}", engine::here(store)),
        _ => format!("localhost/fmtk-base:{}-{run}", engine::here(store)),
    });
    let images: Vec<String> = names.collect();
    let containers = Containers::new("cann", images.len(), &images, 0, program, store, progress)?;
    let mut bench = Bench { store, job, opened, containers, images, progress, run: 0, there: 0 };
    let (keys, of_variables) = job.keys()?;
    let mut printed = None;
    let mut installed: Vec<Installed> = Vec::new();
    for (number, known) in known.into_iter().enumerate() {
        let one = match known {
            Some(known) => known,
            None => {
                let learns = sourced.filter(|_| number + 1 == keys.len());
                let (one, said) = bench.install(number, &installed, learns)?;
                remember(store, &keys[number], &one)?;
                printed = learns.map(|_| said);
                one
            }
        };
        installed.push(one);
    }
    if let Some(sourced) = alone {
        let container =
            bench.container(&installed, Vec::new(), &environment::learn(job.cann, sourced, &job.variables))?;
        printed = Some(bench.run(container, None)?);
    }
    if let Some(printed) = printed {
        let learned = environment::learned(&printed, job.cann, &job.variables)?;
        let failed = "failed to remember CANN's variables";
        store.put_record(ENVIRONMENT, &of_variables, &learned).context(failed)?;
        variables = Some(learned);
    }
    let done = if missing.is_empty() { "learned CANN's variables" } else { "installed CANN" };
    progress.line(&format!("{done} in {}", progress::seconds(started.elapsed())));
    Ok((installed, variables, Some(Kept { _containers: bench.containers, _lock: lock })))
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

/// Where containers are run, one after the other.
struct Bench<'a> {
    store: &'a Store,
    job: &'a Job<'a>,
    opened: &'a OpenImage,
    containers: Containers,
    /// The names of the images that the containers are made of, by number.
    images: Vec<String>,
    progress: &'a Progress,
    /// The number of the next container.
    run: usize,
    /// How many layers of the next image the engine has.
    there: usize,
}

impl Bench<'_> {
    /// Creates a container of the base with these layers upon it, which will run the script; gives its number.
    fn container(&mut self, below: &[Installed], options: Vec<String>, script: &str) -> anyhow::Result<usize> {
        let Self { store, opened, containers, progress, .. } = self;
        let layers: Vec<Layer> = below.iter().flat_map(|one| one.layers.clone()).collect();
        let more = if layers.is_empty() { "" } else { ", with what is installed upon it" };
        progress.line(&format!("loading the base into {}, for CANN's installer{more}", containers.way.program));
        let image = base::as_image(store, opened, &layers)?;
        let source = base::Fallback { store, other: *opened };
        let number = self.run;
        let id = engine::load_upon(self.there, &containers.way, &image, &source, &self.images[number], progress)?;
        (self.run, self.there) = (number + 1, image.layers.len());
        let usual = ["--user", "0:0", "--workdir", "/", "--hostname", "fmtk"].map(str::to_owned);
        let options: Vec<String> = usual.into_iter().chain(options).collect();
        containers.create(number, Network::Own, &options, &id, &["/bin/sh", "-c", script].map(str::to_owned))?;
        Ok(number)
    }

    /// Runs the installer of this number upon what is below it; gives what it wrote, and what was printed of variables.
    fn install(
        &mut self,
        number: usize,
        below: &[Installed],
        learns: Option<Sourced>,
    ) -> anyhow::Result<(Installed, Vec<u8>)> {
        let started = Instant::now();
        let Job { cann, installers, variables, dirs, .. } = self.job;
        let (Installer { package, interpreter }, max_layer) = installers[number];
        let path = package.path.canonicalize();
        let path = path.with_context(|| format!("failed to find `{}`", package.path.display()))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let command = script::command(interpreter, &file);
        // nnal looks for its toolkit by the toolkit's variables.
        let within = (package.kind == NNAL).then_some(Sourced::All);
        let learn = learns.map(|sourced| environment::learn(cann, sourced, variables)).unwrap_or_default();
        let script = script::script(cann, &command, within, &learn);
        let mount = engine::mount(path.parent().unwrap_or(Path::new("/")), MOUNT, true);
        // Languages and zones change what programs write; compiled files would be dropped anyway.
        let surroundings =
            ["LC_ALL=C", "TZ=UTC", "PYTHONDONTWRITEBYTECODE=1"].into_iter().flat_map(|one| ["--env", one]);
        let options = ["--mount", &mount].into_iter().chain(surroundings).map(str::to_owned).collect();
        let container = self.container(below, options, &script)?;

        let before = self
            .export(container, &self.progress.step("reading the base's files"), |export| changes::snapshot(export))?;
        self.progress.line(&format!("running `{}` for arm64; under emulation that takes minutes", package.file));
        let printed = self.run(container, Some(&command))?;
        self.progress.line(&format!("reading what it wrote, after {}", progress::seconds(started.elapsed())));
        let after =
            self.export(container, &self.progress.step("reading all files"), |export| changes::snapshot(export))?;
        // Those of the base, and what installers below made of them.
        let dirs = dirs.map(|dirs| {
            let of_below = below.iter().flat_map(|one| &one.dirs);
            dirs.iter().chain(of_below).map(|(path, attr)| (path.clone(), *attr)).collect::<ParentDirs>()
        });
        let changes = changes::compare(&before, &after, &cann.drop.matcher(), dirs.as_ref())?;
        drop((before, after));
        wrote_something(&changes)?;
        let wheels = cann.wheels.matcher();
        let step = self.progress.step("building layers from what it wrote");
        let (layers, wheels) =
            self.export(container, &step, |export| layers::write(self.store, &changes, export, &wheels, max_layer))?;
        Ok((Installed { layers, wheels, ..described(changes) }, printed))
    }
}

/// Bytes of the installer's output in which a failure is looked for.
const TAIL: u64 = 64 << 10;

impl Bench<'_> {
    /// Runs a container, and gives what it prints to stdout. What it says besides goes to a file, which stays in the store
    /// until the next one is run.
    fn run(&self, number: usize, installer: Option<&str>) -> anyhow::Result<Vec<u8>> {
        let Self { store, containers, progress, .. } = self;
        let path = store.root().join("logs/cann-installer.log");
        let failed = || format!("failed to write `{}`", path.display());
        fs::create_dir_all(store.root().join("logs")).with_context(failed)?;
        let log = File::create(&path).with_context(failed)?;
        let last = {
            let path = path.clone();
            move || lines(&tail(&path, 1000).unwrap_or_default()).last().copied().unwrap_or_default().to_owned()
        };
        let step = progress.told_by(installer.map_or("CANN's set_env.sh", |_| "CANN's installer"), last);
        let output = containers
            .start(number)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .and_then(Child::wait_with_output)
            .with_context(|| format!("failed to run `{} start`", containers.way.program))?;
        drop(step);
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = tail(&path, TAIL).with_context(|| format!("failed to read `{}`", path.display()))?;
        let log = format!("its full output is in `{}`", path.display());
        let status = output.status;
        match installer {
            Some(command) => Err(anyhow!("CANN's installer ended with {status}{}", explained(&said, command)))
                .hint(format!("{log}; if it asks for a user HwHiAiUser, give `--set cann.user=true`")),
            None => Err(anyhow!("the shell for CANN's `set_env.sh` ended with {status}: {}", said.trim())).hint(log),
        }
    }

    /// Streams the container's files through `consume`.
    fn export<T, E: Into<anyhow::Error>>(
        &self,
        number: usize,
        step: &Step,
        consume: impl FnOnce(&mut dyn Read) -> Result<T, E>,
    ) -> anyhow::Result<T> {
        let Containers { way, names, .. } = &self.containers;
        let failed = || format!("failed to run `{} export`", way.program);
        let mut command = way.command();
        command.arg("export").arg(&names[number]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
