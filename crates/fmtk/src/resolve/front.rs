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

/// What the base has where ours goes; its contents are in the store, as is everything that was asked for.
pub fn of_base(store: &Store, index: Option<&BaseIndex>) -> Result<Option<(Attr, Vec<u8>)>, StoreError> {
    let file = index.and_then(|index| Some((index, index.files.get(PATH)?.as_ref()?)));
    file.map(|(index, file)| Ok((file.attr, index.file(store, PATH)?.unwrap_or_default()))).transpose()
}

/// Whether it is ours, of this version or another: the base is an image of this project then.
pub fn is_ours(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|text| text == MARK.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_known_by_its_mark() {
        assert!(is_ours(TEXT.as_bytes()), "older images would take ours for the vendor's");
    }
}
