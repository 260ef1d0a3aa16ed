//! How a failure reaches people: `error:`, `caused by:`, `hint:` on stderr and an exit code.

use std::{fmt, process::ExitCode};

/// Exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work failed: a registry, an engine, the disk.
    Work = 1,
    /// Wrong usage or wrong input: the user can mend it before trying again.
    Input = 2,
}

/// An error with the way out.
#[derive(Debug)]
pub struct Hinted {
    inner: anyhow::Error,
    hint: Option<String>,
    exit: Option<Exit>,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source()
    }
}

impl Hinted {
    /// The way out.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Adds the way out to a result.
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

/// The error with the way out.
pub fn hinted(inner: anyhow::Error, hint: impl Into<String>) -> anyhow::Error {
    Hinted { inner, hint: Some(hint.into()), exit: None }.into()
}

/// The error with the way out, if there is one.
pub fn hinted_if(inner: anyhow::Error, hint: Option<String>) -> anyhow::Error {
    match hint {
        Some(hint) => hinted(inner, hint),
        None => inner,
    }
}

/// The error as one of the input: exit code 2.
pub fn input(inner: anyhow::Error) -> anyhow::Error {
    Hinted { inner, hint: None, exit: Some(Exit::Input) }.into()
}

/// All faults of one kind, found before anything was begun.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

#[derive(Debug)]
struct Problem {
    message: String,
    hint: Option<String>,
}

impl Problems {
    /// Notes a fault and, where there is one, the way out.
    pub fn push(&mut self, message: impl fmt::Display, hint: Option<String>) {
        self.0.push(Problem { message: message.to_string(), hint });
    }

    /// The error that holds them all, if there are any.
    pub fn into_result(self) -> anyhow::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.0.iter().map(|problem| problem.message.as_str()).collect();
        f.write_str(&messages.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Failures of steps that do not need each other, each with its own causes and way out.
#[derive(Debug)]
struct Several(Vec<anyhow::Error>);

impl fmt::Display for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<String> = self.0.iter().map(|error| format!("{error:#}")).collect();
        f.write_str(&messages.join("\n"))
    }
}

impl std::error::Error for Several {}

/// The error that shows all of these, if there are any.
pub fn all(mut errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Several(errors).into()),
    }
}

/// The error and all that lies behind it, also behind each of several.
pub fn causes(error: &anyhow::Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut found = Vec::new();
    for cause in error.chain() {
        found.push(cause);
        if let Some(Several(errors)) = cause.downcast_ref() {
            found.extend(errors.iter().flat_map(causes));
        }
        // Its own cause is that of what it holds.
        if let Some(Hinted { inner, .. }) = cause.downcast_ref() {
            found.extend(causes(inner).first());
        }
    }
    found
}

/// What two steps give that do not need each other; where both failed, an error that shows both.
pub fn both<A, B>(one: anyhow::Result<A>, other: anyhow::Result<B>) -> anyhow::Result<(A, B)> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        (Err(one), Err(other)) => Err(Several(vec![one, other]).into()),
    }
}

/// Faults of one kind that are shown: a wheel with 200,000 files may have as many.
const SHOWN: usize = 100;
/// Letters of a message that are shown: what wheels, bases and registries say of themselves is part of some.
const LETTERS: usize = 4000;

/// Text as a terminal may have it: what foreign files say can't move its cursor.
pub fn printable(text: &str) -> String {
    let shown = |letter: char| match letter {
        letter if letter.is_control() && !matches!(letter, '\n' | '\t') => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A message, printable and not longer than anybody reads.
fn bounded(message: &str) -> String {
    match message.char_indices().nth(LETTERS) {
        Some((end, _)) => printable(&message[..end]) + " …",
        None => printable(message),
    }
}

/// The text that stderr shows for an error.
pub fn render(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut hints: Vec<&str> = Vec::new();
    let mut said = String::new();
    for (depth, cause) in error.chain().enumerate() {
        if let Some(Several(errors)) = cause.downcast_ref() {
            text.extend(errors.iter().map(render));
            continue;
        }
        if let Some(problems) = cause.downcast_ref::<Problems>() {
            for problem in problems.0.iter().take(SHOWN) {
                text.push_str(&format!("error: {}\n", bounded(&problem.message)));
                if let Some(hint) = &problem.hint {
                    text.push_str(&format!("hint: {}\n", bounded(hint)));
                }
            }
            if problems.0.len() > SHOWN {
                text.push_str(&format!("error: and {} more\n", problems.0.len() - SHOWN));
            }
            continue;
        }
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            hints.extend(hinted.hint.as_deref());
            hints.extend(inner_hints(&hinted.inner));
            if hinted.inner.downcast_ref::<Problems>().is_some() {
                text.push_str(&render(&hinted.inner));
                continue;
            }
        }
        let message = cause.to_string();
        // A library error that shows its source in its own text would be said twice.
        if depth > 0 && (said == message || said.ends_with(&message)) {
            continue;
        }
        let label = if depth == 0 { "error" } else { "caused by" };
        text.push_str(&format!("{label}: {}\n", bounded(&message)));
        said = message;
    }
    hints.dedup();
    for hint in hints {
        text.push_str(&format!("hint: {}\n", bounded(hint)));
    }
    text
}

fn inner_hints(error: &anyhow::Error) -> Vec<&str> {
    match error.downcast_ref::<Hinted>() {
        Some(hinted) => hinted.hint.as_deref().into_iter().chain(inner_hints(&hinted.inner)).collect(),
        None => Vec::new(),
    }
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

/// The faults that an error holds, each with its way out; itself, where it holds none.
pub fn faults(error: &anyhow::Error) -> Vec<(String, Option<String>)> {
    for cause in error.chain() {
        if let Some(Several(errors)) = cause.downcast_ref() {
            return errors.iter().flat_map(faults).collect();
        }
        let hinted = cause.downcast_ref::<Hinted>().map(|hinted| &hinted.inner);
        let problems = cause.downcast_ref::<Problems>().or_else(|| hinted?.downcast_ref::<Problems>());
        if let Some(problems) = problems {
            return problems.0.iter().map(|problem| (problem.message.clone(), problem.hint.clone())).collect();
        }
    }
    let hint = error.chain().find_map(|cause| inner_hint(cause.downcast_ref::<Hinted>()?));
    vec![(format!("{error:#}"), hint)]
}

fn inner_hint(hinted: &Hinted) -> Option<String> {
    hinted.hint.clone().or_else(|| inner_hint(hinted.inner.downcast_ref::<Hinted>()?))
}

/// The exit code of an error.
pub fn exit(error: &anyhow::Error) -> Exit {
    let of_one = |cause: &(dyn std::error::Error + 'static)| {
        if cause.is::<Problems>() {
            return Some(Exit::Input);
        }
        if let Some(Several(errors)) = cause.downcast_ref() {
            return errors.iter().map(exit).find(|exit| *exit == Exit::Input);
        }
        let hinted = cause.downcast_ref::<Hinted>()?;
        hinted.exit.or_else(|| hinted.inner.chain().next().map(|_| exit(&hinted.inner)).filter(|e| *e == Exit::Input))
    };
    error.chain().find_map(of_one).unwrap_or(Exit::Work)
}

/// Prints the error to stderr and gives the process's exit code.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    // A reader that went away, as in `cargo xtask images | head`, is no failure of ours.
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) && error.downcast_ref::<StdoutClosed>().is_some() {
        return ExitCode::SUCCESS;
    }
    eprint!("{}", render(error));
    ExitCode::from(exit(error) as u8)
}

/// Stdout could not be written.
#[derive(Debug)]
pub struct StdoutClosed;

impl fmt::Display for StdoutClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to write to stdout")
    }
}

/// Writes data to stdout; a closed pipe ends the program quietly.
pub fn data(text: &str) -> anyhow::Result<()> {
    use std::io::Write;

    use anyhow::Context;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context(StdoutClosed)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
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
        let mut problems = Problems::default();
        (0..1000).for_each(|number| problems.push(number, None));
        let text = render(&problems.into());
        assert_eq!(text.lines().count(), SHOWN + 1);
        assert!(text.ends_with("error: 99\nerror: and 900 more\n"));
    }

    #[test]
    fn two_failures_are_shown_each_with_its_own_causes() {
        let mut problems = Problems::default();
        problems.push("no CANN toolkit", Some("copy it to `pkg/`".to_owned()));
        let packages = || problems.into_result();
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
        assert_eq!(faults(&error).len(), 2);
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
