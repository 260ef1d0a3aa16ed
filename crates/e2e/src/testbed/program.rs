//! The program under test.

use std::{env, path::PathBuf};

use anyhow::{Context, anyhow};
use fmtk::terminal::report::WithHint;

/// The built program, which cargo has put beside this one: `cargo xtask` starts both.
pub fn program() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("the built program is not found")?.with_file_name("xtask");
    match program.is_file() {
        true => Ok(program),
        false => Err(anyhow!("there is no built program `{}`", program.display()))
            .hint("start this as `cargo xtask e2e` or `cargo xtask bench`, which builds it"),
    }
}
