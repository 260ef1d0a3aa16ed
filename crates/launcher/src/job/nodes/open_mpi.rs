//! Open MPI: `mpirun --map-by ppr:1:node` starts one launcher on each node, so a process's number is its node's.
//!
//! Source of the names: docs.open-mpi.org, "Environment variables set for MPI applications". None of them says where rank 0
//! is: the address in `OMPI_MCA_orte_hnp_uri` is that of mpirun, which may run on another host.

use super::super::Lookup;
use super::claim::{Claim, is, set};

pub fn claim(lookup: Lookup) -> Claim {
    let mut claim = Claim { hint: "start the launcher with `mpirun --map-by ppr:1:node`", ..Claim::default() };
    if claim.count(lookup, "OMPI_COMM_WORLD_SIZE").is_none() {
        return claim;
    }
    claim.index(lookup, "OMPI_COMM_WORLD_RANK");
    let name = "OMPI_COMM_WORLD_LOCAL_SIZE";
    if let Some(text) = set(lookup, name).filter(|it| it.trim() != "1") {
        claim.problems.push(format!(
            "{}: on this node, every one of these processes would start all ranks of the node\n\
             hint: start one launcher on each node, with `mpirun --map-by ppr:1:node`",
            is(name, &text)
        ));
    }
    claim
}
