//! `login` as it is run, against a registry in memory.

use std::{fs, io::Write, path::Path, process::Stdio};

use registry_fake::{Auth, FakeRegistry, Options};

use crate::program::program;

const USER: &str = "cn-1@AK";
const KEY: &str = "hunter2";

/// Runs it with this stdin; its exit code and what it printed.
fn login(folder: &Path, flags: &[&str], input: &str) -> (Option<i32>, String) {
    let mut command = program(folder, &["login"]);
    command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses its flags ends without reading.
    match child.stdin.take().unwrap().write_all(input.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => panic!("{error}"),
        _ => {}
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains(KEY), "it printed the key: {said}");
    (output.status.code(), said)
}

#[test]
fn basic_and_bearer_registries_are_asked_before_anything_is_stored() {
    let (user, password) = (USER.to_owned(), KEY.to_owned());
    let basic = Auth::Basic { user: user.clone(), password: password.clone() };
    let bearer = Auth::Bearer { user, password, identity_token: "none".into() };
    for auth in [basic, bearer] {
        let fake = FakeRegistry::with(Options { auth, ..Options::default() });
        let host = fake.host();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");

        let (code, said) = login(folder.path(), &[], &format!("docker login -u {USER} -p wrong {host}\n"));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("refused the login; nothing was stored") && said.contains("hint: "), "{said}");
        assert!(!file.exists());

        let (code, said) = login(folder.path(), &[], &format!("sudo docker login -u {USER} -p {KEY} {host}\r\n"));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("24 hours") && said.contains("config.json"), "{said}");
        assert!(!said.contains("a login of its own"), "{said}");
        // base64 of `cn-1@AK:hunter2`
        assert!(fs::read_to_string(&file).unwrap().contains("\"auth\": \"Y24tMUBBSzpodW50ZXIy\""));
    }
}

/// Logging in again changed nothing for the organisation, and nothing was said.
#[test]
fn the_login_of_a_part_of_the_registry_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    fs::write(&file, r#"{"auths":{"r.x/o":{"auth":"YTpi"},"r.x":{"auth":"YTpi"},"q.x/o":{}}}"#).unwrap();
    let flags = ["--no-check", "--username", "u", "--registry", "r.x"];
    let (code, said) = login(folder.path(), &flags, KEY);
    assert_eq!(code, Some(0), "{said}");
    let told =
        format!("`r.x/o` has a login of its own in `{}`, which is used there instead of this one", file.display());
    assert!(said.contains(&told) && !said.contains("q.x"), "{said}");
}

#[test]
fn what_is_too_long_is_refused_and_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let text = "#".repeat((64 << 10) - 20) + "\ndocker login -u u -p 0123456789abcdef r.example";
    let (code, said) = login(folder.path(), &["--no-check"], &text);
    assert!(code == Some(2) && said.contains("stdin has more than 64 KiB"), "{said}");
}

#[test]
fn the_long_term_key_is_made_of_the_secret_key() {
    // What `printf AK | openssl dgst -sha256 -hmac hunter2` prints.
    let password = "47f8cc9282431ef242cef2978d63f160faf115ba04e0c12aa5542f2cc98cf910".to_owned();
    let fake = FakeRegistry::with(Options { auth: Auth::Basic { user: USER.into(), password }, ..Options::default() });
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--region", "cn-1", "--ak", "AK", "--registry", &fake.host()];
    let (code, said) = login(folder.path(), &flags, "hunter2\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("24 hours"), "{said}");
}

/// A password that was mistyped was said to be valid for 24 hours.
#[test]
fn only_the_line_of_the_console_is_said_to_end() {
    let (user, password) = ("alice".to_owned(), KEY.to_owned());
    let fake = FakeRegistry::with(Options { auth: Auth::Basic { user, password }, ..Options::default() });
    let folder = tempfile::tempdir().unwrap();
    let host = fake.host();
    let (code, said) = login(folder.path(), &["--username", "alice", "--registry", &host], "wrong\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("hint: check the name and the password") && !said.contains("24 hours"), "{said}");
    let (_, said) = login(folder.path(), &["--region", "r", "--ak", "A", "--registry", &host], "wrong\n");
    assert!(said.contains("hint: check the region") && !said.contains("24 hours"), "{said}");
    let (_, said) = login(folder.path(), &[], &format!("docker login -u a@b -p wrong {host}"));
    assert!(said.contains("valid for 24 hours"), "{said}");
}

#[test]
fn what_is_no_login_is_refused_without_quoting_it() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, input) in [
        (&[][..], "hunter2"),
        (&[], ""),
        (&[], "docker login -u u -p hunter2 r.x\ndocker login -u u -p hunter22 r.x"),
        (&["--registry", "q.x"], "docker login -u u -p hunter2 r.x"),
        (&["--username", "u"], "hunter2\nhunter2\n"),
        (&["--username", "u:v"], "hunter2\n"),
        (&["--ak", "AK"], "hunter2"),
    ] {
        let (code, said) = login(folder.path(), flags, input);
        assert_eq!(code, Some(2), "{said}");
    }
    assert!(!folder.path().join("config.json").exists());
}
