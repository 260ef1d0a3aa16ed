//! Which images of which registry are meant: what the flags say, else the recipe.

use std::{fmt::Display, path::PathBuf};

use anyhow::anyhow;
use image_name::{Host, OrgName};

use crate::{
    options::RegistryArgs,
    recipe::{Overrides, Recipe},
    resolve::{connect, place},
    terminal::report::WithHint,
};

/// Flags of commands for the images of an organisation.
#[derive(Debug, clap::Args)]
pub struct TargetArgs {
    /// How the registry is reached.
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Organisation of the images [default: the recipe's]
    #[arg(long, value_name = "ORG", env = "org_name")]
    pub org: Option<OrgName>,
    /// Registry [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = connect::host)]
    pub registry: Option<Host>,
    /// Recipe that names the registry and the repository [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Stack that the recipe lies on, of those that `cargo xtask stacks` lists [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
}

impl TargetArgs {
    /// The recipe.
    pub fn recipe(&self) -> anyhow::Result<Recipe> {
        let overrides = Overrides { stack: self.stack.as_deref(), ..Overrides::default() };
        place::draft(self.recipe.as_deref(), overrides).map(|draft| draft.recipe)
    }

    /// The registry and the organisation; the error where nothing names one is `missing`.
    pub fn names<'a>(&'a self, recipe: &'a Recipe, missing: &'static str) -> anyhow::Result<(&'a Host, &'a OrgName)> {
        names(self.registry.as_ref(), self.org.as_ref(), recipe, missing)
    }
}

/// What the flags say of the registry and the organisation, else the recipe; the error where nothing names an organisation is
/// `missing`.
pub fn names<'a>(
    registry: Option<&'a Host>,
    org: Option<&'a OrgName>,
    recipe: &'a Recipe,
    missing: impl Display,
) -> anyhow::Result<(&'a Host, &'a OrgName)> {
    let host = registry.unwrap_or(&recipe.registry.host);
    let org = org.or(recipe.registry.org.as_ref());
    let org = org
        .ok_or_else(|| anyhow!("{missing}"))
        .hint("name one with `--org`, with `$org_name` or as `registry.org` in the recipe")
        .input()?;
    Ok((host, org))
}
