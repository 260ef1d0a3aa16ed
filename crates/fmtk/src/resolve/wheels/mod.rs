//! Files of packages: what their names say, and their digests.

mod digests;
mod file_name;

pub use self::{
    digests::digest,
    file_name::{InstallerName, chip, wheel_name},
};
