//! The Python interpreters of a base.

use serde::{Deserialize, Serialize};

use super::{
    capture::{Content, PythonBinary},
    python_version::python_version_of,
    tree::{Kind, Tree},
};
use crate::{Attr, paths::split_name};

/// A Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// How it is called: `/usr/bin/python3`, `/usr/bin/python3.9`, …
    pub path: String,
    /// The folder that its `bin` is in.
    pub prefix: String,
    /// The program's own path: what `path` leads to in the end.
    pub real: String,
    /// The program's owner and mode.
    pub attr: Option<Attr>,
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
        let (folder, name) = split_name(path);
        let is_one = matches!(name, "python" | "python3") || python_version_of(name).is_some();
        let in_bin = folder == "bin" || folder.ends_with("/bin");
        if is_one && in_bin && !matches!(kind, Kind::Dir(_)) && !in_package_cache(folder) {
            named.push(path.to_owned());
        }
    });
    named.iter().filter_map(|path| interpreter(tree, path)).collect()
}

fn interpreter(tree: &Tree, path: &str) -> Option<Interpreter> {
    let (real, fact) = tree.file(path)?;
    let name = |path: &str| python_version_of(split_name(path).1);
    let version = name(&real).or_else(|| name(path))?;
    let binary = |path: &str| match tree.content(path) {
        Some(Content::Python(binary)) => *binary,
        _ => PythonBinary::default(),
    };
    let PythonBinary { machine, micro } = binary(&real);
    // Where the program is small, its library has the version.
    let beside = || {
        let prefix = real.rsplit_once("bin/").map_or("", |(prefix, _)| prefix);
        let library = |folder: &str| format!("{prefix}{folder}/libpython{}.{}.so.1.0", version.0, version.1);
        ["lib", "lib64"].iter().find_map(|folder| binary(&library(folder)).micro)
    };
    let prefix = path.rsplit_once("/bin/").map_or("", |(prefix, _)| prefix);
    let is_venv = ["", "/bin"].iter().any(|folder| tree.file(&format!("{prefix}{folder}/pyvenv.cfg")).is_some());
    Some(Interpreter {
        path: format!("/{path}"),
        prefix: format!("/{prefix}"),
        real: format!("/{real}"),
        attr: fact.map(|fact| fact.attr),
        version,
        micro: micro.or_else(beside),
        is_venv,
        machine,
    })
}

/// Whether the path is in what conda keeps of packages before it links them into an environment:
/// `<conda>/pkgs/<package>/…`.
pub(super) fn in_package_cache(path: &str) -> bool {
    let mut parts = path.split('/').skip_while(|part| *part != "pkgs");
    parts.next().is_some() && parts.next().is_some()
}

/// The folder that a Python is installed below, of one of its `site-packages` folders: `<prefix>/lib/python3.9/
/// site-packages`, on some systems `lib64`; Debian has `/usr/lib/python3/dist-packages`. Elsewhere the folder itself.
pub(super) fn prefix_of(site: &str) -> &str {
    let mut parts = site.rsplitn(4, '/');
    let (python, lib) = (parts.nth(1), parts.next());
    let prefix = parts.next().unwrap_or_default();
    let regular =
        python.is_some_and(|name| name.starts_with("python")) && lib.is_some_and(|name| name.starts_with("lib"));
    if regular { prefix } else { site }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_three_folders_up() {
        for (site, prefix) in [
            ("usr/local/lib/python3.9/dist-packages", "usr/local"),
            ("usr/lib64/python3.9/site-packages", "usr"),
            ("lib/python3/site-packages", ""),
            ("opt/app/vendor/site-packages", "opt/app/vendor/site-packages"),
            ("site-packages", "site-packages"),
        ] {
            assert_eq!(prefix_of(site), prefix);
        }
    }
}
