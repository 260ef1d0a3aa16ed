//! Whether programs for arm64 run in a container at all: seen with a small static one, before a base of gigabytes is
//! loaded and an installer runs for minutes.

use anyhow::{Context, anyhow};
use oci_image::{
    Attr, Descriptor, Digest, Format, Image, LayerOptions, MTIME, ParentDirs, Store, TreeEntry, TreeKind, tree_layer,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Way, load};
use crate::terminal::report::{self, WithHint};

const PROGRAM: &str = "/fmtk-launch";

/// Finds the first way to run a container for arm64, with an image of this name, which is loaded: it holds
/// the program with this digest, which the store has.
pub fn probe(store: &Store, program: &'static str, name: &str, tool: &Digest) -> anyhow::Result<Way> {
    let image = image(store, tool)?;
    let ways = Way::all(program);
    let plain = ways.first().context("no way to run an engine is known")?;
    let id = load(plain, &image, store, name)?;
    let mut said = Vec::new();
    for way in ways {
        let output = way
            .command()
            .args(["run", "--rm", "--network", "none"])
            .args(&way.create)
            .args([&id, PROGRAM, "--version"])
            .output()
            .with_context(|| format!("failed to run {program}"))?;
        if output.status.success() {
            return Ok(way);
        }
        said.push(super::said(output.status, &output.stderr));
    }
    refused(program, &said)
}

fn refused(program: &str, said: &[String]) -> anyhow::Result<Way> {
    let all = said.join("\n");
    let last = said.last().map(String::as_str).unwrap_or_default();
    if all.to_lowercase().contains("exec format error") {
        return Err(anyhow!("programs for arm64 do not run in containers of {program} here: {last}")).hint(
            "install emulation: `apt-get install qemu-user-static binfmt-support`, or, where there is no such package, \
             `docker run --privileged --rm tonistiigi/binfmt --install arm64`",
        );
    }
    Err(report::hinted(
        anyhow!("{program} can't run a container here: {last}"),
        format!(
            "see whether `{program} run --rm --network none IMAGE` works, or choose the other engine with `--engine`"
        ),
    ))
}

/// An image of one static program.
fn image(store: &Store, tool: &Digest) -> anyhow::Result<Image> {
    let attr = Attr { mode: 0o755, uid: 0, gid: 0, mtime: MTIME };
    let kind = TreeKind::Known { file: store.blob_path(tool), sha256: *tool };
    let none = ParentDirs::new();
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &none };
    let entry = TreeEntry { path: PROGRAM.to_owned(), attr, kind };
    let layer = tree_layer(store, vec![entry], options)?;
    let config = json!({
        "architecture": "arm64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
    });
    let config = serde_json::to_vec(&config)?;
    let format = Format::DockerV2;
    let blob = |media_type: &str, digest, size| Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        urls: Vec::new(),
    };
    let digest = Digest::from_bytes(Sha256::digest(&config).into());
    let config_descriptor = blob(format.config(), digest, config.len() as u64);
    let layers = vec![blob(format.layer(), layer.digest, layer.size)];
    Ok(Image { format, manifest: Vec::new(), digest, config, config_descriptor, layers })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn missing_emulation_is_told_apart_from_an_engine_that_can_not() {
        let said = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            report::render(&refused("podman", &texts).unwrap_err())
        };
        expect![[r#"
            error: programs for arm64 do not run in containers of podman here: exec /fmtk-launch: exec format error
            hint: install emulation: `apt-get install qemu-user-static binfmt-support`, or, where there is no such package, `docker run --privileged --rm tonistiigi/binfmt --install arm64`
        "#]]
        .assert_eq(&said(&["setrlimit", "exec /fmtk-launch: exec format error"]));
        expect![[r#"
            error: podman can't run a container here: no space left on device
            hint: see whether `podman run --rm --network none IMAGE` works, or choose the other engine with `--engine`
        "#]]
        .assert_eq(&said(&["no space left on device"]));
    }
}
