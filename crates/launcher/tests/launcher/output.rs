//! What ranks print: whole on the console, byte for byte in the files.

use std::fs::{self, File};
use std::io::Read;
use std::process::Stdio;

use crate::harness::{TestFolder, finish, kill, start, until, wait};

#[test]
fn lines_are_whole_and_files_are_complete() {
    let place = TestFolder::new();
    // Writes without regard for lines: `dd` cuts them anywhere.
    let script = "i=0; while [ $i -lt 2000 ]; do echo \"$RANK line $i of some length\"; i=$((i+1)); done | dd bs=7 status=none; printf 'no newline'";
    let finished = place.run("--devices 0-3", script).ends(0);
    let mut next = [0; 4];
    for line in finished.stdout.lines() {
        let (label, text) = line.split_once("] ").unwrap_or_else(|| panic!("torn: {line}"));
        let rank: usize = label.strip_prefix("[rank ").unwrap().parse().unwrap();
        let expected = match next[rank] {
            2000 => "no newline".to_owned(),
            number => format!("{rank} line {number} of some length"),
        };
        // On a busy machine `dd` may rest within a line, which is shown as far as it has come, and then whole.
        if text.len() < expected.len() && expected.starts_with(text) {
            continue;
        }
        assert_eq!(text, expected);
        next[rank] += 1;
    }
    assert_eq!(next, [2001; 4]);
    for rank in 0..4 {
        let expected: String = (0..2000).map(|number| format!("{rank} line {number} of some length\n")).collect();
        assert_eq!(place.log(rank), expected + "no newline");
    }
}

#[test]
fn what_is_in_the_pipes_when_the_ranks_are_gone_is_not_lost() {
    // Several times: it was lost only where the console made room between two looks.
    for _ in 0..8 {
        let place = TestFolder::new();
        // Less than what a pipe holds, and more than the console takes at once.
        let script = "yes 'a line of some length, as a training script prints one in each of its steps' | head -n 3000";
        let finished = place.run("--devices 0-7", script);
        assert_eq!(finished.stdout.lines().count(), 8 * 3000);
        (0..8).for_each(|rank| assert_eq!(place.log(rank).lines().count(), 3000));
    }
}

#[test]
fn both_streams_are_in_the_file_in_order_and_bytes_stay_bytes() {
    let place = TestFolder::new();
    let finished = finish(
        &mut place.shell("--devices 0 --console none", "echo a; echo b >&2; printf '\\377\\000\\r\\n'; echo c >&2"),
    );
    assert_eq!((finished.code, finished.stdout.as_str()), (0, ""));
    let bytes = fs::read(place.path("mount/log/job-proc-rank-0-device-0.txt")).unwrap();
    assert_eq!(bytes, b"a\nb\n\xff\0\r\nc\n");
}

#[test]
fn a_progress_bar_and_a_prompt_are_seen_before_they_end() {
    let place = TestFolder::new();
    // Each rank goes on when its line was seen, which is when its file is there.
    let script = "if [ $RANK = 0 ]; then printf '\\r 50%%|##  |'; else printf 'Continue? '; fi; \
                  until [ -e seen-$RANK ]; do sleep 0.05; done; \
                  if [ $RANK = 0 ]; then printf '\\r100%%|####|\\n'; else echo yes; fi";
    let console = place.path("console");
    let mut command = place.shell("--devices 0-1", script);
    let child = command.stdout(File::create(&console).unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    for (rank, line) in [(0, "[rank 0]  50%|##  |\n"), (1, "[rank 1] Continue? \n")] {
        until(line, || fs::read_to_string(&console).unwrap().contains(line));
        File::create(place.path(&format!("code/seen-{rank}"))).unwrap();
    }
    wait(child).ends(0);
    let text = fs::read_to_string(&console).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let expected = ["[rank 0]  50%|##  |", "[rank 0] 100%|####|", "[rank 1] Continue? ", "[rank 1] Continue? yes"];
    assert_eq!(lines, expected);
    assert_eq!((place.log(0), place.log(1)), ("\r 50%|##  |\r100%|####|\n".into(), "Continue? yes\n".into()));
}

#[test]
fn the_console_shows_the_ranks_that_it_is_asked_for() {
    let place = TestFolder::new();
    let finished = place.run("--devices 0-3 --console 1,3", "echo x");
    let mut lines: Vec<&str> = finished.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[rank 1] x", "[rank 3] x"]);
    assert_eq!(place.log(0), "x\n");
}

#[test]
fn a_console_that_blocks_does_not_stop_the_ranks() {
    let place = TestFolder::new();
    let script = "i=0; while [ $i -lt 100000 ]; do echo \"$RANK line $i of some length that fills pipes\"; i=$((i+1)); done; echo done";
    let mut child = start(&mut place.shell("--devices 0-1", script));
    // Nobody reads standard output until the ranks are done.
    (0..2).for_each(|rank| place.until_log_has(rank, "done"));
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let finished = wait(child).ends(0);
    let shown = stdout.lines().count() as u64;
    assert!(stdout.lines().all(|it| it.starts_with("[rank ")), "torn");
    let skipped: u64 = finished
        .stderr
        .lines()
        .filter_map(|it| it.split_once(" lines skipped")?.0.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(skipped > 0, "{}", finished.stderr);
    assert_eq!(shown + skipped, 200_002);
    let ranks = place.report()["attempts"][0]["ranks"].clone();
    let reported: u64 = ranks.as_array().unwrap().iter().map(|it| it["console_lines_skipped"].as_u64().unwrap()).sum();
    assert_eq!(reported, skipped);
    for rank in 0..2 {
        assert_eq!(place.log(rank).lines().count(), 100_001);
    }
}

#[test]
fn a_console_that_is_gone_does_not_stop_the_ranks() {
    let place = TestFolder::new();
    let mut command = place
        .shell("--devices 0-1", "i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done; [ $RANK = 1 ] || exit 3");
    let mut child = start(&mut command);
    drop(child.stdout.take());
    wait(child).ends(3);
    assert_eq!(place.log(0).lines().count(), 1000);
}

#[test]
fn files_are_put_aside_at_their_size_and_nothing_is_lost() {
    let place = TestFolder::new();
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done";
    place.run("--devices 0 --console none --log-max-size 4KiB", script).ends(0);
    let name = |part: u32| {
        place.path(&format!(
            "mount/log/job-proc-rank-0-device-0.txt{}",
            if part == 0 { String::new() } else { format!(".{part}") }
        ))
    };
    let mut whole = String::new();
    let mut parts = 0;
    while name(parts + 1).exists() {
        parts += 1;
        let part = fs::read_to_string(name(parts)).unwrap();
        assert!(part.len() <= 4096 && part.ends_with('\n'), "part {parts} has {}", part.len());
        whole += &part;
    }
    whole += &fs::read_to_string(name(0)).unwrap();
    assert!(parts > 5);
    assert_eq!(whole, (0..3000).map(|number| format!("line {number}\n")).collect::<String>());
    assert_eq!(place.report()["attempts"][0]["ranks"][0]["log_parts"], parts + 1);
}

#[test]
fn a_log_folder_that_is_removed_is_made_again_and_what_it_had_is_told() {
    let place = TestFolder::new();
    let child = place.running("--devices 0-1", "echo up; until [ -e go ]; do sleep 0.05; done; echo again", 2);
    fs::remove_dir_all(place.path("mount/log")).unwrap();
    File::create(place.path("code/go")).unwrap();
    let finished = wait(child).ends(0);
    for rank in 0..2 {
        let log = place.path(&format!("mount/log/job-proc-rank-{rank}-device-{rank}.txt"));
        let removed = format!("`{}` was removed while a rank was writing to it", log.display());
        finished.says(&[&format!("fmtk-launch: {removed}\n")]);
        let (_, block) = finished.stderr.split_once("SUCCEEDED").unwrap();
        let bytes = place.report()["attempts"][0]["ranks"][rank]["log_bytes_lost"].clone();
        let lost = format!("  lost     {bytes} bytes of the log of rank {rank}: {removed}\n");
        assert!(block.contains(&lost), "no `{lost}` in {block}");
        assert!(place.log(rank as u32).contains(&format!("[fmtk-launch] {bytes} bytes are missing here\n")));
    }
}

#[test]
fn a_log_folder_that_hangs_does_not_hold_up_the_end() {
    let place = TestFolder::new();
    // A pipe that nobody reads: opening it takes for ever, as on a network folder that is gone.
    let log = place.path("mount/log/job-proc-rank-0-device-0.txt");
    assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
    let begin = std::time::Instant::now();
    let finished = place.run("--devices 0-1", "echo up; [ $RANK = 1 ] || exit 7; sleep 1000").ends(7);
    assert!(begin.elapsed() < crate::harness::PATIENCE, "{:?}", begin.elapsed());
    finished.prints(&["[rank 0] up\n"]);
    assert_eq!(place.report()["attempts"][0]["ranks"][0]["log_bytes_lost"], 3);
    let (_, block) = finished.stderr.split_once("FAILED").unwrap();
    assert!(
        block.contains(&format!(
            "  lost     3 bytes of the log of rank 0: failed to write to `{}` in time\n",
            log.display()
        )),
        "{block}"
    );
}

#[test]
fn inherited_descriptors_stay_blocking() {
    let place = TestFolder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = place.shell("--devices 0", "echo up; sleep 1000");
    let child = command.stdout(writer.try_clone().unwrap()).stderr(Stdio::null()).spawn().unwrap();
    place.until_log_has(0, "up");
    // The flag is of the open pipe, which we share.
    let flags = fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&writer))).unwrap();
    let flags = flags.lines().find_map(|it| it.strip_prefix("flags:\t")).unwrap();
    assert_eq!(u32::from_str_radix(flags, 8).unwrap() & libc::O_NONBLOCK as u32, 0, "{flags}");
    kill(child.id() as i32, libc::SIGTERM);
    let mut child = child;
    until("an end", || child.try_wait().unwrap().is_some());
    drop(reader);
}

#[test]
fn no_colour_where_there_is_no_terminal() {
    let place = TestFolder::new();
    assert!(!place.run("--devices 0", "echo x").stdout.contains('\x1b'));
}

/// A name with an escape sequence, and with a line of its own.
const NAME: &str = "job\x1b[2J\nfmtk-launch: SUCCEEDED";
const ESCAPED: &str = "job\\u{1b}[2J\\nfmtk-launch: SUCCEEDED";

#[test]
fn control_characters_of_names_and_paths_are_escaped_in_messages_and_ranks_print_what_they_like() {
    let place = TestFolder::new();
    let script = "printf '\\033[1mbold\\033[0m\\n'; exit 3";
    let mut command = place.shell("--devices 0", script);
    let finished = finish(command.env("BATCH_JOB_ID", NAME).env("MA_MOUNT_PATH", place.path("no\x1b[1m"))).ends(3);
    assert_eq!(finished.stdout, "[rank 0] \x1b[1mbold\x1b[0m\n");
    assert!(!finished.stderr.contains('\x1b'), "{:?}", finished.stderr);
    finished.says(&[&format!("job {ESCAPED}: starting")]);
    assert!(!finished.stderr.contains("\nfmtk-launch: SUCCEEDED"), "{}", finished.stderr);

    let finished =
        finish(&mut place.launcher(&["run", "--dry-run", "--devices=0", "--code-dir=no\x1b[1m", "--", "true"]));
    assert_ne!(finished.code, 0);
    assert!(finished.stderr.contains("no\\u{1b}[1m") && !finished.stderr.contains('\x1b'), "{:?}", finished.stderr);
    let mut plan = place.launcher(&["run", "--dry-run", "--devices=0", "--", "true"]);
    let finished = finish(plan.env("BATCH_JOB_ID", "job\x1b[2J"));
    assert!(finished.stdout.starts_with("job         job\\u{1b}[2J\n"), "{:?}", finished.stdout);
    assert!(!finished.stdout.contains('\x1b'), "{:?}", finished.stdout);
}
