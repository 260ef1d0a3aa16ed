//! Real engines and registries on this machine, started for one run of `e2e` or `bench` and gone after it.

mod blobs;
mod cann_fake;
mod certificate;
mod command;
mod containerd;
mod daemon;
mod docker;
mod engine;
mod family;
mod files;
mod line;
mod mindspore;
mod mmdebstrap;
mod node_reports;
mod noise;
mod podman;
mod processes;
pub mod rank_table;
mod recipe;
mod registry;
mod relative;
mod requirements;
mod snapshot;
mod token_server;
mod unpacked;
mod wait;
mod wheel_index;
mod workplace;

pub use self::{
    blobs::{blob, described, layer_files, manifest},
    cann_fake::{CANN, cann_fake, cann_fake_of, cann_fake_with, cann_package, cann_package_script},
    command::{Finished, Invocation, Log},
    containerd::Containerd,
    docker::{Docker, old_docker},
    engine::{Engine, NOWHERE, PLATFORM},
    family::Family,
    files::{
        bytes, copy, copy_folder, data, field, folder, list, name, names, paths, read, read_json, script, wheel, write,
    },
    line::{Cut, Faults, Line, Passed},
    mindspore::mindspore,
    mmdebstrap::mmdebstrap,
    node_reports::node_reports,
    noise::noise,
    podman::Podman,
    processes::{memory, open_files, with_argument},
    recipe::{own_files, recipe},
    registry::{Access, PASSWORD, RegistryServer, USER, free_port},
    relative::{pip, unpack_relative, unpack_relative_launcher},
    requirements::require,
    snapshot::{Difference, Entry, Kind, Snapshot},
    unpacked::{layers, unpack},
    wait::{PATIENCE, end_by, signal, wait_until, wait_while_running},
    wheel_index::WheelIndex,
    workplace::Workplace,
};
