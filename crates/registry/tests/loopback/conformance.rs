//! The distribution spec 1.1 as a client meets it, a table for each part: pull, push, content discovery, errors, warnings.
//! What registries answer otherwise is in `quirks.rs`.

use std::io::Read as _;

use expect_test::{Expect, expect};
use oci_image::BlobSource as _;
use registry::{Error, Push, RegistrySource};
use registry_fake::{FakeRegistry, Fault, Options, What};

use crate::fixture::{DOCKER, Image, asked, bytes, client, descriptor, repo, shown, tag};

/// An answer with this body and a header field.
fn answer(status: u16, field: (&str, &str), body: &str) -> What {
    What::Answer { status, headers: vec![(field.0.to_owned(), field.1.to_owned())], body: body.to_owned() }
}

fn read(fake: &FakeRegistry, blob: &[u8]) -> Result<Vec<u8>, String> {
    let source = RegistrySource { registry: client(fake), repository: repo("o/r") };
    let said = |error: std::io::Error| error.downcast::<Error>().map(|error| shown(&error, fake));
    let mut reader = source.open(&descriptor(blob)).map_err(|error| said(error).unwrap())?;
    let mut out = Vec::new();
    reader.read_to_end(&mut out).map(|_| out).map_err(|error| error.to_string())
}

/// The requests for an image of a small and a large layer, one after the other: `METHOD what status`, with `#` for a
/// digest.
fn requests(options: Options, is_there: bool, mount_from: Option<&str>) -> String {
    let fake = FakeRegistry::with(options);
    let image = Image::new(&[bytes(1, 1000), bytes(2, 17 << 20)]);
    fake.put_blob("base/b", &bytes(1, 1000));
    if is_there {
        image.memory.0.values().for_each(|blob| drop(fake.put_blob("o/r", blob)));
    }
    let mut push = Push { parallel: 1, ..image.to_push() };
    push.layers[0].mount_from = mount_from.map(repo);
    client(&fake).push_image(&push, &|_| {}).unwrap();
    assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
    assert_eq!(fake.open_uploads(), 0);
    let log = fake.log();
    let line = |entry: &registry_fake::Entry| {
        let query: Vec<_> = entry.query.split('&').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
        let path = entry.path.trim_start_matches("/v2/o/r/");
        let path = path.find("sha256:").map_or(path.to_owned(), |at| format!("{}#", &path[..at]));
        let path = path.find("upload-").map_or(path.clone(), |at| format!("{}ID", &path[..at]));
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} {path}{mark}{} {} {}", entry.method, query.join("&"), entry.status, entry.body_bytes)
    };
    log.iter().filter(|entry| entry.path != "/v2/").map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn blobs_are_pushed_in_the_ways_of_the_specification_and_the_manifest_last() {
    let whole = |refuse_monolithic| Options { refuse_monolithic, ..Options::default() };
    let check = |found: String, expected: Expect| expected.assert_eq(&found);
    check(
        requests(whole(false), false, None),
        expect![[r#"
            HEAD manifests/t 404 0
            HEAD blobs/# 404 0
            POST blobs/uploads/ 202 0
            PATCH blobs/uploads/ID?_state 202 17825792
            PUT blobs/uploads/ID?_state&digest 201 0
            HEAD blobs/# 404 0
            POST blobs/uploads/ 202 0
            PUT blobs/uploads/ID?_state&digest 201 1000
            HEAD blobs/# 404 0
            POST blobs/uploads/ 202 0
            PUT blobs/uploads/ID?_state&digest 201 12
            HEAD manifests/t 404 0
            PUT manifests/t 201 243
            HEAD manifests/t 200 0"#]],
    );
}

#[test]
fn a_place_of_an_upload_is_a_reference_of_any_kind() {
    for location in [
        "/v2/o/r/blobs/uploads/upload-0?_state=a%2Bb%3D0",
        "/v2/o/r/blobs/uploads/upload-0/?_state=a%2Bb%3D0",
        "upload-0?_state=a%2Bb%3D0",
        "//HOST/v2/o/r/blobs/uploads/upload-0?_state=a%2Bb%3D0",
        "http://HOST/v2/o/r/blobs/uploads/upload-0?_state=a%2Bb%3D0",
        "HTTP://HOST/v2/o/r/blobs/uploads/upload-0?_state=a%2Bb%3D0#part",
    ] {
        let fake = FakeRegistry::start();
        let location = location.replace("HOST", &fake.host());
        fake.plan(Fault::on("POST", "/uploads/", What::Header("Location", location.clone())));
        let image = Image::new(&[bytes(1, 1000)]);
        if let Err(error) = client(&fake).push_image(&Push { parallel: 1, ..image.to_push() }, &|_| {}) {
            panic!("{location}: {}", shown(&error, &fake));
        }
        assert_eq!(fake.tag("o/r", "t"), Some(image.digest()), "{location}");
    }
    for location in ["", "ftp://HOST/x", "http://u:p@HOST/x", "a b"] {
        let fake = FakeRegistry::start();
        let location = location.replace("HOST", &fake.host());
        let nowhere = answer(202, ("Location", &location), "");
        fake.plan(Fault::on("POST", "/v2/o/r/blobs/uploads/", nowhere).always());
        let error = Image::new(&[]).push(&client(&fake)).unwrap_err();
        let said = shown(&error, &fake);
        assert!(said.contains("gives no `Location` to send it to"), "{location}: {said}");
    }
}

#[test]
fn what_is_read_is_what_was_asked_for() {
    let blob = bytes(1, 3000);
    let fault = |method, path, what| Some(Fault::on(method, path, what));
    let zeros = format!("sha256:{}", "0".repeat(64));
    for (name, fault, is_read) in [
        ("as it should be", None, true),
        ("no digest", fault("GET", "/blobs/", What::Header("Docker-Content-Digest", String::new())), true),
        (
            "another digest beside the right bytes",
            fault("GET", "/blobs/", What::Header("Docker-Content-Digest", zeros)),
            true,
        ),
        ("other bytes", fault("GET", "/blobs/", What::FlipBit), false),
        ("404", Some(Fault::status("GET", "/blobs/", 404, "BLOB_UNKNOWN", "blob unknown")), false),
        ("a part", fault("GET", "/blobs/", answer(206, ("Content-Range", "bytes 1-2999/3000"), "x")), false),
        ("a page", fault("GET", "/blobs/", answer(200, ("Content-Type", "text/html"), "<html>")), false),
    ] {
        let fake = FakeRegistry::start();
        fake.put_blob("o/r", &blob);
        fault.into_iter().for_each(|fault| fake.plan(fault));
        let found = read(&fake, &blob);
        assert_eq!(found.is_ok(), is_read, "{name}: {found:?}");
        assert!(found.is_err() || found.unwrap() == blob, "{name}");
    }
}

#[test]
fn a_manifest_is_what_its_digest_says_or_refused() {
    let zeros = format!("sha256:{}", "0".repeat(64));
    let lie = || What::Header("Docker-Content-Digest", zeros.clone());
    for (name, fault, by_tag, by_digest) in [
        ("as it should be", None, true, true),
        ("no digest", Some(What::Header("Docker-Content-Digest", String::new())), true, true),
        ("another digest", Some(lie()), false, false),
        ("other bytes", Some(What::FlipBit), false, false),
        ("no type", Some(What::Header("Content-Type", String::new())), true, true),
    ] {
        let fake = FakeRegistry::start();
        let digest: oci_image::Digest = fake.put_manifest("o/r", "t", DOCKER, b"{}").parse().unwrap();
        fault.into_iter().for_each(|what| fake.plan(Fault::on("GET", "/manifests/", what).always()));
        let registry = client(&fake);
        assert_eq!(registry.manifest(&repo("o/r"), &tag("t")).is_ok(), by_tag, "{name}");
        assert_eq!(registry.manifest(&repo("o/r"), &digest).is_ok(), by_digest, "{name}");
    }
    // Without a fault, what is not there is no error.
    let fake = FakeRegistry::start();
    let digest = oci_image::Digest::of(b"{}");
    assert_eq!(client(&fake).manifest(&repo("o/r"), &digest).unwrap(), None);
    assert_eq!(client(&fake).resolve(&repo("o/r"), &tag("t")).unwrap(), None);
}

#[test]
fn a_mount_is_taken_or_goes_on_as_an_upload() {
    let mounted = requests(Options::default(), false, Some("base/b"));
    assert!(mounted.contains("POST blobs/uploads/?mount&from 201 0"), "{mounted}");
    assert_eq!(mounted.matches("POST").count(), 3, "{mounted}");
    let refused = requests(Options { refuse_mounts: true, ..Options::default() }, false, Some("base/b"));
    // The upload that is offered instead is used.
    assert!(refused.contains("POST blobs/uploads/?mount&from 202 0"), "{refused}");
    assert_eq!(refused.matches("POST").count(), 3, "{refused}");
    // A repository that the registry does not know is no reason to fail.
    let unknown = requests(Options::default(), false, Some("no/such"));
    assert!(unknown.contains("POST blobs/uploads/?mount&from 202 0"), "{unknown}");
    // What is there needs neither.
    let present = requests(Options::default(), true, None);
    assert!(!present.contains("POST"), "{present}");
}

#[test]
fn every_page_of_tags_is_read() {
    let names: Vec<_> = (0..9).map(|at| format!("t{at}")).collect();
    let page = |from: usize, to: usize| {
        let list: Vec<_> = names[from..to].iter().map(|tag| format!("\"{tag}\"")).collect();
        format!(r#"{{"name":"o/r","tags":[{}]}}"#, list.join(","))
    };
    for (name, links) in [
        ("a path", vec!["</v2/o/r/tags/list?n=3&last=t2>; rel=\"next\""]),
        ("a query alone", vec!["<?n=3&last=t2>; rel=\"next\""]),
        ("beside", vec!["<list?last=t2&n=3>; rel=next"]),
        ("another origin, as behind a proxy", vec!["<http://10.0.0.1:5000/v2/o/r/tags/list?last=t2>; rel=\"next\""]),
        ("another relation first", vec!["</x>; rel=\"first\", </v2/o/r/tags/list?last=t2>; rel=\"next\""]),
        ("another relation in its own field", vec!["</x>; rel=\"first\"", "</v2/o/r/tags/list?last=t2>; rel=\"next\""]),
    ] {
        let fake = FakeRegistry::start();
        let headers = links.iter().map(|link| ("Link".to_owned(), (*link).to_owned())).collect();
        names.iter().for_each(|tag| drop(fake.put_manifest("o/r", tag, DOCKER, b"{}")));
        fake.plan(Fault::on("GET", "/tags/", What::Answer { status: 200, headers, body: page(0, 3) }));
        let tags: Vec<_> = client(&fake).tags(&repo("o/r")).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(tags, names, "{name}");
    }
    for (body, count) in
        [(r#"{"name":"o/r","tags":null}"#, 0), (r#"{"name":"o/r"}"#, 0), (r#"{"tags":["a","/","b"]}"#, 2)]
    {
        let fake = FakeRegistry::start();
        fake.plan(Fault::on("GET", "/tags/", answer(200, ("X", "y"), body)));
        assert_eq!(client(&fake).tags(&repo("o/r")).unwrap().len(), count, "{body}");
    }
}

#[test]
fn a_registry_that_refuses_the_size_of_a_page_is_asked_without_one() {
    for status in [400, 413] {
        let fake = FakeRegistry::with(Options { page: 3, ..Options::default() });
        (0..8).for_each(|at| drop(fake.put_manifest("o/r", &format!("t{at}"), DOCKER, b"{}")));
        fake.plan(Fault::status("GET", "/tags/", status, "PAGINATION_NUMBER_INVALID", "too many"));
        assert_eq!(client(&fake).tags(&repo("o/r")).unwrap().len(), 8);
        assert_eq!(asked(&fake).len(), 4);
    }
}

/// A list without an end was cut after a thousand pages, and said to be whole.
#[test]
fn a_list_of_tags_with_too_many_pages_is_refused() {
    let fake = FakeRegistry::with(Options { page: 1, ..Options::default() });
    (0..1001).for_each(|at| drop(fake.put_manifest("o/r", &format!("t{at}"), DOCKER, b"{}")));
    let error = client(&fake).tags(&repo("o/r")).unwrap_err();
    assert!(shown(&error, &fake).ends_with("its list of tags has more than 1000 pages"), "{error:?}");
}

#[test]
fn errors_are_told_in_the_registrys_words() {
    let mut said = String::new();
    for (status, body) in [
        (400, r#"{"errors":[{"code":"NAME_INVALID","message":"invalid repository name","detail":{"name":"x"}}]}"#),
        (400, r#"{"errors":[{"code":"DIGEST_INVALID"},{"code":"SIZE_INVALID","message":"too short"}]}"#),
        (401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#),
        (403, r#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#),
        (404, r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known"}]}"#),
        (405, r#"{"errors":[{"code":"UNSUPPORTED","message":""}]}"#),
        (429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#),
        (503, "<html><body>down</body></html>"),
        (418, "plain words of\na proxy"),
        (422, r#"{"error":"of another kind"}"#),
        (451, ""),
    ] {
        let fake = FakeRegistry::start();
        let what = answer(status, ("Content-Type", "application/json"), body);
        fake.plan(Fault::on("POST", "/uploads/", what).always());
        let error = Image::new(&[]).push(&client(&fake)).unwrap_err();
        said += &format!("{}\n", shown(&error, &fake).lines().nth(1).unwrap());
    }
    expect![[r#"
        caused by: `HOST` answered with status 400: invalid repository name (NAME_INVALID)
        caused by: `HOST` answered with status 400: DIGEST_INVALID; too short (SIZE_INVALID)
        caused by: `HOST` wants a login (none is stored): authentication required (UNAUTHORIZED)
        caused by: access to `o/r` on `HOST` was denied: requested access is denied (DENIED)
        caused by: `HOST/o/r` is not there: repository name not known (NAME_UNKNOWN)
        caused by: `HOST` answered with status 405: UNSUPPORTED
        caused by: `HOST` is busy (status 429): slow down (TOOMANYREQUESTS)
        caused by: `HOST` is busy (status 503)
        caused by: `HOST` answered with status 418: plain words of a proxy
        caused by: `HOST` answered with status 422: {"error":"of another kind"}
        caused by: `HOST` answered with status 451
    "#]]
    .assert_eq(&said);
}

#[test]
fn what_the_registry_warns_of_is_told_once() {
    let fake = FakeRegistry::start();
    fake.put_manifest("o/r", "t", DOCKER, b"{}");
    let warn = |text: &str| What::Header("Warning", text.to_owned());
    for text in [
        r#"299 - "This registry ends \"soon\"; see /v2/x?token=s3cret""#,
        r#"299 - "This registry ends \"soon\"; see /v2/x?token=s3cret""#,
        r#"299 - """#,
        r#"110 cache "stale""#,
        r#"299 - "never closed"#,
        "nonsense",
    ] {
        fake.plan(Fault::on("HEAD", "/manifests/", warn(text)));
    }
    let registry = client(&fake);
    (0..6).for_each(|_| assert!(registry.resolve(&repo("o/r"), &tag("t")).unwrap().is_some()));
    assert_eq!(registry.warnings(), ["This registry ends \"soon\"; see /v2/x?…", "never closed"]);

    // However many there are.
    let registry = client(&fake);
    for at in 0..40 {
        fake.plan(Fault::on("HEAD", "/manifests/", warn(&format!("299 - \"{at}\""))));
        registry.resolve(&repo("o/r"), &tag("t")).unwrap();
    }
    assert_eq!(registry.warnings().len(), 16);
}
