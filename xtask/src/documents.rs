//! The commands that the documents show are ones that this program takes.

#[path = "../../crates/e2e/tests/commands/mod.rs"]
mod commands;

use std::fs;

use clap::Parser;

use crate::Args;

/// Enough of a certificate for `--ca`, which reads its file at once.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

#[test]
fn commands_in_the_documents_parse() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("company.pem");
    fs::write(&certificate, CERTIFICATE).unwrap();
    let certificate = certificate.to_str().unwrap();
    let mut parsed = 0;
    for (page, words) in commands::shown() {
        // What a shell does with the rest is not ours to read.
        let ours = words.iter().take_while(|word| !word.starts_with(['<', '>'])).map(String::as_str);
        let line: Vec<&str> = ours.map(|word| if word == "company.pem" { certificate } else { word }).collect();
        if !line.starts_with(&["cargo", "xtask"]) {
            continue;
        }
        parsed += 1;
        if let Err(error) = Args::try_parse_from(&line[1..]) {
            // `--help` is an answer and no refusal.
            assert!(!error.use_stderr(), "{page}: `{}`\n{error}", line.join(" "));
        }
    }
    assert!(parsed > 80, "the documents show next to no commands: {parsed}");
}
