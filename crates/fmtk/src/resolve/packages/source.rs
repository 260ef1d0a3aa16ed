//! Where the vendor's packages come from, for who lacks them.

use std::path::Path;

use crate::recipe::{CANN, NNAL, OPS};

/// How to get the package of this kind.
pub fn of(kind: &str, folder: &Path) -> String {
    let folder = folder.display();
    match kind {
        CANN => format!(
            "copy the toolkit for aarch64 from https://www.hiascend.com/software/cann/community-history to `{folder}`; \
             or use a base that has CANN, and give `--set packages.cann.required=false`"
        ),
        OPS | NNAL => format!(
            "copy the package of the toolkit's version, for aarch64 and of `ops` for the chip, to `{folder}`; \
             https://www.hiascend.com/software/cann/community-history has them; or give \
             `--set packages.{kind}.required=false`"
        ),
        "moxing" => format!(
            "copy the MoXing wheel that ModelArts gave you to `{folder}` (PyPI's `moxing` is not it); or, to do \
             without it or use a base that has it, give `--set packages.moxing.required=false`"
        ),
        "tuning-kit" => format!(
            "copy the mxTuningKit wheel of MindX SDK to `{folder}`; or, for its open successor `mindpet`, add it to \
             `pypi.requirements`, or use a base that has either, and give `--set packages.tuning-kit.required=false`"
        ),
        _ => format!("copy it to `{folder}`, or give `--set packages.{kind}.required=false`"),
    }
}
