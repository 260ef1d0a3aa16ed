//! An image that was just built, with all that writing it takes.

use image_name::ImageRef;
use oci_image::{BlobSource, ConfigEdits};

use crate::{build::Built, record::BuildRecord, resolve::base::OpenImage};

/// An image that was just built, for whatever writes it.
pub struct BuiltImage<'a> {
    pub record: &'a BuildRecord,
    pub built: &'a Built,
    /// What its config has that the base's has not.
    pub config: &'a ConfigEdits,
    /// The base as it was named.
    pub reference: &'a ImageRef,
    pub opened: &'a OpenImage,
    /// Has the layers that the store need not have.
    pub elsewhere: &'a (dyn BlobSource + Sync),
}
