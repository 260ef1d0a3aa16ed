//! A batch script of Slurm. The image runs in Apptainer, which needs neither root nor a plugin of Slurm's.
//!
//! Sources: slurm.schedmd.com, "sbatch" and "srun"; apptainer.org, "Bind Paths and Mounts": `/dev` with the devices and the
//! submitting folder are there by default.

use super::Job;
use crate::terminal::shell;

/// What `sbatch` takes.
pub fn script(job: &Job) -> String {
    let Job { name, nodes, devices, .. } = job;
    let image = shell::word(format!("docker://{}", job.image.reference()));
    let file = shell::word(format!("{}_{}.sif", job.image.repository(), job.image.tag()));
    let command = shell::line(&job.command);
    format!(
        "\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
# What your site may require: remove one # to enable a line.
##SBATCH --partition=<partition>
##SBATCH --gres=npu:{devices}
##SBATCH --time=<limit>
set -euo pipefail

# Converted once, into the folder that the job is submitted from; every node has to see it.
image={file}
[ -e \"$image\" ] || apptainer pull \"$image\" {image}

# One launcher on each node; srun ends all of them when one ends with an error.
exec srun --ntasks-per-node=1 --kill-on-bad-exit=1 \\
    apptainer exec --bind /usr/local/Ascend/driver \"$image\" \\
    {command}
"
    )
}

pub fn notes(job: &Job) -> Vec<String> {
    let login = format!("the login for {} is that of `apptainer registry login`", job.image.host());
    let table =
        "MindSpore before 2.3 needs a rank table, and Slurm makes none: give the launcher yours with `--rank-table`";
    [login].into_iter().chain(job.needs_table.then(|| table.to_owned())).collect()
}
