//! The cluster's engine: what starts the launchers of all nodes, stops them together, and may start all of them again.

use super::Lookup;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    OpenMpi,
    Slurm,
    ModelArts,
    Volcano,
    Kubernetes,
}

/// The variable that each engine gives to what it starts. The innermost comes first: Slurm's job may call mpirun, and
/// ModelArts' are Volcano's, which are Kubernetes'.
const MARKS: [(&str, Engine); 5] = [
    ("OMPI_COMM_WORLD_SIZE", Engine::OpenMpi),
    ("SLURM_JOB_ID", Engine::Slurm),
    ("MA_VJ_NAME", Engine::ModelArts),
    ("VC_TASK_INDEX", Engine::Volcano),
    ("KUBERNETES_SERVICE_HOST", Engine::Kubernetes),
];

impl Engine {
    /// The engine that has most likely started this launcher, and so is the one to stop it.
    pub fn find(lookup: Lookup) -> Option<Engine> {
        MARKS.iter().find(|(name, _)| lookup(name).is_some()).map(|it| it.1)
    }

    pub fn name(self) -> &'static str {
        match self {
            Engine::OpenMpi => "Open MPI",
            Engine::Slurm => "Slurm",
            Engine::ModelArts => "ModelArts",
            Engine::Volcano => "Volcano",
            Engine::Kubernetes => "Kubernetes",
        }
    }

    /// How all nodes of a job are started again after a failure.
    pub fn restarts(engine: Option<Engine>) -> &'static str {
        match engine {
            Some(Engine::OpenMpi) => "call `mpirun` again, which starts all nodes",
            Some(Engine::Slurm) => {
                "submit with `sbatch --requeue`, and have the batch script call `scontrol requeue $SLURM_JOB_ID` after a failure"
            }
            Some(Engine::ModelArts) => "turn on automatic restarts in the settings of the ModelArts job",
            Some(Engine::Volcano) => {
                "give the Volcano job the policy `RestartJob` for the event `PodFailed`, and a `maxRetry`"
            }
            Some(Engine::Kubernetes) => {
                "give the Ascend Operator's job a `backoffLimit`, or a Volcano job the policy `RestartJob` and a `maxRetry`"
            }
            None => "have whatever starts the launchers start all of them again",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::of_test;

    #[test]
    fn the_innermost_engine_is_the_one_that_stops_us() {
        for (variables, expected) in [
            (&[][..], None),
            (&[("SLURM_JOB_ID", "7"), ("OMPI_COMM_WORLD_SIZE", "2")], Some(Engine::OpenMpi)),
            (&[("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("VC_TASK_INDEX", "0")], Some(Engine::Volcano)),
            (&[("VC_TASK_INDEX", "0"), ("MA_VJ_NAME", "ma-job-1")], Some(Engine::ModelArts)),
            (&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")], Some(Engine::Kubernetes)),
        ] {
            assert_eq!(Engine::find(&of_test(variables)), expected, "{variables:?}");
        }
    }
}
