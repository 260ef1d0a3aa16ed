//! Colours, those of clap: only on a terminal that wants them (`NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` count).

use std::io::{stderr, stdout};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use clap::builder::styling::{AnsiColor, Style};

/// What a word is, which decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Error,
    Cause,
    Warning,
    Hint,
    Good,
}

/// Gives a word its look.
pub type Paint = fn(Look, &str) -> String;

/// No colours, for files and tests.
pub fn plain(_: Look, word: &str) -> String {
    word.to_owned()
}

/// For what goes to stderr.
pub fn for_stderr(look: Look, word: &str) -> String {
    painted(&stderr(), look, word)
}

/// For what goes to stdout.
pub fn for_stdout(look: Look, word: &str) -> String {
    painted(&stdout(), look, word)
}

fn painted(stream: &impl RawStream, look: Look, word: &str) -> String {
    if AutoStream::choice(stream) == ColorChoice::Never {
        return word.to_owned();
    }
    let style = match look {
        Look::Error => AnsiColor::Red.on_default().bold(),
        Look::Cause => Style::new().bold(),
        Look::Warning => AnsiColor::Yellow.on_default().bold(),
        Look::Hint | Look::Good => AnsiColor::Green.on_default(),
    };
    format!("{style}{word}{style:#}")
}
