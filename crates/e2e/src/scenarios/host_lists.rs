//! Slurm's short way to write many nodes, as the launcher reads it, beside Slurm's own `scontrol`.

use anyhow::{Context, ensure};
use fmtk::resolve::place;

use super::world::World;

/// The launcher's own table, which its tests hold it to, is what `scontrol` says.
pub fn run(world: &World) -> anyhow::Result<()> {
    let table = place::workspace().join("crates/launcher/tests/host_lists.txt");
    let table = std::fs::read_to_string(&table).with_context(|| format!("failed to read `{}`", table.display()))?;
    // It expands lists without any cluster, but not without the file of one.
    let config = world.path("slurm.conf");
    std::fs::write(&config, "ClusterName=none\nSlurmctldHost=localhost\n").context("failed to write `slurm.conf`")?;
    let lines = table.lines().filter(|it| !it.starts_with('#'));
    let mut count = 0;
    for line in lines {
        let (list, hosts) = line.split_once(" => ").with_context(|| format!("no list and hosts: `{line}`"))?;
        let expanded = world.command("scontrol").env("SLURM_CONF", &config).args(["show", "hostnames", list]).run()?;
        let expanded: Vec<&str> = expanded.stdout.split_whitespace().collect();
        ensure!(expanded.join(" ") == hosts, "Slurm makes `{}` of `{list}`, not `{hosts}`", expanded.join(" "));
        count += 1;
    }
    world.say(format!("{count} lists are what Slurm makes of them"));
    Ok(())
}
