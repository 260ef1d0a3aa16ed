//! Waiting for a table to be complete, in steps that somebody else's event loop drives.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::locate::{FILE_NAMES, Location};
use crate::parse::{MAX_BYTES, parse};
use crate::table::RankTable;

/// Between two looks at first, and whenever something changed.
pub const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// Between two looks at most; the interval doubles while nothing changes. The vendor's scripts look once a second.
pub const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// How long a table has to be wrong in the same way before it is given up: one that is overwritten in place may be a mixture
/// of two for a moment.
pub const CONFIRM: Duration = Duration::from_secs(1);

/// Linux's error number for links that lead in a circle, on all processors that Ascend servers have.
const ELOOP: i32 = 40;

/// A complete table, and where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The table.
    pub table: RankTable,
    /// The file, also where the location named its folder.
    pub path: PathBuf,
}

/// What one look came to.
#[derive(Debug)]
pub enum Step {
    /// The table is complete. Waiting is over.
    Ready(Ready),
    /// It is not, so far.
    NotYet {
        /// Why: a sentence that names the file.
        why: Error,
        /// Whether that was not so at the last look: a reason to tell.
        is_new: bool,
        /// When to call [`Watcher::step`] again.
        again: Instant,
    },
    /// Waiting is over: the time is, where waiting might still help, or the table was wrong for [`CONFIRM`] in a way that
    /// does not pass.
    Failed {
        /// What was missing or wrong at the last look: a sentence that names the file.
        why: Error,
        /// The same, with how long it was waited and what said where to look.
        message: String,
    },
}

/// Waits for one table. It never sleeps: its owner calls [`Watcher::step`] at the times that it asks for, or sooner.
#[derive(Debug)]
pub struct Watcher {
    location: Location,
    started: Instant,
    /// `None` for ever.
    deadline: Option<Instant>,
    interval: Duration,
    /// What the last look came to, and since when.
    last: Option<(Error, Instant)>,
}

impl Watcher {
    /// Waits from `now` on for `patience`. Does not look yet.
    pub fn new(location: Location, now: Instant, patience: Duration) -> Watcher {
        // A time that can't be counted is for ever.
        let deadline = now.checked_add(patience);
        Watcher { location, started: now, deadline, interval: MIN_INTERVAL, last: None }
    }

    /// Looks once, reading the whole file; takes as long as the file system does for that.
    ///
    /// Everything is looked up anew each time (folder or file, links, contents), so that it does not matter how the table
    /// is replaced. Also the first step looks, whatever the patience, and there is a last look when the time is over.
    pub fn step(&mut self, now: Instant) -> Step {
        let why = match look(present(&self.location)) {
            Ok(ready) => return Step::Ready(ready),
            Err(why) => why,
        };
        let (is_new, since) = match &self.last {
            Some((last, since)) if *last == why => (false, *since),
            _ => (true, now),
        };
        if is_new {
            self.last = Some((why.clone(), now));
            self.interval = MIN_INTERVAL;
        }
        let confirmed = (!why.may_pass).then(|| since + CONFIRM);
        let last_look = self.deadline.into_iter().chain(confirmed).min();
        if last_look.is_some_and(|last_look| now >= last_look) {
            let origin = self.location.origin;
            let waited = now.saturating_duration_since(self.started);
            let message = match why.may_pass {
                false => format!("the rank table can't be used ({origin}): {why}"),
                // A single look takes microseconds.
                true if waited < MIN_INTERVAL => format!("no complete rank table ({origin}): {why}"),
                true => format!("no complete rank table after {waited:.0?} ({origin}): {why}"),
            };
            return Step::Failed { why, message };
        }
        let again = now + self.interval;
        self.interval = (self.interval * 2).min(MAX_INTERVAL);
        Step::NotYet { why, is_new, again: last_look.map_or(again, |last_look| again.min(last_look)) }
    }
}

/// The path at which there is something, else the one whose folder there is, else the first.
fn present(location: &Location) -> &Path {
    // A link is something, wherever it leads: to nothing for a moment, as in the middle of a change of the config map.
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    let has_folder = |path: &Path| path.parent().is_some_and(is_there);
    let mut paths = location.paths();
    paths.find(|it| is_there(it)).or_else(|| location.paths().find(|it| has_folder(it))).unwrap_or(&location.path)
}

fn look(path: &Path) -> Result<Ready, Error> {
    let mut file = path.to_owned();
    let mut metadata = fs::metadata(path).map_err(|error| unread(path, &error))?;
    if metadata.is_dir() {
        let names = FILE_NAMES.map(|name| path.join(name));
        let Some(named) = names.into_iter().find(|it| fs::symlink_metadata(it).is_ok()) else {
            let [first, second] = FILE_NAMES;
            let folder = path.display();
            return Err(Error::passing(format!("the folder `{folder}` has no `{first}` and no `{second}`")));
        };
        file = named;
        metadata = fs::metadata(&file).map_err(|error| unread(&file, &error))?;
    }
    // Asked before it is opened: opening a pipe waits for its other end.
    if !metadata.is_file() {
        return Err(Error::lasting(format!("`{}` is not a regular file", file.display())));
    }
    // One byte more than is allowed at most.
    let mut bytes = Vec::new();
    let read = File::open(&file).and_then(|it| it.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| unread(&file, &error))?;
    match parse(&bytes) {
        Ok(table) => Ok(Ready { table, path: file }),
        Err(error) => Err(Error { message: format!("`{}` {error}", file.display()), ..error }),
    }
}

fn unread(path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    match (error.kind(), fs::read_link(path)) {
        // As in the middle of a change of the config map.
        (io::ErrorKind::NotFound, Ok(target)) => {
            Error::passing(format!("`{shown}` is a link to `{}`, which does not exist", target.display()))
        }
        (io::ErrorKind::NotFound, Err(_)) => Error::passing(format!("`{shown}` does not exist")),
        (io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename, _) => {
            Error::lasting(format!("`{shown}` can't be read: {error}"))
        }
        _ if error.raw_os_error() == Some(ELOOP) => Error::lasting(format!("`{shown}` is a link that leads to itself")),
        _ => Error::passing(format!("`{shown}` can't be read: {error}")),
    }
}
