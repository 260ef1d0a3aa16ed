//! OCI image layouts: images in a folder (OCI image spec, image-layout.md).

mod open;
mod write;

pub(crate) use open::image_in;
pub use open::{LayoutSource, open_layout};
pub use write::{WriteError, check_layout, write_layout};
pub(crate) use write::{io_error, name};
