//! What is written where: a stdout that can't be written to, colours.

use std::{
    fs::File,
    process::{Command, Stdio},
};

use crate::program::{program, run};

/// `clap_complete` panics where it writes by itself.
#[test]
fn completions_for_a_full_disk_are_an_error_and_those_for_a_closed_pipe_none() {
    let completions = |stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let run = command.args(["completions", "bash"]).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let output = run.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = completions(File::create("/dev/full").unwrap().into());
    assert!(said.starts_with("error: failed to write to stdout\ncaused by: "), "{said}");
    assert_eq!(code, Some(1));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(completions(writer.into()), (Some(0), String::new()));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = tempfile::tempdir().unwrap();
    let said = |variables: &[&str]| {
        let mut command = program(folder.path(), &["inspect", "no-such-image"]);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(variables.iter().map(|name| (name, "1")));
        run(command).2.lines().next().unwrap_or_default().to_owned()
    };
    let message = "no image `no-such-image` in the store";
    assert_eq!(said(&[]), format!("error: {message}"));
    assert_eq!(said(&["CLICOLOR_FORCE"]), format!("\x1b[1m\x1b[31merror:\x1b[0m {message}"));
    assert_eq!(said(&["CLICOLOR_FORCE", "NO_COLOR"]), format!("error: {message}"));
}
