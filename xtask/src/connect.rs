//! How a registry is reached: the flags, over what the recipe says of that host.

use image_name::Host;
use registry::{Registry, RegistryOptions};

use crate::{args::RegistryArgs, recipe, report};

/// The registry at `host`. What the recipe says under `[registry]` holds for the recipe's own host alone: a base may
/// come from elsewhere.
pub fn registry(host: &Host, args: &RegistryArgs, recipe: &recipe::Registry) -> Registry {
    Registry::new(host.clone(), options(host, args, recipe))
}

/// How the registry at `host` is reached, with the logins that are stored.
pub fn options(host: &Host, args: &RegistryArgs, recipe: &recipe::Registry) -> RegistryOptions {
    let own = (*host == recipe.host).then_some(recipe);
    let ca = args.ca.clone().or_else(|| own.and_then(|own| own.ca.as_ref()).map(|ca| ca.path().to_owned()));
    RegistryOptions {
        insecure: args.insecure || own.is_some_and(|own| own.insecure),
        ip: args.resolve.or_else(|| own.and_then(|own| own.ip)),
        ca_files: ca.into_iter().collect(),
        ..RegistryOptions::default()
    }
}

/// The registry's error with what to do about it.
pub fn hinted(error: registry::Error) -> anyhow::Error {
    match error.hint() {
        Some(hint) => report::hinted(error.into(), hint),
        None => error.into(),
    }
}
