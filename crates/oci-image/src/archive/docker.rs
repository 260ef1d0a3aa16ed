//! `manifest.json` of a docker archive: one file of config and one file a layer, no manifest.

use std::path::Path;

use serde::Deserialize;

use super::members::{Members, refused};
use crate::{
    Base, BaseError, Descriptor, Digest, Format, ImageConfig, Manifest,
    base::check_lengths,
    media::{MAX_CONFIG, MAX_MANIFEST, OCI_CONFIG},
};

/// One image of `manifest.json`, as docker writes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// Puts together the one image of the archive. `read` gives a small file whole, `layer` describes the layer in a file,
/// given the file's name and the diff id that it has to have.
pub(super) fn image<F>(
    name: &str,
    path: &Path,
    members: &Members<F>,
    read: impl Fn(&str, u64) -> Result<Vec<u8>, BaseError>,
    mut layer: impl FnMut(&str, &F, Digest) -> Result<Descriptor, BaseError>,
) -> Result<Base, BaseError> {
    let listed: Vec<Listed> = serde_json::from_slice(&read("manifest.json", MAX_MANIFEST)?)
        .map_err(|error| refused(path, &format!("`manifest.json` can't be read: {error}")))?;
    let image = match listed.as_slice() {
        [image] => image,
        [] => return Err(refused(path, "it holds no image")),
        several => {
            let name = |image: &Listed| match image.repo_tags.as_deref() {
                Some([tag, ..]) => tag.clone(),
                _ => image.config.clone(),
            };
            return Err(BaseError::Several { place: path.to_owned(), there: several.iter().map(name).collect() });
        }
    };
    let config_bytes = read(&image.config, MAX_CONFIG)?;
    let config = ImageConfig::parse(&config_bytes).map_err(BaseError::document(name))?;
    check_lengths(name, image.layers.len(), &config)?;
    let mut layers = Vec::new();
    for (file, diff_id) in image.layers.iter().zip(config.diff_ids()) {
        let member = members.find(file).ok_or_else(|| refused(path, &format!("it has no layer `{file}`")))?;
        layers.push(layer(file, member, *diff_id)?);
    }
    let manifest = Manifest { format: Format::Oci, config: Descriptor::of(OCI_CONFIG, &config_bytes), layers };
    let names = image.repo_tags.clone().unwrap_or_default();
    Ok(Base { names, ..Base::new(name, &manifest.to_json(), None, config_bytes)? })
}
