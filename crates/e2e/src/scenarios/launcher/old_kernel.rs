//! The launcher's own tests against the static build, with every system call refused that Linux 4.19 does not have.

use std::{env, thread};

use anyhow::{Context, anyhow, ensure};

use crate::{scenarios::world::World, testbed::Finished};
use fmtk::resolve::{place, tools};

/// How a kernel answers what it does not know, and how docker 18.09 answers for it.
const ANSWERS: [&str; 2] = ["ENOSYS", "EPERM"];

/// All tests pass, none is left out, whichever way new system calls are refused.
pub fn run(world: &World) -> anyhow::Result<()> {
    let launcher = tools::own_launcher()?;
    world.say(format!("tests run against `{}`", launcher.display()));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let test = |answer| {
        let test = world.command(&cargo).words("test --locked --package launcher --test launcher");
        test.env("FMTK_TEST_LAUNCHER", &launcher).env("FMTK_TEST_DENY", answer).dir(&place::workspace())
    };
    // At the same time: most of it is waiting.
    let tests = ANSWERS.map(|answer| {
        let test = test(answer);
        (answer, thread::spawn(move || test.finish()))
    });
    for (answer, tested) in tests {
        let tested = tested.join().map_err(|_| anyhow!("the thread that waited for the tests panicked"))??;
        ensure!(tested.status.success(), failures(&tested));
        let count = passed(&tested.stdout).with_context(|| format!("tests were left out:\n{}", tested.stdout))?;
        world.say(format!("{answer}: {count} tests pass in {:.1} s", tested.seconds));
    }
    Ok(())
}

/// How many tests passed, if none did anything else.
fn passed(stdout: &str) -> Option<u32> {
    let line = stdout.lines().find(|line| line.starts_with("test result: "))?;
    let count = line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse().ok()?;
    let is_all = line.contains(" 0 failed; 0 ignored;") && line.contains(" 0 filtered out");
    (is_all && count > 0).then_some(count)
}

/// What the tests said of those that failed, without the names of those that passed.
fn failures(tested: &Finished) -> anyhow::Error {
    match tested.stdout.split_once("\nfailures:\n") {
        Some((_, failures)) => anyhow!("tests failed\n{}", failures.trim_end()),
        None => tested.unexpected(),
    }
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn only_all_tests_are_all_tests() {
        let said = |line: &str| passed(&format!("\nrunning 54 tests\ntest a ... ok\n\n{line}\n"));
        let line = "test result: ok. 54 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 20.11s";
        assert_eq!(said(line), Some(54));
        assert_eq!(said(&line.replace("0 ignored", "1 ignored")), None);
        assert_eq!(said(&line.replace("0 filtered", "3 filtered")), None);
        assert_eq!(said(&line.replace("54", "0")), None);
        assert_eq!(said(&line.replace("ok", "FAILED")), None);
        assert_eq!(said("error: could not compile"), None);
    }
}
