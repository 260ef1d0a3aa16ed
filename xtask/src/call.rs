//! This very call in words, so that a hint names the command and the folder that help it, and no other's.

use std::path::PathBuf;

use crate::{args::RecipeArgs, fetch, packages, recipe::Requirement, scripts, setup, shell};

/// What hints say of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The command that downloads what this call wants of PyPI.
    pub fetch: String,
    /// The command that pins what this call found; the base, if an argument chose it, is no input of the recipe.
    pub lock: String,
    /// The folder in which this call looks for the vendor's scripts.
    pub scripts: PathBuf,
    /// Whether it makes the sample.
    pub sample: bool,
    /// Whether a fetch was in its folder already, so that one more brings nothing new unless more is asked for.
    pub fetched: bool,
    /// Whether an argument says what is wanted of PyPI, so that the recipe's file does not.
    pub requirements_given: bool,
}

impl Call {
    /// The call with these arguments.
    pub fn of(args: &RecipeArgs) -> Self {
        let mut arguments = String::new();
        let mut add = |flag: &str, value: &str| arguments.push_str(&format!(" {flag} {}", shell::word(value)));
        if let Some(recipe) = &args.recipe {
            add("--recipe", &recipe.to_string_lossy());
        }
        if let Some(pkg) = &args.pkg {
            add("--pkg", &pkg.to_string_lossy());
        }
        args.set.iter().for_each(|set| add("--set", set));
        let sample = if args.sample { " --sample" } else { "" };
        Self {
            fetch: format!("cargo xtask fetch{sample}{arguments}"),
            lock: format!("cargo xtask lock{arguments}"),
            scripts: scripts_folder(args),
            sample: args.sample,
            fetched: fetch::was_here(&packages::pypi_folder(&setup::pkg_folder(args))),
            requirements_given: args.set.iter().any(|set| {
                let key = set.split('=').next().unwrap_or_default().trim();
                matches!(key, "pypi" | "pypi.requirements")
            }),
        }
    }

    /// How to have something fetched beside what the recipe asks for, which is `wanted`.
    pub fn fetch_also(&self, requirement: &str, wanted: &[Requirement]) -> String {
        let fetch = &self.fetch;
        if self.sample && !self.requirements_given {
            let all = wanted.iter().map(ToString::to_string).chain([requirement.to_owned()]);
            let quoted: Vec<String> = all.map(|one| format!("{one:?}")).collect();
            let set = shell::word(format!("pypi.requirements=[{}]", quoted.join(", ")));
            return format!("give `--set {set}`, here and to `{fetch}`");
        }
        if self.requirements_given {
            return format!(
                "add `\"{requirement}\"` to the list of `--set pypi.requirements=…`, here and in `{fetch}`"
            );
        }
        format!("add `\"{requirement}\"` to `pypi.requirements` and run `{fetch}`")
    }
}

#[cfg(test)]
impl Call {
    /// One without arguments, in a folder that has `pkg`.
    pub fn plain() -> Self {
        let (fetch, lock) = ("cargo xtask fetch".to_owned(), "cargo xtask lock".to_owned());
        let scripts = "pkg/ascend910".into();
        Self { fetch, lock, scripts, sample: false, fetched: false, requirements_given: false }
    }
}

/// Where the vendor's scripts are looked for. The sample, which has a folder for its packages, has none for these:
/// whoever asks for them there means the ones that he has.
pub fn scripts_folder(args: &RecipeArgs) -> PathBuf {
    packages::folder(args.pkg.as_deref()).join(scripts::KIND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(sample: bool, pkg: Option<&str>, set: &[&str]) -> RecipeArgs {
        let set = set.iter().map(|set| (*set).to_owned()).collect();
        RecipeArgs { recipe: None, set, pkg: pkg.map(PathBuf::from), sample }
    }

    #[test]
    fn the_command_has_the_arguments_of_the_call() {
        let fetch = |args: &RecipeArgs| Call::of(args).fetch;
        assert_eq!(
            Call::of(&args(false, None, &[])),
            Call { scripts: scripts_folder(&args(false, None, &[])), ..Call::plain() }
        );
        let set = ["packages.cann.required=false"];
        assert_eq!(Call::of(&args(false, None, &set)).lock, "cargo xtask lock --set packages.cann.required=false");
        let set = ["versions.mindspore=1.9.0", "pypi.requirements=['a', \"it's\"]"];
        assert_eq!(
            fetch(&args(true, Some("my pkg"), &set)),
            r#"cargo xtask fetch --sample --pkg 'my pkg' --set versions.mindspore=1.9.0 --set 'pypi.requirements=['\''a'\'', "it'\''s"]'"#
        );
    }

    /// A fetch was named that had nothing to fetch.
    #[test]
    fn what_is_to_be_fetched_also_is_put_where_this_call_reads_it() {
        let pkg = tempfile::tempdir().unwrap();
        let path = pkg.path().to_str().unwrap();
        let also =
            |args: &RecipeArgs| Call::of(args).fetch_also("tqdm>=4", &["a==1".parse().unwrap()]).replace(path, "P");
        assert_eq!(
            also(&args(false, Some(path), &[])),
            "add `\"tqdm>=4\"` to `pypi.requirements` and run `cargo xtask fetch --pkg P`"
        );
        assert_eq!(
            also(&args(false, Some(path), &["pypi.requirements=[]"])),
            "add `\"tqdm>=4\"` to the list of `--set pypi.requirements=…`, here and in \
             `cargo xtask fetch --pkg P --set 'pypi.requirements=[]'`"
        );
        assert_eq!(
            also(&args(true, Some(path), &["pypi.constraints=[]"])),
            "give `--set 'pypi.requirements=[\"a==1\", \"tqdm>=4\"]'`, here and to \
             `cargo xtask fetch --sample --pkg P --set 'pypi.constraints=[]'`"
        );
        assert_eq!(
            also(&args(false, Some(path), &["pypi.constraints=[]"])),
            "add `\"tqdm>=4\"` to `pypi.requirements` and run `cargo xtask fetch --pkg P --set 'pypi.constraints=[]'`"
        );
        let fetched = || Call::of(&args(false, Some(path), &[])).fetched;
        assert!(!fetched());
        std::fs::create_dir(pkg.path().join("pypi")).unwrap();
        std::fs::write(pkg.path().join("pypi/fetched.json"), "{}").unwrap();
        assert!(fetched());
    }

    /// README: the sample takes the base's scripts, unless told otherwise.
    #[test]
    fn the_sample_has_packages_of_its_own_and_scripts_of_all() {
        let folder = packages::folder(None);
        assert_eq!(setup::pkg_folder(&args(true, None, &[])), folder.join("sample"));
        assert_eq!(scripts_folder(&args(true, None, &[])), folder.join("ascend910"));
        assert_eq!(scripts_folder(&args(true, Some("p"), &[])), PathBuf::from("p/ascend910"));
    }
}
