//! What `image --sample` needs: pip for its wheels, and Debian's packages for its base.

use std::process::{Command, Stdio};

use super::{Learned, Patient, finding::Finding, inputs, network};
use crate::{
    resolve::{
        fetch::{self, State},
        packages, setup,
    },
    sample,
    terminal::progress,
};

/// The wheels, or pip, which the build has fetch them.
pub fn wheels(patient: &Patient) -> Learned {
    let check = "packages";
    let folder = setup::pkg_folder(&patient.args.recipe());
    let state = fetch::state(&patient.recipe, &packages::pypi_folder(&folder));
    let by_hand = packages::by_hand(&patient.recipe, &folder);
    match (state, by_hand) {
        (Ok(State::Complete), _) | (_, Ok(true)) => inputs::packages(patient),
        (Err(error), _) | (_, Err(error)) => {
            inputs::problems(check, &error, "see whether the folder can be read").into()
        }
        _ => vec![pip(check)].into(),
    }
}

fn pip(check: &'static str) -> Finding {
    let mut python = Command::new("python3");
    python.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stderr(Stdio::null());
    let version = python.output().ok().filter(|output| output.status.success());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match version.as_deref().and_then(|text| text.split_whitespace().nth(1)) {
        Some(version) => {
            Finding::good(check, format!("pip {version} will download PyPI's; its index is not asked here"))
        }
        None => Finding::wrong(check, "PyPI's are not there, and `python3` has no pip", fetch::INSTALL_PIP),
    }
}

/// The base: made, or what it will be made from.
pub fn base(patient: &Patient) -> Learned {
    if patient.args.base.is_some() {
        return network::base(patient);
    }
    let check = "base";
    let found = sample::is_made(&patient.store).and_then(|is_made| match is_made {
        true => Ok(None),
        false => sample::probe(&patient.store, network::impatient).map(Some),
    });
    match found {
        Ok(None) => network::base(patient),
        Ok(Some((size, mirror))) => {
            let size = progress::bytes(size);
            vec![Finding::good(check, format!("it will be made from Debian's packages, {size} from {mirror}"))].into()
        }
        Err(error) => inputs::problems(check, &error, "name one of your own with `--base`").into(),
    }
}
