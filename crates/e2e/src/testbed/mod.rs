//! Real engines and registries on this machine, started for one run of `e2e` or `bench` and gone after it.

mod cann_double;
mod command;
mod daemon;
mod docker;
mod engine;
mod files;
mod mmdebstrap;
mod old_docker;
mod podman;
mod program;
mod recipe;
mod registry;
mod relative;
mod requirements;
mod snapshot;
mod wait;
mod workplace;

pub use self::{
    cann_double::cann_double,
    command::{Finished, Invocation, Log},
    docker::Docker,
    engine::Engine,
    files::{copy_folder, folder, read, script, wheel, write},
    mmdebstrap::mmdebstrap,
    old_docker::OldDocker,
    podman::Podman,
    program::program,
    recipe::recipe,
    registry::{Access, PASSWORD, RegistryServer, free_port},
    relative::{RELATIVE, unpack_relative, unpack_relative_launcher},
    requirements::{Requirement, require},
    snapshot::{Entry, Kind, Snapshot},
    wait::{PATIENCE, end_by, wait_until, wait_while_running},
    workplace::Workplace,
};
