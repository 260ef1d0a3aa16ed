//! Mirrors that lack, cut, damage or replace what they have.

use std::sync::Arc;

use expect_test::{expect, expect_file};
use oci_image::Digest;
use registry::{Retry, Timeouts};
use registry_fake::{Auth, FakeRegistry, Fault, Options, What};

use super::*;

/// A mirror whose files are the fake's blobs: their paths are their digests.
struct Bed {
    mirror: FakeRegistry,
    archive: FakeRegistry,
    store: Store,
    packages: Vec<Package>,
    _folder: tempfile::TempDir,
}

const REPOSITORY: &str = "debian/pool";

impl Bed {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let (mirror, archive) = (FakeRegistry::with(options), FakeRegistry::start());
        let package = |number: u8| {
            let path = mirror.put_blob(REPOSITORY, &contents(number));
            let digest: Digest = path.parse().unwrap();
            Package { name: format!("p{number}"), version: "1".into(), path, size: 40_000, digest }
        };
        let packages = (0..20).map(package).collect();
        Self { mirror, archive, store, packages, _folder: folder }
    }

    fn servers(&self) -> [FileServer; 2] {
        [&self.mirror, &self.archive].map(|fake| server(&format!("http://{}/v2/{REPOSITORY}/blobs", fake.host())))
    }

    fn all(&self) -> Vec<&Package> {
        self.packages.iter().collect()
    }

    fn fetch(&self) -> anyhow::Result<()> {
        fetch(&self.store, &self.all(), &self.servers(), &another_of_sample(), &Progress::new(true))
    }

    /// The error as it is shown, without what differs from run to run.
    fn failure(&self) -> String {
        let mut text = report::render(&self.fetch().unwrap_err());
        let store = self.store.root().to_string_lossy().into_owned();
        for (ours, name) in [(self.mirror.host(), "MIRROR"), (self.archive.host(), "ARCHIVE"), (store, "STORE")] {
            text = text.replace(&ours, name);
        }
        for (number, package) in self.packages.iter().enumerate() {
            text = text.replace(&package.digest.to_string(), &format!("P{number}"));
        }
        text.replace(&format!("/v2/{REPOSITORY}/blobs"), "/debian")
    }

    /// The mirror answers 404 for these.
    fn lacks(&self, numbers: &[usize]) {
        for number in numbers {
            self.mirror.plan(Fault::on("GET", &self.packages[*number].path, page(404, "")).always());
        }
    }

    fn have(&self) -> usize {
        self.packages.iter().filter(|package| self.store.has(&package.digest, package.size)).count()
    }
}

fn contents(number: u8) -> Vec<u8> {
    vec![number; 40_000]
}

fn server(address: &str) -> FileServer {
    let retry = Retry { sleep: Arc::new(|_| {}), ..Retry::default() };
    let timeouts = Timeouts { progress: std::time::Duration::from_secs(20), ..Timeouts::default() };
    let options = RegistryOptions {
        credentials: CredentialSource::Anonymous,
        proxies: Proxies::default(),
        retry,
        timeouts,
        ..RegistryOptions::default()
    };
    FileServer::new(address, options).unwrap()
}

fn wants_login() -> Options {
    let auth = Auth::Basic { user: "me".to_owned(), password: "secret".to_owned() };
    Options { auth, ..Options::default() }
}

fn page(status: u16, body: &str) -> What {
    What::Answer { status, headers: Vec::new(), body: body.to_owned() }
}

#[test]
fn packages_are_fetched_once() {
    let bed = Bed::new();
    bed.fetch().unwrap();
    assert_eq!(bed.have(), 20);
    let asked = bed.mirror.log().len();
    assert_eq!(asked, 20);
    bed.fetch().unwrap();
    assert_eq!(bed.mirror.log().len(), asked);
    assert!(bed.archive.log().is_empty());
}

#[test]
fn a_cut_is_continued() {
    let bed = Bed::new();
    bed.mirror.plan(Fault::on("GET", "/blobs/", What::CutAnswer(20_000)).times(3));
    bed.fetch().unwrap();
    assert_eq!(bed.have(), 20);
}

#[test]
fn what_the_mirror_has_dropped_comes_from_the_archive() {
    let bed = Bed::new();
    bed.lacks(&[3, 7]);
    // The next run goes on: only what is missing is asked for.
    for (archived, have) in [(None, 18), (Some(3), 19)] {
        archived.map(|number| bed.archive.put_blob(REPOSITORY, &contents(number)));
        bed.fetch().unwrap_err();
        assert_eq!(bed.have(), have);
    }
    bed.archive.put_blob(REPOSITORY, &contents(7));
    bed.fetch().unwrap();
    assert_eq!((bed.have(), bed.archive.log().len()), (20, 5));
}

#[test]
fn a_failure_says_what_to_do() {
    let always = |bed: &Bed, path: &str, what| bed.mirror.plan(Fault::on("GET", path, what).always());
    type Plan<'a> = &'a dyn Fn(&Bed);
    // How many packages the store has afterwards, where that does not depend on the threads.
    let cases: [(&str, Option<usize>, Options, Plan<'_>); 6] = [
        ("two packages that nobody has", Some(18), Options::default(), &|bed| bed.lacks(&[3, 7])),
        ("one that nobody has", Some(19), Options::default(), &|bed| {
            bed.lacks(&[3, 7]);
            bed.archive.put_blob(REPOSITORY, &contents(3));
        }),
        ("another file under the name", None, Options::default(), &|bed| {
            always(bed, &bed.packages[5].path, What::FlipBit);
        }),
        ("the page of a captive portal", Some(0), Options::default(), &|bed| {
            always(bed, "/blobs/", page(200, "<html>Please sign in</html>"));
        }),
        ("a mirror that wants a login", Some(0), wants_login(), &|_| {}),
        // It was taken for the archive's error, as a full disk would have been.
        ("a store that takes nothing, and a mirror that lacks packages", Some(0), Options::default(), &|bed| {
            always(bed, "/blobs/", page(404, ""));
            (0..20).for_each(|number| drop(bed.archive.put_blob(REPOSITORY, &contents(number))));
            let unfinished = bed.store.root().join("tmp");
            fs::remove_dir_all(&unfinished).unwrap();
            fs::write(&unfinished, "").unwrap();
        }),
    ];
    let mut said = String::new();
    for (case, have, options, plan) in cases {
        let bed = Bed::with(options);
        plan(&bed);
        let failure = bed.failure();
        // The name of a temporary file is another each time.
        let lines = failure.lines().map(|line| line.split("/tmp/blob-").next().unwrap_or_default());
        said += &format!("# {case}\n{}\n\n", lines.collect::<Vec<_>>().join("\n"));
        assert!(have.is_none_or(|have| bed.have() == have), "{case}: {}", bed.have());
        assert!(have.is_some() || !bed.store.has(&bed.packages[5].digest, 40_000), "{case}");
    }
    expect_file!["failures.txt"].assert_eq(&said);
}

#[test]
fn a_login_is_given_with_the_address() {
    let bed = Bed::with(wants_login());
    let address = format!("http://me:secret@{}/v2/{REPOSITORY}/blobs", bed.mirror.host());
    let [_, archive] = bed.servers();
    fetch(&bed.store, &bed.all(), &[server(&address), archive], "", &Progress::new(true)).unwrap();
}

/// Each of the packages would wait as long: the first failure is enough.
#[test]
fn a_mirror_that_is_not_there_is_asked_a_few_times_only() {
    let mut bed = Bed::new();
    let host = bed.mirror.host();
    bed.mirror = FakeRegistry::start();
    let servers = [server(&format!("http://{host}/debian")), server(&format!("http://{}/debian", bed.archive.host()))];
    let error = fetch(&bed.store, &bed.all(), &servers, &another_of_sample(), &Progress::new(true)).unwrap_err();
    let shown = report::render(&error).replace(&host, "MIRROR");
    let first = shown.lines().next().unwrap();
    assert_eq!(first, "error: failed to download Debian's packages");
    assert!(shown.contains("connection refused by `MIRROR`"), "{shown}");
    expect!["hint: check the network and the proxies (`HTTP_PROXY`, `NO_PROXY`); or name another mirror of Debian's packages in `FMTK_DEBIAN_MIRROR`, or give a base image of your own with `--base`"].assert_eq(shown.lines().last().unwrap());
}

const HOST: &str = "ID=debian\nVERSION_CODENAME=bookworm\n";

#[test]
fn the_mirror_is_that_of_debians_main_suite() {
    let several = "'http://sec.example/debian-security/dists/bookworm-security/InRelease' x 0 \n\
        'https://maker.example/debian/dists/bookworm/InRelease' x 0 \n\
        'http://near.example/debian/dists/bookworm/InRelease' x 0 \n\
        'http://near.example/debian/dists/bookworm-updates/InRelease' x 0 \n\
        'http://near.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' x 0 \n";
    let ubuntu = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=jammy\n";
    for (os_release, uris, mirror) in [
        (HOST, several, Some("http://near.example/debian")),
        (HOST, "'http://a.example/debian/dists/stable/InRelease' x 0 \n", Some("http://a.example/debian")),
        (HOST, "'mirror+file:/etc/apt/mirrors/dists/stable/InRelease' x 0 \n", None),
        (HOST, "'http://a.example/debian/dists/bookworm-backports/InRelease' x 0 \n", None),
        (HOST, "E: something else\n", None),
        (HOST, "", None),
        (ubuntu, "'http://mirror.example/ubuntu/dists/jammy/InRelease' x 0 \n", None),
    ] {
        assert_eq!(choose(uris, os_release).as_deref(), mirror, "{uris}");
    }
}

#[test]
fn settings_of_apt_are_found() {
    let dump = "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p.example:3128\";\n\
        Acquire::https::Proxy \"DIRECT\";\nAcquire::https::CAInfo \"/x.pem\";\n";
    let setting = |key: &str| apt_setting(dump, key);
    assert_eq!(setting("Acquire::http::Proxy").as_deref(), Some("http://p.example:3128"));
    assert_eq!(setting("Acquire::https::CAInfo").as_deref(), Some("/x.pem"));
    assert_eq!(setting("Acquire::https::Proxy"), None);
    assert_eq!(setting("Acquire::ftp::Proxy"), None);
}

#[test]
fn security_updates_are_beside_the_releases() {
    for (mirror, security) in [
        ("http://near.example/debian", Some("http://near.example/debian-security")),
        ("http://me:secret@debian/debian/", Some("http://me:secret@debian/debian-security/")),
        (
            "https://snapshot.example/archive/debian/20250101T000000Z",
            Some("https://snapshot.example/archive/debian-security/20250101T000000Z"),
        ),
        ("http://debian/mirror", None),
    ] {
        assert_eq!(security_of(mirror).as_deref(), security, "{mirror}");
    }
}
