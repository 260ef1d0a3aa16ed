//! `images`: what an organisation has in the registry, newest first.

use anyhow::Context;
use image_name::{Digest, ReadTag, RepoPath, Tag, TagPart, TagTemplate};
use oci_image::Manifest;
use registry::Registry;
use serde_json::json;

use crate::{
    options::Format,
    recipe::{Recipe, stacks::STACKS},
    resolve::connect,
    ship::target::TargetArgs,
    terminal::{
        progress::{Progress, bytes},
        report,
    },
};

/// Flags of `images`.
#[derive(Debug, clap::Args)]
pub struct ImagesArgs {
    /// Whose images are listed.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command.
pub fn run(args: &ImagesArgs, progress: &Progress) -> anyhow::Result<()> {
    let recipe = args.target.recipe()?;
    let (host, org) = args.target.names(&recipe, "no organisation to list")?;
    let path = RepoPath::of(org, &recipe.registry.repository);
    let registry = connect::registry(host, &args.target.registry_args, &recipe.registry);
    let step = progress.step(format!("asking {host}"));
    let hinted = |error: registry::Error| {
        let is_missing = matches!(error.cause(), registry::Cause::NotFound(..));
        let hint = format!("nothing was pushed as `{path}` yet, or the organisation has another name");
        report::hinted_if(error.into(), is_missing.then_some(hint))
    };
    let tags = registry.tags(&path).map_err(hinted);
    let tags = tags.with_context(|| format!("failed to list the images of `{org}` on `{host}`"))?;
    // A request a tag.
    let images = side_by_side::map(&newest_first(tags, &templates(&recipe)?), AT_ONCE, |(tag, parsed)| {
        listed(&registry, &path, tag, parsed)
    });
    let document: Vec<_> = images.iter().map(|image| image.json(&path)).collect();
    drop(step);
    connect::warn_of(&registry, progress);
    args.format.print(|| report::printable(&table(&path, &images)), &document)
}

/// A tag, and what its manifest says, if that can be had.
struct Listed {
    tag: Tag,
    parsed: Option<ReadTag>,
    digest: Option<Digest>,
    /// Compressed bytes of the layers; none of an index of several images.
    size: Option<u64>,
}

impl Listed {
    fn json(&self, path: &RepoPath) -> serde_json::Value {
        let Self { tag, parsed, digest, size } = self;
        let parsed = parsed.as_ref();
        let value = |key: &str| parsed.and_then(|parsed| parsed.values.get(key)).map(TagPart::as_str);
        json!({
            "user_image_url": format!("{path}:{tag}"),
            "tag": tag,
            "python": value("python"),
            "mindspore": value("mindspore"),
            "cann": value("cann"),
            "os": value("os"),
            "versions": parsed.map(|parsed| &parsed.values),
            "timestamp": parsed.map(|parsed| &parsed.timestamp),
            "created": parsed.map(|parsed| parsed.timestamp.rfc3339()),
            "digest": digest,
            "size": size,
        })
    }
}

/// Requests under way at most.
const AT_ONCE: usize = 8;

fn listed(registry: &Registry, path: &RepoPath, tag: &Tag, parsed: &Option<ReadTag>) -> Listed {
    let (tag, parsed) = (tag.clone(), parsed.clone());
    let Ok(Some(found)) = registry.manifest(path, &tag) else {
        return Listed { tag, parsed, digest: None, size: None };
    };
    let media_type = Some(found.media_type.as_str()).filter(|it| !it.is_empty());
    let manifest = Manifest::parse(&found.bytes, media_type).ok();
    let size = manifest.map(|it| it.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size)));
    Listed { tag, parsed, digest: Some(found.digest), size }
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

/// The recipe's, and those of the stacks: an organisation has images of several in one repository.
pub(super) fn templates(recipe: &Recipe) -> anyhow::Result<Vec<TagTemplate>> {
    let of_stacks = STACKS.iter().map(|stack| Ok(stack.recipe()?.tag));
    [Ok(recipe.tag.clone())].into_iter().chain(of_stacks).collect()
}

/// Our own tags by their timestamps, the newest first; then the others, by name.
fn newest_first(tags: Vec<Tag>, templates: &[TagTemplate]) -> Vec<(Tag, Option<ReadTag>)> {
    let parse = |tag: Tag| {
        let parsed = templates.iter().find_map(|template| template.read_tag(tag.as_str()).ok());
        (tag, parsed)
    };
    let mut tags: Vec<_> = tags.into_iter().map(parse).collect();
    tags.sort_by_key(|(tag, parsed)| {
        let age = parsed.as_ref().map_or(0, |parsed| parsed.timestamp.unix_seconds());
        (std::cmp::Reverse(age), tag.to_string())
    });
    tags
}
