//! Real engines and registries on this machine, started for one run of `e2e` or `bench` and gone after it.

mod cann_double;
mod command;
mod daemon;
mod docker;
mod engine;
mod mmdebstrap;
mod old_docker;
mod podman;
mod program;
mod recipe;
mod registry;
mod requirements;
mod snapshot;
mod workplace;

pub use self::{
    cann_double::cann_double,
    command::{Finished, Invocation, Log},
    docker::Docker,
    engine::Engine,
    mmdebstrap::mmdebstrap,
    old_docker::OldDocker,
    podman::Podman,
    program::program,
    recipe::recipe,
    registry::{Access, PASSWORD, RegistryServer, free_port},
    requirements::{Requirement, require},
    snapshot::{Entry, Kind, Snapshot},
    workplace::Workplace,
};
