//! What `image --sample` needs: pip for its wheels, and what makes its base.

use std::process::{Command, Stdio};

use registry::RegistryOptions;

use super::{Learned, Patient, finding::Finding, inputs, network};
use crate::{
    resolve::{
        fetch::{self, State},
        packages, setup,
    },
    sample::{self, Prospect},
};

/// The wheels, or pip, which the build has fetch them.
pub fn wheels(patient: &Patient) -> Learned {
    let check = "packages";
    let folder = setup::pkg_folder(&patient.args.recipe());
    let state = fetch::state(&patient.recipe, &packages::pypi_folder(&folder));
    let by_hand = packages::by_hand(&patient.recipe, &folder);
    match (state, by_hand) {
        (Ok(State::Complete), _) | (_, Ok(true)) => inputs::packages(patient),
        (Err(error), _) | (_, Err(error)) => inputs::faults(check, &error, "see whether the folder can be read").into(),
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

/// The base: made, or how it will be.
pub fn base(patient: &Patient) -> Learned {
    if patient.args.base.is_some() {
        return network::base(patient);
    }
    let check = "base";
    let finding = match sample::prospect(&patient.store) {
        Prospect::Made(_) => return network::base(patient),
        Prospect::Packages { mirror, is_ready: true } => {
            Finding::good(check, format!("mmdebstrap will make it of Debian's packages from `{mirror}`"))
        }
        Prospect::Packages { is_ready: false, .. } => Finding::warning(
            check,
            "mmdebstrap, which makes it, is not installed; without it an image is pulled",
            format!("`{}`, or `cargo xtask image --sample --yes`", sample::install_command()),
        ),
        Prospect::Official => match sample::probe_official(network::impatient(RegistryOptions::default())) {
            Ok(()) => Finding::good(check, "it will be pulled: this machine's apt has no packages of Debian"),
            Err(error) => {
                return inputs::faults(check, &error, "name one of your own with `--base`").into();
            }
        },
    };
    vec![finding].into()
}
