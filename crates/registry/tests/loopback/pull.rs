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

    storage.plan(Fault::status("GET", "/blobs/", 403, "AccessDenied", "expired"));
    let error = read(&fake, options, &blob).unwrap_err();
    assert!(error.contains("expired") && !error.contains("s3cret"), "{error}");
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
