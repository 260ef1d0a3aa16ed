//! What is brought in before the ranks start, and taken out while they run and when they have ended.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use libc::c_int;

use super::{Copy, Storage};
use crate::exit::{Exit, Failure};
use crate::job::Job;
use crate::job::files;
use crate::job::paths;
use crate::job::setup::Setup;
use crate::output::Output;
use crate::ranks::background::{self, stopped_before_start};
use crate::ranks::signals::Signals;
use crate::units;

/// How long the report may take to be copied after everything else.
const LAST_WORD: Duration = Duration::from_secs(10);

/// How long the helper may take to end when there is nothing more to do.
const FAREWELL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Transfers {
    /// Before the ranks start.
    pub fetch: Vec<Copy>,
    /// When they have ended.
    pub save: Option<Copy>,
    /// The folder, or URL, for the task's logs.
    pub logs: Option<String>,
    pub node: u32,
    /// Devices that the rank table should have on this server, or in all.
    pub devices: Option<u32>,
    pub helper: Vec<OsString>,
    /// Between two copies of the logs.
    pub sync_interval: Duration,
    /// How long the last copies of logs may take, and of everything after a stop from outside.
    pub sync_timeout: Duration,
    /// How long any other copy may take.
    pub copy_timeout: Duration,
}

impl Transfers {
    /// The copies as a dry run prints them.
    pub fn plan(&self) -> String {
        let copies = self
            .fetch
            .iter()
            .chain(&self.save)
            .map(|it| format!("{:<12}{} → {}\n", it.what, it.from.display(), it.to.display()));
        let logs = self.logs.iter().map(|it| {
            let every = units::shown(self.sync_interval);
            format!("{:<12}{it}, every {every}\n", "log_path")
        });
        format!("\n{}", copies.chain(logs).collect::<String>())
    }

    /// Says whether the job has as many devices as was said.
    ///
    /// # Errors
    ///
    /// With exit code 2 if it has not.
    pub fn check_devices(&self, job: &Job) -> Result<(), Failure> {
        let (here, all) = (job.ranks.len(), job.size as usize);
        match self.devices.map(|it| it as usize) {
            Some(said) if said != here && said != all => {
                let text = format!(
                    "`device_num` is {said}, but the rank table has {here} devices on this server and {all} in all\n\
                     hint: leave `--device_num` out, the table says it"
                );
                Err(Failure { exit: Exit::USAGE, text })
            }
            _ => Ok(()),
        }
    }

    /// The copies of logs.
    fn syncs(&self, setup: &Setup) -> Vec<Copy> {
        let Some(logs) = &self.logs else { return Vec::new() };
        let own = Copy {
            prefix: files::file_name(&setup.job.id).into(),
            ..Copy::new("log_path", "sync", &setup.folders.logs, format!("{logs}/mxLaunchKit/node_{}", self.node))
        };
        let homes: Vec<PathBuf> = match setup.folders.replace_home {
            true => setup.job.ranks.iter().map(|it| setup.folders.work_of(it)).collect(),
            false => paths::own_home().into_iter().collect(),
        };
        let tool =
            |home: &PathBuf| Copy::new("log_path", "sync", paths::tool_logs(home), format!("{logs}/mxTuningKit"));
        std::iter::once(own).chain(homes.iter().map(tool)).collect()
    }
}

/// What copies for this task; copies in what the ranks need.
///
/// # Errors
///
/// With exit code 125 if something can't be had, 128 + the signal if one stopped the launcher.
pub fn bring_in(
    transfers: &Transfers,
    setup: &Setup,
    signals: &Signals,
    output: &mut Output,
) -> Result<Storage, Failure> {
    let log = setup.folders.logs.join(format!("{}-storage.txt", files::file_name(&setup.job.id)));
    let mut storage = Storage::new(transfers.helper.clone(), log);
    let begin = Instant::now();
    for copy in &transfers.fetch {
        output.say(&copy.to_string());
        storage.add(copy.clone(), None, transfers.copy_timeout, begin);
    }
    let (stopped, _) = background::wait(signals, Some(output), &mut storage, None, |it| {
        it.is_settled() || it.given_up().next().is_some()
    })
    .map_err(|error| Failure { exit: Exit::LAUNCHER, text: format!("failed to wait for copies: {error}") })?;
    let failed: Vec<String> = storage.given_up().map(|it| it.1).collect();
    let failure = match (stopped, failed.is_empty()) {
        (Some(signal), _) => stopped_before_start(signal),
        (None, false) => {
            let text = format!("the ranks lack what could not be copied:\n  {}", failed.join("\n  "));
            Failure { exit: Exit::LAUNCHER, text: format!("{text}\nhint: is it called so, and may this job read it?") }
        }
        (None, true) => {
            if !transfers.fetch.is_empty() {
                output.say(&format!("all is copied after {}", units::shown(begin.elapsed())));
            }
            for copy in transfers.syncs(setup) {
                storage.add(copy, Some(transfers.sync_interval), transfers.sync_timeout, Instant::now());
            }
            return Ok(storage);
        }
    };
    storage.close(true);
    Err(failure)
}

/// Copies out what is left when the ranks have ended. Gives a signal that came meanwhile.
///
/// After a stop from outside, `was_stopped`, everything has the time of the logs only.
pub fn bring_out(
    transfers: &Transfers,
    storage: &mut Storage,
    was_stopped: bool,
    signals: &Signals,
    output: &mut Output,
) -> io::Result<Option<c_int>> {
    let now = Instant::now();
    storage.settle(now + transfers.sync_timeout, now);
    if let Some(copy) = &transfers.save {
        output.say(&copy.to_string());
        let timeout = if was_stopped { transfers.sync_timeout } else { transfers.copy_timeout };
        storage.add(copy.clone(), None, timeout, now);
    }
    if was_stopped {
        storage.hurry(now + transfers.sync_timeout);
    }
    let mut first = None;
    loop {
        let (Some(signal), _) = background::wait(signals, Some(output), storage, None, Storage::is_settled)? else {
            return Ok(first);
        };
        // An interrupt by somebody who has interrupted before, or has stopped the ranks, means at once.
        let is_impatient = signal != libc::SIGTERM && (was_stopped || first.is_some());
        let time = if is_impatient { Duration::ZERO } else { transfers.sync_timeout };
        storage.hurry(Instant::now() + time);
        first = first.or(Some(signal));
    }
}

/// Copies the report, which tells of all other copies, and ends the helper. Gives what has to be said.
pub fn last_word(storage: &mut Storage, signals: &Signals) -> io::Result<Vec<String>> {
    if storage.is_empty() {
        return Ok(Vec::new());
    }
    let now = Instant::now();
    // Where the storage has failed already, another try would only take time.
    let is_well = storage.given_up().next().is_none();
    let mut lines = Vec::new();
    if is_well {
        storage.settle(now + LAST_WORD, now);
        (_, lines) = background::wait(signals, None, storage, None, Storage::is_settled)?;
    }
    for is_hard in [false, true] {
        storage.close(is_hard);
        background::wait(signals, None, storage, Some(Instant::now() + FAREWELL), |it| !it.has_helper())?;
    }
    Ok(lines)
}
