//! `inspect`: what an image, a wheel or CANN's installer is, without running or unpacking it.

mod image;
mod package;

use std::{iter, path::Path};

use anyhow::anyhow;
use oci_image::{Base, Digest, ImageConfig, Store};
use serde_json::{Value, json};

use crate::{
    options::{Format, RegistryArgs},
    recipe::{Overrides, Recipe},
    record::{self, BuildRecord},
    resolve::{base, inspection, place},
    terminal::{
        progress::Progress,
        report::{self, WithHint},
    },
};
use image_name::ImageRef;

/// What people are shown: a line each, with its label.
type Rows = Vec<(&'static str, String)>;

fn text(rows: Rows) -> String {
    rows.iter().map(|(label, value)| format!("{label:<9}{value}\n")).collect()
}

/// Flags of `inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// How the registry is reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// A tag or timestamp in the store, any reference of a base, a layout's folder, a docker archive, a `.whl` or a `.run` file
    pub subject: String,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command.
pub fn run(args: &InspectArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let (recipe, _) = inspection::remembered(&place::draft(None, Overrides::default())?, store)?;
    let step = progress.step(format!("reading `{}`", args.subject));
    let file = Path::new(&args.subject);
    let (rows, json) = if args.subject.ends_with(".whl") {
        package::wheel(file, &recipe, store)?
    } else if args.subject.ends_with(".run") {
        package::installer(file, &recipe, store)?
    } else if let Some(record) = BuildRecord::named(store, &args.subject)? {
        if args.subject.contains('/') {
            progress.line(&format!(
                "`{}` is shown as the store has it; with its host before it, the registry is asked",
                args.subject
            ));
        }
        of_store(&record, store)?
    } else {
        elsewhere(args, &recipe, store, progress)?
    };
    drop(step);
    args.format.print(|| report::printable(&text(rows)), &json)
}

fn of_store(record: &BuildRecord, store: &Store) -> anyhow::Result<(Rows, Value)> {
    let config = store.read_blob(&record.config.digest, record.config.size).hint(record.again())?;
    let layers: Vec<_> = record.layers.iter().map(|layer| (&layer.blob, layer.content.as_str())).collect();
    let config = ImageConfig::parse(&config)?;
    Ok(image::image(&record.name(), &record.digest, &record.media_type, &config, &layers))
}

/// A folder and an archive are told by what lies there.
fn guessed(subject: &str) -> Option<ImageRef> {
    let path = Path::new(subject);
    if path.join("oci-layout").is_file() {
        return Some(ImageRef::Layout { dir: path.to_owned(), tag: None });
    }
    let named = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"].iter().any(|end| subject.ends_with(end));
    let archive = path.is_file() || named;
    // `docker-archive:image.tar` is not a file of that name.
    (archive && !subject.contains(':')).then(|| ImageRef::Archive(path.to_owned()))
}

/// None of the above. What looks like the name of an image of the store was meant as one.
fn unknown(subject: &str, error: anyhow::Error, built: &[BuildRecord]) -> anyhow::Error {
    if record::closest_name(subject, built).is_some() || !subject.contains([':', '/']) {
        return report::hinted(anyhow!("no image `{subject}` in the store"), record::meant(subject, built));
    }
    error.context(format!("`{subject}` is neither a wheel nor an installer nor an image of the store nor a reference"))
}

fn elsewhere(args: &InspectArgs, recipe: &Recipe, store: &Store, progress: &Progress) -> anyhow::Result<(Rows, Value)> {
    let reference: ImageRef = guessed(&args.subject)
        .map_or_else(|| args.subject.parse(), Ok)
        .or_else(|error| Err(unknown(&args.subject, error.into(), &record::all(store)?)))
        .input()?;
    let base = base::open(&reference, &args.registry, &recipe.registry, store, progress)?.base;
    let contents = image::layer_comments(&base.config);
    let contents = contents.iter().map(String::as_str).chain(iter::repeat(""));
    let layers: Vec<_> = base.layers.iter().zip(contents).collect();
    let media_type = base.format.manifest();
    let (mut rows, mut json) =
        image::image(&reference.to_string(), &base.manifest_digest, media_type, &base.config, &layers);
    rows.splice(1..1, base.names.iter().map(|name| ("name", name.clone())));
    json["names"] = base.names.clone().into();
    if let Some(digest) = pushed(&reference, &base) {
        rows.insert(base.names.len() + 2, ("pushed", format!("{digest} (as Docker's manifest)")));
        json["docker_digest"] = json!(digest);
    }
    Ok((rows, json))
}

/// The digest that `push` gives an image, where it has another here: a layout's manifest is OCI's, and an archive has
/// none. What a registry has was pushed already.
fn pushed(reference: &ImageRef, base: &Base) -> Option<Digest> {
    let is_local = !matches!(reference, ImageRef::Registry(_));
    base.digest_in(oci_image::Format::DockerV2).filter(|digest| is_local && *digest != base.manifest_digest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::expect;

    use super::*;

    /// A tag with a digit too few was answered with the syntax of references.
    #[test]
    fn an_image_that_is_not_in_the_store_is_told_what_is() {
        let said =
            |subject: &str| report::render(&unknown(subject, subject.parse::<ImageRef>().unwrap_err().into(), &[]));
        expect![[r#"
            error: no image `py_3.9-d910-2022102818132` in the store
            hint: nothing was built yet: run `cargo xtask image`
        "#]]
        .assert_eq(&said("py_3.9-d910-2022102818132"));
        // What was meant as a reference is still told how one is written.
        assert!(said("org/repo:tag").contains("write `HOST/org/repo:tag`"), "{}", said("org/repo:tag"));
    }

    #[test]
    fn a_layout_and_an_archive_need_no_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("layout");
        fs::create_dir(&layout).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        assert_eq!(guessed(&path(&layout)), None);
        fs::write(layout.join("oci-layout"), "{}").unwrap();
        assert_eq!(guessed(&path(&layout)), Some(ImageRef::Layout { dir: layout.clone(), tag: None }));
        let archive = folder.path().join("saved");
        fs::write(&archive, "").unwrap();
        assert_eq!(guessed(&path(&archive)), Some(ImageRef::Archive(archive)));
        // Not there: the error shall name the file, not the registry `missing.tar`.
        for missing in ["missing.tar", "missing.tar.gz"] {
            assert_eq!(guessed(missing), Some(ImageRef::Archive(missing.into())));
        }
        for other in ["docker-archive:missing.tar", "registry.example/a/b.tar:1", "podman:a", "a/b"] {
            assert_eq!(guessed(other), None, "{other}");
        }
    }
    /// Docker indents what it pushes, so that its digest is not the one that we would have made.
    #[test]
    fn an_image_of_a_registry_is_not_said_to_be_pushed_under_another_digest() {
        let config = json!({ "os": "linux", "architecture": "arm64", "rootfs": { "diff_ids": [] } }).to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": Digest::of(&config),
                "size": config.len(),
            },
            "layers": [],
        });
        let base = Base::new("base", format!("{manifest:#}").as_bytes(), None, config.into_bytes()).unwrap();
        let known = |reference: &str| pushed(&reference.parse().unwrap(), &base).is_some();
        assert!(known("oci:layout") && known("docker-archive:image.tar") && !known("registry.example/a/b:1"));
    }
}
