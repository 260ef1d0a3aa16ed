//! What is printed and changes nothing: the plan of a dry run, the variables of a rank, rank tables.

use std::fmt::Write;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::path::Path;

use rank_table::{Clues, Format, RankTable};

use crate::exit::{Exit, Failure};
use crate::job::setup::{RankPlan, Setup};
use crate::job::{self, Rank, variables};
use crate::printable;
use crate::run;
use crate::units;

/// What to do with a rank table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableCommand {
    /// Say what is wrong with it.
    Check,
    /// List its servers and ranks, and say which this server is.
    Show,
    /// The v1 table on standard output.
    Convert,
}

/// A text on standard output.
///
/// # Errors
///
/// With exit code 1 if it can't be written.
pub fn print(text: &str) -> Result<Exit, Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // `fmtk-launch --help | head -1` closed the pipe: not an error worth words.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::FAILURE, format!("failed to write to `stdout`: {error}")))
        }
        _ => Ok(Exit::SUCCESS),
    }
}

/// The plan of a dry run.
pub fn plan(setup: &Setup) -> String {
    let Setup { options, job, folders, .. } = setup;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to memory does not fail.
        let _ = writeln!(text, "{name:<12}{}", printable::line(&value));
    };
    line("job", job.id.clone());
    let by = job.table.as_ref().map(|it| format!(", found by {}", it.by)).unwrap_or_default();
    line("server", format!("{}{by}", job.host));
    if let Some(nodes) = setup.nodes() {
        line("nodes", nodes);
    }
    line(
        "rank table",
        match (&job.table, &folders.table) {
            (Some(table), None) => format!("{} (for the ranks' numbers alone)", table.path.display()),
            (Some(table), Some(own)) if !own.ends_with(&table.path) => {
                format!("{} → {}", table.path.display(), own.display())
            }
            (Some(table), _) => table.path.display().to_string(),
            (None, _) => "none".to_owned(),
        },
    );
    if job.starts_ranks() {
        line("framework", format!("{}, {}", job.framework(), job.choice.by));
    }
    if setup.first_attempt > 1 {
        line("attempt", format!("{}, after earlier ones whose logs are kept", setup.first_attempt));
    }
    line("code", folders.code.display().to_string());
    line("logs", folders.logs.display().to_string());
    line("work", folders.work.display().to_string());
    let words: Vec<_> = options.command.iter().map(|it| it.to_string_lossy()).collect();
    if !words.is_empty() {
        line("command", words.join(" "));
    }
    for note in &setup.notes {
        line("note", note.clone());
    }
    if !job.starts_ranks() {
        for it in setup.ranks(setup.first_attempt) {
            let (who, log) = (job.who(&[]), it.sink.file.display());
            let _ = writeln!(text, "\nranks       by {who}, whose log is {log}");
        }
        return text;
    }
    let _ = writeln!(text, "\n{:>6} {:>6} {:>6}  {:<12} log", "rank", "local", "device", "cores");
    for RankPlan { rank: Rank { rank, local, device, .. }, cpus, sink, .. } in setup.ranks(setup.first_attempt) {
        let cores = if cpus.is_empty() { "all".to_owned() } else { units::ranges(&cpus) };
        let _ = writeln!(text, "{rank:>6} {local:>6} {device:>6}  {cores:<12} {}", sink.file.display());
    }
    if let Some(scheduler) = setup.scheduler(setup.first_attempt) {
        let _ = writeln!(text, "\nscheduler   beside them, whose log is {}", scheduler.sink.file.display());
    }
    text
}

/// The variables of a rank of this server, a line each; of the first where none is named. Control characters are escaped: a
/// value with an end of line in it would pass for two variables.
pub fn variables(setup: &Setup, rank: Option<u32>) -> Result<String, Failure> {
    let Some(plan) = setup.ranks(setup.first_attempt).find(|it| rank.is_none_or(|rank| it.rank.rank == rank)) else {
        let here: Vec<u32> = setup.job.ranks.iter().map(|it| it.rank).collect();
        let (rank, here) = (rank.unwrap_or_default(), units::ranges(&here));
        return Err(Failure::new(Exit::USAGE, format!("rank {rank} is not on this server, which has {here}")));
    };
    let set = plan.variables.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(set.map(|(name, value)| format!("{name}={}\n", printable::line(&value.to_string_lossy()))).collect())
}

/// `rank-table check|show|convert FILE`.
pub fn table(command: TableCommand, path: &Path) -> Result<String, Failure> {
    let ready = run::read_table(path)?;
    // The process is about to end. Giving back the parts of 1,000 servers one by one would take a millisecond.
    let (file, table) = (ready.path.display(), ManuallyDrop::new(ready.table));
    Ok(match command {
        TableCommand::Convert => {
            table.to_v1().map_err(|error| Failure::new(Exit::USAGE, format!("`{file}` {error}")))?
        }
        TableCommand::Check => {
            let (ranks, servers) = (table.rank_count(), table.instances().len());
            let what = if table.format() == Format::V2 { "nodes" } else { "servers" };
            format!("`{file}` is a complete {} table: {what} {servers}, ranks {ranks}\n", table.format())
        }
        TableCommand::Show => servers(&table),
    })
}

fn servers(table: &RankTable) -> String {
    let clues = Clues::new(variables::own, job::local_addresses());
    let found = rank_table::find(table, &clues);
    let here = found.as_ref().ok().map(|it| it.position);
    let mut text = format!("{} table, {} ranks\n\n", table.format(), table.rank_count());
    for (position, server) in table.instances().iter().enumerate() {
        let name = server.name.as_deref().map(|it| format!(" ({it})")).unwrap_or_default();
        let mark = if here == Some(position) { "  ← this server" } else { "" };
        let pod = server.super_pod.as_ref().map(|it| format!(", super pod {it}")).unwrap_or_default();
        let id = server.server_id.clone().unwrap_or_else(|| format!("node {position}"));
        // Writing to memory does not fail.
        let _ = writeln!(text, "{id}{name}{pod}{mark}");
        for device in &server.devices {
            let (logical, ip) = (server.logical_id(device), device.ip.as_deref().unwrap_or("-"));
            let _ = write!(text, "  rank {:<5} device {logical} (physical {}, {ip}", device.rank, device.id);
            let _ = device.super_id.map(|id| write!(text, ", super device {id}"));
            text.push_str(")\n");
        }
    }
    match found {
        Ok(found) => {
            let _ = writeln!(text, "\nthis server was found by {}", found.by);
            let _ = found.note.map(|note| writeln!(text, "note: {note}"));
        }
        Err(why) => {
            let _ = writeln!(text, "\n{why}");
        }
    }
    text
}
