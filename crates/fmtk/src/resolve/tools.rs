//! The workspace's own programs for the image: cross-built, static, the same bytes from any clone.

use std::{
    env, fs,
    io::stderr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};
use oci_image::{Digest, Store};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    resolve::place,
    terminal::{
        progress::Progress,
        report::{self, WithHint},
    },
};

/// The target the programs are built for: static, so that the base's glibc does not matter.
pub const TARGET: &str = "aarch64-unknown-linux-musl";

/// The same for the machine that this runs on. Its usual target has a C library of its own kind, whose threads want system
/// calls that old kernels lack.
pub const OWN_TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };

/// Where the image has them.
pub const FOLDER: &str = "/usr/local/bin";

/// Package, program and where the image has it.
pub const TOOLS: [(&str, &str, &str); 2] =
    [("launcher", "fmtk-launch", "/usr/local/bin/fmtk-launch"), ("fmk-patch", "fmk-patch", "/usr/local/bin/fmk-patch")];

/// The crates that they are made of: a change in one of them makes them anew.
const CRATES: [&str; 4] = ["file-edit", "fmk-patch", "launcher", "rank-table"];

/// A built program, in the store as a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Name of the program.
    pub name: String,
    /// Absolute path in the image.
    pub path: String,
    /// Of the program.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
}

/// The programs, built unless the store has those of the very same sources.
pub fn build(store: &Store, progress: &Progress) -> anyhow::Result<Vec<Tool>> {
    let workspace = place::workspace();
    let key = fingerprint(&workspace)?;
    if let Some(tools) = store.record::<Vec<Tool>>("tools", &key)?
        && tools.iter().all(|tool| store.has(&tool.sha256, tool.size))
    {
        return Ok(tools);
    }
    let target_dir = target_dir(&workspace)?;
    let tools = match compiled(store, &target_dir, &key) {
        Some(tools) => tools,
        None => {
            progress.line(&format!("building the launcher and fmk-patch for {TARGET}"));
            compile(&workspace, &target_dir, &[TARGET], &TOOLS.map(|(package, ..)| package), progress.is_quiet())?;
            let tools = stored(store, &target_dir)?;
            let noted = serde_json::to_vec(&(&key, &tools))?;
            // Only saves a look by cargo: where it can't be written, or is half-written, cargo looks.
            let _ = fs::write(target_dir.join(COMPILED), noted);
            tools
        }
    };
    store.put_record("tools", &key, &tools)?;
    Ok(tools)
}

/// The error of a layer of these programs, where one of them was damaged in the store. It is taken out of it.
pub fn damaged(error: anyhow::Error, store: &Store, tools: &[Tool]) -> anyhow::Error {
    match tools.iter().find(|tool| store.discard_damaged(&tool.sha256).unwrap_or(false)) {
        Some(tool) => report::hinted(
            error.context(format!("the program `{}` was damaged in the store and has been removed from it", tool.name)),
            "run the same command again to build the program again",
        ),
        None => error,
    }
}

/// The launcher as the image has it, but for this machine: where it is. That of the image is compiled beside it, since the
/// last step of either takes but one processor.
pub fn own_launcher() -> anyhow::Result<PathBuf> {
    let workspace = place::workspace();
    let target_dir = target_dir(&workspace)?;
    compile(&workspace, &target_dir, &[OWN_TARGET, TARGET], &["launcher"], true)?;
    Ok(target_dir.join(OWN_TARGET).join("artifact/fmtk-launch"))
}

/// Where the programs are compiled: in a folder of their own below the one of `cargo xtask`, whose running build must not
/// wait for this one's lock, nor this one for it.
fn target_dir(workspace: &Path) -> anyhow::Result<PathBuf> {
    let named = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].into_iter().find_map(env::var_os);
    // Cargo reads a relative one from the user's folder, in which it starts us.
    let folder = named.map_or_else(|| Ok(workspace.join("target")), std::path::absolute);
    Ok(folder.context("bad `CARGO_TARGET_DIR`")?.join("artifact"))
}

/// Says of the target folder what was compiled last into it, and from what: another store can take it without asking
/// cargo.
const COMPILED: &str = "compiled.json";

/// The programs in the target folder, if they are those of these sources.
fn compiled(store: &Store, target_dir: &Path, key: &str) -> Option<Vec<Tool>> {
    let noted = fs::read(target_dir.join(COMPILED)).ok()?;
    let (noted, tools): (String, Vec<Tool>) = serde_json::from_slice(&noted).ok()?;
    // Whatever else was built there since then shows in the bytes.
    (noted == key).then(|| stored(store, target_dir).ok()).flatten().filter(|found| *found == tools)
}

/// Puts the programs of the target folder into the store.
fn stored(store: &Store, target_dir: &Path) -> anyhow::Result<Vec<Tool>> {
    let tool = |(_, program, path): &(&str, &str, &str)| {
        let file = place_of(target_dir, program);
        let bytes = fs::read(&file).with_context(|| format!("failed to read `{}`", file.display()))?;
        let sha256 = store.put_blob(&bytes)?;
        Ok(Tool { name: (*program).to_owned(), path: (*path).to_owned(), sha256, size: bytes.len() as u64 })
    };
    TOOLS.iter().map(tool).collect()
}

fn place_of(target_dir: &Path, program: &str) -> PathBuf {
    target_dir.join(TARGET).join("artifact").join(program)
}

/// Compiles the programs. Cargo says itself how far it is, unless it is to be quiet.
fn compile(
    workspace: &Path,
    target_dir: &Path,
    targets: &[&str],
    packages: &[&str],
    quiet: bool,
) -> anyhow::Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--locked", "--profile", "artifact"]);
    for package in packages {
        command.args(["--package", package]);
    }
    let mut has_rustup = true;
    for target in targets {
        // The standard library of the target is a rustup component that a fresh machine lacks.
        has_rustup &= add_target(workspace, target)?;
        command.args(["--target", target]);
    }
    command.arg("--target-dir").arg(target_dir).stdin(Stdio::null());
    command.env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace));
    if quiet {
        command.arg("--quiet");
    } else {
        command.stdout(stderr()).stderr(Stdio::inherit());
    }
    let output = command.output().context("failed to run cargo").hint("install Rust: https://rustup.rs")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    let targets = targets.join("` and `");
    let error = anyhow!("failed to build the programs of the image for `{targets}`\n{said}");
    let hint = || format!("install the standard library of `{targets}` as your Rust was installed");
    Err(report::hinted_if(error, (!has_rustup).then(hint)))
}

/// Panic messages hold source paths: they are rewritten, so that two clones build the same bytes.
fn rustflags(workspace: &Path) -> String {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .unwrap_or_default();
    [(cargo_home.as_path(), "/cargo"), (workspace, "/fmtk")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .join("\x1f")
}

fn cargo(workspace: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace);
    // What `cargo xtask` was told for itself is not meant for the programs of the image.
    for name in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command
}

/// Adds the target where rustup says that it is missing; false where there is no rustup to ask.
fn add_target(workspace: &Path, target: &str) -> anyhow::Result<bool> {
    let rustup = |arguments: &[&str]| Command::new("rustup").args(arguments).current_dir(workspace).output();
    let Ok(installed) = rustup(&["target", "list", "--installed"]) else { return Ok(false) };
    if String::from_utf8_lossy(&installed.stdout).lines().any(|line| line == target) {
        return Ok(true);
    }
    let added = rustup(&["target", "add", target]).context("failed to run rustup")?;
    if added.status.success() {
        return Ok(true);
    }
    let said = String::from_utf8_lossy(&added.stderr).trim_end().to_owned();
    Err(anyhow!(said))
        .with_context(|| format!("failed to add the Rust target `{target}`"))
        .hint(format!("run `rustup target add {target}`"))
}

/// Digest of all that the programs are made from: where it is known, cargo need not be asked (0.1 s a build).
fn fingerprint(workspace: &Path) -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"]
        .map(|name| workspace.join(name))
        .into();
    for package in CRATES {
        let folder = workspace.join("crates").join(package);
        files.push(folder.join("Cargo.toml"));
        collect(&folder.join("src"), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC"] {
        hash.update(env::var_os(name).unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
    }
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("failed to read `{}`", file.display()))?;
        // The path from the workspace on, so that clones share what one of them built.
        hash.update(file.strip_prefix(workspace).unwrap_or(&file).as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(Digest::from_bytes(hash.finalize().into()).hex())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let listing = || format!("failed to list `{}`", folder.display());
    for entry in fs::read_dir(folder).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_of_the_workspace_that_is_in_a_program_counts() {
        let crates = place::workspace().join("crates");
        for package in CRATES.into_iter().chain(TOOLS.map(|(package, ..)| package)) {
            assert!(CRATES.contains(&package), "{package}");
            let manifest = fs::read_to_string(crates.join(package).join("Cargo.toml")).unwrap();
            let needs = manifest.split("[dev-dependencies]").next().unwrap().lines();
            for name in needs.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty()) {
                assert!(!crates.join(name).exists() || CRATES.contains(&name), "`{package}` needs `{name}`");
            }
        }
    }

    #[test]
    fn what_was_compiled_is_taken_only_where_it_is_still_that() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let target_dir = folder.path().join("target");
        let program = |name: &str| place_of(&target_dir, name);
        fs::create_dir_all(program("x").parent().unwrap()).unwrap();
        for (_, name, _) in TOOLS {
            fs::write(program(name), name).unwrap();
        }
        let tools = stored(&store, &target_dir).unwrap();
        assert!(tools.iter().all(|tool| store.has(&tool.sha256, tool.size)));
        let noted = serde_json::to_vec(&("one", &tools)).unwrap();
        let note = |bytes: &[u8]| fs::write(target_dir.join(COMPILED), bytes).unwrap();
        let found = |key: &str| compiled(&store, &target_dir, key);
        assert_eq!(found("one"), None);
        note(&noted[..20]);
        assert_eq!(found("one"), None);
        note(&noted);
        assert_eq!(found("one"), Some(tools.clone()));
        assert_eq!(found("other"), None);
        fs::write(program("fmk-patch"), "another").unwrap();
        assert_eq!(found("one"), None);
        fs::remove_file(program("fmk-patch")).unwrap();
        assert_eq!(found("one"), None);
    }
}
