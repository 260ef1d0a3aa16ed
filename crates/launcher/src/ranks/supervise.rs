//! One start of the ranks, from the first process to the last: an event loop over signals, the ranks' output and time.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use libc::c_int;

use crate::job::Job;
use crate::job::setup::{RankPlan, SchedulerPlan, Setup};
use crate::output::{self, Output};
use crate::ranks::background::Background;
use crate::ranks::family;
use crate::ranks::guardian;
use crate::ranks::oom::Counter;
use crate::ranks::rank::{Ended, Ending, Outcome, RankOutcome, Role, Watched, first_of, who};
use crate::ranks::reap::{End, reap};
use crate::ranks::signals::{self, ReceivedSignals, Signals};
use crate::ranks::stall::{Sample, Stall};
use crate::ranks::start::{self, Starting};
use crate::ranks::teardown::{Teardown, TeardownEvent};
use crate::ranks::wait;
use crate::signatures;
use crate::units;

/// How long the last output may take to be read when all processes are gone.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the scheduler of a job of this node alone may take to notice that its ranks have ended: it looks every 5 s.
const SCHEDULER_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked for groups that SIGSTOP or SIGCONT has not reached: some leave theirs during a look, and whoever
/// forks without end has new ones in each.
const LOOKS: usize = 3;

#[derive(Debug)]
pub struct Attempt {
    pub number: u32,
    pub started: SystemTime,
    /// Until nothing was left.
    pub lasted: Duration,
    pub ending: Ending,
    /// The ranks in the order of the job's, then the scheduler where this node has one.
    pub watched: Vec<Watched>,
    /// What could not be killed.
    pub survivors: Vec<String>,
    /// A signal from outside wanted an end, be it after something else had begun one.
    pub told_to_stop: bool,
    /// Processes that the kernel killed for want of memory, the ranks' children among them.
    pub oom_kills: u64,
}

/// Starts the ranks and comes back when all of them and all that they have started are gone.
///
/// # Errors
///
/// If the system does not let the launcher wait; then everything is killed when the launcher ends.
pub fn attempt(
    setup: &Setup,
    number: u32,
    signals: &Signals,
    output: &mut Output,
    beside: &mut dyn Background,
) -> io::Result<Attempt> {
    let (started, begin) = (SystemTime::now(), Instant::now());
    let watch = setup.options.stall.map(|limit| Stall::new(limit, begin));
    let oom = Counter::start(Path::new("/"));
    let mut supervisor = Supervisor {
        setup,
        signals,
        output,
        beside,
        watched: Vec::new(),
        ending: None,
        teardown: None,
        alone_since: None,
        none_left: false,
        has_child_ended: false,
        told_to_stop: false,
        watch,
        oom,
        buffer: vec![0; output::AT_ONCE],
    };
    supervisor.start(number);
    if signals.is_paused() {
        supervisor.pass_on(libc::SIGSTOP);
    }
    supervisor.reap(None)?;
    while !supervisor.none_left && !supervisor.teardown.as_ref().is_some_and(Teardown::has_given_up) {
        supervisor.turn()?;
    }
    drain(&mut supervisor.watched, supervisor.output, &mut supervisor.buffer, DRAIN)?;
    let survivors = if supervisor.none_left { Vec::new() } else { family::describe() };
    let oom_kills = supervisor.oom_kills();
    let Supervisor { mut watched, ending, told_to_stop, .. } = supervisor;
    for it in &mut watched {
        (it.first_output, it.last_output) = output.first_and_last_output(it.sink).unzip();
    }
    for failed in watched.iter_mut().filter(|it| it.outcome() == RankOutcome::Failed) {
        failed.last_lines = output.tail(failed.sink);
        failed.is_follower = signatures::is_follower(&failed.last_lines);
    }
    let ending = ending.unwrap_or_else(|| Ending::succeeded(&setup.job));
    let ending = judged(ending, &watched, &setup.job);
    Ok(Attempt { number, started, lasted: begin.elapsed(), ending, watched, survivors, told_to_stop, oom_kills })
}

/// An ending with all that the ranks have said: of failures that were noticed at once, one may be the cause of the others.
fn judged(ending: Ending, ranks: &[Watched], job: &Job) -> Ending {
    let has_failed = |(index, it): (usize, &Watched)| {
        let ended = it.ended.filter(|_| it.outcome() == RankOutcome::Failed)?;
        Some((index, ended))
    };
    let failed: Vec<_> = ranks.iter().enumerate().filter_map(has_failed).collect();
    match first_of(&failed, ranks) {
        Some((first, ended)) if ending.outcome == Outcome::Failed && ending.first != Some(first) => {
            Ending::failed(first, &ranks[first], &ended, job)
        }
        _ => ending,
    }
}

struct Supervisor<'a> {
    setup: &'a Setup,
    signals: &'a Signals,
    output: &'a mut Output,
    /// Goes on beside the ranks and ends after them.
    beside: &'a mut dyn Background,
    watched: Vec<Watched>,
    /// Known as soon as something other than success is.
    ending: Option<Ending>,
    teardown: Option<Teardown>,
    /// All ranks have succeeded, and the scheduler is left, since then.
    alone_since: Option<Instant>,
    /// No child is left.
    none_left: bool,
    /// Children have ended since the teardown was seen to.
    has_child_ended: bool,
    /// A signal wanted an end.
    told_to_stop: bool,
    watch: Option<Stall>,
    oom: Option<Counter>,
    buffer: Vec<u8>,
}

impl Supervisor<'_> {
    /// Starts all of them; where one can't be, those that could are stopped.
    fn start(&mut self, number: u32) {
        let setup = self.setup;
        let ranks = setup.ranks(number).map(|RankPlan { rank, sink, variables, cpus }| {
            (Role::Rank(rank), setup.options.command.as_slice(), sink, variables, cpus)
        });
        let scheduler = setup
            .scheduler(number)
            .map(|SchedulerPlan { command, sink, variables }| (Role::Scheduler, command, sink, variables, Vec::new()));
        let mut starting = Vec::new();
        for (role, command, sink, variables, cpus) in ranks.chain(scheduler) {
            let log = sink.file.clone();
            let mut watched = Watched::new(role, log, self.output.open(sink));
            let variable = |name: &str| Some(variables.iter().find(|it| it.0 == name)?.1.as_ref()?.clone());
            watched.master_port = variable("MASTER_PORT").and_then(|it| it.into_string().ok());
            watched.process_log = variable("ASCEND_PROCESS_LOG_PATH").map(PathBuf::from);
            self.watched.push(watched);
            let begun = start::begin(command, &variables, &setup.folders.code, &cpus);
            let is_over = begun.is_err();
            starting.push(begun);
            if is_over {
                break;
            }
        }
        let mut failed = None;
        for (index, begun) in starting.into_iter().enumerate() {
            let watched = &mut self.watched[index];
            match begun.and_then(Starting::wait) {
                Ok((pid, pipe)) => (watched.pid, watched.pipe) = (Some(pid), Some(pipe)),
                Err(error) => {
                    let ending = || Ending::not_started(index, watched, &error, &setup.job);
                    failed = failed.or_else(|| Some(ending()));
                    watched.not_started = Some(error);
                }
            }
        }
        if let Some(ending) = failed {
            self.stop(ending, libc::SIGTERM);
        }
    }

    /// Sleeps until something happens and does what has to be done about it.
    fn turn(&mut self) -> io::Result<()> {
        let readers: Vec<usize> = (0..self.watched.len())
            .filter(|index| self.watched[*index].pipe.is_some() && self.output.wants(self.watched[*index].sink) > 0)
            .collect();
        let ready = {
            let mut descriptors = vec![self.signals.as_fd(), self.output.wake_fd()];
            descriptors.extend(readers.iter().filter_map(|index| self.watched[*index].pipe.as_ref()).map(AsFd::as_fd));
            descriptors.extend(self.beside.fd());
            wait::readable(&descriptors, self.deadline())?
        };
        if ready[0] {
            self.take_signals()?;
        }
        for (index, _) in readers.iter().zip(&ready[2..]).filter(|(_, ready)| **ready) {
            read(&mut self.watched[*index], self.output, &mut self.buffer);
        }
        let now = Instant::now();
        for line in self.beside.turn(ready.get(2 + readers.len()) == Some(&true), now) {
            self.say(&line);
        }
        self.output.tick(now);
        if self.scheduler_due().is_some_and(|it| now >= it) {
            self.stop_scheduler(libc::SIGTERM);
        }
        self.step_teardown(now);
        self.look_for_stall(now);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let teardown = self.teardown.as_ref().and_then(Teardown::deadline);
        let [output, beside] = [self.output.deadline(), self.beside.deadline()];
        [output, beside, teardown, self.watch_due(), self.scheduler_due()].into_iter().flatten().min()
    }

    fn take_signals(&mut self) -> io::Result<()> {
        let ReceivedSignals { mut stopping, passed_on, child_ended, guardian_gone } = self.signals.heard()?;
        self.has_child_ended |= child_ended;
        if guardian_gone {
            self.say("the guardian of the launcher was killed");
        }
        // Who asks for an end and then kills does not wait for it any longer.
        if let (true, true, Some(teardown)) = (guardian_gone, self.told_to_stop, &mut self.teardown) {
            teardown.hurry(Instant::now());
        }
        self.told_to_stop |= stopping.is_some();
        if let (Some(signal), Some(teardown)) = (stopping, &mut self.teardown) {
            teardown.again(signal, Instant::now());
            stopping = None;
        }
        if self.has_child_ended {
            self.reap(stopping)?;
        }
        // Without anybody left it came too late.
        match stopping {
            // The ranks have succeeded.
            Some(signal) if self.alone_since.is_some() => self.stop_scheduler(signal),
            Some(signal) if self.ending.is_none() && !self.none_left => {
                self.stop(Ending::terminated(signal, self.setup.engine), signal)
            }
            _ => {}
        }
        // After an end has begun: the guardian sends SIGCONT with each request for one, and looking for all takes its time.
        for signal in passed_on {
            self.pass_on(signal);
        }
        Ok(())
    }

    /// Passes a signal on to the ranks; what makes processes stand still or go on, to everything below.
    fn pass_on(&mut self, signal: c_int) {
        match &mut self.teardown {
            // What is asked to end has to hear of it.
            Some(_) if signal == libc::SIGSTOP => return,
            Some(teardown) if signal == libc::SIGCONT => return teardown.again(signal, Instant::now()),
            _ => {}
        }
        let is_for_all = [libc::SIGSTOP, libc::SIGCONT].contains(&signal);
        // What ranks do when they are told to save, say, would be the end of the scheduler.
        let groups = self.live().filter(|it| is_for_all || it.is_rank()).filter_map(|it| it.pid).collect();
        let look = || family::groups().unwrap_or_default();
        tell(groups, if is_for_all { LOOKS } else { 0 }, look, |group| signals::send_to_group(group, signal));
        // Nobody is to blame for the time in between.
        if signal == libc::SIGCONT {
            self.watch = self.setup.options.stall.map(|limit| Stall::new(limit, Instant::now()));
        }
        if signal == libc::SIGSTOP {
            self.say("paused by SIGTSTP until SIGCONT");
        }
    }

    /// Takes the dead. `stopping` is a signal that arrived at the same time.
    fn reap(&mut self, stopping: Option<c_int>) -> io::Result<()> {
        let reaped = reap()?;
        self.none_left = reaped.none_left;
        let (now, wall, were_stopped) = (Instant::now(), SystemTime::now(), self.teardown.is_some());
        let (mut failed, mut has_scheduler_succeeded) = (Vec::new(), false);
        for (pid, end) in reaped.ended {
            self.beside.ended(pid, end);
            // The others are strays of the ranks.
            let Some(index) = self.watched.iter().position(|it| it.pid == Some(pid) && it.ended.is_none()) else {
                continue;
            };
            let out_of_memory = end == End::Signal(libc::SIGKILL) && !were_stopped && self.oom_kills() > 0;
            let ended = Ended { end, at: now, wall, stopped: were_stopped, out_of_memory };
            self.watched[index].ended = Some(ended);
            if end != End::Code(0) && !were_stopped {
                failed.push((index, ended));
            }
            has_scheduler_succeeded |= end == End::Code(0) && !were_stopped && !self.watched[index].is_rank();
        }
        if has_scheduler_succeeded && self.ranks_run() {
            self.say("the scheduler exited with code 0 while ranks of this node run");
        }
        if !self.ranks_run() {
            // It has lost ranks of other nodes, which fail there.
            for (_, ended) in failed.extract_if(.., |(index, _)| !self.watched[*index].is_rank()) {
                self.output.say(&format!("the scheduler {} after the ranks of this node had ended", ended.end));
            }
        }
        if let Some((first, ended)) = first_of(&failed, &self.watched) {
            match stopping {
                // Whoever sent us the signal has sent it to the ranks, too. Where other nodes are stopped with this one, ranks
                // fail for want of theirs.
                Some(signal) if matches!(ended.end, End::Signal(_)) || self.setup.job.nodes.count > 1 => {
                    for (index, _) in failed {
                        self.watched[index].ended.iter_mut().for_each(|it| it.stopped = true);
                    }
                    self.stop(Ending::terminated(signal, self.setup.engine), signal);
                }
                _ => self.stop(Ending::failed(first, &self.watched[first], &ended, &self.setup.job), libc::SIGTERM),
            }
        }
        if self.teardown.is_some() || self.none_left || self.ranks_run() {
            return Ok(());
        }
        if self.live().next().is_none() {
            // What they left behind does not outlive them, and is not given longer than they would be.
            self.teardown = Some(Teardown::begin(libc::SIGTERM, [], self.setup.options.grace, now));
        } else if self.alone_since.is_none() {
            self.alone_since = Some(now);
            if !self.setup.job.is_whole() {
                let until = self.setup.options.stall.map_or_else(
                    || "however long that takes: `--stall` would stop one that hangs".to_owned(),
                    |limit| format!("until it has no output and does not use its CPU for {}", units::shown(limit)),
                );
                self.say(&format!(
                    "the ranks of this node have ended; waiting for the scheduler, which serves the other nodes, {until}"
                ));
            }
        }
        Ok(())
    }

    /// When the scheduler is stopped at the latest. Not while ranks of other nodes may need it: of one of those that is gone
    /// without a word it hears nothing for 30 s, and fails.
    fn scheduler_due(&self) -> Option<Instant> {
        let since = self.alone_since.filter(|_| self.teardown.is_none() && self.setup.job.is_whole())?;
        Some(since + wait::shortened_for_tests(SCHEDULER_PATIENCE))
    }

    /// Stops the scheduler, which the ranks of this node need no more.
    fn stop_scheduler(&mut self, signal: c_int) {
        let (name, grace) = (signals::name(signal), self.setup.options.grace);
        self.say(&format!(
            "the ranks have ended; stopping the scheduler by {name}, by SIGKILL after {}",
            units::shown(grace)
        ));
        let groups: Vec<c_int> = self.groups().collect();
        self.teardown = Some(Teardown::begin(signal, groups, grace, Instant::now()));
    }

    fn stop(&mut self, ending: Ending, signal: c_int) {
        let name = signals::name(signal);
        let grace = units::shown(self.setup.options.grace);
        let line = match self.live().next() {
            None => ending.text.clone(),
            Some(_) => format!("{}; stopping {} by {name}, by SIGKILL after {grace}", ending.text, self.who_lives()),
        };
        self.say(&line);
        self.ending = Some(ending);
        let groups: Vec<c_int> = self.groups().collect();
        self.teardown = Some(Teardown::begin(signal, groups, self.setup.options.grace, Instant::now()));
    }

    fn step_teardown(&mut self, now: Instant) {
        let has_child_ended = std::mem::take(&mut self.has_child_ended);
        let Some(teardown) = &mut self.teardown else { return };
        if self.none_left || !has_child_ended && teardown.deadline().is_none_or(|it| now < it) {
            return;
        }
        let event = teardown.step(now);
        let who = if self.live().next().is_none() { "processes of the ranks".to_owned() } else { self.who_lives() };
        if event == Some(TeardownEvent::GivenUp) {
            guardian::do_not_wait_for(&family::children().unwrap_or_default());
        }
        event.iter().flat_map(|it| it.lines(&who)).for_each(|line| self.say(&line));
    }

    /// When the ranks have to be looked at, or the scheduler that outlives them: not while they are stopped or paused.
    fn watch_due(&self) -> Option<Instant> {
        let is_watched = self.teardown.is_none() && !self.signals.is_paused() && self.live().next().is_some();
        self.watch.as_ref().filter(|_| is_watched).map(Stall::due)
    }

    fn look_for_stall(&mut self, now: Instant) {
        if self.watch_due().is_none_or(|it| now < it) {
            return;
        }
        let live: Vec<(usize, &Watched)> = self.watched.iter().enumerate().filter(|(_, it)| it.runs()).collect();
        // One that could not be started, and so has no process, does not run.
        let pids: Vec<c_int> = live.iter().filter_map(|(_, it)| it.pid).collect();
        let ticks = family::ticks(&pids);
        let outputs = live
            .iter()
            .map(|(rank, it)| (*rank, self.output.first_and_last_output(it.sink).map_or(it.started, |it| it.1)));
        // Daemons at work are work of the ranks, though what they write is not known.
        let daemons = self.watched.first().map(|it| (self.watched.len(), it.started));
        let sample = |((rank, last_output), ticks)| Sample { rank, last_output, ticks };
        // The scheduler says regularly that it is there, whatever becomes of the ranks.
        let ranks_run = self.ranks_run();
        let counts = |it: &Sample| !ranks_run || self.watched.get(it.rank).is_none_or(Watched::is_rank);
        let samples: Vec<Sample> = outputs.chain(daemons).zip(ticks).map(sample).filter(counts).collect();
        if !self.watch.as_mut().is_some_and(|it| it.feed(now, &samples)) {
            return;
        }
        family::describe().iter().for_each(|line| self.say(line));
        let limit = self.setup.options.stall.unwrap_or_default();
        if ranks_run {
            self.stop(Ending::stalled(limit), libc::SIGTERM);
        } else {
            self.say(&format!("the scheduler had no output and did not use its CPU for {}", units::shown(limit)));
            self.stop_scheduler(libc::SIGTERM);
        }
    }

    fn oom_kills(&self) -> u64 {
        self.oom.as_ref().and_then(Counter::kills).unwrap_or(0)
    }

    /// The ranks that run, and the scheduler.
    fn live(&self) -> impl Iterator<Item = &Watched> {
        self.watched.iter().filter(|it| it.runs())
    }

    fn who_lives(&self) -> String {
        who(&self.setup.job, self.live())
    }

    fn ranks_run(&self) -> bool {
        self.live().any(Watched::is_rank)
    }

    /// Groups of those that run: theirs as long as they are not reaped.
    fn groups(&self) -> impl Iterator<Item = c_int> {
        self.live().filter_map(|it| it.pid)
    }

    fn say(&mut self, line: &str) {
        self.output.say(line);
    }
}

/// Has `send` called once for each of the groups, then for those that `look` brings to light, called `looks` times at most.
fn tell(groups: BTreeSet<c_int>, looks: usize, mut look: impl FnMut() -> BTreeSet<c_int>, mut send: impl FnMut(c_int)) {
    groups.iter().copied().for_each(&mut send);
    let mut told = groups;
    for _ in 0..looks {
        let new = &look() - &told;
        if new.is_empty() {
            return;
        }
        new.iter().copied().for_each(&mut send);
        told.extend(new);
    }
}

/// What came of reading from a rank.
#[derive(PartialEq)]
enum Read {
    Something,
    Nothing,
    NoRoom,
}

/// Reads once from a rank, as much as there is room for.
fn read(watched: &mut Watched, output: &mut Output, buffer: &mut [u8]) -> Read {
    let Some(pipe) = &mut watched.pipe else { return Read::Nothing };
    // Ranks share the room, so what was wanted before the one in front was read may be less now.
    let wanted = output.wants(watched.sink).min(buffer.len());
    if wanted == 0 {
        return Read::NoRoom;
    }
    match pipe.read(&mut buffer[..wanted]) {
        Ok(length @ 1..) => {
            output.take(watched.sink, &buffer[..length], Instant::now());
            return Read::Something;
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Read::Something,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        // A pipe does not fail otherwise; if it did, there would be nothing more to come.
        Ok(_) | Err(_) => {
            watched.pipe = None;
            output.end(watched.sink);
        }
    }
    Read::Nothing
}

/// Reads what is left in the pipes when all processes are gone, for `patience` at most, and closes them. A pipe that has
/// nothing and has not ended is held open by somebody outside; one that was not read for want of room is not empty.
fn drain(ranks: &mut [Watched], output: &mut Output, buffer: &mut [u8], patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let reads: Vec<Read> = ranks.iter_mut().map(|it| read(it, output, buffer)).collect();
        let now = Instant::now();
        output.tick(now);
        if reads.iter().all(|it| *it == Read::Nothing) || now >= deadline {
            break;
        }
        let full = ranks.iter().zip(&reads).filter(|(_, read)| **read == Read::NoRoom);
        // Room that the tick has made is told by nobody.
        if !reads.contains(&Read::Something) && full.map(|(it, _)| it.sink).all(|sink| output.wants(sink) == 0) {
            let until = output.deadline().map_or(deadline, |it| it.min(deadline));
            wait::readable(&[output.wake_fd()], Some(until))?;
        }
    }
    for watched in ranks.iter_mut().filter(|it| it.pipe.is_some()) {
        watched.pipe = None;
        output.end(watched.sink);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::sys::stat::Mode;

    use super::*;
    use crate::job::Rank;
    use crate::output::{Options, Patience, Sink};

    #[test]
    fn a_storm_of_forks_is_not_looked_at_for_ever() {
        let (mut looks, mut told) = (0, Vec::new());
        // Each look finds all from before and a new one.
        let look = || {
            looks += 1;
            assert!(looks <= LOOKS, "one look more");
            (1..=looks as c_int + 1).collect()
        };
        tell(BTreeSet::from([1]), LOOKS, look, |group| told.push(group));
        assert_eq!((looks, told), (LOOKS, vec![1, 2, 3, 4]));
        // Without anything new there is no other look, and without one only the first are told.
        for (most, expect) in [(LOOKS, 2), (0, 0)] {
            let (mut looks, mut told) = (0, Vec::new());
            let look = || {
                looks += 1;
                BTreeSet::from([1, 2])
            };
            tell(BTreeSet::from([1]), most, look, |group| told.push(group));
            assert_eq!((looks, told.len()), (expect, 1 + usize::from(most > 0)));
        }
    }

    /// A log folder that hangs makes no room: its file is a pipe that nobody opens for reading.
    #[test]
    fn the_last_output_is_waited_for_no_longer_than_patience_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        nix::unistd::mkfifo(&file, Mode::S_IRWXU).unwrap();
        let stream = |name| File::create(folder.path().join(name)).unwrap().into();
        let long = Duration::from_secs(3600);
        let patience = Patience { hang: long, pause: long, retry: long, update: long };
        let (stdout, stderr) = (stream("stdout"), stream("stderr"));
        let mut output = Output::start(Options { stdout, stderr, colour: false, log_max_size: 0, patience }).unwrap();
        let sink = output.open(Sink { label: "rank 0".into(), file: file.clone(), on_console: false });
        let rank = Role::Rank(Rank { rank: 0, local: 0, device: 0, physical: 0 });
        let mut ranks = [Watched::new(rank, file.clone(), sink)];
        // More than there is room for, whatever the writer has in hand.
        let (pipe, mut writer) = io::pipe().unwrap();
        fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(8 * 65_536)).unwrap();
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        writer.write_all(&[b'x'; 8 * 65_536]).unwrap();
        ranks[0].pipe = Some(pipe);
        let (begin, patience) = (Instant::now(), Duration::from_millis(200));
        drain(&mut ranks, &mut output, &mut [0; output::AT_ONCE], patience).unwrap();
        assert!(begin.elapsed() >= patience && ranks[0].pipe.is_none());
        output.finish(Duration::ZERO, |_| Vec::new());
        // So that the writer ends with the test.
        drop(File::options().read(true).custom_flags(libc::O_NONBLOCK).open(file).unwrap());
    }
}
