//! From the recipe to the plan: what it is made of is gathered, and where CANN has to be installed to know it, that is done.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Context;
use image_name::Timestamp;
use oci_image::{BaseIndex, Store};
use wheel_layer::WheelFacts;

use super::ImageArgs;
use crate::{
    build,
    cann::{self, Installed, Job, Kept, Variables},
    engine,
    options::{Call, Inspect, MediaTypes},
    plan::{self, CannInput, CannStep, Inputs, Plan},
    recipe::{self, Recipe},
    record,
    resolve::{
        accounts,
        base::OpenImage,
        bytecode::{self, Interpreter, Pool},
        fetch::{self, Pins},
        front, inputs,
        inspection::{self, Completed, Reach},
        lock::{self, Lock},
        own_file::PlannedFile,
        packages::{self, Installer, Package, Wheel},
        place,
        scripts::{self, Origin, scripts_folder},
        system,
    },
    terminal::{
        clock,
        progress::Progress,
        report::{self, WithHint},
    },
};

/// What is about to be built.
pub(super) struct Planned {
    pub plan: Plan,
    pub recipe: Recipe,
    pub opened: OpenImage,
    /// The base in the engine that installed CANN, if `--load` takes the same one: it need not be given it once more.
    pub with_base: Option<Kept>,
    /// What compiles the modules that are not in the store.
    pub pool: Option<Pool>,
}

/// All that a plan is made of, but for what CANN's installer leaves.
struct Gathered {
    recipe: Recipe,
    call: Call,
    timestamp: Timestamp,
    notes: Vec<String>,
    opened: OpenImage,
    index: Option<BaseIndex>,
    wheels: Vec<Wheel>,
    installers: Vec<Installer>,
    files: Vec<PlannedFile>,
    of_system: Vec<Package>,
    origin: Origin,
}

/// Plans the image. Unless it is a dry run, CANN is installed for that.
pub(super) fn planned(
    args: &ImageArgs,
    call: &Call,
    store: &Store,
    load_into: Option<&'static str>,
    with_wheels: bool,
    progress: &Progress,
) -> anyhow::Result<Planned> {
    let gathered = gather(args, call, store, with_wheels, progress)?;
    let Gathered { recipe, call, timestamp, notes, opened, index, wheels, installers, files, of_system, origin } =
        gathered;
    let folders = inputs::folders(&args.recipe);
    let mut inputs = Inputs {
        recipe: &recipe,
        timestamp,
        wheels,
        cann: None,
        files,
        system: system::input(&of_system, &folders.system, store, index.as_ref())?,
        scripts: scripts::find(&origin, &recipe, store, index.as_ref())?,
        origin,
        front: front::of_base(store, index.as_ref())?,
        accounts: accounts::of_base(store, index.as_ref())?,
        base: &opened.base,
        notes,
        index: index.as_ref(),
        allow_missing: args.allow_missing,
        with_wheels,
        call: &call,
        fetched: fetch::was_here(&folders.pypi),
        scripts_folder: scripts_folder(&args.recipe),
        bytecode: None,
        oci: args.media_types == MediaTypes::Oci,
    };
    let job = cann_job(&inputs, &installers);
    let engine = look_for_cann(&mut inputs, &job, args, store)?;
    if !inputs.wheels.is_empty() || !job.installers.is_empty() {
        let release = bytecode::release(&recipe, inputs.index);
        inputs.bytecode = bytecode::or_without(&recipe, release, progress)?.flatten();
    }
    let (mut plan, mut interpreter) = plan_and_interpreter(&mut inputs, None, args, store, progress)?;
    let mut kept = None;
    // What is wrong is said before an installer runs for minutes; what it leaves is planned after it.
    if !args.dry_run
        && let Some(engine) = engine
    {
        let (installed, variables, of_engine) = cann::install(store, &job, &opened, engine, progress)?;
        // Saves the engine to be given the base once more.
        kept = of_engine.map(|kept| (engine, kept));
        let installed = installed.into_iter().map(Some).collect();
        set_cann(&mut inputs, &job, (installed, variables), None, store)?;
        (plan, interpreter) = plan_and_interpreter(&mut inputs, interpreter, args, store, progress)?;
    }
    let mut pool = None;
    if !args.dry_run
        && let Some(interpreter) = interpreter
    {
        let has_base = kept.as_ref().map(|(engine, _)| *engine);
        let started = interpreter.pool(&recipe, &opened, has_base, store, progress);
        pool = bytecode::or_without(&recipe, started, progress)?;
        if pool.is_none() {
            inputs.bytecode = None;
            plan = Plan::new(&inputs)?;
        }
    }
    let with_base = kept.filter(|(engine, _)| load_into == Some(engine)).map(|(_, kept)| kept);
    Ok(Planned { plan, recipe, opened, with_base, pool })
}

/// Finds and opens all that there is, or says all that is wrong with it.
fn gather(
    args: &ImageArgs,
    call: &Call,
    store: &Store,
    with_wheels: bool,
    progress: &Progress,
) -> anyhow::Result<Gathered> {
    let timestamp = match args.timestamp {
        Some(timestamp) => timestamp,
        None => clock::now_local()?,
    };
    let recipe_file = place::recipe_file(args.recipe.recipe.as_deref())?;
    if !args.dry_run {
        record::begin(store, &recipe_file)?;
    }
    let draft = inputs::draft(&args.recipe, args.base.as_deref(), store, progress)?;
    let inspect = if args.no_inspect { Inspect::Never } else { args.inspect };
    let reach = Reach { registry: &args.registry, inspect, store, progress };
    let call = match draft.asks_base() {
        true => call.upon(args.base.as_deref()),
        false => call.clone(),
    };
    let ready = |recipe: &Recipe| match with_wheels {
        true => inputs::vendor_packages(&args.recipe, recipe, &call, store),
        false => Ok(()),
    };
    let decides_bytecode = draft.decides_bytecode();
    let Completed { recipe, mut notes, opened, index } = inspection::complete(draft, &args.recipe, reach, ready)?;
    // A plan is made of what is there: to download is left to `fetch` and to the build.
    let folders = inputs::folders(&args.recipe);
    if args.recipe.sample && !args.dry_run {
        if !packages::by_hand(&recipe, &folders)? {
            fetch::fetch(&recipe, &folders.pypi, &Pins::default(), &call, store, progress)?;
        }
        if !recipe.system.packages.is_empty() {
            let index =
                index.as_ref().context("`system.packages` needs to know the base").hint("leave out `--no-inspect`")?;
            system::fetch(&recipe, &folders.system, index, &BTreeSet::new(), false, store, progress)?;
        }
    }
    let origin = scripts::origin(&recipe, scripts_folder(&args.recipe));
    let packages = || {
        let _step = progress.step("reading the packages");
        if !with_wheels {
            let found = packages::survey(&recipe, &folders, store, &call)?.0.packages;
            let installers: Vec<Package> = found.into_iter().filter(Package::is_installer).collect();
            return Ok((packages::contents(installers.clone(), store, &call)?, installers));
        }
        let found = inputs::packages(&args.recipe, &recipe, &call, store, progress)?;
        Ok((packages::contents(found.clone(), store, &call)?, found))
    };
    // A base to which nothing can be added is said before that nothing was fetched for it.
    if let Some(index) = index.as_ref().filter(|_| !recipe.system.packages.is_empty()) {
        system::release(&recipe, index)?;
    }
    let of_system = match with_wheels {
        true => system::packages(&recipe, &folders.system, store, &call),
        false => Ok(Vec::new()),
    };
    let found = report::both(packages(), inputs::own_files(&recipe, store));
    let found = report::both(found, of_system);
    let found = report::both(found, scripts::packages(&origin));
    let (found, mut opened) = inputs::with_base(found, opened, &recipe, &args.registry, store, progress)?;
    let (((((wheels, installers), mut pinned), files), of_system), of_scripts) = found;
    if !args.recipe.sample && with_wheels {
        let lock = Lock::load(&lock::path(args.recipe.recipe.as_deref(), args.recipe.stack.as_deref()))?;
        pinned.extend(of_system.iter().cloned());
        pinned.extend(of_scripts);
        for note in lock::verify(lock.as_ref(), &recipe, &pinned, &opened.base.manifest_digest, &call)? {
            progress.line(&format!("note: {note}"));
        }
    }
    let needed = is_needed(&recipe, &origin, !wheels.is_empty(), &files) || may_have_cann(&recipe, &installers);
    let index = match index {
        Some(index) => Some(index),
        None => inspection::index(&origin, needed, &recipe, &opened, reach)?,
    };
    if let Some(note) = index.as_ref().and_then(|index| opened.base.correct_labels(&index.compressions)) {
        progress.line(&format!("note: {note}"));
    }
    if !decides_bytecode && !wheels.is_empty() {
        notes.push(bytecode::UNDECIDED.to_owned());
    }
    Ok(Gathered { recipe, call, timestamp, notes, opened, index, wheels, installers, files, of_system, origin })
}

/// The plan, and the Python that compiles what it needs, if that is not in the store; `interpreter` is one that was
/// found before. Without one, and unless the recipe insists, the plan is that of an image without bytecode.
fn plan_and_interpreter(
    inputs: &mut Inputs<'_>,
    interpreter: Option<Interpreter>,
    args: &ImageArgs,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<(Plan, Option<Interpreter>)> {
    let mut plan = Plan::new(inputs)?;
    let Some(release) = plan.bytecode.filter(|_| interpreter.is_none()) else { return Ok((plan, interpreter)) };
    if !build::compiles(store, &plan)? {
        return Ok((plan, None));
    }
    let found = bytecode::or_without(inputs.recipe, bytecode::find(release, args.engine), progress)?;
    match &found {
        Some(interpreter) => {
            progress.line(&format!("note: modules are compiled for Python {release} by {interpreter}"));
        }
        None => {
            inputs.bytecode = None;
            plan = Plan::new(inputs)?;
        }
    }
    Ok((plan, found))
}

/// What of CANN is to be installed and learned.
fn cann_job<'a>(inputs: &Inputs<'a>, installers: &'a [Installer]) -> Job<'a> {
    let Inputs { recipe, base, index, .. } = *inputs;
    let max_layer = |package| plan::max_layer_of_cann(recipe, base.layers.len(), package);
    let kinds = installers.iter().map(|one| &one.package.kind);
    Job {
        base: base.manifest_digest,
        dirs: index.map(|index| &index.dirs),
        cann: &recipe.cann,
        installers: installers.iter().map(|one| (one, max_layer(&one.package))).collect(),
        sourced: plan::sourced_of_cann(recipe, base, index, kinds),
        variables: base.config.env().into_iter().collect(),
    }
}

/// Notes CANN as the store has it; gives the engine that has to run what is missing. Without one nothing can be
/// installed; what only sets variables is left to the base's entry point then.
fn look_for_cann(
    inputs: &mut Inputs<'_>,
    job: &Job<'_>,
    args: &ImageArgs,
    store: &Store,
) -> anyhow::Result<Option<&'static str>> {
    let known = job.known(store)?;
    let engine = match job.is_whole(&known) {
        true => None,
        false if job.installers.is_empty() => engine::program(args.engine).ok(),
        false => Some(engine::program(args.engine).context("CANN's installer has to be run in a container")?),
    };
    set_cann(inputs, job, known, engine, store).map(|()| engine)
}

/// Notes what installers left; the wheels in it are wheels like the others.
fn set_cann(
    inputs: &mut Inputs<'_>,
    job: &Job<'_>,
    (installed, variables): (Vec<Option<Installed>>, Option<Variables>),
    engine: Option<&'static str>,
    store: &Store,
) -> anyhow::Result<()> {
    for wheel in installed.iter().flatten().flat_map(|installed| &installed.wheels) {
        let (sha256, size) = (wheel.sha256, wheel.size);
        // Some versions have the same wheel in two folders.
        if inputs.wheels.iter().any(|known| known.package.sha256 == sha256) {
            continue;
        }
        let path = cann::named(store, wheel)?;
        let facts = WheelFacts::cached(store, &path, &sha256)
            .with_context(|| format!("failed to read CANN's own wheel `{}`", wheel.path))
            .hint("leave it out: set `cann.wheels`")?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let package = Package { kind: recipe::CANN.to_owned(), file, path, size, sha256 };
        inputs.wheels.push(Wheel { package, facts: Arc::new(facts) });
    }
    let packages = job.installers.iter().map(|(installer, _)| installer.package.clone());
    let steps = packages.zip(installed).map(|(package, installed)| CannStep { package, installed }).collect();
    let is_any = !job.installers.is_empty() || job.sourced.is_some();
    inputs.cann = is_any.then_some(CannInput { steps, engine, sourced: job.sourced, variables });
    Ok(())
}

/// Whether the variables of the image depend on which CANN the base has.
fn may_have_cann(recipe: &Recipe, installers: &[Installer]) -> bool {
    let is_installed = installers.iter().any(|one| one.package.kind == recipe::CANN);
    recipe.versions.cann().is_some_and(|version| !recipe::is_of_table(version)) && !is_installed
}

/// Whether the base has to be inspected for the plan: its scripts are to be patched, wheels may replace what it has
/// installed and require it, `[system]` adds packages to its own, it may lack the image's user, `[layout.dirs]` was
/// written for another one, or own files lie in folders that it does not name.
fn is_needed(recipe: &Recipe, origin: &Origin, wheels: bool, files: &[PlannedFile]) -> bool {
    let named = |folder: &str| recipe.layout.dirs.keys().any(|path| path.as_str() == folder);
    let is_known = |file: &PlannedFile| file.to.match_indices('/').skip(1).all(|(end, _)| named(&file.to[..end]));
    let user = recipe.user.account.is_some();
    let system = !recipe.system.packages.is_empty();
    wheels || user || system || *origin == Origin::Base || !recipe.base.is_standard() || !files.iter().all(is_known)
}

#[cfg(test)]
mod tests {
    use image_name::Digest;

    use super::*;

    #[test]
    fn a_base_is_inspected_where_own_files_lie_in_folders_that_nobody_names() {
        let recipe = Recipe::parse("", "image.toml", std::path::Path::new("."), recipe::Overrides::default()).unwrap();
        let needed = ["/home/ma-user/x", "/home/ma-user/code/x"].map(|to| {
            let sha256 = Digest::from_bytes([0; 32]);
            let file =
                PlannedFile { from: "x".into(), to: to.to_owned(), mode: 0o644, uid: 0, gid: 0, sha256, size: 0 };
            is_needed(&recipe, &Origin::Kept, false, &[file])
        });
        assert_eq!(needed, [false, true]);
    }
}
