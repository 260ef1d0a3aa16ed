//! Waiting for a table to be complete, in steps that somebody else's event loop drives.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::limits::MAX_BYTES;
use crate::locate::{FILE_NAME, Location, Origin};
use crate::parse::{TableError, parse};
use crate::table::RankTable;

/// Between two looks at first, and whenever something changed.
pub const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// Between two looks at most; the interval doubles while nothing changes. The vendor's scripts look once a second.
pub const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// How long a table has to be wrong in the same way before it is given up: one that is overwritten in place may be a mixture
/// of two for a moment.
pub const CONFIRM: Duration = Duration::from_secs(1);

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
        /// Why.
        why: NotYet,
        /// Whether that was not so at the last look: a reason to tell.
        is_new: bool,
        /// When to call [`Watcher::step`] again.
        again: Instant,
    },
    /// Waiting is over: the time is, or no waiting will help.
    Failed(WaitError),
}

/// Why there is no complete table at the moment. Displayed as a sentence that names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotYet {
    /// There is no such file.
    #[error("`{}` does not exist", .path.display())]
    NoFile {
        /// The file, or the folder that was named.
        path: PathBuf,
    },
    /// A symbolic link without its target, as in the middle of a change of the config map.
    #[error("`{}` is a link to `{}`, which does not exist", .path.display(), .target.display())]
    NoTarget {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// The folder is there, the file is not.
    #[error("the folder `{}` has no `{FILE_NAME}`", .folder.display())]
    NoFileInFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// A pipe or a device. Waiting does not help.
    #[error("`{}` is not a regular file", .path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// It can't be read. Waiting does not help where it is not allowed, and may otherwise.
    #[error("`{}` can't be read: {message}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
        /// It said that it is not allowed.
        denied: bool,
    },
    /// It was read and is not a complete table.
    #[error("`{}` {error}", .path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        error: TableError,
    },
}

impl NotYet {
    /// Whether waiting may help.
    pub fn may_pass(&self) -> bool {
        match self {
            NotYet::NoFile { .. } | NotYet::NoTarget { .. } | NotYet::NoFileInFolder { .. } => true,
            NotYet::NotAFile { .. } => false,
            NotYet::Unreadable { denied, .. } => !denied,
            NotYet::Table { error, .. } => error.may_pass(),
        }
    }
}

/// There will be no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time is over.
    #[error("no complete rank table{} ({origin}): {missing}", after(*.waited))]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
        /// What was missing at the last look.
        missing: NotYet,
        /// What said where to look.
        origin: Origin,
    },
    /// It was wrong for [`CONFIRM`] in a way that does not pass.
    #[error("the rank table can't be used ({origin}): {why}")]
    Unusable {
        /// In which way.
        why: NotYet,
        /// What said where to look.
        origin: Origin,
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
    last: Option<(NotYet, Instant)>,
}

impl Watcher {
    /// Waits from `now` on for `patience`, or for ever where that is `None`. Does not look yet.
    pub fn new(location: Location, now: Instant, patience: Option<Duration>) -> Watcher {
        // A time that can't be counted is for ever.
        let deadline = patience.and_then(|patience| now.checked_add(patience));
        Watcher { location, started: now, deadline, interval: MIN_INTERVAL, last: None }
    }

    /// Where it looks.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Looks once, reading the whole file; takes as long as the file system does for that.
    ///
    /// Everything is looked up anew each time (folder or file, links, contents), so that it does not matter how the table
    /// is replaced. Also the first step looks, whatever the patience, and there is a last look when the time is over.
    pub fn step(&mut self, now: Instant) -> Step {
        let why = match look(&self.location.path) {
            Ok(ready) => return Step::Ready(ready),
            Err(why) => why,
        };
        let since = match &self.last {
            Some((last, since)) if *last == why => Some(*since),
            _ => None,
        };
        let is_new = since.is_none();
        let since = since.unwrap_or(now);
        if is_new {
            self.last = Some((why.clone(), now));
            self.interval = MIN_INTERVAL;
        }
        let is_over = self.deadline.is_some_and(|deadline| now >= deadline);
        let origin = self.location.origin;
        if !why.may_pass() && (is_over || now.saturating_duration_since(since) >= CONFIRM) {
            return Step::Failed(WaitError::Unusable { why, origin });
        }
        if is_over {
            let waited = now.saturating_duration_since(self.started);
            return Step::Failed(WaitError::TimedOut { waited, missing: why, origin });
        }
        let again = now + self.interval;
        self.interval = (self.interval * 2).min(MAX_INTERVAL);
        let again = if why.may_pass() { again } else { again.min(since + CONFIRM) };
        Step::NotYet { why, is_new, again: self.deadline.map_or(again, |deadline| again.min(deadline)) }
    }
}

/// How long it was waited, where it was: a single look takes microseconds.
fn after(waited: Duration) -> String {
    if waited < MIN_INTERVAL { String::new() } else { format!(" after {waited:.0?}") }
}

fn look(path: &Path) -> Result<Ready, NotYet> {
    let metadata = fs::metadata(path).map_err(|error| explain(path, &error, None))?;
    let (file, metadata) = if metadata.is_dir() {
        let file = path.join(FILE_NAME);
        let metadata = fs::metadata(&file).map_err(|error| explain(&file, &error, Some(path)))?;
        (file, metadata)
    } else {
        (path.to_owned(), metadata)
    };
    // Asked before it is opened: opening a pipe waits for its other end.
    if !metadata.is_file() {
        return Err(NotYet::NotAFile { path: file });
    }
    let bytes = read(&file).map_err(|error| explain(&file, &error, None))?;
    match parse(&bytes) {
        Ok(table) => Ok(Ready { table, path: file }),
        Err(error) => Err(NotYet::Table { path: file, error }),
    }
}

/// The bytes of a file, one more than is allowed at most.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn explain(path: &Path, error: &io::Error, folder: Option<&Path>) -> NotYet {
    if error.kind() != io::ErrorKind::NotFound {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        return NotYet::Unreadable { path: path.to_owned(), message: error.to_string(), denied };
    }
    match (fs::read_link(path), folder) {
        (Ok(target), _) => NotYet::NoTarget { path: path.to_owned(), target },
        (Err(_), Some(folder)) => NotYet::NoFileInFolder { folder: folder.to_owned() },
        (Err(_), None) => NotYet::NoFile { path: path.to_owned() },
    }
}
