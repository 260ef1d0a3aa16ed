//! What `host-setup` and `doctor` do on hosts of several kinds. The machine's own files are never touched.

use std::path::Path;

use anyhow::{Context, ensure};

use super::world::{ORG, World};
use crate::testbed::{self, Docker, Engine, Log, PATIENCE};

/// Fixture roots: a name and the files of docker's package there, as its documentation has them.
const ROOTS: &[(&str, &[(&str, &str)])] = &[
    ("debian", &[("lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/sbin/dockerd -H fd://\n")]),
    (
        "debian-configured",
        &[
            ("lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/sbin/dockerd -H fd://\n"),
            (
                "etc/docker/daemon.json",
                "{\n\t\"log-driver\": \"json-file\",\n\t\"insecure-registries\": [\"a.example\"]\n}\n",
            ),
        ],
    ),
    (
        "euleros",
        &[
            (
                "usr/lib/systemd/system/docker.service",
                "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\nExecStart=/usr/bin/dockerd $OPTIONS $INSECURE_REGISTRY\n",
            ),
            ("etc/sysconfig/docker", "OPTIONS='--live-restore'\nINSECURE_REGISTRY=''\n"),
        ],
    ),
    ("ubuntu", &[("etc/init/docker.conf", "respawn\n"), ("etc/default/docker", "#DOCKER_OPTS=\"--dns 8.8.8.8\"\n")]),
];

/// Set up, a second time, and undone; docker itself reads what was made.
pub fn setup(world: &World, log: &Log) -> anyhow::Result<()> {
    for (name, files) in ROOTS {
        let root = world.folder(&format!("root-{name}"))?;
        for (path, text) in files.iter().chain(&[("etc/hosts", "127.0.0.1\tlocalhost\n")]) {
            let path = root.join(path);
            testbed::folder(path.parent().context("a file without a folder")?)?;
            testbed::write(&path, text)?;
        }
        let command = |flags: &[&str]| {
            let command = world.xtask(log).args(["host-setup", "--registry", "registry.example:5000", "--root"]);
            command.arg(&root).args(flags)
        };
        let before = listed(log, &root)?;
        let shown = command(&["--ip", "192.0.2.7", "--dry-run"]).run()?;
        ensure!(shown.stdout.contains("registry.example:5000"), "{name}: no diff: {}", shown.stdout);
        ensure!(listed(log, &root)? == before, "{name}: `--dry-run` changed something");
        command(&["--ip", "192.0.2.7"]).run()?;
        let after = listed(log, &root)?;
        ensure!(after != before, "{name}: nothing was changed");
        command(&["--ip", "192.0.2.7"]).run()?;
        ensure!(listed(log, &root)? == after, "{name}: a second run changed something");
        let config = root.join("etc/docker/daemon.json");
        if config.exists() {
            let settings = testbed::read(&config)?;
            let docker = Docker::start_with(log, &world.folder(&format!("docker-{name}"))?, true, &settings)?;
            let info = docker.command(log).args(["info", "--format", "{{json .RegistryConfig}}"]).run()?.json()?;
            let index = &info["IndexConfigs"]["registry.example:5000"];
            ensure!(index["Secure"] == false, "{name}: docker does not take it for insecure: {info}");
        }
        command(&["--undo"]).run()?;
        ensure!(listed(log, &root)? == before, "{name}: `--undo` left something");
    }
    Ok(())
}

/// Every file below a folder with its digest.
fn listed(log: &Log, root: &Path) -> anyhow::Result<String> {
    let script = "cd \"$1\" && find . -type f | sort | xargs sha256sum";
    Ok(log.command("sh").args(["-c", script, "sh"]).arg(root).run()?.stdout)
}

/// A host on which all is well, and what is wrong on others.
pub fn doctor(world: &World, log: &Log) -> anyhow::Result<()> {
    let host = world.registry(log)?.host();
    let base = world.base(log)?.to_string();
    let pkg = world.folder("doctor-pkg")?;
    let doctor = || {
        let mut command = world.xtask(log).args(["doctor", "--insecure", "--registry", &host, "--format", "json"]);
        for kind in ["cann", "moxing", "tuning-kit"] {
            command = command.args(["--set", &format!("packages.{kind}.required=false")]);
        }
        command.args(["--set", "pypi.requirements=[]", "--base", &base, "--pkg"]).arg(&pkg)
    };
    let well = doctor().args(["--org", ORG]).run()?;
    // How long a machine that is not busy takes is measured by `bench base`.
    ensure!(well.time < PATIENCE, "it took {} s", well.time.as_secs_f32());

    let none = world.folder("doctor-no-login")?;
    let ill = doctor().args(["--org", "Mindxsdk"]).env("DOCKER_CONFIG", &none).fails(1)?.json()?;
    let wrong: Vec<&str> = ill
        .as_array()
        .context("`doctor` printed no list")?
        .iter()
        .filter(|finding| finding["state"] == "wrong")
        .filter_map(|finding| finding["check"].as_str())
        .collect();
    ensure!(wrong == ["organisation", "login"], "found wrong were {wrong:?}");
    let all = ill.as_array().into_iter().flatten();
    let lost: Vec<_> = all.filter(|one| one["state"] != "good" && one["way_out"].is_null()).collect();
    ensure!(lost.iter().all(|one| one["state"] == "unknown"), "without a way out: {lost:?}");
    Ok(())
}
