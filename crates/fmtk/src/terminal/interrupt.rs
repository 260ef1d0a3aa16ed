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
/// Where the handler writes the signal's number, and whether the terminal sent it.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Has this done before the end, what was asked for last first. It may have been done by then.
pub fn before_end(work: Arc<dyn Fn() + Send + Sync>) {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).push(work);
}

/// From now on SIGINT, SIGTERM and SIGHUP end the program by way of [`before_end`], after `say`. The second of a kind ends
/// it at once. One that is ignored, as in the background of a script or below `nohup`, stays so.
pub fn watch(say: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (mut reader, writer) = io::pipe()?;
    // Kept open to the end, as the handler may come at any time.
    PIPE.store(writer.into_raw_fd(), Ordering::Relaxed);
    thread::Builder::new().spawn(move || {
        let mut noted = [0; 2];
        if reader.read_exact(&mut noted).is_ok() {
            let signal = i32::from(noted[0]);
            say();
            // Twice would mean to end at once, to pip too, which has files of its own to remove.
            if noted[1] == 0 {
                pass_on(signal);
            }
            let last = std::mem::take(&mut *LAST.lock().unwrap_or_else(PoisonError::into_inner));
            last.iter().rev().for_each(|work| work());
            raise(signal);
        }
    })?;
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter().try_for_each(handle)
}

/// Ends the programs of our process group that we have started, as a terminal does: engines hold on to a container that
/// they export. Those with a group of their own are left to [`before_end`].
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

#[allow(unsafe_code)]
extern "C" fn note(signal: libc::c_int, info: *const libc::siginfo_t, _: *const libc::c_void) {
    PENDING.store(true, Ordering::Relaxed);
    // SAFETY: the kernel gives a handler with SA_SIGINFO a valid one.
    let is_of_terminal = unsafe { (*info).si_code } == libc::SI_KERNEL;
    write(PIPE.load(Ordering::Relaxed), &[signal as u8, u8::from(is_of_terminal)]);
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
    // SAFETY: all zeros are a valid `sigaction`; the pointers are valid for the calls, and the handler is one for SA_SIGINFO.
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
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_RESETHAND;
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
