//! `doctor --fix`: what is wrong is fixed on the real thing, and the host is as it was afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::world::{ORG, World};
use crate::testbed::{Invocation, PASSWORD, read, script, write};

const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// What `doctor` is asked of a recipe of nothing, with or without CANN, which wants an engine and emulation.
pub fn questions(world: &World, with_cann: bool) -> anyhow::Result<Vec<String>> {
    let mut flags = ["doctor", "--insecure", "--set", "pypi.requirements=[]"].map(str::to_owned).to_vec();
    for kind in ["moxing", "tuning-kit", "cann"].iter().take(if with_cann { 2 } else { 3 }) {
        flags.extend(["--set".to_owned(), format!("packages.{kind}.required=false")]);
    }
    let pkg = world.folder("doctor-pkg")?.display().to_string();
    flags.extend(["--base".to_owned(), world.base()?.to_string(), "--pkg".to_owned(), pkg]);
    Ok(flags)
}

/// How a check of `doctor` ended.
pub fn state(findings: &Value, check: &str) -> anyhow::Result<Value> {
    let found = findings.as_array().and_then(|all| all.iter().find(|one| one["check"] == check));
    Ok(found.with_context(|| format!("`doctor` says nothing of `{check}`: {findings}"))?["state"].clone())
}

/// Emulation, the hosts file and docker's, the Rust target, the login.
pub fn run(world: &World) -> anyhow::Result<()> {
    if cfg!(not(target_arch = "aarch64")) {
        emulation(world)?;
    }
    files(world)?;
    rust_target(world)?;
    login(world)
}

fn doctor(world: &World, registry: &str) -> anyhow::Result<Invocation> {
    let doctor = world.xtask().args(questions(world, true)?).args(["--org", ORG, "--registry", registry]);
    Ok(doctor.words("--format json"))
}

/// Taken from the kernel, told, and brought back.
fn emulation(world: &World) -> anyhow::Result<()> {
    let host = world.host()?;
    let findings = |flags: &str| doctor(world, &host)?.words(flags).fails(1);
    let is_registered = || anyhow::Ok(state(&findings("")?.json()?, "emulation")? == "good");
    ensure!(is_registered()?, "no arm64 programs run here");
    let taken = Registered::take_away()?;
    ensure!(state(&findings("")?.json()?, "emulation")? == "wrong", "that nothing is registered was not noticed");
    let fixed = findings("--fix")?;
    ensure!(state(&fixed.json()?, "emulation")? == "good", "`--fix` did not register it: {}", fixed.stderr);
    fixed.says(&[&format!("> {BINFMT}/register")])?;
    drop(taken);
    ensure!(is_registered()?, "the host is not as it was");
    world.say("emulation was fixed");
    Ok(())
}

/// The kernel's entry, put back as it was when this is dropped.
struct Registered {
    rule: String,
}

impl Registered {
    fn take_away() -> anyhow::Result<Self> {
        let rule = rule(&read(&entry())?).context("qemu-aarch64 is registered in another way")?;
        let taken = Self { rule };
        write(&entry(), "-1")?;
        Ok(taken)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // A guard can't report; that it is back is looked at afterwards.
        let _ = fs::write(entry(), "-1");
        let _ = fs::write(Path::new(BINFMT).join("register"), &self.rule);
    }
}

fn entry() -> PathBuf {
    Path::new(BINFMT).join("qemu-aarch64")
}

/// What registers an entry again that the kernel shows like this (its `binfmt-misc.rst`).
fn rule(text: &str) -> Option<String> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let escaped = |hex: &str| -> String {
        let digits: Vec<char> = hex.chars().collect();
        digits.chunks(2).map(|pair| format!("\\x{}", pair.iter().collect::<String>())).collect()
    };
    let (magic, mask) = (escaped(field("magic ")?), escaped(field("mask ")?));
    let (offset, flags) = (field("offset ")?, field("flags:")?);
    Some(format!(":qemu-aarch64:M:{offset}:{magic}:{mask}:{}:{flags}", field("interpreter ")?))
}

/// Files below a root of their own.
fn files(world: &World) -> anyhow::Result<()> {
    let root = world.folder("doctor-fix-root")?;
    let (hosts, settings) = (root.join("etc/hosts"), root.join("etc/docker/daemon.json"));
    write(&hosts, "127.0.0.1 localhost\n")?;
    let doctor = doctor(world, "registry.example:5000")?.words("--resolve 127.0.0.1 --fix --root").arg(&root);
    doctor.fails(1)?.says(&["running `cargo xtask host-setup --registry registry.example:5000 --ip 127.0.0.1`"])?;
    let (hosts, settings) = (read(&hosts)?, read(&settings)?);
    ensure!(hosts == "127.0.0.1 localhost\n127.0.0.1 registry.example # fmtk\n", "{hosts}");
    ensure!(settings.contains("\"registry.example:5000\""), "{settings}");
    Ok(())
}

/// rustc says where the target would be, rustup puts it there: both are ours, the machine's own is in use.
fn rust_target(world: &World) -> anyhow::Result<()> {
    let folder = world.folder("doctor-fix-rust")?;
    let (rustc, library) = (folder.join("rustc"), folder.join("lib").display().to_string());
    script(&rustc, &format!("#!/bin/sh\necho '{library}'\n"))?;
    let add = "[ \"$*\" = 'target add aarch64-unknown-linux-musl' ]";
    script(&folder.join("rustup"), &format!("#!/bin/sh\n{add} && mkdir '{library}' '{library}/x'\n"))?;
    let host = world.host()?;
    let run = |flags: &str| doctor(world, &host)?.words(flags).env("RUSTC", &rustc).path_first(&folder).fails(1);
    ensure!(state(&run("")?.json()?, "rust target")? == "warning", "that the target is missing was not noticed");
    ensure!(state(&run("--fix")?.json()?, "rust target")? == "good", "`--fix` did not add the target");
    Ok(())
}

/// Asked for on a terminal, with the console's line typed there.
fn login(world: &World) -> anyhow::Result<()> {
    let (folder, host) = (world.folder("doctor-fix-login")?, world.host()?);
    let mut words = vec![world.program.display().to_string(), "--store".to_owned(), world.store.display().to_string()];
    words.extend(questions(world, false)?);
    words.extend(["--fix", "--org", ORG, "--registry", &host].map(str::to_owned));
    let line = format!("'{}'", words.join("' '"));
    let terminal = world.command("script").args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let typed = format!("docker login -u tester -p '{PASSWORD}' {host}\n");
    let terminal = terminal.env("DOCKER_CONFIG", &folder).env("NO_COLOR", "1").dir(&fmtk::resolve::place::workspace());
    let fixed = terminal.input(typed).run()?;
    fixed.prints(&[&format!("running `cargo xtask login --registry {host}`")])?;
    ensure!(fixed.stdout.lines().any(|line| line.starts_with("ok       login ")), fixed.unexpected());
    ensure!(folder.join("config.json").exists(), "no login was stored");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_registered_again_as_it_was() {
        let text = "enabled\ninterpreter /usr/bin/q\nflags: OCF\noffset 0\nmagic 7f45\nmask fff8\n";
        assert_eq!(rule(text).unwrap(), r":qemu-aarch64:M:0:\x7f\x45:\xff\xf8:/usr/bin/q:OCF");
        assert_eq!(rule("enabled\ninterpreter /usr/bin/q\nflags: \nextension .x\n"), None);
    }
}
