//! All that is decided before the first rank is started: folders, the ranks' table, variables, cores.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rank_table::FILE_NAME;

use super::bind;
use super::engine::Engine;
use super::files::Folders;
use super::master_port::{self, MasterPort};
use super::nodes::Nodes;
use super::paths::{self, Surroundings};
use super::recovery::{self, First};
use super::variables::{self, RankContext};
use super::{Job, Processes, Rank, framework, launchers, placeholders, restarts};
use crate::exit::{Exit, Failure};
use crate::links;
use crate::options::{Framework, Master, RunOptions};
use crate::output::Sink;

/// What the ranks of this server are started with.
#[derive(Debug)]
pub struct Setup {
    pub options: RunOptions,
    pub job: Job,
    /// Who stops the nodes of the job, and may start them again.
    pub engine: Option<Engine>,
    /// The number of this run's first attempt: more than 1 where an earlier run of the job has left some.
    pub first_attempt: u32,
    /// Whether it appends to the logs of a run that has succeeded.
    appends: bool,
    /// Its folders, all of them there unless this is a dry run.
    pub folders: Folders,
    /// What the user should know about these choices, a sentence each.
    pub notes: Vec<String>,
    master_port: MasterPort,
    /// The command of MindSpore's scheduler, where this node has one.
    scheduler: Option<Vec<OsString>>,
    /// Its address; looked for when the first process needs it, as names of other nodes may come late.
    scheduler_host: OnceLock<String>,
    /// Cores of each rank; none for all.
    cpus: Vec<Vec<u32>>,
}

/// What one rank is started with.
#[derive(Debug)]
pub struct RankPlan {
    pub rank: Rank,
    pub sink: Sink,
    /// What its environment has other than the launcher's; variables that are to be removed have no value.
    pub variables: Vec<(&'static str, Option<OsString>)>,
    pub cpus: Vec<u32>,
}

/// What MindSpore's scheduler is started with.
#[derive(Debug)]
pub struct SchedulerPlan<'a> {
    pub command: &'a [OsString],
    pub sink: Sink,
    /// As those of a [`RankPlan`].
    pub variables: Vec<(&'static str, Option<OsString>)>,
}

/// Decides everything and makes the folders; a dry run only decides.
///
/// # Errors
///
/// With exit code 2 if the code folder is not one, MASTER_PORT no port, these ranks can't be restarted alone, the command of
/// each would start ranks itself, or a command for several nodes can't be told where node 0 is: what was named is the user's
/// to fix. With 125 if there is no folder for something, another user has put a link there, or the table can't be written.
pub fn prepare(options: RunOptions, job: Job) -> Result<Setup, Failure> {
    let dry = options.dry_run;
    let engine = Engine::find(&variables::own);
    restarts::check(options.max_restarts, &job, engine)?;
    launchers::check(&options.command, &job)?;
    placeholders::check_master(&job)?;
    let around = Surroundings::real(dry);
    let code = code_folder(&options)?;
    let (logs, logs_note) = paths::logs(&around, options.log_dir.as_deref())?;
    let (work, table, work_notes) = scratch(&around, &options, &job)?;
    let table_note = job.table.as_ref().and_then(|it| it.note.clone());
    let mut notes: Vec<String> =
        [job.choice.note.clone(), table_note, logs_note].into_iter().flatten().chain(work_notes).collect();
    let is_foreign = options.task.is_some() && !paths::is_home_own(&around);
    let replace_home = is_foreign || !paths::is_home_usable(&around);
    if replace_home {
        let why = if is_foreign { "is not this user's own" } else { "is not set or can't be written" };
        notes.push(format!("HOME {why}, so each rank gets its work folder as HOME"));
    }
    let (cpus, note) = bind::cores(options.bind, &job.ranks.iter().map(|it| it.physical).collect::<Vec<_>>());
    notes.extend(note);
    let folders = Folders { code, logs, table, work, replace_home };
    let First { attempt: first_attempt, appends } = recovery::first_attempt(&folders, &job, &variables::own);
    notes.extend(process_logs(&folders, &job, first_attempt, dry)?);
    let master_port = master_port::choose(&job, &variables::own)?;
    let scheduler = job.has_scheduler().then(|| framework::scheduler(job.choice.interpreter.as_deref()));
    let command = match job.processes {
        Processes::PerNode(each) => placeholders::fill(&options.command, &job, each, master_port.number),
        _ => options.command,
    };
    let options = RunOptions { command, ..options };
    let scheduler_host = OnceLock::new();
    Ok(Setup {
        options,
        job,
        engine,
        first_attempt,
        appends,
        folders,
        notes,
        master_port,
        scheduler,
        scheduler_host,
        cpus,
    })
}

/// The folder for the ranks' work and the file of their table, both made unless this is a dry run, and what is to be said.
fn scratch(
    around: &Surroundings,
    options: &RunOptions,
    job: &Job,
) -> Result<(PathBuf, Option<PathBuf>, Vec<String>), Failure> {
    let devices: Vec<u32> = job.ranks.iter().map(|it| it.device).collect();
    let (work, note) = paths::work(around, &devices)?;
    let mut notes = Vec::from_iter(note);
    let table = match &job.table {
        None => None,
        Some(_) if !job.framework().wants_table() && options.rank_table.is_none() => None,
        Some(table) if !job.needs_conversion() && (job.framework().wants_table() || is_real(&table.path)) => {
            Some(absolute(&table.path))
        }
        Some(table) => {
            let (folder, note) = paths::rank_table(around)?;
            notes.extend(note);
            let path = folder.join(FILE_NAME);
            let write = || match job.needs_conversion() {
                true => rank_table::write_v1(&table.table, &path),
                false => rank_table::write_copy(&table.table, &table.path, &path),
            };
            if !around.dry {
                write().map_err(|error| Failure::new(Exit::LAUNCHER, error))?;
            }
            Some(path)
        }
    };
    Ok((work, table, notes))
}

/// Whether no part of a path is a link: torch_npu refuses a table that is one, and one in Kubernetes' folders changes under it.
fn is_real(path: &Path) -> bool {
    let path = absolute(path);
    fs::canonicalize(&path).is_ok_and(|it| it == path)
}

/// Makes the folders of CANN's logs, unless this is a dry run; gives what went wrong. Errors: a link of another user.
fn process_logs(folders: &Folders, job: &Job, attempt: u32, dry: bool) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    for rank in &job.ranks {
        let process_log = folders.process_log(job, rank, &variables::own);
        if let Some(link) =
            [&process_log, &folders.log_file(job, rank, attempt)].into_iter().find_map(|it| links::foreign(it))
        {
            let text = format!(
                "{link}\nhint: remove it, or name another folder with `--log-dir`, or in ASCEND_PROCESS_LOG_PATH if that is set"
            );
            return Err(Failure::new(Exit::LAUNCHER, text));
        }
        // Whoever starts the ranks makes theirs.
        if !dry
            && job.starts_ranks()
            && let Err(error) = links::make_folder(&process_log, 0o777)
        {
            notes.push(format!("failed to make the folder `{}` for CANN's log: {error}", process_log.display()));
        }
    }
    Ok(notes)
}

impl Setup {
    /// Makes again what an attempt has removed. Logs that can't be written are counted as lost, and stop no rank.
    ///
    /// # Errors
    ///
    /// As [`prepare`], and where only other folders than before can be used.
    pub fn restore(&self) -> Result<(), Failure> {
        let Setup { options, job, folders, .. } = self;
        code_folder(options)?;
        let (work, table, notes) = scratch(&Surroundings::real(false), options, job)?;
        if (&work, &table) != (&folders.work, &folders.table) {
            return Err(Failure::new(Exit::LAUNCHER, notes.join("; ")));
        }
        process_logs(folders, job, self.first_attempt, false).map(drop)
    }

    /// Removes the report of an earlier run under this run's number: it would be taken for this one's, should the launcher be
    /// killed. Of runs that append to the same logs, the one that removes it goes on; the others count on.
    pub fn remove_report(&mut self) {
        let removed = fs::remove_file(self.report_file());
        if self.appends && removed.is_err_and(|it| it.kind() == ErrorKind::NotFound) {
            (self.first_attempt, self.appends) = (self.first_attempt.saturating_add(1), false);
        }
    }

    /// Takes the number of the first attempt before other runs do, or a later one.
    pub fn claim_first_attempt(&mut self) {
        if !self.appends {
            self.first_attempt = self.claim(self.first_attempt);
        }
    }

    /// Takes the number of an attempt, or a later one: see [`recovery::claim`].
    pub fn claim(&self, attempt: u32) -> u32 {
        recovery::claim(attempt, &self.folders, &self.job, &variables::own)
    }

    /// Which node of several this one is, where they meet, and what says so; of one node there is nothing to say.
    pub fn nodes(&self) -> Option<String> {
        let Nodes { count, index, master, by } = &self.job.nodes;
        let port = Some(self.master_port.number);
        let master = master.as_ref().map(|it| format!(", master {}", Master { host: it.host.clone(), port }));
        (*count > 1).then(|| format!("node {index} of {count}{}, by {by}", master.unwrap_or_default()))
    }

    /// MASTER_PORT of the ranks.
    pub fn master_port(&self) -> u16 {
        self.master_port.number
    }

    /// The report of this run beside the logs.
    pub fn report_file(&self) -> PathBuf {
        self.folders.report_file(&self.job, self.first_attempt)
    }

    /// The plans of the ranks of this server, for an attempt from [`Setup::first_attempt`] on.
    pub fn ranks(&self, attempt: u32) -> impl Iterator<Item = RankPlan> {
        let Setup { options, job, folders, .. } = self;
        job.ranks.iter().zip(&self.cpus).map(move |(rank, cpus)| {
            let label = match job.processes {
                Processes::Ranks => format!("rank {}", rank.rank),
                Processes::PerNode(_) => format!("node {}", rank.rank),
                Processes::Scripts => "scripts".to_owned(),
            };
            let on_console = options.console.as_ref().is_none_or(|it| it.contains(&rank.rank));
            let of = RankContext {
                job,
                rank,
                folders,
                task: options.task,
                master_port: self.master_port.number,
                scheduler_host: self.scheduler_host(),
                attempt,
                lookup: &variables::own,
            };
            RankPlan {
                rank: *rank,
                sink: Sink { label, file: folders.log_file(job, rank, attempt), on_console },
                variables: of.changes(),
                cpus: cpus.clone(),
            }
        })
    }

    /// The plan of MindSpore's scheduler, where this node has one, for an attempt as in [`Setup::ranks`].
    pub fn scheduler(&self, attempt: u32) -> Option<SchedulerPlan<'_>> {
        let command = self.scheduler.as_deref()?;
        let variables = variables::of_scheduler(self.ranks(attempt).next()?.variables);
        // It says every 5 s how many ranks there are.
        let file = self.folders.scheduler_log(&self.job, attempt);
        let sink = Sink { label: "scheduler".to_owned(), file, on_console: false };
        Some(SchedulerPlan { command, sink, variables })
    }

    fn scheduler_host(&self) -> &str {
        let master = self.job.master();
        self.scheduler_host.get_or_init(|| {
            let address =
                Some(master).filter(|_| self.job.framework() == Framework::MindSpore).and_then(framework::address);
            address.map_or_else(|| master.to_owned(), |it| it.to_string())
        })
    }
}

pub fn code_folder(options: &RunOptions) -> Result<PathBuf, Failure> {
    let (path, by) = match (&options.code_dir, variables::own("MODEL_TASK_CWD")) {
        (Some(path), _) => (path.clone(), "given by `--code-dir`"),
        (None, Some(path)) => (path.into(), "named by MODEL_TASK_CWD"),
        // Whoever is in it already need not enter it: the platform starts containers in ma-user's home under any uid.
        (None, None) => return Ok(absolute(Path::new("."))),
    };
    let path = absolute(&path);
    // A search of `.` in it fails in the same ways as entering it.
    let failed = |error| {
        let path = path.display();
        let text = format!(
            "the code folder `{path}` ({by}) can't be entered: {error}\n\
             hint: name the folder of the training code with `--code-dir`"
        );
        Failure::new(Exit::USAGE, text)
    };
    fs::metadata(path.join(".")).map_err(failed)?;
    Ok(path)
}

/// A path that means the same in another folder. Links stay: the code folder may be one on purpose.
fn absolute(path: &Path) -> PathBuf {
    let current = || env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    if path == Path::new(".") { current() } else { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) }
}
