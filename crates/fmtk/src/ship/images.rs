//! `images`: what an organisation has in the registry, newest first.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use image_name::{Digest, Host, ImageTag, OrgName, RepoPath, Tag};
use oci_image::Manifest;
use registry::Registry;
use serde_json::json;

use crate::{
    options::{Format, RegistryArgs},
    resolve::{connect, place},
    terminal::{
        progress::bytes,
        report::{self, WithHint},
    },
};

/// Flags of `images`.
#[derive(Debug, clap::Args)]
pub struct ImagesArgs {
    /// How the registry is reached.
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Organisation to list [default: the recipe's]
    #[arg(long, value_name = "ORG", env = "org_name")]
    pub org: Option<OrgName>,
    /// Registry [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::resolve::connect::host)]
    pub registry: Option<Host>,
    /// Recipe that names the registry and the repository [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command.
pub fn run(args: &ImagesArgs) -> anyhow::Result<()> {
    let recipe = place::recipe(args.recipe.as_deref())?;
    let host = args.registry.as_ref().unwrap_or(&recipe.registry.host);
    let org = args
        .org
        .as_ref()
        .or(recipe.registry.org.as_ref())
        .ok_or_else(|| anyhow!("no organisation to list"))
        .hint("name one with `--org`, with `$org_name` or as `registry.org` in the recipe")
        .input()?;
    let path = RepoPath::of(org, &recipe.registry.repository);
    let registry = connect::registry(host, &args.registry_args, &recipe.registry);
    let tags = registry.tags(&path).with_context(|| format!("failed to list the images of `{org}` on `{host}`"))?;
    let images: Vec<Listed> = newest_first(tags).into_iter().map(|(tag, parsed)| Listed::new(tag, parsed)).collect();
    let images = looked_at(&registry, &path, images);
    let document: Vec<_> = images.iter().map(|image| image.json(&path)).collect();
    args.format.print(|| report::printable(&table(&path, &images)), &document)
}

/// A tag, and what its manifest says.
#[derive(Clone)]
struct Listed {
    tag: Tag,
    parsed: Option<ImageTag>,
    digest: Option<Digest>,
    /// Compressed bytes of the layers; none of an index of several images.
    size: Option<u64>,
}

impl Listed {
    fn new(tag: Tag, parsed: Option<ImageTag>) -> Self {
        Self { tag, parsed, digest: None, size: None }
    }

    fn json(&self, path: &RepoPath) -> serde_json::Value {
        let Self { tag, parsed, digest, size } = self;
        json!({
            "user_image_url": format!("{path}:{tag}"),
            "tag": tag,
            "python": parsed.as_ref().map(|parsed| &parsed.python),
            "mindspore": parsed.as_ref().map(|parsed| &parsed.mindspore),
            "cann": parsed.as_ref().map(|parsed| &parsed.cann),
            "os": parsed.as_ref().map(|parsed| &parsed.os),
            "timestamp": parsed.as_ref().map(|parsed| &parsed.timestamp),
            "created": parsed.as_ref().map(|parsed| parsed.timestamp.rfc3339()),
            "digest": digest,
            "size": size,
        })
    }
}

/// Requests under way at most.
const AT_ONCE: usize = 8;

/// Asks for the manifest of each: one request a tag. A tag whose manifest can't be had is listed without it.
fn looked_at(registry: &Registry, path: &RepoPath, images: Vec<Listed>) -> Vec<Listed> {
    side_by_side::map(&images, AT_ONCE, |image| look_at(registry, path, image.clone()))
}

fn look_at(registry: &Registry, path: &RepoPath, image: Listed) -> Listed {
    let Ok(Some(found)) = registry.manifest(path, &image.tag) else { return image };
    let manifest = Manifest::parse(&found.bytes, Some(&found.media_type).filter(|it| !it.is_empty()).map(|it| &**it));
    let size = manifest.ok().map(|it| it.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size)));
    Listed { digest: Some(found.digest), size, ..image }
}

/// One image a line; the first column is what `app_config` wants.
fn table(path: &RepoPath, images: &[Listed]) -> String {
    let line = |image: &Listed| {
        let Listed { tag, parsed, digest, size } = image;
        let built = parsed.as_ref().map_or_else(String::new, |parsed| parsed.timestamp.rfc3339());
        [
            format!("{path}:{tag}"),
            digest.map_or_else(String::new, |digest| digest.short()),
            size.map_or_else(String::new, bytes),
            built,
        ]
    };
    let lines: Vec<[String; 4]> = images.iter().map(line).collect();
    let width = lines.iter().map(|[name, ..]| name.len()).max().unwrap_or_default();
    let text = |[name, digest, size, built]: &[String; 4]| {
        let line = format!("{name:<width$}  {digest:<12}  {size:>9}  {built}");
        line.trim_end().to_owned() + "\n"
    };
    lines.iter().map(text).collect()
}

/// Our own tags by their timestamps, the newest first; then the others, by name.
fn newest_first(tags: Vec<Tag>) -> Vec<(Tag, Option<ImageTag>)> {
    let parse = |tag: Tag| {
        let parsed = tag.as_str().parse::<ImageTag>().ok();
        (tag, parsed)
    };
    let mut tags: Vec<_> = tags.into_iter().map(parse).collect();
    tags.sort_by_key(|(tag, parsed)| {
        let age = parsed.as_ref().map_or(0, |parsed| parsed.timestamp.unix_seconds());
        (std::cmp::Reverse(age), tag.to_string())
    });
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_image_comes_first_and_foreign_tags_last() {
        let old = "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325";
        let new = "py_3.7-ms_1.7.0_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221128181325";
        let tags = ["latest", old, "base", new].map(|text| text.parse().unwrap());
        let sorted: Vec<String> = newest_first(tags.into()).into_iter().map(|(tag, _)| tag.to_string()).collect();
        assert_eq!(sorted, [new, old, "base", "latest"]);
    }
}
