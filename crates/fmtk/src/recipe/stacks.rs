//! Stacks: versions, packages and a base that belong together. A stack is the defaults of a recipe, which lies on it.

use std::path::Path;

use anyhow::anyhow;
use serde_json::json;

use super::{Overrides, Recipe};
use crate::{
    options::Format,
    terminal::{
        hints::is_typo,
        report::{self, WithHint},
    },
};

/// A stack by its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Stack {
    /// As `--stack` and the recipe have it.
    pub name: &'static str,
    /// Its keys, as a recipe has them.
    pub toml: &'static str,
}

macro_rules! stacks {
    ($($name:literal),*) => {
        /// All of them, the manual's first.
        pub const STACKS: &[Stack] =
            &[$(Stack { name: $name, toml: include_str!(concat!("../../stacks/", $name, ".toml")) }),*];
    };
}

stacks!("manual", "mindspore-2.7", "mindspore-2.10", "torch-2.7", "torch-2.10");

/// The stack of recipes that name none.
pub const MANUAL: &Stack = &STACKS[0];

/// The stack of this name, or which was most likely meant.
pub fn find(name: &str) -> Result<&'static Stack, String> {
    STACKS.iter().find(|stack| stack.name == name).ok_or_else(|| {
        let names: Vec<&str> = STACKS.iter().map(|stack| stack.name).collect();
        let near = names.iter().find(|known| is_typo(known, name));
        let near = near.map(|known| format!("did you mean `{known}`? ")).unwrap_or_default();
        format!("{near}there are `{}`", names.join("`, `"))
    })
}

impl Stack {
    /// The recipe of the stack alone.
    pub fn recipe(&self) -> anyhow::Result<Recipe> {
        let overrides = Overrides { stack: Some(self.name), ..Overrides::default() };
        Recipe::parse("", "image.toml", Path::new(""), overrides)
    }
}

/// Flags of `stacks`.
#[derive(Debug, clap::Args)]
pub struct StacksArgs {
    /// Print the keys of this stack, as a recipe has them
    pub name: Option<String>,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command.
pub fn run(args: &StacksArgs) -> anyhow::Result<()> {
    match &args.name {
        None => {
            let stacks = STACKS.iter().map(|stack| Ok((stack.name, stack.recipe()?)));
            let stacks: Vec<(&str, Recipe)> = stacks.collect::<anyhow::Result<_>>()?;
            let documents: Vec<_> = stacks.iter().map(|(name, recipe)| document(name, recipe)).collect();
            args.format.print(|| stacks.iter().map(|(name, recipe)| lines(name, recipe)).collect(), &documents)
        }
        Some(name) => {
            let stack = find(name).map_err(|hint| report::hinted(anyhow!("no stack `{name}`"), hint)).input()?;
            args.format.print(|| stack.toml.to_owned(), &document(stack.name, &stack.recipe()?))
        }
    }
}

fn lines(name: &str, recipe: &Recipe) -> String {
    let (versions, base) = (recipe.versions.in_words().join(", "), &recipe.base.reference);
    format!("{name:<16}{versions}\n{:16}{base}\n", "")
}

fn document(name: &str, recipe: &Recipe) -> serde_json::Value {
    json!({
        "name": name,
        "versions": recipe.versions,
        "tag": recipe.tag.to_string(),
        "requirements": recipe.pypi.requirements,
        "constraints": recipe.pypi.constraints,
        "base": recipe.base.reference,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_stack_is_a_recipe() {
        let lines: String = STACKS.iter().map(|stack| lines(stack.name, &stack.recipe().unwrap())).collect();
        expect![[r#"
            manual          Python 3.9, MindSpore 1.8.1, CANN 5.1.RC2, euler_2.8.3, aarch64, d910
                            swr.cn-central-221.ovaijisuan.com/mindxsdk/fmtk-ma_base:2022110901
            mindspore-2.7   Python 3.11, MindSpore 2.7.2, CANN 8.5.0, ubuntu_22.04, aarch64, d910b
                            quay.io/ascend/cann:8.5.0-910b-ubuntu22.04-py3.11
            mindspore-2.10  Python 3.11, MindSpore 2.10.0, CANN 9.1.0, ubuntu_22.04, aarch64, d910b
                            quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.11
            torch-2.7       Python 3.11, PyTorch 2.7.1, torch_npu 2.7.1, CANN 8.3.RC1, ubuntu_22.04, aarch64, d910b
                            quay.io/ascend/cann:8.3.rc1-910b-ubuntu22.04-py3.11
            torch-2.10      Python 3.11, PyTorch 2.10.0, torch_npu 2.10.0.post4, CANN 9.1.0, ubuntu_22.04, aarch64, d910b
                            quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.11
        "#]].assert_eq(&lines);
    }

    #[test]
    fn a_recipe_lies_on_the_stack_that_it_or_an_argument_names() {
        let recipe = |stack| {
            let set = ["versions.python=3.12".to_owned()];
            let overrides = Overrides { stack, set: &set, ..Overrides::default() };
            Recipe::parse("stack = \"torch-2.7\"\nuser = \"root\"", "image.toml", Path::new(""), overrides)
        };
        let of_file = recipe(None).unwrap();
        assert_eq!((of_file.stack.name, of_file.user.to_string().as_str()), ("torch-2.7", "root"));
        let made = of_file.image_tag("20251205091605".parse().unwrap()).unwrap();
        assert_eq!(made.as_str(), "pytorch_2.7.1-cann_8.3.RC1-py_3.12-ubuntu_22.04-aarch64-d910b-20251205091605");
        assert_eq!(recipe(Some("mindspore-2.10")).unwrap().versions.get("mindspore"), Some("2.10.0"));
        // The manual's digest is that of a recipe without a stack.
        let plain = Recipe::parse("", "image.toml", Path::new(""), Overrides::default()).unwrap();
        assert_eq!(MANUAL.recipe().unwrap().digest().unwrap(), plain.digest().unwrap());
    }

    #[test]
    fn a_stack_that_there_is_not_is_told_which_there_are() {
        let said = |toml: &str, stack| {
            let overrides = Overrides { stack, ..Overrides::default() };
            report::render(&Recipe::parse(toml, "image.toml", Path::new(""), overrides).unwrap_err())
        };
        let all = [said("", Some("torch-2.8")), said("\nstack = \"pytorch\"", None), said("stack = 1", None)];
        expect![[r#"
            error: `--stack torch-2.8`: `stack`: no stack `torch-2.8`
            hint: did you mean `torch-2.7`? there are `manual`, `mindspore-2.7`, `mindspore-2.10`, `torch-2.7`, `torch-2.10`
            error: `image.toml` line 2: `stack`: no stack `pytorch`
            hint: there are `manual`, `mindspore-2.7`, `mindspore-2.10`, `torch-2.7`, `torch-2.10`
            error: `image.toml` line 1: `stack`: must be the name of a stack
        "#]].assert_eq(&all.concat());
    }
}
