//! Whether the ranks of this node alone may be started again after a failure.

use super::Job;
use super::engine::Engine;
use crate::exit::{Exit, Failure};
use crate::options::Framework;

/// # Errors
///
/// With exit code 2 for `--max-restarts` on several nodes, where the ranks of the others can't take these back.
pub fn check(max_restarts: u32, job: &Job, engine: Option<Engine>) -> Result<(), Failure> {
    if max_restarts == 0 || job.nodes.count == 1 {
        return Ok(());
    }
    let why = match job.framework() {
        Framework::MindSpore => "MindSpore's ranks form their cluster once, by its scheduler",
        // HCCL's, whatever it is that reads the table.
        _ if job.table.is_some() => "the ranks of a rank table connect to each other once",
        Framework::Torch => "PyTorch's ranks meet once, at MASTER_ADDR and MASTER_PORT",
        // They may meet by other means, as do those of a command that starts them itself (`--per-node`).
        Framework::Plain => return Ok(()),
    };
    let (count, hint) = (job.nodes.count, Engine::restarts(engine));
    let text = format!(
        "`--max-restarts` can't be used on {count} nodes: it starts the ranks of one node again, but {why}, when the job starts, \
         so those of the other nodes would not take them back\nhint: {hint}"
    );
    Err(Failure::new(Exit::USAGE, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::framework::Choice;
    use crate::job::nodes::Nodes;

    #[test]
    fn only_what_takes_back_a_single_node_is_restarted_on_several() {
        let of = |count, framework| {
            let nodes = Nodes { count, ..Nodes::alone() };
            Job { choice: Choice { framework, ..Choice::default() }, ..Job::of_devices(&[0, 1], nodes, &|_| None) }
        };
        use Framework::{MindSpore, Plain, Torch};
        for (max_restarts, job, part) in [
            (1, of(2, Plain), None),
            (3, of(1, Torch), None),
            (0, of(2, Torch), None),
            (1, of(2, Torch), Some("MASTER_ADDR and MASTER_PORT")),
            (1, of(2, MindSpore), Some("scheduler")),
        ] {
            let checked = check(max_restarts, &job, Some(Engine::Slurm));
            assert_eq!(checked.is_err(), part.is_some(), "{job:?}");
            if let (Err(failure), Some(part)) = (checked, part) {
                assert_eq!(failure.exit, Exit::USAGE);
                assert!(
                    failure.text.contains(part) && failure.text.contains("hint: submit with `sbatch"),
                    "{}",
                    failure.text
                );
            }
        }
    }
}
