//! What `--fix` does: each command is said before it is run, and none of them can break what works.

use std::{
    fs,
    io::{IsTerminal, stdin},
    path::Path,
};

use anyhow::{Context, anyhow, ensure};

use super::{
    Patient,
    finding::{Finding, Fix},
    machine::BINFMT,
};
use crate::{
    host::{
        login::{self, LoginArgs},
        say_and_run,
        setup::{self, HostSetupArgs},
    },
    resolve::tools::TARGET,
    terminal::{machine::is_root, progress::Progress},
};

const QEMU: &str = "/usr/bin/qemu-aarch64-static";
/// What ELF programs for aarch64 begin with, as QEMU's own `qemu-binfmt-conf.sh` has it; F opens the interpreter at
/// once, so that containers need none of their own.
const RULE: &str = r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:OCF";

/// Fixes what can be fixed; whether anything was done.
pub fn run(patient: &Patient, findings: &[Finding], progress: &Progress) -> bool {
    let mut fixes: Vec<Fix> = findings.iter().filter_map(|finding| finding.fix).collect();
    fixes.sort_unstable();
    fixes.dedup();
    let mut done = false;
    for fix in fixes {
        let result = match fix {
            Fix::RustTarget => say_and_run(&["rustup", "target", "add", TARGET], progress).map(|()| true),
            Fix::Emulation => emulation(progress).map(|()| true),
            Fix::HostSetup => hosts(patient, progress),
            Fix::Login => log_in(patient, progress),
        };
        match result {
            Ok(did) => done |= did,
            Err(error) => progress.warning(&format!("{error:#}")),
        }
    }
    done
}

fn emulation(progress: &Progress) -> anyhow::Result<()> {
    ensure!(is_root(), "registering qemu-aarch64 with the kernel needs root");
    let [register, entry] = ["register", "qemu-aarch64"].map(|name| Path::new(BINFMT).join(name));
    if !register.exists() {
        say_and_run(&["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], progress)?;
    }
    if entry.exists() {
        write(&entry, "-1", progress)?;
    }
    if Path::new(QEMU).exists() {
        return write(&register, RULE, progress);
    }
    say_and_run(&["update-binfmts", "--enable", "qemu-aarch64"], progress)
        .context("`/usr/bin/qemu-aarch64-static` is not here: install `qemu-user-static`")
}

fn write(path: &Path, text: &str, progress: &Progress) -> anyhow::Result<()> {
    progress.line(&format!("running `echo '{text}' > {}`", path.display()));
    fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))
}

/// Where the address is known. The name then is in the hosts file, for docker too.
fn hosts(patient: &Patient, progress: &Progress) -> anyhow::Result<bool> {
    let ip = patient.args.registry_args.resolve.or(patient.recipe.registry.ip);
    let Some(ip) = ip else { return Ok(false) };
    progress.line(&format!("running `cargo xtask host-setup --registry {} --ip {ip}`", patient.host));
    setup::run(
        &HostSetupArgs {
            registry: Some(patient.host.clone()),
            ip: Some(ip),
            // Containers of others would stop.
            no_restart: true,
            recipe: patient.args.recipe.clone(),
            root: patient.args.root.clone(),
            ..HostSetupArgs::default()
        },
        progress,
    )?;
    Ok(true)
}

fn log_in(patient: &Patient, progress: &Progress) -> anyhow::Result<bool> {
    if !stdin().is_terminal() {
        return Err(anyhow!("can't ask for a login: stdin is not a terminal"));
    }
    progress.line(&format!("running `cargo xtask login --registry {}`", patient.host));
    let args = LoginArgs {
        registry_args: patient.args.registry_args.clone(),
        registry: Some(patient.host.clone()),
        recipe: patient.args.recipe.clone(),
        ..LoginArgs::default()
    };
    login::run(&args, &patient.store, progress).map(|()| true)
}
