//! Files of a web server: found by path, checked like blobs. The fake's blobs stand for them.

use std::io::Read as _;

use registry::{Cause, FileServer, RegistryOptions};
use registry_fake::{Auth, FakeRegistry, Fault, Options, What};

use crate::fixture::{asked, bytes, descriptor, options};

fn server(fake: &FakeRegistry, login: &str) -> FileServer {
    FileServer::new(&format!("http://{login}{}/v2/o/r/blobs/", fake.host()), options()).unwrap()
}

fn read(server: &FileServer, file: &[u8]) -> Result<Vec<u8>, String> {
    let wanted = descriptor(file);
    let mut out = Vec::new();
    let mut reader = server.file(&wanted.digest.to_string(), &wanted).map_err(|error| error.cause().to_string())?;
    reader.read_to_end(&mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

#[test]
fn a_file_is_found_by_its_path_and_read_on_after_a_cut() {
    let fake = FakeRegistry::start();
    let file = bytes(1, 1_000_000);
    let digest = fake.put_blob("o/r", &file);
    fake.plan(Fault::on("GET", "/blobs/", What::CutAnswer(400_000)));
    assert!(read(&server(&fake, ""), &file).unwrap() == file);
    let path = format!("GET /v2/o/r/blobs/{digest}");
    assert_eq!(asked(&fake), [format!("{path} 200"), format!("{path} 206")]);
    // Nothing else was asked: the scheme is known.
    assert_eq!(fake.log().len(), 2);
    assert_eq!(server(&fake, "").unchecked(&digest, 1_000_000).unwrap(), file);
    let error = server(&fake, "").unchecked(&digest, 999_999).unwrap_err();
    assert!(matches!(error.cause(), Cause::Protocol { .. }), "{error:?}");
}

#[test]
fn a_file_that_is_missing_or_another_is_told_by_its_address() {
    let fake = FakeRegistry::start();
    let missing = server(&fake, "").file("pool/x.deb", &descriptor(b"x")).unwrap_err();
    assert!(matches!(missing.cause(), Cause::NotFound(object, _) if object.ends_with("/v2/o/r/blobs/pool/x.deb")));
    let file = bytes(2, 5000);
    fake.put_blob("o/r", &file);
    fake.plan(Fault::on("GET", "/blobs/", What::FlipBit));
    let error = read(&server(&fake, ""), &file).unwrap_err();
    assert!(error.contains("has digest sha256:"), "{error}");
    fake.plan(Fault::on(
        "GET",
        "/blobs/",
        What::Answer { status: 200, headers: Vec::new(), body: "<html>log in</html>".to_owned() },
    ));
    let error = read(&server(&fake, ""), &file).unwrap_err();
    assert!(error.contains("has 19 bytes, not 5000"), "{error}");
}

#[test]
fn the_login_of_an_address_is_sent_where_it_is_asked_for() {
    let auth = Auth::Basic { user: "me".to_owned(), password: "s@cret".to_owned() };
    let fake = FakeRegistry::with(Options { auth, ..Options::default() });
    let file = bytes(3, 1000);
    fake.put_blob("o/r", &file);
    assert!(read(&server(&fake, "me:s%40cret@"), &file).unwrap() == file);
    let error = read(&server(&fake, "me:wrong@"), &file).unwrap_err();
    assert!(error.contains("wants a login (what is stored was refused)") && !error.contains("wrong"), "{error}");
    let nobody = FileServer::new(&format!("http://{}", fake.host()), RegistryOptions { ..options() }).unwrap();
    let error = nobody.file("x", &descriptor(&file)).unwrap_err();
    assert!(matches!(error.cause(), Cause::Unauthorized { had_credentials: false, .. }), "{error:?}");
}
