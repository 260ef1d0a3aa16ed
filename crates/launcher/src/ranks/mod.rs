//! The processes of the ranks: started, watched and stopped, with all that descends from them.

mod describe;
pub mod family;
pub mod guardian;
pub mod idle;
mod oom;
mod proc;
pub mod rank;
pub mod reap;
pub mod signals;
mod stall;
pub mod start;
pub mod supervise;
mod teardown;
pub mod wait;
