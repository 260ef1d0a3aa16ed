//! Bad lines: what is sent again after a cut, when a push goes on for ever, when it stops, and what the next process
//! finds of one that was killed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use expect_test::expect;
use image_name::Digest;
use registry::{Cause, Push, PushEvent, RegistryOptions};
use registry_fake::{Auth, FakeRegistry, Fault, Options, Partial, What};

use crate::fixture::{Image, bytes, client, client_with, noting, options, shown, with_login};

const MIB: usize = 1 << 20;

fn fake(partial: Partial, cut_every: usize) -> FakeRegistry {
    FakeRegistry::with(Options { partial, cut_every: cut_every as u64, ..Options::default() })
}

/// An image of so many layers of so many MiB.
fn image(layers: u64, mebibytes: usize) -> Image {
    Image::new(&(0..layers).map(|seed| bytes(seed + 1, mebibytes * MIB)).collect::<Vec<_>>())
}

/// How many times its size the registry was sent of an image. What lay in buffers when the line was cut never left.
fn times(image: &Image, fake: &FakeRegistry) -> f64 {
    let received: u64 = fake.log().iter().map(|entry| entry.body_bytes).sum();
    received as f64 / image.layers.iter().map(|layer| layer.size).sum::<u64>() as f64
}

#[test]
fn a_line_that_is_cut_all_the_time_carries_an_image_as_long_as_something_stays() {
    for (partial, layers, size, most) in
        [(Partial::Bytes, 3, 21, 1.05), (Partial::Chunks, 3, 21, 1.6), (Partial::Forgets, 12, 5, 1.6)]
    {
        let fake = fake(partial, 16_700_000);
        let image = image(layers, size);
        let registry = client_with(&fake, RegistryOptions { chunk: 3 << 20, ..options() });
        if let Err(error) = image.push(&registry) {
            panic!("{partial:?}: {}", shown(&error, &fake));
        }
        assert_eq!(fake.tag("o/r", "t"), Some(image.digest()), "{partial:?}");
        let times = times(&image, &fake);
        println!("{partial:?}: {times:.2} times, {} cuts", fake.cuts());
        assert!(times <= most && fake.cuts() >= 3, "{partial:?}: {times}, {} cuts", fake.cuts());
    }
}

#[test]
fn a_line_that_is_cut_all_the_time_leaves_no_unfinished_uploads() {
    for partial in [Partial::Bytes, Partial::Chunks, Partial::Forgets] {
        let fake = fake(partial, 16_700_000);
        let image = image(4, 14);
        // One at a time: an upload whose URL gets lost as another is cut can't be ended.
        let push = Push { parallel: 1, ..image.to_push() };
        client(&fake).push_image(&push, &|_| {}).unwrap();
        assert!(fake.cuts() >= 3, "{partial:?}: {} cuts", fake.cuts());
        assert_eq!(fake.open_uploads(), 0, "{partial:?}");
    }
}

#[test]
fn a_line_that_is_cut_sooner_than_a_layer_takes_is_given_up_with_the_size_that_passes() {
    for (layers, size) in [(3, 32), (1, 32), (1, 25)] {
        let fake = fake(Partial::Forgets, 24 * MIB);
        let image = image(layers, size);
        let registry = client(&fake);
        let error = image.push(&registry).unwrap_err();
        let text = shown(&error, &fake);
        assert!(matches!(error.cause(), Cause::CutShort { .. }), "{text}");
        assert!(
            text.contains("is cut sooner than blob `layer ") && text.contains("caused by: connection to"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "hint: layers of 16 MiB pass: set `max_layer = \"16 MiB\"` under `[layout]`, build again and push"
            ),
            "{text}"
        );
        let size = image.layers.iter().map(|layer| layer.size).sum::<u64>();
        let times = registry.sent().bodies as f64 / size as f64;
        assert!(times < 2.4, "{layers} of {size} bytes: {times}");
        assert!(fake.cuts() >= 2, "{}", fake.cuts());
    }
}

#[test]
fn a_registry_that_keeps_next_to_nothing_is_not_sent_a_blob_for_ever() {
    let ended = |options: Options| {
        let fake = FakeRegistry::with(options);
        let image = image(1, 20);
        let registry = client(&fake);
        let error = image.push(&registry).unwrap_err();
        let times = registry.sent().bodies as f64 / image.layers[0].size as f64;
        assert!(times < 7.0, "{times}");
        (shown(&error, &fake), error)
    };
    // No chunk gets through.
    let cut_every = 3 << 20;
    let (text, error) =
        ended(Options { partial: Partial::First(2), cut_every, chunk_min: 4 << 20, ..Options::default() });
    assert!(matches!(error.cause(), Cause::CutShort { .. }), "{text}");
    let (text, error) = ended(Options { takes: 2, ..Options::default() });
    assert!(matches!(error.cause(), Cause::UploadLost(_)), "{text}");
}

#[test]
fn a_registry_that_keeps_a_little_of_each_request_gets_it_all() {
    let cut = Options { partial: Partial::First(512 << 10), cut_every: MIB as u64, ..Options::default() };
    for options in [cut, Options { takes: 2 << 20, ..Options::default() }] {
        let fake = FakeRegistry::with(options);
        let image = image(1, 17);
        image.push(&client(&fake)).unwrap_or_else(|error| panic!("{}", shown(&error, &fake)));
        assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
    }
}

/// docker-registry says `0-0` of an upload without bytes and of one with a single byte.
#[test]
fn an_upload_that_may_have_one_byte_or_none_ends_right() {
    for (size, method, fault, refuse_monolithic) in [
        (1, "PATCH", What::CutAnswer(0), true),
        (1, "PATCH", What::CutRequest(1), true),
        (1, "PUT", What::CutRequest(1), false),
        (1000, "PATCH", What::CutRequest(1), true),
        (1000, "PUT", What::CutRequest(1), false),
        (20 * MIB, "PATCH", What::CutRequest(1), false),
        (20 * MIB, "PATCH", What::CutRequest(0), false),
    ] {
        let fake = FakeRegistry::with(Options { partial: Partial::First(1), refuse_monolithic, ..Options::default() });
        let case = format!("{size} {method} {fault:?}");
        fake.plan(Fault::on(method, "/uploads/", fault));
        let image = Image::new(&[bytes(1, size), bytes(2, 500)]);
        let push = Push { parallel: 1, ..image.to_push() };
        let result = client(&fake).push_image(&push, &|_| {});
        result.unwrap_or_else(|error| panic!("{case}: {}", shown(&error, &fake)));
        let layer = fake.blob("o/r", &image.layers[0].digest.to_string());
        assert_eq!(layer.map(|layer| layer.len()), Some(size), "{case}");
        assert_eq!(fake.open_uploads(), 0, "{case}");
        let whole =
            fake.log().iter().any(|entry| entry.method == "PUT" && entry.status == 201 && entry.body_bytes == 500);
        assert_eq!(whole, !refuse_monolithic, "{case}: the registry takes blobs in one request");
    }
}

#[test]
fn a_line_that_is_down_for_good_after_a_cut_is_not_called_too_short() {
    let fake = fake(Partial::Forgets, 0);
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(5 << 20)));
    fake.plan(Fault::on("HEAD", "/blobs/", What::CutRequest(0)).after(1).always());
    let error = image(1, 20).push(&client(&fake)).unwrap_err();
    assert!(matches!(error.cause(), Cause::Connection(..)), "{}", shown(&error, &fake));
}

#[test]
fn fewer_are_sent_side_by_side_after_a_cut() {
    let fake = fake(Partial::Bytes, 20 * MIB);
    image(6, 8).push(&client(&fake)).unwrap();
    let log = fake.log();
    let first = log.iter().position(|entry| entry.status == 0).unwrap();
    // Those that the first cut has broken were begun before it.
    let begun_after = log[first..].iter().filter(|entry| entry.status == 202 && entry.body_bytes > 0);
    let most = begun_after.map(|entry| entry.side_by_side).max().unwrap();
    assert_eq!(most, 1, "{log:#?}");
}

#[test]
fn after_a_cut_blobs_are_sent_in_chunks_of_which_one_is_lost_at_most() {
    for (chunk, chunk_min, expected) in [(2 * MIB, 0, 2 * MIB), (2 * MIB, 3 * MIB, 3 * MIB)] {
        let fake = FakeRegistry::with(Options { chunk_min: chunk_min as u64, ..Options::default() });
        fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(5 << 20)));
        // In the middle of the third chunk.
        fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(1 << 20)).after(2));
        let image = image(1, 20);
        let registry = client_with(&fake, RegistryOptions { chunk: chunk as u64, ..options() });
        image.push(&registry).unwrap();
        let log = fake.log();
        let patches: Vec<_> = log.iter().filter(|entry| entry.method == "PATCH").collect();
        assert_eq!(patches[0].content_range, None);
        assert_eq!(patches[1].content_range, Some(format!("0-{}", expected - 1)));
        let whole: Vec<_> = patches.iter().filter(|entry| entry.status == 202).collect();
        let (last, chunks) = whole.split_last().unwrap();
        assert!(chunks.iter().all(|entry| entry.body_bytes == expected as u64), "{log:#?}");
        assert_eq!(last.content_range, Some(format!("{}-{}", 20 * MIB as u64 - last.body_bytes, 20 * MIB - 1)));
        assert_eq!(whole.iter().map(|entry| entry.body_bytes).sum::<u64>(), 20 << 20, "a chunk was sent twice");
        assert_eq!(posts(&fake), 2, "the upload went on");
    }
}

#[test]
fn chunks_that_do_not_get_through_are_halved() {
    let fake = fake(Partial::Chunks, 5 * MIB);
    if let Err(error) = image(1, 20).push(&client(&fake)) {
        panic!("{}", shown(&error, &fake));
    }
    let log = fake.log();
    let chunks = log.iter().filter(|entry| entry.method == "PATCH" && entry.status == 202);
    assert_eq!(chunks.map(|entry| entry.body_bytes).max(), Some(4 << 20));
}

#[test]
fn a_registry_that_keeps_partial_bytes_is_sent_only_the_rest() {
    let fake = fake(Partial::Bytes, 0);
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(5 << 20)));
    image(1, 20).push(&client(&fake)).unwrap();
    let log = fake.log();
    let ranges: Vec<_> = log.iter().filter_map(|entry| entry.content_range.clone()).collect();
    assert_eq!(ranges[0], format!("{}-{}", 5 * MIB, 13 * MIB - 1));
    assert_eq!(log.iter().filter(|entry| entry.method == "PATCH").map(|it| it.body_bytes).sum::<u64>(), 20 << 20);
}

#[test]
fn a_registry_that_forgets_is_asked_once_and_gets_the_blob_again_in_one_stream() {
    let fake = fake(Partial::Forgets, 0);
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(5 << 20)).times(3));
    image(1, 40).push(&client(&fake)).unwrap();
    let log = fake.log();
    let asked = log.iter().filter(|entry| entry.method == "GET" && entry.path.contains("/uploads/")).count();
    assert_eq!(asked, 1);
    let whole: Vec<_> = log.iter().filter(|entry| entry.method == "PATCH" && entry.status == 202).collect();
    assert_eq!(whole.iter().map(|entry| entry.body_bytes).collect::<Vec<_>>(), [40 << 20]);
    // One that can't be asked is taken for one that forgets, and told to.
    let fake = FakeRegistry::with(Options { refuse_asking: true, ..Options::default() });
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(5 << 20)));
    image(1, 20).push(&client(&fake)).unwrap();
    assert_eq!((posts(&fake), fake.open_uploads()), (3, 0));
}

fn posts(fake: &FakeRegistry) -> usize {
    fake.log().iter().filter(|entry| entry.method == "POST").count()
}

#[test]
fn an_upload_that_is_elsewhere_than_thought_goes_on_where_the_registry_says() {
    let fake = FakeRegistry::start();
    // The answer to a PATCH is lost, and the one to the question names another place.
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutAnswer(0)));
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(MIB as u64)));
    fake.plan(Fault::on("GET", "/uploads/", What::Header("Range", "0-999".into())));
    let image = image(1, 20);
    image.push(&client(&fake)).unwrap();
    assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
    // Where the registry has lost it meanwhile, another is begun.
    for status in [404, 416] {
        let fake = FakeRegistry::start();
        fake.plan(Fault::status("PATCH", "/uploads/", status, "BLOB_UPLOAD_UNKNOWN", "x"));
        image.push(&client(&fake)).unwrap_or_else(|error| panic!("{status}: {}", shown(&error, &fake)));
    }
}

#[test]
fn attempts_count_anew_with_progress_that_stays_and_not_without() {
    // Seven cuts, one more than attempts, each after some more bytes.
    let cuts = |partial| {
        let fake = fake(partial, 0);
        fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(2 << 20)).times(7));
        let result = image(1, 40).push(&client(&fake));
        (result, fake)
    };
    let (result, fake) = cuts(Partial::Bytes);
    assert!(result.is_ok(), "{}", shown(&result.unwrap_err(), &fake));
    let (result, fake) = cuts(Partial::Forgets);
    let text = shown(&result.unwrap_err(), &fake);
    assert!(text.contains("set `max_layer = "), "{text}");
    assert_eq!(fake.log().iter().filter(|entry| entry.method == "PATCH").count(), 6);

    // Another blob that is complete is progress, too.
    let fake = self::fake(Partial::Forgets, 0);
    let large = bytes(1, 17 * MIB);
    let fault = |skip| Fault::on("POST", "/uploads/", What::CutRequest(0)).after(skip).times(4);
    fake.plan(fault(0));
    fake.plan(fault(5));
    let (options, waits) = noting();
    let push = Image::new(&[large, bytes(2, 1000)]);
    client_with(&fake, options).push_image(&Push { parallel: 1, ..push.to_push() }, &|_| {}).unwrap();
    assert!(waits.lock().unwrap().len() >= 4);
}

#[test]
fn what_can_still_be_sent_is_sent_after_the_line_was_down() {
    for status in [408, 421, 425, 502] {
        // The questions whether it is there and how far it got fail as well, for a while.
        let fake = fake(Partial::Bytes, 0);
        fake.plan(Fault::status("HEAD", "/blobs/", status, "UNKNOWN", "x").times(2));
        fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(5 << 20)));
        fake.plan(Fault::status("GET", "/uploads/", status, "UNKNOWN", "x").times(3));
        let image = image(1, 20);
        image.push(&client(&fake)).unwrap_or_else(|error| panic!("{status}: {}", shown(&error, &fake)));
        assert!(times(&image, &fake) < 1.01, "{status}: {:?}", fake.log());
        // The layer's and the config's.
        assert_eq!(posts(&fake), 2, "{status}");
        let looked = fake.log().iter().filter(|entry| entry.method == "HEAD" && entry.path.contains("/blobs/")).count();
        assert_eq!(looked, 4, "{status}");
    }
}

#[test]
fn a_small_blob_has_all_attempts_and_no_size_of_layers_is_told_of_it() {
    for (cuts, passes) in [(2, true), (5, true), (6, false)] {
        let fake = fake(Partial::Chunks, 0);
        fake.plan(Fault::on("PUT", "/uploads/", What::CutRequest(100)).times(cuts));
        let result = Image::new(&[bytes(1, 20_000)]).push(&client(&fake));
        match result {
            Ok(_) => assert!(passes, "{cuts}"),
            Err(error) => {
                let is_plain = matches!(error.cause(), Cause::Connection(..));
                assert!(is_plain && !passes, "{cuts}: {}", shown(&error, &fake));
            }
        }
    }
}

#[test]
fn a_registry_that_keeps_uploads_and_lost_one_is_asked_again_and_what_it_keeps_then_is_progress() {
    let fake = fake(Partial::Bytes, 0);
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(20 << 20)));
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(1 << 20)));
    // It was restarted, and has lost 21 MiB.
    fake.plan(Fault::status("GET", "/uploads/", 404, "BLOB_UPLOAD_UNKNOWN", "x").after(1));
    // One more than attempts, all below that.
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(2 << 20)).times(7));
    image(1, 40).push(&client(&fake)).unwrap_or_else(|error| panic!("{}", shown(&error, &fake)));
    let log = fake.log();
    let asked = log.iter().filter(|entry| entry.method == "GET" && entry.path.contains("/uploads/")).count();
    assert_eq!((asked, posts(&fake)), (9, 3), "{log:#?}");
}

#[test]
fn a_token_that_ends_in_the_middle_of_a_blob_costs_none_of_it() {
    let auth = Auth::Bearer { user: "u".into(), password: "hunter2".into(), identity_token: "none".into() };
    let fake = FakeRegistry::with(Options { auth, ..Options::default() });
    let image = image(1, 40);
    // A cut first, so that it is sent in chunks; the token ends after some of them.
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(0)));
    fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(1)));
    let sent = AtomicU64::new(0);
    let expire = |event: PushEvent<'_>| {
        if let PushEvent::Sent { bytes, .. } = event {
            let before = sent.fetch_add(bytes, Ordering::Relaxed);
            // Announced by then, and not yet taken.
            if before / (20 << 20) != (before + bytes) / (20 << 20) {
                fake.expire_tokens();
            }
        }
    };
    let registry = client_with(&fake, with_login(options(), "u", "hunter2"));
    registry.push_image(&image.to_push(), &expire).unwrap();
    let taken: u64 =
        fake.log().iter().filter(|it| it.method == "PATCH" && it.status == 202).map(|it| it.body_bytes).sum();
    assert_eq!(taken, 40 << 20);
    assert!(fake.log().iter().any(|entry| entry.method == "PATCH" && entry.status == 401), "no token ended");
    assert_eq!(posts(&fake), 2 + fake.log().iter().filter(|it| it.method == "POST" && it.status == 401).count());
}

/// Pushes until so many bytes were sent, and stops there as a process does that is killed.
fn killed(image: &Image, fake: &FakeRegistry, after: u64, unfinished: &Path) {
    let sent = AtomicU64::new(0);
    let registry = client(fake);
    let push = Push { unfinished: Some(unfinished), parallel: 1, ..image.to_push() };
    let stop = |event: PushEvent<'_>| {
        if let PushEvent::Sent { bytes, .. } = event
            && sent.fetch_add(bytes, Ordering::Relaxed) > after
        {
            panic!("killed");
        }
    };
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| registry.push_image(&push, &stop)));
    ended.unwrap_err();
}

#[test]
fn a_push_that_was_killed_goes_on_in_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let unfinished = folder.path().join("uploads");
    let notes = || fs::read_dir(&unfinished).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let image = image(1, 40);
    let fake = fake(Partial::Bytes, 0);
    killed(&image, &fake, 30 << 20, &unfinished);
    let [note] = &notes()[..] else { panic!("{:?}", notes()) };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&unfinished), mode(note)), (0o700, 0o600));
    let secret = fs::read_to_string(note).unwrap();
    assert!(secret.contains("/uploads/upload-"), "{secret}");
    assert_eq!(fake.open_uploads(), 1, "the upload was given up");

    fake.clear_log();
    let events = Mutex::new(Vec::new());
    let note_event = |event: PushEvent<'_>| {
        if let PushEvent::Sending { name: "layer 0", kept, .. } = event {
            events.lock().unwrap().push(kept);
        }
    };
    let push = Push { unfinished: Some(&unfinished), ..image.to_push() };
    let report = client(&fake).push_image(&push, &note_event).unwrap();
    let kept = events.into_inner().unwrap();
    assert!(kept.len() == 1 && kept[0] > 20 << 20, "{kept:?}");
    let layer = image.layers[0].size - kept[0];
    assert_eq!(report.sent.bodies, layer + image.config.size + image.manifest.len() as u64);
    assert_eq!((fake.tag("o/r", "t"), fake.open_uploads()), (Some(image.digest()), 0));
    assert_eq!(notes(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_link_in_place_of_the_folder_of_unfinished_uploads_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, unfinished) = (folder.path().join("theirs"), folder.path().join("uploads"));
    fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::symlink(&theirs, &unfinished).unwrap();
    let fake = fake(Partial::Bytes, 0);
    killed(&image(1, 20), &fake, 10 << 20, &unfinished);
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
}

#[test]
fn an_unfinished_upload_that_the_registry_lost_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(1, 20);
    let fake = fake(Partial::Forgets, 0);
    killed(&image, &fake, 10 << 20, folder.path());
    let push = Push { unfinished: Some(folder.path()), ..image.to_push() };
    client(&fake).push_image(&push, &|_| {}).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_unfinished_upload_at_a_host_that_is_gone_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(1, 20);
    let fake = fake(Partial::Bytes, 0);
    killed(&image, &fake, 10 << 20, folder.path());
    let note = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let url = fs::read_to_string(&note).unwrap();
    fs::write(&note, url.replace(&fake.host(), "127.0.0.1:1")).unwrap();
    let push = Push { unfinished: Some(folder.path()), ..image.to_push() };
    client(&fake).push_image(&push, &|_| {}).unwrap_or_else(|error| panic!("{}", shown(&error, &fake)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_proxy_whose_registry_is_down_costs_no_unfinished_upload() {
    for status in [408, 502, 503, 504] {
        let folder = tempfile::tempdir().unwrap();
        let image = image(1, 20);
        let fake = fake(Partial::Bytes, 0);
        fake.plan(Fault::on("PATCH", "/uploads/", What::CutRequest(5 << 20)));
        fake.plan(Fault::status("GET", "/uploads/", status, "X", "x").times(6));
        let push = Push { unfinished: Some(folder.path()), ..image.to_push() };
        client(&fake).push_image(&push, &|_| {}).unwrap_err();
        assert_eq!((fs::read_dir(folder.path()).unwrap().count(), fake.open_uploads()), (1, 1), "{status}");
        let report = client(&fake).push_image(&push, &|_| {}).unwrap();
        assert!(report.sent.bodies < 16 << 20, "{status}: {report:?}");
    }
}

#[test]
fn the_url_of_an_upload_is_told_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    for status in [400, 403, 404, 418, 500] {
        let fake = FakeRegistry::start();
        fake.plan(Fault::status("PATCH", "/uploads/", status, "X", "no upload-0 of a+b=0").always());
        fake.plan(Fault::status("PATCH", "/uploads/", 307, "X", "x").always());
        let push = image(1, 17);
        let push = Push { unfinished: Some(folder.path()), ..push.to_push() };
        let error = client(&fake).push_image(&push, &|_| {}).unwrap_err();
        let text = format!("{} {error:?}", shown(&error, &fake));
        assert!(!text.contains("upload-"), "{text}");
    }
}

#[test]
fn a_damaged_blob_leaves_no_upload_to_go_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let fake = fake(Partial::Bytes, 0);
    let mut image = image(1, 20);
    let digest = image.layers[0].digest.to_string();
    image.memory.0.get_mut(&digest).unwrap()[MIB] ^= 1;
    let push = Push { unfinished: Some(folder.path()), ..image.to_push() };
    let error = client(&fake).push_image(&push, &|_| {}).unwrap_err();
    assert!(matches!(error.cause(), Cause::Damaged { .. }), "{error:?}");
    assert_eq!((fs::read_dir(folder.path()).unwrap().count(), fake.open_uploads()), (0, 0));
}

#[test]
fn two_pushes_of_one_tag_at_the_same_time_tell_the_loser_both_digests() {
    let fake = FakeRegistry::start();
    let other = b"{\"other\":1}".to_vec();
    let digest = Digest::of(&other);
    fake.plan(Fault::on("PUT", "/manifests/", What::Overtake(other)));
    let image = Image::new(&[bytes(1, 1000)]);
    let error = image.push(&client(&fake)).unwrap_err();
    let text = shown(&error, &fake);
    assert!(text.contains(&format!("tag `t` reads back as {digest}, not {}", image.digest())), "{text}");
    expect![[r#"hint: another client pushed the same tag at the same time; build again for a new timestamp, or push with `--overwrite`"#]]
        .assert_eq(text.lines().last().unwrap());
}
