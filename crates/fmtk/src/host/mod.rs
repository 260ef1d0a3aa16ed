//! This machine: what is wrong with it, its login, its docker, and files of the user.

pub(crate) mod app_config;
pub mod doctor;
pub mod login;
pub mod setup;

use std::process::Command;

use anyhow::{Context, ensure};

use crate::{resolve::place, terminal::progress::Progress};

/// Says a command and runs it in the workspace.
fn say_and_run(command: &[&str], progress: &Progress) -> anyhow::Result<()> {
    let line = command.join(" ");
    progress.line(&format!("running `{line}`"));
    let status = Command::new(command[0])
        .args(&command[1..])
        .current_dir(place::workspace())
        .status()
        .with_context(|| format!("failed to run `{line}`"))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}
