//! From the recipe to the plan: what it is made of is gathered, and where CANN has to be installed to know it, that is done.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use image_name::Timestamp;
use oci_image::{BaseIndex, Layer, Noted, Store};
use wheel_layer::WheelFacts;

use super::ImageArgs;
use crate::{
    build::{self, Built},
    cann::{self, Installed, Job, Kept, Variables},
    engine,
    options::{Call, Inspect, MediaTypes},
    plan::{self, CannInput, CannStep, Inputs, Plan},
    recipe::{self, Recipe},
    resolve::{
        accounts,
        base::OpenImage,
        bytecode::{self, Interpreter, Pool},
        cache::{Caches, Carried, OrBase, Sources},
        fetch::{self, Pins},
        front, inputs,
        inspection::{self, Completed, Reach},
        lock::{self, Lock},
        own_file::PlannedFile,
        packages::{self, Installer, Package, Wheel},
        scripts::{self, Origin, scripts_folder},
        system,
    },
    terminal::{
        clock,
        progress::{self, Progress},
        report::{self, Problems, WithHint},
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
    /// Images whose layers may be taken.
    pub caches: Option<Arc<Caches>>,
    /// The store, with the images behind it. It notes what of CANN went into the plan, and the layers that are built.
    store: Store,
    noted: Arc<Mutex<Noted>>,
    installers: Vec<Installer>,
    /// The index of the base, and the files of it that this recipe asks for, where an image has to carry them.
    carried_index: Option<(BaseIndex, Vec<String>)>,
}

impl Planned {
    /// Builds the image. It carries what its layers were built from, unless it is the sample.
    pub fn build(&self, args: &ImageArgs, begun: u64, progress: &Progress) -> anyhow::Result<Built> {
        let Self { plan, opened, pool, store, caches, .. } = self;
        let source = self.source();
        let carry = || match args.recipe.sample {
            true => Ok(None),
            false => self.carried(progress),
        };
        let name = |layer: &Layer| caches.as_ref()?.name(&layer.digest, layer.size);
        build::build(
            store,
            plan,
            &opened.base,
            &source,
            &build::Run { begun, pool: pool.as_ref(), carry: &carry, place: &name },
            progress,
        )
    }

    /// The blobs that are not in the store.
    pub fn source(&self) -> OrBase<'_> {
        OrBase { caches: self.caches.as_deref(), base: &self.opened }
    }

    fn carried(&self, progress: &Progress) -> anyhow::Result<Option<String>> {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let carried = Carried::of(
            &Sources {
                noted: &noted,
                wheels: self.plan.wheels().map(|wheel| &wheel.installed).collect(),
                installers: &self.installers,
                index: self.carried_index.as_ref().map(|(index, files)| (index, files.as_slice())),
            },
            &self.store,
        )?;
        Ok(match carried.to_text()? {
            Ok(text) => Some(text),
            Err(length) => {
                progress.line(&format!(
                    "note: the image does not carry what its layers were built from, which would take {}; other machines \
                     can't take them from it",
                    progress::bytes(length as u64)
                ));
                None
            }
        })
    }
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
    caches: Option<Arc<Caches>>,
    /// The store, with the images behind it.
    store: Store,
    /// Whether the plan depends on what is in the base.
    needs_index: bool,
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
    let Gathered {
        recipe, call, timestamp, notes, opened, index, wheels, installers, files, of_system, origin, ..
    } = gathered;
    let (caches, needs_index) = (gathered.caches, gathered.needs_index);
    let (store, noted) = gathered.store.noting();
    let store = &store;
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
    let engine = look_for_cann(&mut inputs, &job, args, store, caches.as_deref())?;
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
        // What it would write upon layers of another machine has the key of what it writes upon this one's.
        let (installed, variables, of_engine) = cann::install(&store.alone(), &job, &opened, engine, progress)?;
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
    check_absent(store, &plan, caches.as_deref(), &call)?;
    plan.layers_from = layers_from(store, &plan, caches.as_deref())?;
    // Noted are only those of this very plan.
    noted.lock().unwrap_or_else(PoisonError::into_inner).clear();
    job.known(store)?;
    let asked = inspection::needed(&recipe, &inputs.origin)?;
    drop(inputs);
    let carried_index = index.filter(|_| needs_index).map(|index| (index, asked));
    let store = store.clone();
    Ok(Planned { plan, recipe, opened, with_base, pool, caches, store, noted, installers, carried_index })
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
    let draft = inputs::draft(&args.recipe, args.base.as_deref(), store, progress)?;
    let caches =
        Caches::new(&args.cache, &args.registry, &draft.recipe, args.recipe.sample, store, progress)?.map(Arc::new);
    let store = match &caches {
        Some(caches) => store.clone().before(caches.clone()),
        None => store.alone(),
    };
    let store = &store;
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
    let (decides_bytecode, asks_base) = (draft.decides_bytecode(), draft.asks_base());
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
            let found = packages::survey(&recipe, &folders, &[], store, &call)?.0.packages;
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
    let (needs_index, store) = (asks_base || needed, store.clone());
    Ok(Gathered {
        recipe,
        call,
        timestamp,
        notes,
        opened,
        index,
        wheels,
        installers,
        files,
        of_system,
        origin,
        caches,
        store,
        needs_index,
    })
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

/// Refuses a plan for which layers have to be built of packages that are not here.
fn check_absent(store: &Store, plan: &Plan, caches: Option<&Caches>, call: &Call) -> anyhow::Result<()> {
    let mut absent = Vec::new();
    for layer in plan.layers.iter().filter(|layer| layer.is_of_wheels()) {
        let lacking = layer.wheels().iter().filter(|wheel| !wheel.path.exists()).collect::<Vec<_>>();
        if !lacking.is_empty() && build::made(store, plan, layer)?.is_none() {
            absent.extend(lacking.into_iter().map(|wheel| (wheel.kind.as_str(), wheel.path.as_path())));
        }
    }
    refuse_absent(absent.into_iter(), "its layers, with this layout and this base, are not in", caches, call)
}

/// Says of each of these packages why it is needed, and how to have it.
fn refuse_absent<'a>(
    absent: impl Iterator<Item = (&'a str, &'a Path)>,
    reason: &str,
    caches: Option<&Caches>,
    call: &Call,
) -> anyhow::Result<()> {
    let mut absent = absent.peekable();
    if absent.peek().is_none() {
        // Nobody is asked for the names of images.
        return Ok(());
    }
    let names = caches.map(Caches::names).unwrap_or_default();
    let places = if names.is_empty() { "the store".to_owned() } else { format!("the store or {}", names.join(", ")) };
    let mut problems = Problems::default();
    for (kind, path) in absent {
        problems.push(
            format_args!("`{}` is not here, and it is needed: {reason} {places}", path.display()),
            Some(packages::way_to(kind, path, call)),
        );
    }
    problems.into_result()
}

/// Which image each layer of the plan is taken from, where it is not in the store.
fn layers_from(store: &Store, plan: &Plan, caches: Option<&Caches>) -> anyhow::Result<Vec<Option<String>>> {
    let Some(caches) = caches else { return Ok(Vec::new()) };
    let from = |layer| {
        let made = build::made(store, plan, layer)?.unwrap_or_default();
        anyhow::Ok(made.iter().find_map(|layer| caches.name(&layer.digest, layer.size)))
    };
    let from = plan.layers.iter().map(from).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(if from.iter().any(Option::is_some) { from } else { Vec::new() })
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
    caches: Option<&Caches>,
) -> anyhow::Result<Option<&'static str>> {
    let mut known = job.known(store)?;
    if !job.is_whole(&known) {
        // An installer is not run upon what another machine says: its layers would stay in the store.
        known = job.known(&store.alone())?;
        let absent: Vec<&Package> =
            job.missing(&known.0).into_iter().filter(|package| !package.path.exists()).collect();
        let reason = "its layers upon this base, with what the recipe says of CANN, are not in";
        refuse_absent(
            absent.into_iter().map(|package| (package.kind.as_str(), package.path.as_path())),
            reason,
            caches,
            inputs.call,
        )?;
    }
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
        let recipe = Recipe::parse("", "image.toml", Path::new("."), recipe::Overrides::default()).unwrap();
        let needed = ["/home/ma-user/x", "/home/ma-user/code/x"].map(|to| {
            let sha256 = Digest::from_bytes([0; 32]);
            let file =
                PlannedFile { from: "x".into(), to: to.to_owned(), mode: 0o644, uid: 0, gid: 0, sha256, size: 0 };
            is_needed(&recipe, &Origin::Kept, false, &[file])
        });
        assert_eq!(needed, [false, true]);
    }
}
