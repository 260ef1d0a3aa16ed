//! What becomes of a run whose stdout can't be written.

use std::{
    fs::File,
    process::{Command, Stdio},
};

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
