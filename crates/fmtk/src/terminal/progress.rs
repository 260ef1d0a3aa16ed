//! What people see while a command works, all of it on stderr: a plain line for what is done or begun, and a state for what
//! takes longer: redrawn in place on a terminal, a line every ten seconds elsewhere.

use std::{
    env,
    io::{self, IsTerminal, Read, Write, stderr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::termios::tcgetwinsize;

use super::{
    report,
    style::{self, Look},
};

/// Between two drawings on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two lines elsewhere.
const REPEAT: Duration = Duration::from_secs(10);
/// Moves to the begin of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// Says what happens, to people. Clones say it on the same screen.
#[derive(Clone)]
pub struct Progress(Arc<Screen>);

struct Screen {
    quiet: bool,
    live: bool,
    drawing: Mutex<Drawing>,
}

struct Drawing {
    /// stderr, but for tests.
    out: Box<dyn Write + Send>,
    /// The steps that have begun and not ended, the last of which is shown.
    steps: Vec<Arc<Work>>,
    /// Whether the line of a step is on the terminal.
    drawn: bool,
    /// Whether the last line was said.
    ended: bool,
}

impl Progress {
    /// Lines unless `quiet`; states are redrawn only on a terminal.
    pub fn new(quiet: bool) -> Self {
        let live = stderr().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self::on(Box::new(stderr()), quiet, live)
    }

    fn on(out: Box<dyn Write + Send>, quiet: bool, live: bool) -> Self {
        let drawing = Drawing { out, steps: Vec::new(), drawn: false, ended: false };
        Self(Arc::new(Screen { quiet, live, drawing: Mutex::new(drawing) }))
    }

    /// Whether only warnings and errors are to be seen; programs that we run are then silenced too.
    pub fn is_quiet(&self) -> bool {
        self.0.quiet
    }

    /// A step that is done or begun.
    pub fn line(&self, text: &str) {
        if !self.0.quiet {
            self.0.line(&format!("{text}\n"));
        }
    }

    /// The last line of all; a terminal shows `^C` before it.
    pub fn last_line(&self, text: &str) {
        let mut drawing = self.0.lock();
        if !self.0.quiet {
            drawing.drawn = self.0.live;
            drawing.clear();
            drawing.write(&format!("{text}\n"));
        }
        drawing.ended = true;
    }

    /// Something the user should know; shown with `--quiet` too.
    pub fn warning(&self, text: &str) {
        let label = style::for_stderr(Look::Warning, "warning:");
        self.0.line(&format!("{label} {}\n", report::bounded(text)));
    }

    /// Begins what may take longer than people like to wait without a word.
    pub fn step(&self, name: impl Into<String>) -> Step {
        self.begin(name, 0, None)
    }

    /// The same where it is known how many bytes there are.
    pub fn transfer(&self, name: impl Into<String>, bytes: u64) -> Step {
        self.begin(name, bytes, None)
    }

    /// The same where somebody else knows how far it is, and is asked when it is shown.
    pub fn told_by(&self, name: impl Into<String>, tell: impl Fn() -> String + Send + Sync + 'static) -> Step {
        self.begin(name, 0, Some(Box::new(tell)))
    }

    fn begin(&self, name: impl Into<String>, total: u64, tell: Option<Teller>) -> Step {
        let (done, moved) = (AtomicU64::new(0), AtomicU64::new(0));
        let work = Arc::new(Work { name: name.into(), begun: Instant::now(), total, done, moved, tell });
        let screen = self.0.clone();
        screen.lock().steps.push(work.clone());
        let (end, ended) = mpsc::channel();
        if !screen.quiet {
            let (screen, work) = (screen.clone(), work.clone());
            let pause = if screen.live { REDRAW } else { REPEAT };
            // Without a thread nothing is shown, and the work goes on.
            let _ = thread::Builder::new().spawn(move || {
                while ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                    screen.show(&work);
                }
            });
        }
        Step { screen, work, _end: end }
    }
}

impl Screen {
    fn lock(&self) -> MutexGuard<'_, Drawing> {
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whole lines, in place of a drawn state.
    fn line(&self, text: &str) {
        let mut drawing = self.lock();
        if !drawing.ended {
            drawing.clear();
            drawing.write(text);
        }
    }

    /// Shows how far the step is, unless a later one is at work in it or it has just ended.
    fn show(&self, work: &Arc<Work>) {
        let mut drawing = self.lock();
        if drawing.ended || !drawing.steps.last().is_some_and(|last| Arc::ptr_eq(last, work)) {
            return;
        }
        let text = format!("{}: {}", work.name, work.state(work.begun.elapsed()));
        if !self.live {
            return drawing.write(&format!("{}\n", report::printable(&text)));
        }
        let columns = tcgetwinsize(stderr()).map_or(80, |size| usize::from(size.ws_col).max(20));
        // A line that wraps would not be cleared whole.
        drawing.write(&format!("{CLEAR}{}", cut(&report::printable(&text).replace(['\n', '\t'], " "), columns - 1)));
        drawing.drawn = true;
    }
}

impl Drawing {
    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.write(CLEAR);
        }
    }

    fn write(&mut self, text: &str) {
        // A closed stderr must not stop the work.
        let _ = self.out.write_all(text.as_bytes());
    }
}

/// As much of the text as fits into so many columns; letters beyond ASCII may take two.
fn cut(text: &str, columns: usize) -> &str {
    let mut width = 0;
    let too_wide = text.char_indices().find(|(_, letter)| {
        width += if letter.is_ascii() { 1 } else { 2 };
        width > columns
    });
    too_wide.map_or(text, |(end, _)| &text[..end])
}

type Teller = Box<dyn Fn() -> String + Send + Sync>;

/// How far a step is.
struct Work {
    name: String,
    begun: Instant,
    /// Bytes, where they are known; else 0.
    total: u64,
    /// Bytes that need no more work, and how many of them were moved by us.
    done: AtomicU64,
    moved: AtomicU64,
    tell: Option<Teller>,
}

impl Work {
    /// `12 s, 120.0 MB of 400.0 MB (10.0 MB/s, 28 s left)`.
    fn state(&self, elapsed: Duration) -> String {
        let mut text = whole_seconds(elapsed.as_secs());
        let (done, moved) = (self.done.load(Ordering::Relaxed), self.moved.load(Ordering::Relaxed));
        if done > 0 {
            let rate = (moved as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
            let (mut all, mut left) = (String::new(), String::new());
            if self.total > 0 {
                all = format!(" of {}", bytes(self.total));
                let seconds = self.total.saturating_sub(done).checked_div(rate);
                left = seconds.map(|seconds| format!(", {} left", whole_seconds(seconds))).unwrap_or_default();
            }
            text.push_str(&format!(", {}{all} ({}/s{left})", bytes(done), bytes(rate)));
        }
        match self.tell.as_ref().map(|tell| tell()).unwrap_or_default() {
            told if told.is_empty() => text,
            told => text + ", " + &told,
        }
    }
}

/// Something that takes its time: its state is shown until this is dropped.
pub struct Step {
    screen: Arc<Screen>,
    work: Arc<Work>,
    /// Its end wakes the thread that shows the state.
    _end: mpsc::Sender<()>,
}

impl Step {
    /// Bytes that were moved.
    pub fn moved(&self, bytes: u64) {
        self.work.done.fetch_add(bytes, Ordering::Relaxed);
        self.work.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that need not be moved.
    pub fn spared(&self, bytes: u64) {
        self.work.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that have to be moved once more.
    pub fn lost(&self, bytes: u64) {
        self.work.done.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How far it would be after so many seconds.
    #[cfg(test)]
    pub(crate) fn state(&self, seconds: u64) -> String {
        self.work.state(Duration::from_secs(seconds))
    }

    /// Counts what goes through: what is read of it, or written to it.
    pub fn count<T>(&self, inner: T) -> Counted<'_, T> {
        Counted { inner, step: self }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let mut drawing = self.screen.lock();
        drawing.steps.retain(|work| !Arc::ptr_eq(work, &self.work));
        drawing.clear();
    }
}

/// A reader or writer whose bytes a step counts.
pub struct Counted<'a, T> {
    inner: T,
    step: &'a Step,
}

impl<T: Read> Read for Counted<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.step.moved(read as u64);
        Ok(read)
    }
}

impl<T: Write> Write for Counted<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.step.moved(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// `129.2 MB`: powers of ten, as registries and docker print sizes.
pub fn bytes(size: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{size} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// `1 layer`, `16 layers`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// `CANN 5.1.RC2 (2 of 9)`; the thing alone where it is in one piece. Counts from 1.
pub fn piece(thing: &str, number: usize, of: usize) -> String {
    if of == 1 { thing.to_owned() } else { format!("{thing} ({number} of {of})") }
}

/// `0.71 s`, `2 min 05 s`.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.2} s", time.as_secs_f64()),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

/// `12 s`, `2 min 05 s`, `1 h 02 min`.
fn whole_seconds(time: u64) -> String {
    match time {
        0..60 => format!("{time} s"),
        60..3600 => format!("{} min {:02} s", time / 60, time % 60),
        _ => format!("{} h {:02} min", time / 3600, time / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_registries_print_them() {
        let shown: Vec<String> = [0, 999, 1000, 999_949, 999_950, 129_154_761, 12_000_000_000].map(bytes).into();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "129.2 MB", "12.0 GB"]);
    }

    #[test]
    fn a_piece_is_numbered_where_there_are_several() {
        assert_eq!([piece("base", 1, 1), piece("base", 2, 30)], ["base", "base (2 of 30)"]);
    }

    #[test]
    fn times_above_a_minute_are_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(713)), "0.71 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn a_state_tells_what_is_known_of_a_step() {
        let progress = Progress::new(true);
        assert_eq!(progress.step("waiting").state(75), "1 min 15 s");
        assert_eq!(progress.told_by("installing", || "unpacking".to_owned()).state(3700), "1 h 01 min, unpacking");
        assert_eq!(progress.told_by("installing", String::new).state(2), "2 s");
        let saved = progress.step("saving");
        io::copy(&mut saved.count(&[7; 5000][..]), &mut io::sink()).unwrap();
        assert_eq!(saved.state(2), "2 s, 5.0 kB (2.5 kB/s)");
    }

    /// What is written while a step is shown, a layer is done, and the step fails.
    fn written(live: bool) -> String {
        let (mut reader, writer) = io::pipe().unwrap();
        let progress = Progress::on(Box::new(writer), false, live);
        // It will begin: no time has passed, however slow the machine is. It has no thread that shows it.
        let begun = Instant::now() + Duration::from_secs(3600);
        let (done, moved) = (AtomicU64::new(0), AtomicU64::new(0));
        let work = Work { name: "building\u{7}".to_owned(), begun, total: 0, done, moved, tell: None };
        let step = Step { screen: progress.0.clone(), work: Arc::new(work), _end: mpsc::channel().0 };
        progress.0.lock().steps.push(step.work.clone());
        progress.0.show(&step.work);
        progress.line("layer");
        progress.0.show(&step.work);
        drop(step);
        drop(progress);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_state_is_gone_before_anything_else_is_said_and_moves_no_cursor_in_a_file() {
        assert_eq!(written(false), "building\\u{7}: 0 s\nlayer\nbuilding\\u{7}: 0 s\n");
        let state = format!("{CLEAR}building\\u{{7}}: 0 s");
        assert_eq!(written(true), format!("{state}{CLEAR}layer\n{state}{CLEAR}"));
    }

    #[test]
    fn a_line_fits_into_the_columns() {
        assert_eq!([cut("abc", 3), cut("abcd", 3), cut("a安装", 4), cut("a安装", 5)], ["abc", "abc", "a安", "a安装"]);
    }
}
