//! Certificates: none that is not trusted, all that docker would take.

use std::{fs, io::Read as _, net::Ipv4Addr, path::PathBuf, sync::Arc};

use expect_test::expect;
use oci_image::BlobSource as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use registry::{
    Cause, CredentialSource, Credentials, Error, FileServer, Registry, RegistryOptions, RegistrySource, Secret,
};
use registry_fake::{Auth, FakeRegistry, Options, QUIRKS, Stream, Wrap};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use crate::fixture::{Image, bytes, descriptor, options, repo, shown};

const NAME: &str = "registry.test";

/// A certificate for [`NAME`], its key, and what has to be trusted for it, as PEM.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    trust: String,
}

/// Signed by an authority, as companies do it.
fn signed() -> Identity {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let trust = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    Identity { certificate: certificate.der().clone(), key: key.into(), trust }
}

/// Its own authority, as `openssl req -x509` makes it and Docker's manual shows it.
fn self_signed(name: &str) -> Identity {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity { trust: certificate.pem(), certificate: certificate.der().clone(), key: key.into() }
}

fn serve(identity: &Identity, auth: Auth, realm: Option<String>) -> FakeRegistry {
    serve_with(identity, Options { auth, realm, ..Options::default() })
}

fn serve_with(identity: &Identity, options: Options) -> FakeRegistry {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .unwrap();
    let config = Arc::new(config);
    let wrap: Wrap = Arc::new(move |stream| {
        let connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
        Ok(Box::new(StreamOwned::new(connection, stream)) as Box<dyn Stream>)
    });
    FakeRegistry::with(Options { tls: Some(wrap), ..options })
}

/// A file with what is to be trusted, in a folder that is removed with it.
fn ca_file(pem: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    fs::write(&file, pem).unwrap();
    (folder, file)
}

/// By name, which only the given address makes reachable.
fn named(fake: &FakeRegistry, options: RegistryOptions) -> Registry {
    let host = format!("{NAME}:{}", fake.port());
    Registry::new(host.parse().unwrap(), RegistryOptions { ip: Some(Ipv4Addr::LOCALHOST.into()), ..options })
}

fn push(registry: &Registry) -> Result<(), Error> {
    Image::new(&[bytes(1, 3_000_000)]).push(registry).map(drop)
}

#[test]
fn an_untrusted_certificate_is_refused_with_the_way_to_trust_it() {
    for identity in [signed(), self_signed(NAME)] {
        let fake = serve(&identity, Auth::None, None);
        let error = push(&named(&fake, options())).unwrap_err();
        expect![[r#"
            failed to push `registry.test:PORT/o/r:t`
            caused by: the certificate of `registry.test:PORT` is signed by an unknown authority (x509)
            hint: name its CA with `--ca FILE` or put it into `/etc/docker/certs.d/registry.test:PORT/ca.crt`, or do without checking: `--insecure`"#]]
        .assert_eq(&shown(&error, &fake));
        assert!(fake.log().is_empty(), "nothing was asked");
    }
}

#[test]
fn a_certificate_is_believed_whose_authority_or_self_is_named() {
    for identity in [signed(), self_signed(NAME)] {
        let fake = serve(&identity, Auth::None, None);
        let (_folder, file) = ca_file(&identity.trust);
        push(&named(&fake, RegistryOptions { ca_files: vec![file], ..options() })).unwrap();
        assert!(fake.tag("o/r", "t").is_some());
    }
}

#[test]
fn a_named_certificate_is_believed_for_its_name_only() {
    let identity = self_signed("other.test");
    let fake = serve(&identity, Auth::None, None);
    let (_folder, file) = ca_file(&identity.trust);
    let error = push(&named(&fake, RegistryOptions { ca_files: vec![file], ..options() })).unwrap_err();
    assert!(matches!(error.cause(), Cause::BadCertificate { .. }), "{:?}", error);
    assert!(error.cause().to_string().contains("not valid for name"), "{}", error.cause());
}

#[test]
fn an_insecure_registry_may_have_any_certificate() {
    let fake = serve(&self_signed("other.test"), Auth::None, None);
    push(&named(&fake, RegistryOptions { insecure: true, ..options() })).unwrap();
    assert!(fake.tag("o/r", "t").is_some());
}

#[test]
fn loopback_does_not_excuse_an_untrusted_certificate() {
    let fake = serve(&self_signed("127.0.0.1"), Auth::None, None);
    let error = Registry::new(fake.host().parse().unwrap(), options()).ping().unwrap_err();
    assert!(matches!(error.cause(), Cause::Untrusted { .. }), "{error:?}");
    Registry::new(fake.host().parse().unwrap(), RegistryOptions { insecure: true, ..options() }).ping().unwrap();
}

#[test]
fn a_password_is_not_sent_over_plain_http_to_the_realm_of_an_https_registry() {
    let eavesdropper = FakeRegistry::start();
    let identity = signed();
    let auth = Auth::Bearer { user: "u".into(), password: "p".into(), identity_token: String::new() };
    let fake = serve(&identity, auth, Some(format!("http://{}/token", eavesdropper.host())));
    let (_folder, file) = ca_file(&identity.trust);
    let credentials = CredentialSource::Given(Credentials::Basic { user: "u".into(), password: Secret::new("p") });
    let options = RegistryOptions { ca_files: vec![file], credentials, ..options() };
    let error = push(&named(&fake, options)).unwrap_err();
    assert!(error.cause().to_string().contains("wants the password sent unencrypted"), "{}", error.cause());
    assert!(eavesdropper.log().is_empty());
}

#[test]
fn a_redirect_from_https_to_plain_http_is_followed_only_where_the_user_does_without_https() {
    let storage = FakeRegistry::start();
    let blob = bytes(1, 1000);
    storage.put_blob("o/r", &blob);
    let identity = signed();
    let (_folder, file) = ca_file(&identity.trust);
    let redirect_blobs = Some(format!("http://{}", storage.host()));
    let fake = serve_with(&identity, Options { redirect_blobs, ..Options::default() });
    fake.put_blob("o/r", &blob);
    let read = |options| {
        let source = RegistrySource { registry: named(&fake, options), repository: repo("o/r") };
        let mut out = Vec::new();
        source
            .open(&descriptor(&blob))
            .map_err(|error| error.downcast::<Error>().unwrap())?
            .read_to_end(&mut out)
            .unwrap();
        Ok::<_, Error>(out)
    };
    let error = read(RegistryOptions { ca_files: vec![file.clone()], ..options() }).unwrap_err();
    let shown = shown(&error, &fake).replace(&storage.host(), "STORAGE");
    expect![[r#"
        failed to pull blob `registry.test:PORT/o/r@sha256:273816f02c495d10f4d7dc5588e38c2e2e6afc181f68ab00fc0d14ae1731c603`
        caused by: `https://registry.test:PORT/v2/o/r/blobs/sha256:273816f02c495d10f4d7dc5588e38c2e2e6afc181f68ab00fc0d14ae1731c603` redirects from HTTPS to plain HTTP, to `http://STORAGE/v2/o/r/blobs/sha256:273816f02c495d10f4d7dc5588e38c2e2e6afc181f68ab00fc0d14ae1731c603`
        hint: if the storage of this registry has no HTTPS: `--insecure`"#]].assert_eq(&shown);
    assert!(storage.log().is_empty());
    assert!(read(RegistryOptions { insecure: true, ..options() }).unwrap() == blob);
    // The files of a web server are public, and mirrors redirect so.
    let address = format!("https://{NAME}:{}/v2/o/r/blobs/", fake.port());
    let options = RegistryOptions { ca_files: vec![file], ip: Some(Ipv4Addr::LOCALHOST.into()), ..options() };
    let server = FileServer::new(&address, options).unwrap();
    assert_eq!(server.unchecked(&descriptor(&blob).digest.to_string(), 1000).unwrap(), blob);
}

/// HTTPS alone would be no reason to ask for `/v2/` first, but the challenge is.
#[test]
fn a_registry_that_wants_a_login_and_tells_it_at_its_root_alone_gets_it() {
    let identity = signed();
    let (_folder, file) = ca_file(&identity.trust);
    for name in ["a challenge at `/v2/` alone (gcr.io)", "404 to nobody", "403 to nobody"] {
        let quirk = QUIRKS.iter().find(|quirk| quirk.name == name).unwrap();
        let auth = Auth::Basic { user: "u".into(), password: "p".into() };
        let fake = serve_with(&identity, Options { auth, quirk: Some(quirk), ..Options::default() });
        let credentials = CredentialSource::Given(Credentials::Basic { user: "u".into(), password: Secret::new("p") });
        let options = RegistryOptions { ca_files: vec![file.clone()], credentials, ..options() };
        if let Err(error) = push(&named(&fake, options)) {
            panic!("{name}: {}", shown(&error, &fake));
        }
        let refusals = fake.log().iter().filter(|entry| entry.status >= 400 && entry.status != 404).count();
        assert!(refusals <= 1, "{name}");
    }
}

#[test]
fn a_ca_file_that_is_none_is_named() {
    let fake = serve(&signed(), Auth::None, None);
    let (_folder, file) = ca_file("no certificate");
    let error = push(&named(&fake, RegistryOptions { ca_files: vec![file.clone()], ..options() })).unwrap_err();
    let said = error.cause().to_string();
    assert!(
        said.contains(&file.display().to_string()) && said.ends_with("there is no PEM certificate in it"),
        "{said}"
    );
}
