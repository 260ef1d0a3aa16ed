//! `[launch]`: how jobs start in the image.

use serde::{Deserialize, Serialize};

use super::fields::Fields;

/// The variable that tells the launcher in the image of `launch.ranks`.
pub const RANKS: &str = "FMTK_LAUNCH_RANKS";

/// What a job's boot command leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Launch {
    /// The launch kit's `launcher.py` hands over to `fmtk-launch`. Default: true.
    pub front: bool,
    /// Who starts the ranks of a task. Default: `native`.
    pub ranks: Ranks,
}

/// Who starts the ranks of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ranks {
    /// `fmtk-launch` itself.
    Native,
    /// The vendor's scripts, patched.
    Scripts,
}

impl Ranks {
    /// As the recipe and the launcher have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Scripts => "scripts",
        }
    }
}

impl Launch {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let front = fields.value("front", true);
        let ranks = fields.value("ranks", Ranks::Native);
        fields.end();
        Self { front, ranks }
    }
}
