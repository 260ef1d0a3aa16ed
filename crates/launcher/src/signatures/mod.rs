//! What a rank's last lines mean, where they are of a kind that is known.
//!
//! Some of them are *followers*: they tell of another rank that has ended or hangs, and so of a failure whose cause is
//! elsewhere.

mod hccl;

use self::hccl::{CODES, Code, DEVICE_MEMORY};

/// One hint, of the most specific signature among `lines` (a rank's last ones, without colours); `None` where none is
/// known. `master_port` is that of the ranks' meeting.
pub fn hint<S: AsRef<str>>(lines: &[S], master_port: Option<&str>) -> Option<String> {
    let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
    let words = Words { lines: &lines, master_port };
    let find = |signature: &Signature| lines.iter().rev().find_map(|line| signature(line, &words));
    CAUSES.iter().chain(CONSEQUENCES).find_map(find)
}

/// Whether these last lines of a rank tell of the end of another one, and of no cause of their own.
pub fn is_follower<S: AsRef<str>>(lines: &[S]) -> bool {
    let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
    let words = Words { lines: &lines, master_port: None };
    let has_cause = CAUSES.iter().any(|signature| lines.iter().any(|line| signature(line, &words).is_some()));
    !has_cause && last_words(&lines).iter().any(|line| follower(line, &words).is_some())
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

/// What a rank has said, around the line that is looked at.
struct Words<'a> {
    lines: &'a [&'a str],
    master_port: Option<&'a str>,
}

/// Looks at one line, knowing those around it.
type Signature = fn(&str, &Words) -> Option<String>;

/// What a rank's own failure is told by; the most telling first.
const CAUSES: &[Signature] = &[
    driver_library,
    cann_library,
    model_task_cwd,
    |line, _| code(line, false),
    device_memory,
    host_memory,
    address_in_use,
];

/// Behind the causes: a rank that lacks a library also makes its peers' collective library time out.
const CONSEQUENCES: &[Signature] = &[follower, python_module];

/// Libraries of CANN by how their names begin.
const CANN: &str = "libacl libascendcl libhccl libge_ libgraph libfmk_ libruntime libregister liberror_manager libopskernel \
                    libtsdclient libdatatransfer libplatform libmsprof libascend_";

/// Libraries of the NPU driver, which is mounted and never in the image.
const DRIVER: &str = "libascend_hal libdrv libdcmi libmmpa";

fn driver_library(line: &str, _: &Words) -> Option<String> {
    let library = missing_library(line, DRIVER)?;
    Some(format!(
        "`{library}` belongs to the NPU driver, which the platform mounts at `/usr/local/Ascend/driver`: see that the job \
         asks for NPUs and that `LD_LIBRARY_PATH` has the driver's `lib64` folders"
    ))
}

fn cann_library(line: &str, _: &Words) -> Option<String> {
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

fn model_task_cwd(line: &str, words: &Words) -> Option<String> {
    let path = line.split_once("FileNotFoundError: ")?.1;
    let changes_folder = words
        .lines
        .iter()
        .any(|line| ["MODEL_TASK_CWD", "switch_directory", "os.chdir("].iter().any(|part| line.contains(part)));
    (changes_folder || path.ends_with(": ''")).then(|| {
        "the folder to start in isn't there: see that `MODEL_TASK_CWD`, the code folder, is set and exists on this server"
            .into()
    })
}

/// The codes of causes, or those of followers.
fn code(line: &str, is_follower: bool) -> Option<String> {
    let has = |code: &&Code| code.is_follower == is_follower && has_code(line, code.name);
    CODES.iter().find(has).map(|code| format!("{}: {}", code.name, code.hint))
}

/// As torch_npu, MindSpore and CUDA say it.
fn device_memory(line: &str, _: &Words) -> Option<String> {
    let is_torch = ["NPU", "CUDA"].iter().any(|device| line.contains(&format!("{device} out of memory")));
    let is_mindspore = line.contains("memory isn't enough") && line.contains("Device");
    (is_torch || is_mindspore).then(|| DEVICE_MEMORY.to_owned())
}

fn host_memory(line: &str, _: &Words) -> Option<String> {
    let shell_says = line.trim_end() == "Killed" || line.trim_end().ends_with(" Killed");
    let allocator_says = line.starts_with("MemoryError") || line.contains("std::bad_alloc");
    (shell_says || allocator_says || line.contains("Cannot allocate memory"))
        .then(|| format!("the server's memory (not the device's) seems to have run out: {LESS_MEMORY}"))
}

fn address_in_use(line: &str, words: &Words) -> Option<String> {
    let is_in_use = ["Address already in use", "EADDRINUSE", "[Errno 98]"].iter().any(|part| line.contains(part));
    let (port, masters) = (port(line), words.master_port);
    let what = match (port, masters) {
        (Some(port), masters) if masters.is_none_or(|it| it != port) => {
            format!("port {port} of this server: look for ranks of an earlier job")
        }
        (Some(port), _) => format!(
            "port {port} of this server, where the ranks meet: look for ranks of an earlier job, or set `MASTER_PORT` to a \
             free one"
        ),
        (None, Some(masters)) => format!(
            "the port that the rank wants: look for ranks of an earlier job on this server. If it is {masters}, where the \
             ranks meet, `MASTER_PORT` sets another one"
        ),
        (None, None) => "the port that the rank wants: look for ranks of an earlier job on this server".to_owned(),
    };
    is_in_use.then(|| format!("another process listens on {what}"))
}

/// The port that a line about an address names: `[::]:29500 (errno: 98 …`, `0.0.0.0:29500`, `port: 29500`.
fn port(line: &str) -> Option<&str> {
    let is_port = |before: &str| {
        let address = before.strip_suffix(':').and_then(|it| it.rsplit([' ', '\'', '"', '(', '/']).next());
        let words = before.trim_end_matches([' ', ':', '=']);
        words.ends_with("port") || address.is_some_and(|it| it.ends_with(']') || it.matches('.').count() == 3)
    };
    let numbers = line.match_indices(|it: char| it.is_ascii_digit()).filter(|(at, _)| is_port(&line[..*at]));
    let end = |rest: &str| rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
    let mut ports = numbers.map(|(at, _)| &line[at..at + end(&line[at..])]);
    ports.rfind(|it| it.parse().is_ok_and(|port: u16| port > 0))
}

/// Where a rank lost another one, in words that are no one else's.
const LOST_PEER: &[&str] = &[
    // torch.distributed, of NCCL and of HCCL alike.
    "watchdog caught collective operation timeout",
    "nccl operations have failed or timed out",
    "hccl operations have failed or timed out",
    "remote process exited or there was a network error",
    "the client socket has timed out",
    "got 0 bytes. connection was likely closed",
    // Its store: "Timed out after 61 seconds waiting for clients. 1/2 clients joined."
    "seconds waiting for clients",
    "seconds waiting for workers",
];

/// What others say as well, of a download for example: it counts where [`COLLECTIVE`] is spoken of.
const LOST_CONNECTION: &[&str] =
    &["connection closed by peer", "connection reset by peer", "timed out waiting", "socket timeout", "broken pipe"];

const COLLECTIVE: &[&str] =
    &["gloo", "c10d", "torch/distributed", "torch.distributed", "processgroup", "nccl", "hccl", "tcpstore"];

/// As MindSpore's ranks and its scheduler say it.
const LOST_SCHEDULER: &[&str] = &[
    "failed to connect to the meta server",
    "failed to send heartbeat message to meta server",
    "is timed out. it may exit with exception",
    "the total number of timed out node is",
];

fn follower(line: &str, words: &Words) -> Option<String> {
    if let Some(hint) = code(line, true) {
        return Some(hint);
    }
    let lower = line.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    let is_collective = |line: &&str| {
        let lower = line.to_ascii_lowercase();
        COLLECTIVE.iter().any(|part| lower.contains(part))
    };
    if (lower.contains("notify wait") || lower.contains("hccl")) && says_timeout(line) && !has(LOST_PEER) {
        Some(hccl::timeout(lower.contains("hccl_connect_timeout")).to_owned())
    } else if has(LOST_PEER) || has(LOST_CONNECTION) && words.lines.iter().any(is_collective) {
        Some(
            "the rank lost another one: that one died or hangs; look at the first failure on the other servers, and \
             whether all ranks run the same number of steps"
                .to_owned(),
        )
    } else if has(LOST_SCHEDULER) {
        Some(
            "MindSpore's scheduler and this rank lost each other, or the scheduler lost another rank: look at the first failure \
             on the other servers and at the scheduler's log"
                .to_owned(),
        )
    } else {
        None
    }
}

/// How exceptions are called that tell of another rank; any other is the rank's own.
const OF_OTHERS: &[&str] = &[
    "RuntimeError",
    "DistError",
    "DistBackendError",
    "DistNetworkError",
    "DistStoreError",
    "ConnectionError",
    "ConnectionResetError",
    "ConnectionAbortedError",
    "BrokenPipeError",
    "TimeoutError",
    "EOFError",
    "OSError",
];

/// The lines that tell why a rank ended: of a Python program the message of its last exception and what follows, none of
/// one that is the program's own; else all.
fn last_words<'a>(lines: &'a [&'a str]) -> &'a [&'a str] {
    let Some(begin) = lines.iter().rposition(|line| line.contains("Traceback (most recent call last):")) else {
        return lines;
    };
    let is_message = |line: &&str| !bare(line).is_empty() && !bare(line).starts_with([' ', '\t']);
    let Some(message) = lines[begin + 1..].iter().position(is_message) else { return lines };
    let words = &lines[begin + 1 + message..];
    let name = bare(words[0]).split(':').next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
    if OF_OTHERS.contains(&name) { words } else { &[] }
}

/// A line without the `[rank0]: ` that PyTorch prefixes each line of a traceback with.
fn bare(line: &str) -> &str {
    line.strip_prefix("[rank").and_then(|it| it.split_once("]: ")).map_or(line, |it| it.1)
}

fn python_module(line: &str, _: &Words) -> Option<String> {
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
            ("RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB (NPU 3; 60.96 GiB".into(), "device's memory"),
            ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB".into(), "device's memory"),
            ("Device(id:5) memory isn't enough and alloc failed, kernel name: x".into(), "device's memory"),
            ("EI0011: Failed to allocate 1024 bytes of NPU memory.".into(), "EI0011: the device's memory"),
            ("[EI0004] Failed to parse the ranktable file".into(), "fmtk-launch rank-table check"),
            ("EJ0003: Failed to bind the IP port.".into(), "in use"),
            (
                "[rank3]:[E] [Rank 3] Watchdog caught collective operation timeout: WorkHCCL(SeqNum=4".into(),
                "lost another",
            ),
            (
                "torch.distributed.DistStoreError: Timed out after 61 seconds waiting for clients.".into(),
                "lost another",
            ),
            ("RuntimeError: Failed to connect to the meta server. Maybe it has exited.".into(), "scheduler"),
        ] {
            let hint = hint(&[lines.as_str(), "the end"], None).unwrap_or_else(|| panic!("{lines}"));
            assert!(hint.contains(part), "{lines} → {hint}");
        }
    }

    #[test]
    fn the_folder_to_start_in_is_told_by_the_lines_around() {
        let traceback =
            ["    with self.switch_directory(os.getenv(\"MODEL_TASK_CWD\", os.getcwd())):", "    os.chdir(x)"];
        let error = "FileNotFoundError: [Errno 2] No such file or directory: '/code'";
        assert!(hint(&[traceback[0], error], None).unwrap().contains("MODEL_TASK_CWD"));
        assert!(hint(&[traceback[1], error], None).unwrap().contains("MODEL_TASK_CWD"));
        assert_eq!(hint(&[error], None), None);
    }

    #[test]
    fn causes_go_before_consequences() {
        let module = "ModuleNotFoundError: No module named 'x'";
        let library = "ImportError: libge_runner.so: cannot open shared object file: No such file or directory";
        assert!(hint(&[library, module], None).unwrap().contains("CANN"));
        assert!(hint(&["EJ0001", "hccl timeout"], None).unwrap().contains("npu-smi"));
        assert!(hint(&["hccl timeout", "EJ0001"], None).unwrap().contains("npu-smi"));
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
            assert_eq!(hint(&[line], None), None, "{line}");
        }
        assert_eq!(hint::<&str>(&[], None), None);
    }

    #[test]
    fn each_code_has_one_hint() {
        let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
        for Code { name, is_follower: expect, hint: text } in CODES {
            let line = format!("RuntimeError: {name}: what it says");
            assert_eq!(hint(&[&line], None), Some(format!("{name}: {text}")));
            assert_eq!(is_follower(&[&line]), *expect, "{name}");
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        for (line, master, part) in [
            ("failed to bind to [::]:29500 (errno: 98 - Address already in use).", Some("29500"), "`MASTER_PORT`"),
            ("failed to bind to [::]:29500 (errno: 98 - Address already in use).", None, "port 29500 of this server: "),
            ("bind to ?UNKNOWN? port: 29501, EADDRINUSE", Some("29500"), "port 29501 of this server: "),
            ("listen on ('0.0.0.0:8118') failed: Address already in use", None, "port 8118 "),
            ("OSError: [Errno 98] Address already in use", Some("29500"), "If it is 29500, where"),
            ("OSError: [Errno 98] Address already in use", None, "the port that the rank wants: "),
            ("port 99999 and 1.2.3:4: Address already in use", None, "the port that the rank wants: "),
        ] {
            let hint = hint(&[line], master).unwrap_or_else(|| panic!("{line}"));
            assert!(hint.contains(part), "{line} → {hint}");
        }
    }

    #[test]
    fn who_follows_is_told_from_who_fails() {
        const HEAD: &str =
            "Traceback (most recent call last):\n  File \"/x/torch/distributed/run.py\", line 1, in f\n    f()\n";
        const GLOO: &str =
            "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:598] Connection closed by peer [::1]:2";
        for (text, expect) in [
            (format!("{HEAD}{GLOO}"), true),
            (format!("[rank1]: {}", format!("{HEAD}{GLOO}").replace('\n', "\n[rank1]: ")), true),
            (GLOO.to_owned(), true),
            (format!("{HEAD}torch.distributed.DistBackendError: Timed out waiting 1800000ms for recv"), true),
            (format!("{HEAD}RuntimeError: HCCL error\nEI0006: Getting socket times out. Reason: x"), true),
            (
                "terminate called\n  what():  [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(".into(),
                true,
            ),
            ("The node: 3 is timed out. It may exit with exception, please check this node's log.".into(), true),
            // What it says itself decides, whatever others say after it.
            (format!("{HEAD}ValueError: loss is not a number\n{GLOO}"), false),
            (format!("{HEAD}KeyError: 'x'\n\nDuring handling\n\n{HEAD}{GLOO}"), true),
            (format!("{GLOO}\n{HEAD}AssertionError"), false),
            (format!("{HEAD}RuntimeError: NPU out of memory. Tried to allocate 2 GiB\n{GLOO}"), false),
            (format!("{HEAD}RuntimeError: shapes differ"), false),
            // A download.
            ("ConnectionResetError: [Errno 104] Connection reset by peer".into(), false),
            (String::new(), false),
            (HEAD.to_owned(), false),
        ] {
            assert_eq!(is_follower(&text.lines().collect::<Vec<_>>()), expect, "{text}");
        }
    }
}
