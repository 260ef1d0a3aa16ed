//! The console of a launcher: a reader that keeps up, or that pauses, and knows each line that should come.

use std::{
    ffi::OsString,
    fs,
    io::Read,
    process::{ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{ranks::Lines, run};

const USAGE: &str = "usage: meter console OUT RANKS LINES BYTES PAUSE PROGRAM ARGUMENT…";

const CHUNK: usize = 64 * 1024;

/// Runs the launcher with its stdout into a pipe of ours, and writes what was found.
///
/// What is read is kept and looked at when the clock has stopped, so that the reader takes no more of the machine than
/// the copy out of the pipe. `PAUSE` is in milliseconds, after each chunk.
pub fn run(arguments: Vec<OsString>) -> Result<u8, String> {
    let [out, _, _, _, _, program, rest @ ..] = &arguments[..] else { return Err(USAGE.to_owned()) };
    let number = |at: usize| -> Result<usize, String> {
        arguments[at].to_str().and_then(|it| it.parse().ok()).ok_or_else(|| USAGE.to_owned())
    };
    let (ranks, lines, bytes, pause) = (number(1)?, number(2)?, number(3)?, number(4)?);

    // As many again for prefixes and the launcher's own words; touched now, so that no page is missing when it counts.
    let mut kept = vec![1; ranks * lines * (bytes + 32) + (1 << 20)];
    run::adopt_orphans()?;
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(rest)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("failed to run {program:?}: {error}"))?;
    let pipe = child.stdout.take().ok_or("no pipe")?;
    let reader = thread::spawn(move || {
        let flow = read(pipe, &mut kept, Duration::from_millis(pause as u64));
        (kept, flow)
    });
    let status = child.wait().map_err(|error| format!("failed to wait for {program:?}: {error}"))?;
    let seconds = begin.elapsed().as_secs_f64();
    let (kept, flow) = reader.join().map_err(|_| "the reader failed")?;
    let (length, first, last) = flow?;
    run::reap_orphans();
    let flow = last.duration_since(first).as_secs_f64();
    let (whole, torn) = check(&kept[..length], ranks, lines, bytes);
    let cpu = run::of_children().cpu.as_secs_f64();
    let text = format!(
        "{{\"seconds\":{seconds:.6},\"flow_seconds\":{flow:.6},\"cpu_seconds\":{cpu:.6},\"bytes\":{length},\
         \"whole\":{whole},\"torn\":{torn}}}\n"
    );
    fs::write(out, text).map_err(|error| format!("failed to write {out:?}: {error}"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}

/// How many bytes came, when the first, and when the last.
type Flow = (usize, Instant, Instant);

fn read(mut pipe: ChildStdout, kept: &mut [u8], pause: Duration) -> Result<Flow, String> {
    let now = Instant::now();
    let (mut length, mut first, mut last) = (0, now, now);
    loop {
        let end = (length + CHUNK).min(kept.len());
        if length == end {
            return Err("more was printed than the ranks have".to_owned());
        }
        match pipe.read(&mut kept[length..end]) {
            Ok(0) => return Ok((length, first, last)),
            Ok(count) => {
                last = Instant::now();
                if length == 0 {
                    first = last;
                }
                length += count;
            }
            Err(error) => return Err(format!("failed to read: {error}")),
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
}

/// Lines of a rank, just as it wrote them and after those of it that were before; and all others. Lines may have
/// `[rank 3] ` before them, and some may be missing.
fn check(text: &[u8], ranks: usize, lines: usize, bytes: usize) -> (usize, usize) {
    let (mut whole, mut torn) = (0, 0);
    let known = |rank: usize| (format!("[rank {rank}] "), Lines::new(&rank.to_string(), bytes));
    let known: Vec<_> = (0..ranks).map(known).collect();
    let mut next = vec![0; ranks];
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let place = known.iter().enumerate().find_map(|(rank, (prefix, known))| {
            let bare = line.strip_prefix(prefix.as_bytes()).unwrap_or(line);
            Some((rank, known.number_of(bare)?))
        });
        match place {
            Some((rank, number)) if (next[rank]..lines).contains(&number) => {
                whole += 1;
                next[rank] = number + 1;
            }
            _ => torn += 1,
        }
    }
    (whole, torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_lines_are_told_from_whole_ones() {
        let line = |rank: usize, number: usize| {
            let mut lines = Lines::new(&rank.to_string(), 40);
            (0..number).for_each(|_| lines.advance());
            lines.line().to_vec()
        };
        let (one, two) = (line(0, 0), line(1, 0));
        let whole = [&one[..], b"[rank 1] ", &two, &line(0, 11)].concat();
        assert_eq!(check(&whole, 2, 12, 40), (3, 0));
        assert_eq!(check(&whole, 2, 11, 40), (2, 1));
        let torn = [&one[..20], &two, &one[20..]].concat();
        assert_eq!(check(&torn, 2, 2, 40), (0, 2));
        let wrong = [b"[rank 0] ", &two[..], &line(0, 1), &one].concat();
        assert_eq!(check(&wrong, 2, 2, 40), (1, 2));
    }
}
