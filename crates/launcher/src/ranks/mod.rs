//! The processes of the ranks: started, watched and stopped, with all that descends from them.

pub mod background;
mod describe;
pub mod family;
pub mod guardian;
mod name;
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
