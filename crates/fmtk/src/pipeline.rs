//! `image`: from recipe, packages and base to an image in the store.

use std::{collections::BTreeMap, time::Instant};

use anyhow::Context;
use image_name::{Digest, ImageRef, Timestamp};
use makeself::Makeself;
use oci_image::{BaseIndex, Descriptor, IndexError, Store, TarError, UnpackError};
use serde_json::json;
use wheel_layer::WheelFacts;

use crate::{
    build::{self, Built},
    cann::{self, CannKey, Installed, Installer},
    engine,
    options::{Call, Engine, Format, MediaTypes, RecipeArgs, RegistryArgs},
    plan::{self, CannInput, Inputs, Plan, PlannedBase, WheelInput},
    recipe::{self, Recipe},
    record::{self, BuildRecord, RecordedBase, RecordedLayer},
    resolve::{
        base::{self, OpenImage},
        fetch, front,
        lock::{self, Lock},
        own_file::PlannedFile,
        packages::{self, Contents, Package},
        place,
        scripts::{self, Origin, scripts_folder},
        setup,
    },
    ship::{
        built_image::BuiltImage,
        output::{self, Output},
    },
    terminal::{
        clock,
        progress::{self, Progress},
        report::{self, WithHint},
    },
};

/// Flags of `image`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The image goes into the store, from which `cargo xtask push` takes it. Besides, --output writes it as
  oci:DIR              an OCI image layout, for skopeo and other tools; other images in it stay
  docker-archive:FILE  what `docker load` and `podman load` take
  context:DIR          a folder of which plain `docker build` or `podman build` makes the same image elsewhere
each whole or not at all.")]
pub struct ImageArgs {
    /// Where the recipe and the packages are.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the registry is reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
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
    /// Engine that runs CANN's installer, and that `--load` uses
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// Media types of the manifest
    #[arg(long, value_enum, default_value_t)]
    pub media_types: MediaTypes,
    /// Whether a base in a registry is streamed once to see what is in it
    #[arg(long, value_enum, default_value_t)]
    pub inspect: Inspect,
    /// The same as `--inspect never`
    #[arg(long, conflicts_with = "inspect")]
    pub no_inspect: bool,
    /// Build though a wheel requires a distribution that is nowhere
    #[arg(long)]
    pub allow_missing: bool,
}

/// When a base in a registry is streamed to see what is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Inspect {
    /// When the plan needs it (wheels, scripts to patch, folders that the recipe does not know) and it was not seen before
    #[default]
    Auto,
    /// When it was not seen before
    Always,
    /// Never, though it was seen before
    Never,
}

/// Runs the command.
pub fn run(args: &ImageArgs, call: &Call, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let started = Instant::now();
    // Wrong arguments are said before anything is downloaded.
    let outputs: Vec<Output> =
        args.output.iter().map(|text| text.parse()).collect::<anyhow::Result<_>>().context("bad `--output`").input()?;
    outputs.iter().try_for_each(Output::check).context("bad `--output`").input()?;
    let engine = args.load.then(|| engine::program(args.engine)).transpose()?;
    let timestamp = match args.timestamp {
        Some(timestamp) => timestamp,
        None => clock::now_local()?,
    };
    if !args.dry_run {
        record::begin(store, &place::workspace())?;
    }
    let recipe = setup::recipe(&args.recipe, args.base.as_deref(), store, progress)?;
    // A plan is made of what is there: to download is left to `fetch` and to the build.
    let by_hand = || packages::by_hand(&recipe, &setup::pkg_folder(&args.recipe));
    if args.recipe.sample && !args.dry_run && !by_hand()? {
        setup::fetch(&args.recipe, &recipe, store, progress)?;
    }
    let mut prepared = Prepared::new(args, &recipe, call, store, progress)?;
    let mut plan = Plan::new(&prepared.inputs(args, &recipe, call, timestamp)?)?;
    // What is wrong is said before an installer runs for minutes; what it leaves is planned after it.
    if !args.dry_run && prepared.install(args, &recipe, store, progress)? {
        plan = Plan::new(&prepared.inputs(args, &recipe, call, timestamp)?)?;
    }
    for warning in &plan.warnings {
        progress.warning(warning);
    }
    if args.dry_run {
        return say_plan(&plan, args.format);
    }
    progress.line(&format!("building {}:{}", plan.repository, plan.tag));
    let facts = prepared.facts();
    let opened = &prepared.opened;
    let built = build::build(store, &plan, &facts, &opened.base, opened, progress)?;
    let record = BuildRecord { sample: args.recipe.sample, ..recorded(&plan, &built) };
    let reference = &recipe.base.reference;
    let image = BuiltImage { record: &record, built: &built, config: &plan.config, reference, opened };
    for output in &outputs {
        progress.line(&format!("writing {output}"));
        output.write(&image, store)?;
    }
    if let Some(engine) = engine {
        progress.line(&format!("loading {} into {engine}", record.name()));
        output::load(&image, store, engine)?;
    }
    // Last, so that `push` does not take an image whose build is said to have failed.
    record.save(store, &place::workspace())?;
    progress.line(&format!("built {} in {}", built.image.digest, progress::seconds(started.elapsed())));
    say_built(&record, args.format)
}

/// The inputs as they were found.
struct Prepared {
    packages: Vec<Package>,
    facts: Vec<WheelFacts>,
    installer: Option<(Package, Makeself)>,
    cann: Option<CannInput>,
    files: Vec<PlannedFile>,
    opened: OpenImage,
    index: Option<BaseIndex>,
    scripts: Option<scripts::Found>,
    scripts_wanted: bool,
    replaced: front::Replaced,
}

impl Prepared {
    fn new(args: &ImageArgs, recipe: &Recipe, call: &Call, store: &Store, progress: &Progress) -> anyhow::Result<Self> {
        let origin = scripts::origin(recipe, scripts_folder(&args.recipe));
        let packages = || {
            let found = setup::packages(&args.recipe, recipe, call, store, progress)?;
            Ok((packages::contents(found.clone(), store, call)?, found))
        };
        let inputs = report::both(packages(), setup::own_files(recipe, store));
        let inputs = report::both(inputs, scripts::packages(&origin));
        let (inputs, opened) = setup::with_base(inputs, recipe, &args.registry, store, progress)?;
        let (((contents, mut pinned), files), of_scripts) = inputs;
        if !args.recipe.sample {
            let lock = Lock::load(&lock::path(args.recipe.recipe.as_deref()))?;
            pinned.extend(of_scripts);
            for note in lock::verify(lock.as_ref(), recipe, &pinned, &opened.base.manifest_digest, call)? {
                progress.line(&format!("note: {note}"));
            }
        }
        let Contents { wheels: packages, facts, installer } = contents;
        let needed = is_needed(recipe, &origin, !facts.is_empty(), &files);
        let index = index(args, &origin, needed, recipe, &opened, store, progress)?;
        let scripts = scripts::find(&origin, recipe, store, index.as_ref())?;
        let scripts_wanted = origin != Origin::Kept;
        let replaced = front::replaced(store, index.as_ref())?;
        let mut prepared =
            Self { packages, facts, installer, cann: None, files, opened, index, scripts, scripts_wanted, replaced };
        if let Some(wanted) = prepared.wanted(recipe) {
            let installed = cann::cached(store, &wanted)?;
            let engine = match installed {
                Some(_) => None,
                // Said now: without one there is nothing to be built.
                None => Some(engine::program(args.engine).context("CANN's installer has to be run in a container")?),
            };
            prepared.set_cann(store, engine, installed)?;
        }
        Ok(prepared)
    }

    /// What the layers of CANN depend on; none where there is no installer.
    fn wanted<'a>(&'a self, recipe: &'a Recipe) -> Option<CannKey<'a>> {
        let (package, _) = self.installer.as_ref()?;
        let dirs = self.index.as_ref().map(|index| &index.dirs);
        let oci_image::Base { manifest_digest, layers, .. } = &self.opened.base;
        let max_layer = plan::max_layer_of_cann(recipe, layers.len(), package.size);
        Some(CannKey { sha256: package.sha256, base: *manifest_digest, dirs, cann: &recipe.cann, max_layer })
    }

    /// Notes what is known of CANN; the wheels in it are wheels like the others.
    fn set_cann(
        &mut self,
        store: &Store,
        engine: Option<&'static str>,
        installed: Option<Installed>,
    ) -> anyhow::Result<()> {
        let Some((package, _)) = &self.installer else { return Ok(()) };
        for wheel in installed.iter().flat_map(|installed| &installed.wheels) {
            // Some versions have the same wheel in two folders.
            if self.packages.iter().any(|package| package.sha256 == wheel.sha256) {
                continue;
            }
            let path = cann::named(store, wheel)?;
            let facts = WheelFacts::cached(store, &path, &wheel.sha256)
                .with_context(|| format!("failed to read CANN's own wheel `{}`", wheel.path))
                .hint("leave it out: set `cann.wheels`")?;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (sha256, size) = (wheel.sha256, wheel.size);
            self.packages.push(Package { kind: recipe::CANN.to_owned(), file, path, size, sha256 });
            self.facts.push(facts);
        }
        let (path, sha256, size) = (package.path.clone(), package.sha256, package.size);
        self.cann = Some(CannInput { path, sha256, size, engine, installed });
        Ok(())
    }

    /// Runs CANN's installer where that has to be done; whether it was.
    fn install(
        &mut self,
        args: &ImageArgs,
        recipe: &Recipe,
        store: &Store,
        progress: &Progress,
    ) -> anyhow::Result<bool> {
        let unmade = self.cann.as_ref().is_some_and(|cann| cann.installed.is_none());
        let (Some((package, read)), Some(wanted)) = (&self.installer, self.wanted(recipe)) else { return Ok(false) };
        if !unmade {
            return Ok(false);
        }
        let installer = Installer { path: &package.path, interpreter: &read.interpreter };
        let program = engine::program(args.engine)?;
        let installed = cann::install(store, &wanted, &installer, &self.opened, program, progress)?;
        self.set_cann(store, None, Some(installed))?;
        Ok(true)
    }

    fn inputs<'a>(
        &'a self,
        args: &ImageArgs,
        recipe: &'a Recipe,
        call: &Call,
        timestamp: Timestamp,
    ) -> anyhow::Result<Inputs<'a>> {
        let base = &self.opened.base;
        let wheel =
            |package: &Package| WheelInput { path: package.path.clone(), sha256: package.sha256, size: package.size };
        Ok(Inputs {
            recipe,
            recipe_digest: recipe.digest()?,
            timestamp,
            wheels: self.packages.iter().map(wheel).collect(),
            facts: &self.facts,
            cann: self.cann.clone(),
            files: self.files.clone(),
            scripts: self.scripts.clone(),
            scripts_wanted: self.scripts_wanted,
            replaced: self.replaced.clone(),
            base: PlannedBase {
                reference: recipe.base.reference.to_string(),
                source: base::absolute(&recipe.base.source)?.to_string(),
                digest: base.manifest_digest,
                layers: base.layers.len(),
                size: base.layers.iter().map(|layer| layer.size).sum(),
                inspected: self.index.is_some(),
            },
            platform: base.config.platform(),
            base_env: base.config.env(),
            index: self.index.as_ref(),
            allow_missing: args.allow_missing,
            call: call.clone(),
            fetched: fetch::was_here(&packages::pypi_folder(&setup::pkg_folder(&args.recipe))),
            scripts_folder: scripts_folder(&args.recipe),
            oci: args.media_types == MediaTypes::Oci,
        })
    }

    fn facts(&self) -> BTreeMap<Digest, &WheelFacts> {
        self.packages.iter().map(|package| package.sha256).zip(&self.facts).collect()
    }
}

/// Whether a plan can't do without knowing what is in the base: its scripts are to be patched, wheels may replace what
/// it has installed and require it, `[layout.dirs]` was written for another one, or own files lie in folders that it does
/// not name.
fn is_needed(recipe: &Recipe, origin: &Origin, wheels: bool, files: &[PlannedFile]) -> bool {
    let named = |folder: &str| recipe.layout.dirs.keys().any(|path| path.as_str() == folder);
    let is_known = |file: &PlannedFile| file.to.match_indices('/').skip(1).all(|(end, _)| named(&file.to[..end]));
    wheels || *origin == Origin::Base || !recipe.base.is_standard() || !files.iter().all(is_known)
}

/// What is in the base, where the plan needs it: see ARCHITECTURE, "Which base is read, and when".
fn index(
    args: &ImageArgs,
    origin: &Origin,
    needed: bool,
    recipe: &Recipe,
    opened: &OpenImage,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Option<BaseIndex>> {
    let base = &opened.base;
    if args.no_inspect || args.inspect == Inspect::Never {
        return Ok(None);
    }
    let mut wanted = scripts::wanted(origin)?;
    wanted.push(front::PATH.to_owned());
    if let Some(index) = BaseIndex::cached(store, &base.manifest_digest, &wanted)? {
        return Ok(Some(index));
    }
    let remote = matches!(recipe.base.reference, ImageRef::Registry(_));
    if remote && args.inspect == Inspect::Auto && !needed {
        return Ok(None);
    }
    let size: u64 = base.layers.iter().map(|layer| layer.size).sum();
    progress.line(&format!(
        "looking into the base, once: {}, {}",
        progress::count(base.layers.len(), "layer"),
        progress::bytes(size)
    ));
    let index =
        BaseIndex::build(store, base, opened, &wanted).map_err(damaged).context("failed to look into the base")?;
    Ok(Some(index))
}

/// Layers that come whole but can't be used will be the same the next time.
fn damaged(error: IndexError) -> anyhow::Error {
    match error {
        IndexError::TooMuch { .. }
        | IndexError::Unpack(
            UnpackError::Compression { .. }
            | UnpackError::DiffId { .. }
            | UnpackError::Tar { source: TarError::Malformed { .. }, .. },
        ) => report::hinted(report::input(error.into()), "take another base, or make this one again"),
        error => error.into(),
    }
}

fn recorded(plan: &Plan, built: &Built) -> BuildRecord {
    let of_base = built.image.layers.len() - built.layers.len();
    let base = (1..=of_base).map(|number| progress::piece("base", number, of_base));
    let contents = base.chain(built.layers.iter().map(|layer| layer.holds.clone()));
    let layer = |(number, (blob, content)): (usize, (&Descriptor, String))| RecordedLayer {
        blob: blob.clone(),
        content,
        of_base: number < of_base,
    };
    BuildRecord {
        repository: plan.repository.clone(),
        tag: plan.tag.clone(),
        timestamp: plan.timestamp,
        digest: built.image.digest,
        media_type: built.image.format.manifest().to_owned(),
        manifest_size: built.image.manifest.len() as u64,
        config: built.image.config_descriptor.clone(),
        layers: built.image.layers.iter().zip(contents).enumerate().map(layer).collect(),
        base: RecordedBase { reference: plan.base.source.clone(), digest: plan.base.digest },
        sample: false,
    }
}

fn say_plan(plan: &Plan, format: Format) -> anyhow::Result<()> {
    format.print(|| plan.to_string(), plan)
}

fn say_built(record: &BuildRecord, format: Format) -> anyhow::Result<()> {
    let name = format!("{}:{}", record.repository, record.tag);
    let document = json!({
        "image": name,
        "repository": record.repository,
        "tag": record.tag,
        "timestamp": record.timestamp,
        "digest": record.digest,
        "media_type": record.media_type,
        "layers": record.layers,
        "base": record.base,
    });
    format.print(|| format!("{name}\n"), &document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_looked_into_where_own_files_lie_in_folders_that_nobody_names() {
        let recipe = Recipe::parse("", "image.toml", std::path::Path::new("."), recipe::Overrides::default()).unwrap();
        let needed = ["/home/ma-user/x", "/home/ma-user/code/x"].map(|to| {
            let sha256 = Digest::from_bytes([0; 32]);
            let file =
                PlannedFile { from: "x".into(), to: to.to_owned(), mode: 0o644, uid: 0, gid: 0, sha256, size: 0 };
            is_needed(&recipe, &Origin::Kept, false, &[file])
        });
        assert_eq!(needed, [false, true]);
    }

    #[test]
    fn a_base_that_can_not_be_used_is_wrong_input_and_one_that_can_not_be_read_is_not() {
        let reason = "its folders are more than 256 deep";
        let much = IndexError::TooMuch { base: "oci:base".to_owned(), reason };
        assert_eq!(report::exit(&damaged(much)), report::Exit::Input);
        let digest = Digest::from_bytes([0; 32]);
        let read = UnpackError::Read { digest, source: std::io::ErrorKind::TimedOut.into() };
        assert_eq!(report::exit(&damaged(read.into())), report::Exit::Work);
    }
}
