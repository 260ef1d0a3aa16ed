//! Rank tables: refused for all that is wrong with them, converted, found, waited for.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod find;
mod golden;
mod properties;
mod refusals;
mod watch;

use expect_test::ExpectFile;

/// Runs the cases of a file: each is some lines, which `run` is given, and its answer, the lines that begin with `|`.
/// Comments begin with `#`. `UPDATE_EXPECT=1` renews the answers.
fn check_cases(cases: &str, file: ExpectFile, run: impl Fn(&[&str]) -> String) {
    let answered = cases.trim_end().split("\n\n").map(|case| {
        let (comments, lines): (Vec<&str>, Vec<&str>) =
            case.lines().filter(|line| !line.starts_with('|')).partition(|line| line.starts_with('#'));
        let answer = if lines.is_empty() { String::new() } else { run(&lines) };
        let answer = answer.lines().map(|line| format!("| {line}"));
        let all = comments.iter().chain(&lines).map(|line| (*line).to_owned()).chain(answer);
        all.collect::<Vec<_>>().join("\n")
    });
    file.assert_eq(&(answered.collect::<Vec<_>>().join("\n\n") + "\n"));
}
