//! Reading: nothing that is not what its digest says, nothing too large, and cut blobs are resumed.

use std::{io::Read as _, time::Duration};

use expect_test::expect;
use oci_image::BlobSource as _;
use registry::{Error, MANIFEST_LIMIT, RegistryOptions, RegistrySource, Timeouts};
use registry_fake::{FakeRegistry, Fault, Options, What};

use crate::fixture::{DOCKER, asked, bytes, client, client_with, descriptor, options, repo, shown, tag};

fn read(fake: &FakeRegistry, options: RegistryOptions, blob: &[u8]) -> Result<Vec<u8>, String> {
    let registry = client_with(fake, options);
    let mut out = Vec::new();
    let source = RegistrySource { registry, repository: repo("o/r") };
    let mut reader = source.open(&descriptor(blob)).map_err(|error| shown(&error.downcast().unwrap(), fake))?;
    match reader.read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(error) => {
            assert!(reader.read(&mut [0; 9]).is_err(), "a reader that failed goes on failing");
            Err(error.to_string().replace(&fake.host(), "HOST"))
        }
    }
}

#[test]
fn a_blob_is_read_whole_and_its_connection_used_again() {
    let fake = FakeRegistry::start();
    let registry = client(&fake);
    for (seed, size) in [(1, 0), (2, 1), (3, 300_000), (4, 2_000_000)] {
        let blob = bytes(seed, size);
        fake.put_blob("o/r", &blob);
        let source = RegistrySource { registry: registry.clone(), repository: repo("o/r") };
        let mut out = Vec::new();
        source.open(&descriptor(&blob)).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == blob, "{size}");
    }
    let connections: Vec<_> = fake.log().iter().skip(1).map(|entry| entry.connection).collect();
    assert_eq!(connections, [connections[0]; 4]);
}

#[test]
fn a_blob_with_other_bytes_is_an_error_at_its_end() {
    let fake = FakeRegistry::start();
    let blob = bytes(1, 300_000);
    fake.put_blob("o/r", &blob);
    fake.plan(Fault::on("GET", "/blobs/", What::FlipBit));
    let error = read(&fake, options(), &blob).unwrap_err();
    assert!(
        error.contains("has digest sha256:") && error.contains(&format!("not {}", descriptor(&blob).digest)),
        "{error}"
    );
    assert_eq!(asked(&fake).len(), 1, "wrong bytes are not asked for again");
}

#[test]
fn a_blob_of_another_size_is_refused_before_it_is_read() {
    let fake = FakeRegistry::start();
    let blob = bytes(1, 1000);
    let digest = fake.put_blob("o/r", &blob);
    for size in [999, 1001] {
        let wanted = oci_image::Descriptor { size, ..descriptor(&blob) };
        let source = RegistrySource { registry: client(&fake), repository: repo("o/r") };
        let error: Error = source.open(&wanted).map(drop).unwrap_err().downcast().unwrap();
        let said = format!("{} {}", error, error.cause());
        assert!(said.contains(&digest) && said.ends_with(&format!("has 1000 bytes, not {size}")), "{said}");
    }
}

#[test]
fn a_cut_blob_is_resumed_from_where_it_was_cut() {
    for ignore_ranges in [false, true] {
        let fake = FakeRegistry::with(Options { ignore_ranges, ..Options::default() });
        let blob = bytes(1, 1_000_000);
        fake.put_blob("o/r", &blob);
        fake.plan(Fault::on("GET", "/blobs/", What::CutAnswer(400_000)));
        fake.plan(Fault::on("GET", "/blobs/", What::CutAnswer(500_000)));
        assert!(read(&fake, options(), &blob).unwrap() == blob);
        let expected = if ignore_ranges { [200, 200, 200] } else { [200, 206, 206] };
        let statuses: Vec<_> = fake.log().iter().skip(1).map(|entry| entry.status).collect();
        assert_eq!(statuses, expected);
    }
}

/// A line that breaks more often than a request is made, and brings something each time.
#[test]
fn a_blob_is_read_on_as_long_as_bytes_come() {
    let fake = FakeRegistry::start();
    let blob = bytes(1, 2_000_000);
    fake.put_blob("o/r", &blob);
    fake.plan(Fault::on("GET", "/blobs/", What::CutAnswer(100_000)).always());
    assert!(read(&fake, options(), &blob).unwrap() == blob);
    assert_eq!(asked(&fake).len(), 20);
}

/// The rest of a cut blob of 1,000,000 bytes `a`, of which 400,000 came, as this answer.
fn rest(status: u16, range: &str, body: usize) -> (FakeRegistry, Result<Vec<u8>, String>) {
    let fake = FakeRegistry::start();
    let blob = vec![b'a'; 1_000_000];
    fake.put_blob("o/r", &blob);
    fake.plan(Fault::on("GET", "/blobs/", What::CutAnswer(400_000)));
    let answer = What::Answer { status, headers: Vec::new(), body: "a".repeat(body) };
    fake.plan(Fault::on("GET", "/blobs/", answer).with_header("Content-Range", range));
    let read = read(&fake, options(), &blob);
    (fake, read)
}

#[test]
fn a_rest_that_is_another_than_asked_for_is_refused() {
    let mut said = String::new();
    for (status, range, body) in [
        (206, "bytes 399999-999999/1000000", 600_001),
        (206, "bytes 400001-999999/1000000", 599_999),
        (206, "bytes 400000-399999/1000000", 0),
        (206, "bytes 0-999999/1000000", 1_000_000),
        (206, "items 400000-999999/1000000", 600_000),
        (206, "", 600_000),
        (206, "bytes 400000-999999/1000001", 600_000),
        (206, "bytes 400000-1000000/*", 600_001),
        (206, "bytes 400000-999999/1000000", 599_999),
        (200, "", 999_999),
        (416, "bytes */300000", 0),
    ] {
        let (fake, read) = rest(status, range, body);
        let name = format!("`HOST/o/r@{}`", descriptor(&[b'a'; 1_000_000]).digest);
        said += &format!("{status} {range} {body}: {}\n", read.unwrap_err().replace(&name, "BLOB"));
        assert_eq!(asked(&fake).len(), 2, "{range}");
    }
    expect![[r#"
        206 bytes 399999-999999/1000000 600001: `HOST` broke the protocol: asked for BLOB from byte 400000 on, it sent something else
        206 bytes 400001-999999/1000000 599999: `HOST` broke the protocol: asked for BLOB from byte 400000 on, it sent something else
        206 bytes 400000-399999/1000000 0: `HOST` broke the protocol: asked for BLOB from byte 400000 on, it sent something else
        206 bytes 0-999999/1000000 1000000: `HOST` broke the protocol: asked for BLOB from byte 400000 on, it sent something else
        206 items 400000-999999/1000000 600000: `HOST` broke the protocol: asked for BLOB from byte 400000 on, it sent something else
        206  600000: `HOST` broke the protocol: asked for BLOB from byte 400000 on, it sent something else
        206 bytes 400000-999999/1000001 600000: BLOB from `HOST` has 1000001 bytes, not 1000000
        206 bytes 400000-1000000/* 600001: BLOB from `HOST` has 1000001 bytes, not 1000000
        206 bytes 400000-999999/1000000 599999: BLOB from `HOST` has 999999 bytes, not 1000000
        200  999999: BLOB from `HOST` has 999999 bytes, not 1000000
        416 bytes */300000 0: BLOB from `HOST` has 400000 bytes, not 1000000
    "#]].assert_eq(&said);
}

#[test]
fn a_part_of_the_rest_is_taken_and_what_is_behind_it_asked_for() {
    for (range, body) in [("bytes 400000-499999/1000000", 100_000), ("bytes 400000-400000/*", 1)] {
        let (fake, read) = rest(206, range, body);
        assert!(read.unwrap() == [b'a'; 1_000_000]);
        assert_eq!(fake.log().len(), 4, "{range}");
    }
}

#[test]
fn a_body_without_an_end_is_read_no_further_than_the_blob() {
    let fake = FakeRegistry::start();
    let blob = bytes(1, 300_000);
    fake.put_blob("o/r", &blob);
    fake.plan(Fault::on("GET", "/blobs/", What::Endless));
    let error = read(&fake, options(), &blob).unwrap_err();
    assert!(error.ends_with("has 300001 bytes, not 300000"), "{error}");
}

#[test]
fn a_blob_that_is_cut_again_and_again_without_progress_is_given_up() {
    let fake = FakeRegistry::start();
    let blob = bytes(1, 100_000);
    fake.put_blob("o/r", &blob);
    fake.plan(Fault::on("GET", "/blobs/", What::CutAnswer(0)).always());
    expect!["connection to `HOST` failed"].assert_eq(&read(&fake, options(), &blob).unwrap_err());
    assert_eq!(asked(&fake).len(), 6);
}

#[test]
fn a_blob_that_stalls_is_asked_for_again_after_the_time_out() {
    let fake = FakeRegistry::start();
    let blob = bytes(1, 100_000);
    fake.put_blob("o/r", &blob);
    fake.plan(Fault::on("GET", "/blobs/", What::StallAfter(50_000)));
    let short = Timeouts { progress: Duration::from_millis(300), ..options().timeouts };
    assert!(read(&fake, RegistryOptions { timeouts: short, ..options() }, &blob).unwrap() == blob);
    fake.plan(Fault::on("GET", "/blobs/", What::Stall).times(6));
    let tiny = Timeouts { progress: Duration::from_millis(40), ..options().timeouts };
    let error = read(&fake, RegistryOptions { timeouts: tiny, ..options() }, &blob).unwrap_err();
    assert!(error.ends_with("caused by: `HOST` made no progress for 0.04 s"), "{error}");
}

#[test]
fn a_redirected_blob_is_fetched_without_the_login() {
    let storage = FakeRegistry::start();
    let blob = bytes(1, 1000);
    storage.put_blob("o/r", &blob);
    let auth = registry_fake::Auth::Basic { user: "u".into(), password: "p".into() };
    let redirect_blobs = Some(format!("http://{}", storage.host()));
    let fake = FakeRegistry::with(Options { auth, redirect_blobs, ..Options::default() });
    let given = registry::Credentials::Basic { user: "u".into(), password: registry::Secret::new("p") };
    let options = RegistryOptions { credentials: registry::CredentialSource::Given(given), ..options() };
    assert!(read(&fake, options.clone(), &blob).unwrap() == blob);
    let entry = &storage.log()[0];
    assert_eq!((entry.query.as_str(), &entry.authorization), ("signature=s3cret", &None));
    assert_eq!(fake.log().last().unwrap().authorization.as_deref(), Some("Basic"));

    // The rest is asked of the registry again: by then the signature may have run out.
    let large = bytes(2, 1_000_000);
    fake.put_blob("o/r", &large);
    storage.put_blob("o/r", &large);
    storage.plan(Fault::on("GET", "/blobs/", What::CutAnswer(400_000)));
    fake.clear_log();
    assert!(read(&fake, options.clone(), &large).unwrap() == large);
    let statuses = |fake: &FakeRegistry| fake.log().iter().map(|entry| entry.status).collect::<Vec<_>>();
    assert_eq!((statuses(&fake), &statuses(&storage)[1..]), (vec![401, 307, 307], &[200, 206][..]));
    assert!(storage.log().iter().all(|entry| entry.authorization.is_none()));

    storage.plan(Fault::status("GET", "/blobs/", 403, "AccessDenied", "expired"));
    let error = read(&fake, options, &blob).unwrap_err();
    assert!(error.contains("expired") && !error.contains("s3cret"), "{error}");
}

#[test]
fn of_several_redirects_only_the_registry_sees_the_login() {
    let [fake, front, storage] = [(); 3].map(|()| {
        let auth = registry_fake::Auth::None;
        FakeRegistry::with(Options { auth, ..Options::default() })
    });
    let blob = bytes(1, 1000);
    let digest = storage.put_blob("o/r", &blob);
    let to = |fake: &FakeRegistry| vec![("Location".into(), format!("http://{}/v2/o/r/blobs/{digest}", fake.host()))];
    let redirect = |to| What::Answer { status: 302, headers: to, body: String::new() };
    let login = What::Answer { status: 401, headers: Vec::new(), body: String::new() };
    fake.plan(Fault::on("GET", "/blobs/", login).with_header("WWW-Authenticate", "Basic realm=\"x\""));
    // To another host, back home, and away again.
    fake.plan(Fault::on("GET", "/blobs/", redirect(to(&front))));
    front.plan(Fault::on("GET", "/blobs/", redirect(to(&fake))));
    fake.plan(Fault::on("GET", "/blobs/", redirect(to(&storage))));
    let given = registry::Credentials::Basic { user: "u".into(), password: registry::Secret::new("p") };
    let options = RegistryOptions { credentials: registry::CredentialSource::Given(given), ..options() };
    assert!(read(&fake, options, &blob).unwrap() == blob);
    let logins = |fake: &FakeRegistry| fake.log().into_iter().map(|entry| entry.authorization).collect::<Vec<_>>();
    let basic = || Some("Basic".to_owned());
    assert_eq!(logins(&fake)[1..], [None, basic(), basic()]);
    assert_eq!((logins(&front), logins(&storage)), (vec![None], vec![None]));
}

#[test]
fn redirects_in_a_circle_end() {
    let fake = FakeRegistry::start();
    fake.put_blob("o/r", b"x");
    let what = What::Answer { status: 307, headers: vec![("Location".into(), "?again".into())], body: String::new() };
    fake.plan(Fault::on("GET", "/blobs/", what).always());
    let error = read(&fake, options(), b"x").unwrap_err();
    assert!(error.contains("redirects more than 10 times"), "{error}");
}

#[test]
fn a_manifest_is_read_by_tag_and_by_digest() {
    let fake = FakeRegistry::start();
    let digest = fake.put_manifest("o/r", "t", &format!("{DOCKER}; charset=utf-8"), b"{}");
    let registry = client(&fake);
    let found = registry.manifest(&repo("o/r"), &tag("t")).unwrap().unwrap();
    assert_eq!((found.bytes.as_slice(), found.media_type.as_str()), (b"{}".as_slice(), DOCKER));
    assert_eq!(found.digest.to_string(), digest);
    assert_eq!(registry.manifest(&repo("o/r"), &found.digest).unwrap(), Some(found.clone()));
    assert_eq!(registry.resolve(&repo("o/r"), &tag("t")).unwrap(), Some(found.digest));
    assert_eq!(registry.manifest(&repo("o/r"), &tag("absent")).unwrap(), None);
    assert_eq!(registry.resolve(&repo("none"), &tag("t")).unwrap(), None);
}

#[test]
fn a_manifest_with_other_bytes_than_its_digest_is_refused() {
    let fake = FakeRegistry::start();
    fake.put_manifest("o/r", "t", DOCKER, b"{}");
    fake.plan(Fault::on("GET", "/manifests/", What::FlipBit));
    let error = client(&fake).manifest(&repo("o/r"), &tag("t")).unwrap_err();
    expect![[r#"
        failed to read manifest `HOST/o/r:t`
        caused by: `HOST/o/r:t` from `HOST` has digest sha256:6e68c335d44e519e2e774b658e936efcd8993651f978212a957def0a9687eb28, not sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"#]].assert_eq(&shown(&error, &fake));
}

#[test]
fn a_digest_is_computed_where_the_registry_does_not_tell_it() {
    let fake = FakeRegistry::start();
    let digest = fake.put_manifest("o/r", "t", DOCKER, b"{}");
    fake.plan(Fault::on("HEAD", "/manifests/", What::Header("Docker-Content-Digest", String::new())));
    let found = client(&fake).resolve(&repo("o/r"), &tag("t")).unwrap();
    assert_eq!(found.unwrap().to_string(), digest);
}

#[test]
fn a_manifest_above_the_limit_is_not_read() {
    let fake = FakeRegistry::start();
    let limit = usize::try_from(MANIFEST_LIMIT).unwrap();
    fake.put_manifest("o/r", "whole", DOCKER, &vec![b' '; limit]);
    fake.put_manifest("o/r", "over", DOCKER, &vec![b' '; limit + 1]);
    let registry = client(&fake);
    assert_eq!(registry.manifest(&repo("o/r"), &tag("whole")).unwrap().unwrap().bytes.len(), limit);
    let error = registry.manifest(&repo("o/r"), &tag("over")).unwrap_err();
    assert!(shown(&error, &fake).ends_with("has more than 4194304 bytes"), "{error:?}");
}

#[test]
fn tags_are_listed_through_all_pages() {
    let fake = FakeRegistry::with(Options { page: 3, ..Options::default() });
    for at in 0..8 {
        fake.put_manifest("o/r", &format!("t{at}"), DOCKER, b"{}");
    }
    let tags: Vec<_> = client(&fake).tags(&repo("o/r")).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(tags.join(" "), "t0 t1 t2 t3 t4 t5 t6 t7");
    assert_eq!(asked(&fake).len(), 3);

    let error = client(&fake).tags(&repo("o/none")).unwrap_err();
    expect![[r#"
        failed to list tags of `HOST/o/none`
        caused by: `HOST/o/none` is not there: repository name not known to registry (NAME_UNKNOWN)"#]]
    .assert_eq(&shown(&error, &fake));
}

#[test]
fn a_page_that_names_itself_as_the_next_ends_the_list() {
    let fake = FakeRegistry::start();
    fake.put_manifest("o/r", "t", DOCKER, b"{}");
    let link = What::Header("Link", "</v2/o/r/tags/list?n=1000>; rel=\"next\"".into());
    fake.plan(Fault::on("GET", "/tags/", link).always());
    assert_eq!(client(&fake).tags(&repo("o/r")).unwrap().len(), 1);
}

/// Each page of 4 MiB is within bounds; a thousand of them took 2.7 GB.
#[test]
fn a_list_of_tags_that_never_ends_is_refused() {
    let fake = FakeRegistry::start();
    let list = (0..60_000).map(|at| format!("\"t{at}\"")).collect::<Vec<_>>().join(",");
    for (path, next) in [("last=b", "last=a"), ("/tags/", "last=b")] {
        let body = format!(r#"{{"tags":[{list}]}}"#);
        let link = format!("</v2/o/r/tags/list?{next}>; rel=\"next\"");
        fake.plan(
            Fault::on("GET", path, What::Answer { status: 200, headers: Vec::new(), body })
                .with_header("Link", &link)
                .always(),
        );
    }
    let error = client(&fake).tags(&repo("o/r")).unwrap_err();
    assert!(shown(&error, &fake).ends_with("its list of tags has more than 100000"), "{error:?}");
}
