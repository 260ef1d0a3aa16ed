//! The vendor's scripts: judged and patched, and of them those that the base does not have so already.

use fmk_patch::{Edit, Edits, Status};
use image_name::Digest;
use oci_image::Attr;
use serde::Serialize;

use super::{Inputs, PlannedLayer, folders};
use crate::{
    recipe::Scripts,
    resolve::scripts::{FOLDER, Origin, PATCHED, Script},
    terminal::report::Problems,
};

/// What becomes of the vendor's scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedScripts {
    pub from: Origin,
    /// How each edit of `fmk.py` ends; none where there is no such file.
    pub edits: Vec<PlannedEdit>,
}

/// An edit of `fmk.py`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedEdit {
    pub edit: Edit,
    /// How it ends.
    #[serde(flatten)]
    pub status: Status,
}

/// A script that the base does not have like this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedScript {
    pub to: String,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub sha256: Digest,
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// What is to be at a path, where the base really has it.
pub(super) fn planned(inputs: &Inputs<'_>, path: &str, attr: Attr, bytes: Vec<u8>) -> PlannedScript {
    let Attr { mode, uid, gid, .. } = attr;
    PlannedScript { to: folders::real(inputs, path), mode, uid, gid, sha256: Digest::of(&bytes), bytes }
}

/// Judges the scripts, and gives the layer of those that change.
pub(super) fn scripts(
    inputs: &Inputs<'_>,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> (Option<PlannedScripts>, Option<PlannedLayer>) {
    let Some(scripts) = &inputs.scripts else {
        if inputs.origin != Origin::Kept {
            warnings.push(format!(
                "`{FOLDER}/{PATCHED}` of the base is not patched, as the base was not inspected; the scripts can be \
                 put into {}",
                place(inputs)
            ));
        }
        return (None, None);
    };
    let mut edits = Vec::new();
    let mut changed = Vec::new();
    for script in scripts {
        let bytes = match script.path.ends_with(&format!("/{PATCHED}")) {
            true => patched(script, &place(inputs), &mut edits, problems),
            false => script.bytes.clone(),
        };
        let planned = planned(inputs, &script.path, script.attr, bytes);
        if script.in_base != Some(planned.sha256) {
            changed.push(planned);
        }
    }
    if edits.is_empty() {
        warnings.push(format!("the base has no `{FOLDER}/{PATCHED}` to patch"));
    }
    let layer = (!changed.is_empty()).then_some(PlannedLayer::Scripts { scripts: changed });
    (Some(PlannedScripts { from: inputs.origin.clone(), edits }), layer)
}

/// Where to put scripts so that the image gets them.
pub(super) fn place(inputs: &Inputs<'_>) -> String {
    match &inputs.recipe.scripts {
        Scripts::Auto => format!("`{}`", inputs.scripts_folder.display()),
        Scripts::Keep => format!("`{}` and set `scripts=auto`", inputs.scripts_folder.display()),
        Scripts::Folder(folder) => format!("`{}`", folder.path().display()),
    }
}

/// The script with both edits; as it is where that can't be, which is a problem.
fn patched(script: &Script, place: &str, edits: &mut Vec<PlannedEdit>, problems: &mut Problems) -> Vec<u8> {
    let hint = || format!("put another version into {place}, or leave the base's as it is: `--set scripts=keep`");
    match fmk_patch::patch(&script.bytes, Edits::ALL) {
        Ok(report) => {
            let bad = report.edits.iter().filter(|(_, status)| !status.is_good());
            let bad: Vec<String> = bad.map(|(edit, status)| format!("{edit}: {status}")).collect();
            if !bad.is_empty() {
                let message = format_args!("{} can't be patched: {}", script.origin, bad.join("; "));
                problems.push(message, Some(hint()));
            }
            edits.extend(report.edits.into_iter().map(|(edit, status)| PlannedEdit { edit, status }));
            report.output.unwrap_or_else(|| script.bytes.clone())
        }
        Err(refused) => {
            problems.push(format_args!("{} can't be patched: {refused}", script.origin), Some(hint()));
            script.bytes.clone()
        }
    }
}
