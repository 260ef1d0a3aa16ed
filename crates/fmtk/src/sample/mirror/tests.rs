//! Mirrors that lack, cut, damage or replace what they have.

use std::sync::Arc;

use expect_test::{Expect, expect};
use oci_image::Digest;
use registry::{Retry, Timeouts};
use registry_double::{Auth, Double, Fault, Options, What};

use super::*;

/// A mirror whose files are the double's blobs: their paths are their digests.
struct Bed {
    mirror: Double,
    archive: Double,
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
        let (mirror, archive) = (Double::with(options), Double::start());
        let package = |number: u8| {
            let path = mirror.put_blob(REPOSITORY, &contents(number));
            let digest: Digest = path.parse().unwrap();
            Package { name: format!("p{number}"), version: "1".into(), path, size: 40_000, digest }
        };
        let packages = (0..20).map(package).collect();
        Self { mirror, archive, store, packages, _folder: folder }
    }

    fn servers(&self) -> [FileServer; 2] {
        [&self.mirror, &self.archive].map(|double| server(&format!("http://{}/v2/{REPOSITORY}/blobs", double.host())))
    }

    fn fetch(&self) -> anyhow::Result<()> {
        fetch(&self.store, &self.packages, &self.servers(), &Progress::new(true))
    }

    /// The error as it is shown, without what differs from run to run.
    fn fails(&self, expect: Expect) {
        let mut text = report::render(&self.fetch().unwrap_err());
        for (double, name) in [(&self.mirror, "MIRROR"), (&self.archive, "ARCHIVE")] {
            text = text.replace(&double.host(), name);
        }
        for (number, package) in self.packages.iter().enumerate() {
            text = text.replace(&package.digest.to_string(), &format!("P{number}"));
        }
        expect.assert_eq(&text.replace(&format!("/v2/{REPOSITORY}/blobs"), "/debian"));
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
    for number in [3, 7] {
        bed.mirror.plan(Fault::on("GET", &bed.packages[number].path, page(404, "")).always());
        bed.archive.put_blob(REPOSITORY, &contents(number as u8));
    }
    bed.fetch().unwrap();
    assert_eq!((bed.have(), bed.archive.log().len()), (20, 2));
}

/// The next run goes on: only what is missing is asked for.
#[test]
fn what_nobody_has_is_named_and_the_rest_is_kept() {
    let bed = Bed::new();
    for number in [3, 7] {
        bed.mirror.plan(Fault::on("GET", &bed.packages[number].path, page(404, "")).always());
    }
    bed.fails(expect![[r#"
        error: failed to download Debian's packages
        caused by: http://MIRROR/debian does not have 2 of the packages, `P3` among them
        caused by: failed to download `http://MIRROR/debian/P3`
        caused by: `http://MIRROR/debian/P3` is not there
        hint: name another mirror of Debian's packages in `FMTK_DEBIAN_MIRROR`, or give a base image of your own with `--base`
    "#]]);
    assert_eq!(bed.have(), 18);
    bed.archive.put_blob(REPOSITORY, &contents(3));
    bed.fails(expect![[r#"
        error: failed to download Debian's packages
        caused by: http://MIRROR/debian does not have `P7`
        caused by: failed to download `http://MIRROR/debian/P7`
        caused by: `http://MIRROR/debian/P7` is not there
        hint: name another mirror of Debian's packages in `FMTK_DEBIAN_MIRROR`, or give a base image of your own with `--base`
    "#]]);
    assert_eq!(bed.have(), 19);
    bed.archive.put_blob(REPOSITORY, &contents(7));
    bed.fetch().unwrap();
}

/// The store's error, such as a full disk, was taken for the archive's.
#[test]
fn a_store_that_takes_nothing_is_told_though_the_mirror_lacks_packages() {
    let bed = Bed::new();
    bed.mirror.plan(Fault::on("GET", "/blobs/", page(404, "")).always());
    (0..20).for_each(|number| drop(bed.archive.put_blob(REPOSITORY, &contents(number))));
    let unfinished = bed.store.root().join("tmp");
    fs::remove_dir_all(&unfinished).unwrap();
    fs::write(&unfinished, "").unwrap();
    let shown = report::render(&bed.fetch().unwrap_err()).replace(&*bed.store.root().to_string_lossy(), "STORE");
    assert_eq!(shown.lines().next(), Some("error: failed to create a temporary file in `STORE/tmp`"));
    assert!(!shown.contains("hint: "), "{shown}");
}

#[test]
fn another_file_under_the_name_is_refused() {
    let bed = Bed::new();
    bed.mirror.plan(Fault::on("GET", &bed.packages[5].path, What::FlipBit).always());
    bed.fails(expect![[r#"
        error: failed to download Debian's packages
        caused by: failed to download `P5`
        caused by: `http://MIRROR/debian/P5` from `MIRROR` has digest sha256:c8b0bc0ce64ccd76c7fbf81609761cfe2f8276d52e62d4a4f502c2af5a71a804, not P5
        hint: something answers in place of http://MIRROR/debian, or its copy is damaged; if this network has a sign-in page, sign in first; else name another mirror of Debian's packages in `FMTK_DEBIAN_MIRROR`, or give a base image of your own with `--base`
    "#]]);
    assert!(!bed.store.has(&bed.packages[5].digest, 40_000));
}

#[test]
fn the_page_of_a_captive_portal_is_no_package() {
    let bed = Bed::new();
    bed.mirror.plan(Fault::on("GET", "/blobs/", page(200, "<html>Please sign in</html>")).always());
    bed.fails(expect![[r#"
        error: failed to download Debian's packages
        caused by: failed to download `http://MIRROR/debian/P0`
        caused by: `http://MIRROR/debian/P0` from `MIRROR` has 27 bytes, not 40000
        hint: something answers in place of http://MIRROR/debian, or its copy is damaged; if this network has a sign-in page, sign in first; else name another mirror of Debian's packages in `FMTK_DEBIAN_MIRROR`, or give a base image of your own with `--base`
    "#]]);
    assert_eq!(bed.have(), 0);
}

#[test]
fn a_mirror_that_wants_a_login_is_told_so() {
    let bed = Bed::with(Options {
        auth: Auth::Basic { user: "me".to_owned(), password: "secret".to_owned() },
        ..Options::default()
    });
    bed.fails(expect![[r#"
        error: failed to download Debian's packages
        caused by: failed to download `http://MIRROR/debian/P0`
        caused by: `MIRROR` wants a login (none is stored): authentication required (UNAUTHORIZED)
        hint: give the mirror's login with its address, `FMTK_DEBIAN_MIRROR=http://USER:PASSWORD@HOST/debian`; or name another mirror of Debian's packages in `FMTK_DEBIAN_MIRROR`, or give a base image of your own with `--base`
    "#]]);
    let address = format!("http://me:secret@{}/v2/{REPOSITORY}/blobs", bed.mirror.host());
    let [_, archive] = bed.servers();
    fetch(&bed.store, &bed.packages, &[server(&address), archive], &Progress::new(true)).unwrap();
}

/// Each of the packages would wait as long: the first failure is enough.
#[test]
fn a_mirror_that_is_not_there_is_asked_a_few_times_only() {
    let mut bed = Bed::new();
    let host = bed.mirror.host();
    bed.mirror = Double::start();
    let servers = [server(&format!("http://{host}/debian")), server(&format!("http://{}/debian", bed.archive.host()))];
    let error = fetch(&bed.store, &bed.packages, &servers, &Progress::new(true)).unwrap_err();
    let shown = report::render(&error).replace(&host, "MIRROR");
    let first = shown.lines().next().unwrap();
    assert_eq!(first, "error: failed to download Debian's packages");
    assert!(shown.contains("connection refused by `MIRROR`"), "{shown}");
    expect!["hint: check the network and the proxies (`HTTP_PROXY`, `NO_PROXY`); or name another mirror of Debian's packages in `FMTK_DEBIAN_MIRROR`, or give a base image of your own with `--base`"].assert_eq(shown.lines().last().unwrap());
}

const DEBIAN: &str = "ID=debian\nVERSION_CODENAME=bookworm\n";

#[test]
fn the_mirror_is_that_of_the_main_suite() {
    let uris = "'http://sec.example/debian-security/dists/bookworm-security/InRelease' x 0 \n\
        'https://maker.example/debian/dists/bookworm/InRelease' x 0 \n\
        'http://near.example/debian/dists/bookworm/InRelease' x 0 \n\
        'http://near.example/debian/dists/bookworm-updates/InRelease' x 0 \n\
        'http://near.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' x 0 \n";
    assert_eq!(choose(uris, DEBIAN).as_deref(), Some("http://near.example/debian"));
    let one = |uri: &str| choose(&format!("'{uri}' x 0 \n"), DEBIAN);
    assert_eq!(one("http://a.example/debian/dists/stable/InRelease").as_deref(), Some("http://a.example/debian"));
    assert_eq!(one("mirror+file:/etc/apt/mirrors/dists/stable/InRelease"), None);
    assert_eq!(one("http://a.example/debian/dists/bookworm-backports/InRelease"), None);
}

#[test]
fn a_descendant_of_debian_has_no_mirror_of_debian() {
    let uris = "'http://mirror.example/ubuntu/dists/jammy/InRelease' x 0 \n";
    assert_eq!(choose(uris, "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=jammy\n"), None);
    assert_eq!(choose("", DEBIAN), None);
    assert_eq!(choose("E: something else\n", DEBIAN), None);
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
