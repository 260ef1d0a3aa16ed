//! The machine: engine, emulation, Rust target, disk.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Patient,
    finding::{Finding, Fix, State, problems},
};
use crate::{
    engine,
    options::Engine,
    recipe::CANN,
    resolve::{inputs, place, tools::TARGET},
    terminal::{machine::free_space, progress},
};

/// For the answer of an engine: with docker silent, podman still has time for its own.
const ENGINE_LIMIT: Duration = Duration::from_millis(1800);

/// A container engine, which only the installation of CANN needs.
pub fn engine(patient: &Patient) -> Vec<Finding> {
    match engine::program_within(Engine::Auto, ENGINE_LIMIT) {
        Ok(program) => vec![Finding::good(format!("{program} answers"))],
        Err(_) if !needs_engine(patient) => vec![Finding::good("none, and none is needed here")],
        Err(error) => problems(&error, "install docker or podman, which run CANN's installer"),
    }
}

/// Whether the recipe has something that an engine has to run.
fn needs_engine(patient: &Patient) -> bool {
    patient.recipe.packages.get(CANN).is_some_and(|cann| cann.required)
}

/// Where the kernel shows what it has programs of other kinds run by.
pub const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Whether the kernel has arm64 programs run by QEMU, in containers too. A container itself is tried before CANN is
/// installed.
pub fn emulation(patient: &Patient) -> Vec<Finding> {
    let entries = fs::read_dir(BINFMT).into_iter().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    vec![judge_emulation(cfg!(target_arch = "aarch64"), texts, needs_engine(patient))]
}

/// By the texts of the kernel's entries.
fn judge_emulation(native: bool, entries: impl IntoIterator<Item = String>, needed: bool) -> Finding {
    // An ELF file of 64 bits whose machine is 183, whatever the entry is called.
    let of_arm64 = |entry: &String| {
        let magic = entry.lines().find_map(|line| line.strip_prefix("magic "));
        magic.is_some_and(|magic| magic.starts_with("7f454c4602") && magic.ends_with("b700"))
    };
    let (mut is_enabled, mut has_flag) = (None, false);
    for entry in entries.into_iter().filter(of_arm64) {
        let enabled = entry.starts_with("enabled");
        let flags = entry.lines().find_map(|line| line.strip_prefix("flags:"));
        is_enabled = Some(enabled || is_enabled == Some(true));
        has_flag |= enabled && flags.is_some_and(|flags| flags.contains('F'));
    }
    let wrong = match is_enabled {
        _ if native => return Finding::good("this machine runs arm64 programs itself"),
        Some(true) if has_flag => return Finding::good("QEMU is registered for arm64 programs, in containers too"),
        _ if !needed => return Finding::good("arm64 programs can't run here, and nothing needs them"),
        None => "QEMU is not registered with the kernel: arm64 programs fail with `exec format error`",
        Some(false) => "QEMU is registered for arm64 programs but disabled",
        Some(true) => "QEMU is registered for arm64 programs without the flag F, so that containers do not find it",
    };
    let hint =
        "`cargo xtask doctor --fix` as root, or `docker run --privileged --rm tonistiigi/binfmt --install arm64`";
    Finding::wrong(wrong, hint).fixed_by(Fix::Emulation)
}

/// The standard library for the programs of the image.
pub fn rust_target(_: &Patient) -> Vec<Finding> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(place::workspace()).stderr(Stdio::null());
    let folder = rustc.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let there = folder.is_some_and(|folder| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()));
    vec![match there {
        true => Finding::good(format!("{TARGET} is installed")),
        // The first build adds it.
        false => Finding::warning(format!("{TARGET} is not installed"), format!("`rustup target add {TARGET}`"))
            .fixed_by(Fix::RustTarget),
    }]
}

/// Disk space in the store for the layers: three times the packages, as archives are made beside layers; 1 GB at least.
pub fn disk(patient: &Patient) -> Vec<Finding> {
    let root = patient.store.root();
    if let Err(error) = patient.store.scratch() {
        let says = format!("the store `{}` can't be written: {error}", root.display());
        return vec![Finding::wrong(says, "name another folder with `--store DIR` or `FMTK_STORE`")];
    }
    let folders = inputs::folders(&patient.args.recipe());
    let packages = size_of(&folders.vendor) + size_of(&folders.pypi);
    let needed = (3 * packages).max(1_000_000_000);
    let Some(free) = free_space(root) else {
        return vec![Finding::new(State::Unknown, "the free disk space is unknown")];
    };
    let [free_bytes, needed_bytes] = [free, needed].map(progress::bytes);
    let says = format!("{free_bytes} free in `{}`; a build takes up to {needed_bytes}", root.display());
    vec![match free >= needed {
        true => Finding::good(says),
        false => Finding::wrong(says, "free disk space, or name another folder with `--store DIR`"),
    }]
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok()).filter(|it| it.is_file()).map(|it| it.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_has_to_reach_into_containers() {
        let entry = |state: &str, flags: &str, machine: &str| {
            let magic = format!("7f454c460201010000000000000000000200{machine}00");
            format!("{state}\ninterpreter /usr/bin/q\nflags: {flags}\noffset 0\nmagic {magic}\nmask ff\n")
        };
        let status = || "enabled\n".to_owned();
        for (native, entries, needed, expected) in [
            (false, vec![status(), entry("enabled", "OCF", "b7")], true, "in containers too"),
            (false, vec![entry("enabled", "OC", "b7"), status()], true, "without the flag F"),
            (false, vec![entry("disabled", "OCF", "b7")], true, "disabled"),
            (false, vec![entry("disabled", "F", "b7"), entry("enabled", "F", "b7")], true, "in containers too"),
            (false, vec![entry("disabled", "F", "b7"), entry("enabled", "O", "b7")], true, "without the flag F"),
            (false, vec![status(), entry("enabled", "OCF", "f3")], true, "not registered"),
            (false, Vec::new(), true, "not registered"),
            (false, Vec::new(), false, "nothing needs them"),
            (true, Vec::new(), true, "itself"),
        ] {
            let found = judge_emulation(native, entries.clone(), needed);
            assert!(found.says.contains(expected), "{entries:?}: {found:?}");
            assert_eq!(found.state == State::Wrong, found.fix == Some(Fix::Emulation), "{found:?}");
        }
    }
}
