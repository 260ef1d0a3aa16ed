//! Docker's credential helpers: programs called `docker-credential-NAME` (docker-credential-helpers, "Development").

use std::{
    env,
    ffi::OsStr,
    io::{Read as _, Write as _},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::Deserialize;

use crate::{
    credentials::{Credentials, CredentialsError},
    secret::Secret,
};

/// What a helper prints for `get`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: String,
}

/// 64 KiB: tokens of cloud providers reach some thousands of bytes.
const LIMIT: u64 = 64 << 10;

/// Asks helper `name` for the login of `server`; `None` where it has none.
pub(crate) fn get(
    name: &str,
    server: &str,
    path: Option<&OsStr>,
    timeout: Duration,
) -> Result<Option<Credentials>, CredentialsError> {
    let helper = Helper { name, server, path, timeout };
    let (status, output) = helper.run("get", server.as_bytes())?;
    if !status.success() {
        // The helpers' agreed words for "none".
        let none = String::from_utf8_lossy(&output).contains("credentials not found");
        return if none { Ok(None) } else { Err(helper.fail(&format!("failed ({status})"))) };
    }
    let answer: Answer =
        serde_json::from_slice(&output).map_err(|_| helper.fail("printed something else than a login"))?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.is_empty() => None,
        ("<token>", secret) => Some(Credentials::IdentityToken(Secret::new(secret))),
        (user, secret) => Some(Credentials::Basic { user: user.to_owned(), password: Secret::new(secret) }),
    })
}

/// Has helper `name` keep the login of `server`.
pub(crate) fn store(
    name: &str,
    server: &str,
    user: &str,
    password: &Secret,
    path: Option<&OsStr>,
    timeout: Duration,
) -> Result<(), CredentialsError> {
    let helper = Helper { name, server, path, timeout };
    let login = serde_json::json!({ "ServerURL": server, "Username": user, "Secret": password.reveal() });
    // What it prints is not passed on: it may be what it was sent.
    let (status, _) = helper.run("store", login.to_string().as_bytes())?;
    if status.success() { Ok(()) } else { Err(helper.fail(&format!("failed to store it ({status})"))) }
}

/// One helper, and the server that it is asked about.
struct Helper<'a> {
    name: &'a str,
    server: &'a str,
    path: Option<&'a OsStr>,
    timeout: Duration,
}

impl Helper<'_> {
    fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    fn fail(&self, reason: &str) -> CredentialsError {
        CredentialsError::Helper { program: self.program(), host: self.server.to_owned(), reason: reason.to_owned() }
    }

    /// How it ended and what it printed. Its input goes to stdin, where nobody else can read it.
    fn run(&self, verb: &str, input: &[u8]) -> Result<(ExitStatus, Vec<u8>), CredentialsError> {
        if !self.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Err(self.fail("has a name that no helper can have"));
        }
        let program = self.program();
        let mut folders = self.path.into_iter().flat_map(env::split_paths);
        let found = folders.find_map(|folder| Some(folder.join(&program)).filter(|file| file.is_file()));
        let mut child = Command::new(found.ok_or_else(|| self.fail("is not in PATH"))?)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Its prompts and warnings are for people.
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| self.fail(&format!("did not start: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that has gone shows so by its exit code.
            let _ = stdin.write_all(input);
        }
        let (send, receive) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let mut text = Vec::new();
                let read = stdout.take(LIMIT).read_to_end(&mut text);
                let _ = send.send(read.map(|_| text));
            });
        }
        let output = receive.recv_timeout(self.timeout);
        if output.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| self.fail(&format!("was lost: {error}")))?;
        match output {
            Ok(Ok(output)) => Ok((status, output)),
            Ok(Err(error)) => Err(self.fail(&format!("could not be read: {error}"))),
            Err(_) => Err(self.fail(&format!("did not answer within {} s", self.timeout.as_secs_f32()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use expect_test::{Expect, expect};

    use super::*;

    /// One test for all: a second thread that forks while a script is being written would make it "busy".
    #[test]
    fn helpers_are_asked_on_stdin_and_their_failures_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let check_within = |limit: Duration, name: &str, script: &str, expect: Expect| {
            let file = folder.path().join(format!("docker-credential-{name}"));
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            let path = env::join_paths(["/nonexistent".into(), folder.path().to_owned()]).unwrap();
            let found = match get(name, "r.x:5000", Some(&path), limit) {
                Ok(Some(Credentials::Basic { user, password })) => format!("{user} / {}", password.reveal()),
                Ok(found) => format!("{found:?}"),
                Err(error) => error.to_string(),
            };
            expect.assert_eq(&found);
        };
        // On a machine that is busy, too.
        let check =
            |name: &str, script: &str, expect: Expect| check_within(Duration::from_secs(20), name, script, expect);
        let echo = r#"read -r host; echo "{\"ServerURL\":\"\",\"Username\":\"$1\",\"Secret\":\"for $host\"}""#;
        check("echo", echo, expect!["get / for r.x:5000"]);
        check("token", r#"echo '{"Username":"<token>","Secret":"t"}'"#, expect!["Some(IdentityToken(…))"]);
        check("none", "echo 'credentials not found in native keychain'; exit 1", expect!["None"]);
        check(
            "sick",
            "echo hunter2; exit 3",
            expect!["credential helper `docker-credential-sick` failed (exit status: 3)"],
        );
        check(
            "odd",
            "echo hunter2",
            expect!["credential helper `docker-credential-odd` printed something else than a login"],
        );
        check_within(
            Duration::from_millis(500),
            "slow",
            "exec sleep 600",
            expect!["credential helper `docker-credential-slow` did not answer within 0.5 s"],
        );
        check(
            "mute",
            "exec true",
            expect!["credential helper `docker-credential-mute` printed something else than a login"],
        );
        let none = get("../evil", "r", None, Duration::ZERO).unwrap_err().to_string();
        expect!["credential helper `docker-credential-../evil` has a name that no helper can have"].assert_eq(&none);
        let none = get("absent", "r", Some(folder.path().as_os_str()), Duration::ZERO).unwrap_err().to_string();
        expect!["credential helper `docker-credential-absent` is not in PATH"].assert_eq(&none);

        let file = folder.path().join("config.json");
        fs::write(
            &file,
            r#"{"credHelpers": {"r.x": "keep"}, "credsStore": "sick", "auths": {"r.x": {"auth": "b2xk"}}}"#,
        )
        .unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$*\" > {0}/verb; env > {0}/env; exec cat > {0}/stored\n",
            folder.path().display()
        );
        let program = folder.path().join("docker-credential-keep");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let logins = crate::Logins {
            files: vec![file.clone()],
            path: Some(env::join_paths([folder.path(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap()),
            helper_timeout: Duration::from_secs(20),
        };
        let stored = logins.store("r.x", "u\"", &Secret::new("hunter2")).unwrap();
        assert_eq!(stored, crate::Stored::Helper("docker-credential-keep".to_owned()));
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("verb"), "store\n");
        assert_eq!(read("stored"), r#"{"ServerURL":"r.x","Username":"u\"","Secret":"hunter2"}"#);
        assert!(!read("env").contains("hunter2"));
        // The old password goes.
        assert_eq!(
            read("config.json"),
            r#"{"credHelpers": {"r.x": "keep"}, "credsStore": "sick", "auths": {"r.x": {}}}"#
        );
        let failed = logins.store("other", "u", &Secret::new("hunter2")).unwrap_err().to_string();
        expect!["credential helper `docker-credential-sick` failed to store it (exit status: 3)"].assert_eq(&failed);
    }
}
