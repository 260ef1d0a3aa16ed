//! `job`: what it prints starts the image that was pushed, with the command that was meant.

use anyhow::ensure;

use super::world::{ORG, TIMESTAMP, World};
use crate::testbed::{field, list, read};

/// What a rank says, with what shells read something into.
const RANK: &str = "echo \"rank $RANK_ID of $RANK_SIZE: it's \\$here  (a 'b')\"";

/// The address is that of the push, and ModelArts' command, split as a shell splits it, runs 2 nodes of 2 ranks.
pub fn run(world: &World) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let reference = world.pulled(podman)?;
    let job = |kind: &str| {
        let job =
            world.xtask().words("job --nodes 2 --devices 2 --kind").args([kind, TIMESTAMP, "--", "sh", "-c", RANK]);
        job.run()
    };
    let manifest = job("volcano")?.stdout;
    ensure!(manifest.contains(&format!("image: \"{reference}\"\n")), "another image than {reference}:\n{manifest}");

    let body = job("modelarts-api")?.json()?;
    let url = field(&body["algorithm"]["engine"], "image_url")?;
    ensure!(reference.ends_with(&format!("/{url}")) && url.starts_with(ORG), "the image is {url}, not {reference}");
    // The sample's MindSpore is one that starts from the platform's rank table.
    let command = field(&body["algorithm"], "command")?;
    ensure!(command.starts_with("fmtk-launch run -- sh -c '"), "each node runs {command}");
    let split = world.command("bash").args(["-c", &format!("printf '%s\\n' {command}")]).run()?.stdout;
    let out = world.folder("cluster-job")?.join("out");
    let tried = world.xtask().words("try --engine podman --nodes 2 --devices 2 --format json --out").arg(&out);
    let tried = podman.as_the_users(tried.args([TIMESTAMP, "--"]).args(split.lines()))?.run()?.json()?;
    for node in 0..2 {
        for (device, rank) in list(&tried["nodes"][node], "ranks")?.iter().enumerate() {
            let said = read(field(rank, "log")?.as_ref())?;
            let expected = format!("rank {} of 4: it's $here  (a 'b')\n", 2 * node + device);
            ensure!(said == expected, "a rank said `{said}` instead of `{expected}`");
        }
    }
    Ok(())
}
