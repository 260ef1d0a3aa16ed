//! What a rank's last lines mean, where they are of a kind that is known.

/// One hint, of the most specific signature among `lines` (a rank's last ones, without colours); `None` where none is known.
pub fn hint<S: AsRef<str>>(lines: &[S]) -> Option<String> {
    let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
    SIGNATURES.iter().find_map(|signature| lines.iter().rev().find_map(|line| signature(line, &lines)))
}

/// What processes mean that the kernel killed for want of memory. A rank whose data worker is one of them fails in a way of
/// its own, or waits for ever.
pub fn out_of_memory(kills: u64) -> Option<String> {
    let what = match kills {
        0 => return None,
        1 => "a process".to_owned(),
        kills => format!("{kills} processes"),
    };
    Some(format!(
        "the kernel killed {what} in the launcher's cgroup because the server's memory (not the device's) ran out: {LESS_MEMORY}"
    ))
}

const LESS_MEMORY: &str = "use fewer data workers or smaller batches, or a larger flavour";

/// Looks at one line, knowing those around it.
type Signature = fn(&str, &[&str]) -> Option<String>;

/// Causes before consequences: a rank that lacks a library also makes its peers' collective library time out.
const SIGNATURES: &[Signature] =
    &[driver_library, cann_library, model_task_cwd, device_initialisation, host_memory, collective, python_module];

/// Libraries of CANN by how their names begin.
const CANN: &str = "libacl libascendcl libhccl libge_ libgraph libfmk_ libruntime libregister liberror_manager libopskernel \
                    libtsdclient libdatatransfer libplatform libmsprof libascend_";

/// Libraries of the NPU driver, which is mounted and never in the image.
const DRIVER: &str = "libascend_hal libdrv libdcmi libmmpa";

fn driver_library(line: &str, _: &[&str]) -> Option<String> {
    let library = missing_library(line, DRIVER)?;
    Some(format!(
        "`{library}` belongs to the NPU driver, which the platform mounts at `/usr/local/Ascend/driver`: see that the job \
         asks for NPUs and that `LD_LIBRARY_PATH` has the driver's `lib64` folders"
    ))
}

fn cann_library(line: &str, _: &[&str]) -> Option<String> {
    let library = missing_library(line, CANN)?;
    Some(format!(
        "`{library}` belongs to CANN, whose environment isn't set: add its folders to `LD_LIBRARY_PATH`, as \
         `source /usr/local/Ascend/ascend-toolkit/set_env.sh` does"
    ))
}

/// The library that the loader didn't find, if its name begins as one of `known`.
fn missing_library<'a>(line: &'a str, known: &str) -> Option<&'a str> {
    let (before, _) = line.split_once(": cannot open shared object file")?;
    let library = before.rsplit([' ', '/', '\'', '"']).next()?;
    known.split(' ').any(|start| library.starts_with(start)).then_some(library)
}

fn model_task_cwd(line: &str, lines: &[&str]) -> Option<String> {
    let path = line.split_once("FileNotFoundError: ")?.1;
    let changes_folder = lines
        .iter()
        .any(|line| ["MODEL_TASK_CWD", "switch_directory", "os.chdir("].iter().any(|part| line.contains(part)));
    (changes_folder || path.ends_with(": ''")).then(|| {
        "the folder to start in isn't there: see that `MODEL_TASK_CWD`, the code folder, is set and exists on this server"
            .into()
    })
}

fn device_initialisation(line: &str, _: &[&str]) -> Option<String> {
    has_code(line, "EJ0001").then(|| {
        "EJ0001: the device could not be initialised, most often since processes of an earlier job still hold it: look for \
         them with `npu-smi info`, and wait 10 s after the last has gone before starting again"
            .into()
    })
}

fn host_memory(line: &str, _: &[&str]) -> Option<String> {
    let shell_says = line.trim_end() == "Killed" || line.trim_end().ends_with(" Killed");
    let allocator_says = line.starts_with("MemoryError") || line.contains("std::bad_alloc");
    (shell_says || allocator_says || line.contains("Cannot allocate memory"))
        .then(|| format!("the server's memory (not the device's) seems to have run out: {LESS_MEMORY}"))
}

fn collective(line: &str, _: &[&str]) -> Option<String> {
    let connecting = has_code(line, "EI0006") || (line.contains("HCCL_CONNECT_TIMEOUT") && says_timeout(line));
    if connecting {
        return Some(
            "ranks waited in vain to connect to each other: one did not start or died early; look at the first failure on \
             the other servers. Where starting takes long, raise `HCCL_CONNECT_TIMEOUT` (seconds)"
                .into(),
        );
    }
    let lower = line.to_ascii_lowercase();
    let waiting = has_code(line, "EI0002")
        || lower.contains("notify wait") && says_timeout(line)
        || lower.contains("hccl") && says_timeout(line);
    waiting.then(|| {
        "a rank waited in vain for another one: that one died or hangs; look at the first failure on the other servers, \
         and whether all ranks run the same number of steps"
            .into()
    })
}

fn python_module(line: &str, _: &[&str]) -> Option<String> {
    let named = line.split_once("ModuleNotFoundError: No module named ")?.1.trim();
    let name = named.split(['\'', '"']).nth(1).unwrap_or(named);
    Some(format!(
        "Python has no module `{name}`: add its wheel to the image, or its folder to `PYTHONPATH`, and see that the \
         command's `python` is the image's"
    ))
}

/// Whether `code` stands alone: not as a part of a longer number or word.
fn has_code(line: &str, code: &str) -> bool {
    line.match_indices(code).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + code.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

/// Whether a line tells of a time-out, beyond naming the variable: a dump of the environment has that too.
fn says_timeout(line: &str) -> bool {
    let lower = line.to_ascii_lowercase().replace("hccl_connect_timeout", "").replace("hccl_exec_timeout", "");
    ["timeout", "time-out", "time out", "timed out", "times out"].iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are our own, in the shapes that Python, the loader, a shell and CANN give theirs.
    #[test]
    fn each_signature_has_its_hint() {
        let so = "cannot open shared object file: No such file or directory";
        for (lines, part) in [
            (format!("ImportError: libge_runner.so: {so}"), "`libge_runner.so` belongs to CANN"),
            (format!("OSError: libhccl.so: {so}"), "set_env.sh"),
            (
                format!("./a.out: error while loading shared libraries: libascendcl.so: {so}"),
                "`libascendcl.so` belongs",
            ),
            (format!("OSError: /usr/lib/libgraph.so: {so}"), "`libgraph.so` belongs"),
            (format!("ImportError: libascend_hal.so: {so}"), "belongs to the NPU driver"),
            ("[ERROR] HCCL: [EJ0001]: init failed".into(), "npu-smi info"),
            ("EI0006: Getting socket times out. Reason: x".into(), "HCCL_CONNECT_TIMEOUT"),
            ("connect timed out, see HCCL_CONNECT_TIMEOUT".into(), "first failure on the other servers"),
            ("[HCCL] wait for the peer timeout".into(), "waited in vain for another one"),
            ("EI0002: the wait execution of Notify failed".into(), "waited in vain for another one"),
            ("task exception: Notify Wait timeout, stream 3".into(), "waited in vain for another one"),
            ("ModuleNotFoundError: No module named 'mindspore'".into(), "no module `mindspore`"),
            ("ModuleNotFoundError: No module named 'a.b'; 'a' is not a package".into(), "no module `a.b`"),
            ("MemoryError".into(), "memory (not the device's)"),
            ("bash: line 1:    17 Killed".into(), "memory (not the device's)"),
            ("OSError: [Errno 12] Cannot allocate memory".into(), "memory (not the device's)"),
            ("terminate called after throwing an instance of 'std::bad_alloc'".into(), "memory (not the device's)"),
            ("FileNotFoundError: [Errno 2] No such file or directory: ''".into(), "MODEL_TASK_CWD"),
        ] {
            let hint = hint(&[lines.as_str(), "the end"]).unwrap_or_else(|| panic!("{lines}"));
            assert!(hint.contains(part), "{lines} → {hint}");
        }
    }

    #[test]
    fn the_folder_to_start_in_is_told_by_the_lines_around() {
        let traceback =
            ["    with self.switch_directory(os.getenv(\"MODEL_TASK_CWD\", os.getcwd())):", "    os.chdir(x)"];
        let error = "FileNotFoundError: [Errno 2] No such file or directory: '/code'";
        assert!(hint(&[traceback[0], error]).unwrap().contains("MODEL_TASK_CWD"));
        assert!(hint(&[traceback[1], error]).unwrap().contains("MODEL_TASK_CWD"));
        assert_eq!(hint(&[error]), None);
    }

    #[test]
    fn causes_go_before_consequences() {
        let module = "ModuleNotFoundError: No module named 'x'";
        let library = "ImportError: libge_runner.so: cannot open shared object file: No such file or directory";
        assert!(hint(&[library, module]).unwrap().contains("CANN"));
        assert!(hint(&["EJ0001", "hccl timeout"]).unwrap().contains("npu-smi"));
        assert!(hint(&["hccl timeout", "EJ0001"]).unwrap().contains("npu-smi"));
    }

    #[test]
    fn what_only_looks_like_one_has_none() {
        for line in [
            "",
            "HCCL_CONNECT_TIMEOUT=1800",
            "'HCCL_CONNECT_TIMEOUT': '600',",
            "hccl init ok",
            "loss 0.EI00061",
            "XEJ0001",
            "FileNotFoundError: [Errno 2] No such file or directory: 'train.py'",
            "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
            "NotKilled",
            "Timeout of 10 s",
            "épreuve EJ00011 é",
        ] {
            assert_eq!(hint(&[line]), None, "{line}");
        }
        assert_eq!(hint::<&str>(&[]), None);
    }
}
