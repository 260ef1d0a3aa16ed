//! What `host-setup` and `doctor` do on hosts of several kinds. The machine's own files are never touched.

use std::path::Path;

use anyhow::{Context, ensure};

use super::{
    doctor_fix::questions,
    world::{ORG, World},
};
use crate::testbed::{Docker, Engine, PATIENCE, copy_folder, data, names, read, write};

/// Set up, a second time, and undone, on hosts with the files of docker's packages there, as its documentation has them;
/// docker itself reads what was made.
pub fn setup(world: &World) -> anyhow::Result<()> {
    let hosts = data("hosts");
    for name in names(&hosts)? {
        let root = world.folder("roots")?.join(&name);
        copy_folder(&world.log, &hosts.join(&name), &root)?;
        write(&root.join("etc/hosts"), "127.0.0.1\tlocalhost\n")?;
        let setup = |flags: &str| {
            let setup = world.xtask().words("host-setup --registry registry.example:5000").words(flags);
            setup.arg("--root").arg(&root).run()
        };
        let before = listed(world, &root)?;
        setup("--ip 192.0.2.7 --dry-run")?.prints(&["registry.example:5000"])?;
        ensure!(listed(world, &root)? == before, "{name}: `--dry-run` changed something");
        setup("--ip 192.0.2.7")?;
        let after = listed(world, &root)?;
        ensure!(after != before, "{name}: nothing was changed");
        setup("--ip 192.0.2.7")?;
        ensure!(listed(world, &root)? == after, "{name}: a second run changed something");
        let config = root.join("etc/docker/daemon.json");
        if config.exists() {
            let folder = world.folder(&format!("docker-{name}"))?;
            let docker = Docker::start_with(&world.log, &folder, true, &read(&config)?)?;
            let info = docker.command().args(["info", "--format", "{{json .RegistryConfig}}"]).run()?.json()?;
            let index = &info["IndexConfigs"]["registry.example:5000"];
            ensure!(index["Secure"] == false, "{name}: docker does not take it for insecure: {info}");
        }
        setup("--undo")?;
        ensure!(listed(world, &root)? == before, "{name}: `--undo` left something");
    }
    Ok(())
}

/// Every file below a folder with its digest.
fn listed(world: &World, root: &Path) -> anyhow::Result<String> {
    let script = "cd \"$1\" && find . -type f | sort | xargs sha256sum";
    Ok(world.command("sh").args(["-c", script, "sh"]).arg(root).run()?.stdout)
}

/// A host on which all is well, and what is wrong on others.
pub fn doctor(world: &World) -> anyhow::Result<()> {
    let (questions, host) = (questions(world, false)?, world.host()?);
    let doctor = |org: &str| {
        let doctor = world.xtask().args(&questions).args(["--registry", &host, "--org", org]);
        doctor.words("--format json")
    };
    let well = doctor(ORG).run()?;
    // How long a machine that is not busy takes is measured by `bench base`.
    ensure!(well.seconds < PATIENCE.as_secs_f64(), "it took {} s", well.seconds);

    let ill = doctor("Mindxsdk").env("DOCKER_CONFIG", world.folder("doctor-no-login")?).fails(1)?.json()?;
    let findings = ill.as_array().context("`doctor` printed no list")?;
    let wrong = findings.iter().filter(|finding| finding["state"] == "wrong");
    let wrong: Vec<&str> = wrong.filter_map(|finding| finding["check"].as_str()).collect();
    ensure!(wrong == ["organisation", "login"], "found wrong were {wrong:?}");
    let lost: Vec<_> = findings.iter().filter(|one| one["state"] != "good" && one["way_out"].is_null()).collect();
    ensure!(lost.iter().all(|one| one["state"] == "unknown"), "without a hint: {lost:?}");
    Ok(())
}
