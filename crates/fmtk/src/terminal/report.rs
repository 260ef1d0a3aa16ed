//! How a failure reaches people: `error:`, `caused by:`, `hint:` on stderr and an exit code.

use std::{
    fmt,
    io::{self, Write, stderr, stdout},
    process::ExitCode,
};

use anyhow::{Context, anyhow};

use super::{
    hints,
    style::{self, Look, Paint},
};

/// Exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work failed: a registry, an engine, the disk.
    Work = 1,
    /// Wrong usage or wrong input: the user can fix it before trying again.
    Input = 2,
}

/// An error with what people need beside its message.
#[derive(Debug)]
struct Diagnostic {
    error: anyhow::Error,
    hint: Option<String>,
    is_input: bool,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Diagnostic {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Adds to a result what people need beside its message.
pub trait WithHint<T> {
    /// Adds a `hint:` line.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
    /// Says that the input is at fault: exit code 2.
    fn input(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error.into(), hint))
    }

    fn input(self) -> anyhow::Result<T> {
        self.map_err(|error| input(error.into()))
    }
}

/// The error with a hint.
pub fn hinted(error: anyhow::Error, hint: impl Into<String>) -> anyhow::Error {
    hinted_if(error, Some(hint.into()))
}

/// The error with a hint, if there is one.
pub fn hinted_if(error: anyhow::Error, hint: Option<String>) -> anyhow::Error {
    Diagnostic { error, hint, is_input: false }.into()
}

/// The error as one of the input: exit code 2.
pub fn input(error: anyhow::Error) -> anyhow::Error {
    Diagnostic { error, hint: None, is_input: true }.into()
}

/// Errors that do not depend on each other, each with its own causes and hints.
#[derive(Debug, Default)]
pub struct Problems(Vec<anyhow::Error>);

impl Problems {
    /// Notes what is wrong with the input and, where there is one, a hint.
    pub fn push(&mut self, message: impl fmt::Display, hint: Option<String>) {
        self.0.push(Diagnostic { error: anyhow!(message.to_string()), hint, is_input: true }.into());
    }

    /// Notes an error as it is.
    pub fn push_error(&mut self, error: anyhow::Error) {
        self.0.push(error);
    }

    /// The error that holds them all, if there are any.
    pub fn into_result(self) -> anyhow::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<String> = self.0.iter().map(|error| format!("{error:#}")).collect();
        f.write_str(&messages.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// The error that shows all of these, if there are any.
pub fn all(mut errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Problems(errors).into()),
    }
}

/// What two steps give that do not need each other; where both failed, an error that shows both.
pub fn both<A, B>(one: anyhow::Result<A>, other: anyhow::Result<B>) -> anyhow::Result<(A, B)> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        (Err(one), Err(other)) => Err(Problems(vec![one, other]).into()),
    }
}

/// The error and all that lies behind it, as far as several errors that do not depend on each other.
fn chain(error: &anyhow::Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut found = Vec::new();
    for cause in error.chain() {
        found.push(cause);
        // What an I/O error was made of is skipped by its own source.
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        found.extend(inner.map(|inner| inner as &(dyn std::error::Error + 'static)));
        // It has the rest of this chain, and the one that its own source skips.
        if let Some(Diagnostic { error, .. }) = cause.downcast_ref() {
            found.extend(chain(error));
            break;
        }
    }
    found
}

/// The error and all that lies behind it, also behind each of several.
pub fn causes(error: &anyhow::Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut found = chain(error);
    let several = chain(error).into_iter().find_map(|cause| cause.downcast_ref::<Problems>());
    found.extend(several.into_iter().flat_map(|Problems(errors)| errors).flat_map(causes));
    found
}

/// What was said to do about it; else what helps against such causes. A full store is at fault whatever else was said.
fn hints(error: &anyhow::Error) -> Vec<String> {
    let chain = chain(error);
    let said = chain.iter().filter_map(|cause| cause.downcast_ref::<Diagnostic>()?.hint.clone());
    let mut found: Vec<String> = said.collect();
    if found.is_empty() {
        found.extend(chain.iter().find_map(|cause| hints::of_registry(*cause).or_else(|| hints::of_base(*cause))));
    }
    found.extend(chain.iter().find_map(|cause| hints::of_store(*cause)));
    found.dedup();
    found
}

/// Problems that are shown: a wheel with 200,000 files may have as many.
const SHOWN: usize = 100;
/// Letters of a message that are shown: what wheels, bases and registries say of themselves is part of some.
const LETTERS: usize = 4000;

/// Text as a terminal may have it: what foreign files say can't move its cursor.
pub fn printable(text: &str) -> String {
    file_edit::escaped(text, &['\n', '\t'])
}

/// A message, printable and not longer than anybody reads. Its further lines are indented, so that none can look like a
/// cause or a hint of ours.
pub(super) fn bounded(message: &str) -> String {
    let shown = match message.char_indices().nth(LETTERS) {
        Some((end, _)) => printable(&message[..end]) + " …",
        None => printable(message),
    };
    shown.trim_end().replace('\n', "\n  ")
}

/// The text that stderr shows for an error.
pub fn render(error: &anyhow::Error) -> String {
    painted(error, style::plain)
}

fn painted(error: &anyhow::Error, paint: Paint) -> String {
    let mut text = String::new();
    let mut said = String::new();
    for cause in chain(error).into_iter().filter(|cause| !cause.is::<Diagnostic>()) {
        if let Some(Problems(errors)) = cause.downcast_ref() {
            text.extend(errors.iter().take(SHOWN).map(|error| painted(error, paint)));
            if errors.len() > SHOWN {
                text.push_str(&format!("{} and {} more\n", paint(Look::Error, "error:"), errors.len() - SHOWN));
            }
            continue;
        }
        let message = cause.to_string();
        // A library error that shows its source in its own text would be said twice.
        if !text.is_empty() && said.ends_with(&message) {
            continue;
        }
        let label = if text.is_empty() { paint(Look::Error, "error:") } else { paint(Look::Cause, "caused by:") };
        text.push_str(&format!("{label} {}\n", bounded(&message)));
        said = message;
    }
    let label = paint(Look::Hint, "hint:");
    text.extend(hints(error).iter().map(|hint| format!("{label} {}\n", bounded(hint))));
    text
}

/// An error and its causes in one line.
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The problems that an error holds, each with its first hint; itself, where it holds none.
pub fn problems(error: &anyhow::Error) -> Vec<(String, Option<String>)> {
    match chain(error).into_iter().find_map(|cause| cause.downcast_ref()) {
        Some(Problems(errors)) => errors.iter().flat_map(problems).collect(),
        None => vec![(format!("{error:#}"), hints(error).into_iter().next())],
    }
}

/// The exit code of an error; of several, wrong input counts more.
pub fn exit(error: &anyhow::Error) -> Exit {
    let is_input = |cause: &&(dyn std::error::Error + 'static)| {
        cause.downcast_ref().is_some_and(|Diagnostic { is_input, .. }| *is_input)
    };
    if causes(error).iter().any(is_input) { Exit::Input } else { Exit::Work }
}

/// Prints the error to stderr and gives the process's exit code.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    // A closed stderr must not hide the exit code.
    let _ = stderr().lock().write_all(painted(error, style::for_stderr).as_bytes());
    ExitCode::from(exit(error) as u8)
}

/// Writes data to stdout. A reader that went away, as in `cargo xtask images | head`, is no failure of ours.
pub fn data(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("failed to write to stdout"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn causes_come_below_the_error_and_hints_last() {
        let error = Err::<(), _>(anyhow!("no such file"))
            .hint("run `cargo xtask fetch`")
            .context("failed to read wheel `pkg/x.whl`")
            .unwrap_err();
        expect![[r#"
            error: failed to read wheel `pkg/x.whl`
            caused by: no such file
            hint: run `cargo xtask fetch`
        "#]]
        .assert_eq(&render(&error));
        assert_eq!(exit(&error), Exit::Work);
    }

    #[test]
    fn every_problem_is_shown_with_its_own_hint() {
        let mut problems = Problems::default();
        problems.push("no CANN toolkit", Some("copy it to `pkg/`".to_owned()));
        problems.push("two MoXing wheels", None);
        let error = problems.into_result().unwrap_err();
        expect![[r#"
            error: no CANN toolkit
            hint: copy it to `pkg/`
            error: two MoXing wheels
        "#]]
        .assert_eq(&render(&error));
        assert_eq!(exit(&error), Exit::Input);
        assert_eq!(exit(&Err::<(), _>(error).hint("x").unwrap_err()), Exit::Input);
    }

    #[test]
    fn what_foreign_files_say_neither_moves_the_cursor_nor_floods() {
        let error = anyhow!("`de\x1b[31mmo\u{9b}2J`\tü").context("x".repeat(5000));
        let text = render(&hinted(error, "pull `\x1b`"));
        assert!(text.ends_with("caused by: `de\\u{1b}[31mmo\\u{9b}2J`\tü\nhint: pull `\\u{1b}`\n"), "{text}");
        assert_eq!(text.lines().next().unwrap().chars().count(), "error: ".len() + LETTERS + 2);
        let text = render(&anyhow!("no layout in `x\nhint: run `rm -r /`"));
        assert_eq!(text, "error: no layout in `x\n  hint: run `rm -r /`\n");
        let mut problems = Problems::default();
        (0..1000).for_each(|number| problems.push(number, None));
        let text = render(&problems.into_result().unwrap_err());
        assert_eq!(text.lines().count(), SHOWN + 1);
        assert!(text.ends_with("error: 99\nerror: and 900 more\n"));
    }

    #[test]
    fn two_failures_are_shown_each_with_its_own_causes() {
        let mut noted = Problems::default();
        noted.push("no CANN toolkit", Some("copy it to `pkg/`".to_owned()));
        let packages = || noted.into_result();
        let base = || Err::<(), _>(anyhow!("refused")).hint("is it up?").context("failed to open the base");
        let error = both(both(Ok(1), packages()), base()).unwrap_err();
        expect![[r#"
            error: no CANN toolkit
            hint: copy it to `pkg/`
            error: failed to open the base
            caused by: refused
            hint: is it up?
        "#]]
        .assert_eq(&render(&error));
        assert_eq!(exit(&error), Exit::Input);
        assert_eq!(problems(&error).len(), 2);
        assert_eq!(exit(&both(base(), base()).unwrap_err()), Exit::Work);
        assert_eq!(both(Ok(1), Ok(2)).unwrap(), (1, 2));
        let bases = || vec![base().unwrap_err(), base().unwrap_err()];
        assert_eq!(render(&all(bases()).unwrap_err()), render(&bases()[0]).repeat(2));
        all(Vec::new()).unwrap();
    }

    #[test]
    fn wrong_input_exits_2_below_context_too() {
        let error = Err::<(), _>(anyhow!("bad")).input().context("reading").unwrap_err();
        assert_eq!(exit(&error), Exit::Input);
    }
}
