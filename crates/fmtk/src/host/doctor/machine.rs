//! The machine: engine, emulation, Rust target, disk.

use std::{
    ffi::CString,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Patient,
    finding::{Finding, Fix, State},
};
use crate::{
    engine,
    options::Engine,
    recipe::CANN,
    resolve::{packages, place, setup, tools::TARGET},
    terminal::{progress, report},
};

/// For the answer of an engine: with docker silent, podman still has time for its own.
const ENGINE_LIMIT: Duration = Duration::from_millis(1800);

/// A container engine, which only the installation of CANN needs.
pub fn engine(patient: &Patient) -> Vec<Finding> {
    let check = "engine";
    vec![match engine::program_within(Engine::Auto, ENGINE_LIMIT) {
        Ok(program) => Finding::good(check, format!("{program} answers")),
        Err(_) if !needs_engine(patient) => Finding::good(check, "none, and nothing here needs one"),
        Err(error) if is_silent(&error) => {
            Finding::wrong(check, report::one_line(error.as_ref()), "see whether `docker info` answers")
        }
        Err(_) => Finding::wrong(
            check,
            "CANN has to be installed by docker or podman, and neither answers",
            "install podman, or start docker: `sudo systemctl start docker`",
        ),
    }]
}

/// Whether an engine is there and hangs.
fn is_silent(error: &anyhow::Error) -> bool {
    let silent = |cause: &&(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(engine::AskError::Silent { .. }))
    };
    report::causes(error).iter().any(silent)
}

/// Whether the recipe has something that an engine has to run.
pub fn needs_engine(patient: &Patient) -> bool {
    patient.recipe.packages.get(CANN).is_some_and(|cann| cann.required)
}

/// The standard library for the programs of the image.
pub fn rust_target(_: &Patient) -> Vec<Finding> {
    let check = "rust target";
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(place::workspace()).stderr(Stdio::null());
    let folder = rustc.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let there = folder.is_some_and(|folder| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()));
    vec![match there {
        true => Finding::good(check, format!("{TARGET} is there")),
        // The first build adds it.
        false => Finding::warning(check, format!("{TARGET} is not there"), format!("`rustup target add {TARGET}`"))
            .fixed_by(Fix::RustTarget),
    }]
}

/// Room in the store for the layers: three times the packages, as archives are made beside layers; 1 GB at least.
pub fn disk(patient: &Patient) -> Vec<Finding> {
    let check = "disk";
    let root = patient.store.root();
    if let Err(error) = patient.store.scratch() {
        let says = format!("the store `{}` can't be written: {error}", root.display());
        return vec![Finding::wrong(check, says, "name another folder with `--store DIR` or `FMTK_STORE`")];
    }
    let folder = setup::pkg_folder(&patient.args.recipe());
    let packages = size_of(&folder) + size_of(&packages::pypi_folder(&folder));
    let wanted = (3 * packages).max(1_000_000_000);
    let Some(free) = free(root) else {
        return vec![Finding::new(check, State::Unknown, "the free room is not known")];
    };
    let says = format!(
        "{} free in `{}`; three times the packages are {}",
        progress::bytes(free),
        root.display(),
        progress::bytes(wanted)
    );
    vec![if free >= wanted {
        Finding::good(check, says)
    } else {
        Finding::wrong(check, says, "make disk space, or name another folder with `--store DIR`")
    }]
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok()).filter(|it| it.is_file()).map(|it| it.len()).sum()
}

/// Bytes that a user may still write where `path` is.
#[allow(unsafe_code)]
fn free(path: &Path) -> Option<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: both pointers are valid for the call, which fills what the second points to where it returns 0.
    let found = unsafe {
        if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return None;
        }
        found.assume_init()
    };
    Some(found.f_bavail * found.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_free_room() {
        assert!(free(Path::new("/tmp")).is_some());
        assert_eq!(free(Path::new("/nonexistent")), None);
    }
}
