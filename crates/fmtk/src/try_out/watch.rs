//! The containers while they run: what they say, when the table is complete, which one fails and what becomes of the others.

use std::{
    mem,
    os::unix::process::CommandExt,
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};

use super::{console::Console, table::ConfigMap};
use crate::{engine, resolve::containers::Containers};

/// How long the table waits for a container that says nothing.
const SILENCE: Duration = Duration::from_secs(20);

/// What is watched; of everything one a node.
pub struct Watched<'a> {
    pub containers: &'a Containers,
    pub consoles: &'a [Console],
    /// None where the job has no rank table.
    pub tables: &'a [ConfigMap],
    pub table: &'a str,
    pub timeout: Duration,
    /// How long a container has after SIGTERM.
    pub grace: Duration,
}

/// What became of the containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    pub nodes: Vec<NodeEnd>,
    pub cause: Option<Cause>,
    /// From the first start to the last end.
    pub time: Duration,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEnd {
    /// Its exit code, or why it was not started.
    pub code: Result<i32, String>,
    pub time: Duration,
    pub stopped: bool,
}

/// Why a job ends before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// This node was the first to fail.
    Node(usize),
    Timeout,
}

enum Event {
    Said(usize),
    Ended(usize, Result<i32, String>),
}

/// Starts all containers and waits for their ends.
pub fn watch(watched: &Watched<'_>) -> anyhow::Result<JobEnd> {
    let begin = Instant::now();
    let (sender, events) = mpsc::channel();
    let nodes = watched.consoles.len();
    let children: Vec<Child> = (0..nodes).map(|node| start(watched.containers, node)).collect::<anyhow::Result<_>>()?;
    thread::scope(|scope| {
        for (node, child) in children.into_iter().enumerate() {
            let sender = sender.clone();
            scope.spawn(move || {
                let end = attend(watched, node, child, &sender);
                // The receiver is there until all have ended.
                let _ = sender.send(Event::Ended(node, end.map_err(|error| format!("{error:#}"))));
            });
        }
        let mut state = State::new(nodes, !watched.tables.is_empty());
        let observed = observe(watched, &mut state, &events, begin);
        if observed.is_err() {
            // Else they would be waited for.
            stop(watched, &state.running());
        }
        let State { ends, cause, .. } = state;
        observed.map(|()| JobEnd { nodes: ends.into_iter().flatten().collect(), cause, time: begin.elapsed() })
    })
}

fn observe(watched: &Watched<'_>, state: &mut State, events: &Receiver<Event>, begin: Instant) -> anyhow::Result<()> {
    while !state.running().is_empty() {
        let now = begin.elapsed();
        if state.is_due(now) {
            watched.tables.iter().try_for_each(|table| table.swap(watched.table))?;
        }
        match events.recv_timeout(state.patience(now, watched.timeout)) {
            Ok(Event::Said(node)) => state.said[node] = true,
            Ok(Event::Ended(node, code)) => state.ended(node, code, begin.elapsed()),
            Err(_) => state.late(begin.elapsed(), watched.timeout),
        }
        stop(watched, &state.begin_stop());
    }
    Ok(())
}

fn start(containers: &Containers, node: usize) -> anyhow::Result<Child> {
    let mut command = containers.start(node);
    // ctrl-C is not for the containers: they are stopped as the platform stops them, by SIGTERM.
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().with_context(|| format!("failed to run `{} start`", containers.way.program))
}

/// Passes on what a container says, and waits for its end. Gives its exit code.
fn attend(watched: &Watched<'_>, node: usize, mut child: Child, sender: &Sender<Event>) -> anyhow::Result<i32> {
    let (way, console) = (&watched.containers.way, &watched.consoles[node]);
    let container = watched.containers.names[node].as_str();
    let failed = || format!("failed to read what `{container}` says");
    let (stdout, stderr) = (child.stdout.take().with_context(failed)?, child.stderr.take().with_context(failed)?);
    // The receiver is there until all have ended.
    let heard = || drop(sender.send(Event::Said(node)));
    let (out, last) = thread::scope(|scope| {
        let out = scope.spawn(|| console.pump(stdout, heard));
        let last = console.pump(stderr, heard);
        (out.join(), last)
    });
    out.map_err(|_| anyhow!("the thread that reads `{container}` panicked"))?.with_context(failed)?;
    let last = last.with_context(failed)?;
    let status = child.wait().with_context(|| format!("failed to wait for `{} start`", way.program))?;
    // However long it takes: hours of work lie behind it, and other nodes may be stopped in this moment.
    let state = way.say(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", container])?;
    match state.split_once(' ').unwrap_or((&state, "")) {
        ("exited" | "dead", code) => parsed(code),
        // What could not be started says why through the engine's client.
        ("created" | "configured" | "initialized" | "", _) => {
            Err(anyhow!("it was not started: {}", engine::said(status, last.as_bytes())))
        }
        // The client went before the container.
        _ => parsed(&way.say(&["wait", container])?),
    }
}

fn parsed(code: &str) -> anyhow::Result<i32> {
    code.trim().parse().with_context(|| format!("the engine's exit code `{code}` is not a number"))
}

/// Stops containers as the platform does: SIGTERM, and SIGKILL after the grace.
fn stop(watched: &Watched<'_>, nodes: &[usize]) {
    if nodes.is_empty() {
        return;
    }
    let grace = watched.grace.as_secs().to_string();
    let mut arguments = vec!["stop", "--time", &grace];
    arguments.extend(nodes.iter().map(|node| watched.containers.names[*node].as_str()));
    // One that ended by itself in this moment is no failure, and what can't be stopped is removed at the end.
    let _ = watched.containers.way.say(&arguments);
}

/// What is known so far.
struct State {
    said: Vec<bool>,
    ends: Vec<Option<NodeEnd>>,
    cause: Option<Cause>,
    swapped: bool,
    told: bool,
}

impl State {
    fn new(nodes: usize, has_table: bool) -> Self {
        Self { said: vec![false; nodes], ends: vec![None; nodes], cause: None, swapped: !has_table, told: false }
    }

    fn ended(&mut self, node: usize, code: Result<i32, String>, time: Duration) {
        self.said[node] = true;
        if code != Ok(0) && self.cause.is_none() {
            self.cause = Some(Cause::Node(node));
        }
        self.ends[node] = Some(NodeEnd { code, time, stopped: self.told });
    }

    fn late(&mut self, now: Duration, timeout: Duration) {
        if now >= timeout && self.cause.is_none() {
            self.cause = Some(Cause::Timeout);
        }
    }

    /// Whether the table is to be completed now: every launcher has looked at one that was not, and has said so.
    fn is_due(&mut self, now: Duration) -> bool {
        let is_due = !self.swapped && (self.said.iter().all(|said| *said) || now >= SILENCE);
        self.swapped |= is_due;
        is_due
    }

    /// How long nothing can happen that is not an event.
    fn patience(&self, now: Duration, timeout: Duration) -> Duration {
        let table = if self.swapped { Duration::MAX } else { SILENCE };
        let end = if self.cause.is_some() { Duration::MAX } else { timeout };
        // A day is as good as ever; the channel takes no larger time on every system.
        table.min(end).saturating_sub(now).min(Duration::from_secs(86_400))
    }

    /// The nodes that are to be stopped now: all that run, the first time that there is a cause.
    fn begin_stop(&mut self) -> Vec<usize> {
        match self.cause.is_some() && !mem::replace(&mut self.told, true) {
            true => self.running(),
            false => Vec::new(),
        }
    }

    fn running(&self) -> Vec<usize> {
        (0..self.ends.len()).filter(|node| self.ends[*node].is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUT: Duration = Duration::from_secs(600);

    #[test]
    fn the_table_is_completed_once_when_all_have_looked_at_it() {
        let mut state = State::new(2, true);
        state.said[0] = true;
        assert!(!state.is_due(SECOND));
        assert_eq!(state.patience(SECOND, TIMEOUT), SILENCE - SECOND);
        state.said[1] = true;
        assert!(state.is_due(SECOND) && !state.is_due(SECOND));
        assert_eq!(state.patience(SECOND, TIMEOUT), TIMEOUT - SECOND);
    }

    #[test]
    fn silent_containers_get_their_table_too() {
        let mut state = State::new(1, true);
        assert!(!state.is_due(SILENCE - SECOND));
        assert!(state.is_due(SILENCE));
    }

    #[test]
    fn without_a_table_nothing_is_due() {
        let mut state = State::new(1, false);
        state.said[0] = true;
        assert!(!state.is_due(SILENCE));
        assert_eq!(state.patience(SECOND, TIMEOUT), TIMEOUT - SECOND);
    }

    #[test]
    fn the_first_to_fail_is_the_cause_and_the_others_are_stopped_once() {
        let mut state = State::new(3, true);
        state.ended(1, Ok(0), SECOND);
        assert!(state.begin_stop().is_empty());
        state.ended(2, Ok(7), SECOND);
        assert_eq!((state.begin_stop(), state.begin_stop()), (vec![0], vec![]));
        state.ended(0, Ok(143), 2 * SECOND);
        assert_eq!((state.running(), state.cause), (vec![], Some(Cause::Node(2))));
        let stopped: Vec<bool> = state.ends.into_iter().map(|end| end.unwrap().stopped).collect();
        assert_eq!(stopped, [true, false, false]);
    }

    #[test]
    fn what_takes_too_long_is_stopped_and_nothing_is_waited_for_but_the_end() {
        let mut state = State::new(1, true);
        state.late(TIMEOUT - SECOND, TIMEOUT);
        assert!(state.begin_stop().is_empty());
        state.late(TIMEOUT, TIMEOUT);
        assert!(state.begin_stop() == [0] && state.is_due(TIMEOUT));
        assert_eq!(state.patience(TIMEOUT, TIMEOUT), Duration::from_secs(86_400));
    }
}
