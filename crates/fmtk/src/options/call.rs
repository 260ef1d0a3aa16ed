//! The call as hints name it: the commands that help it, with the arguments of this very call.

use std::{fmt::Display, path::Path};

use super::RecipeArgs;
use crate::terminal::shell;

/// What hints say of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The command that downloads what this call wants of PyPI.
    pub fetch: String,
    /// The command that pins what this call found; the base, if an argument chose it, is no input of the recipe.
    pub lock: String,
    /// Name of the lock's file: `torch.lock` of the recipe `torch.toml`.
    pub lock_file: String,
    /// Whether it makes the sample.
    pub sample: bool,
    /// Whether an argument says what is wanted of PyPI, so that the recipe's file does not.
    pub requirements_given: bool,
}

impl From<&RecipeArgs> for Call {
    fn from(args: &RecipeArgs) -> Self {
        let arguments = args.named_recipe() + &args.inputs();
        let sample = if args.sample { " --sample" } else { "" };
        let recipe = args.recipe.as_deref().unwrap_or(Path::new("image.toml"));
        let lock_file = recipe.with_extension("lock").file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            lock_file,
            fetch: format!("cargo xtask fetch{sample}{arguments}"),
            lock: format!("cargo xtask lock{arguments}"),
            sample: args.sample,
            requirements_given: args.set.iter().any(|set| {
                let key = set.split('=').next().unwrap_or_default().trim();
                matches!(key, "pypi" | "pypi.requirements")
            }),
        }
    }
}

impl RecipeArgs {
    /// The flag that names the recipe, where one does.
    pub fn named_recipe(&self) -> String {
        self.recipe.iter().map(|recipe| flag("--recipe", recipe.to_string_lossy())).collect()
    }

    /// The arguments that choose other than the recipe does, as a shell reads them.
    pub fn overrides(&self, base: Option<&str>) -> String {
        let sample = if self.sample { " --sample" } else { "" };
        let base = base.map(|base| flag("--base", base)).unwrap_or_default();
        format!("{sample}{base}{}", self.inputs()).trim_start().to_owned()
    }

    fn inputs(&self) -> String {
        let pkg = self.pkg.iter().map(|pkg| flag("--pkg", pkg.to_string_lossy()));
        pkg.chain(self.set.iter().map(|set| flag("--set", set))).collect()
    }
}

/// A flag and its value as a shell reads them, after a blank.
pub fn flag(name: &str, value: impl Display) -> String {
    format!(" {name} {}", shell::word(value))
}

impl Call {
    /// The same, where the base that an argument chose decides what is fetched.
    pub fn upon(&self, base: Option<&str>) -> Self {
        let base = base.map(|base| flag("--base", base)).unwrap_or_default();
        Self { fetch: format!("{}{base}", self.fetch), ..self.clone() }
    }

    /// How to have something fetched beside what the recipe asks for, which is `wanted`.
    pub fn fetch_also(&self, requirement: &str, wanted: &[impl ToString]) -> String {
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
    /// One without arguments.
    pub fn plain() -> Self {
        let [fetch, lock, lock_file] = ["cargo xtask fetch", "cargo xtask lock", "image.lock"].map(str::to_owned);
        Self { fetch, lock, lock_file, sample: false, requirements_given: false }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A fetch was named that had nothing to fetch.
    #[test]
    fn what_is_to_be_fetched_also_is_put_where_this_call_reads_it() {
        let also = |sample: bool, requirements_given: bool, arguments: &str| {
            let fetch = format!("cargo xtask fetch{arguments}");
            Call { fetch, sample, requirements_given, ..Call::plain() }.fetch_also("tqdm>=4", &["a==1"])
        };
        assert_eq!(
            also(false, false, " --pkg P"),
            "add `\"tqdm>=4\"` to `pypi.requirements` and run `cargo xtask fetch --pkg P`"
        );
        assert_eq!(
            also(false, true, " --pkg P --set 'pypi.requirements=[]'"),
            "add `\"tqdm>=4\"` to the list of `--set pypi.requirements=…`, here and in \
             `cargo xtask fetch --pkg P --set 'pypi.requirements=[]'`"
        );
        assert_eq!(
            also(true, false, " --sample --pkg P --set 'pypi.constraints=[]'"),
            "give `--set 'pypi.requirements=[\"a==1\", \"tqdm>=4\"]'`, here and to \
             `cargo xtask fetch --sample --pkg P --set 'pypi.constraints=[]'`"
        );
    }

    fn args(sample: bool, pkg: Option<&str>, set: &[&str]) -> RecipeArgs {
        let set = set.iter().map(|set| (*set).to_owned()).collect();
        RecipeArgs { recipe: None, set, pkg: pkg.map(PathBuf::from), sample }
    }

    #[test]
    fn the_command_has_the_arguments_of_the_call() {
        let fetch = |args: &RecipeArgs| Call::from(args).fetch;
        let plain = Call::from(&args(false, None, &[]));
        assert_eq!((plain.fetch.as_str(), plain.lock.as_str()), ("cargo xtask fetch", "cargo xtask lock"));
        let torch = RecipeArgs { recipe: Some("recipes/torch.toml".into()), ..args(false, None, &[]) };
        assert_eq!((plain.lock_file.as_str(), Call::from(&torch).lock_file.as_str()), ("image.lock", "torch.lock"));
        assert!(!plain.sample && !plain.requirements_given);
        assert!(Call::from(&args(false, None, &["pypi.requirements=[]"])).requirements_given);
        assert!(!Call::from(&args(false, None, &["pypi.constraints=[]"])).requirements_given);
        let set = ["packages.cann.required=false"];
        assert_eq!(Call::from(&args(false, None, &set)).lock, "cargo xtask lock --set packages.cann.required=false");
        let set = ["versions.mindspore=1.9.0", "pypi.requirements=['a', \"it's\"]"];
        assert_eq!(
            fetch(&args(true, Some("my pkg"), &set)),
            r#"cargo xtask fetch --sample --pkg 'my pkg' --set versions.mindspore=1.9.0 --set 'pypi.requirements=['\''a'\'', "it'\''s"]'"#
        );
    }
}
