//! Images in the registry whose layers need not be built again: each carries what its layers were built from, and a
//! machine that lacks them takes them by digest.
//!
//! An image is opened when something is missing here, and no sooner. It is believed if it is in the registry and the
//! organisation that this recipe's images are pushed to, for one run: nothing of it is written to the store.

mod carried;

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt,
    io::{self, Read},
    sync::OnceLock,
};

use anyhow::{Context, anyhow, ensure};
use image_name::{Digest, Host, ImageRef, OrgName, Reference, RepoPath, TagTemplate};
use oci_image::{Behind, BlobSource, Compression, Descriptor, Store};
use serde_json::Value;

pub use self::carried::{Carried, Sources};
use crate::{
    options::RegistryArgs,
    recipe::{self, Recipe},
    resolve::{
        base::{self, OpenImage},
        connect,
    },
    terminal::{
        progress::Progress,
        report::{self, WithHint},
    },
};

/// Which images are searched for layers.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CacheArgs {
    /// Image of your organisation whose layers are taken where they are missing here; may be given several times
    /// [default: the recipe's `cache`, else the newest image of its repository and tag template that can be read]
    #[arg(long, value_name = "REF")]
    pub cache_from: Vec<String>,
    /// Take no layers from an image in the registry
    #[arg(long, conflicts_with = "cache_from")]
    pub no_cache_from: bool,
    /// Organisation of the images whose layers may be taken [default: the recipe's]
    #[arg(long, value_name = "ORG", env = "org_name")]
    pub org: Option<OrgName>,
    /// Registry of the images whose layers may be taken [default: the recipe's]
    #[arg(long = "registry", value_name = "HOST[:PORT]", value_parser = connect::host)]
    pub host: Option<Host>,
}

impl CacheArgs {
    /// No image at all.
    pub fn none() -> Self {
        Self { no_cache_from: true, ..Self::default() }
    }

    /// Whether there is any image to search.
    pub fn finds_any(&self, recipe: &Recipe, sample: bool) -> anyhow::Result<bool> {
        Ok(wanted(self, recipe, sample)?.is_some())
    }
}

/// How many images are looked at for the newest that can be read: a push may have compressed its layers with zstd.
const NEWEST: usize = 3;

/// What is searched for layers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Named(Vec<Reference>),
    /// The newest image that can be read, and whose tag the template reads.
    Newest {
        host: Host,
        path: RepoPath,
        template: TagTemplate,
    },
}

/// An image that is open.
struct CacheImage {
    /// As it was named.
    name: String,
    /// With its digest.
    reference: Reference,
    opened: OpenImage,
    /// Sizes and diff ids of its layers.
    layers: HashMap<Digest, (u64, Digest)>,
    carried: Carried,
}

/// The images whose layers may be taken.
pub struct Caches {
    wanted: Wanted,
    args: RegistryArgs,
    registry: recipe::Registry,
    store: Store,
    progress: Progress,
    opened: OnceLock<Vec<CacheImage>>,
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caches").field(&self.wanted).finish()
    }
}

impl Caches {
    /// Those of this call, if any. Without an argument and a word in the recipe there is none for the sample, whose
    /// packages nothing pins.
    pub fn new(
        args: &CacheArgs,
        registry_args: &RegistryArgs,
        recipe: &Recipe,
        sample: bool,
        store: &Store,
        progress: &Progress,
    ) -> anyhow::Result<Option<Self>> {
        let Some(wanted) = wanted(args, recipe, sample)? else { return Ok(None) };
        Ok(Some(Self {
            wanted,
            args: registry_args.clone(),
            registry: recipe.registry.clone(),
            store: store.alone(),
            progress: progress.clone(),
            opened: OnceLock::new(),
        }))
    }

    fn opened(&self) -> &[CacheImage] {
        self.opened.get_or_init(|| {
            let open = |reference: &Reference| self.open(reference);
            let opened: Vec<CacheImage> = match &self.wanted {
                Wanted::Named(references) => references.iter().filter_map(open).collect(),
                Wanted::Newest { host, path, template } => match self.newest(host, path, template) {
                    Ok(newest) => newest.iter().find_map(open).into_iter().collect(),
                    Err(error) => {
                        self.warn(&format!("{host}/{path}"), &error);
                        Vec::new()
                    }
                },
            };
            if opened.is_empty() {
                self.progress.line("no image to take layers from: what is missing here is built");
            }
            opened
        })
    }

    /// The newest images, at most [`NEWEST`]; none where nothing was pushed yet.
    fn newest(&self, host: &Host, path: &RepoPath, template: &TagTemplate) -> anyhow::Result<Vec<Reference>> {
        let registry = connect::registry(host, &self.args, &self.registry);
        let tags = match registry.tags(path) {
            Ok(tags) => tags,
            Err(error) if matches!(error.cause(), registry::Cause::NotFound(..)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let built = tags.into_iter().filter_map(|tag| Some((template.read_tag(tag.as_str()).ok()?.timestamp, tag)));
        let mut built: Vec<_> = built.collect();
        built.sort_by_cached_key(|(timestamp, tag)| Reverse((timestamp.unix_seconds(), tag.to_string())));
        let reference = |tag| Reference { host: host.clone(), path: path.clone(), tag: Some(tag), digest: None };
        Ok(built.into_iter().take(NEWEST).map(|(_, tag)| reference(tag)).collect())
    }

    fn open(&self, reference: &Reference) -> Option<CacheImage> {
        let name = reference.to_string();
        match self.read(reference) {
            Ok(image) => {
                self.progress.line(&format!("layers that are missing here are taken from {name}, where it has them"));
                Some(image)
            }
            Err(error) => {
                self.warn(&name, &error);
                None
            }
        }
    }

    fn warn(&self, name: &str, error: &anyhow::Error) {
        let reason = report::one_line(error.as_ref());
        self.progress.warning(&format!("layers of {name} can't be taken: {reason}"));
    }

    fn read(&self, reference: &Reference) -> anyhow::Result<CacheImage> {
        let name = reference.to_string();
        let opened = base::open(
            &ImageRef::Registry(reference.clone()),
            &self.args,
            &self.registry,
            &self.store,
            &self.progress,
        )?;
        let is_zstd = |layer: &Descriptor| layer.compression() == Some(Compression::Zstd);
        ensure!(
            !opened.base.layers.iter().any(is_zstd),
            "its layers are in zstd, and images are built of layers in gzip"
        );
        let carried = Carried::read(&opened.base.config)?;
        let layers = opened.base.layers.iter().zip(opened.base.config.diff_ids());
        let layers = layers.map(|(blob, diff_id)| (blob.digest, (blob.size, *diff_id))).collect();
        let reference = Reference { digest: Some(opened.base.manifest_digest), ..reference.clone() };
        Ok(CacheImage { name, reference, opened, layers, carried })
    }

    fn with_layer(&self, digest: &Digest, size: u64) -> Option<&CacheImage> {
        self.opened().iter().find(|image| image.layers.get(digest).is_some_and(|(known, _)| *known == size))
    }

    /// The image that this layer is taken from because the store lacks it.
    fn taken_from(&self, digest: &Digest, size: u64) -> Option<&CacheImage> {
        if self.store.has(digest, size) { None } else { self.with_layer(digest, size) }
    }

    /// The image that this layer is taken from, if it is, by the image's digest.
    pub fn place(&self, digest: &Digest, size: u64) -> Option<ImageRef> {
        self.taken_from(digest, size).map(|image| ImageRef::Registry(image.reference.clone()))
    }

    /// The same, as it was named.
    pub fn name(&self, digest: &Digest, size: u64) -> Option<String> {
        self.taken_from(digest, size).map(|image| image.name.clone())
    }

    /// The images that were opened, as they were named.
    pub fn names(&self) -> Vec<&str> {
        self.opened().iter().map(|image| image.name.as_str()).collect()
    }
}

impl Behind for Caches {
    fn record(&self, kind: &str, key: &Digest) -> Option<Value> {
        self.opened().iter().find_map(|image| image.carried.record(kind, key)).cloned()
    }

    fn has_layer(&self, digest: &Digest, size: u64, diff_id: &Digest) -> bool {
        let is_it = |image: &CacheImage| image.layers.get(digest) == Some(&(size, *diff_id));
        self.opened().iter().any(is_it)
    }

    fn file(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.opened().iter().find_map(|image| image.carried.file(digest))
    }
}

impl BlobSource for Caches {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.with_layer(&blob.digest, blob.size) {
            Some(image) => image.opened.open(blob),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("no image has layer {}", blob.digest))),
        }
    }
}

/// Blobs of the images where they have them, else those of the base.
pub struct OrBase<'a> {
    pub caches: Option<&'a Caches>,
    pub base: &'a OpenImage,
}

impl BlobSource for OrBase<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        let of_base = self.base.base.layers.iter().any(|layer| layer.digest == blob.digest);
        match self.caches.filter(|caches| !of_base && caches.with_layer(&blob.digest, blob.size).is_some()) {
            Some(caches) => BlobSource::open(caches, blob),
            None => self.base.open(blob),
        }
    }
}

fn wanted(args: &CacheArgs, recipe: &Recipe, sample: bool) -> anyhow::Result<Option<Wanted>> {
    if args.no_cache_from {
        return Ok(None);
    }
    let host = args.host.as_ref().unwrap_or(&recipe.registry.host);
    let org = args.org.as_ref().or(recipe.registry.org.as_ref());
    let named = match (&args.cache_from[..], &recipe.cache) {
        ([], None) => {
            let newest = |org| Wanted::Newest {
                host: host.clone(),
                path: RepoPath::of(org, &recipe.registry.repository),
                template: recipe.tag.clone(),
            };
            return Ok(org.filter(|_| !sample).map(newest));
        }
        ([], Some(named)) => named,
        (named, _) => named,
    };
    let named = named.iter().map(|text| reference(text, host, org).with_context(|| format!("bad cache `{text}`")));
    let named = named.collect::<anyhow::Result<Vec<_>>>().input()?;
    Ok(Some(named).filter(|named| !named.is_empty()).map(Wanted::Named))
}

/// The image of this name, where it is one of this registry and organisation: what others push could be anything.
fn reference(text: &str, host: &Host, org: Option<&OrgName>) -> anyhow::Result<Reference> {
    let ImageRef::Registry(reference) = text.parse()? else {
        return Err(anyhow!("it is not an image in a registry")).hint("write `HOST/ORG/REPOSITORY:TAG`");
    };
    if reference.tag.is_none() && reference.digest.is_none() {
        return Err(anyhow!("it has neither a tag nor a digest")).hint("write `HOST/ORG/REPOSITORY:TAG`");
    }
    let Some(org) = org else {
        return Err(anyhow!("which organisation is yours is not known, and layers are taken from no other"))
            .hint("name it with `--org`, with `$org_name` or as `registry.org` in the recipe");
    };
    let is_own = reference.host == *host
        && reference.path.as_str().strip_prefix(org.as_str()).is_some_and(|rest| rest.starts_with('/'));
    match is_own {
        true => Ok(reference),
        false => Err(anyhow!("layers are taken only from images of `{host}/{org}`, where this recipe's are pushed to"))
            .hint(format!("push a copy to `{host}/{org}` and name that, or build upon the image with `--base {text}`")),
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use oci_image::{Format, Layer, Manifest};
    use registry_fake::FakeRegistry;
    use serde_json::json;

    use super::*;
    use crate::recipe::Overrides;

    fn recipe(text: &str) -> Recipe {
        Recipe::parse(text, "image.toml", Path::new("/"), Overrides::default()).unwrap()
    }

    fn args(from: &[&str]) -> CacheArgs {
        CacheArgs { cache_from: from.iter().map(|one| (*one).to_owned()).collect(), ..CacheArgs::default() }
    }

    const OWN: &str = "registry = { host = 'r.example', org = 'mine' }\n";

    #[test]
    fn layers_are_taken_only_from_the_recipe_s_own_organisation() {
        let said = |recipe: &str, from: &str| {
            let wanted = wanted(&args(&[from]), &self::recipe(recipe), false);
            wanted.map(drop).map_err(|error| (report::exit(&error), report::render(&error))).err()
        };
        assert_eq!(said(OWN, "r.example/mine/fmtk-ma:1"), None);
        assert_eq!(said(OWN, "r.example/mine/deeper/fmtk-ma:1"), None);
        for (recipe, from, reason) in [
            (OWN, "r.example/other/fmtk-ma:1", "only from images of `r.example/mine`"),
            (OWN, "r.example/mine-too/fmtk-ma:1", "only from images of `r.example/mine`"),
            (OWN, "other.example/mine/fmtk-ma:1", "only from images of `r.example/mine`"),
            (OWN, "r.example/mine/fmtk-ma", "neither a tag nor a digest"),
            (OWN, "oci:folder", "not an image in a registry"),
            ("", "swr.cn-central-221.ovaijisuan.com/mine/fmtk-ma:1", "which organisation is yours is not known"),
        ] {
            let (exit, said) = said(recipe, from).unwrap_or_else(|| panic!("{from} was taken"));
            assert!(said.contains(reason) && said.contains("hint: "), "{said}");
            assert_eq!(exit, report::Exit::Input);
        }
    }

    const TAG: &str = "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-";

    /// Pushes an image of one layer, whose config has this key.
    fn push(fake: &FakeRegistry, timestamp: &str, key: &str, value: &str) -> Layer {
        push_as(fake, timestamp, key, value, Format::DockerV2, Format::DockerV2.layer())
    }

    fn push_as(
        fake: &FakeRegistry,
        timestamp: &str,
        key: &str,
        value: &str,
        format: Format,
        media_type_of_layer: &str,
    ) -> Layer {
        let digest = Digest::of(timestamp);
        let layer = Layer { digest, size: 5, diff_id: Digest::of("tar"), tar_size: 9 };
        let config = json!({
            "os": "linux", "architecture": "arm64", "rootfs": { "diff_ids": [layer.diff_id] }, key: value,
        });
        let config = config.to_string().into_bytes();
        let blob = |media_type: &str, digest, size| {
            let media_type = media_type.to_owned();
            Descriptor { media_type, digest, size, urls: Vec::new() }
        };
        let manifest = Manifest {
            format,
            config: blob(format.config(), Digest::of(&config), config.len() as u64),
            layers: vec![blob(media_type_of_layer, digest, 5)],
        };
        fake.put_blob("mine/fmtk-ma", &config);
        let tag = format!("{TAG}{timestamp}");
        fake.put_manifest("mine/fmtk-ma", &tag, format.manifest(), &manifest.to_json());
        layer
    }

    fn caches(fake: &FakeRegistry, from: &[&str], store: &Store) -> Caches {
        let host = fake.host();
        let from: Vec<String> = from.iter().map(|one| format!("{host}/mine/fmtk-ma:{one}")).collect();
        let args = args(&from.iter().map(String::as_str).collect::<Vec<_>>());
        let recipe = recipe(&format!("registry = {{ host = '{host}', org = 'mine' }}"));
        Caches::new(&args, &RegistryArgs::default(), &recipe, false, store, &Progress::new(true)).unwrap().unwrap()
    }

    /// The newest image by its tag is asked, and only when something is missing; what it says of its layers has to be what
    /// its own config says.
    #[test]
    fn the_newest_image_is_opened_at_the_first_miss() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), FakeRegistry::start());
        let store = Store::open(folder.path()).unwrap();
        assert!(caches(&fake, &[], &store).opened().is_empty(), "nothing was pushed yet");
        let mut carried = Carried::default();
        carried.add("tree-layers", Digest::of("key"), json!("of the newest"));
        let text = carried.to_text().unwrap().unwrap();
        push(&fake, "20230101000000", oci_image::CACHE_KEY, "");
        let layer = push(&fake, "20230301000000", oci_image::CACHE_KEY, &text);
        push(&fake, "20230201000000", oci_image::CACHE_KEY, "");
        fake.put_manifest("mine/fmtk-ma", "latest", Format::DockerV2.manifest(), b"{}");
        fake.clear_log();
        let caches = Arc::new(caches(&fake, &[], &store));
        let store = store.before(caches.clone());
        store.put_record("tree-layers", "here", &"own").unwrap();
        assert_eq!(store.record::<String>("tree-layers", "here").unwrap().as_deref(), Some("own"));
        assert!(fake.log().is_empty(), "asked though nothing is missing");
        assert_eq!(store.record::<String>("tree-layers", "key").unwrap().as_deref(), Some("of the newest"));
        let asked = fake.log().len();
        assert!(layer.is_in(&store) && !Layer { diff_id: Digest::of("other"), ..layer.clone() }.is_in(&store));
        assert_eq!(fake.log().len(), asked, "opened once");
        let place = caches.place(&layer.digest, layer.size).unwrap().to_string();
        assert!(place.starts_with(&format!("{}/mine/fmtk-ma:{TAG}20230301000000@sha256:", fake.host())), "{place}");
        assert!(caches.place(&layer.digest, 6).is_none());
    }

    /// A push with `--compression zstd` left the next build without a cache.
    #[test]
    fn the_newest_image_that_can_be_read_is_taken() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), FakeRegistry::start());
        let store = Store::open(folder.path()).unwrap();
        let text = Carried::default().to_text().unwrap().unwrap();
        let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
        push(&fake, "20230101000000", oci_image::CACHE_KEY, &text);
        push(&fake, "20230201000000", oci_image::CACHE_KEY, &text);
        push_as(&fake, "20230301000000", oci_image::CACHE_KEY, &text, Format::Oci, zstd);
        let name = |timestamp: &str| format!("{}/mine/fmtk-ma:{TAG}{timestamp}", fake.host());
        assert_eq!(caches(&fake, &[], &store).names(), [name("20230201000000")]);
        for month in ["04", "05"] {
            push_as(&fake, &format!("2023{month}01000000"), oci_image::CACHE_KEY, &text, Format::Oci, zstd);
        }
        assert!(caches(&fake, &[], &store).names().is_empty(), "not all images are looked at");
    }

    /// Whatever is wrong with an image, the others are still asked, and nothing fails.
    #[test]
    fn an_image_that_can_not_be_read_is_passed_over() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), FakeRegistry::start());
        let store = Store::open(folder.path()).unwrap();
        let text = Carried::default().to_text().unwrap().unwrap();
        push(&fake, "20230101000000", "other", "");
        push(&fake, "20230201000000", oci_image::CACHE_KEY, "damaged");
        push(&fake, "20230301000000", oci_image::CACHE_KEY, &text);
        let tags: Vec<String> = ["20230101000000", "20230201000000", "20230401000000", "20230301000000"]
            .map(|timestamp| format!("{TAG}{timestamp}"))
            .into();
        let caches = caches(&fake, &tags.iter().map(String::as_str).collect::<Vec<_>>(), &store);
        assert_eq!(caches.names(), [format!("{}/mine/fmtk-ma:{TAG}20230301000000", fake.host())]);
    }

    #[test]
    fn arguments_come_before_the_recipe_and_the_newest_image_is_the_default() {
        let of_recipe = format!("cache = ['r.example/mine/a:1']\n{OWN}");
        let named = |wanted: Option<Wanted>| match wanted {
            None => "none".to_owned(),
            Some(Wanted::Named(named)) => named.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Some(Wanted::Newest { host, path, .. }) => format!("newest of {host}/{path}"),
        };
        let org = CacheArgs { org: Some("mine".parse().unwrap()), ..args(&[]) };
        for (args, text, sample, expected) in [
            (
                args(&["r.example/mine/b:1", "r.example/mine/c:1"]),
                of_recipe.as_str(),
                false,
                "r.example/mine/b:1 r.example/mine/c:1",
            ),
            (args(&[]), &of_recipe, false, "r.example/mine/a:1"),
            (CacheArgs::none(), &of_recipe, false, "none"),
            (args(&[]), OWN, false, "newest of r.example/mine/fmtk-ma"),
            (args(&[]), OWN, true, "none"),
            (args(&[]), "", false, "none"),
            (org, "", false, "newest of swr.cn-central-221.ovaijisuan.com/mine/fmtk-ma"),
            (args(&[]), &format!("cache = []\n{OWN}"), false, "none"),
        ] {
            assert_eq!(named(wanted(&args, &recipe(text), sample).unwrap()), expected);
        }
    }
}
