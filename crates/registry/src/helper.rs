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

use crate::credentials::{Credentials, CredentialsError, Secret};

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

/// One helper, and the server that it is asked about.
pub(crate) struct Helper<'a> {
    pub(crate) name: &'a str,
    pub(crate) server: &'a str,
    /// Where it is looked for, and how long it may take.
    pub(crate) path: Option<&'a OsStr>,
    pub(crate) timeout: Duration,
}

impl Helper<'_> {
    /// The login that it keeps; `None` where it has none.
    pub(crate) fn get(&self) -> Result<Option<Credentials>, CredentialsError> {
        let (status, output) = self.run("get", self.server.as_bytes())?;
        if !status.success() {
            // The helpers' agreed words for "none".
            let none = String::from_utf8_lossy(&output).contains("credentials not found");
            return if none { Ok(None) } else { Err(self.fail(format!("failed ({status})"))) };
        }
        let answer: Answer =
            serde_json::from_slice(&output).map_err(|_| self.fail("printed something else than a login".to_owned()))?;
        Ok(match (answer.username.as_str(), answer.secret) {
            (_, secret) if secret.is_empty() => None,
            ("<token>", secret) => Some(Credentials::IdentityToken(Secret::new(secret))),
            (user, secret) => Some(Credentials::Basic { user: user.to_owned(), password: Secret::new(secret) }),
        })
    }

    /// Has it keep this login.
    pub(crate) fn store(&self, user: &str, password: &Secret) -> Result<(), CredentialsError> {
        let login = serde_json::json!({ "ServerURL": self.server, "Username": user, "Secret": password.reveal() });
        // What it prints is not passed on: it may be what it was sent.
        let (status, _) = self.run("store", login.to_string().as_bytes())?;
        if status.success() { Ok(()) } else { Err(self.fail(format!("failed to store it ({status})"))) }
    }

    pub(crate) fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    fn fail(&self, reason: String) -> CredentialsError {
        CredentialsError::Helper(self.program(), self.server.to_owned(), reason)
    }

    /// How it ended and what it printed. Its input goes to stdin, where nobody else can read it.
    fn run(&self, verb: &str, input: &[u8]) -> Result<(ExitStatus, Vec<u8>), CredentialsError> {
        if !self.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Err(self.fail("has a name that no helper can have".to_owned()));
        }
        let program = self.program();
        let mut folders = self.path.into_iter().flat_map(env::split_paths);
        let found = folders.find_map(|folder| Some(folder.join(&program)).filter(|file| file.is_file()));
        let mut child = Command::new(found.ok_or_else(|| self.fail("is not in PATH".to_owned()))?)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Its prompts and warnings are for people.
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| self.fail(format!("did not start: {error}")))?;
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
        let status = child.wait().map_err(|error| self.fail(format!("was lost: {error}")))?;
        match output {
            Ok(Ok(output)) => Ok((status, output)),
            Ok(Err(error)) => Err(self.fail(format!("could not be read: {error}"))),
            Err(_) => Err(self.fail(format!("did not answer within {} s", self.timeout.as_secs_f32()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::{Logins, Stored};

    /// One test for all: a second thread that forks while a script is being written would make it "busy".
    #[test]
    fn helpers_are_asked_on_stdin_and_their_failures_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let file = folder.path().join(format!("docker-credential-{name}"));
            fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let file = folder.path().join("config.json");
        let path = env::join_paths(["/nonexistent".as_ref(), folder.path(), "/usr/bin".as_ref(), "/bin".as_ref()]);
        // On a machine that is busy, too.
        let helper_timeout = Duration::from_secs(20);
        let logins = Logins { files: vec![file.clone()], path: Some(path.unwrap()), helper_timeout };
        let echo = r#"read -r host; echo "{\"ServerURL\":\"\",\"Username\":\"$1\",\"Secret\":\"for $host\"}""#;
        for (name, text, expected) in [
            ("echo", echo, "get / for r.x:5000"),
            ("token", r#"echo '{"Username":"<token>","Secret":"t"}'"#, "Some(IdentityToken(…))"),
            ("none", "echo 'credentials not found in native keychain'; exit 1", "None"),
            ("sick", "echo hunter2; exit 3", "credential helper `NAME` failed (exit status: 3)"),
            ("odd", "echo hunter2", "credential helper `NAME` printed something else than a login"),
            ("mute", "exec true", "credential helper `NAME` printed something else than a login"),
            ("slow", "exec sleep 600", "credential helper `NAME` did not answer within 0.5 s"),
            ("../evil", "", "credential helper `NAME` has a name that no helper can have"),
            ("absent", "", "credential helper `NAME` is not in PATH"),
        ] {
            if !text.is_empty() {
                script(name, text);
            }
            let timeout = if name == "slow" { Duration::from_millis(500) } else { helper_timeout };
            let helper = Helper { name, server: "r.x:5000", path: logins.path.as_deref(), timeout };
            let found = match helper.get() {
                Ok(Some(Credentials::Basic { user, password })) => format!("{user} / {}", password.reveal()),
                Ok(found) => format!("{found:?}"),
                Err(error) => error.to_string().replace(&helper.program(), "NAME"),
            };
            assert_eq!(found, expected);
        }

        let config = r#"{"credHelpers": {"r.x": "keep"}, "credsStore": "sick", "auths": {"r.x": {"auth": "b2xk"}}}"#;
        fs::write(&file, config).unwrap();
        let text = "echo \"$*\" > DIR/verb; env > DIR/env; exec cat > DIR/stored";
        script("keep", &text.replace("DIR", &folder.path().display().to_string()));
        let stored = logins.store("r.x", "u\"", &Secret::new("hunter2")).unwrap();
        assert_eq!(stored, Stored::Helper("docker-credential-keep".to_owned()));
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("verb"), "store\n");
        assert_eq!(read("stored"), r#"{"ServerURL":"r.x","Username":"u\"","Secret":"hunter2"}"#);
        assert!(!read("env").contains("hunter2"));
        // The old password goes.
        assert_eq!(read("config.json"), config.replace(r#"{"auth": "b2xk"}"#, "{}"));
        let failed = logins.store("other", "u", &Secret::new("hunter2")).unwrap_err().to_string();
        assert_eq!(failed, "credential helper `docker-credential-sick` failed to store it (exit status: 3)");
    }
}
