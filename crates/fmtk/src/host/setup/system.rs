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

/// Files below the root of options of docker's service, and the variables in them, in the order in which they are asked.
const OPTIONS: [(&str, &str); 4] = [
    ("etc/sysconfig/docker", "INSECURE_REGISTRY"),
    ("etc/sysconfig/docker", "OPTIONS"),
    ("etc/sysconfig/docker", "DOCKER_OPTS"),
    ("etc/default/docker", "DOCKER_OPTS"),
];
const UNITS: [&str; 4] = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// What there is of docker below a root.
#[derive(Debug, Default)]
pub struct System {
    /// The file and its variable where docker takes its insecure registries from; none where that is [`DAEMON_JSON`].
    /// One place only: dockerd does not start where a flag and its file both say it.
    pub options: Option<(&'static str, &'static str)>,
    /// Whether docker is a service here.
    pub has_service: bool,
}

/// Looks at the machine whose files are below `root`; `daemon_json` is the text of docker's own file.
pub fn look(root: &Path, daemon_json: &[u8]) -> Result<System, JsonError> {
    let unit = unit(root);
    let old = root.join("etc/init/docker.conf").exists() || root.join("etc/init.d/docker").exists();
    let in_json = Json::parse(daemon_json, "    ")?.value(&[KEY])?.is_some();
    let is_used = |file: &str, variable: &str| match &unit {
        Some(unit) => {
            let reads =
                |line: &str| line.trim_start().starts_with("EnvironmentFile") && line.contains(&format!("/{file}"));
            let names = [format!("${variable}"), format!("${{{variable}}}")];
            unit.lines().any(reads) && names.iter().any(|name| unit.contains(name))
        }
        // Before systemd the service's script sourced it.
        None => old,
    };
    let used: Vec<(&str, &str, Option<String>)> = OPTIONS
        .into_iter()
        .filter(|(file, variable)| is_used(file, variable))
        .filter_map(|(file, variable)| {
            let text = String::from_utf8_lossy(&fs::read(root.join(file)).ok()?).into_owned();
            Some((file, variable, options::value(&text, variable)))
        })
        .collect();
    let holds = used.iter().find(|(.., value)| value.as_ref().is_some_and(|value| options::names(value, None)));
    // EulerOS has the variable for just this, empty; the script of old Ubuntu reads no file of docker's own.
    let meant = used.iter().filter(|_| !in_json).find(|(_, variable, value)| match *variable {
        "INSECURE_REGISTRY" => value.is_some(),
        "DOCKER_OPTS" => unit.is_none(),
        _ => false,
    });
    let options = holds.or(meant).map(|(file, variable, _)| (*file, *variable));
    Ok(System { options, has_service: unit.is_some() || old })
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
