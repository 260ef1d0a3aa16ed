//! The launch kit's boot file `launcher.py`: ours, which hands over to `fmtk-launch`, and the base's in its place.

use oci_image::{Attr, BaseIndex, Store, StoreError};

/// Where jobs boot from.
pub const PATH: &str = "/home/ma-user/mxLaunchKit/ma/launcher.py";
/// Where the base's own file is kept.
pub const KEPT: &str = "/home/ma-user/mxLaunchKit/ma/launcher.py.vendor";
/// Ours.
pub const TEXT: &str = include_str!("../../../launcher/src/task/launcher.py");
/// What every version of ours says, and no other file.
const MARK: &str = "PROGRAM = \"/usr/local/bin/fmtk-launch\"";

/// What the base has where ours goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// The base was not looked into.
    Unknown,
    /// Nothing.
    Nothing,
    /// Ours, of this version or another: the base is an image of this project.
    Ours(Attr, Vec<u8>),
    /// The vendor's.
    Vendors(Attr, Vec<u8>),
}

/// Looks what the base has there; its contents are in the store, as is everything that was asked for.
pub fn replaced(store: &Store, index: Option<&BaseIndex>) -> Result<Replaced, StoreError> {
    let Some(index) = index else { return Ok(Replaced::Unknown) };
    let Some(Some(file)) = index.files.get(PATH) else { return Ok(Replaced::Nothing) };
    let bytes = index.file(store, PATH)?.unwrap_or_default();
    let is_ours = bytes.windows(MARK.len()).any(|text| text == MARK.as_bytes());
    Ok(if is_ours { Replaced::Ours(file.attr, bytes) } else { Replaced::Vendors(file.attr, bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_known_by_its_mark() {
        assert!(TEXT.contains(MARK), "older images would take ours for the vendor's");
    }
}
