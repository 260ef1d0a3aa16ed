//! Wheels of what has its source alone, if it is pure Python: such a wheel is the same for every machine.
//!
//! pip builds it in an environment of its own, in a temporary folder, and then finds it where it finds the wheels that
//! lie there by hand. Times, modes and hash seed are fixed, so that another machine with the same build tools makes the
//! same bytes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow, ensure};
use oci_image::Store;
use wheel_layer::{Target, WheelFacts};

use super::{
    Pins,
    pip_log::{self, Unfit},
    removed,
    request::{self, Request},
    run,
};
use crate::{
    options::Call,
    resolve::wheels::digest,
    terminal::{progress::Progress, report::WithHint},
};

/// Seconds since 1970 of the first time that a zip archive can tell: 1980-01-01.
const SOURCE_DATE_EPOCH: &str = "315532800";

/// Builds for one fetch.
pub struct Builder<'a> {
    pub python: &'a Path,
    pub request: &'a Request,
    pub target: Target,
    pub pins: &'a Pins,
    pub call: &'a Call,
    pub work: &'a Path,
    pub store: &'a Store,
    pub progress: &'a Progress,
}

impl Builder<'_> {
    /// Downloads; where that fails for want of wheels, builds those and tries again, until nothing new is wanting.
    pub fn run(&self, download: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut built = BTreeSet::new();
        loop {
            let Err(error) = download() else { return Ok(()) };
            let log = self.work.join(request::LOG);
            let text = fs::read(&log).unwrap_or_default();
            let unfit = Unfit::parse(&String::from_utf8_lossy(&text), &self.request.constraints);
            let wanting: Vec<_> = unfit.sources().filter(|(name, _)| !built.contains(*name)).collect();
            if wanting.is_empty() {
                return Err(error);
            }
            // pip appends to it.
            removed(&log, |path| fs::remove_file(path))?;
            for (name, required) in wanting {
                self.build(name, &required)?;
                built.insert(name.to_owned());
            }
        }
    }

    fn build(&self, name: &str, required: &[&str]) -> anyhow::Result<()> {
        let Self { python, request, target, work, progress, .. } = self;
        progress.line(&format!("pip builds a wheel of `{name}` from its source"));
        let folder = work.join("source").join(name);
        let wheels = folder.join("wheel");
        fs::create_dir_all(&folder).with_context(|| format!("failed to create folder `{}`", folder.display()))?;
        let lines = folder.with_extension("txt");
        // Build tools come from the recipe's index too.
        let index = folder.with_extension("index");
        for (path, text) in [(&lines, request.source_lines(name, required)), (&index, request.index_line(None))] {
            fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        }
        let mut download = Command::new(python);
        download.args(["-c", include_str!("pip.py")]).arg(request.marker_environment());
        download.args(request.source_arguments(work, name, &lines, &folder));
        // To know what a source is, pip runs its build script already.
        let failed = format!("pip failed to build a wheel of `{name}` from its source");
        self.pip(download, &failed, required)?;
        // The wheel cache goes by paths, and would have what was built of another source. The Python that
        // the source requires is not compared with this one: it was chosen for the image's.
        let mut wheel = Command::new("sh");
        wheel.args(["-c", "umask 022 && exec \"$@\"", "sh"]).arg(python).args(["-m", "pip", "wheel"]);
        wheel.args(["--disable-pip-version-check", "--no-input", "--no-deps", "--no-cache-dir"]);
        wheel.arg("--requirement").arg(&index);
        wheel.args(["--ignore-requires-python", "--wheel-dir"]).arg(&wheels).arg(only_file(&folder)?);
        self.pip(wheel, &failed, required)?;
        let wheel = only_file(&wheels)?;
        let facts = WheelFacts::read(&wheel).with_context(|| format!("failed to read the wheel built of `{name}`"))?;
        if let Some(reason) = facts.impurity() {
            let message = format!("`{name}` is not pure Python: the wheel built from its source {reason}");
            return Err(anyhow!(message)).hint(self.by_hand(required)).input();
        }
        if let [problem, ..] = &facts.check(target)[..] {
            let message = format!("the wheel built from the source of `{name}` does not fit: {problem}");
            return Err(anyhow!(message)).hint(self.by_hand(required)).input();
        }
        self.is_pinned(name, &wheel)?;
        let file = wheel.file_name().unwrap_or_default();
        let to = work.join(request::OWN).join(file);
        fs::rename(&wheel, &to).with_context(|| format!("failed to move a wheel to `{}`", to.display()))
    }

    /// Runs pip with what makes its output the same each time.
    fn pip(&self, mut command: Command, failed: &str, required: &[&str]) -> anyhow::Result<()> {
        command.env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH).env("PYTHONHASHSEED", "0");
        command.env("PIP_REQUIRE_VIRTUALENV", "0").stdin(Stdio::null());
        let (status, said) = run(&mut command, self.progress).context("failed to run pip")?;
        match status.success() {
            true => Ok(()),
            false => {
                let hint = format!("correct what pip says; or build it by hand: {}", self.by_hand(required));
                Err(anyhow!("{failed}{said}")).hint(hint)
            }
        }
    }

    /// A wheel that the lock names has to be the very one.
    fn is_pinned(&self, name: &str, wheel: &Path) -> anyhow::Result<()> {
        let Self { pins, call, work, store, .. } = self;
        if !pins.exact {
            return Ok(());
        }
        let file = wheel.file_name().unwrap_or_default().to_string_lossy();
        let (_, found) = digest(store, wheel)?;
        let pinned = pins.files.get(&*file).map(|known| known.sha256);
        if pinned == Some(found) {
            return Ok(());
        }
        let has = pinned.map_or("no such file".to_owned(), |pinned| format!("`{pinned}`"));
        let lock = &call.lock_file;
        let message =
            format!("`{file}`, built from the source of `{name}`, has digest `{found}`, and `{lock}` has {has}");
        let hint = format!(
            "other versions of Python or setuptools can build other bytes: copy the wheel from where it was locked to \
             `{}`; or, to accept this one, run `{} --build-pure --upgrade`, which takes the newest of the others too, and \
             `{} --upgrade`",
            work.parent().unwrap_or(work).display(),
            call.fetch,
            call.lock
        );
        Err(anyhow!(message)).hint(hint)
    }

    fn by_hand(&self, required: &[&str]) -> String {
        let folder = self.work.parent().unwrap_or(self.work);
        pip_log::by_hand(required, &self.request.python, folder, &format!("{} --build-pure", self.call.fetch))
    }
}

/// The file that pip left in a folder of its own.
fn only_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let reading = || format!("failed to list `{}`", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        files.extend(path.is_file().then_some(path));
    }
    ensure!(files.len() == 1, "pip left {} files in `{}` instead of one", files.len(), folder.display());
    files.pop().with_context(reading)
}
