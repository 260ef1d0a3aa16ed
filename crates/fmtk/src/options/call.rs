//! The call as hints name it: the commands that help it, with the arguments of this very call.

use std::{ffi::OsStr, fmt::Display, path::Path};

use super::RecipeArgs;
use crate::terminal::{secrets, shell};

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
        let arguments = args.named_file() + &args.named_stack() + &args.inputs();
        let sample = if args.sample { " --sample" } else { "" };
        Self {
            lock_file: lock_name(args.recipe.as_deref(), args.stack.as_deref()),
            fetch: format!("cargo xtask fetch{sample}{arguments}"),
            lock: format!("cargo xtask lock{arguments}"),
            sample: args.sample,
            requirements_given: args.set.iter().any(|set| matches!(key(set), "pypi" | "pypi.requirements")),
        }
    }
}

impl RecipeArgs {
    /// The flag that names the recipe's file, where one does.
    pub fn named_file(&self) -> String {
        self.recipe.iter().map(|recipe| flag("--recipe", recipe.to_string_lossy())).collect()
    }

    fn named_stack(&self) -> String {
        self.stack.iter().map(|stack| flag("--stack", stack)).collect()
    }

    /// The arguments that choose other than the recipe does, as a shell reads them. Where packages are from does not
    /// change the image.
    pub fn overrides(&self, base: Option<&str>) -> String {
        let sample = if self.sample { " --sample" } else { "" };
        let base = base.map(|base| flag("--base", base)).unwrap_or_default();
        let inputs = self.inputs_but(|key| key == "system.mirror");
        format!("{}{sample}{base}{inputs}", self.named_stack()).trim_start().to_owned()
    }

    fn inputs(&self) -> String {
        self.inputs_but(|_| false)
    }

    /// The inputs without those of `--set` that are `left_out` by their key.
    fn inputs_but(&self, left_out: impl Fn(&str) -> bool) -> String {
        let pkg = self.pkg.iter().map(|pkg| flag("--pkg", pkg.to_string_lossy()));
        let set = self.set.iter().filter(|set| !left_out(key(set))).map(|set| flag("--set", secrets::masked(set)));
        pkg.chain(set).collect()
    }
}

/// The key of a `--set` argument.
fn key(set: &str) -> &str {
    set.split('=').next().unwrap_or_default().trim()
}

/// Name of a lock: `image.lock`, `torch.lock` of the recipe `torch.toml`, `torch-2.7.lock` with that stack.
pub fn lock_name(recipe: Option<&Path>, stack: Option<&str>) -> String {
    let stem = recipe.and_then(Path::file_stem).map_or("image".into(), OsStr::to_string_lossy);
    match stack {
        Some(stack) if stem == "image" => format!("{stack}.lock"),
        Some(stack) => format!("{stem}.{stack}.lock"),
        None => format!("{stem}.lock"),
    }
}

/// A flag and its value as a shell reads them, after a blank.
pub fn flag(name: &str, value: impl Display) -> String {
    format!(" {name} {}", shell::word(value))
}

impl Call {
    /// The same with the flag that names the store.
    pub fn in_store(self, flag: &str) -> Self {
        Self { fetch: format!("{}{flag}", self.fetch), lock: format!("{}{flag}", self.lock), ..self }
    }

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
        RecipeArgs { recipe: None, stack: None, set, pkg: pkg.map(PathBuf::from), sample }
    }

    #[test]
    fn a_mirror_s_password_is_neither_shown_nor_recorded() {
        let mirror = args(false, None, &["system.mirror=http://me:secret@h/debian", "user=root"]);
        assert_eq!(
            Call::from(&mirror).lock,
            "cargo xtask lock --set 'system.mirror=http://****@h/debian' --set user=root"
        );
        assert_eq!(mirror.overrides(None), "--set user=root");
    }

    #[test]
    fn the_command_has_the_arguments_of_the_call() {
        let fetch = |args: &RecipeArgs| Call::from(args).fetch;
        let plain = Call::from(&args(false, None, &[]));
        assert_eq!((plain.fetch.as_str(), plain.lock.as_str()), ("cargo xtask fetch", "cargo xtask lock"));
        let torch = RecipeArgs { recipe: Some("recipes/torch.toml".into()), ..args(false, None, &[]) };
        assert_eq!((plain.lock_file.as_str(), Call::from(&torch).lock_file.as_str()), ("image.lock", "torch.lock"));
        let on_stack = RecipeArgs { stack: Some("torch-2.7".to_owned()), ..args(true, None, &["user=root"]) };
        let of_stack = Call::from(&on_stack);
        assert_eq!(of_stack.fetch, "cargo xtask fetch --sample --stack torch-2.7 --set user=root");
        assert_eq!(on_stack.overrides(Some("oci:b")), "--stack torch-2.7 --sample --base oci:b --set user=root");
        assert_eq!(of_stack.lock_file, "torch-2.7.lock");
        assert_eq!(lock_name(torch.recipe.as_deref(), Some("torch-2.7")), "torch.torch-2.7.lock");
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
