//! `images`: what an organisation has in the registry, newest first.

use anyhow::{Context, anyhow};
use image_name::{ImageTag, RepoPath, Tag};
use serde_json::json;

use crate::{
    args::{Format, ImagesArgs},
    connect, place,
    report::{self, WithHint},
};

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
    let tags = registry
        .tags(&path)
        .map_err(connect::hinted)
        .with_context(|| format!("failed to list the images of `{org}` on `{host}`"))?;
    let tags = newest_first(tags);
    match args.format {
        Format::Human => {
            let lines: String = tags.iter().map(|(tag, _)| format!("{path}:{tag}\n")).collect();
            report::data(&lines)
        }
        Format::Json => {
            let images: Vec<_> = tags
                .iter()
                .map(|(tag, parsed)| {
                    json!({
                        "user_image_url": format!("{path}:{tag}"),
                        "tag": tag,
                        "python": parsed.as_ref().map(ImageTag::python),
                        "mindspore": parsed.as_ref().map(ImageTag::mindspore),
                        "cann": parsed.as_ref().map(ImageTag::cann),
                        "timestamp": parsed.as_ref().map(ImageTag::timestamp),
                    })
                })
                .collect();
            report::data(&format!("{}\n", serde_json::to_string_pretty(&images)?))
        }
    }
}

/// Our own tags by their timestamps, the newest first; then the others, by name.
fn newest_first(tags: Vec<Tag>) -> Vec<(Tag, Option<ImageTag>)> {
    let parse = |tag: Tag| {
        let parsed = tag.as_str().parse::<ImageTag>().ok();
        (tag, parsed)
    };
    let mut tags: Vec<_> = tags.into_iter().map(parse).collect();
    tags.sort_by_key(|(tag, parsed)| {
        let age = parsed.as_ref().map_or(0, |parsed| parsed.timestamp().unix_seconds());
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
