//! This very call in words, so that a hint names the command and the folder that help it, and no other's.

use std::path::PathBuf;

use crate::{args::RecipeArgs, packages, scripts, shell};

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
        }
    }
}

#[cfg(test)]
impl Call {
    /// One without arguments, in a folder that has `pkg`.
    pub fn plain() -> Self {
        let (fetch, lock) = ("cargo xtask fetch".to_owned(), "cargo xtask lock".to_owned());
        Self { fetch, lock, scripts: "pkg/ascend910".into(), sample: false }
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
    use crate::setup;

    fn args(sample: bool, pkg: Option<&str>, set: &[&str]) -> RecipeArgs {
        let set = set.iter().map(|set| (*set).to_owned()).collect();
        RecipeArgs { recipe: None, set, pkg: pkg.map(PathBuf::from), sample, yes: false }
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

    /// README: the sample takes the base's scripts, unless told otherwise.
    #[test]
    fn the_sample_has_packages_of_its_own_and_scripts_of_all() {
        let folder = packages::folder(None);
        assert_eq!(setup::pkg_folder(&args(true, None, &[])), folder.join("sample"));
        assert_eq!(scripts_folder(&args(true, None, &[])), folder.join("ascend910"));
        assert_eq!(scripts_folder(&args(true, Some("p"), &[])), PathBuf::from("p/ascend910"));
    }
}
