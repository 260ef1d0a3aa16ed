//! The Python of a command and what it has, as far as files tell: nothing is run.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Lookup, programs};

/// A Python and the frameworks among its packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// As the command finds it: not behind its links, as a virtual environment is one.
    pub interpreter: PathBuf,
    /// It is a script that starts another Python, as a shim of pyenv, so folders do not tell all that this one has.
    pub is_script: bool,
    /// The folder that PyTorch is in.
    pub torch: Option<PathBuf>,
    /// The folder that MindSpore is in, and its version.
    pub mindspore: Option<(PathBuf, Version)>,
}

/// Major and minor number of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What is read of a file to find its first line; the kernel reads no more, either.
const FIRST_LINE: u64 = 256;

/// Bytes of a `pyvenv.cfg` at most.
const CONFIG: u64 = 64 << 10;

/// Programs that run the command in their arguments.
const WRAPPERS: [&str; 9] = ["env", "ionice", "msprof", "nice", "numactl", "stdbuf", "strace", "taskset", "timeout"];

/// The Python of a command that is started in `folder`: its first word, or the first `python…` behind a program that is
/// known to run another; else the one in the first line of the script that it names; the one in PATH where there is no
/// command.
pub fn of_command(command: &[OsString], folder: &Path, lookup: Lookup) -> Option<Python> {
    let interpreter = if command.is_empty() {
        ["python3", "python"].into_iter().find_map(|it| programs::find(OsStr::new(it), folder, lookup))
    } else {
        // Of any other program, a word `python…` further on is an argument that may mean anything.
        let words = if is_wrapper(command.first()?) { command } else { &command[..1] };
        let word = words.iter().find(|it| is_python(it));
        word.map_or_else(|| of_script(command.first()?, folder, lookup), |word| programs::find(word, folder, lookup))
    }?;
    let places: Vec<PathBuf> = packages(&interpreter, folder, lookup);
    let torch = places.iter().find(|it| it.join("torch/__init__.py").is_file()).cloned();
    let mindspore = places.iter().find(|it| it.join("mindspore/__init__.py").is_file());
    // One whose version is not told is taken for an old one.
    let mindspore = mindspore.map(|it| (it.clone(), version(it).unwrap_or(Version(0, 0))));
    let is_script = start(&interpreter, FIRST_LINE).is_some_and(|it| it.starts_with("#!"));
    Some(Python { interpreter, is_script, torch, mindspore })
}

/// `python`, `python3`, `/usr/bin/python3.11`.
pub fn is_python(word: &OsStr) -> bool {
    let name = Path::new(word).file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.strip_prefix("python").is_some_and(|it| it.chars().all(|it| it.is_ascii_digit() || it == '.'))
}

fn is_wrapper(word: &OsStr) -> bool {
    Path::new(word).file_name().is_some_and(|name| WRAPPERS.iter().any(|it| name == *it))
}

/// The Python in the first line of a script.
fn of_script(word: &OsStr, folder: &Path, lookup: Lookup) -> Option<PathBuf> {
    let text = start(&programs::find(word, folder, lookup)?, FIRST_LINE)?;
    let line = text.lines().next()?.strip_prefix("#!")?;
    // `#!/usr/bin/env -S python3 -u`, too.
    let word = line.split_whitespace().find(|it| is_python(OsStr::new(it)))?;
    programs::find(OsStr::new(word), folder, lookup)
}

/// The folders in which a Python looks for packages, in its order.
fn packages(interpreter: &Path, folder: &Path, lookup: Lookup) -> Vec<PathBuf> {
    let named = lookup("PYTHONPATH").unwrap_or_default();
    let mut places: Vec<PathBuf> =
        std::env::split_paths(&named).filter(|it| !it.as_os_str().is_empty()).map(|it| folder.join(it)).collect();
    let real = fs::canonicalize(interpreter).unwrap_or_else(|_| interpreter.to_owned());
    // `python3.11`; of `python3` alone all that are there count.
    let name = real.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    let minor = name.strip_prefix("python3.").map(|it| it.chars().take_while(char::is_ascii_digit).collect::<String>());
    let minor = minor.as_deref();
    let above = |path: &Path| path.parent().and_then(Path::parent).map(Path::to_owned);
    let venv = [interpreter.parent().map(Path::to_owned), above(interpreter)].into_iter().flatten();
    let venv = venv.into_iter().find_map(|it| Some((start(&it.join("pyvenv.cfg"), CONFIG)?, it)));
    let mut prefixes = Vec::new();
    let mut has_system = true;
    if let Some((config, prefix)) = venv {
        prefixes.push(prefix);
        has_system = setting(&config, "include-system-site-packages").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    }
    if has_system {
        places.extend(prefixes.iter().flat_map(|it| below(it, minor)));
        // `pip install --user`.
        places.extend(lookup("HOME").iter().flat_map(|it| below(&Path::new(it).join(".local"), minor)));
        // Debian has packages of its own Python and of the administrator apart.
        let base = above(&real).filter(|it| it.parent().is_some()).unwrap_or_else(|| "/usr".into());
        prefixes = vec![base.join("local"), base];
    }
    places.extend(prefixes.iter().flat_map(|it| below(it, minor)));
    places
}

/// The folders of packages below a prefix.
fn below(prefix: &Path, minor: Option<&str>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for lib in ["lib", "lib64"] {
        let entries = fs::read_dir(prefix.join(lib)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|it| it.file_name().into_string().ok()).collect();
        names.retain(|it| match it.strip_prefix("python3") {
            // Debian's is for all versions.
            Some("") => true,
            Some(rest) => minor.is_none_or(|minor| rest.strip_prefix('.') == Some(minor)),
            None => false,
        });
        names.sort();
        for name in names {
            found.extend(["site-packages", "dist-packages"].map(|it| prefix.join(lib).join(&name).join(it)));
        }
    }
    found.retain(|it| it.is_dir());
    found
}

/// The version of the MindSpore in a folder, by the name of its metadata's: `mindspore-2.7.1.dist-info`, and
/// `mindspore_ascend-1.8.1.dist-info` of older ones.
fn version(folder: &Path) -> Option<Version> {
    fs::read_dir(folder).ok()?.flatten().find_map(|it| {
        let name = it.file_name().into_string().ok()?;
        let (name, version) = name.strip_suffix(".dist-info")?.split_once('-')?;
        let is_mindspore = ["mindspore", "mindspore_ascend", "mindspore_gpu"].contains(&name);
        let mut numbers = version.split('.').filter(|_| is_mindspore);
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next().unwrap_or_default();
        // `2.8rc1`, too.
        let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
        Some(Version(major, digits.parse().unwrap_or(0)))
    })
}

/// The value of a key of a `pyvenv.cfg`.
fn setting<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    config.lines().filter_map(|it| it.split_once('=')).find(|it| it.0.trim() == key).map(|it| it.1.trim())
}

/// The first bytes of a regular file as text.
fn start(path: &Path, limit: u64) -> Option<String> {
    // A pipe would be waited for.
    if !path.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Machine {
            let machine = Machine(tempfile::tempdir().unwrap());
            machine.file("usr/bin/python3.11", "");
            symlink("python3.11", machine.path("usr/bin/python3")).unwrap();
            machine
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn file(&self, path: &str, text: &str) {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), text).unwrap();
            fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        }

        /// `python`, then what it has; `-` where there is none.
        fn check(&self, command: &str, variables: &[(&str, &str)], expected: &str) {
            let command: Vec<OsString> = command.split_whitespace().map(Into::into).collect();
            let root = self.0.path().display().to_string();
            let lookup = |name: &str| {
                let set = variables.iter().find(|it| it.0 == name).map(|it| it.1.replace("//", &format!("{root}/")));
                set.or_else(|| (name == "PATH").then(|| format!("{root}/usr/bin"))).map(OsString::from)
            };
            let found = of_command(&command, &self.path("code"), &lookup);
            let shown = found.map_or("-".to_owned(), |it| {
                let torch = it.torch.map(|it| format!(" torch {}", it.display())).unwrap_or_default();
                let mindspore = it.mindspore.map(|(it, version)| format!(" mindspore {version} {}", it.display()));
                let script = if it.is_script { " (script)" } else { "" };
                format!("{}{script}{torch}{}", it.interpreter.display(), mindspore.unwrap_or_default())
            });
            assert_eq!(shown.replace(&format!("{root}/"), ""), expected, "{command:?} {variables:?}");
        }
    }

    #[test]
    fn the_interpreter_of_a_command() {
        let machine = Machine::new();
        machine.file("usr/bin/tk", "#!/usr/bin/env -S python3 -u\nimport sys\n");
        machine.file("usr/bin/sh", "\x7fELF");
        machine.file("code/train", "#!/bin/sh\npython3 train.py\n");
        machine.file("code/own/python", "");
        machine.file("shims/python", "#!/usr/bin/env bash\nexec pyenv exec python \"$@\"\n");
        for (command, expected) in [
            ("python3 train.py", "usr/bin/python3"),
            ("numactl -C 0 python3.11 train.py", "usr/bin/python3.11"),
            ("env A=python3 python3.11 train.py", "usr/bin/python3.11"),
            ("own/python train.py", "code/own/python"),
            ("../shims/python train.py", "code/../shims/python (script)"),
            // What is an argument runs nothing.
            ("sh --out /x/python3.11", "-"),
            ("./train --out usr/bin/python3", "-"),
            ("tk --python python3.11", "usr/bin/python3"),
            ("python2 train.py", "-"),
            ("tk --x", "usr/bin/python3"),
            ("./train", "-"),
            ("sh train.sh", "-"),
            ("", "usr/bin/python3"),
        ] {
            machine.check(command, &[], expected);
        }
    }

    #[test]
    fn what_can_t_be_executed_is_no_interpreter() {
        let machine = Machine::new();
        for name in ["first/python3", "first/tk", "code/python3"] {
            machine.file(name, "#!/usr/bin/python3.11\n");
            fs::set_permissions(machine.path(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let path = [("PATH", "//first://usr/bin")];
        machine.check("python3 train.py", &path, "usr/bin/python3");
        machine.check("", &path, "usr/bin/python3");
        machine.check("tk", &path, "-");
        machine.check("./python3 train.py", &path, "-");
    }

    #[test]
    fn packages_are_found_where_python_looks_for_them() {
        let machine = Machine::new();
        // Of another version, and what an uninstalled one has left.
        machine.file("usr/lib/python3.9/site-packages/torch/__init__.py", "");
        machine.file("usr/lib/python3.11/site-packages/torch/left", "");
        machine.check("python3", &[], "usr/bin/python3");
        machine.file("usr/lib/python3/dist-packages/torch/__init__.py", "");
        machine.check("python3", &[], "usr/bin/python3 torch usr/lib/python3/dist-packages");
        let here = [("PYTHONPATH", "//elsewhere:")];
        machine.file("elsewhere/torch/__init__.py", "");
        machine.check("python3", &here, "usr/bin/python3 torch elsewhere");
        machine.file("home/.local/lib/python3.11/site-packages/mindspore/__init__.py", "");
        machine.file("home/.local/lib/python3.11/site-packages/mindspore_ascend-1.8.1.dist-info/METADATA", "");
        machine.check(
            "python3",
            &[("HOME", "//home")],
            "usr/bin/python3 torch usr/lib/python3/dist-packages mindspore 1.8 home/.local/lib/python3.11/site-packages",
        );
    }

    #[test]
    fn a_virtual_environment_has_its_own_packages_and_the_system_s_if_it_says_so() {
        let machine = Machine::new();
        machine.file("usr/lib/python3.11/site-packages/torch/__init__.py", "");
        machine.file("venv/lib64/python3.11/site-packages/mindspore/__init__.py", "");
        machine.file("venv/lib64/python3.11/site-packages/mindspore-2.10.0rc1.dist-info/METADATA", "");
        fs::create_dir_all(machine.path("venv/bin")).unwrap();
        symlink(machine.path("usr/bin/python3"), machine.path("venv/bin/python")).unwrap();
        let path = [("PATH", "//venv/bin")];
        let own = "venv/bin/python mindspore 2.10 venv/lib64/python3.11/site-packages";
        for (config, expected) in [
            ("home = /usr/bin\ninclude-system-site-packages = false\n", own.to_owned()),
            (
                "include-system-site-packages=true",
                own.replace(" mindspore", " torch usr/lib/python3.11/site-packages mindspore"),
            ),
            ("", own.to_owned()),
        ] {
            machine.file("venv/pyvenv.cfg", config);
            machine.check("python train.py", &path, &expected);
        }
    }
}
