//! `images` as it is run, against a registry in memory.

use expect_test::expect;
use registry_fake::{FakeRegistry, Fault, Options, What};
use serde_json::{Value, json};

use crate::program::{program, run};

const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OLD: &str = "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325";
const TORCH: &str = "pytorch_2.7.1-cann_8.3.RC1-py_3.11-ubuntu_22.04-aarch64-d910b-20221031000000";
const NEW: &str = "py_3.9-ms_1.9.0_cann_none-euler_2.8.3-aarch64-d910-20221109000000";

fn images(host: &str, flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let images = ["images", "--org", "o", "--registry", host, "--insecure"];
    let (code, listed, said) = run(program(folder.path(), &[&images, flags].concat()));
    assert_eq!(code, Some(0), "{said}");
    listed
}

fn manifest(size: u64) -> Vec<u8> {
    let blob = |media_type: &str, size: u64| {
        let digest = format!("sha256:{}", "0".repeat(64));
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    };
    let layer = blob("application/vnd.docker.image.rootfs.diff.tar.gzip", size);
    let config = blob("application/vnd.docker.container.image.v1+json", 2);
    json!({ "schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": [layer, layer] }).to_string().into()
}

#[test]
fn every_page_is_listed_the_newest_first_with_digest_and_size() {
    let fake = FakeRegistry::with(Options { page: 2, ..Options::default() });
    for (tag, size) in [(OLD, 1_000), (TORCH, 7), (NEW, 250_000_000), ("base", 7)] {
        fake.put_manifest("o/fmtk-ma", tag, DOCKER, &manifest(size));
    }
    let index = json!({ "schemaVersion": 2, "manifests": [] }).to_string();
    fake.put_manifest("o/fmtk-ma", "several", "application/vnd.oci.image.index.v1+json", index.as_bytes());
    expect![[r#"
        o/fmtk-ma:py_3.9-ms_1.9.0_cann_none-euler_2.8.3-aarch64-d910-20221109000000             a943b58612e0   500.0 MB  2022-11-09T00:00:00Z
        o/fmtk-ma:pytorch_2.7.1-cann_8.3.RC1-py_3.11-ubuntu_22.04-aarch64-d910b-20221031000000  53756b49a088       14 B  2022-10-31T00:00:00Z
        o/fmtk-ma:py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325          e0ad7c57005e     2.0 kB  2022-10-28T18:13:25Z
        o/fmtk-ma:base                                                                          53756b49a088       14 B
        o/fmtk-ma:several                                                                       bc5857ac9458
    "#]].assert_eq(&images(&fake.host(), &[]));

    let json: Value = serde_json::from_str(&images(&fake.host(), &["--format", "json"])).unwrap();
    let expected = json!({
        "user_image_url": format!("o/fmtk-ma:{NEW}"),
        "tag": NEW,
        "python": "3.9",
        "mindspore": "1.9.0",
        "cann": "none",
        "os": "euler_2.8.3",
        "versions": {
            "python": "3.9", "mindspore": "1.9.0", "cann": "none",
            "os": "euler_2.8.3", "arch": "aarch64", "chip": "d910",
        },
        "timestamp": "20221109000000",
        "created": "2022-11-09T00:00:00Z",
        "digest": fake.tag("o/fmtk-ma", NEW),
        "size": 500_000_000,
    });
    assert_eq!(json[0], expected);
    assert_eq!((&json[1]["versions"]["torch"], &json[1]["mindspore"]), (&json!("2.7.1"), &Value::Null));
}

#[test]
fn a_manifest_that_can_not_be_had_leaves_its_image_in_the_list() {
    let fake = FakeRegistry::start();
    fake.put_manifest("o/fmtk-ma", OLD, DOCKER, &manifest(1));
    fake.plan(Fault::status("GET", "/manifests/", 404, "MANIFEST_UNKNOWN", "gone").always());
    let line = images(&fake.host(), &[]);
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), [&format!("o/fmtk-ma:{OLD}"), "2022-10-28T18:13:25Z"]);
}

#[test]
fn what_the_registry_warns_of_is_printed_once() {
    let fake = FakeRegistry::start();
    for tag in [OLD, NEW] {
        fake.put_manifest("o/fmtk-ma", tag, DOCKER, &manifest(1));
    }
    let warning = What::Header("Warning", "299 - \"this registry ends soon\"".to_owned());
    fake.plan(Fault::on("GET", "/manifests/", warning).always());
    let folder = tempfile::tempdir().unwrap();
    let (code, _, said) = run(program(folder.path(), &["images", "--org", "o", "--registry", &fake.host()]));
    assert_eq!(code, Some(0), "{said}");
    let expected = format!("warning: `{}` says: this registry ends soon\n", fake.host());
    assert_eq!((said.matches("soon").count(), said.contains(&expected)), (1, true), "{said}");
}

#[test]
fn an_organisation_that_nobody_pushed_to_is_told_so() {
    let fake = FakeRegistry::start();
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["images", "--org", "nobody", "--registry", &fake.host(), "--insecure"];
    let (code, listed, said) = run(program(folder.path(), &arguments));
    assert_eq!((code, listed.as_str()), (Some(1), ""), "{said}");
    expect![[r#"
        error: failed to list the images of `nobody` on `HOST`
        caused by: failed to list tags of `HOST/nobody/fmtk-ma`
        caused by: `HOST/nobody/fmtk-ma` is not there: repository name not known to registry (NAME_UNKNOWN)
        hint: nothing was pushed as `nobody/fmtk-ma` yet, or the organisation has another name
    "#]]
    .assert_eq(&said.replace(&fake.host(), "HOST"));
}

/// The HTTP client took the environment's proxy for the way to the proxy itself, and so on until the stack was full.
#[test]
fn a_proxy_of_the_environment_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path(), &["images", "--org", "o", "--registry", "reg.invalid:5000", "--insecure"]);
    command.env_remove("NO_PROXY").env_remove("no_proxy").env("HTTP_PROXY", "http://127.0.0.1:1");
    command.env("HTTPS_PROXY", "http://127.0.0.1:1");
    let (code, _, said) = run(command);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("through the proxy `127.0.0.1:1`"), "{said}");
}
