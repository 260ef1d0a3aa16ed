//! What a check found.

use serde::Serialize;

use crate::terminal::{
    report,
    style::{Look, Paint},
};

/// How things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As they should be.
    Good,
    /// Not looked at, or not known in time.
    Unknown,
    /// Worth knowing; no push fails of it.
    Warning,
    /// An image will not be built or not be pushed.
    Wrong,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Unknown => "-",
            Self::Warning => "warning",
            Self::Wrong => "WRONG",
        }
    }

    fn painted(self, paint: Paint) -> String {
        let word = format!("{:<8}", self.word());
        match self {
            Self::Good => paint(Look::Good, &word),
            Self::Unknown => word,
            Self::Warning => paint(Look::Warning, &word),
            Self::Wrong => paint(Look::Error, &word),
        }
    }
}

/// What `--fix` can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fix {
    /// `rustup target add`.
    RustTarget,
    /// Have the kernel run arm64 programs by qemu.
    Emulation,
    /// `host-setup`, where the address is known.
    HostSetup,
    /// `login`, on a terminal.
    Login,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; empty until it is named.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub says: String,
    /// The command or the step that fixes it.
    #[serde(rename = "way_out")]
    pub hint: Option<String>,
    #[serde(skip)]
    pub fix: Option<Fix>,
}

impl Finding {
    /// One of this state.
    pub fn new(state: State, says: impl Into<String>) -> Self {
        Self { check: "", state, says: says.into(), hint: None, fix: None }
    }

    /// As it should be.
    pub fn good(says: impl Into<String>) -> Self {
        Self::new(State::Good, says)
    }

    /// Not as it should be, and what fixes it.
    pub fn wrong(says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(State::Wrong, says).hint(hint)
    }

    /// Worth knowing.
    pub fn warning(says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(State::Warning, says).hint(hint)
    }

    /// With what fixes it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With what `--fix` does.
    pub fn fixed_by(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }

    /// With this name, unless it has one.
    pub fn named_by(self, check: &'static str) -> Self {
        if self.check.is_empty() { Self { check, ..self } } else { self }
    }
}

/// A finding for each problem that an error holds; `hint` is for those that have none.
pub fn problems(error: &anyhow::Error, hint: &str) -> Vec<Finding> {
    let finding = |(says, own): (String, Option<String>)| Finding::wrong(says, own.unwrap_or_else(|| hint.to_owned()));
    report::problems(error).into_iter().map(finding).collect()
}

/// All findings as text: one a line, the hint below.
pub fn table(findings: &[Finding], paint: Paint) -> String {
    let width = findings.iter().map(|one| one.check.len()).max().unwrap_or_default();
    let line = |one: &Finding| {
        let says = report::printable(&one.says.replace('\n', "; "));
        let mut text = format!("{} {:<width$}  {says}\n", one.state.painted(paint), one.check);
        if let Some(hint) = &one.hint {
            text.push_str(&format!("{:>8} {:<width$}  {}\n", "", "->", report::printable(hint)));
        }
        text
    };
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::terminal::style;

    #[test]
    fn the_table_has_each_command_below_its_problem() {
        let findings = [
            Finding::good("20.0 GB free").named_by("disk"),
            Finding::wrong("missing", "`rustup target add x`").named_by("rust target"),
            Finding::new(State::Unknown, "no answer").named_by("login").named_by("registry"),
        ];
        expect![[r#"
            ok       disk         20.0 GB free
            WRONG    rust target  missing
                     ->           `rustup target add x`
            -        login        no answer
        "#]]
        .assert_eq(&table(&findings, style::plain));
    }
}
