//! Whether arm64 programs run here, in containers too: tried with one of 136 bytes, in a folder that holds nothing else,
//! as a container does not hold the host's QEMU.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    Patient,
    finding::{Finding, Fix},
    machine::needs_engine,
};

/// The kernel's entry for arm64 programs.
pub const ENTRY: &str = "/proc/sys/fs/binfmt_misc/qemu-aarch64";

/// How the program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tried {
    Runs,
    /// It does not, for this reason.
    Fails(String),
    /// It could not be tried: this user may not change the root folder.
    Untold,
}

/// The check.
pub fn emulation(patient: &Patient) -> Vec<Finding> {
    let tried = match patient.store.scratch() {
        Ok(folder) => attempt(folder.path()),
        Err(_) => Tried::Untold,
    };
    let entry = fs::read_to_string(ENTRY).ok();
    vec![judge(cfg!(target_arch = "aarch64"), &tried, entry.as_deref(), needs_engine(patient))]
}

fn judge(native: bool, tried: &Tried, entry: Option<&str>, needed: bool) -> Finding {
    let check = "emulation";
    let flag = |entry: &str| {
        let flags = entry.lines().find_map(|line| line.strip_prefix("flags:"));
        flags.is_some_and(|flags| flags.contains('F'))
    };
    let wrong = match (tried, entry) {
        _ if native => return Finding::good(check, "this machine runs arm64 programs itself"),
        (Tried::Runs, _) => return Finding::good(check, "arm64 programs run here, in containers too"),
        (Tried::Untold, Some(entry)) if entry.starts_with("enabled") && flag(entry) => {
            return Finding::good(check, "qemu-aarch64 is registered with the kernel, for containers too");
        }
        _ if !needed => return Finding::good(check, "no arm64 programs run here, and nothing needs them"),
        (_, None) => {
            "qemu-aarch64 is not registered with the kernel: arm64 programs give `exec format error`".to_owned()
        }
        (_, Some(entry)) if !entry.starts_with("enabled") => "qemu-aarch64 is registered and disabled".to_owned(),
        (_, Some(entry)) if !flag(entry) => {
            "qemu-aarch64 is registered without the flag F, so that containers do not find it".to_owned()
        }
        (Tried::Fails(reason), Some(_)) => {
            format!("qemu-aarch64 is registered, and in a folder of its own an arm64 program does not run: {reason}")
        }
        // Covered above: registered, enabled, with the flag.
        (Tried::Untold, Some(_)) => return Finding::good(check, "qemu-aarch64 is registered with the kernel"),
    };
    let way_out =
        "`cargo xtask doctor --fix` as root, or `docker run --privileged --rm tonistiigi/binfmt --install arm64`";
    Finding::wrong(check, wrong, way_out).fixed_by(Fix::Emulation)
}

/// What the program ends with.
const CODE: i32 = 42;

/// Runs the program with `folder` for its root.
fn attempt(folder: &Path) -> Tried {
    let program = folder.join("program");
    let made = fs::write(&program, PROGRAM.map(u64::to_le_bytes).as_flattened())
        .and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)));
    if made.is_err() {
        return Tried::Untold;
    }
    let mut command = Command::new("/program");
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    alone(&mut command, folder);
    match run_when_free(&mut command) {
        Ok(status) if status.code() == Some(CODE) => Tried::Runs,
        Ok(status) => Tried::Fails(status.to_string()),
        // A folder on a file system of which nothing is run, or no leave to have it for root.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS | libc::ENOSPC)) =>
        {
            Tried::Untold
        }
        Err(error) => Tried::Fails(error.to_string()),
    }
}

/// Runs a program that was written just now. It is "busy" for as long as a child that another check forked has not yet
/// become its own program: such a child has all that was open here, the program for writing among it.
fn run_when_free(command: &mut Command) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match command.status() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(2));
            }
            ended => return ended,
        }
    }
}

/// Has the program find nothing but this folder.
#[allow(unsafe_code)]
fn alone(command: &mut Command, folder: &Path) {
    use std::os::unix::ffi::OsStrExt;
    // The store's path has no NUL, or nothing could have been written there.
    let folder = std::ffi::CString::new(folder.as_os_str().as_bytes()).unwrap_or_default();
    let root = crate::terminal::machine::is_root();
    let enter = move || {
        // SAFETY: three system calls with a text that outlives them; none allocates, as is asked for between fork and
        // exec. Users other than root may change the root folder in a user namespace of their own.
        let done = unsafe {
            (root || libc::unshare(libc::CLONE_NEWUSER) == 0)
                && libc::chroot(folder.as_ptr()) == 0
                && libc::chdir(c"/".as_ptr()) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: see above.
    unsafe {
        command.pre_exec(enter);
    }
}

/// A static program for aarch64 that ends with [`CODE`], in words of eight bytes, the lowest first: the header of an
/// ELF-64 file and its one segment, as `elf.h` has them, and the code.
#[rustfmt::skip]
const PROGRAM: [u64; 17] = [
    // An executable (2) for aarch64 (183) that begins at 0x400078, with a list of one segment at 64.
    0x10102464c457f, 0x0, 0x100b70002,
    0x400078, 0x40, 0x0, 0x38004000000000, 0x400001,
    // The segment: these 132 bytes, to be loaded (1) at 0x400000, read and run (5).
    0x500000001, 0x0, 0x400000, 0x400000, 0x84, 0x84, 0x10000,
    // mov x0, #42; mov x8, #93 (exit); svc #0
    0xd2800ba8d2800540, 0xd4000001,
];

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[test]
    fn emulation_has_to_reach_into_containers() {
        let entry = |state: &str, flags: &str| {
            format!("{state}\ninterpreter /usr/bin/qemu-aarch64-static\nflags: {flags}\noffset 0\n")
        };
        let fails = Tried::Fails("exit status: 1".to_owned());
        // What is tried counts more than what is registered, and under whatever name.
        for (native, tried, entry, needed, expected) in [
            (false, &Tried::Runs, None, true, State::Good),
            (false, &fails, Some(entry("enabled", "OCF")), true, State::Wrong),
            (false, &Tried::Untold, Some(entry("enabled", "OCF")), true, State::Good),
            (false, &Tried::Untold, Some(entry("enabled", "OC")), true, State::Wrong),
            (false, &Tried::Untold, Some(entry("disabled", "OCF")), true, State::Wrong),
            (false, &fails, None, true, State::Wrong),
            (false, &fails, None, false, State::Good),
            (true, &fails, None, true, State::Good),
        ] {
            let found = judge(native, tried, entry.as_deref(), needed);
            assert_eq!(found.state, expected, "{native} {tried:?} {entry:?} {needed}");
        }
    }

    /// By a descriptor of our own, where in the command it is a child's.
    #[test]
    fn a_program_that_is_open_for_writing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, "#!/bin/sh\nexit 42\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let open = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let held = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(open);
        });
        let ended = run_when_free(&mut Command::new(&path)).unwrap();
        held.join().unwrap();
        assert_eq!(ended.code(), Some(CODE));
    }
}
