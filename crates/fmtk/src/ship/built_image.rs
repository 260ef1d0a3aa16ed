//! An image that was just built, for whatever writes it.

use image_name::ImageRef;
use oci_image::ConfigEdits;

use crate::{build::Built, record::BuildRecord, resolve::base::OpenImage};

/// What was built, of what, and what the store will know of it.
pub struct BuiltImage<'a> {
    pub record: &'a BuildRecord,
    pub built: &'a Built,
    /// What its config has that the base's has not.
    pub config: &'a ConfigEdits,
    /// The base as it was named.
    pub reference: &'a ImageRef,
    pub opened: &'a OpenImage,
}
