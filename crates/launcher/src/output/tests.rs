//! The whole of it, against pipes that are read slowly or not at all and files that hang.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use tempfile::TempDir;

use super::*;

const LONG: Duration = Duration::from_secs(3600);

/// Time-outs that never pass, so that a slow machine changes nothing.
fn patient() -> Patience {
    Patience { hang: LONG, pause: LONG, retry: LONG, update: LONG }
}

fn start(stdout: OwnedFd, stderr: OwnedFd, patience: Patience) -> Output {
    Output::start(Options { stdout, stderr, colour: false, log_max_size: 0, patience }).unwrap()
}

fn open(output: &mut Output, rank: usize, folder: &Path) -> usize {
    let file = folder.join(format!("{rank}.txt"));
    output.open(Sink { label: format!("rank {rank}"), file, on_console: true })
}

/// What the event loop does between reads.
fn turn(output: &mut Output) {
    let left = output.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let timeout = left.map_or(20_000, |left| u16::try_from(left.as_millis()).unwrap_or(20_000));
    poll(&mut [PollFd::new(output.wake_fd(), PollFlags::POLLIN)], PollTimeout::from(timeout)).unwrap();
    output.tick(Instant::now());
}

/// As a rank that waits when it is not read from.
fn feed(output: &mut Output, sink: usize, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match output.wants(sink).min(bytes.len()) {
            0 => turn(output),
            room => {
                output.take(sink, &bytes[..room], Instant::now());
                bytes = &bytes[room..];
            }
        }
    }
}

fn read_all(mut file: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    })
}

/// Sums up what was told about skipped lines.
fn told(stderr: &str) -> u64 {
    let numbers = stderr.lines().filter_map(|line| line.strip_prefix("[fmtk-launch] console: "));
    numbers.map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("line {n} {}\n", "x".repeat(n % 200))).collect()
}

/// With pipes that nobody reads yet.
fn unread(patience: Patience) -> (TempDir, Output, PipeReader, PipeReader) {
    let ((out, stdout), (err, stderr)) = (pipe().unwrap(), pipe().unwrap());
    (tempfile::tempdir().unwrap(), start(stdout.into(), stderr.into(), patience), out, err)
}

fn rig(patience: Patience) -> (TempDir, Output, JoinHandle<String>, JoinHandle<String>) {
    let (folder, output, out, err) = unread(patience);
    (folder, output, read_all(out), read_all(err))
}

#[test]
fn eight_ranks_lose_nothing() {
    let (folder, mut output, out, err) = rig(patient());
    let sinks: Vec<_> = (0..8).map(|rank| open(&mut output, rank, folder.path())).collect();
    let text = lines(0, 20_000) + "last";
    for chunk in text.as_bytes().chunks(10_007) {
        sinks.iter().for_each(|&sink| feed(&mut output, sink, chunk));
    }
    assert_eq!(output.tail(sinks[0]).last().unwrap(), "last");
    let summaries = output.finish(LONG, |_| Vec::new());
    let out = out.join().unwrap();
    for (rank, summary) in summaries.iter().enumerate() {
        assert_eq!((summary.bytes, summary.bytes_lost, summary.parts), (text.len() as u64, 0, 1));
        assert_eq!((summary.console_lines_lost, &summary.trouble), (0, &None));
        assert!(fs::read_to_string(&summary.file).unwrap() == text);
        let prefix = format!("[rank {rank}] ");
        assert!(out.lines().filter_map(|line| line.strip_prefix(&prefix)).eq(text.lines()));
    }
    assert_eq!(out.lines().count(), 8 * 20_001);
    assert_eq!(err.join().unwrap(), "");
}

#[test]
fn our_own_lines_come_in_order_with_those_of_the_ranks() {
    let (reader, writer) = pipe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut output = start(writer.try_clone().unwrap().into(), writer.into(), patient());
    let sinks = [3, 4].map(|rank| open(&mut output, rank, folder.path()));
    let hidden = folder.path().join("hidden");
    let hidden = output.open(Sink { label: "rank 5".into(), file: hidden, on_console: false });
    output.take(sinks[0], b"one\ntw", Instant::now());
    output.say("own");
    output.take(hidden, b"not shown\n", Instant::now());
    output.take(sinks[1], b"a\rb\n", Instant::now());
    output.take(sinks[0], b"o\nend", Instant::now());
    output.end(sinks[0]);
    output.say("bye");
    output.finish(LONG, |_| Vec::new());
    let expect = "[rank 3] one\nfmtk-launch: own\n[rank 4] b\n[rank 3] two\n[rank 3] end\nfmtk-launch: bye\n";
    assert_eq!(read_all(reader).join().unwrap(), expect);
}

#[test]
fn a_console_that_is_not_read_is_skipped_and_says_what_it_skipped() {
    let (folder, mut output, out, err) = unread(Patience { pause: Duration::from_millis(20), ..patient() });
    let sinks = [0, 1].map(|rank| open(&mut output, rank, folder.path()));
    let text = lines(0, 20_000);
    for chunk in text.as_bytes().chunks(50_000) {
        sinks.iter().for_each(|&sink| feed(&mut output, sink, chunk));
    }
    let out = read_all(out);
    // From here on there is a reader, and the loop is called when there is room.
    while sinks.iter().any(|&sink| output.console.room(sink) == usize::MAX) {
        turn(&mut output);
    }
    output.say("caught up");
    sinks.iter().for_each(|&sink| feed(&mut output, sink, b"seen\n"));
    let summaries = output.finish(LONG, |_| Vec::new());
    let lost: u64 = summaries.iter().map(|summary| summary.console_lines_lost).sum();
    let (out, err) = (out.join().unwrap(), read_all(err).join().unwrap());
    assert!(lost > 10_000, "{lost}");
    assert_eq!(out.lines().count() as u64 + lost, 40_002);
    assert_eq!(told(&err), lost);
    assert!(told(err.split("caught up").next().unwrap()) > 0, "told when it is over, not at the end: {err}");
    assert!(out.ends_with("seen\n"));
    assert!(summaries.iter().all(|summary| fs::read_to_string(&summary.file).unwrap() == text.clone() + "seen\n"));
}

#[test]
fn half_a_line_is_not_shown_while_its_rank_waits_for_the_console() {
    let (folder, mut output, out, _err) = unread(Patience { update: Duration::ZERO, ..patient() });
    let sink = open(&mut output, 0, folder.path());
    let text = "a line\n".repeat(20_000);
    output.take(sink, text.as_bytes(), Instant::now());
    // The writer takes that, and waits for a reader.
    while output.console.room(sink) == 0 {
        thread::yield_now();
    }
    output.take(sink, (text + "half").as_bytes(), Instant::now());
    assert_eq!(output.wants(sink), 0);
    output.tick(Instant::now());
    assert!(
        output.console.deadline().is_some_and(|it| it > Instant::now()),
        "it is asked for a half line again and again"
    );
    let out = read_all(out);
    output.take(sink, b" of it\n", Instant::now());
    output.finish(LONG, |_| Vec::new());
    let out = out.join().unwrap();
    assert!(out.ends_with("[rank 0] a line\n[rank 0] half of it\n"), "{}", &out[out.len() - 50..]);
}

#[test]
fn half_a_line_that_uses_up_the_room_is_waited_for_like_a_whole_one() {
    let (folder, mut output, _out, _err) = unread(Patience { update: Duration::ZERO, ..patient() });
    let sink = open(&mut output, 0, folder.path());
    output.take(sink, "a line\n".repeat(20_000).as_bytes(), Instant::now());
    // The writer takes that, and waits for a reader.
    while output.console.room(sink) == 0 {
        thread::yield_now();
    }
    while output.console.room(sink) > 2 * LEAST {
        output.take(sink, b"a line\n", Instant::now());
    }
    output.take(sink, &[b'x'; 2 * LEAST], Instant::now());
    assert!(output.console.room(sink) >= LEAST);
    output.tick(Instant::now());
    assert!(output.console.room(sink) < LEAST);
    assert!(output.console.deadline().is_some(), "nobody calls the loop when there is room again");
}

#[test]
fn a_console_that_is_never_read_holds_nothing_up() {
    let (folder, mut output, mut out, err) = unread(Patience { pause: Duration::from_millis(20), ..patient() });
    let sink = open(&mut output, 0, folder.path());
    feed(&mut output, sink, lines(0, 20_000).as_bytes());
    // A disk may take longer than a console that nobody reads is waited for, and so may the turn of the writer's thread.
    output.settle_files(LONG);
    while console::unread(&out) < 60_000 {
        thread::yield_now();
    }
    let summary = output.finish(Duration::from_millis(50), |_| Vec::new()).remove(0);
    assert_eq!(summary.bytes_lost, 0);
    let skipped = summary.console_lines_lost;
    let mut told = String::new();
    BufReader::new(err).read_line(&mut told).unwrap();
    assert_eq!(told, format!("[fmtk-launch] console: it hangs, {skipped} lines skipped, they are in the log files\n"));
    let mut text = vec![0; 60_000];
    out.read_exact(&mut text).unwrap();
    let mut rest = vec![0; 1 << 20];
    // What is in the pipe at that time is there in whole writes; the call that waits for room then has to be left out.
    let shown = 20_000 - summary.console_lines_lost;
    let expect: String =
        lines(0, 20_000).lines().take(shown as usize).map(|line| format!("[rank 0] {line}\n")).collect();
    let count = out.read(&mut rest).unwrap();
    text.extend_from_slice(&rest[..count]);
    assert!(text.starts_with(expect.as_bytes()));
    assert!(text.len() - expect.len() <= 4096, "{} {}", text.len(), expect.len());
}

#[test]
fn a_closed_stdout_ends_the_console_but_not_the_files() {
    let (folder, mut output, out, err) = unread(patient());
    let sinks = [0, 1].map(|rank| open(&mut output, rank, folder.path()));
    drop(out);
    let text = lines(0, 20_000);
    for chunk in text.as_bytes().chunks(50_000) {
        sinks.iter().for_each(|&sink| feed(&mut output, sink, chunk));
    }
    output.say("still heard");
    let summaries = output.finish(LONG, |_| Vec::new());
    let err = read_all(err).join().unwrap();
    assert!(summaries.iter().all(|summary| (summary.console_lines_lost, summary.bytes_lost) == (20_000, 0)));
    assert_eq!(told(&err), 40_000);
    assert!(err.contains("still heard\n"));
    assert_eq!(err.matches("fmtk-launch: failed to write to `stdout`: Broken pipe").count(), 1, "{err}");
}

#[test]
fn a_stdout_that_closes_at_the_very_end_is_told_too() {
    let (folder, mut output, out, err) = unread(patient());
    let sink = open(&mut output, 0, folder.path());
    drop(out);
    output.take(sink, b"a line\n", Instant::now());
    output.finish(LONG, |_| Vec::new());
    let err = read_all(err).join().unwrap();
    assert!(err.contains("fmtk-launch: failed to write to `stdout`: Broken pipe"), "{err}");
}

#[test]
fn a_folder_that_hangs_is_told_and_noted_in_the_file() {
    let (folder, mut output, _out, err) = rig(Patience { hang: Duration::from_secs(2), ..patient() });
    let path = folder.path().join("0.txt");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    // Nobody reads it yet, so it takes forever to open.
    let sinks = [0, 1].map(|rank| open(&mut output, rank, folder.path()));
    let text = lines(0, 5_000);
    sinks.iter().for_each(|&sink| feed(&mut output, sink, text.as_bytes()));
    assert!(output.files.room(0) == AT_ONCE, "it is being dropped");
    // The console may still have called for something else.
    while output.console.worker.lock().busy_since().is_some_and(|since| since.elapsed() < Duration::from_millis(20)) {
        thread::yield_now();
    }
    output.tick(Instant::now());
    let calls = || poll(&mut [PollFd::new(output.wake_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap();
    assert!(calls() == 0, "the alarm is over when it was heard");
    let log = read_all(File::open(&path).unwrap());
    // Until what was in the buffer is written, which is when there is room for what comes after the gap.
    while output.wants(sinks[0]) == 0 || output.wants(sinks[1]) == 0 || output.files.room(0) == 0 {
        turn(&mut output);
    }
    sinks.iter().for_each(|&sink| feed(&mut output, sink, b"after\n"));
    let summaries = output.finish(LONG, |_| Vec::new());
    let log = log.join().unwrap();
    for (summary, log) in summaries.iter().zip([log, fs::read_to_string(folder.path().join("1.txt")).unwrap()]) {
        assert!(summary.bytes_lost > 0);
        assert_eq!(summary.bytes + summary.bytes_lost, text.len() as u64 + 6);
        let (kept, rest) = log.split_once("[fmtk-launch] ").unwrap();
        assert!(text.starts_with(kept.trim_end()));
        assert!(log.contains(&format!("[fmtk-launch] {} bytes are missing here\n", summary.bytes_lost)), "{rest}");
    }
    let err = err.join().unwrap();
    let folder = folder.path().display();
    assert_eq!(err.matches(&format!("fmtk-launch: failed to write to `{folder}` for 2 s")).count(), 1, "{err}");
    assert_eq!(err.matches("fmtk-launch: the log files are written again").count(), 1, "{err}");
}

#[test]
fn a_folder_that_hangs_to_the_end_holds_nothing_up() {
    let (folder, mut output, _out, _err) = rig(patient());
    nix::unistd::mkfifo(&folder.path().join("0.txt"), Mode::S_IRWXU).unwrap();
    let sink = open(&mut output, 0, folder.path());
    feed(&mut output, sink, b"12345");
    let summary = output.finish(Duration::from_millis(50), |_| Vec::new()).remove(0);
    assert_eq!((summary.bytes, summary.bytes_lost, summary.parts), (0, 5, 0));
    assert!(summary.trouble.unwrap().ends_with("in time"));
    // So that the thread ends with the test.
    drop(OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(folder.path().join("0.txt")).unwrap());
}

#[test]
fn errors_of_files_are_told_once() {
    let (folder, mut output, _out, err) = rig(patient());
    let no_folder = folder.path().join("no");
    fs::write(&no_folder, "").unwrap();
    for (label, file) in [("rank 0", "/dev/full".into()), ("rank 1", no_folder.join("a"))] {
        let sink = output.open(Sink { label: label.into(), file, on_console: false });
        feed(&mut output, sink, &[b'x'; 300_000]);
    }
    let summaries = output.finish(LONG, |_| Vec::new());
    assert!(summaries.iter().all(|summary| (summary.bytes, summary.bytes_lost) == (0, 300_000)));
    let err = err.join().unwrap();
    assert_eq!(err.lines().count(), 2, "{err}");
    for summary in summaries {
        assert!(err.contains(&summary.trouble.unwrap()));
    }
}

#[test]
fn one_rank_that_floods_leaves_room_for_the_others() {
    let (folder, mut output, _out, _err) = unread(patient());
    let sinks = [0, 1].map(|rank| open(&mut output, rank, folder.path()));
    let text = lines(0, 100);
    // Nobody reads the console, so it fills up for good.
    while output.console.room(sinks[0]) >= LEAST {
        let room = output.wants(sinks[0]).min(text.len());
        if room == 0 {
            turn(&mut output);
        }
        output.take(sinks[0], &text.as_bytes()[..room], Instant::now());
    }
    assert_eq!(output.wants(sinks[0]), 0);
    assert_eq!(output.wants(sinks[1]), AT_ONCE);
    output.finish(Duration::ZERO, |_| Vec::new());
}

#[test]
fn nobody_wakes_up_while_all_is_quiet() {
    let (folder, mut output, _out, _err) = rig(Patience { hang: Duration::from_millis(400), ..patient() });
    let sink = open(&mut output, 0, folder.path());
    for size in [5, 10, 15, 20] {
        // A writer that is still awake may write the line before it is called.
        until_quiet(&mut output);
        output.take(sink, b"line\n", Instant::now());
        assert!(output.deadline().is_some(), "the writers are still to be woken");
        output.tick(Instant::now());
        while fs::read(folder.path().join("0.txt")).unwrap_or_default().len() < size {
            thread::yield_now();
        }
    }
    until_quiet(&mut output);
    let woken = poll(&mut [PollFd::new(output.wake_fd(), PollFlags::POLLIN)], PollTimeout::from(700u16)).unwrap();
    assert_eq!(woken, 0);
}

/// Ticks as the event loop does until both writers sleep: on a busy machine one may be told to hang, and that it does not.
fn until_quiet(output: &mut Output) {
    loop {
        while output.deadline().is_some() {
            output.tick(Instant::now());
            thread::yield_now();
        }
        // What a writer said before it went to sleep.
        output.tick(Instant::now());
        if output.deadline().is_none() {
            return;
        }
    }
}
