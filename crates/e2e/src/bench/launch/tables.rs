//! A rank table of 1,000 servers, and the size of the program.

use std::fs;

use anyhow::{Context, ensure};

use super::launchers::{Launcher, Launchers, write_table};
use crate::{
    bench::row::{Bar, MIB, Row, Unit},
    testbed::{data, read},
};

const SERVERS: usize = 1000;
/// One in the middle, and its address.
const INSTANCE: (&str, &str) = ("job-x-512", "192.168.2.12");

pub fn run(launchers: &Launchers) -> anyhow::Result<Vec<Row>> {
    let bench = &launchers.bench;
    let table = write_table(&bench.fresh("large")?, SERVERS)?;
    let (mount, script) = (bench.fresh("mount-table")?, read(&data("find_server.py"))?);
    let [convert, show, vendor] = bench.in_turns("table", ["convert", "show", "vendor's"], |who, _| {
        let command = match who {
            "vendor's" => launchers.python().args(["-c", &script]).env("MA_MOUNT_PATH", &mount),
            what => bench.command(&launchers.program).args(["rank-table", what]),
        };
        let (measure, said) = bench.measure(command.arg(&table).env("MA_CURRENT_INSTANCE_NAME", INSTANCE.0))?;
        ensure!(said.contains(INSTANCE.1), "this server was not found: {said}");
        Ok(measure.seconds)
    })?;
    let size = fs::metadata(&launchers.arm64).context("there is no program for aarch64")?.len() as f64;
    let row = |figure, times: &[f64]| Row::timed(figure, times, Launcher::Vendor.name(), &vendor, Bar::Faster(6.0));
    Ok(vec![
        row("table of 1,000 × 8, converted", &convert),
        row("table of 1,000 × 8, oneself found", &show),
        Row::alone("program for aarch64, static", size, Unit::Bytes, Bar::AtMost(2.0 * MIB)),
    ])
}
