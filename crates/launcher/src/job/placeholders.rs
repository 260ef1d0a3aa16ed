//! What is filled in for the words in braces of a command that starts the ranks of its node itself: no shell does it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::Job;

/// The command with `{nnodes}`, `{node_rank}`, `{master_addr}`, `{master_port}`, `{nproc_per_node}` and `{world_size}` filled
/// in, anywhere in its arguments; whatever else is in braces stays. `each` is how many ranks it starts.
pub fn fill(command: &[OsString], job: &Job, each: u32, master_port: u16) -> Vec<OsString> {
    let values = [
        ("{nnodes}", job.nodes.count.to_string()),
        ("{node_rank}", job.nodes.index.to_string()),
        ("{master_addr}", job.master().to_owned()),
        ("{master_port}", master_port.to_string()),
        ("{nproc_per_node}", each.to_string()),
        ("{world_size}", job.size.to_string()),
    ];
    let arguments = command.iter().skip(1).map(|it| filled(it, &values));
    command.iter().take(1).cloned().chain(arguments).collect()
}

fn filled(word: &OsStr, values: &[(&str, String)]) -> OsString {
    let mut rest = word.as_bytes();
    let mut filled = Vec::with_capacity(rest.len());
    while let Some((byte, after)) = rest.split_first() {
        match values.iter().find(|(name, _)| rest.starts_with(name.as_bytes())) {
            Some((name, value)) => {
                filled.extend_from_slice(value.as_bytes());
                rest = &rest[name.len()..];
            }
            None => {
                filled.push(*byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    #[test]
    fn the_six_words_are_filled_in_and_nothing_else_is() {
        let job = Job { size: 64, ..job("j") };
        for (word, expected) in [
            ("--nnodes={nnodes}", "--nnodes=8"),
            ("{node_rank}", "4"),
            ("{master_addr}:{master_port}", "10.0.0.9:29500"),
            ("{nproc_per_node}{world_size}", "864"),
            ("{rank} {{nnodes}} {nnodes {nnodes", "{rank} {8} {nnodes {nnodes"),
            (r#"{"lr": 1}"#, r#"{"lr": 1}"#),
            ("", ""),
        ] {
            let command = ["{nnodes}".into(), word.into()];
            assert_eq!(fill(&command, &job, 8, 29_500), ["{nnodes}", expected]);
        }
        let bytes = OsString::from_vec(b"\xff{nnodes}\xfe".to_vec());
        assert_eq!(fill(&["x".into(), bytes], &job, 8, 1)[1].as_bytes(), b"\xff8\xfe");
    }
}
