//! `inspect`: what an image, a wheel or CANN's installer is, without running or unpacking it.

mod image;
mod package;

use std::path::Path;

use image_name::ImageRef;
use oci_image::{Base, Digest, Store};
use serde_json::{Value, json};

use crate::{
    options::{Format, RegistryArgs},
    recipe::Overrides,
    resolve::{inspection, place},
    ship::subject::Subject,
    terminal::{progress::Progress, report},
};

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
    } else {
        an_image(&Subject::find(&args.subject, &args.registry, &recipe, store, progress)?)
    };
    drop(step);
    args.format.print(|| report::printable(&text(rows)), &json)
}

fn an_image(subject: &Subject) -> (Rows, Value) {
    let layers = subject.layers();
    let layers: Vec<_> = layers.iter().map(|(layer, content)| (*layer, content.as_str())).collect();
    let (name, digest) = (subject.name(), subject.digest());
    let (mut rows, mut json) = image::image(&name, &digest, subject.media_type(), subject.config(), &layers);
    let Subject::Other { reference, opened } = subject else { return (rows, json) };
    let base = &opened.base;
    rows.splice(1..1, base.names.iter().map(|name| ("name", name.clone())));
    json["names"] = base.names.clone().into();
    if let Some(digest) = pushed(reference, base) {
        rows.insert(base.names.len() + 2, ("pushed", format!("{digest} (as Docker's manifest)")));
        json["docker_digest"] = json!(digest);
    }
    (rows, json)
}

/// The digest that `push` gives an image, where it has another here: a layout's manifest is OCI's, and an archive has
/// none. What a registry has was pushed already.
fn pushed(reference: &ImageRef, base: &Base) -> Option<Digest> {
    let is_local = !matches!(reference, ImageRef::Registry(_));
    base.digest_in(oci_image::Format::DockerV2).filter(|digest| is_local && *digest != base.manifest_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

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
