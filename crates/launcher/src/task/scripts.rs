//! The vendor's scripts, where they are to start the ranks in place of the launcher.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::arguments::{Request, is_scripts};
use crate::job::Lookup;
use crate::job::programs::on_path;
use crate::options::Bind;

/// Says who, where no flag does: the image's recipe.
const RANKS: &str = "FMTK_LAUNCH_RANKS";

/// Folder of the vendor's scripts, where it is not [`FOLDER`].
const SCRIPTS: &str = "FMTK_SCRIPTS";

/// Where images have them.
const FOLDER: &str = "/home/ma-user/ascend910";

/// The one that is called, by the names that it has.
const NAMES: [&str; 2] = ["run_ascend910.py", "run_ascend.py"];

/// The scripts with their Python, if they are wanted; what is in their way becomes a problem.
pub fn wanted(
    request: &Request,
    lookup: Lookup,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Option<Vec<OsString>> {
    let of_image = || lookup(RANKS).map(|it| is_scripts(&it.to_string_lossy()));
    match request.by_scripts.map(Ok).or_else(of_image) {
        None | Some(Ok(false)) => return None,
        Some(Ok(true)) => {}
        Some(Err(why)) => {
            problems.push(format!("`{RANKS}`: {why}"));
            return None;
        }
    }
    let options = &request.options;
    let without = [
        ("--rank-table", options.rank_table.is_some()),
        ("--wait", options.wait.is_some()),
        ("--devices", options.devices.is_some()),
        ("--bind", options.bind != Bind::None),
        ("--stall", options.stall.is_some()),
        ("--console", options.console.as_ref().is_some_and(|it| !it.is_empty())),
    ];
    for (flag, _) in without.into_iter().filter(|(_, is_given)| *is_given) {
        problems.push(format!("`{flag}`: the vendor's scripts start the ranks and know no such thing: leave it out, or give `--ranks=native`"));
    }
    if request.parameter("device_num").is_some_and(|it| !it.is_empty()) {
        notes.push("`device_num` is not checked: the vendor's scripts take the devices of the rank table".to_owned());
    }
    let folder = lookup(SCRIPTS).map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
    let script = NAMES.iter().map(|name| folder.join(name)).find(|it| it.is_file());
    if script.is_none() {
        let folder = folder.display();
        problems.push(format!(
            "the vendor's scripts are to start the ranks, but `{folder}` has no `{}`: give `--ranks=native`",
            NAMES[0]
        ));
    }
    // The manual's, and the one that is there where that is not.
    let python = ["python", "python3"].into_iter().find_map(|it| on_path(it, lookup));
    if python.is_none() {
        problems.push("the vendor's scripts need Python, and neither `python` nor `python3` is on PATH".to_owned());
    }
    Some(vec![python?.into(), absolute(&script?).into()])
}

/// The ranks' folder is another one.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
