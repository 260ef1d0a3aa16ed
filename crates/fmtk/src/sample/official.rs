//! The official Python image, for machines without Debian's packages.

use anyhow::{Context, anyhow};
use image_name::Reference;
use registry::{Registry, RegistryOptions};

use crate::terminal::report::WithHint;

/// The image on the public registry that docker takes where no host is named.
pub const IMAGE: &str = "docker.io/library/python:3.9-slim-bullseye";

/// Asks the registry for the image; an error where either is not to be had.
pub fn probe(options: RegistryOptions) -> anyhow::Result<()> {
    let reference: Reference = IMAGE.parse().with_context(|| format!("`{IMAGE}` is no reference"))?;
    let tag = reference.tag.as_ref().with_context(|| format!("`{IMAGE}` has no tag"))?;
    let registry = Registry::new(reference.host.clone(), options);
    registry
        .resolve(&reference.path, tag)?
        .ok_or_else(|| anyhow!("`{IMAGE}` is not there any more"))
        .hint("give a base of your own with `--base`")?;
    Ok(())
}
