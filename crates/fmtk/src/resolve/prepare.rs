//! `fetch` and `lock`: what is done before a build.

use anyhow::{Context, anyhow};
use oci_image::{BaseIndex, Store};
use serde_json::json;

use crate::{
    options::{Call, Format, Inspect, RecipeArgs, RegistryArgs},
    recipe::{Recipe, Resolver},
    resolve::{
        base::OpenImage,
        fetch::{self, Pins, Request},
        inputs,
        inspection::{self, Completed, Reach},
        lock::{self, Lock},
        scripts::{self, Origin, scripts_folder},
        system,
    },
    terminal::{
        progress::{self, Progress},
        report::{self, WithHint},
    },
};

/// Flags of `fetch`.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// Where the recipe and the packages are.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the registry of the base is reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Base image that decides for which Python wheels are fetched [default: the recipe's]
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Move to the newest versions that the recipe allows, whatever the lock pins
    #[arg(long)]
    pub upgrade: bool,
    /// Build wheels of pure Python from sources where there are no wheels
    #[arg(long)]
    pub build_pure: bool,
    /// Print what pip would be asked for, with the command for another machine, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Flags of `lock`.
#[derive(Debug, clap::Args)]
// It has the flag only to say why it does not take it.
#[command(mut_arg("sample", |sample| sample.hide(true)))]
pub struct LockArgs {
    /// Where the recipe and the packages are.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the registry is reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Base image to pin [default: the recipe's]
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Pin what is there now, even if other things are pinned
    #[arg(long)]
    pub upgrade: bool,
    /// Print the lock and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs `fetch`.
pub fn fetch(args: &FetchArgs, call: &Call, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let draft = inputs::draft(&args.recipe, args.base.as_deref(), store, progress)?;
    let reach = Reach { registry: &args.registry, inspect: Inspect::Auto, store, progress };
    // What was found once is good enough for wheels; a build looks again.
    let has_system = !draft.recipe.system.packages.is_empty() && !args.dry_run;
    let asks_python = draft.asks_python() && inspection::found_before(&draft, store)?.is_none();
    let (recipe, notes, of_base) = match has_system || asks_python {
        true => {
            let Completed { recipe, notes, opened, index } =
                inspection::complete(draft, &args.recipe, reach, |_| Ok(()))?;
            let opened = match opened {
                Some(Err(error)) if !has_system => {
                    let python = recipe.versions.get("python").unwrap_or_default();
                    progress
                        .warning(&format!("{error:#}; wheels are fetched for Python {python}, as the recipe has it"));
                    None
                }
                opened => opened,
            };
            (recipe, notes, (opened, index))
        }
        false => {
            let (recipe, notes) = inspection::remembered(&draft, store)?;
            (recipe, notes, (None, None))
        }
    };
    notes.iter().for_each(|note| progress.line(&format!("note: {note}")));
    let folders = inputs::folders(&args.recipe);
    let folder = folders.pypi;
    let lock = match args.upgrade || args.recipe.sample {
        true => None,
        false => Lock::load(&lock::path(args.recipe.recipe.as_deref(), args.recipe.stack.as_deref()))?,
    };
    let system_pins = lock::system_pins(lock.as_ref());
    let pins = lock.map(|lock| lock::pins(&lock, &recipe)).unwrap_or_default();
    let pins = Pins { upgrade: args.upgrade, build_pure: args.build_pure, ..pins };
    if args.dry_run {
        let request = Request::of(&recipe);
        let [requirements, constraints, overrides, exclude, indexes] = request.lists().map(|(_, list)| list);
        let resolver = recipe.pypi.resolution.resolver;
        let command = if requirements.is_empty() { None } else { request.bash_line(&pins) };
        let pinned: Vec<String> = pins.files.into_keys().collect();
        let command = command.as_deref();
        let document = json!({
            "folder": folder, "system": recipe.system.packages, "resolver": resolver, "requirements": requirements, "constraints": constraints,
            "override": overrides, "exclude": exclude, "index": indexes, "pinned": pinned, "command": command,
        });
        let text = || {
            let lines = |what: &str, list: &[String]| -> String {
                list.iter().map(|one| format!("{what:<13}{one}\n")).collect()
            };
            let mut asked = lines("requirement", &requirements) + &lines("constraint", &constraints);
            for (what, list) in [("override", &overrides), ("exclude", &exclude), ("index", &indexes)] {
                asked += &lines(what, list);
            }
            if resolver == Resolver::Uv {
                asked += "resolver     uv\n";
            }
            asked += &lines("system", &recipe.system.packages);
            let command = command.map(|line| format!("command      {line}\n")).unwrap_or_default();
            format!("{asked}{}folder       {}\n{command}", lines("pinned", &pinned), folder.display())
        };
        return args.format.print(text, &document);
    }
    let fetched = fetch::fetch(&recipe, &folder, &pins, call, store, progress)?;
    if recipe.pypi.requirements.is_empty() {
        progress.line(&format!(
            "nothing to fetch: `pypi.requirements` is empty; what is in `{}` stays there",
            folder.display()
        ));
    } else if !fetched.downloaded {
        // What was downloaded has been said.
        let (wheels, size) = (progress::count(fetched.files.len(), "wheel"), progress::bytes(fetched.size));
        progress.line(&format!("everything is already in `{}`: {wheels}, {size}", folder.display()));
    }
    let mut of_system = Vec::new();
    if has_system {
        let index = index_of(of_base, &recipe, reach)?;
        of_system = system::fetch(&recipe, &folders.system, &index, &system_pins, args.upgrade, store, progress)?;
    }
    let document = json!({
        "downloaded": fetched.downloaded, "files": fetched.files, "size": fetched.size, "system": of_system,
    });
    let text = || fetched.files.iter().chain(&of_system).map(|file| format!("{file}\n")).collect();
    args.format.print(text, &document)
}

/// What is in the base, whatever is known of it so far.
fn index_of(
    (opened, index): (Option<anyhow::Result<OpenImage>>, Option<BaseIndex>),
    recipe: &Recipe,
    reach: Reach<'_>,
) -> anyhow::Result<BaseIndex> {
    if let Some(index) = index {
        return Ok(index);
    }
    let open = || inputs::open_base(recipe, reach.registry, reach.store, reach.progress);
    let opened = opened.unwrap_or_else(open)?;
    inspection::index(&Origin::Kept, true, recipe, &opened, reach)?.context("the base was not inspected")
}

/// Runs `lock`.
pub fn lock(args: &LockArgs, call: &Call, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    if args.recipe.sample {
        return Err(anyhow!(
            "the sample is not pinned: `{}` is for the packages and the base of your own image",
            call.lock_file
        ))
        .hint("leave out `--sample`")
        .input();
    }
    let draft = inputs::draft(&args.recipe, args.base.as_deref(), store, progress)?;
    let reach = Reach { registry: &args.registry, inspect: Inspect::Auto, store, progress };
    let ready = |recipe: &Recipe| inputs::vendor_packages(&args.recipe, recipe, call, store);
    let Completed { recipe, notes, opened, .. } = inspection::complete(draft, &args.recipe, reach, ready)?;
    notes.iter().for_each(|note| progress.line(&format!("note: {note}")));
    let step = progress.step("reading the packages");
    let packages = inputs::packages(&args.recipe, &recipe, call, store, progress);
    drop(step);
    let of_scripts = scripts::packages(&scripts::origin(&recipe, scripts_folder(&args.recipe)));
    let found = report::both(packages, of_scripts);
    let ((mut packages, of_scripts), opened) =
        inputs::with_base(found, opened, &recipe, &args.registry, store, progress)?;
    packages.extend(of_scripts);
    packages.extend(system::packages(&recipe, &inputs::folders(&args.recipe).system, store, call)?);
    let lock = Lock::of(&recipe, &packages, opened.base.manifest_digest);
    let file = lock::path(args.recipe.recipe.as_deref(), args.recipe.stack.as_deref());
    if !args.upgrade
        && let Some(old) = Lock::load(&file)?
    {
        lock::moves_nothing(&old, &lock, &recipe, call)?;
    }
    if args.dry_run {
        let text = lock.to_toml()?;
        return args.format.print(|| text, &lock);
    }
    let changed = lock.save(&file)?;
    let said = if changed { "wrote" } else { "unchanged:" };
    progress.line(&format!("{said} `{}`: {} and the base", file.display(), progress::count(packages.len(), "package")));
    args.format.print(String::new, &lock)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::resolve::packages;

    fn args(sample: bool, pkg: Option<&str>) -> RecipeArgs {
        RecipeArgs { recipe: None, stack: None, set: Vec::new(), pkg: pkg.map(PathBuf::from), sample }
    }

    /// docs/en/scripts.md: the sample takes the base's scripts, unless told otherwise.
    #[test]
    fn the_sample_has_packages_of_its_own_and_scripts_of_all() {
        let folder = packages::folder(None);
        assert_eq!(inputs::folders(&args(true, None)).vendor, folder.join("sample"));
        assert_eq!(scripts_folder(&args(true, None)), folder.join("ascend910"));
        assert_eq!(scripts_folder(&args(true, Some("p"))), PathBuf::from("p/ascend910"));
    }
}
