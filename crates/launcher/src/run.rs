//! `fmtk-launch run`: from the rank table to the exit code.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rank_table::{Location, Ready, Step, Watcher};

use crate::exit::{Exit, Failure};
use crate::job::devices;
use crate::job::framework::{self, Clues};
use crate::job::nodes::{self, Nodes};
use crate::job::paths::{self, Surroundings};
use crate::job::setup::{self, Setup};
use crate::job::{self, Job, Source, python, variables};
use crate::options::{Framework, RunOptions, TaskRanks};
use crate::output::{Options, Output};
use crate::printable;
use crate::ranks::background;
use crate::ranks::family;
use crate::ranks::guardian::{self, Side};
use crate::ranks::rank::{Ending, Outcome};
use crate::ranks::signals::Signals;
use crate::ranks::start;
use crate::ranks::supervise::{self, Attempt};
use crate::ranks::wait;
use crate::rendezvous;
use crate::report::{self, shape::Report};
use crate::storage::Storage;
use crate::storage::transfers::{self, Transfers};
use crate::units;

/// How long the log files and the console may take to swallow the last lines without getting any further.
const PATIENCE: Duration = Duration::from_secs(5);

const WAIT_FOR_TABLE: &str = "wait for the rank table";

/// What to do where there is no rank table.
const WITHOUT_TABLE: &str = "for a job of this server alone, `--devices 0-7` does without one";

/// Said where [`Side::Launcher`] does not adopt.
const NO_ADOPTION: &str = "this system makes nobody the parent of orphans (prctl: Invalid argument, as under qemu-user): \
                           daemons that ranks leave behind are not stopped";

/// Said where /proc is of no use.
const NO_PROC: &str = "/proc does not show the processes of this pid namespace: stopping them takes longer, and `--stall` goes \
                       by output alone";

/// Runs the ranks of this server in a process of its own, below a guardian; those of a task with its copies.
pub fn run(options: RunOptions, transfers: Option<Transfers>) -> Result<Exit, Failure> {
    let signals = Signals::block().map_err(|error| Failure::system("wait for signals", &error))?;
    start::keep_descriptors_from_ranks().map_err(|error| Failure::system("list the open files", &error))?;
    // Decided before the two part, as the one that is left at the end removes what was made for this run.
    let around = Surroundings::real(false);
    let guardian = nix::unistd::getpid();
    let (ended, is_last) = match guardian::split().map_err(|error| Failure::system("start a second process", &error))? {
        Side::Guardian(guardian) => {
            let report = |cause, exit| {
                let path = options.report.as_deref();
                path.map(|path| report::write_launcher_killed(path, cause, exit));
            };
            let ended = guardian.guard(&signals, options.grace, report);
            (ended.map_err(|error| Failure::system("watch the launcher", &error)), true)
        }
        Side::Launcher { adopts } => {
            let ended = launch(options, transfers.as_ref(), &signals, adopts);
            // The guardian may have been killed.
            (ended, nix::unistd::getppid() != guardian)
        }
    };
    if is_last {
        for note in paths::remove_own(&around, matches!(ended, Ok(Exit::SUCCESS))) {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(io::stderr(), "fmtk-launch: {}", printable::line(&note));
        }
    }
    ended
}

/// What would be started: all that is decided without starting anything.
pub fn plan(options: RunOptions) -> Result<Setup, Failure> {
    let signals = Signals::block().map_err(|error| Failure::system("wait for signals", &error))?;
    // `env` has no use for what it would tell.
    let is_told = options.dry_run;
    let options = RunOptions { dry_run: true, ..options };
    let job = find_job(&options, &signals, &mut |line| eprintln!("fmtk-launch: {}", printable::line(line)))?;
    let mut setup = setup::prepare(options, job)?;
    if is_told {
        setup.notes.extend(rendezvous::outlook(&setup, &signals)?);
    }
    Ok(setup)
}

fn launch(
    options: RunOptions,
    transfers: Option<&Transfers>,
    signals: &Signals,
    adopts: bool,
) -> Result<Exit, Failure> {
    let started = (SystemTime::now(), Instant::now());
    let mut output = Options::inherited(colour(), options.log_max_size)
        .and_then(Output::start)
        .map_err(|error| Failure::system("start the threads that write", &error))?;
    let mut say = |line: &str| output.say(line);
    let prepared = find_job(&options, signals, &mut say).and_then(|job| {
        transfers.map_or(Ok(()), |it| it.check_devices(&job))?;
        setup::prepare(options, job)
    });
    let prepared = prepared.and_then(|mut setup| {
        setup.remove_report();
        for line in &setup.notes {
            output.say(line);
        }
        // Before data is copied, which may take hours.
        rendezvous::check(&setup, signals, &mut |line| output.say(line))?;
        let storage = match transfers {
            None => Storage::new(Vec::new(), PathBuf::new()),
            Some(transfers) => transfers::bring_in(transfers, &setup, signals, &mut output)?,
        };
        setup.claim_first_attempt();
        Ok((setup, storage))
    });
    let (setup, mut storage) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            // What was said before has to be there before the error.
            output.finish(PATIENCE, |_| Vec::new());
            return Err(failure);
        }
    };
    if !adopts {
        output.say(NO_ADOPTION);
    }
    if !family::is_seen() {
        output.say(NO_PROC);
    }
    output.say(&greeting(&setup));
    let watch = |error: io::Error| Failure::system("watch the ranks", &error);
    let (mut attempts, mut ending) = attempts(&setup, signals, &mut output, &mut storage).map_err(watch)?;
    if let Some(transfers) = transfers {
        output.settle_files(PATIENCE);
        let was_stopped = ending.outcome == Outcome::Terminated;
        let signal = transfers::bring_out(transfers, &mut storage, was_stopped, signals, &mut output).map_err(watch)?;
        let unsaved = storage.given_up().find(|(what, _)| *what == "output_path");
        if let (Outcome::Succeeded, Some((_, why))) = (ending.outcome, unsaved) {
            let exit = signal.map_or(Exit::LAUNCHER, Exit::signal);
            let text = format!("the ranks succeeded, but the output is not saved: {why}");
            ending = Ending { outcome: Outcome::NotSaved, exit, text, first: None };
        }
    }
    output.finish(PATIENCE, |summaries| {
        report::find_plogs(&mut attempts);
        let sync = (!storage.is_empty()).then(|| storage.report());
        let report = report::report(&setup.job, &ending, &attempts, summaries, started, setup.options.stall, sync);
        let block = report::block(&setup.job, &ending, &attempts, summaries, started.1);
        let mut lines = write_reports(&setup, &report);
        lines.extend(transfers::last_word(&mut storage, signals).unwrap_or_default());
        lines.into_iter().chain(block).collect()
    });
    Ok(ending.exit)
}

/// Writes the report beside the logs and where it is asked for. Gives what went wrong.
fn write_reports(setup: &Setup, report: &Report) -> Vec<String> {
    let beside_logs = setup.report_file();
    let write = |path: &PathBuf| {
        let error = report::write(path, report).err()?;
        Some(format!("failed to write the report `{}`: {error}", path.display()))
    };
    setup.options.report.iter().chain([&beside_logs]).filter_map(write).collect()
}

/// Starts the ranks, and again after a failure as often as is allowed. Gives all attempts and the ending of the last one.
fn attempts(
    setup: &Setup,
    signals: &Signals,
    output: &mut Output,
    storage: &mut Storage,
) -> io::Result<(Vec<Attempt>, Ending)> {
    let mut attempts = Vec::new();
    let mut number = setup.first_attempt;
    loop {
        let restarts = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
        let mut attempt = supervise::attempt(setup, number, signals, output, storage)?;
        let left = setup.options.max_restarts.saturating_sub(restarts);
        let may_go_on = attempt.survivors.is_empty() && !attempt.told_to_stop;
        let mut again = attempt.ending.may_be_repeated() && left > 0 && may_go_on;
        if again {
            let backoff = setup.options.restart_backoff;
            let wait = units::shown(backoff);
            output.say(&format!("attempt {number} is over; the next one begins in {wait}, {left} are left"));
            let until = Instant::now() + wait::shortened_for_tests(backoff);
            if let (Some(signal), _) = background::wait(signals, Some(output), storage, Some(until), |_| false)? {
                (attempt.ending, again) = (Ending::terminated(signal, setup.engine), false);
            } else if let Err(failure) = setup.restore() {
                // The hints behind the first line are for the start of a run.
                let why = failure.text.lines().next().unwrap_or_default();
                output.say(&format!("the ranks can't be started again: {why}"));
                again = false;
            }
        }
        let ending = attempt.ending.clone();
        attempts.push(attempt);
        if !again {
            return Ok((attempts, ending));
        }
        number = setup.claim(number.saturating_add(1));
    }
}

fn find_job(options: &RunOptions, signals: &Signals, say: &mut dyn FnMut(&str)) -> Result<Job, Failure> {
    let lookup = &variables::own;
    // Known before hours of training and not after them.
    if let Some(path) = &options.report
        && let Err(error) = report::file::check(path, options.dry_run)
    {
        let text = format!("the report can't be written to `{}`: {error}", path.display());
        return Err(Failure::new(
            Exit::USAGE,
            format!("{text}\nhint: `--report` takes a file in a folder that can be written to"),
        ));
    }
    if let Some(TaskRanks { node, by_scripts: true }) = options.task {
        return Ok(Job::of_scripts(node, lookup));
    }
    let claims = nodes::claims(&options.nodes, lookup, &variables::volcano_tasks());
    if options.per_node {
        let (nodes, notes) = claims.nodes()?;
        notes.iter().for_each(|it| say(it));
        let (devices, note) = devices::of_node(options.devices.as_deref(), nodes.as_ref(), lookup)?;
        note.iter().for_each(|it| say(it));
        return Ok(Job::per_node(&devices, nodes.unwrap_or_else(Nodes::alone), lookup));
    }
    let source = job::source(options, claims.are_several(), lookup);
    let choice = choose_framework(options, &source, claims.are_several());
    let are_numbered = claims.nodes().is_ok_and(|it| it.0.is_some_and(|it| it.count > 1));
    let job = match source.for_ranks_of(choice.framework, options, are_numbered) {
        Source::Table(location) => {
            let ready = wait_for_table(location, options, claims.are_several(), signals, say)?;
            claims.agree_with(&ready.table)?;
            let job = Job::of_table(ready, &options.nodes, lookup, job::local_addresses())?;
            let (nodes, notes) = claims.with_table(job.nodes.clone())?;
            notes.iter().for_each(|it| say(it));
            job.with_nodes(nodes, lookup)
        }
        Source::Devices(_) | Source::Node => {
            let (nodes, notes) = claims.nodes()?;
            let (devices, note) = devices::of_node(options.devices.as_deref(), nodes.as_ref(), lookup)?;
            notes.iter().chain(&note).for_each(|it| say(it));
            Job::of_devices(&devices, nodes.unwrap_or_else(Nodes::alone), lookup)
        }
    };
    devices::renumber(job, lookup).map(|it| it.meeting(choice))
}

fn choose_framework(options: &RunOptions, source: &Source, has_several_nodes: bool) -> framework::Choice {
    let lookup = &variables::own;
    // Without a table and a flag, one node has one rank.
    let is_one = matches!(source, Source::Node) || matches!(source, Source::Devices(devices) if devices.len() == 1);
    // What is wrong with the folder is said when the ranks' folders are made.
    let folder = setup::code_folder(options).unwrap_or_default();
    framework::choose(Clues {
        given: options.framework,
        is_lone: is_one && !has_several_nodes,
        has_several_nodes,
        has_table: matches!(source, Source::Table(_)),
        python: python::of_command(&options.command, &folder, lookup).as_ref(),
    })
}

/// Waits until the table is complete, and says what is missing when that changes, and what can be done about it.
fn wait_for_table(
    location: Location,
    options: &RunOptions,
    has_several_nodes: bool,
    signals: &Signals,
    say: &mut dyn FnMut(&str),
) -> Result<Ready, Failure> {
    let lookup = &variables::own;
    let patience = options.patience(job::is_table_likely(&location, has_several_nodes, lookup));
    // Servers that each did without one would have equal ranks.
    let without = (!has_several_nodes).then_some(WITHOUT_TABLE);
    let mut watcher = Watcher::new(location, Instant::now(), patience);
    let mut has_said = false;
    loop {
        let look = move || {
            let step = watcher.step(Instant::now());
            (watcher, step)
        };
        let looked = background::apart(signals, WAIT_FOR_TABLE, None, look)?;
        let (back, step) =
            looked.ok_or_else(|| Failure::new(Exit::LAUNCHER, "the rank table was not found in time"))?;
        watcher = back;
        match step {
            Step::Ready(ready) => {
                if has_said {
                    say(&format!("the rank table `{}` is complete", ready.path.display()));
                }
                return Ok(ready);
            }
            Step::Failed { why, message } => {
                let exit = if why.may_pass { Exit::LAUNCHER } else { Exit::USAGE };
                let mut text = message;
                // Who has said how long to wait knows that it can be said.
                if why.may_pass && options.wait.is_none() {
                    let without = without.map(|it| format!("; {it}")).unwrap_or_default();
                    text += &format!("\nhint: `--wait 2h` waits longer{without}");
                }
                return Err(Failure::new(exit, text));
            }
            Step::NotYet { why, is_new, again } => {
                // One that is wrong for good is only looked at twice; the error will say why.
                if is_new && why.may_pass {
                    let without = without.filter(|_| !has_said).map(|it| format!(" ({it})")).unwrap_or_default();
                    say(&format!("waiting for the rank table, {} at most{without}: {why}", units::shown(patience)));
                    has_said = true;
                }
                background::pause(signals, WAIT_FOR_TABLE, again)?;
            }
        }
    }
}

fn greeting(setup: &Setup) -> String {
    let job = &setup.job;
    let ranks: Vec<u32> = job.ranks.iter().map(|it| it.rank).collect();
    let is_whole = !job.starts_ranks() || job.is_whole();
    let of = if is_whole { String::new() } else { format!(" of {}", job.size) };
    let who = job.who(&ranks);
    let logs = setup.folders.logs.display();
    let node = setup.nodes().map(|it| format!(" ({it})")).unwrap_or_default();
    let meet = match job.framework() {
        Framework::Plain => String::new(),
        framework => format!(", framework {framework} ({})", job.choice.by),
    };
    let attempt = match setup.first_attempt {
        1 => String::new(),
        number => format!("; this is attempt {number}, and the logs of earlier ones are kept"),
    };
    format!("job {}: starting {who}{of} on {}{node}{meet}, logs in `{logs}`{attempt}", job.id, job.host)
}

/// Whether the prefixes on the console are coloured.
fn colour() -> bool {
    let set = variables::own;
    io::stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|it| it != *"dumb")
}

/// The rank table of a file or a folder, at once.
pub fn read_table(path: &Path) -> Result<Ready, Failure> {
    match Watcher::new(Location::given(path), Instant::now(), Duration::ZERO).step(Instant::now()) {
        Step::Ready(ready) => Ok(ready),
        Step::Failed { why, .. } | Step::NotYet { why, .. } => Err(Failure::new(Exit::USAGE, why)),
    }
}
