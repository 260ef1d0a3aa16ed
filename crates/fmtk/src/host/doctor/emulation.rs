//! Whether arm64 programs run here, in containers too: tried with one of 132 bytes, in a folder that holds nothing else,
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
    let made = fs::write(&program, arm64_program())
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

/// A static program for aarch64 that ends with [`CODE`] (ELF-64: header, one segment, code).
fn arm64_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // mov x0, #42; mov x8, #93 (exit); svc #0
    let code: [u32; 3] = [0xd280_0000 | (CODE as u32) << 5, 0xd280_0ba8, 0xd400_0001];
    let size = HEADERS + 4 * code.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable (2) for aarch64 (183).
    bytes.extend([2, 0, 183, 0, 1, 0, 0, 0]);
    // Where it begins, where the segments are listed, no sections.
    for number in [BASE + HEADERS, 64, 0] {
        bytes.extend(number.to_le_bytes());
    }
    // No flags; sizes of header and of one line of the list, one line; no sections.
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    // To be loaded (1), read and run (5).
    bytes.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for number in [0, BASE, BASE, size, size, 0x1_0000] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[test]
    fn emulation_has_to_reach_into_containers() {
        let entry = |state: &str, flags: &str| {
            format!("{state}\ninterpreter /usr/bin/qemu-aarch64-static\nflags: {flags}\noffset 0\n")
        };
        let fails = Tried::Fails("exit status: 1".to_owned());
        let state =
            |native, tried: &Tried, entry: Option<String>, needed| judge(native, tried, entry.as_deref(), needed).state;
        // What is tried counts more than what is registered, and under whatever name.
        assert_eq!(state(false, &Tried::Runs, None, true), State::Good);
        assert_eq!(state(false, &fails, Some(entry("enabled", "OCF")), true), State::Wrong);
        assert_eq!(state(false, &Tried::Untold, Some(entry("enabled", "OCF")), true), State::Good);
        assert_eq!(state(false, &Tried::Untold, Some(entry("enabled", "OC")), true), State::Wrong);
        assert_eq!(state(false, &Tried::Untold, Some(entry("disabled", "OCF")), true), State::Wrong);
        assert_eq!(state(false, &fails, None, true), State::Wrong);
        assert_eq!(state(false, &fails, None, false), State::Good);
        assert_eq!(state(true, &fails, None, true), State::Good);
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

    #[test]
    fn the_program_is_one_for_aarch64() {
        let bytes = arm64_program();
        assert_eq!((bytes.len(), &bytes[..4], bytes[18]), (132, &b"\x7fELF"[..], 183));
    }
}
