//! Where this machine's docker takes its insecure registries from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use file_edit::json::{Json, JsonError};

use super::options;

/// The key of docker's own file.
pub const KEY: &str = "insecure-registries";
/// Docker's own file.
pub const DAEMON_JSON: &str = "etc/docker/daemon.json";

const SYSCONFIG: &str = "etc/sysconfig/docker";
const DEFAULT: &str = "etc/default/docker";
const UNITS: [&str; 4] = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// Where docker takes its insecure registries from. One place only: dockerd does not start where a flag and its file
/// both say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// [`DAEMON_JSON`].
    DaemonJson,
    /// A variable of this file below the root.
    Options {
        /// The file.
        file: &'static str,
        /// The variable.
        variable: &'static str,
    },
}

/// What there is of docker below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Where the setting goes.
    pub place: Place,
    /// Whether docker is a service here.
    pub has_service: bool,
}

/// Looks at the machine whose files are below `root`; `daemon_json` is the text of docker's own file.
pub fn look(root: &Path, daemon_json: &[u8]) -> Result<System, JsonError> {
    let unit = unit(root);
    let old = root.join("etc/init/docker.conf").exists() || root.join("etc/init.d/docker").exists();
    let in_json = Json::parse(daemon_json, "    ")?.value(&[KEY])?.is_some();
    let place = [(SYSCONFIG, &["INSECURE_REGISTRY", "OPTIONS", "DOCKER_OPTS"][..]), (DEFAULT, &["DOCKER_OPTS"][..])]
        .into_iter()
        .find_map(|(file, variables)| in_options(root, file, variables, unit.as_deref(), old, in_json))
        .unwrap_or(Place::DaemonJson);
    Ok(System { place, has_service: unit.is_some() || old })
}

fn in_options(
    root: &Path,
    file: &'static str,
    variables: &[&'static str],
    unit: Option<&str>,
    old: bool,
    in_json: bool,
) -> Option<Place> {
    let text = String::from_utf8_lossy(&fs::read(root.join(file)).ok()?).into_owned();
    let used = |variable: &str| match unit {
        Some(unit) => {
            let named = format!("/{file}");
            let read =
                unit.lines().any(|line| line.trim_start().starts_with("EnvironmentFile") && line.contains(&named));
            read && (unit.contains(&format!("${variable}")) || unit.contains(&format!("${{{variable}}}")))
        }
        // Before systemd the service's script sourced it.
        None => old,
    };
    let used: Vec<&'static str> = variables.iter().copied().filter(|variable| used(variable)).collect();
    let holds = |variable: &&&str| options::value(&text, variable).is_some_and(|value| options::names(&value, None));
    if let Some(variable) = used.iter().find(holds) {
        return Some(Place::Options { file, variable });
    }
    // EulerOS has the variable for just this, empty; the script of old Ubuntu reads no file of docker's own.
    let meant = |variable: &&&str| match (**variable, unit) {
        ("INSECURE_REGISTRY", _) => options::value(&text, variable).is_some(),
        ("DOCKER_OPTS", None) => true,
        _ => false,
    };
    used.iter().find(meant).filter(|_| !in_json).map(|variable| Place::Options { file, variable })
}

/// The service's unit with what is dropped in to it.
fn unit(root: &Path) -> Option<String> {
    let mut text = UNITS.iter().find_map(|folder| fs::read_to_string(root.join(folder).join("docker.service")).ok())?;
    for folder in UNITS {
        let Ok(entries) = fs::read_dir(root.join(folder).join("docker.service.d")) else { continue };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "conf")) {
            text.push('\n');
            text.push_str(&fs::read_to_string(path).unwrap_or_default());
        }
    }
    Some(text)
}
