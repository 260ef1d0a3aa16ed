//! Pushing: order, what is sent and what is not, whose tag it is, and that nothing wrong appears.

use std::sync::Mutex;

use expect_test::expect;
use registry::{Arrival, Cause, Push, PushEvent, RegistrySource};
use registry_fake::{FakeRegistry, Fault, Options, What};

use crate::fixture::{DOCKER, Image, OCI, asked, bytes, client, repo, shown, tag};

#[test]
fn blobs_come_first_then_the_config_then_the_manifest() {
    let fake = FakeRegistry::start();
    let image = Image::new(&[bytes(1, 1000), bytes(2, 2_000_000), bytes(1, 1000), Vec::new()]);
    let report = image.push(&client(&fake)).unwrap();
    assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
    assert_eq!((report.digest.to_string(), report.unchanged), (image.digest(), false));
    assert_eq!((report.sent_blobs, report.mounted_blobs, report.present_blobs), (4, 0, 0));
    assert_eq!(fake.open_uploads(), 0);

    let log = fake.log();
    let puts: Vec<_> = log.iter().filter(|entry| entry.method == "PUT").collect();
    let (manifest, config) = (puts.len() - 1, puts.len() - 2);
    assert_eq!(puts[manifest].path, "/v2/o/r/manifests/t");
    assert!(puts[config].query.ends_with(&image.config.digest.to_string()), "{}", puts[config].query);
    let asked = asked(&fake);
    assert_eq!(asked[0], "HEAD /v2/o/r/manifests/t 404");
    assert_eq!(
        asked[asked.len() - 3..],
        ["HEAD /v2/o/r/manifests/t 404", "PUT /v2/o/r/manifests/t 201", "HEAD /v2/o/r/manifests/t 200"]
    );
}

#[test]
fn what_was_sent_is_counted_as_the_registry_counts_it() {
    let fake = FakeRegistry::start();
    let image = Image::new(&[bytes(1, 1000), bytes(2, 17 << 20)]);
    let report = image.push(&client(&fake)).unwrap();
    let log = fake.log();
    assert_eq!(report.sent.bodies, log.iter().map(|entry| entry.body_bytes).sum::<u64>());
    // The TLS hello by which the scheme is found does not count.
    assert_eq!(report.sent.overhead, log.iter().map(|entry| entry.head_bytes).sum::<u64>());
    let large = log.iter().find(|entry| entry.body_bytes == 17 << 20).unwrap();
    assert_eq!(large.method, "PATCH", "large blobs are sent so that they could be resumed");
}

#[test]
fn connections_are_few_and_used_again() {
    let fake = FakeRegistry::start();
    let layers: Vec<_> = (0..20).map(|seed| bytes(seed, 10_000)).collect();
    Image::new(&layers).push(&client(&fake)).unwrap();
    let connections = fake.log().iter().map(|entry| entry.connection).max().unwrap();
    // Three for blobs at a time, one to find the scheme, and one that its first answer came on.
    assert!(connections < 5, "{connections}");
}

#[test]
fn an_image_that_is_there_is_not_sent_again() {
    let fake = FakeRegistry::start();
    let image = Image::new(&[bytes(1, 1000)]);
    image.push(&client(&fake)).unwrap();
    fake.clear_log();
    let report = image.push(&client(&fake)).unwrap();
    assert!(report.unchanged);
    assert_eq!(report.sent.bodies, 0);
    assert_eq!(asked(&fake), ["HEAD /v2/o/r/manifests/t 200"]);
}

#[test]
fn a_changed_layer_costs_itself_and_little_more() {
    let fake = FakeRegistry::start();
    let mut layers: Vec<_> = (0..15).map(|seed| bytes(seed, 200_000)).collect();
    Image::new(&layers).push(&client(&fake)).unwrap();
    layers[3] = bytes(99, 80_000);
    let image = Image::new(&layers);
    let report = client(&fake).push_image(&Push { tag: &tag("t2"), ..image.to_push() }, &|_| {}).unwrap();
    assert_eq!((report.sent_blobs, report.present_blobs), (1, 15));
    assert!(report.sent.bodies <= 80_000 + (32 << 10), "{:?}", report.sent);
}

#[test]
fn a_tag_of_another_image_is_not_moved_and_nothing_sent() {
    let fake = FakeRegistry::start();
    let other = fake.put_manifest("o/r", "t", DOCKER, b"{\"other\":1}");
    let image = Image::new(&[bytes(1, 1000)]);
    let error = image.push(&client(&fake)).unwrap_err();
    expect![[r#"
        failed to push `HOST/o/r:t`
        caused by: tag `t` exists with digest sha256:8b0bb7512fb6d1595c87b3604b48935021ab88233ea853246f5c244600a40929, not sha256:39e7e8bdf5c898c44b7c360d256f1a3a4e45984e7d6df47a05cad1fa3ab312f8
        hint: give the image another timestamp, or move the tag: `--overwrite`"#]]
    .assert_eq(&shown(&error, &fake));
    assert_eq!(asked(&fake), ["HEAD /v2/o/r/manifests/t 200"]);
    assert_eq!(fake.tag("o/r", "t"), Some(other));

    let push = Push { overwrite: true, ..image.to_push() };
    assert!(!client(&fake).push_image(&push, &|_| {}).unwrap().unchanged);
    assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
}

#[test]
fn a_tag_that_somebody_puts_while_we_send_is_not_moved() {
    let fake = FakeRegistry::start();
    let image = Image::new(&[bytes(1, 1000)]);
    let meanwhile = |event: PushEvent<'_>| {
        if let PushEvent::Done { name: "config", .. } = event {
            fake.put_manifest("o/r", "t", DOCKER, b"{\"other\":1}");
        }
    };
    let error = client(&fake).push_image(&image.to_push(), &meanwhile).unwrap_err();
    assert!(matches!(error.cause(), Cause::TagExists { .. }), "{error:?}");
    assert!(!asked(&fake).iter().any(|entry| entry.starts_with("PUT /v2/o/r/manifests")));
}

#[test]
fn success_is_said_only_when_the_tag_reads_back() {
    let fake = FakeRegistry::start();
    let image = Image::new(&[bytes(1, 1000)]);
    let other = format!("sha256:{}", "0".repeat(64));
    let lie = What::Header("Docker-Content-Digest", other.clone());
    fake.plan(Fault::on("HEAD", "/manifests/", lie).after(2));
    let error = image.push(&client(&fake)).unwrap_err();
    assert_eq!(error.cause().to_string(), format!("tag `t` reads back as {other}, not {}", image.digest()));

    // A cache that still says "absent" for a moment is waited for.
    let gone = Fault::status("HEAD", "/manifests/", 404, "MANIFEST_UNKNOWN", "");
    let fake = FakeRegistry::start();
    fake.plan(gone.after(2).times(2));
    image.push(&client(&fake)).unwrap();
}

#[test]
fn a_registry_that_names_another_digest_for_our_manifest_is_not_believed() {
    let fake = FakeRegistry::start();
    let lie = What::Header("Docker-Content-Digest", format!("sha256:{}", "0".repeat(64)));
    fake.plan(Fault::on("PUT", "/manifests/", lie));
    let error = Image::new(&[]).push(&client(&fake)).unwrap_err();
    assert!(matches!(error.cause(), Cause::Mismatch { .. }), "{error:?}");
}

#[test]
fn blobs_of_another_repository_are_mounted_not_sent() {
    let fake = FakeRegistry::start();
    let image = Image::new(&[bytes(1, 500_000), bytes(2, 1000)]);
    fake.put_blob("base/b", &bytes(1, 500_000));
    let mut push = image.to_push();
    push.layers[0].mount_from = Some(repo("base/b"));
    let report = client(&fake).push_image(&push, &|_| {}).unwrap();
    assert_eq!((report.sent_blobs, report.mounted_blobs), (2, 1));
    assert!(report.sent.bodies < 100_000);
    // The mount says whether the blob is there already: no request before it.
    let of_layer = |entry: &&registry_fake::Entry| entry.query.contains("mount=") || entry.method == "HEAD";
    let digest = image.layers[0].digest.to_string();
    let log = fake.log();
    let asked: Vec<_> = log.iter().filter(of_layer).filter(|entry| format!("{entry:?}").contains(&digest)).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(fake.open_uploads(), 0);
}

#[test]
fn blobs_that_the_registry_will_not_mount_are_streamed_from_where_they_are() {
    let origin = FakeRegistry::start();
    let layer = bytes(1, 3_000_000);
    origin.put_blob("base/b", &layer);
    let source = RegistrySource { registry: client(&origin), repository: repo("base/b") };

    let fake = FakeRegistry::with(Options { refuse_mounts: true, absolute_locations: true, ..Options::default() });
    let image = Image::new(&[layer, bytes(2, 10)]);
    fake.put_blob("o/r", &bytes(2, 10));
    let mut push = image.to_push();
    push.layers[0].source = &source;
    for layer in &mut push.layers {
        layer.mount_from = Some(repo("base/b"));
    }
    // A cut of what is streamed is resumed at the origin; the upload does not see it.
    origin.plan(Fault::on("GET", "/blobs/", What::CutAnswer(1_000_000)));
    let arrivals = Mutex::new(Vec::new());
    let note = |event: PushEvent<'_>| {
        if let PushEvent::Done { name, how } = event {
            arrivals.lock().unwrap().push((name.to_owned(), how));
        }
    };
    client(&fake).push_image(&push, &note).unwrap();
    let mut arrivals = arrivals.into_inner().unwrap();
    arrivals.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!(
        arrivals,
        [
            ("config".to_owned(), Arrival::Sent),
            ("layer 0".to_owned(), Arrival::Sent),
            ("layer 1".to_owned(), Arrival::Present)
        ]
    );
    let posts = asked(&fake).iter().filter(|entry| entry.starts_with("POST")).count();
    assert_eq!(posts, 3, "the upload that was offered instead of the mount is used");
    assert_eq!(fake.open_uploads(), 0);
}

#[test]
fn a_damaged_blob_is_named_and_nothing_appears() {
    for (size, damage) in [(5000, 0), (5000, 4999), (17 << 20, 1 << 20)] {
        let fake = FakeRegistry::start();
        let mut image = Image::new(&[bytes(1, size), bytes(2, 100)]);
        let digest = image.layers[0].digest.to_string();
        image.memory.0.get_mut(&digest).unwrap()[damage] ^= 1;
        let error = image.push(&client(&fake)).unwrap_err();
        let shown = shown(&error, &fake);
        assert!(matches!(error.cause(), Cause::Damaged { name, .. } if name == "layer 0"), "{shown}");
        assert!(shown.contains(&format!("push blob `layer 0` ({digest}) to `HOST/o/r`")), "{shown}");
        assert!(error.hint().is_some());
        assert_eq!(fake.blob("o/r", &digest), None);
        assert_eq!((fake.tag("o/r", "t"), fake.open_uploads()), (None, 0));
    }
}

#[test]
fn a_blob_that_is_short_or_gone_is_named() {
    let fake = FakeRegistry::start();
    let mut image = Image::new(&[bytes(1, 5000)]);
    let digest = image.layers[0].digest.to_string();
    image.memory.0.get_mut(&digest).unwrap().truncate(4000);
    let error = image.push(&client(&fake)).unwrap_err();
    assert!(error.cause().to_string().ends_with("is damaged: it has 4000 bytes, not 5000"), "{error:?}");
    image.memory.0.remove(&digest);
    let error = image.push(&client(&fake)).unwrap_err();
    assert_eq!(error.cause().to_string(), "blob `layer 0` could not be read");
    // A blob that is there with another size is not that blob.
    fake.put_blob("o/r", &bytes(1, 5000));
    image.layers[0].size = 5001;
    let error = image.push(&client(&fake)).unwrap_err();
    assert_eq!(error.cause().to_string(), "blob `layer 0` could not be read");
    assert_eq!(fake.open_uploads(), 0);
}

#[test]
fn the_first_failure_stops_the_others() {
    let fake = FakeRegistry::start();
    let layers: Vec<_> = (0..30).map(|seed| bytes(seed, 1000 + seed as usize)).collect();
    let mut image = Image::new(&layers);
    // The largest is tried first, and alone: how much of the others a busy machine has sent by then varies.
    image.memory.0.remove(&image.layers[29].digest.to_string());
    let error = client(&fake).push_image(&Push { parallel: 1, ..image.to_push() }, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("layer 29"), "{error}");
    assert_eq!(fake.blob_count("o/r"), 0);
}

#[test]
fn a_registry_without_monolithic_uploads_gets_its_blobs_in_patches() {
    let fake = FakeRegistry::with(Options { refuse_monolithic: true, ..Options::default() });
    let layers: Vec<_> = (0..5).map(|seed| bytes(seed, 1000)).collect();
    let push = Image::new(&layers);
    client(&fake).push_image(&Push { parallel: 1, ..push.to_push() }, &|_| {}).unwrap();
    let refused = asked(&fake).iter().filter(|entry| entry.ends_with(" 405")).count();
    assert_eq!(refused, 1, "once is enough to learn it");
    assert_eq!((fake.blob_count("o/r"), fake.open_uploads()), (6, 0));
}

#[test]
fn a_manifest_that_the_registry_does_not_read_is_refused_with_a_hint() {
    let fake = FakeRegistry::with(Options { refuse_oci: true, ..Options::default() });
    let image = Image::new(&[bytes(1, 10)]);
    let push = Push { media_type: OCI, ..image.to_push() };
    let error = client(&fake).push_image(&push, &|_| {}).unwrap_err();
    expect![[r#"
        failed to push `HOST/o/r:t`
        caused by: the registry refused the manifest of type `application/vnd.oci.image.manifest.v1+json`: Invalid image, fail to parse 'manifest.json' (MANIFEST_INVALID)
        hint: SWR's basic edition takes only Docker v2 manifests: push with `--media-types docker`"#]]
    .assert_eq(&shown(&error, &fake));
}
