//! The base, opened and inspected, and the recipe completed by what is in it.

use std::io::{self, Read};

use anyhow::Context;
use image_name::ImageRef;
use oci_image::{BaseIndex, BlobSource, Descriptor, IndexError, Store, TarError, UnpackError};

use crate::{
    options::{Inspect, RecipeArgs, RegistryArgs},
    recipe::{Draft, Found, Recipe},
    resolve::{
        accounts,
        base::{self, OpenImage},
        front, inputs,
        scripts::{self, Origin, scripts_folder},
        system,
    },
    terminal::{
        hints,
        progress::{self, Progress, Step},
        report,
    },
};

/// The kind of records of what bases have in place of defaults.
const RECORDS: &str = "found-in-base";

/// A recipe upon its base, where that had to be known first.
pub struct Completed {
    pub recipe: Recipe,
    /// What was decided by the base, in words.
    pub notes: Vec<String>,
    /// The base, where it was opened already, or why it could not be.
    pub opened: Option<anyhow::Result<OpenImage>>,
    /// What is in it, where it was inspected already.
    pub index: Option<BaseIndex>,
}

/// How a base is reached and looked at.
#[derive(Clone, Copy)]
pub struct Reach<'a> {
    pub registry: &'a RegistryArgs,
    pub inspect: Inspect,
    pub store: &'a Store,
    pub progress: &'a Progress,
}

/// Completes the recipe by its base, which is opened and inspected for that. `ready` is what has to be right before
/// gigabytes are read. A base that can't be opened leaves the recipe as it is, so that all else that is wrong is said
/// with it.
pub fn complete(
    draft: Draft,
    args: &RecipeArgs,
    reach: Reach<'_>,
    ready: impl Fn(&Recipe) -> anyhow::Result<()>,
) -> anyhow::Result<Completed> {
    let Reach { store, inspect, .. } = reach;
    if !draft.asks_base() || inspect == Inspect::Never {
        let (recipe, notes) = remembered(&draft, store)?;
        return Ok(Completed { recipe, notes, opened: None, index: None });
    }
    let recipe = &draft.recipe;
    if matches!(recipe.base.source, ImageRef::Archive(_) | ImageRef::Engine { .. }) {
        ready(recipe)?;
    }
    let opened = match inputs::open_base(recipe, reach.registry, store, reach.progress) {
        Ok(opened) => opened,
        Err(error) => {
            // What is wrong with the recipe only now is so for want of the base.
            let Ok((recipe, notes)) = remembered(&draft, store) else { return Err(error) };
            return Ok(Completed { recipe, notes, opened: Some(Err(error)), index: None });
        }
    };
    let index = contents(recipe, &opened, args, reach, ready)?;
    let found = find(&draft, &opened, &index);
    // What an image in the registry says of the base is believed for this run alone.
    if BaseIndex::cached(store, &opened.base.manifest_digest, &[])?.as_ref() == Some(&index) {
        store.put_record(RECORDS, &record_key(&draft)?, &found)?;
    }
    let recipe = draft.completed(&found)?;
    Ok(Completed { recipe, notes: found.notes, opened: Some(Ok(opened)), index: Some(index) })
}

/// What is in the base, as far as any plan of this recipe asks. `ready` is what has to be right before gigabytes are
/// downloaded.
pub fn contents(
    recipe: &Recipe,
    opened: &OpenImage,
    args: &RecipeArgs,
    reach: Reach<'_>,
    ready: impl Fn(&Recipe) -> anyhow::Result<()>,
) -> anyhow::Result<BaseIndex> {
    let origin = scripts::origin(recipe, scripts_folder(args));
    let paths = asked(recipe, &origin)?;
    if let Some(index) = BaseIndex::cached(reach.store, &opened.base.manifest_digest, &paths)? {
        return Ok(index);
    }
    if let Some(index) = BaseIndex::behind(reach.store, &opened.base.manifest_digest, &needed(recipe, &origin)?) {
        return Ok(index);
    }
    if matches!(recipe.base.source, ImageRef::Registry(_)) {
        ready(recipe)?;
    }
    inspect_now(opened, &paths, reach)
}

/// What the base has in place of the recipe's defaults.
pub fn find(draft: &Draft, opened: &OpenImage, index: &BaseIndex) -> Found {
    let env = opened.base.config.env();
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str());
    draft.find(index, path)
}

/// The recipe completed by what the base of this name had when it was last inspected for such a recipe, if it was.
pub fn remembered(draft: &Draft, store: &Store) -> anyhow::Result<(Recipe, Vec<String>)> {
    let found = found_before(draft, store)?.unwrap_or_default();
    Ok((draft.completed(&found)?, found.notes))
}

/// What the base of this name had when it was last inspected for such a recipe; none where it never was.
pub fn found_before(draft: &Draft, store: &Store) -> anyhow::Result<Option<Found>> {
    match draft.asks_base() {
        true => Ok(store.record(RECORDS, &record_key(draft)?)?),
        false => Ok(None),
    }
}

fn record_key(draft: &Draft) -> anyhow::Result<String> {
    Ok(format!("2 {}\n{}", base::absolute(&draft.recipe.base.source)?, draft.question()))
}

/// The files of the base whose contents are wanted.
fn asked(recipe: &Recipe, origin: &Origin) -> anyhow::Result<Vec<String>> {
    let mut paths = scripts::wanted(origin)?;
    paths.extend(system::asked(recipe));
    paths.push(front::PATH.to_owned());
    if recipe.user.account.is_some() || !recipe.base.is_standard() {
        paths.extend(accounts::FILES.map(str::to_owned));
    }
    Ok(paths)
}

/// Those of them that this very recipe needs.
pub fn needed(recipe: &Recipe, origin: &Origin) -> anyhow::Result<Vec<String>> {
    let mut paths = asked(recipe, origin)?;
    if recipe.system.packages.is_empty() {
        let of_system = system::asked(recipe);
        paths.retain(|path| !of_system.contains(path));
    }
    Ok(paths)
}

/// What is in the base, where the plan needs it: see ARCHITECTURE, "Which base is inspected, and when".
pub fn index(
    origin: &Origin,
    needed: bool,
    recipe: &Recipe,
    opened: &OpenImage,
    reach: Reach<'_>,
) -> anyhow::Result<Option<BaseIndex>> {
    if reach.inspect == Inspect::Never {
        return Ok(None);
    }
    let paths = asked(recipe, origin)?;
    let known = BaseIndex::cached(reach.store, &opened.base.manifest_digest, &paths)?;
    let remote = matches!(recipe.base.reference, ImageRef::Registry(_));
    if known.is_some() || remote && reach.inspect == Inspect::Auto && !needed {
        return Ok(known);
    }
    if let Some(index) = BaseIndex::behind(reach.store, &opened.base.manifest_digest, &self::needed(recipe, origin)?) {
        return Ok(Some(index));
    }
    inspect_now(opened, &paths, reach).map(Some)
}

fn inspect_now(opened: &OpenImage, paths: &[String], reach: Reach<'_>) -> anyhow::Result<BaseIndex> {
    let (base, progress) = (&opened.base, reach.progress);
    let (layers, size) = (progress::count(base.layers.len(), "layer"), progress::bytes(base.size()));
    progress.line(&format!("inspecting the base, once: {layers}, {size}"));
    let counted = CountedBase { opened, step: progress.transfer("inspecting the base", base.size()) };
    let index = BaseIndex::build(reach.store, base, &counted, paths);
    index.map_err(damaged).with_context(|| format!("failed to inspect base `{}`", base.name))
}

/// A base of which a step counts what is read.
struct CountedBase<'a> {
    opened: &'a OpenImage,
    step: Step,
}

impl BlobSource for CountedBase<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.step.count(self.opened.open(blob)?)))
    }
}

/// Layers that come whole but can't be used will be the same the next time.
fn damaged(error: IndexError) -> anyhow::Error {
    match error {
        IndexError::TooManyFiles { .. }
        | IndexError::TooDeep { .. }
        | IndexError::Unpack(
            UnpackError::Refused { .. } | UnpackError::Tar { source: TarError::Malformed { .. }, .. },
        ) => report::hinted(report::input(error.into()), hints::ANOTHER_BASE),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use image_name::Digest;

    use super::*;
    use crate::recipe::Overrides;

    /// A base was streamed again when the recipe was given `[system]`, scripts or a user.
    #[test]
    fn one_inspection_of_a_base_serves_whatever_the_recipe_adds() {
        let files = |toml: &str, base: Option<&str>, origin: &Origin| {
            let overrides = Overrides { base, ..Overrides::default() };
            let recipe = Recipe::parse(toml, "image.toml", Path::new(""), overrides).unwrap();
            asked(&recipe, origin).unwrap().into_iter().collect::<BTreeSet<_>>()
        };
        let plain = files("", Some("oci:base"), &Origin::Kept);
        let more = "user = { name = \"ma-user\" }\nsystem.packages = [\"libgl1\"]";
        assert_eq!(files(more, Some("oci:base"), &Origin::Base), plain);
        assert!(!files("", None, &Origin::Kept).contains(crate::debian::dpkg::STATUS));
    }

    #[test]
    fn a_base_that_can_not_be_used_is_wrong_input_and_one_that_can_not_be_read_is_not() {
        let digest = Digest::from_bytes([0; 32]);
        for error in
            [IndexError::TooDeep { layer: digest }, IndexError::TooManyFiles { base: "base".to_owned(), mib: 768 }]
        {
            let error = damaged(error);
            assert_eq!(report::exit(&error), report::Exit::Input);
            assert!(report::render(&error).ends_with("\nhint: use another base image, or rebuild this one\n"));
        }
        let read = UnpackError::Read { digest, source: io::ErrorKind::TimedOut.into() };
        assert_eq!(report::exit(&damaged(read.into())), report::Exit::Work);
    }
}
