//! The call as hints name it: the commands that help it, spelled by who knows the commands.

use crate::terminal::shell;

/// What hints say of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The command that downloads what this call wants of PyPI.
    pub fetch: String,
    /// The command that pins what this call found; the base, if an argument chose it, is no input of the recipe.
    pub lock: String,
    /// Whether it makes the sample.
    pub sample: bool,
    /// Whether an argument says what is wanted of PyPI, so that the recipe's file does not.
    pub requirements_given: bool,
}

impl Call {
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
        let (fetch, lock) = ("cargo xtask fetch".to_owned(), "cargo xtask lock".to_owned());
        Self { fetch, lock, sample: false, requirements_given: false }
    }
}
