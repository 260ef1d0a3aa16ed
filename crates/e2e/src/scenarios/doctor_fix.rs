//! `doctor --fix`: what is wrong is mended on the real thing, and the host is as it was afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::world::{ORG, World};
use crate::testbed::{Invocation, Log, PASSWORD, script};

const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Emulation, the hosts file and docker's, the Rust target, the login.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    if cfg!(not(target_arch = "aarch64")) {
        emulation(world, log)?;
    }
    files(world, log)?;
    rust_target(world, log)?;
    login(world, log)
}

/// A recipe of nothing, but that CANN is wanted: so an engine and emulation are.
fn doctor<'l>(world: &World, log: &'l Log, flags: &[&str]) -> anyhow::Result<Invocation<'l>> {
    let base = world.base(log)?.to_string();
    let mut command = world.xtask(log).args(["doctor", "--insecure", "--org", ORG, "--format", "json"]);
    for setting in ["packages.moxing.required=false", "packages.tuning-kit.required=false", "pypi.requirements=[]"] {
        command = command.args(["--set", setting]);
    }
    let command = command.args(["--base", &base, "--pkg"]).arg(world.folder("doctor-fix-pkg")?);
    let host = world.registry(log)?.host();
    let own = if flags.contains(&"--registry") { Vec::new() } else { vec!["--registry", &host] };
    Ok(command.args(own).args(flags))
}

fn state(findings: &Value, check: &str) -> anyhow::Result<Value> {
    let all = findings.as_array().context("`doctor` printed no list")?;
    let found = all.iter().find(|one| one["check"] == check);
    Ok(found.with_context(|| format!("`doctor` says nothing of `{check}`"))?["state"].clone())
}

/// Taken from the kernel, told, and brought back.
fn emulation(world: &World, log: &Log) -> anyhow::Result<()> {
    let findings = |flags: &[&str]| -> anyhow::Result<(Value, String)> {
        let finished = doctor(world, log, flags)?.fails(1)?;
        Ok((finished.json()?, finished.stderr))
    };
    ensure!(state(&findings(&[])?.0, "emulation")? == "good", "no arm64 programs run here");
    let taken = Registered::take_away()?;
    ensure!(state(&findings(&[])?.0, "emulation")? == "wrong", "that nothing is registered was not noticed");
    let (mended, said) = findings(&["--fix"])?;
    ensure!(state(&mended, "emulation")? == "good", "`--fix` did not register it: {said}");
    ensure!(said.contains(&format!("> {BINFMT}/register")), "it did not say what it does: {said}");
    drop(taken);
    ensure!(state(&findings(&[])?.0, "emulation")? == "good", "the host is not as it was");
    log.say("emulation was mended");
    Ok(())
}

/// The kernel's entry, put back as it was when this is dropped.
struct Registered {
    rule: String,
}

impl Registered {
    fn take_away() -> anyhow::Result<Self> {
        let entry = entry();
        let text = fs::read_to_string(&entry).with_context(|| format!("failed to read `{}`", entry.display()))?;
        let taken = Self { rule: rule(&text).with_context(|| format!("`{}` is of another kind", entry.display()))? };
        fs::write(&entry, "-1").with_context(|| format!("failed to write `{}`", entry.display()))?;
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
    let escaped = |hex: &str| -> Option<String> {
        let digits: Vec<char> = hex.chars().collect();
        Some(digits.chunks(2).map(|pair| format!("\\x{}", pair.iter().collect::<String>())).collect())
    };
    let (magic, mask) = (escaped(field("magic ")?)?, escaped(field("mask ")?)?);
    let (offset, flags) = (field("offset ")?, field("flags:")?);
    Some(format!(":qemu-aarch64:M:{offset}:{magic}:{mask}:{}:{flags}", field("interpreter ")?))
}

/// Files below a root of their own.
fn files(world: &World, log: &Log) -> anyhow::Result<()> {
    let root = world.folder("doctor-fix-root")?;
    let (hosts, settings) = (root.join("etc/hosts"), root.join("etc/docker/daemon.json"));
    fs::create_dir_all(root.join("etc"))
        .and_then(|()| fs::write(&hosts, "127.0.0.1 localhost\n"))
        .context("no root")?;
    let place = root.display().to_string();
    let flags = ["--registry", "registry.example:5000", "--resolve", "127.0.0.1", "--fix", "--root", &place];
    let mended = doctor(world, log, &flags)?.fails(1)?;
    mended.says(&["running `cargo xtask host-setup --registry registry.example:5000 --ip 127.0.0.1`"])?;
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("no `{}`", path.display()));
    ensure!(read(&hosts)? == "127.0.0.1 localhost\n127.0.0.1 registry.example # fmtk\n", "{}", read(&hosts)?);
    ensure!(read(&settings)?.contains("\"registry.example:5000\""), "{}", read(&settings)?);
    Ok(())
}

/// rustc says where the target would be, rustup puts it there: both are ours, the machine's own is in use.
fn rust_target(world: &World, log: &Log) -> anyhow::Result<()> {
    let folder = world.folder("doctor-fix-rust")?;
    let library = folder.join("lib");
    let program = |name: &str, text: String| -> anyhow::Result<PathBuf> {
        let path = folder.join(name);
        script(&path, &format!("#!/bin/sh\n{text}\n"))?;
        Ok(path)
    };
    let rustc = program("rustc", format!("echo '{}'", library.display()))?;
    program(
        "rustup",
        format!("[ \"$*\" = 'target add aarch64-unknown-linux-musl' ] && mkdir '{0}' '{0}/x'", library.display()),
    )?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let run = |flags: &[&str]| doctor(world, log, flags)?.env("RUSTC", &rustc).env("PATH", &path).fails(1)?.json();
    ensure!(state(&run(&[])?, "rust target")? == "warning", "that the target is missing was not noticed");
    ensure!(state(&run(&["--fix"])?, "rust target")? == "good", "`--fix` did not add the target");
    Ok(())
}

/// Asked for on a terminal, with the console's line typed there.
fn login(world: &World, log: &Log) -> anyhow::Result<()> {
    let folder = world.folder("doctor-fix-login")?;
    let base = world.base(log)?.to_string();
    let host = world.registry(log)?.host();
    let pkg = world.folder("doctor-fix-pkg")?;
    let mut line = format!(
        "'{}' --store '{}' doctor --fix --insecure --org {ORG} --registry {host} --base '{base}' --pkg '{}'",
        world.program().display(),
        world.store().display(),
        pkg.display()
    );
    for kind in ["cann", "moxing", "tuning-kit"] {
        line.push_str(&format!(" --set packages.{kind}.required=false"));
    }
    line.push_str(" --set 'pypi.requirements=[]'");
    let terminal = log.command("script").args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let typed = format!("docker login -u tester -p '{PASSWORD}' {host}\n");
    let mended = terminal.env("DOCKER_CONFIG", &folder).dir(&fmtk::resolve::place::workspace()).input(typed).run()?;
    ensure!(mended.stdout.contains(&format!("running `cargo xtask login --registry {host}`")), mended.unexpected());
    ensure!(mended.stdout.lines().any(|line| line.starts_with("ok       login ")), mended.unexpected());
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
