//! Has mmdebstrap here: it is there, or is installed by apt-get with the user's word.

use std::{
    io::{BufRead, IsTerminal, Write, stderr, stdin},
    process::{Command, Stdio},
};

use anyhow::Context;

use crate::terminal::progress::Progress;

/// The program, and Debian's keys, which other systems of its family do not have.
const PACKAGES: [&str; 2] = ["mmdebstrap", "debian-archive-keyring"];

/// May packages be installed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// `--yes` was given.
    Given,
    /// Ask where there is a terminal; elsewhere it counts as no.
    Ask,
}

/// Whether mmdebstrap is on the path.
pub fn present() -> bool {
    on_path("mmdebstrap")
}

/// Whether a program of this name is on the path.
pub fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// The command that installs what is needed, as a user would type it.
pub fn command() -> String {
    words().join(" ")
}

fn words() -> Vec<String> {
    let mut words: Vec<&str> = if is_root() { vec![] } else { vec!["sudo"] };
    words.extend(["apt-get", "install", "-y", "--no-install-recommends"]);
    words.extend(PACKAGES);
    if !is_root() {
        // Lets mmdebstrap map users without root.
        words.push("uidmap");
    }
    words.into_iter().map(str::to_owned).collect()
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    // The owner of a process's own folder in proc is its effective user.
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Installs it if it can be and may be. True where mmdebstrap is there afterwards.
pub fn install(consent: Consent, progress: &Progress) -> anyhow::Result<bool> {
    if !on_path("apt-get") || !(consent == Consent::Given || ask()?) {
        return Ok(false);
    }
    let words = words();
    progress.line(&format!("installing mmdebstrap: {}", words.join(" ")));
    if !run(&words)? {
        // A fresh machine or container has no package lists yet.
        let update: Vec<String> =
            words.iter().take_while(|word| *word != "install").cloned().chain(["update".to_owned()]).collect();
        if !run(&update)? || !run(&words)? {
            return Ok(false);
        }
    }
    Ok(present())
}

fn run(words: &[String]) -> anyhow::Result<bool> {
    let (program, arguments) = words.split_first().context("an empty command")?;
    // Stdout is data of `cargo xtask`; sudo may ask for a password where there is a terminal.
    let status = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(if stdin().is_terminal() { Stdio::inherit() } else { Stdio::null() })
        .stdout(stderr())
        .status()
        .with_context(|| format!("failed to run `{program}`"))?;
    Ok(status.success())
}

/// Asks on the terminal; without one the answer is no, at once.
fn ask() -> anyhow::Result<bool> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(false);
    }
    let mut err = stderr().lock();
    write!(err, "The sample's base is made by mmdebstrap, which is not installed. Run `{}`? [y/N] ", command())
        .and_then(|()| err.flush())
        .context("failed to write to the terminal")?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).context("failed to read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
