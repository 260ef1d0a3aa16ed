//! Where this machine's docker takes its insecure registries from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use file_edit::{Original, json::Json};

use super::{
    change::{Edit, KEY, LIMIT},
    options,
    service::{Service, Word},
};
use crate::terminal::report::Problems;

/// Docker's own file.
pub const DAEMON_JSON: &str = "etc/docker/daemon.json";

/// Files that the script of docker's service sourced before systemd, and variables in them, in the order in which they are
/// asked.
const SOURCED: [(&str, &str); 4] = [
    ("etc/sysconfig/docker", "INSECURE_REGISTRY"),
    ("etc/sysconfig/docker", "OPTIONS"),
    ("etc/sysconfig/docker", "DOCKER_OPTS"),
    ("etc/default/docker", "DOCKER_OPTS"),
];

/// What there is of docker below a root.
#[derive(Debug, Default)]
pub struct System {
    /// Docker's own file.
    pub daemon_json: PathBuf,
    /// The file and its variable where docker takes its insecure registries from; none where that is its own file.
    pub options: Option<(PathBuf, String)>,
    /// The part of a unit that names insecure registries, and whether ours is among them.
    pub unit: Option<(Word, bool)>,
    /// What docker reads in two places, so that it does not start.
    pub doubled: Vec<String>,
    /// Whether docker is a service here.
    pub has_service: bool,
}

impl System {
    /// The changes to make or to undo, each with its file: none where a unit names the host already.
    pub fn edits(&self, host: &str, undo: bool) -> anyhow::Result<Vec<(PathBuf, Edit)>> {
        let host = || host.to_owned();
        let daemon = (self.daemon_json.clone(), Edit::Daemon { host: host() });
        let options = self.options.clone();
        let options = options.map(|(file, variable)| (file, Edit::Options { variable, host: host() }));
        if undo {
            // It went to docker's own file if the service had no such options then.
            return Ok(std::iter::once(daemon).chain(options).collect());
        }
        let mut problems = Problems::default();
        for doubled in &self.doubled {
            problems.push(format!("docker does not start again: {doubled}"), Some("remove one of the two".to_owned()));
        }
        if let (None, Some((word, false))) = (&options, &self.unit) {
            let (line, unit, own) = (word.line, word.file.display(), self.daemon_json.display());
            problems.push(
                format!("docker would not start with insecure registries in `{own}` and at line {line} of `{unit}`"),
                Some(format!("add `--insecure-registry {}` to that line and restart docker", host())),
            );
        }
        problems.into_result()?;
        let named_by_unit = self.unit.as_ref().is_some_and(|(_, has_it)| *has_it);
        Ok(options.or_else(|| (!named_by_unit).then_some(daemon)).into_iter().collect())
    }
}

/// Looks at the machine whose files are below `root`, for where `host` belongs.
pub fn look(root: &Path, host: &str) -> anyhow::Result<System> {
    let service = Service::docker(root);
    let words = service.as_ref().map(Service::words).unwrap_or_default();
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let daemon_json = root.join(config_file(&texts).unwrap_or(DAEMON_JSON));
    let bytes = Original::find(&daemon_json, LIMIT)?.map_or(Vec::new(), |original| original.bytes);
    let json = Json::parse(&bytes, "    ").with_context(|| format!("can't change `{}`", daemon_json.display()))?;
    let mut system = System { has_service: service.is_some(), ..System::default() };
    for word in &words {
        if let Some(key) = keys(&word.text).into_iter().find(|key| matches!(json.value(&[key]), Ok(Some(_)))) {
            system.doubled.push(format!(
                "`{key}` is in `{}` and, as `{}`, at line {} of `{}`",
                daemon_json.display(),
                word.text,
                word.line,
                word.file.display()
            ));
        }
    }
    let in_json = json.value(&[KEY]).is_ok_and(|value| value.is_some());
    system.daemon_json = daemon_json;
    for (at, registry) in options::registries(texts.iter().copied()) {
        let is_ours = registry == host;
        match &words[at] {
            Word { file, variable: Some(variable), .. } if is_ours || system.options.is_none() => {
                system.options = Some((file.clone(), variable.clone()));
            }
            Word { variable: Some(_), .. } => {}
            word => {
                let has_it = is_ours || system.unit.is_some_and(|(_, has_it)| has_it);
                system.unit = Some((word.clone(), has_it));
            }
        }
    }
    match &service {
        // EulerOS has the variable for just this, empty.
        Some(service) if system.options.is_none() && system.unit.is_none() && !in_json => {
            let variable = "INSECURE_REGISTRY";
            system.options = service.file_of(variable).map(|file| (file, variable.to_owned()));
        }
        Some(_) => {}
        None if ["etc/init/docker.conf", "etc/init.d/docker"].iter().any(|path| root.join(path).exists()) => {
            system.has_service = true;
            system.options = sourced(root, in_json);
        }
        None => {}
    }
    Ok(system)
}

/// The file and variable of a service without a unit.
fn sourced(root: &Path, in_json: bool) -> Option<(PathBuf, String)> {
    let there = SOURCED.into_iter().filter_map(|(file, variable)| {
        let text = String::from_utf8_lossy(&fs::read(root.join(file)).ok()?).into_owned();
        Some((file, variable, options::value(&text, variable)))
    });
    let there: Vec<(&str, &str, Option<String>)> = there.collect();
    let holds = there.iter().find(|(.., value)| value.as_ref().is_some_and(|value| options::names(value, None)));
    // The script of old Ubuntu reads no file of docker's own.
    let is_meant = |variable: &str, value: &Option<String>| {
        variable == "DOCKER_OPTS" || (variable == "INSECURE_REGISTRY" && value.is_some())
    };
    let meant = || there.iter().filter(|_| !in_json).find(|(_, variable, value)| is_meant(variable, value));
    holds.or_else(meant).map(|(file, variable, _)| (root.join(file), (*variable).to_owned()))
}

/// The file that `--config-file` names, from the root.
fn config_file<'w>(words: &[&'w str]) -> Option<&'w str> {
    let at = words.iter().position(|word| word.starts_with("--config-file"))?;
    let file = words[at].split_once('=').map(|(_, file)| file).or_else(|| words.get(at + 1).copied());
    file.map(|file| file.trim_start_matches('/'))
}

/// Keys of docker's own file that say the same as a word of its command line; dockerd does not start where both do.
fn keys(word: &str) -> Vec<String> {
    let short = [("H", "hosts"), ("D", "debug"), ("G", "group"), ("b", "bridge"), ("l", "log-level")];
    let short = short.into_iter().chain([("p", "pidfile"), ("s", "storage-driver")]);
    match word.strip_prefix("--") {
        // A flag that may be given several times has its key in the plural.
        Some(flag) => {
            let name = flag.split('=').next().unwrap_or(flag);
            let several = name.strip_suffix('y').map_or_else(|| format!("{name}s"), |start| format!("{start}ies"));
            vec![name.to_owned(), several]
        }
        None => {
            short.filter(|(letter, _)| word.starts_with(&format!("-{letter}"))).map(|(_, key)| key.into()).collect()
        }
    }
}
