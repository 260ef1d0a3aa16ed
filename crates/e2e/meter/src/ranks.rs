//! What a launcher is measured with: ranks that write as fast as they can, and one that fails.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    thread,
    time::{Duration, SystemTime},
};

/// How long all ranks have to be there before one fails.
const SETTLED: Duration = Duration::from_millis(400);

const FAILS: &str = "7";

/// The rank's lines: the next one is made of the one before, because a rank that takes its time measures itself.
#[derive(Debug)]
pub struct Lines {
    line: Vec<u8>,
    /// Where the number ends, which has [`DIGITS`] digits.
    end: usize,
}

/// Digits of a line's number.
const DIGITS: usize = 7;

impl Lines {
    /// Those of this rank, from number 0; `bytes` long with their newline, or longer where the numbers need it.
    pub fn new(rank: &str, bytes: usize) -> Self {
        let mut line = format!("{rank} {:0DIGITS$} ", 0).into_bytes();
        let end = line.len() - 1;
        line.resize(bytes.saturating_sub(1).max(line.len()), b'x');
        line.push(b'\n');
        Self { line, end }
    }

    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Whether it is one of them, and of which number.
    pub fn number_of(&self, line: &[u8]) -> Option<usize> {
        let start = self.end - DIGITS;
        let digits = line.get(start..self.end)?;
        let is_one = line.len() == self.line.len()
            && line[..start] == self.line[..start]
            && line[self.end..] == self.line[self.end..]
            && digits.iter().all(u8::is_ascii_digit);
        is_one.then(|| digits.iter().fold(0, |number, digit| 10 * number + usize::from(digit - b'0')))
    }

    pub fn advance(&mut self) {
        for digit in self.line[self.end - DIGITS..self.end].iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
    }
}

/// Writes so many lines of so many bytes, each by a write of its own as a line-buffered program does; then waits to be
/// stopped where `stay` is given.
pub fn lines(arguments: Vec<OsString>) -> Result<u8, String> {
    let number = |at: usize| arguments.get(at)?.to_str()?.parse::<usize>().ok();
    let (Some(count), Some(bytes)) = (number(0), number(1)) else {
        return Err("usage: meter lines LINES BYTES [stay]".to_owned());
    };
    let mut lines = Lines::new(&rank(), bytes);
    // A `LineWriter` would copy each line once more.
    let mut stdout = unbuffered();
    for _ in 0..count {
        stdout.write_all(lines.line()).map_err(|error| format!("failed to write: {error}"))?;
        lines.advance();
    }
    while arguments.len() > 2 {
        thread::park();
    }
    Ok(0)
}

/// Rank 7 notes the time, in nanoseconds since 1970, and fails; the others wait to be stopped.
pub fn fail(arguments: Vec<OsString>) -> Result<u8, String> {
    let [file] = &arguments[..] else { return Err("usage: meter fail FILE".to_owned()) };
    while rank() != FAILS {
        thread::park();
    }
    thread::sleep(SETTLED);
    fs::write(file, now().to_string()).map_err(|error| format!("failed to write {file:?}: {error}"))?;
    Ok(1)
}

/// Nanoseconds since 1970.
pub fn now() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos())
}

fn rank() -> String {
    env::var("RANK_ID").or_else(|_| env::var("RANK")).unwrap_or_default()
}

#[allow(unsafe_code)]
fn unbuffered() -> impl io::Write {
    use std::os::fd::FromRawFd;
    // SAFETY: nothing else of this process uses or closes the descriptor; the file lives as long as the process needs it.
    unsafe { fs::File::from_raw_fd(1) }
}
