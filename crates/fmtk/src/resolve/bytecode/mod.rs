//! What compiles the modules of the image: a Python of the release that the base has, on this machine or in the base.
//!
//! A `.pyc` is valid for all releases of a minor version, on any processor. Its bytes are not the same: between releases
//! the compiler is fixed. So the base's release decides, and whoever has that release writes the same bytes.

mod in_base;
mod pool;

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};
use oci_image::{BaseIndex, Store};
use serde::{Serialize, Serializer};

pub use self::pool::Pool;
use crate::{
    engine,
    options::Engine,
    recipe::{Bytecode, Recipe},
    resolve::base::OpenImage,
    terminal::{
        progress::Progress,
        report::{self, WithHint},
    },
};

/// Raised where `compile.py` writes other bytes, so that layers made before are not taken.
const FORMAT: u32 = 1;

/// Told of a recipe that leaves it at the default.
pub const UNDECIDED: &str = "modules are not compiled, so imports take longer than where pip installs; set `bytecode` to \
    \"auto\" to compile them, or to \"off\" if this is meant";

/// A release of CPython: major, minor and micro number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release(pub u32, pub u32, pub u32);

impl Release {
    /// All that bytecode depends on besides sources, as layers are known by.
    pub fn identity(self) -> String {
        format!("{FORMAT} {self}")
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The Python that compiles, and its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interpreter {
    /// A program of this machine.
    Host(Release, PathBuf),
    /// The base's own, run by this engine.
    Base(Release, &'static str),
}

impl Interpreter {
    /// The processes that compile. `has_base` is an engine that was given the base before.
    pub fn pool(
        &self,
        recipe: &Recipe,
        opened: &OpenImage,
        has_base: Option<&str>,
        store: &Store,
        progress: &Progress,
    ) -> anyhow::Result<Pool> {
        match self {
            Self::Host(release, program) => Ok(Pool::on_host(program, *release)),
            Self::Base(release, engine) => {
                let is_there = has_base == Some(*engine);
                in_base::in_base(*release, recipe, opened, (*engine, is_there), store, progress)
            }
        }
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(_, program) => write!(f, "`{}`", program.display()),
            Self::Base(_, engine) if env::consts::ARCH == "aarch64" => write!(f, "the base's own Python in {engine}"),
            Self::Base(_, engine) => write!(
                f,
                "the base's own Python in {engine}, which takes minutes under emulation; with a Python of this release on \
                 this machine it takes seconds"
            ),
        }
    }
}

/// The release whose bytecode the image gets: that of the base's Python. None where the recipe wants none.
pub fn release(recipe: &Recipe, index: Option<&BaseIndex>) -> anyhow::Result<Option<Release>> {
    if recipe.bytecode == Bytecode::Off {
        return Ok(None);
    }
    let (major, minor) = recipe.python.version;
    let python = index.and_then(|index| index.interpreter(recipe.python.interpreter.as_str()));
    match python.and_then(|python| python.micro) {
        Some(micro) => Ok(Some(Release(major, minor, micro))),
        None if index.is_none() => Err(anyhow!("the base was not inspected, and modules are compiled for its Python"))
            .hint("leave out `--no-inspect` and `--inspect never`"),
        None => Err(anyhow!("the base's Python {major}.{minor} does not tell its release"))
            .hint("set `bytecode` to \"off\""),
    }
}

/// What compiles for this release: a Python of this machine, which is faster, else the base's own.
pub fn find(release: Release, choice: Engine) -> anyhow::Result<Interpreter> {
    if let Some(program) = host(release) {
        return Ok(Interpreter::Host(release, program));
    }
    let engine = engine::program(choice).with_context(|| {
        format!("neither this machine's Pythons nor an engine that runs the base's can compile for Python {release}")
    });
    engine
        .map(|engine| Interpreter::Base(release, engine))
        .hint(format!("install Python {release}, for example by `pyenv install {release}`, or use an engine"))
}

/// The result of a step of compiling. If it failed, that is an error where the recipe insists on bytecode; else it is a
/// warning, and None stands for an image without bytecode.
pub fn or_without<T>(recipe: &Recipe, result: anyhow::Result<T>, progress: &Progress) -> anyhow::Result<Option<T>> {
    let error = match result {
        Ok(value) => return Ok(Some(value)),
        Err(error) => error,
    };
    if recipe.bytecode == Bytecode::On {
        return Err(error.context("failed to compile the modules, as `bytecode = \"on\"` wants"));
    }
    let reasons = report::problems(&error).into_iter().map(|(reason, hint)| match hint {
        Some(hint) => format!("{reason}; {hint}"),
        None => reason,
    });
    progress.warning(&format!(
        "modules are not compiled: {}. Every rank compiles them again at each start where `site-packages` is read-only; \
         `--set bytecode=off` silences this",
        reasons.collect::<Vec<_>>().join("; ")
    ));
    Ok(None)
}

/// The first Python of this release that works: `python3.9` of each folder in PATH, then pyenv's.
pub fn host(release: Release) -> Option<PathBuf> {
    let name = format!("python{}.{}", release.0, release.1);
    let path = env::var_os("PATH").unwrap_or_default();
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
    let of_pyenv = pyenv.map(|root| root.join("versions").join(release.to_string()).join("bin"));
    let mut all = env::split_paths(&path).chain(of_pyenv).map(|folder| folder.join(&name));
    all.find_map(|program| program.is_file().then(|| asked(&program, release)).flatten())
}

/// The program itself, if it compiles for this release: pyenv and others have scripts in PATH, which know it.
fn asked(program: &Path, release: Release) -> Option<PathBuf> {
    const SAY: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.executable)";
    let output = Command::new(program).args(["-s", "-S", "-B", "-c", SAY]).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let program = PathBuf::from(said.trim_end_matches('\n').strip_prefix(&format!("{release} "))?);
    // One that does not start in an empty environment, or is no released CPython, is of no use.
    Pool::on_host(&program, release).check().ok().map(|()| program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Overrides;

    fn recipe(bytecode: &str) -> Recipe {
        let set = [format!("bytecode={bytecode}")];
        Recipe::parse("", "image.toml", Path::new("/"), Overrides { set: &set, ..Overrides::default() }).unwrap()
    }

    #[test]
    fn without_a_release_only_on_refuses() {
        let progress = Progress::new(true);
        let found = |bytecode: &str| {
            let recipe = recipe(bytecode);
            or_without(&recipe, release(&recipe, None), &progress).map(Option::flatten)
        };
        assert_eq!(["auto", "off"].map(|bytecode| found(bytecode).unwrap()), [None, None]);
        expect_test::expect![[r#"
            error: failed to compile the modules, as `bytecode = "on"` wants
            caused by: the base was not inspected, and modules are compiled for its Python
            hint: leave out `--no-inspect` and `--inspect never`
        "#]]
        .assert_eq(&report::render(&found("on").unwrap_err()));
    }

    #[test]
    fn no_python_of_this_machine_has_a_release_that_does_not_exist() {
        assert_eq!(host(Release(3, 9, 999)), None);
    }
}
