//! `verify`: an image in the registry against the one that the packages here give, built without taking layers from it.

use anyhow::anyhow;
use image_name::{Digest, Host, ImageRef, OrgName, Reference, RepoPath, Tag};
use oci_image::{Base, Compression, Descriptor, Image, Store, zstd_layer};
use serde_json::json;

use super::{ImageArgs, planning::planned};
use crate::{
    build::BuiltLayer,
    options::{Call, Engine, Format, Inspect, MediaTypes, RecipeArgs, RegistryArgs},
    recipe::Recipe,
    record::BuildRecord,
    resolve::{
        base::{self, Fallback},
        cache::CacheArgs,
        connect, inputs, place,
    },
    ship::target,
    terminal::{clock, progress::Progress, report::WithHint},
};

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Tag of the image in the registry, or `HOST/ORG/REPOSITORY:TAG` [default: the last image of the recipe]
    pub image: Option<String>,
    /// Where the recipe and the packages are.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the registry is reached.
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Organisation of the image [default: the recipe's]
    #[arg(long, value_name = "ORG", env = "org_name")]
    pub org: Option<OrgName>,
    /// Registry [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = connect::host)]
    pub registry: Option<Host>,
    /// Base image that it was built upon, where that was not the recipe's
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Engine that runs CANN's installer and compiles modules
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command.
pub fn run(args: &VerifyArgs, call: &Call, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let begun = clock::unix_seconds();
    let recipe = inputs::draft(&args.recipe, args.base.as_deref(), store, progress)?.recipe;
    let (reference, tag) = named(args, &recipe, store)?;
    let timestamp = recipe.tag.read_tag(tag.as_str());
    let timestamp = timestamp.hint("name the recipe that it was built from with `--recipe`").input()?.timestamp;
    let name = reference.to_string();
    let there = base::open(&ImageRef::Registry(reference), &args.registry_args, &recipe.registry, store, progress)?;
    let oci = there.base.format == oci_image::Format::Oci;
    let of_image = ImageArgs {
        recipe: args.recipe.clone(),
        registry: args.registry_args.clone(),
        cache: CacheArgs::none(),
        base: args.base.clone(),
        timestamp: Some(timestamp),
        dry_run: false,
        format: args.format,
        output: Vec::new(),
        load: false,
        engine: args.engine,
        media_types: if oci { MediaTypes::Oci } else { MediaTypes::Docker },
        inspect: Inspect::Auto,
        no_inspect: false,
        allow_missing: true,
    };
    let planned = planned(&of_image, call, store, None, true, progress)?;
    let built = planned.build(&of_image, begun, progress)?;
    let source = Fallback { store, other: &planned.opened };
    let expected = compressed_as(&built.image, &there.base, &source)?;
    let differences = differences(&expected, &built.layers, &there.base);
    let document = json!({
        "image": name,
        "digest": there.base.manifest_digest,
        "rebuilt": expected.digest,
        "differences": differences,
    });
    let same = format!("{name} is what the packages here give: {}\n", expected.digest);
    args.format.print(|| if differences.is_empty() { same } else { String::new() }, &document)?;
    match &differences[..] {
        [] => Ok(()),
        differences => Err(anyhow!("{name} is not what the packages here give: {}", differences.join("; ")))
            .hint(
                "if these are the packages that it was meant to have, build it again with `--no-cache-from` and push it under \
                 a new timestamp",
            ),
    }
}

/// The image in the registry, and its tag.
fn named(args: &VerifyArgs, recipe: &Recipe, store: &Store) -> anyhow::Result<(Reference, Tag)> {
    let name = match &args.image {
        Some(name) => name.clone(),
        None => BuildRecord::latest(store, &place::recipe_file(args.recipe.recipe.as_deref())?)?.tag.to_string(),
    };
    if name.contains('/') {
        return match name.parse().input()? {
            ImageRef::Registry(Reference { host, path, tag: Some(tag), digest }) => {
                Ok((Reference { host, path, tag: Some(tag.clone()), digest }, tag))
            }
            _ => Err(anyhow!("`{name}` is not an image in a registry with a tag")).input(),
        };
    }
    let missing = format_args!("no organisation that `{name}` is in");
    let (host, org) = target::names(args.registry.as_ref(), args.org.as_ref(), recipe, missing)?;
    let tag: Tag = name.parse().input()?;
    let path = RepoPath::of(org, &recipe.registry.repository);
    Ok((Reference { host: host.clone(), path, tag: Some(tag.clone()), digest: None }, tag))
}

/// The image with layers in zstd where the one there has them so, as a push makes them.
fn compressed_as(image: &Image, there: &Base, source: &Fallback<'_>) -> anyhow::Result<Image> {
    let is_zstd = |blob: &Descriptor| blob.compression() == Some(Compression::Zstd);
    if !there.layers.iter().any(is_zstd) {
        return Ok(image.clone());
    }
    image.with_blobs(|number, blob, diff_id| match there.layers.get(number) {
        Some(theirs) if is_zstd(theirs) => Ok(zstd_layer(source.store, blob, diff_id, source)?),
        _ => Ok(blob.clone()),
    })
}

/// In what the image there is not the one that was built, in words. `layers` are those that were built, upon the base's.
fn differences(image: &Image, layers: &[BuiltLayer], there: &Base) -> Vec<String> {
    if image.digest == there.manifest_digest {
        return Vec::new();
    }
    let of_base = image.layers.len() - layers.len();
    let (ours, theirs) = (image.layers.len(), there.layers.len());
    let mut found = Vec::new();
    if ours != theirs {
        found.push(format!("it has {theirs} layers, and {ours} are built"));
    }
    for (number, (ours, theirs)) in image.layers.iter().zip(&there.layers).enumerate() {
        let holds = match number.checked_sub(of_base).and_then(|number| layers.get(number)) {
            Some(layer) => &layer.holds,
            None => "the base",
        };
        if ours.digest != theirs.digest {
            found.push(differs(&format!("layer {} (`{holds}`)", number + 1), &theirs.digest, &ours.digest));
        }
    }
    let configs = (Digest::of(&there.config_bytes), image.config_descriptor.digest);
    if found.is_empty() && configs.0 != configs.1 {
        found.push(differs("its config", &configs.0, &configs.1));
    }
    if found.is_empty() {
        found.push(differs("its manifest", &there.manifest_digest, &image.digest));
    }
    found
}

fn differs(what: &str, there: &Digest, built: &Digest) -> String {
    format!("{what} is {there}, and {built} is built")
}

#[cfg(test)]
mod tests {
    use oci_image::{ConfigEdits, Layer, NewLayer, assemble};

    use super::*;
    use crate::build::Built;

    /// An image of layers that hold this and are made of that.
    fn built(layers: &[(&str, &str)], cache: Option<&str>) -> Built {
        let config = br#"{"os":"linux","architecture":"arm64","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let new = layers.iter().map(|(holds, text)| {
            let digest = Digest::of(text);
            NewLayer { layer: Layer { digest, size: 1, diff_id: digest, tar_size: 1 }, holds: (*holds).to_owned() }
        });
        let (created, cache) = ("2022-10-28T18:13:25Z".to_owned(), cache.map(str::to_owned));
        let edits = ConfigEdits { created, cache, ..ConfigEdits::default() };
        let new: Vec<NewLayer> = new.collect();
        let image = assemble(&Base::scratch(config).unwrap(), &new, &edits, oci_image::Format::DockerV2).unwrap();
        let layer = |new: NewLayer| BuiltLayer { holds: new.holds, removes: Vec::new() };
        Built { image, layers: new.into_iter().map(layer).collect() }
    }

    #[test]
    fn each_layer_that_is_not_what_is_built_is_named() {
        let ours = built(&[("large 1.0", "large"), ("kit 2.0", "kit")], None);
        let said = |layers: &[(&str, &str)], cache| {
            let image = built(layers, cache).image;
            let there = Base::new("there", &image.manifest, None, image.config).unwrap();
            differences(&ours.image, &ours.layers, &there).join("\n")
        };
        let same = [("large 1.0", "large"), ("kit 2.0", "kit")];
        assert_eq!(said(&same, None), "");
        let lie = said(&[("large 1.0", "something else"), ("kit 2.0", "kit")], None);
        assert_eq!(
            lie,
            format!("layer 1 (`large 1.0`) is {}, and {} is built", Digest::of("something else"), Digest::of("large"))
        );
        assert_eq!(said(&same[..1], None), "it has 1 layers, and 2 are built");
        assert!(said(&same, Some("carried")).starts_with("its config is sha256:"));
    }
}
