//! What a build leaves for the push: the image's digest, its blobs and where each can be had.

use std::{fs, path::Path};

use anyhow::{Context, anyhow};
use image_name::{Digest, ImageRef, OrgName, Repository, Tag, Timestamp};
use oci_image::{Descriptor, Format, Image, Lock, MAX_CONFIG, Store};
use serde::{Deserialize, Serialize};

use crate::terminal::report::WithHint;

/// A built image. The manifest and the config lie in the store as blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// Name without organisation: `fmtk-ma`.
    pub repository: Repository,
    pub tag: Tag,
    pub timestamp: Timestamp,
    pub digest: Digest,
    pub media_type: String,
    /// Length of the manifest in bytes.
    pub manifest_size: u64,
    pub config: Descriptor,
    /// The layers, bottom to top.
    pub layers: Vec<RecordedLayer>,
    /// The base as it was named, with its digest.
    pub base: RecordedBase,
    /// The arguments that made it different from the recipe, as in a shell: `--sample`. Empty if there were none.
    #[serde(default)]
    pub arguments: String,
    /// The recipe's file, as [`file_key`] has it; empty in older records.
    #[serde(default)]
    pub recipe: String,
}

/// A layer of a built image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLayer {
    pub blob: Descriptor,
    /// What it holds, for people.
    pub content: String,
    /// The base's own blob: it lies where the base lies, and in the store only by chance.
    pub of_base: bool,
    /// The image in a registry that it was taken from by its digest, without being downloaded; the store has it only by
    /// chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_cache: Option<ImageRef>,
}

impl RecordedLayer {
    /// Whether the store has to have it.
    pub fn is_of_store(&self) -> bool {
        !self.of_base && self.of_cache.is_none()
    }

    /// The same layer as another blob.
    pub fn with_blob(&self, blob: &Descriptor) -> Self {
        Self { blob: blob.clone(), ..self.clone() }
    }
}

/// The base of a built image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedBase {
    /// `host/org/repo:tag`, `oci:DIR[:tag]` or `docker-archive:FILE`.
    pub reference: ImageRef,
    /// Digest of its manifest.
    pub digest: Digest,
}

const KIND: &str = "image";
const LATEST: &str = "latest-image";

/// The image that was built last from a recipe.
#[derive(Debug, Serialize, Deserialize)]
struct Latest {
    repository: Repository,
    tag: Tag,
    /// Digest of its manifest: another recipe may build another image of the same tag.
    digest: Digest,
    /// Whether a build was begun since then, and did not come to its end.
    #[serde(default)]
    newer_unfinished: bool,
}

/// Notes that a build begins: until it has saved its record, the last image of this recipe is from before it.
pub fn begin(store: &Store, recipe: &Path) -> anyhow::Result<()> {
    let recipe = file_key(recipe);
    if let Some(latest) = store.record::<Latest>(LATEST, &recipe)? {
        store.put_record(LATEST, &recipe, &Latest { newer_unfinished: true, ..latest })?;
    }
    Ok(())
}

/// Whether a build of this recipe was begun after its last image.
pub fn newer_unfinished(store: &Store, recipe: &Path) -> anyhow::Result<bool> {
    Ok(store.record::<Latest>(LATEST, &file_key(recipe))?.is_some_and(|latest| latest.newer_unfinished))
}

/// A recipe is one file, whatever path leads to it.
pub fn file_key(recipe: &Path) -> String {
    fs::canonicalize(recipe).as_deref().unwrap_or(recipe).to_string_lossy().into_owned()
}

impl BuildRecord {
    /// Keeps the record under the image's tag, and as the last one built from its recipe.
    pub fn save(&self, store: &Store) -> anyhow::Result<()> {
        store.put_record(KIND, &self.name(), self)?;
        let Self { repository, tag, digest, recipe, .. } = self.clone();
        store.put_record(LATEST, &recipe, &Latest { repository, tag, digest, newer_unfinished: false })?;
        Ok(())
    }

    /// Holds the tag until the record is saved: builds that began in one second have the same. An image that had it
    /// first keeps it, unless the timestamp was `chosen`; then the digest that it had is given too.
    pub fn claim(&self, store: &Store, chosen: bool) -> anyhow::Result<(Lock, Option<Digest>)> {
        let lock = store.lock(&format!("{KIND}-{}", Digest::of(self.name()).hex()))?;
        let other = store.record::<Self>(KIND, &self.name())?.map(|other| other.digest);
        match other.filter(|other| *other != self.digest) {
            Some(other) if !chosen => Err(anyhow!("another build of this second has made `{}`: {other}", self.name()))
                .hint("run the same command again; to build side by side, give each build a `--timestamp` of its own"),
            other => Ok((lock, other)),
        }
    }

    fn load(store: &Store, repository: &Repository, tag: &Tag) -> anyhow::Result<Self> {
        store
            .record(KIND, &format!("{repository}:{tag}"))?
            .ok_or_else(|| anyhow!("no image `{repository}:{tag}` in the store `{}`", store.root().display()))
            .hint(meant(&format!("{repository}:{tag}"), &all(store).unwrap_or_default()))
            .input()
    }

    /// The record of the last image built from the recipe in this file.
    pub fn latest(store: &Store, recipe: &Path) -> anyhow::Result<Self> {
        let latest: Option<Latest> = store.record(LATEST, &file_key(recipe))?;
        let Latest { repository, tag, digest, .. } = latest
            .ok_or_else(|| {
                let (recipe, store) = (recipe.display(), store.root().display());
                anyhow!("the store `{store}` has no image that was built from `{recipe}`")
            })
            .hint(match &all(store)?[..] {
                [] => "run `cargo xtask image` first; if it was built into another store, name that with `--store DIR`"
                    .to_owned(),
                built => format!("{}; name the one you want", newest(built)),
            })
            .input()?;
        let record = Self::load(store, &repository, &tag)?;
        if record.digest == digest {
            return Ok(record);
        }
        let now = record.digest;
        Err(anyhow!(
            "`{repository}:{tag}` was built as {digest} from `{}`; since then another build has made it {now}",
            recipe.display()
        ))
        .hint(format!(
            "build it again: `cargo xtask image --timestamp {0}`; or name the existing image: `cargo xtask push {0}`",
            record.timestamp
        ))
        .input()
    }

    /// Every image in the store with this timestamp, whatever its versions are.
    pub fn with_timestamp(store: &Store, timestamp: &Timestamp) -> anyhow::Result<Self> {
        let built = all(store)?;
        let found: Vec<&Self> = built.iter().filter(|record| record.timestamp == *timestamp).collect();
        match &found[..] {
            [record] => Ok((*record).clone()),
            [] => Err(anyhow!("no image with timestamp `{timestamp}` in the store `{}`", store.root().display()))
                .hint(listed(&timestamp.to_string(), &built))
                .input(),
            several => {
                let tags: Vec<String> = several.iter().map(|record| format!("`{}`", record.tag)).collect();
                Err(anyhow!("several images have the timestamp `{timestamp}`: {}", tags.join(", ")))
                    .hint("name one by its full tag")
                    .input()
            }
        }
    }

    /// The image that is meant by a name, as [`Self::named`] knows them; there has to be one.
    pub fn existing(store: &Store, name: &str) -> anyhow::Result<Self> {
        Self::named(store, name)?
            .ok_or_else(|| anyhow!("no image `{name}` in the store `{}`", store.root().display()))
            .hint(meant(name, &all(store)?))
            .input()
    }

    /// The image in the store that is meant by its tag, with or without the repository, or by its timestamp.
    pub fn named(store: &Store, name: &str) -> anyhow::Result<Option<Self>> {
        let is_named = |record: &Self| {
            let tag = record.tag.as_str();
            name == tag || name.strip_suffix(tag).is_some_and(|rest| is_repository(rest, &record.repository))
        };
        if let Some(record) = all(store)?.into_iter().rev().find(is_named) {
            return Ok(Some(record));
        }
        name.parse().ok().map(|timestamp| Self::with_timestamp(store, &timestamp)).transpose()
    }

    pub fn manifest(&self, store: &Store) -> anyhow::Result<Vec<u8>> {
        store
            .read_blob(&self.digest, self.manifest_size)
            .with_context(|| format!("the manifest of `{}` is not in the store as it was built", self.name()))
            .hint(self.again())
    }

    /// The image itself, but for its layers.
    pub fn image(&self, store: &Store) -> anyhow::Result<Image> {
        let config = store
            .read_blob(&self.config.digest, MAX_CONFIG)
            .with_context(|| format!("the config of `{}` is not in the store", self.name()))
            .hint(self.again())?;
        let format = [Format::DockerV2, Format::Oci].into_iter().find(|format| format.manifest() == self.media_type);
        Ok(Image {
            format: format.ok_or_else(|| anyhow!("manifests of type `{}` are not known", self.media_type))?,
            manifest: self.manifest(store)?,
            digest: self.digest,
            config,
            config_descriptor: self.config.clone(),
            layers: self.layers.iter().map(|layer| layer.blob.clone()).collect(),
        })
    }

    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// What to do where the store has lost some of it.
    pub fn again(&self) -> String {
        let arguments = if self.arguments.is_empty() { String::new() } else { format!("{} ", self.arguments) };
        format!(
            "build the image again: `cargo xtask image {arguments}--timestamp {}`, with all else as it was built",
            self.timestamp
        )
    }
}

/// Every image in the store, oldest first.
pub fn all(store: &Store) -> anyhow::Result<Vec<BuildRecord>> {
    let mut records: Vec<BuildRecord> = store.records(KIND)?;
    records.sort_by_cached_key(|record| (record.timestamp.to_string(), record.tag.to_string()));
    Ok(records)
}

/// Which image was meant by a name that none has.
pub fn meant(name: &str, built: &[BuildRecord]) -> String {
    closest_name(name, built).map_or_else(|| listed(name, built), |nearest| format!("did you mean `{nearest}`?"))
}

/// The name that this one is, but for a slip of the finger.
pub fn closest_name(name: &str, built: &[BuildRecord]) -> Option<String> {
    let nearest = built.iter().rev().flat_map(names).min_by_key(|known| strsim::damerau_levenshtein(known, name));
    // More slips make another name.
    nearest.filter(|known| strsim::damerau_levenshtein(known, name) <= 3)
}

/// Those whose names are the nearest, of equal ones the newest first.
pub fn listed(name: &str, built: &[BuildRecord]) -> String {
    if built.is_empty() {
        return "nothing has been built yet: run `cargo xtask image`".to_owned();
    }
    let mut nearest: Vec<&BuildRecord> = built.iter().rev().collect();
    nearest.sort_by_cached_key(|record| {
        names(record).iter().map(|known| strsim::damerau_levenshtein(known, name)).min().unwrap_or_default()
    });
    format!("built images: {}", shown(nearest))
}

/// Those that were built last, with how each was built.
pub fn newest(built: &[BuildRecord]) -> String {
    format!("in the store, newest first: {}", shown(built.iter().rev()))
}

fn shown<'a>(records: impl IntoIterator<Item = &'a BuildRecord>) -> String {
    let show = |record: &BuildRecord| match &record.arguments[..] {
        "" => format!("`{}`", record.tag),
        arguments => format!("`{}` (built with `{arguments}`)", record.tag),
    };
    records.into_iter().take(5).map(show).collect::<Vec<_>>().join(", ")
}

/// What people call it.
fn names(record: &BuildRecord) -> [String; 3] {
    [record.timestamp.to_string(), record.tag.to_string(), record.name()]
}

/// Whether this is `repository:`, or `org/repository:` as in a `user_image_url`.
fn is_repository(text: &str, repository: &Repository) -> bool {
    let text = text.strip_suffix(':').and_then(|text| text.strip_suffix(repository.as_str()));
    text.is_some_and(|above| {
        above.is_empty() || above.strip_suffix('/').is_some_and(|org| org.parse::<OrgName>().is_ok())
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::terminal::report;

    /// One with nothing in it, of this tag and timestamp.
    pub fn example(tag: &str, timestamp: &str) -> BuildRecord {
        let digest = Digest::from_bytes([7; 32]);
        BuildRecord {
            repository: "fmtk-ma".parse().unwrap(),
            tag: format!("{tag}-{timestamp}").parse().unwrap(),
            timestamp: timestamp.parse().unwrap(),
            digest,
            media_type: String::new(),
            manifest_size: 0,
            config: Descriptor { media_type: String::new(), digest, size: 0, urls: Vec::new() },
            layers: Vec::new(),
            base: RecordedBase { reference: "oci:base".parse().unwrap(), digest },
            arguments: String::new(),
            recipe: "/image.toml".to_owned(),
        }
    }

    #[test]
    fn a_build_that_is_saved_is_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let is_unfinished = || newer_unfinished(&store, &folder.path().join("store/..")).unwrap();
        let built = |tag, timestamp| BuildRecord { recipe: file_key(folder.path()), ..example(tag, timestamp) };
        built("a", "20221028181325").save(&store).unwrap();
        begin(&store, folder.path()).unwrap();
        assert!(is_unfinished());
        built("b", "20221109000000").save(&store).unwrap();
        assert!(!is_unfinished());
    }

    /// The second of two builds of one second silently took the tag from the first.
    #[test]
    fn a_tag_is_taken_from_another_image_only_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let first = example("a", "20221028181325");
        let other = BuildRecord { digest: Digest::from_bytes([8; 32]), ..first.clone() };
        let claim = |record: &BuildRecord, chosen| record.claim(&store, chosen).map(|(_, replaced)| replaced);
        assert_eq!(claim(&first, false).unwrap(), None);
        first.save(&store).unwrap();
        assert_eq!(claim(&first, false).unwrap(), None);
        assert_eq!(claim(&other, true).unwrap(), Some(first.digest));
        let said = report::render(&claim(&other, false).unwrap_err());
        let starts =
            format!("error: another build of this second has made `fmtk-ma:a-20221028181325`: {}\n", first.digest);
        assert!(said.starts_with(&starts) && said.contains("hint: run the same command again"), "{said}");
    }

    #[test]
    fn an_image_is_named_by_its_tag_its_url_or_its_timestamp() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        for (tag, timestamp) in [("a", "20221028181325"), ("b", "20221109000000"), ("c", "20221109000000")] {
            example(tag, timestamp).save(&store).unwrap();
        }
        let tag = |name: &str| BuildRecord::named(&store, name).unwrap().map(|record| record.tag.to_string());
        for name in ["20221028181325", "a-20221028181325", "fmtk-ma:a-20221028181325", "o/fmtk-ma:a-20221028181325"] {
            assert_eq!(tag(name).as_deref(), Some("a-20221028181325"), "{name}");
        }
        for other in ["registry.example/o/fmtk-ma:a-20221028181325", "x:a-20221028181325", "oci:folder", "a", "2022"] {
            assert_eq!(tag(other), None, "{other}");
        }
        let said = |name: &str| report::render(&BuildRecord::named(&store, name).unwrap_err());
        assert!(said("20221109000000").contains("several images have the timestamp"), "{}", said("20221109000000"));
        assert!(said("20230101000000").contains("hint: built images: `c-20221109000000`, `b-20221109000000`"));
        assert!(said("20221028181326").contains("hint: built images: `a-20221028181325`, `c-20221109000000`"));
    }

    #[test]
    fn a_tag_that_none_has_is_told_the_nearest_or_the_way_to_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let said = |tag: &str| {
            let error = BuildRecord::load(&store, &"fmtk-ma".parse().unwrap(), &tag.parse().unwrap()).unwrap_err();
            report::render(&error).lines().last().unwrap_or_default().to_owned()
        };
        assert_eq!(said("a-2022"), "hint: nothing has been built yet: run `cargo xtask image`");
        example("a", "20221028181325").save(&store).unwrap();
        assert_eq!(said("a-2022102818132"), "hint: did you mean `fmtk-ma:a-20221028181325`?");
        assert_eq!(said("other"), "hint: built images: `a-20221028181325`");
    }
}
