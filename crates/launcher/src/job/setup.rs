//! All that is decided before the first rank is started: folders, the ranks' table, variables, cores.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rank_table::{FILE_NAME, WriteError};

use crate::exit::Exit;
use crate::job::bind::{self, Binding, affinity};
use crate::job::environment::{self, Folders};
use crate::job::places::{self, NoPlace, Surroundings};
use crate::job::{Job, Rank};
use crate::options::{Bind, RunOptions};
use crate::output::Sink;

/// What the ranks of this server are started with.
#[derive(Debug)]
pub struct Setup {
    /// The flags.
    pub options: RunOptions,
    /// What this server does.
    pub job: Job,
    /// Its folders, all of them there unless this is a dry run.
    pub folders: Folders,
    /// Cores of each rank; none for all.
    pub cpus: Vec<Vec<usize>>,
    /// What the user should know about these choices, a sentence each.
    pub notes: Vec<String>,
}

/// Why nothing can be started.
#[derive(Debug)]
pub enum SetupError {
    /// The code folder is not one.
    Code(PathBuf, &'static str, std::io::Error),
    /// No folder can be used for something.
    Place(NoPlace),
    /// The v1 table can't be written.
    Table(WriteError),
}

impl SetupError {
    /// A folder that was named is the user's to mend.
    pub fn exit(&self) -> Exit {
        match self {
            SetupError::Code(..) => Exit::USAGE,
            SetupError::Place(_) | SetupError::Table(_) => Exit::LAUNCHER,
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Code(path, by, error) => {
                write!(f, "the code folder `{}` ({by}) can't be entered: {error}", path.display())?;
                f.write_str("\nhint: name the folder of the training code with `--code-dir`")
            }
            SetupError::Place(error) => error.fmt(f),
            SetupError::Table(error) => error.fmt(f),
        }
    }
}

impl From<NoPlace> for SetupError {
    fn from(error: NoPlace) -> Self {
        SetupError::Place(error)
    }
}

/// Decides everything and makes the folders; a dry run only decides.
pub fn prepare(options: RunOptions, job: Job) -> Result<Setup, SetupError> {
    let variable = |name: &str| env::var_os(name);
    let dry = options.dry_run;
    let around = Surroundings { var: &variable, uid: nix::unistd::geteuid().as_raw(), root: Path::new("/"), dry };
    let code = code_folder(&options)?;
    let logs = places::logs(&around, options.log_dir.as_deref())?;
    let devices: Vec<u32> = job.ranks.iter().map(|it| it.device).collect();
    let work = places::work(&around, &devices)?;
    let mut notes: Vec<String> = [logs.note, work.note].into_iter().flatten().collect();
    let table = match &job.table {
        None => None,
        Some(table) if !job.needs_conversion() => Some(absolute(&table.path)),
        Some(table) => {
            let place = places::rank_table(&around)?;
            notes.extend(place.note);
            let path = place.path.join(FILE_NAME);
            if !dry {
                rank_table::write_v1(&table.table, &path).map_err(SetupError::Table)?;
            }
            Some(path)
        }
    };
    let first_work = places::device_folder(&work.path, devices.first().copied().unwrap_or(0));
    let is_foreign = options.own_home && !places::is_home_own(&around);
    let replace_home = is_foreign || places::home(&around, &first_work).is_some();
    if replace_home {
        let why = if is_foreign { "is not this user's own" } else { "is not set or can't be written" };
        notes.push(format!("HOME {why}, so each rank gets its work folder as HOME"));
    }
    let (cpus, note) = cores(options.bind, &job.ranks.iter().map(|it| it.physical).collect::<Vec<_>>());
    notes.extend(note);
    let folders = Folders { code, logs: logs.path, table, work: work.path, replace_home };
    // The scripts make those of their ranks.
    if !dry && !job.by_scripts {
        for rank in &job.ranks {
            let path = environment::process_log(&job, rank, &folders.logs, variable);
            if let Err(error) = fs::create_dir_all(&path) {
                notes.push(format!("failed to make the folder `{}` for CANN's log: {error}", path.display()));
            }
        }
    }
    Ok(Setup { options, job, folders, cpus, notes })
}

impl Setup {
    /// Where the output of a rank goes.
    pub fn sink(&self, rank: &Rank, attempt: u32) -> Sink {
        let label = if self.job.by_scripts { "scripts".to_owned() } else { format!("rank {}", rank.rank) };
        Sink { label, file: self.log_file(rank, attempt), on_console: self.options.console.shows(rank.rank) }
    }

    /// The log file of a rank.
    pub fn log_file(&self, rank: &Rank, attempt: u32) -> PathBuf {
        environment::log_file(&self.job, rank, &self.folders.logs, attempt)
    }

    /// What a rank's environment has other than the launcher's.
    pub fn variables(&self, rank: &Rank, attempt: u32) -> Vec<(&'static str, Option<OsString>)> {
        let mut variables = environment::of_rank(&self.job, rank, &self.folders, attempt, |name| env::var_os(name));
        variables.extend(self.options.variables.iter().map(|(name, value)| (*name, Some(value.clone()))));
        variables
    }
}

fn code_folder(options: &RunOptions) -> Result<PathBuf, SetupError> {
    let (path, by) = match (&options.code_dir, env::var_os("MODEL_TASK_CWD").filter(|it| !it.is_empty())) {
        (Some(path), _) => (path.clone(), "given by `--code-dir`"),
        (None, Some(path)) => (path.into(), "named by MODEL_TASK_CWD"),
        // Whoever is in it already need not enter it: the platform starts containers in ma-user's home under any uid.
        (None, None) => return Ok(absolute(Path::new("."))),
    };
    let path = absolute(&path);
    // A search of `.` in it fails in the same ways as entering it.
    match fs::metadata(path.join(".")) {
        Ok(_) => Ok(path),
        Err(error) => Err(SetupError::Code(path, by, error)),
    }
}

/// A path that means the same in another folder. Links stay: the code folder may be one on purpose.
fn absolute(path: &Path) -> PathBuf {
    let current = || env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    if path == Path::new(".") { current() } else { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) }
}

/// The cores of each rank, none for all; with a note where that is not what was asked for.
fn cores(bind: Bind, devices: &[u32]) -> (Vec<Vec<usize>>, Option<String>) {
    let Binding { mut cpus, note } = match affinity::allowed() {
        _ if bind == Bind::None => Binding::default(),
        Ok(allowed) => bind::plan(bind, devices, &allowed, Path::new("/sys")),
        Err(error) => {
            let note = format!("ranks are not bound to cores, which can't be listed: {error}");
            Binding { cpus: Vec::new(), note: Some(note) }
        }
    };
    cpus.resize(devices.len(), Vec::new());
    (cpus, note)
}
