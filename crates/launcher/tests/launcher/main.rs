//! The real binary, run as the platform runs it.
//!
//! `FMTK_TEST_LAUNCHER` names another binary than cargo's, `FMTK_TEST_DENY=EPERM|ENOSYS` runs it as on Linux 4.19: every
//! later system call is refused with that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // clippy.toml allows it in test functions; this whole program is their helpers, too

mod before;
mod ending;
mod environment;
mod frameworks;
mod harness;
mod kernel;
mod kill_matrix;
mod nodes;
mod output;
mod paths;
mod recovery;
mod report;
mod restart;
mod stopped_nodes;
mod tables;
mod task;
mod task_scripts;
mod task_storage;
mod usage;
