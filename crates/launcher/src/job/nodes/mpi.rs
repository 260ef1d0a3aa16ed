//! MPI's starters. Of Open MPI, `mpirun --map-by ppr:1:node` starts one launcher on each node, so a process's number is its
//! node's. MPICH and Intel MPI tell a process its number, but not how many processes there are on a node.
//!
//! Source of the names: docs.open-mpi.org, "Environment variables set for MPI applications". None of them says where rank 0
//! is: the address in `OMPI_MCA_orte_hnp_uri` is that of mpirun, which may run on another host. PMI_RANK and PMI_SIZE are
//! those of PMI-1, which MPICH's process manager Hydra and `srun --mpi=pmi2` set.

use super::super::Lookup;
use super::claim::{Claim, is, set};

pub fn open_mpi(lookup: Lookup) -> Claim {
    let mut claim = Claim { hint: "start the launcher with `mpirun --map-by ppr:1:node`", ..Claim::default() };
    claim.index(lookup, "OMPI_COMM_WORLD_RANK");
    if claim.count(lookup, "OMPI_COMM_WORLD_SIZE").is_none() {
        return claim;
    }
    let name = "OMPI_COMM_WORLD_LOCAL_SIZE";
    if let Some(text) = set(lookup, name).filter(|it| it != "1") {
        claim.problems.push(format!(
            "{}: on this node, every one of these processes would start all ranks of the node\n\
             hint: start one launcher on each node, with `mpirun --map-by ppr:1:node`",
            is(name, &text)
        ));
    }
    claim
}

pub fn pmi(lookup: Lookup) -> Claim {
    let mut claim = Claim::default();
    let above = |name: &str, least: u32| set(lookup, name).filter(|it| it.parse().is_ok_and(|it: u32| it > least));
    let size = above("PMI_SIZE", 1).map(|it| is("PMI_SIZE", &it));
    if let Some(words) = size.or_else(|| above("PMI_RANK", 0).map(|it| is("PMI_RANK", &it))) {
        claim.doubts.push(format!(
            "{words}: MPI has started several processes, and does not say how many of them are on a node\n\
             hint: start one launcher on each node, with `mpirun -ppn 1`, and give it `--nnodes`, `--node-rank` and `--master`"
        ));
    }
    claim
}
