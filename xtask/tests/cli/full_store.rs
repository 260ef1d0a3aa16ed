//! A store that takes no more: its files can't become longer than nothing, as on a full disk.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use oci_image::Store;
use serde_json::json;

use crate::program::run;

/// As makeself 2.1 wrote it, with the MD5 of its payload.
const INSTALLER: &str = "#!/bin/bash\n# This script was generated using Makeself 2.1.5\nCRCsum=\"0000000000\"\n\
    MD5=\"b1946ac92492d2347c6235b4d2611184\"\nlabel=\"CANN\"\nfilesizes=\"6\"\n\
    offset=`head -n 7 \"$0\" | wc -c | tr -d \" \"`\nhello\n";

/// An image without layers, as an OCI layout.
fn base(folder: &Path) -> PathBuf {
    let layout = folder.join("base");
    let blobs = Store::open(&layout).unwrap();
    let blob = |media_type: &str, value: &serde_json::Value| {
        let bytes = value.to_string();
        let digest = blobs.put_blob(bytes.as_bytes()).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    };
    let rootfs = json!({ "type": "layers", "diff_ids": [] });
    let config = json!({ "architecture": "arm64", "os": "linux", "config": {}, "rootfs": rootfs });
    let config = blob("application/vnd.oci.image.config.v1+json", &config);
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [] });
    let manifest = blob("application/vnd.oci.image.manifest.v1+json", &manifest);
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    layout
}

#[test]
fn a_full_store_is_named_and_not_the_package() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (store, pkg) = (folder.join("store"), folder.join("pkg"));
    fs::create_dir(&pkg).unwrap();
    let installer = pkg.join("Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run");
    fs::write(&installer, INSTALLER).unwrap();
    let base = format!("oci:{}", base(folder).display());
    let image = ["image", "--dry-run", "--base", &base, "--pkg", pkg.to_str().unwrap(), "--set", "scripts=keep"];
    let only = ["moxing", "tuning-kit"].map(|kind| format!("--set=packages.{kind}.required=false"));
    let only: Vec<&str> = only.iter().map(String::as_str).chain(["--set", "pypi.requirements=[]"]).collect();
    for arguments in [&[&image[..], &only].concat()[..], &["inspect", installer.to_str().unwrap()]] {
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_xtask"), "--store"])
            .arg(&store)
            .args(arguments)
            // The recipe of this workspace is its user's.
            .env("CARGO_MANIFEST_DIR", folder.join("xtask"))
            .env_remove("RUST_BACKTRACE");
        let (code, _, said) = run(command);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("`{}/", store.display())) && said.contains("--store DIR"), "{said}");
        assert!(!said.contains("again") && !said.contains("can't be used"), "{said}");
    }
}
