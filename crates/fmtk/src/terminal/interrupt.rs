//! ctrl-C, and whatever else asks this program to end: what it made for the moment is gone before the prompt is back.

use std::{
    fs,
    io::{self, Read},
    os::fd::IntoRawFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    thread,
};

use rustix::process::{Pid, Signal, getpgid, getpgrp, kill_process};

/// What has to be done before the end, the last first.
static LAST: Mutex<Vec<Arc<dyn Fn() + Send + Sync>>> = Mutex::new(Vec::new());
/// Whether a signal came.
static PENDING: AtomicBool = AtomicBool::new(false);
/// Where the handler writes the signal's number.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Has this done before the end, what was asked for last first. It may have been done by then.
pub fn before_end(work: Arc<dyn Fn() + Send + Sync>) {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).push(work);
}

/// From now on SIGINT, SIGTERM and SIGHUP end the program by way of [`before_end`], which begins with `say`. The second of a kind ends it at once. One that is ignored, as in the background of a script or below `nohup`, stays so.
pub fn watch(say: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (mut reader, writer) = io::pipe()?;
    // Kept open to the end, as the handler may come at any time.
    PIPE.store(writer.into_raw_fd(), Ordering::Relaxed);
    thread::Builder::new().spawn(move || {
        let mut signal = [0];
        if reader.read_exact(&mut signal).is_ok() {
            say();
            pass_on(i32::from(signal[0]));
            let last = std::mem::take(&mut *LAST.lock().unwrap_or_else(PoisonError::into_inner));
            last.iter().rev().for_each(|work| work());
            raise(i32::from(signal[0]));
        }
    })?;
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter().try_for_each(handle)
}

/// Ends the programs of our process group that we have started: a terminal would have done so, and engines hold on to a
/// container that they export. Those with a group of their own are left to [`before_end`].
fn pass_on(signal: i32) {
    let (Some(signal), own) = (Signal::from_named_raw(signal), getpgrp()) else { return };
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split(' ').filter_map(|id| Pid::from_raw(id.parse().ok()?)) {
            if getpgid(Some(child)) == Ok(own) {
                // One that has ended in this moment needs no signal.
                let _ = kill_process(child, signal);
            }
        }
    }
}

/// Goes no further where a signal came: all that is left to do is done by another thread.
pub fn wait_if_pending() {
    while PENDING.load(Ordering::Relaxed) {
        thread::park();
    }
}

extern "C" fn note(signal: libc::c_int) {
    PENDING.store(true, Ordering::Relaxed);
    write(PIPE.load(Ordering::Relaxed), &[signal as u8]);
}

/// All that the handler calls, and async-signal-safe; what it interrupts finds its `errno` again.
#[allow(unsafe_code)]
fn write(pipe: libc::c_int, bytes: &[u8]) {
    // SAFETY: the pointer and the length are those of the bytes, and each thread has its `errno`.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(pipe, bytes.as_ptr().cast(), bytes.len());
        *libc::__errno_location() = errno;
    }
}

#[allow(unsafe_code)]
fn handle(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: all zeros are a valid `sigaction`; the pointers are valid for the calls, and the handler takes a number.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut old: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &raw mut old) != 0 {
            return Err(io::Error::last_os_error());
        }
        if old.sa_sigaction == libc::SIG_IGN {
            return Ok(());
        }
        action.sa_sigaction = note as *const () as libc::sighandler_t;
        // Calls that it comes into go on, and the second one does what the system does by itself.
        action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
        match libc::sigaction(signal, &raw const action, std::ptr::null_mut()) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Ends the program as the signal would have done: a shell that runs us in a script then ends too.
#[allow(unsafe_code)]
fn raise(signal: libc::c_int) {
    // SAFETY: plain numbers. The handler was taken out by the first signal.
    unsafe { libc::raise(signal) };
}
