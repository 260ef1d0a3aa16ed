//! The launch kit's front: jobs that boot `launcher.py` reach `fmtk-launch`.

use oci_image::{Attr, MTIME};

use super::{
    Inputs, PlannedLayer,
    scripts::{place, planned},
};
use crate::{
    recipe::Ranks,
    resolve::{
        front::{KEPT, PATH, TEXT, is_ours},
        scripts,
    },
    terminal::report::Problems,
};

/// The layer of it: ours in its place, and the base's own beside it.
pub(super) fn front(inputs: &Inputs<'_>, warnings: &mut Vec<String>) -> Option<PlannedLayer> {
    if !inputs.recipe.launch.front {
        return None;
    }
    let owner = inputs.recipe.layout.owner;
    let ours = TEXT.as_bytes();
    let fresh = Attr { mode: 0o644, uid: owner.uid, gid: owner.gid, mtime: MTIME };
    if inputs.index.is_none() {
        warnings.push(format!(
            "the base's `{PATH}`, if it has one, is replaced and not kept as `{KEPT}`, as the base was not inspected"
        ));
    }
    let (attr, kept) = match &inputs.front {
        Some((_, bytes)) if bytes == ours => return None,
        // What the vendor had there was kept when the base was built.
        Some((attr, bytes)) if is_ours(bytes) => (*attr, None),
        Some((attr, bytes)) => (*attr, Some(planned(inputs, KEPT, *attr, bytes.clone()))),
        None => (fresh, None),
    };
    // Jobs may run under any uid.
    let attr = Attr { mode: attr.mode | 0o444, ..attr };
    Some(PlannedLayer::Front { files: [planned(inputs, PATH, attr, ours.to_vec())].into_iter().chain(kept).collect() })
}

/// Ranks can't be started by scripts that the image will not have.
pub(super) fn ranks(inputs: &Inputs<'_>, problems: &mut Problems) {
    let is_wanted = inputs.recipe.launch.ranks == Ranks::Scripts;
    if is_wanted && scripts::can_start(inputs.scripts.as_deref(), inputs.index) == Some(false) {
        problems.push(
            format_args!(
                "`launch.ranks` is `scripts`, but `run_ascend910.py` is not in the base's `{}`",
                scripts::FOLDER
            ),
            Some(format!("put the vendor's scripts into {}, or set `launch.ranks=native`", place(inputs))),
        );
    }
}
