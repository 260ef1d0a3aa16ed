//! The Python of this host that compiles the modules of the image: compiles, and never imports them.
//!
//! Bytecode is for one minor version of CPython, on any machine. What `compile.py` writes depends on the source, its path
//! and the version of the Python alone.

use std::{
    env,
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::anyhow;
use oci_image::MTIME;
use serde::Serialize;
use wheel_layer::Compiler;

use crate::{
    recipe::{Bytecode, Recipe},
    terminal::report::WithHint,
};

/// Answers requests on stdin.
const COMPILE: &str = include_str!("compile.py");
/// Raised where `compile.py` writes other bytes, so that layers made before are not taken.
const FORMAT: u32 = 1;
/// Bytes of a compiled module: far more than any of the sources that are compiled makes.
const LIMIT: u32 = 512 << 20;
/// What is left of the environment: libraries that some Pythons are built upon.
const KEPT: [&str; 1] = ["LD_LIBRARY_PATH"];

/// A Python of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostPython {
    /// All three numbers.
    pub version: String,
    /// Where it is.
    pub program: PathBuf,
}

impl HostPython {
    /// All that bytecode depends on besides sources, as layers are known by.
    pub fn identity(&self) -> String {
        format!("{FORMAT} {}", self.version)
    }
}

/// The Python that the recipe's modules are compiled by, where they are to be.
pub fn find(recipe: &Recipe) -> anyhow::Result<Option<HostPython>> {
    let (major, minor) = recipe.python.version;
    let found = (recipe.bytecode != Bytecode::Off).then(|| python((major, minor))).flatten();
    if found.is_none() && recipe.bytecode == Bytecode::On {
        return Err(anyhow!("no Python {major}.{minor} on this machine, which `bytecode = \"on\"` needs"))
            .hint(format!("install `python{major}.{minor}`, or set `bytecode` to \"auto\" or \"off\""))
            .input();
    }
    Ok(found)
}

/// The first of this version that works: `python3.9` of each folder in PATH, then pyenv's, the newest first.
pub fn python(version: (u32, u32)) -> Option<HostPython> {
    let name = format!("python{}.{}", version.0, version.1);
    let path = env::var_os("PATH").unwrap_or_default();
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
    let mut of_pyenv: Vec<(u32, PathBuf)> = Vec::new();
    for entry in pyenv.and_then(|root| root.join("versions").read_dir().ok()).into_iter().flatten().flatten() {
        let micro = entry
            .file_name()
            .to_str()
            .and_then(|found| found.strip_prefix(&format!("{}.{}.", version.0, version.1))?.parse().ok());
        of_pyenv.extend(micro.map(|micro| (micro, entry.path().join("bin").join(&name))));
    }
    of_pyenv.sort();
    let on_path = env::split_paths(&path).map(|folder| folder.join(&name));
    let all = on_path.chain(of_pyenv.into_iter().rev().map(|(_, program)| program));
    all.filter(|program| program.is_file()).find_map(|program| asked(&program, version))
}

/// What a program says of itself: none where it is not a released CPython of this version. Its releases have one bytecode.
fn asked(program: &Path, (major, minor): (u32, u32)) -> Option<HostPython> {
    // pyenv and others have scripts in PATH, which know the program itself.
    const SAY: &str = "import sys; \
        print(sys.implementation.name, sys.version_info[3], '%d.%d.%d' % sys.version_info[:3], sys.executable)";
    let output = Command::new(program).args(["-s", "-S", "-B", "-c", SAY]).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let version = said.strip_prefix("cpython final ")?;
    let (version, program) = version.trim_end_matches('\n').split_once(' ')?;
    let found = HostPython { version: version.to_owned(), program: program.into() };
    // One that does not start in an empty environment is of no use.
    let works = || Pool::new(&found).compile("/", b"").is_ok_and(|compiled| compiled.is_some());
    (version.starts_with(&format!("{major}.{minor}.")) && works()).then_some(found)
}

/// Processes of one Python, as many as are asked at once.
pub struct Pool {
    program: PathBuf,
    idle: Mutex<Vec<Process>>,
    skipped: AtomicUsize,
}

struct Process {
    child: Child,
    requests: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Pool {
    /// Starts none yet.
    pub fn new(python: &HostPython) -> Self {
        Self { program: python.program.clone(), idle: Mutex::default(), skipped: AtomicUsize::new(0) }
    }

    /// How many sources did not compile.
    pub fn skipped(&self) -> usize {
        self.skipped.load(Ordering::Relaxed)
    }

    fn start(&self) -> io::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["-s", "-S", "-B", "-W", "ignore", "-c", COMPILE, &MTIME.to_string()]).env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, env::var_os(name)?)))).env("PYTHONHASHSEED", "0");
        // Below no folder of the user's, whose modules would come before Python's own.
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, answers) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Process { child, requests: BufWriter::new(requests), answers: BufReader::new(answers) })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Process>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    fn ask(&mut self, path: &str, source: &[u8]) -> io::Result<Vec<u8>> {
        for bytes in [path.as_bytes(), source] {
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            self.requests.write_all(&length.to_le_bytes())?;
            self.requests.write_all(bytes)?;
        }
        self.requests.flush()?;
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > LIMIT {
            return Err(io::Error::other(format!("it answered with {length} bytes")));
        }
        let mut answer = vec![0; length as usize];
        self.answers.read_exact(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that is idle has nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Compiler for Pool {
    fn compile(&self, path: &str, source: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let idle = self.idle().pop();
        let mut process = idle.map_or_else(|| self.start(), Ok)?;
        let answer = process.ask(path, source).map_err(|error| {
            let _ = process.child.kill();
            let ended = process.child.wait().map_or(String::new(), |status| format!(", {status}"));
            io::Error::new(error.kind(), format!("`{}` gave no answer: {error}{ended}", self.program.display()))
        })?;
        self.idle().push(process);
        let compiled = !answer.is_empty();
        if !compiled {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(compiled.then_some(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{recipe::Overrides, terminal::report};

    #[test]
    fn without_a_python_of_the_version_only_on_refuses() {
        let found = |bytecode: &str| {
            let set = [format!("bytecode={bytecode}"), "versions.python=3.99".to_owned()];
            let overrides = Overrides { set: &set, ..Overrides::default() };
            find(&Recipe::parse("", "image.toml", Path::new("/"), overrides).unwrap())
        };
        assert_eq!(["auto", "off"].map(|bytecode| found(bytecode).unwrap()), [None, None]);
        expect_test::expect![[r#"
            error: no Python 3.99 on this machine, which `bytecode = "on"` needs
            hint: install `python3.99`, or set `bytecode` to "auto" or "off"
        "#]]
        .assert_eq(&report::render(&found("on").unwrap_err()));
    }

    #[test]
    fn a_program_that_ends_is_an_error_and_no_source_that_does_not_compile() {
        let python = HostPython { version: "3.9.0".to_owned(), program: "/bin/false".into() };
        let error = Pool::new(&python).compile("/a.py", b"1").unwrap_err().to_string();
        assert!(error.starts_with("`/bin/false` gave no answer: ") && error.contains("exit status: 1"), "{error}");
    }
}
