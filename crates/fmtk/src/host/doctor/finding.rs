//! What a check found.

use serde::Serialize;

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
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub says: String,
    /// The command or the step that mends it.
    pub way_out: Option<String>,
    #[serde(skip)]
    pub fix: Option<Fix>,
}

impl Finding {
    /// One of this state.
    pub fn new(check: &'static str, state: State, says: impl Into<String>) -> Self {
        Self { check, state, says: says.into(), way_out: None, fix: None }
    }

    /// As it should be.
    pub fn good(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, State::Good, says)
    }

    /// Not as it should be, and what mends it.
    pub fn wrong(check: &'static str, says: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..Self::new(check, State::Wrong, says) }
    }

    /// Worth knowing.
    pub fn warning(check: &'static str, says: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..Self::new(check, State::Warning, says) }
    }

    /// With what `--fix` does.
    pub fn fixed_by(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }
}

/// All findings as text: one a line, the way out below.
pub fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|one| one.check.len()).max().unwrap_or_default();
    let line = |one: &Finding| {
        let says = one.says.replace('\n', "; ");
        let mut text = format!("{:<8} {:<width$}  {}\n", one.state.word(), one.check, says);
        if let Some(way_out) = &one.way_out {
            text.push_str(&format!("{:>8} {:<width$}  {way_out}\n", "", "->"));
        }
        text
    };
    crate::terminal::report::printable(&findings.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_table_has_each_command_below_its_fault() {
        let findings = [
            Finding::good("disk", "20.0 GB free"),
            Finding::wrong("rust target", "missing", "`rustup target add x`").fixed_by(Fix::RustTarget),
            Finding::new("login", State::Unknown, "no answer"),
        ];
        expect![[r#"
            ok       disk         20.0 GB free
            WRONG    rust target  missing
                     ->           `rustup target add x`
            -        login        no answer
        "#]]
        .assert_eq(&table(&findings));
    }
}
