//! Trying again: what is worth it, how long to wait, and when to stop.

use std::time::Duration;

use expect_test::expect;
use registry::{Cause, Registry, RegistryOptions, Timeouts};
use registry_fake::{FakeRegistry, Fault, What};

use crate::fixture::{DOCKER, Image, asked, bytes, client, client_with, noting, options, repo, shown, tag};

#[test]
fn passing_failures_of_every_step_of_a_push_are_survived() {
    let faults = || {
        vec![
            Fault::status("HEAD", "/manifests/", 500, "UNKNOWN", "x"),
            Fault::status("HEAD", "/blobs/", 502, "UNKNOWN", "x"),
            Fault::status("POST", "/uploads/", 503, "UNKNOWN", "x"),
            Fault::on("POST", "/uploads/", What::CutRequest(0)),
            Fault::on("PATCH", "/uploads/", What::CutRequest(700_000)),
            Fault::status("PATCH", "/uploads/", 504, "UNKNOWN", "x"),
            Fault::on("PUT", "/uploads/", What::CutRequest(100)),
            Fault::status("PUT", "/uploads/", 500, "UNKNOWN", "x"),
            Fault::on("PUT", "/uploads/", What::CutAnswer(0)),
            Fault::status("PUT", "/manifests/", 503, "UNKNOWN", "x"),
            Fault::on("PUT", "/manifests/", What::CutRequest(3)),
            Fault::status("HEAD", "/manifests/", 429, "TOOMANYREQUESTS", "x").after(2),
        ]
    };
    for at in 0..faults().len() {
        let fake = FakeRegistry::start();
        let fault = faults().remove(at);
        let told = format!("{fault:?}");
        fake.plan(fault);
        let image = Image::new(&[bytes(1, 1000), bytes(2, 17 << 20)]);
        if let Err(error) = image.push(&client(&fake)) {
            panic!("{told}: {}", shown(&error, &fake));
        }
        assert_eq!(fake.tag("o/r", "t"), Some(image.digest()), "{told}");
    }
}

#[test]
fn a_retry_after_is_followed_and_requests_come_slower_from_then_on() {
    let fake = FakeRegistry::start();
    fake.put_manifest("o/r", "t", DOCKER, b"{}");
    let busy =
        Fault::status("HEAD", "/manifests/", 503, "TOOMANYREQUESTS", "slow down").with_header("Retry-After", "7");
    fake.plan(busy.times(2));
    let (options, waits) = noting();
    let client = client_with(&fake, options);
    let resolve = || client.resolve(&repo("o/r"), &tag("t")).unwrap();
    resolve();
    let count = |is_meant: fn(&Duration) -> bool| waits.lock().unwrap().iter().filter(|wait| is_meant(wait)).count();
    assert_eq!(count(|wait| *wait == Duration::from_secs(7)), 2);
    // A request that comes within 100 ms of another waits for its turn; a busy machine may be slower than that.
    let has_waited = || count(|wait| !wait.is_zero() && *wait <= Duration::from_millis(100)) > 0;
    (0..100).take_while(|_| !has_waited()).for_each(|_| assert!(resolve().is_some()));
    assert!(has_waited());
}

#[test]
fn a_retry_after_may_be_a_date_by_the_registrys_own_clock() {
    let fake = FakeRegistry::start();
    fake.put_manifest("o/r", "t", DOCKER, b"{}");
    let busy = Fault::status("HEAD", "/manifests/", 429, "TOOMANYREQUESTS", "slow down")
        .with_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .with_header("Retry-After", "Sun, 06 Nov 1994 08:49:58 GMT");
    fake.plan(busy);
    let (options, waits) = noting();
    client_with(&fake, options).resolve(&repo("o/r"), &tag("t")).unwrap();
    assert_eq!(waits.lock().unwrap()[0], Duration::from_secs(21));
}

#[test]
fn requests_stay_below_twenty_a_second_from_the_first_save_on_loopback() {
    let layers: Vec<_> = (0..20).map(|seed| bytes(seed, 10)).collect();
    for is_remote in [false, true] {
        let fake = FakeRegistry::start();
        let (options, waits) = noting();
        let options = RegistryOptions { insecure: true, ip: Some([127, 0, 0, 1].into()), ..options };
        let host = if is_remote { format!("registry.example:{}", fake.port()) } else { fake.host() };
        Image::new(&layers).push(&Registry::new(host.parse().unwrap(), options)).unwrap();
        let waits = waits.lock().unwrap();
        assert_eq!(!waits.is_empty(), is_remote);
        // Nobody waits in a test: requests pile up, and only what the machine itself takes is off what they wait for.
        assert!(!is_remote || waits.iter().max().unwrap().as_secs() >= 1, "{waits:?}");
    }
}

#[test]
fn a_registry_that_stays_busy_is_given_up_in_its_own_words() {
    let fake = FakeRegistry::start();
    fake.plan(Fault::status("HEAD", "/manifests/", 503, "TOOMANYREQUESTS", "slow down").always());
    let error = client(&fake).resolve(&repo("o/r"), &tag("t")).unwrap_err();
    // A HEAD has no words.
    expect![[r#"
        failed to read manifest `HOST/o/r:t`
        caused by: `HOST` is busy (status 503)
        hint: SWR takes 20 requests a second from a tenant; try again in a moment"#]]
    .assert_eq(&shown(&error, &fake));
    assert_eq!(asked(&fake).len(), 6);
}

#[test]
fn waits_grow() {
    let fake = FakeRegistry::start();
    fake.plan(Fault::status("HEAD", "/manifests/", 500, "UNKNOWN", "x").always());
    let (options, waits) = noting();
    client_with(&fake, options).resolve(&repo("o/r"), &tag("t")).unwrap_err();
    let waits = waits.lock().unwrap();
    let bounds = [250, 500, 1000, 2000, 4000].map(Duration::from_millis);
    let within = |(wait, most): (&Duration, Duration)| *wait <= most && *wait >= most / 2;
    assert!(waits.len() == 5 && waits.iter().zip(bounds).all(within), "{waits:?}");
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for (status, code, advice) in [
        (400, "NAME_INVALID", "`repository` under `[registry]`"),
        (403, "DENIED", "organisation exists"),
        (404, "NAME_UNKNOWN", ""),
        (413, "SIZE_INVALID", "`max_layer`"),
    ] {
        let fake = FakeRegistry::start();
        fake.plan(Fault::status("POST", "/uploads/", status, code, "no").always());
        let error = Image::new(&[bytes(1, 10)]).push(&client(&fake)).unwrap_err();
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains(advice), "{status}: {hint}");
        let posts = asked(&fake).iter().filter(|entry| entry.starts_with("POST")).count();
        assert_eq!(posts, 1, "{status}");
    }
}

#[test]
fn a_blob_too_large_for_the_registry_is_refused_before_it_is_sent() {
    let fake = FakeRegistry::start();
    let page = What::Answer { status: 413, headers: Vec::new(), body: "<html>413</html>".into() };
    fake.plan(Fault::on("PATCH", "/uploads/", page).always());
    let registry = client(&fake);
    let error = Image::new(&[bytes(1, 20 << 20)]).push(&registry).unwrap_err();
    let text = shown(&error, &fake);
    assert!(
        text.ends_with(
            "caused by: `HOST` answered with status 413\n\
         hint: the registry or a proxy before it limits the size of a layer (SWR: 10 GB); lower `max_layer`"
        ),
        "{text}"
    );
    assert_eq!(registry.sent().bodies, 0);
}

#[test]
fn a_registry_that_takes_no_bytes_is_given_up_after_the_time_out() {
    let fake = FakeRegistry::start();
    fake.plan(Fault::on("PATCH", "/uploads/", What::Stall).always());
    let timeouts =
        Timeouts { progress: Duration::from_millis(200), commit: Duration::from_millis(400), ..options().timeouts };
    let mut options = RegistryOptions { timeouts, ..options() };
    options.retry.attempts = 2;
    let error = Image::new(&[bytes(1, 20 << 20)]).push(&client_with(&fake, options)).unwrap_err();
    assert!(matches!(error.cause(), Cause::TimedOut { .. }), "{error:?}");
}

#[test]
fn a_mount_that_fails_for_a_moment_is_tried_again() {
    let fake = FakeRegistry::start();
    fake.put_blob("base/b", &bytes(1, 1000));
    fake.plan(Fault::status("POST", "/uploads/", 502, "UNKNOWN", "x"));
    let image = Image::new(&[bytes(1, 1000)]);
    let mut push = image.to_push();
    push.layers[0].mount_from = Some(repo("base/b"));
    assert_eq!(client(&fake).push_image(&push, &|_| {}).unwrap().mounted_blobs, 1);
}
