//! Logging in: every scheme, tokens that run out, and secrets that stay secret.

use std::{collections::BTreeSet, sync::Mutex};

use expect_test::expect;
use registry::{
    Cause, CredentialSource, Credentials, Logins, Push, PushEvent, Registry, RegistryOptions, RegistrySource, Retry,
    Secret,
};
use registry_fake::{Auth, FakeRegistry, Fault, Options, What};

use crate::fixture::{DOCKER, Image, bytes, client, client_with, options, repo, shown, tag};

fn basic() -> Auth {
    Auth::Basic { user: "cn-1@AK".into(), password: "hunter2:x".into() }
}

fn bearer() -> Auth {
    Auth::Bearer { user: "cn-1@AK".into(), password: "hunter2:x".into(), identity_token: "hunter2+/=".into() }
}

fn with(auth: Auth) -> FakeRegistry {
    FakeRegistry::with(Options { auth, ..Options::default() })
}

fn login(password: &str) -> Credentials {
    Credentials::Basic { user: "cn-1@AK".into(), password: Secret::new(password) }
}

fn user(fake: &FakeRegistry, credentials: Credentials) -> Registry {
    client_with(fake, RegistryOptions { credentials: CredentialSource::Given(credentials), ..options() })
}

#[test]
fn an_image_is_pushed_with_every_kind_of_login() {
    let identity = Credentials::IdentityToken(Secret::new("hunter2+/="));
    for (auth, credentials) in [(basic(), login("hunter2:x")), (bearer(), login("hunter2:x")), (bearer(), identity)] {
        let fake = with(auth);
        let image = Image::new(&[bytes(1, 1000), bytes(2, 17 << 20), bytes(3, 10)]);
        let registry = user(&fake, credentials);
        registry.ping().unwrap();
        image.push(&registry).unwrap();
        assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
        assert_eq!(registry.tags(&repo("o/r")).unwrap(), [tag("t")]);
    }
}

#[test]
fn a_push_fetches_one_token_and_is_refused_nothing_after_it() {
    let fake = with(bearer());
    let image = Image::new(&[bytes(1, 1000), bytes(2, 2000), bytes(3, 10)]);
    image.push(&user(&fake, login("hunter2:x"))).unwrap();
    let log = fake.log();
    let tokens: Vec<_> = log.iter().filter(|entry| entry.path == "/token").map(|entry| &entry.query).collect();
    assert_eq!(tokens, ["service=fake, inc&scope=repository:o/r:pull,push"]);
    // The search for the scheme tells what login is wanted: no request is made in vain.
    assert_eq!(log.iter().filter(|entry| entry.status == 401).count(), 1);
}

#[test]
fn a_mount_asks_for_leave_to_read_the_other_repository() {
    let fake = with(bearer());
    let image = Image::new(&[bytes(1, 1000)]);
    fake.put_blob("base/b", &bytes(1, 1000));
    let mut push = image.to_push();
    push.layers[0].mount_from = Some(repo("base/b"));
    assert_eq!(user(&fake, login("hunter2:x")).push_image(&push, &|_| {}).unwrap().mounted_blobs, 1);
    let asked = fake.log().iter().filter(|entry| entry.path == "/token").map(|entry| entry.query.clone()).next_back();
    assert_eq!(asked.as_deref(), Some("service=fake, inc&scope=repository:o/r:pull,push&scope=repository:base/b:pull"));
}

#[test]
fn a_base_that_the_login_may_not_read_there_is_streamed_instead() {
    let origin = FakeRegistry::start();
    origin.put_blob("base/b", &bytes(1, 1000));
    let fake = with(bearer());
    fake.plan(Fault::status("POST", "/uploads/", 403, "DENIED", "not that one"));
    let image = Image::new(&[bytes(1, 1000)]);
    let source = RegistrySource { registry: client(&origin), repository: repo("base/b") };
    let mut push = image.to_push();
    push.layers[0].mount_from = Some(repo("base/b"));
    push.layers[0].source = &source;
    let report = user(&fake, login("hunter2:x")).push_image(&push, &|_| {}).unwrap();
    assert_eq!((report.mounted_blobs, report.sent_blobs), (0, 2));
}

#[test]
fn tokens_that_run_out_in_the_middle_are_renewed() {
    let fake = with(bearer());
    let image = Image::new(&[bytes(1, 1000), bytes(2, 2_000_000), bytes(3, 18 << 20), bytes(4, 10)]);
    let seen = Mutex::new(BTreeSet::new());
    // Once at the start of every layer, once at its first bytes: before, and in the middle of, what it sends.
    let expire = |event: PushEvent<'_>| {
        let moment = match event {
            PushEvent::Sending { name, .. } => format!("start of {name}"),
            PushEvent::Sent { name, .. } => format!("middle of {name}"),
            PushEvent::Done { .. } => return,
        };
        if seen.lock().unwrap().insert(moment) {
            fake.expire_tokens();
        }
    };
    // One at a time: a token that others let run out the moment it is fetched is no case of this world.
    let push = Push { parallel: 1, ..image.to_push() };
    user(&fake, login("hunter2:x")).push_image(&push, &expire).unwrap();
    assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
    assert_eq!(fake.open_uploads(), 0);
}

#[test]
fn nobody_may_pull_with_a_token_but_not_push() {
    let fake = with(bearer());
    fake.put_manifest("o/r", "t0", DOCKER, b"{}");
    assert!(client(&fake).manifest(&repo("o/r"), &tag("t0")).unwrap().is_some());
    let error = Image::new(&[]).push(&client(&fake)).unwrap_err();
    expect![[r#"
        failed to push blob `config` (sha256:409a12d35d7c1f54f529f2e4581cb0d3e06a197636fcc45cf07e98e3fb519708) to `HOST/o/r`
        caused by: `HOST` wants a login (none is stored): authentication required (UNAUTHORIZED)
        hint: log in: `docker login HOST`"#]]
    .assert_eq(&shown(&error, &fake));
}

#[test]
fn a_manifest_that_may_not_be_put_is_told_as_such() {
    let fake = with(bearer());
    let image = Image::new(&[]);
    image.memory.0.values().for_each(|blob| drop(fake.put_blob("o/r", blob)));
    let error = image.push(&client(&fake)).unwrap_err();
    expect![[r#"
        failed to push `HOST/o/r:t`
        caused by: `HOST` wants a login (none is stored): authentication required (UNAUTHORIZED)
        hint: log in: `docker login HOST`"#]]
    .assert_eq(&shown(&error, &fake));

    // Its bytes are there for another login: one that has run out costs no attempt.
    let options = RegistryOptions { credentials: CredentialSource::Given(login("hunter2:x")), ..options() };
    let once = RegistryOptions { retry: Retry { attempts: 1, ..options.retry.clone() }, ..options };
    let expire = |event: PushEvent<'_>| {
        if matches!(event, PushEvent::Done { .. }) {
            fake.expire_tokens();
        }
    };
    client_with(&fake, once).push_image(&image.to_push(), &expire).unwrap();
    assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
}

#[test]
fn refusals_say_whose_fault_it_is() {
    let anonymous = || Image::new(&[]).push(&client(&with(basic()))).unwrap_err();
    assert!(matches!(anonymous().cause(), Cause::Unauthorized { had_credentials: false, .. }));

    for auth in [basic(), bearer()] {
        let fake = with(auth);
        let error = Image::new(&[]).push(&user(&fake, login("hunter3"))).unwrap_err();
        expect![[r#"
            failed to push `HOST/o/r:t`
            caused by: `HOST` wants a login (what is stored was refused)
            hint: SWR's temporary logins end after 24 hours; log in again: `docker login HOST`"#]]
        .assert_eq(&shown(&error, &fake));
    }

    let denied = vec!["theirs/".to_owned()];
    for auth in [Auth::None, basic(), bearer()] {
        let fake = FakeRegistry::with(Options { auth, denied: denied.clone(), ..Options::default() });
        let registry = user(&fake, login("hunter2:x"));
        let image = Image::new(&[]);
        let error =
            registry.push_image(&Push { repository: &repo("theirs/r"), ..image.to_push() }, &|_| {}).unwrap_err();
        let text = shown(&error, &fake);
        assert!(
            text.ends_with(
                "caused by: access to `theirs/r` on `HOST` was denied: requested access is denied (DENIED)\n\
             hint: check that the organisation exists and that this login may push to it"
            ),
            "{text}"
        );
    }
}

#[test]
fn a_token_that_does_not_cover_what_was_asked_is_a_denial() {
    // Some registries give a new token each time, some the same.
    for token in [None, Some("{\"token\":\"same\"}".to_owned())] {
        let fake = with(bearer());
        let challenge = "Bearer realm=\"http://HOST/token\",service=\"fake, inc\",error=\"insufficient_scope\"";
        for (method, path) in [("HEAD", "/manifests/"), ("GET", "/manifests/"), ("POST", "/uploads/")] {
            let refusal = Fault::status(method, path, 401, "UNAUTHORIZED", "more scope");
            fake.plan(refusal.with_header("WWW-Authenticate", &challenge.replace("HOST", &fake.host())).always());
        }
        if let Some(body) = token {
            fake.plan(Fault::on("GET", "/token", What::Answer { status: 200, headers: Vec::new(), body }).always());
        }
        let error = Image::new(&[]).push(&user(&fake, login("hunter2:x"))).unwrap_err();
        assert!(matches!(error.cause(), Cause::Denied { repository, .. } if repository == "o/r"), "{error:?}");
    }
}

#[test]
fn logins_are_read_from_dockers_file() {
    let fake = with(bearer());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    // base64 of `cn-1@AK:hunter2:x`
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"Y24tMUBBSzpodW50ZXIyOng="}}}}}}"#, fake.host());
    std::fs::write(&file, config).unwrap();
    let logins = Logins { files: vec![file.clone()], ..Logins::default() };
    let with_file = || RegistryOptions { credentials: CredentialSource::Logins(logins.clone()), ..options() };
    Image::new(&[]).push(&client_with(&fake, with_file())).unwrap();

    std::fs::write(&file, "{").unwrap();
    let error = client_with(&fake, with_file()).ping().unwrap_err();
    let text = shown(&error, &fake).replace(&folder.path().display().to_string(), "DIR");
    expect![[r#"
        failed to reach registry `HOST`
        caused by: logins in `DIR/config.json` are malformed at line 1, column 1
        hint: log in again: `docker login HOST`"#]]
    .assert_eq(&text);
}

/// docker itself takes the entry of any organisation on the host.
#[test]
fn the_login_of_another_organisation_is_sent_to_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    // base64 of `cn-1@AK:hunter2:x`, `other:secret`.
    let (right, wrong) = (r#"{"auth":"Y24tMUBBSzpodW50ZXIyOng="}"#, r#"{"auth":"b3RoZXI6c2VjcmV0"}"#);
    for (entries, has_sent, is_pushed) in [
        (vec![("/aaa", wrong), ("/o", right)], true, true),
        (vec![("", wrong), ("/o", right)], true, true),
        (vec![("", right), ("/o/x", wrong)], true, true),
        (vec![("/aaa", right), ("/oo", right)], false, false),
    ] {
        for auth in [basic(), bearer()] {
            let fake = with(auth);
            let entry = |(path, entry): &(&str, &str)| format!("\"{}{path}\":{entry}", fake.host());
            let entries: Vec<_> = entries.iter().map(entry).collect();
            std::fs::write(&file, format!("{{\"auths\":{{{}}}}}", entries.join(","))).unwrap();
            let logins = Logins { files: vec![file.clone()], ..Logins::default() };
            let options = RegistryOptions { credentials: CredentialSource::Logins(logins), ..options() };
            let pushed = Image::new(&[]).push(&client_with(&fake, options));
            assert_eq!(pushed.is_ok(), is_pushed, "{entries:?}: {pushed:?}");
            let is_basic = |entry: &registry_fake::Entry| entry.authorization.as_deref() == Some("Basic");
            assert_eq!(fake.log().iter().any(is_basic), has_sent, "{entries:?}");
        }
    }
}

#[test]
fn a_password_does_not_follow_a_redirect_of_the_tokens_to_another_host() {
    let other = with(bearer());
    let fake = with(bearer());
    let token = "{\"token\":\"abc\"}".to_owned();
    let elsewhere = vec![("Location".to_owned(), format!("http://{}/token", other.host()))];
    fake.plan(Fault::on("GET", "/token", What::Answer { status: 302, headers: elsewhere, body: String::new() }));
    other.plan(Fault::on("GET", "/token", What::Answer { status: 200, headers: Vec::new(), body: token }));
    Image::new(&[]).push(&user(&fake, login("hunter2:x"))).unwrap();
    let asked: Vec<_> = other.log().into_iter().map(|entry| (entry.path, entry.authorization)).collect();
    assert_eq!(asked, [("/token".to_owned(), None)]);
}

#[test]
fn secrets_are_in_no_error_and_no_debug_text() {
    // base64 of `cn-1@AK:hunter2:x`
    let secrets = ["hunter2", "Y24tMUBBSzpodW50ZXIyOng=", "token-"];
    // A registry that quotes back whatever could hold them.
    let quoting = "you sent Basic Y24tMUBBSzpodW50ZXIyOng= that is hunter2:x and hunter2+/=";
    let token_quoting =
        What::Answer { status: 500, headers: Vec::new(), body: format!("{quoting} {{\"token\":\"token-0\"}}") };
    let identity = Credentials::IdentityToken(Secret::new("hunter2+/="));
    for credentials in [login("hunter2:x"), identity.clone()] {
        for (method, path, what) in [
            ("GET", "/token", token_quoting.clone()),
            ("POST", "/token", token_quoting.clone()),
            ("GET", "/token", What::Stall),
            ("GET", "/token", What::FlipBit),
            ("HEAD", "/manifests/", What::CutAnswer(0)),
        ] {
            let fake = with(bearer());
            fake.plan(Fault::on(method, path, what).times(50));
            let words = if matches!(credentials, Credentials::Basic { .. }) {
                "hunter2:x Y24tMUBBSzpodW50ZXIyOng="
            } else {
                "hunter2+/="
            };
            fake.plan(Fault::status("POST", "/uploads/", 403, "DENIED", words));
            let mut options =
                RegistryOptions { credentials: CredentialSource::Given(credentials.clone()), ..options() };
            options.timeouts.progress = std::time::Duration::from_millis(50);
            options.retry.attempts = 2;
            let debug = format!("{options:?}");
            let registry = client_with(&fake, options);
            let error = Image::new(&[]).push(&registry).unwrap_err();
            let text = format!("{debug} {registry:?} {error:?} {}", shown(&error, &fake));
            for secret in secrets {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}
