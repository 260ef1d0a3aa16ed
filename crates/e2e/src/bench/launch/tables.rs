//! A rank table of 1,000 servers, and the size of the program.

use std::fs;

use anyhow::{Context, ensure};

use super::rivals::{Launcher, Rivals, write_table};
use crate::bench::row::{Bar, Row, Unit};

const SERVERS: usize = 1000;
/// One in the middle.
const INSTANCE: &str = "job-x-512";
/// Reads the table, converts it, and finds this server, as the vendor's launcher does before it starts ranks.
const VENDOR: &str = "
import sys
from davincirunsdk.rank_table import RankTable, RankTableV0
RankTable.wait_for_available(sys.argv[1])
table = RankTableV0(sys.argv[1])
print(table.get_server(table.get_current_instance().server_id))
";

/// Measures whole processes.
pub fn run(rivals: &Rivals) -> anyhow::Result<Vec<Row>> {
    let table = write_table(&rivals.fresh("large")?, SERVERS)?;
    let (mut convert, mut show, mut vendor) = (Vec::new(), Vec::new(), Vec::new());
    let mount = rivals.fresh("mount-table")?;
    for round in 1..=rivals.rounds {
        for (what, times) in [("convert", &mut convert), ("show", &mut show)] {
            let command = rivals.log.command(&rivals.program).args(["rank-table", what]).arg(&table);
            let (measure, said) = rivals.meter.measure(command.env("MA_CURRENT_INSTANCE_NAME", INSTANCE))?;
            ensure!(said.contains("192.168.2.12"), "`rank-table {what}` lacks this server");
            times.push(measure.seconds);
        }
        let command = rivals.python().args(["-c", VENDOR]).arg(&table).env("MA_CURRENT_INSTANCE_NAME", INSTANCE);
        let (measure, said) = rivals.meter.measure(command.env("MA_MOUNT_PATH", &mount))?;
        ensure!(said.contains("192.168.2.12"), "the vendor's scripts did not find this server: {said}");
        vendor.push(measure.seconds);
        rivals.log.say(&format!(
            "{round}/{}: table {:.4} s, vendor's {:.4} s",
            rivals.rounds,
            convert[round - 1],
            vendor[round - 1]
        ));
    }
    let size =
        fs::metadata(&rivals.arm64).with_context(|| format!("failed to read `{}`", rivals.arm64.display()))?.len();
    let name = Launcher::Vendor.name();
    let row = |figure, times: &[f64]| Row::timed(figure, times, name, &vendor, Bar::AtMost(0.020));
    Ok(vec![
        row("table of 1,000 × 8, converted", &convert),
        row("table of 1,000 × 8, oneself found", &show),
        Row::alone("program for aarch64, static", size as f64, Unit::Bytes, Bar::AtMost(2.0 * 1024.0 * 1024.0)),
    ])
}
