//! `fetch` and `lock`: what is done before a build.

use anyhow::anyhow;
use oci_image::Store;
use serde_json::json;

use crate::{
    args::{FetchArgs, Format, LockArgs},
    call::scripts_folder,
    lock::Lock,
    packages, place,
    progress::{self, Progress},
    report::{self, WithHint},
    scripts, setup,
};

/// Runs `fetch`.
pub fn fetch(args: &FetchArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let recipe = setup::recipe(&args.recipe, None, store, progress)?;
    let folder = packages::pypi_folder(&setup::pkg_folder(&args.recipe));
    if args.dry_run {
        let requirements: Vec<String> = recipe.pypi.requirements.iter().map(ToString::to_string).collect();
        let constraints: Vec<String> = recipe.pypi.constraints.iter().map(ToString::to_string).collect();
        let document = json!({ "folder": folder, "requirements": requirements, "constraints": constraints });
        return match args.format {
            Format::Human => {
                let text: Vec<String> = requirements.iter().map(|one| format!("requirement  {one}\n")).collect();
                let limits: Vec<String> = constraints.iter().map(|one| format!("constraint   {one}\n")).collect();
                report::data(&format!("{}{}folder       {}\n", text.concat(), limits.concat(), folder.display()))
            }
            Format::Json => report::data(&format!("{}\n", serde_json::to_string_pretty(&document)?)),
        };
    }
    let fetched = setup::fetch(&args.recipe, &recipe, store, progress)?;
    if recipe.pypi.requirements.is_empty() {
        progress.line(&format!(
            "nothing to fetch: `pypi.requirements` is empty; what is in `{}` stays there",
            folder.display()
        ));
    } else if !fetched.downloaded {
        // What was downloaded has been said.
        let (wheels, size) = (progress::count(fetched.files.len(), "wheel"), progress::bytes(fetched.size));
        progress.line(&format!("all that is wanted is in `{}`: {wheels}, {size}", folder.display()));
    }
    match args.format {
        Format::Human => report::data(&fetched.files.iter().map(|file| format!("{file}\n")).collect::<String>()),
        Format::Json => report::data(&format!("{}\n", serde_json::to_string_pretty(&fetched)?)),
    }
}

/// Runs `lock`.
pub fn lock(args: &LockArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    if args.recipe.sample {
        return Err(anyhow!(
            "the sample is not pinned: `image.lock` is for the packages and the base of your own image"
        ))
        .hint("leave out `--sample`")
        .input();
    }
    let recipe = setup::recipe(&args.recipe, args.base.as_deref(), store, progress)?;
    let packages = setup::packages(&args.recipe, &recipe, store, progress);
    let of_scripts = scripts::packages(&scripts::origin(&recipe, scripts_folder(&args.recipe)));
    let found = report::both(packages, of_scripts);
    let ((mut packages, of_scripts), opened) = setup::with_base(found, &recipe, &args.registry, store, progress)?;
    packages.extend(of_scripts);
    let lock = Lock::of(&recipe, &packages, opened.base.manifest_digest);
    let file = place::lock_file(args.recipe.recipe.as_deref());
    if args.dry_run {
        return match args.format {
            Format::Human => report::data(&lock.to_toml()),
            Format::Json => report::data(&format!("{}\n", serde_json::to_string_pretty(&lock)?)),
        };
    }
    let changed = lock.save(&file)?;
    let said = if changed { "wrote" } else { "unchanged:" };
    progress.line(&format!("{said} `{}`: {} and the base", file.display(), progress::count(packages.len(), "package")));
    match args.format {
        Format::Human => Ok(()),
        Format::Json => report::data(&format!("{}\n", serde_json::to_string_pretty(&lock)?)),
    }
}
