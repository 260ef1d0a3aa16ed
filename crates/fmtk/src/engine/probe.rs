//! What engines need to be told, each with its reason, and whether programs for arm64 run in a container at all: seen
//! with a small static one, before a base of gigabytes is loaded and an installer runs for minutes.

use anyhow::{Context, anyhow};
use oci_image::{
    Attr, Descriptor, Digest, Format, Image, LayerOptions, MTIME, ParentDirs, Store, TreeEntry, TreeKind, tree_layer,
};
use serde_json::json;

use super::{Answer, EngineCommand, ask, load};
use crate::terminal::{
    progress::Progress,
    report::{self, WithHint},
};

const PROGRAM: &str = "/fmtk-launch";

/// Finds the first way to run a container for arm64, with an image of this name, which is loaded: it holds
/// the program with this digest, which the store has.
pub fn probe(
    store: &Store,
    program: &'static str,
    name: &str,
    tool: &Digest,
    progress: &Progress,
) -> anyhow::Result<EngineCommand> {
    let _step = progress.step(format!("running a small program for arm64 in {program}"));
    let image = image(store, tool)?;
    let ways = ways(program);
    let plain = ways.first().context("no way to run an engine is known")?;
    let id = load(plain, &image, store, name, progress)?;
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

/// The ways to try, the plainest first.
fn ways(program: &'static str) -> Vec<EngineCommand> {
    let way = |global: &[&'static str], create: &[&'static str]| EngineCommand {
        program,
        global: global.to_vec(),
        create: [create, platform(program)].concat(),
    };
    match program {
        "podman" => {
            vec![way(&[], &[]), way(&[], LIMITS), way(&["--runtime", "runc"], &[]), way(&["--runtime", "runc"], LIMITS)]
        }
        _ => vec![way(&[], &[])],
    }
}

/// podman sets limits that root may not raise where it lacks CAP_SYS_RESOURCE, as in some CI sandboxes; docker's are
/// those of its daemon. And crun refuses a mix of cgroup versions that runc takes.
const LIMITS: &[&str] = &["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];

/// docker 18.09 takes `--platform` only in experimental mode, so there the image, which we have loaded and call by its
/// id, has to do; from API 1.41 (20.10) on it takes it, and with containerd's image store it looks for the host's
/// platform unless told. podman only warns that the image is for another.
fn platform(program: &str) -> &'static [&'static str] {
    if program != "docker" {
        return &[];
    }
    match ask(&EngineCommand::plain("docker"), &["version", "--format", "{{.Server.APIVersion}}"]) {
        Ok(Answer::Said(said)) if takes_platform(&said) => &["--platform", "linux/arm64"],
        _ => &[],
    }
}

/// By the version of the daemon's API.
fn takes_platform(api: &str) -> bool {
    let version = api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    version.is_some_and(|version: (u32, u32)| version >= (1, 41))
}

fn refused(program: &str, said: &[String]) -> anyhow::Result<EngineCommand> {
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
    let digest = Digest::of(&config);
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

    #[test]
    fn docker_of_18_09_is_not_told_a_platform() {
        assert!(!takes_platform("1.39"));
        assert!(takes_platform("1.41"));
        assert!(takes_platform("2.0"));
        assert!(!takes_platform(""));
    }

    #[test]
    fn podman_is_tried_with_limits_and_with_runc() {
        let ways = ways("podman");
        assert_eq!((&ways[0].global[..], &ways[0].create[..]), (&[][..], &[][..]));
        assert_eq!((&ways[3].global[..], &ways[3].create[..]), (&["--runtime", "runc"][..], LIMITS));
    }
}
