//! What docker's service is started with, by the rules of systemd: its unit, what is dropped in to it, and the variables
//! that both name.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use glob::Pattern;

use super::options;

/// Folders of units, the first before the others.
const UNITS: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// A part of the command line.
#[derive(Debug, Clone)]
pub struct Word {
    pub text: String,
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// The variable that holds it, if `file` is one of variables and not of units.
    pub variable: Option<String>,
}

/// A service below a root.
#[derive(Debug)]
pub struct Service {
    root: PathBuf,
    /// As it is written.
    command: Vec<Word>,
    /// The words of each variable.
    variables: BTreeMap<String, Vec<Word>>,
    files: Vec<PathBuf>,
}

impl Service {
    /// Docker's, if it has a unit.
    pub fn docker(root: &Path) -> Option<Self> {
        let unit = UNITS.iter().map(|folder| root.join(folder).join("docker.service")).find(|path| path.exists())?;
        let mut dropped: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        // What is dropped in to every service gives way to a file of the same name.
        for folder in
            ["service.d", "docker.service.d"].iter().flat_map(|name| UNITS.iter().rev().map(move |it| (it, name)))
        {
            let entries = fs::read_dir(root.join(folder.0).join(folder.1));
            let paths = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
            let paths = paths.filter(|path| path.extension().is_some_and(|ending| ending == "conf"));
            dropped.extend(paths.map(|path| (path.file_name().unwrap_or_default().to_owned(), path)));
        }
        let mut service =
            Self { root: root.to_owned(), command: Vec::new(), variables: BTreeMap::new(), files: Vec::new() };
        for path in std::iter::once(&unit).chain(dropped.values()) {
            service.read_unit(path);
        }
        for file in service.files.clone() {
            service.read_variables(&file);
        }
        Some(service)
    }

    fn read_unit(&mut self, path: &Path) {
        let text = text(path);
        let (mut key, mut goes_on) = ("", false);
        for (line, body) in (1..).zip(text.lines()) {
            let body = body.trim();
            if body.starts_with(['#', ';', '[']) {
                continue;
            }
            let (part, continued) = body.strip_suffix('\\').map_or((body, false), |part| (part, true));
            let mut value = part;
            if !goes_on {
                let (name, rest) = part.split_once('=').unwrap_or((part, ""));
                (key, value) = (name.trim_end(), rest.trim_start());
            }
            let word = |text: String| Word { text, file: path.to_owned(), line, variable: None };
            let words = shlex::split(value).unwrap_or_else(|| value.split_whitespace().map(str::to_owned).collect());
            // An empty value takes back what came before it; a command takes the place of another.
            let begins = !goes_on && (value.is_empty() || key == "ExecStart");
            match key {
                "ExecStart" => {
                    if begins {
                        self.command.clear();
                    }
                    // `sh -c "exec dockerd …"` is searched as well.
                    let words = words.iter().flat_map(|text| text.split_whitespace());
                    self.command.extend(words.map(|text| word(text.to_owned())));
                }
                "Environment" if begins => self.variables.clear(),
                "Environment" => {
                    for (name, value) in words.iter().filter_map(|text| text.split_once('=')) {
                        let words = value.split_whitespace().map(|text| word(text.to_owned())).collect();
                        self.variables.insert(name.to_owned(), words);
                    }
                }
                "EnvironmentFile" if begins => self.files.clear(),
                "EnvironmentFile" => self.files.extend(files(&self.root, value.trim_start_matches(['-', '/']))),
                _ => {}
            }
            goes_on = continued;
        }
    }

    /// A file's variables go before those of the units.
    fn read_variables(&mut self, path: &Path) {
        let text = text(path);
        for assignment in options::assignments(&text) {
            let word = |word: &str| Word {
                text: word.to_owned(),
                file: path.to_owned(),
                line: assignment.line,
                variable: Some(assignment.name.to_owned()),
            };
            // The quotes of a value over several lines are part of it here.
            let value = text[assignment.range.clone()].replace(['"', '\''], " ");
            let words = value.split_whitespace().map(word).collect();
            self.variables.insert(assignment.name.to_owned(), words);
        }
    }

    /// The command line with the words of its variables.
    pub fn words(&self) -> Vec<Word> {
        let expand = |word: &Word| self.variable(&word.text).cloned().unwrap_or_else(|| vec![word.clone()]);
        self.command.iter().flat_map(expand).collect()
    }

    fn variable(&self, word: &str) -> Option<&Vec<Word>> {
        let name = word.strip_prefix('$')?;
        let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
        self.variables.get(name)
    }

    /// The file whose variable `name` is part of the command line, be it empty.
    pub fn file_of(&self, name: &str) -> Option<PathBuf> {
        let spellings = [format!("${name}"), format!("${{{name}}}")];
        let is_used = self.command.iter().any(|word| spellings.contains(&word.text));
        let sets = |file: &Path| options::value(&text(file), name).is_some();
        self.files.iter().rev().filter(|_| is_used).find(|file| sets(file)).cloned()
    }
}

/// Files below a root that systemd means by a name, which may be a pattern.
fn files(root: &Path, name: &str) -> Vec<PathBuf> {
    let root = Pattern::escape(&root.to_string_lossy());
    glob::glob(&format!("{}/{name}", root.trim_end_matches('/'))).into_iter().flatten().flatten().collect()
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
