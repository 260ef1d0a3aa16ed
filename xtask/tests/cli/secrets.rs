//! Secrets of a push: nothing that it prints, keeps, or shows of its processes has one of them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use registry_fake::{Auth, Entry, FakeRegistry, Fault, Options, What};

use crate::{
    intact::BuiltImage,
    program::{program, run},
};

const USER: &str = "cn-1@AK";
const PASSWORD: &str = "hunter2-Zq9";
/// `USER:PASSWORD`, without the padding.
const LOGIN_IN_BASE64: &str = "Y24tMUBBSzpodW50ZXIyLVpxOQ";

/// The password, `USER:PASSWORD` and the password alone in base64, the beginning of the fake's tokens, an identity token,
/// and what is in the addresses of uploads.
const SECRETS: &[&str] = &[PASSWORD, LOGIN_IN_BASE64, "aHVudGVyMi1acTk", "token-", "refresh-me-x7", ADDRESS];

/// In the query of an upload's address.
const ADDRESS: &str = "s3cret";

/// A helper that has this login, and notes how it and the program that asks it were started.
fn helper(folder: &Path, user: &str, secret: &str) {
    let note = folder.join("processes");
    let script = format!(
        "#!/bin/sh\ncat >/dev/null\ncat /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline /proc/$PPID/environ >>'{}'\n\
         printf '{{\"Username\":\"{user}\",\"Secret\":\"{secret}\"}}'\n",
        note.display()
    );
    let file = folder.join("docker-credential-spy");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Every file below a folder: its path, its bytes, and whether its owner alone may read it.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>, bool)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let is_private = fs::metadata(&path).unwrap().permissions().mode() & 0o077 == 0;
            found.push((path.display().to_string(), fs::read(&path).unwrap(), is_private));
        }
    }
}

/// What goes wrong with a push, in words that quote what was sent.
fn faults(sent: &str) -> Vec<Fault> {
    let quoting = format!("you sent {sent} to http://r.x/v2/o/fmtk-ma/blobs/uploads/1?_state=s3cret&x=y");
    let status = |method, path: &str, status| Fault::status(method, path, status, "CODE", &quoting);
    let signed = |status, url: &str| What::Answer {
        status,
        headers: vec![("Location".to_owned(), url.to_owned()), ("Warning".to_owned(), format!("299 - \"{quoting}\""))],
        body: quoting.clone(),
    };
    vec![
        status("GET", "/token", 500).times(3),
        status("GET", "/token", 401).always(),
        status("POST", "/token", 400).always(),
        Fault::on("GET", "/token", What::CutAnswer(3)),
        Fault::on("GET", "/token", What::FlipBit).always(),
        Fault::on("GET", "/token", signed(302, "http://127.0.0.1:1/token?signature=s3cret")),
        status("HEAD", "/manifests/", 401).always(),
        status("HEAD", "/blobs/", 500).times(2),
        status("POST", "/uploads/", 400).always(),
        status("POST", "/uploads/", 401).always(),
        status("POST", "/uploads/", 403).always(),
        status("POST", "/uploads/", 429),
        Fault::on("POST", "/uploads/", signed(202, "/v2/o/fmtk-ma/blobs/uploads/none?signature=s3cret")).always(),
        Fault::on("POST", "/uploads/", signed(202, "http://127.0.0.1:1/bucket?signature=s3cret")),
        Fault::on("POST", "/uploads/", signed(307, "/v2/elsewhere?signature=s3cret")).always(),
        Fault::on("PUT", "/uploads/", What::CutRequest(0)),
        status("PUT", "/uploads/", 404).always(),
        status("PUT", "/uploads/", 413).always(),
        status("PUT", "/manifests/", 400).always(),
        Fault::on("PUT", "/manifests/", What::Header("Docker-Content-Digest", format!("sha256:{}", "0".repeat(64)))),
        Fault::on("PUT", "/manifests/", signed(201, "/v2/x?signature=s3cret")),
    ]
}

/// How the registry asks for a login, and the name and the secret that the helper has.
type Login = (Auth, &'static str, &'static str);

/// Pushes to a registry where this goes wrong, and looks at what is printed and left; whether the push, and a dry run
/// behind it, ended well.
fn push((auth, name, secret): &Login, fault: Fault) -> [bool; 2] {
    let image = BuiltImage::new();
    let spy = tempfile::tempdir().unwrap();
    helper(spy.path(), name, secret);
    fs::write(image.workspace().join("config.json"), r#"{"credsStore":"spy"}"#).unwrap();
    let path = format!("{}:{}", spy.path().display(), std::env::var("PATH").unwrap());
    let fake = FakeRegistry::with(Options { auth: auth.clone(), ..Options::default() });
    let told = format!("{fault:?}");
    fake.plan(fault);
    let push = ["push", "--org", "o", "--registry", &fake.host(), "--format", "json"];
    let mut all = String::new();
    let ended_well = [&[][..], &["--dry-run"]].map(|more| {
        let mut command = program(image.workspace(), &[&push, more].concat());
        command.env("PATH", &path).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
        let (code, out, said) = run(command);
        all += &format!("{out}{said}");
        code == Some(0)
    });
    // An identity token is posted, and not a header field.
    let is_used = |entry: &Entry| entry.authorization.is_some() || entry.path == "/token";
    assert!(fake.log().iter().any(is_used), "{told}: no login was asked for");
    let mut found = vec![("output".to_owned(), all.into_bytes(), false)];
    files(image.workspace(), &mut found);
    found.push(("processes".to_owned(), fs::read(spy.path().join("processes")).unwrap(), false));
    for (place, bytes, is_private) in &found {
        let text = String::from_utf8_lossy(bytes);
        for secret in SECRETS {
            // To go on with an upload its address has to be known, to nobody else.
            let may_be_there = *secret == ADDRESS && *is_private;
            assert!(may_be_there || !text.contains(secret), "{told}: `{secret}` is in {place}: {text}");
        }
    }
    ended_well
}

#[test]
fn a_push_with_a_login_tells_no_secret_whatever_goes_wrong() {
    let (user, password) = (USER.to_owned(), PASSWORD.to_owned());
    let basic = Auth::Basic { user: user.clone(), password: password.clone() };
    let bearer = Auth::Bearer { user, password, identity_token: "refresh-me-x7".into() };
    let quoted = format!("{USER}:{PASSWORD}, that is Basic {LOGIN_IN_BASE64}==");
    let logins = [
        ((basic, USER, PASSWORD), quoted.as_str()),
        ((bearer.clone(), USER, PASSWORD), quoted.as_str()),
        ((bearer, "<token>", "refresh-me-x7"), "refresh-me-x7"),
    ];
    let pushes = logins.iter().flat_map(|(login, sent)| faults(sent).into_iter().map(move |fault| (login, fault)));
    let pushes: Vec<_> = pushes.collect();
    // More than there are cores: most of it is waiting for another attempt.
    let ended_well = side_by_side::map(&pushes, 8, |(login, fault)| push(login, fault.clone())).concat();
    // Both ways of ending were seen.
    let pushed = ended_well.iter().filter(|is_well| **is_well).count();
    assert!(pushed > 60 && ended_well.len() - pushed > 30, "{pushed} of {} were pushed", ended_well.len());
}
