//! What all measurements share: a workplace, the clock, and rounds in turns.

use std::{
    fmt::Debug,
    ops::Deref,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, anyhow};

use super::meter::{Measure, Meter};
use crate::testbed::{Finished, Invocation, Workplace};

/// It is dropped after the servers of a measurement.
#[derive(Debug)]
pub struct Bench {
    /// How often each figure is measured.
    pub rounds: usize,
    /// The clock, which is a rank for launchers too.
    pub meter: Meter,
    workplace: Workplace,
}

impl Deref for Bench {
    type Target = Workplace;

    fn deref(&self) -> &Workplace {
        &self.workplace
    }
}

impl Bench {
    pub fn new(name: &str, rounds: u32) -> anyhow::Result<Self> {
        let workplace = Workplace::new("bench", name)?;
        workplace.say("setting up");
        let meter = Meter::build(&workplace)?;
        Ok(Self { rounds: rounds as usize, meter, workplace })
    }

    /// The packages that were given, else a folder for them.
    pub fn packages(&self, given: Option<&Path>) -> anyhow::Result<PathBuf> {
        match given {
            Some(path) => std::path::absolute(path).context("no working folder"),
            None => self.folder("fetched"),
        }
    }

    /// Runs a program by the meter. Gives what it took and what it printed.
    pub fn measure(&self, command: Invocation) -> anyhow::Result<(Measure, String)> {
        let (measure, finished) = self.meter.measure(command)?;
        if finished.status.success() { Ok((measure, finished.stdout)) } else { Err(finished.unexpected()) }
    }

    /// Runs a program by the meter, however it ends.
    pub fn measure_any(&self, command: Invocation) -> anyhow::Result<(Measure, Finished)> {
        self.meter.measure(command)
    }

    /// Has each of these measured in turn, round by round. Gives the values of each.
    pub fn in_turns<W: Copy + Debug, T: Debug, const N: usize>(
        &self,
        figure: &str,
        who: [W; N],
        measure: impl FnMut(W, usize) -> anyhow::Result<T>,
    ) -> anyhow::Result<[Vec<T>; N]> {
        let all = self.in_turns_of(figure, &who, measure)?;
        all.try_into().map_err(|_| anyhow!("not all were measured"))
    }

    /// The same of as many as there are.
    pub fn in_turns_of<W: Copy + Debug, T: Debug>(
        &self,
        figure: &str,
        who: &[W],
        mut measure: impl FnMut(W, usize) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<Vec<T>>> {
        let mut all: Vec<Vec<T>> = who.iter().map(|_| Vec::new()).collect();
        for round in 1..=self.rounds {
            for (who, values) in who.iter().zip(&mut all) {
                let value = measure(*who, round).with_context(|| format!("{figure}: {who:?}"))?;
                self.say(format!("{figure} {round}/{}: {who:?}: {value:.3?}", self.rounds));
                values.push(value);
            }
        }
        Ok(all)
    }
}

/// Seconds that something of this process takes.
pub fn seconds_of<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64())
}
