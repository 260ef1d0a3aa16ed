//! Where secrets go: to the registry and its realm, encrypted or on this machine, and nowhere else.

use registry::{CredentialSource, Credentials, Push, Registry, RegistryOptions, Secret};
use registry_fake::{Auth, FakeRegistry, Fault, Options, What};

use crate::fixture::{Image, bytes, client_with, options, shown};

fn with_login(options: RegistryOptions) -> RegistryOptions {
    let login = Credentials::Basic { user: "u".into(), password: Secret::new("hunter2") };
    RegistryOptions { credentials: CredentialSource::Given(login), ..options }
}

fn auths() -> [Auth; 2] {
    let (user, password) = (String::from("u"), String::from("hunter2"));
    [
        Auth::Basic { user: user.clone(), password: password.clone() },
        Auth::Bearer { user, password, identity_token: "none".to_owned() },
    ]
}

/// As registries do it whose storage takes the blobs itself.
#[test]
fn an_upload_to_another_host_is_sent_without_the_login() {
    for auth in auths() {
        // 17 MiB go in a PATCH of their own, whose answer names the place of the PUT.
        for size in [1000, 17 << 20] {
            let storage = FakeRegistry::start();
            let fake = FakeRegistry::with(Options { auth: auth.clone(), ..Options::default() });
            let image = Image::new(&[bytes(1, size)]);
            fake.plan(Fault::status("HEAD", "/blobs/", 404, "BLOB_UNKNOWN", "not yet"));
            fake.put_blob("o/r", &bytes(1, size));
            let elsewhere = |path: &str| vec![("Location".to_owned(), path.to_owned())];
            let first = elsewhere(&format!("http://{}/bucket/1?signature=s3cret", storage.host()));
            let what = What::Answer { status: 202, headers: first, body: String::new() };
            fake.plan(Fault::on("POST", "/uploads/", what));
            let (next, none) = (elsewhere("/bucket/2?signature=s3cret"), Vec::new());
            storage.plan(Fault::on(
                "PATCH",
                "/bucket/1",
                What::Answer { status: 202, headers: next, body: String::new() },
            ));
            storage.plan(Fault::on(
                "PUT",
                "/bucket/",
                What::Answer { status: 201, headers: none, body: String::new() },
            ));
            let registry = client_with(&fake, with_login(options()));
            registry.push_image(&Push { parallel: 1, ..image.to_push() }, &|_| {}).unwrap();
            let log = storage.log();
            assert!(log.iter().all(|entry| entry.authorization.is_none()), "{log:?}");
            let put = log.last().unwrap();
            let digest = &image.layers[0].digest;
            assert_eq!(put.query, format!("signature=s3cret&digest={digest}"));
            assert_eq!(put.path, if size > 1000 { "/bucket/2" } else { "/bucket/1" });
            // The registry itself is asked with the login again.
            assert!(fake.log().last().unwrap().authorization.is_some());
        }
    }
}

#[test]
fn a_request_that_is_redirected_to_another_host_loses_the_login() {
    for (method, path) in [("POST", "/uploads/"), ("PUT", "/manifests/"), ("PUT", "/uploads/"), ("HEAD", "/manifests/")]
    {
        let (other, [_, auth]) = (FakeRegistry::start(), auths());
        let fake = FakeRegistry::with(Options { auth, ..Options::default() });
        let location = vec![("Location".to_owned(), format!("http://{}/elsewhere", other.host()))];
        fake.plan(
            Fault::on(method, path, What::Answer { status: 307, headers: location, body: String::new() }).always(),
        );
        // What becomes of the push depends on what the other host says; it is 404.
        let _ = Image::new(&[bytes(1, 1_100_000)]).push(&client_with(&fake, with_login(options())));
        let log = other.log();
        assert!(log.iter().any(|entry| entry.path == "/elsewhere"), "{method} {path}");
        assert!(log.iter().all(|entry| entry.authorization.is_none()), "{method} {path}: {log:?}");
    }
}

/// A tunnel makes a registry one on loopback. Its realm is reached by another way.
#[test]
fn a_registry_on_loopback_does_not_have_the_password_sent_unencrypted_over_a_network() {
    let [_, auth] = auths();
    let elsewhere = "http://auth.invalid/token";
    let fake = FakeRegistry::with(Options { auth: auth.clone(), realm: Some(elsewhere.into()), ..Options::default() });
    let image = Image::new(&[]);
    let error = image.push(&client_with(&fake, with_login(options()))).unwrap_err();
    assert!(shown(&error, &fake).contains(&format!("sent unencrypted to `{elsewhere}`")), "{error:?}");
    // Whoever says so gets it.
    let insecure = RegistryOptions { insecure: true, ..with_login(options()) };
    let error = image.push(&client_with(&fake, insecure)).unwrap_err();
    assert!(shown(&error, &fake).contains("no such host: `auth.invalid`"), "{error:?}");
    // And so does a realm on this machine, by any name that it has.
    let tokens = FakeRegistry::with(Options { auth: auth.clone(), ..Options::default() });
    for name in ["127.0.0.1", "localhost"] {
        let realm = Some(format!("http://{name}:{}/token", tokens.port()));
        let fake = FakeRegistry::with(Options { auth: auth.clone(), realm, ..Options::default() });
        let said = shown(&image.push(&client_with(&fake, with_login(options()))).unwrap_err(), &fake);
        // The tokens of the one are none to the other; the password went to the realm, and there alone.
        assert!(!said.contains("unencrypted"), "{said}");
        assert!(tokens.log().iter().any(|entry| entry.authorization.as_deref() == Some("Basic")), "{name}");
        assert!(fake.log().iter().all(|entry| entry.authorization.as_deref() != Some("Basic")), "{name}");
        tokens.clear_log();
    }
}

/// Nothing is sent in the hope that it is wanted, and nothing more than is asked for.
#[test]
fn a_registry_that_wants_no_login_gets_none() {
    let fake = FakeRegistry::start();
    let registry: Registry = client_with(&fake, with_login(options()));
    Image::new(&[bytes(1, 1000)]).push(&registry).unwrap();
    assert!(fake.log().iter().all(|entry| entry.authorization.is_none()));
}

/// Signatures in the addresses of uploads are as good as passwords, and registries quote addresses.
#[test]
fn the_query_of_an_address_is_not_told() {
    let fake = FakeRegistry::start();
    let words = "no such upload: /v2/o/r/blobs/uploads/upload-0?_state=s3cret";
    for method in ["PUT", "PATCH"] {
        fake.plan(Fault::status(method, "/uploads/", 400, "BLOB_UPLOAD_INVALID", words).always());
    }
    let error = Image::new(&[]).push(&client_with(&fake, options())).unwrap_err();
    let said = format!("{} {error:?}", shown(&error, &fake));
    assert!(said.contains("no such upload") && !said.contains("s3cret"), "{said}");
}
