//! `init`: a recipe for a base, written from what is in it, and tried with the dry run of `image`.

mod compose;
mod facts;
mod fit;
mod text;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use image_name::ImageRef;
use oci_image::Store;
use serde::Serialize;
use serde_json::json;

use self::compose::{Asked, Composed, compose, draft};
use crate::{
    options::{Engine, Format, Inspect, MediaTypes, RecipeArgs, RegistryArgs, flag},
    pipeline::{self, ImageArgs},
    plan::Plan,
    resolve::{
        base,
        cache::CacheArgs,
        inputs,
        inspection::{self, Reach},
        packages, place,
    },
    terminal::{progress::Progress, report, shell},
};

/// Flags of `init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Base image: `host/org/repo:tag[@digest]`, `oci:DIR[:tag]`, `docker-archive:FILE`, `docker-daemon:NAME`, `podman:NAME`
    #[arg(long, value_name = "REF")]
    pub base: String,
    /// Stack that the recipe lies on, of those that `cargo xtask stacks` lists [default: one that fits the base]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// Recipe to write, which must not exist [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Folder of the vendor's packages [default: `pkg` of the workspace, or of `$DOCKER_BUILD_PATH`]
    #[arg(long, value_name = "DIR")]
    pub pkg: Option<PathBuf>,
    /// How the registry of the base is reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Print the recipe and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What the dry run of `image` says of a recipe.
struct Outcome {
    /// The plan; one without wheels if packages are missing.
    plan: anyhow::Result<Plan>,
    /// What has to be done about packages first.
    packages: Vec<Lack>,
}

/// What is wrong with packages and has the same remedy.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Lack {
    messages: Vec<String>,
    hint: Option<String>,
}

/// Runs the command.
pub fn run(args: &InitArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let file = place::recipe_file(args.recipe.as_deref())?;
    if !args.dry_run && file.symlink_metadata().is_ok() {
        return Err(exists(args));
    }
    let folder = file.parent().unwrap_or(Path::new("/"));
    if !args.dry_run && !folder.is_dir() {
        let error = anyhow!("there is no folder `{}` for the recipe", folder.display());
        return Err(report::hinted(report::input(error), format!("run `mkdir -p {}`", shell::word(folder.display()))));
    }
    let draft = draft("", &args.base, args.stack.as_deref())?;
    let of_image = image_args(args);
    let reach = Reach { registry: &args.registry, inspect: Inspect::Auto, store, progress };
    let opened = inputs::open_base(&draft.recipe, &args.registry, store, progress)?;
    let index = inspection::contents(&draft.recipe, &opened, &of_image.recipe, reach, |_| Ok(()))?;
    let reference = from_folder(&draft.recipe.base.source, folder)?;
    let pkg = packages::folder(args.pkg.as_deref());
    let asked = Asked { base: &args.base, reference: &reference, stack: args.stack.as_deref(), pkg: &pkg };
    let Composed { toml, stack, facts, notes, doubts } = compose(asked, &opened, &index)?;
    let say = || {
        notes.iter().for_each(|note| progress.line(&format!("note: {note}")));
        doubts.iter().for_each(|doubt| progress.warning(doubt));
    };
    let mut document =
        json!({ "recipe": file, "stack": stack, "base": reference, "toml": toml, "notes": notes, "doubts": doubts });
    if args.dry_run {
        say();
        return args.format.print(|| toml, &document);
    }
    match place::write_new(&file, &toml) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(args)),
        written => written.with_context(|| format!("failed to write recipe `{}`", file.display()))?,
    }
    let found = if facts.is_empty() { String::new() } else { format!(", which has {facts}") };
    progress.line(&format!("wrote `{}` for `{reference}`{found}", shown(args)));
    say();
    let Outcome { plan, packages } = outcome(args, store, progress)?;
    document["image"] = plan.as_ref().ok().map(Plan::name).into();
    document["packages"] = serde_json::to_value(&packages)?;
    args.format.print(|| toml, &document)?;
    if !packages.is_empty() {
        progress.line("packages that the image lacks:");
    }
    packages.iter().for_each(|lack| progress.line(&lack.to_string()));
    let plan = plan?;
    plan.warnings.iter().for_each(|warning| progress.warning(warning));
    let image = format!("`cargo xtask image{}{}`", call_arguments(args), place::store_flag(store));
    let fetch = place::call(&of_image.recipe, store).fetch;
    let is_fetched = |lack: &Lack| lack.hint.as_ref().is_some_and(|hint| hint.contains(&fetch));
    let first = if packages.iter().any(is_fetched) { format!("`{fetch}`; then ") } else { String::new() };
    progress.line(&format!("next: {first}{image} builds {}", plan.name()));
    Ok(())
}

fn exists(args: &InitArgs) -> anyhow::Error {
    let error = anyhow!("the recipe `{}` exists already, and `init` replaces none", shown(args));
    report::hinted(report::input(error), "write another one with `--recipe FILE`, or print it with `--dry-run`")
}

/// The recipe's file as people named it.
fn shown(args: &InitArgs) -> String {
    args.recipe.as_ref().map_or_else(|| "image.toml".to_owned(), |file| file.display().to_string())
}

/// The flags that `image` needs to take the same recipe and packages.
fn call_arguments(args: &InitArgs) -> String {
    let recipe = args.recipe.iter().map(|recipe| flag("--recipe", recipe.display()));
    recipe.chain(args.pkg.iter().map(|pkg| flag("--pkg", pkg.display()))).collect()
}

/// The base as a recipe in this folder names it.
fn from_folder(source: &ImageRef, folder: &Path) -> anyhow::Result<ImageRef> {
    let below = |path: PathBuf| match path.strip_prefix(folder) {
        Ok(below) if below != Path::new("") => below.to_owned(),
        _ => path,
    };
    Ok(match base::absolute(source)? {
        ImageRef::Layout { dir, tag } => ImageRef::Layout { dir: below(dir), tag },
        ImageRef::Archive(file) => ImageRef::Archive(below(file)),
        other => other,
    })
}

/// The arguments of `image --dry-run` with the recipe.
fn image_args(args: &InitArgs) -> ImageArgs {
    let InitArgs { recipe, pkg, registry, format, .. } = args;
    ImageArgs {
        recipe: RecipeArgs { recipe: recipe.clone(), stack: None, set: Vec::new(), pkg: pkg.clone(), sample: false },
        registry: registry.clone(),
        // A new recipe has no images yet.
        cache: CacheArgs::none(),
        base: None,
        timestamp: None,
        dry_run: true,
        format: *format,
        output: Vec::new(),
        load: false,
        engine: Engine::Auto,
        media_types: MediaTypes::Docker,
        inspect: Inspect::Auto,
        no_inspect: false,
        allow_missing: false,
    }
}

/// Tries the recipe. Packages are seldom there so soon: it is tried without them too, so that all else that is wrong is
/// known at once.
fn outcome(args: &InitArgs, store: &Store, progress: &Progress) -> anyhow::Result<Outcome> {
    let of_image = image_args(args);
    let call = place::call(&of_image.recipe, store);
    let error = match pipeline::plan(&of_image, &call, store, progress) {
        Ok(plan) => return Ok(Outcome { plan: Ok(plan), packages: Vec::new() }),
        Err(error) => error,
    };
    let plan = pipeline::plan_without_wheels(&of_image, &call, store, progress);
    let others = plan.as_ref().err().map(report::problems).unwrap_or_default();
    let of_packages = report::problems(&error).into_iter().filter(|problem| !others.contains(problem));
    Ok(Outcome { packages: by_hint(of_packages), plan })
}

fn by_hint(problems: impl Iterator<Item = (String, Option<String>)>) -> Vec<Lack> {
    let mut found: Vec<Lack> = Vec::new();
    for (message, hint) in problems {
        match found.iter_mut().find(|lack| lack.hint == hint) {
            Some(lack) => lack.messages.push(message),
            None => found.push(Lack { messages: vec![message], hint }),
        }
    }
    found
}

/// Messages of one remedy that are shown.
const SHOWN: usize = 3;

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.messages.iter().take(SHOWN).cloned().collect();
        if self.messages.len() > SHOWN {
            lines.push(format!("and {} more", self.messages.len() - SHOWN));
        }
        lines.extend(self.hint.iter().map(|hint| format!("hint: {hint}")));
        f.write_str(&lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
    }
}
