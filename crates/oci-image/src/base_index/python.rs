//! The Python interpreters of a base.

use serde::{Deserialize, Serialize};

use super::{
    fact::{Content, PythonBinary},
    scan::python_version_of,
    tree::{Found, Kind, Tree},
};

/// A Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// How it is called: `/usr/bin/python3`, `/usr/bin/python3.9`, …
    pub path: String,
    /// The folder that its `bin` is in.
    pub prefix: String,
    /// The program's own path: what `path` leads to in the end.
    pub real: String,
    /// Major and minor number.
    pub version: (u32, u32),
    /// The third number, where the program or its library tells it.
    pub micro: Option<u32>,
    /// Whether `prefix` is that of a virtual environment (PEP 405): `pyvenv.cfg` lies in it, or beside the program.
    pub is_venv: bool,
    /// ELF's number of the machine that it runs on, 183 for aarch64. None where it is no ELF program.
    pub machine: Option<u16>,
}

/// Every `python`, `python3` and `python3.9` in a folder `bin` that leads to a file.
pub(super) fn interpreters(tree: &Tree) -> Vec<Interpreter> {
    let mut named = Vec::new();
    tree.walk(&mut |path, kind| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let is_one = matches!(name, "python" | "python3") || python_version_of(name).is_some();
        let in_bin = folder == "bin" || folder.ends_with("/bin");
        if is_one && in_bin && !matches!(kind, Kind::Dir(_)) && !in_package_cache(folder) {
            named.push(path.to_owned());
        }
    });
    named.iter().filter_map(|path| interpreter(tree, path)).collect()
}

fn interpreter(tree: &Tree, path: &str) -> Option<Interpreter> {
    let (real, Found::File(fact)) = tree.resolve(path)? else { return None };
    let name = |path: &str| python_version_of(path.rsplit('/').next().unwrap_or(path));
    let version = name(&real).or_else(|| name(path))?;
    let binary = |content: &Content| match content {
        Content::Python(binary) => Some(*binary),
        _ => None,
    };
    let own = fact.and_then(|fact| binary(&fact.content)).unwrap_or(PythonBinary { machine: None, micro: None });
    // Where the program is small, its library has the version.
    let beside = || {
        let prefix = real.rsplit_once("bin/").map_or("", |(prefix, _)| prefix);
        let library = |folder: &str| format!("{prefix}{folder}/libpython{}.{}.so.1.0", version.0, version.1);
        ["lib", "lib64"].iter().find_map(|folder| match tree.resolve(&library(folder))? {
            (_, Found::File(Some(fact))) => binary(&fact.content)?.micro,
            _ => None,
        })
    };
    let prefix = path.rsplit_once("/bin/").map_or("", |(prefix, _)| prefix);
    let config = |folder: &str| format!("{prefix}{folder}/pyvenv.cfg").trim_start_matches('/').to_owned();
    let is_venv = ["", "/bin"].iter().any(|folder| matches!(tree.resolve(&config(folder)), Some((_, Found::File(_)))));
    Some(Interpreter {
        path: format!("/{path}"),
        prefix: format!("/{prefix}"),
        real: format!("/{real}"),
        version,
        micro: own.micro.or_else(beside),
        is_venv,
        machine: own.machine,
    })
}

/// Whether the path is in what conda keeps of packages before it links them into an environment:
/// `<conda>/pkgs/<package>/…`.
pub(super) fn in_package_cache(path: &str) -> bool {
    let mut parts = path.split('/').skip_while(|part| *part != "pkgs");
    parts.next().is_some() && parts.next().is_some()
}
