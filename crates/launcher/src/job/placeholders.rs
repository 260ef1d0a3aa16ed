//! What is filled in for the words in braces of a command that starts the ranks of its node itself: no shell does it.

use std::ffi::{OsStr, OsString};
use std::net::Ipv6Addr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::{Job, Processes};
use crate::exit::{Exit, Failure};

/// The command with `{nnodes}`, `{node_rank}`, `{master_addr}`, `{master_port}`, `{nproc_per_node}` and `{world_size}` filled
/// in, anywhere in its arguments; whatever else is in braces stays. An IPv6 address before a `:` is put in brackets, as that
/// begins a port. `each` is how many ranks it starts.
pub fn fill(command: &[OsString], job: &Job, each: u32, master_port: u16) -> Vec<OsString> {
    let master = job.master();
    let before_port = match master.parse::<Ipv6Addr>() {
        Ok(_) => format!("[{master}]:"),
        Err(_) => format!("{master}:"),
    };
    let values = [
        ("{master_addr}:", before_port),
        ("{nnodes}", job.nodes.count.to_string()),
        ("{node_rank}", job.nodes.index.to_string()),
        ("{master_addr}", master.to_owned()),
        ("{master_port}", master_port.to_string()),
        ("{nproc_per_node}", each.to_string()),
        ("{world_size}", job.size.to_string()),
    ];
    let arguments = command.iter().skip(1).map(|it| filled(it, &values));
    command.iter().take(1).cloned().chain(arguments).collect()
}

/// Refuses a command on several nodes for which nobody knows node 0: its ranks would each look for it on their own node.
///
/// # Errors
///
/// With exit code 2.
pub fn check_master(job: &Job) -> Result<(), Failure> {
    if !matches!(job.processes, Processes::PerNode(_)) || job.nodes.count <= 1 || job.nodes.master.is_some() {
        return Ok(());
    }
    let text = format!(
        "`--per-node`: the job has {} nodes by {}, and nothing says where node 0 is, which COMMAND is to be told",
        job.nodes.count, job.nodes.by
    );
    Err(Failure::new(Exit::USAGE, format!("{text}\nhint: give `--master HOST`, the name or address of node 0")))
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
    use crate::job::nodes::Nodes;
    use crate::job::tests::job;
    use crate::options::Master;

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
        let nodes = Nodes { master: Some(Master { host: "fd00::1".to_owned(), port: None }), ..job.nodes.clone() };
        let of_v6 = Job { nodes, ..job.clone() };
        for (word, expected) in [
            ("{master_addr}:{master_port}", "[fd00::1]:29500"),
            ("--a={master_addr}", "--a=fd00::1"),
            ("[{master_addr}]:1", "[fd00::1]:1"),
        ] {
            assert_eq!(fill(&["x".into(), word.into()], &of_v6, 8, 29_500)[1], expected);
        }
        let bytes = OsString::from_vec(b"\xff{nnodes}\xfe".to_vec());
        assert_eq!(fill(&["x".into(), bytes], &job, 8, 1)[1].as_bytes(), b"\xff8\xfe");
    }
}
