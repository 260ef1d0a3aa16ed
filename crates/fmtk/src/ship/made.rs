//! An image that was just built, for whatever writes it.

use image_name::{ImageRef, Tag};
use oci_image::{ConfigEdits, Store};

use crate::{build::Built, resolve::base::OpenImage, ship::intact};

/// An image that was built, with what the ways out need of it.
pub struct Made<'a> {
    /// `repository:tag`.
    pub name: String,
    /// Its tag.
    pub tag: &'a Tag,
    /// The image and its layers.
    pub built: &'a Built,
    /// What its config has that the base's has not.
    pub config: &'a ConfigEdits,
    /// The base as it was named.
    pub reference: &'a ImageRef,
    /// The base.
    pub opened: &'a OpenImage,
}

impl Made<'_> {
    /// The error, where one of the image's layers was damaged in the store: see [`intact::explained`].
    pub fn explained(&self, error: anyhow::Error, store: &Store) -> anyhow::Error {
        let layers = &self.built.image.layers;
        let of_base = layers.len() - self.built.layers.len();
        let holds = self.built.layers.iter().map(|layer| layer.holds.as_str());
        let layers = layers[of_base..].iter().map(|layer| layer.digest).zip(holds);
        intact::explained(error, store, &self.name, "run the same build again: it makes the layer anew", layers)
    }
}
