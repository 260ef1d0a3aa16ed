//! The launcher as users have it: on an old kernel, beside the vendor's, in the image.

mod beside_vendor;
mod defects;
mod engine_ends;
mod in_image;
mod mindspore;
mod old_kernel;
mod report;
mod running;
mod same;
mod sandbox;

pub use self::{
    beside_vendor::run as beside_vendor, engine_ends::run as engine_ends, in_image::run as in_image,
    mindspore::run as mindspore, old_kernel::run as old_kernel, report::run as report,
};
