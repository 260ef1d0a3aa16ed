//! Engines that do not do what they should: programs named `docker` and `podman` on PATH take their place.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "cli/program.rs"]
mod program;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use oci_image::Store;

use crate::program::{program, run};

/// Puts a program in the folder.
fn put(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A command of ours with the folder before the other programs; engines have `limit` seconds for an answer.
fn command(folder: &Path, limit: &str, arguments: &[&str]) -> Command {
    let path = env::join_paths([folder, "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
    let mut command = program(folder, arguments);
    command.env("PATH", path).env("FMTK_ENGINE_LIMIT", limit);
    command
}

/// One test for all, in a program of its own: a second thread that forks while a program is being written would make it "busy".
#[test]
fn an_engine_that_hangs_or_lacks_the_image_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(folder, "podman", "exit 127");
    // Long enough for what answers on a busy machine.
    let (hang, answer) = ("2", "60");
    let check = |script: &str, arguments: &[&str], expected: &[&str]| {
        put(folder, "docker", script);
        let begin = Instant::now();
        let (code, _, said) = run(command(folder, hang, arguments));
        assert!(begin.elapsed() < Duration::from_secs(60), "{script}: it was waited for");
        assert_eq!(code, Some(1), "{said}");
        for text in expected {
            assert!(said.contains(text), "{script}: {said}");
        }
    };
    let hint = "hint: see whether `docker info` answers";
    let version = ["`docker version` did not answer within 2 s", hint];
    let image = ["image", "--load", "--timestamp", "20221028181325"];
    check("exec sleep 600", &image, &version);
    check("exec sleep 600", &[&image[..], &["--engine", "docker"]].concat(), &version);
    let inspected = ["`docker image inspect` did not answer within 2 s", hint];
    check("exec sleep 600", &["inspect", "docker-daemon:base:1"], &inspected);
    check("[ $1 = image ] && exit 1; exec sleep 600", &["inspect", "docker-daemon:base:1"], &version);

    // The doctor, who promises to be quick, tells it too.
    let (_, table, _) = run(command(folder, answer, &["doctor", "--registry", "127.0.0.1:9"]));
    assert!(table.contains("WRONG    engine         `docker version` did not answer within 1.8 s"), "{table}");

    // What an engine that is there says is told; one that is not there has nothing to say.
    put(folder, "docker", "echo no daemon >&2; exit 1");
    put(folder, "podman", "echo no runtime >&2; exit 125");
    for (engine, expected) in [
        ("podman", ["error: podman can't be used", "caused by: `podman --version` failed: no runtime"]),
        ("docker", ["error: docker does not answer", "caused by: `docker version` failed: no daemon"]),
        (
            "auto",
            ["error: neither a docker daemon answers nor can podman be run", "`podman --version` failed: no runtime"],
        ),
    ] {
        let (_, _, said) = run(command(folder, answer, &[&image[..], &["--engine", engine]].concat()));
        assert!(expected.iter().all(|text| said.contains(text)), "{engine}: {said}");
    }

    // An engine that fails without a word.
    put(folder, "docker", "[ $1 = image ] && exit 3; exit 0");
    let (code, _, said) = run(command(folder, answer, &["inspect", "docker-daemon:base:1"]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("caused by: exited with status 3 and no output"), "{said}");

    // Nothing is built or made for an image that nobody has.
    put(folder, "docker", "[ $1 = image ] && echo No such image >&2 && exit 1; exit 0");
    let out = folder.join("out");
    let (code, _, said) = run(command(folder, answer, &["try", "2022110900000", "--out", out.to_str().unwrap()]));
    assert_eq!(code, Some(2), "{said}");
    for text in [
        "`2022110900000` is neither in the store nor in docker",
        "hint: nothing has been built yet: run `cargo xtask image`",
    ] {
        assert!(said.contains(text), "{said}");
    }
    assert!(!said.contains("building") && !out.exists(), "{said}");

    waits_for_another_run(folder);
}

/// Who waits says for which process, and can be interrupted.
fn waits_for_another_run(folder: &Path) {
    put(folder, "docker", "echo 20.10");
    let store = Store::open(&folder.join("store")).unwrap();
    let _lock = store.lock("try").unwrap();
    let mut waiting = command(folder, "60", &["try", "x:1"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    let expected = format!("waiting for process {}, which is doing the same work in this store", std::process::id());
    assert_eq!(lines.next(), Some(expected));
    // SIGINT may be ignored in the background of a script.
    assert!(Command::new("kill").arg(waiting.id().to_string()).status().unwrap().success());
    assert_eq!(waiting.wait().unwrap().signal(), Some(15));
    // Nothing of it moves the cursor of what is no terminal.
    let rest: Vec<String> = lines.collect();
    assert_eq!(rest, ["interrupted: the containers are being removed"]);
}
