//! One run of a program: this process is small, so that the peak of the child is the child's own.

use std::{
    ffi::OsString,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use crate::ranks;

/// Runs the program and writes what it took. Gives the program's exit code.
pub fn run(arguments: Vec<OsString>) -> Result<u8, String> {
    let [out, program, rest @ ..] = &arguments[..] else {
        return Err("usage: meter run OUT PROGRAM ARGUMENT…".to_owned());
    };
    let begin = Instant::now();
    let status =
        Command::new(program).args(rest).status().map_err(|error| format!("failed to run {program:?}: {error}"))?;
    let seconds = begin.elapsed().as_secs_f64();
    let ended = ranks::now();
    let usage = of_children();
    let text = format!(
        "{{\"seconds\":{seconds:.6},\"ended\":{ended},\"cpu_seconds\":{:.6},\"peak_bytes\":{}}}\n",
        usage.cpu.as_secs_f64(),
        usage.peak
    );
    fs::write(out, text).map_err(|error| format!("failed to write {out:?}: {error}"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}

/// CPU time and the largest resident set of any process that was waited for, bytes.
pub struct Usage {
    pub cpu: Duration,
    pub peak: u64,
}

/// Has the processes that outlive their parents come to us, so that they are waited for and counted.
#[allow(unsafe_code)]
pub fn adopt_orphans() -> Result<(), String> {
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err("failed to become a subreaper".to_owned()) }
}

/// Waits for all processes that are left.
#[allow(unsafe_code)]
pub fn reap_orphans() {
    // SAFETY: waitpid takes a null pointer for a status that nobody wants.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
}

/// Of all that was waited for so far.
pub fn of_children() -> Usage {
    let usage = usage(libc::RUSAGE_CHILDREN);
    // Linux counts the peak in KiB (getrusage(2)).
    Usage { cpu: cpu(&usage), peak: usage.ru_maxrss.unsigned_abs() * 1024 }
}

/// CPU time of this process so far, of all its threads.
pub fn own_cpu() -> Duration {
    cpu(&usage(libc::RUSAGE_SELF))
}

fn cpu(usage: &libc::rusage) -> Duration {
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec.unsigned_abs()) + Duration::from_micros(value.tv_usec.unsigned_abs())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

#[allow(unsafe_code)]
fn usage(who: libc::c_int) -> libc::rusage {
    // SAFETY: all-zero bytes are a valid `rusage`, a struct of integers; the call writes into it and nowhere else. It
    // fails only for an unknown `who`, which then leaves zeros.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    }
}
