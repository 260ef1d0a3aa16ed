//! Measures for `cargo xtask bench`, as one line of JSON.
//!
//! - `meter run OUT PROGRAM ARGUMENT…` runs a program and writes to `OUT` its time, its CPU time and its peak memory.
//! - `meter floor WHEEL` inflates all of a wheel with libdeflate and with zlib-rs and hashes the result, on one thread.
//! - `meter console OUT RANKS LINES BYTES PAUSE PROGRAM ARGUMENT…` runs a launcher, reads what it prints, and writes to
//!   `OUT` how fast that came and which of the ranks' lines are whole.
//! - `meter lines LINES BYTES [stay]` and `meter fail FILE` are ranks.

mod console;
mod floor;
mod ranks;
mod run;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let outcome = match command.to_str() {
        Some("run") => run::run(arguments.collect()),
        Some("floor") => floor::run(arguments.collect()),
        Some("console") => console::run(arguments.collect()),
        Some("lines") => ranks::lines(arguments.collect()),
        Some("fail") => ranks::fail(arguments.collect()),
        _ => Err("usage: meter run|floor|console|lines|fail …".to_owned()),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}
