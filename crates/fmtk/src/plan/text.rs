//! The plan as `--dry-run` prints it for people.

use std::fmt;

use crate::{
    plan::{Plan, PlannedCann, PlannedEdit, PlannedFolder, PlannedLayer, PlannedWheel},
    resolve::own_file::PlannedFile,
    terminal::progress::{bytes, count},
};

fn wheel_line(f: &mut fmt::Formatter<'_>, start: &str, wheel: &PlannedWheel) -> fmt::Result {
    let file = wheel.path.file_name().unwrap_or_default().to_string_lossy();
    let digest = wheel.sha256.short();
    writeln!(f, "{start:<7} {:<32} {:>9}  {digest} {file}", wheel.content(), bytes(wheel.size))?;
    in_pieces(f, wheel.pieces)
}

/// How small the files of a layer will be is known beforehand where they are taken over as they are.
fn in_pieces(f: &mut fmt::Formatter<'_>, pieces: usize) -> fmt::Result {
    if pieces > 1 { writeln!(f, "      + in up to {}", count(pieces, "layer")) } else { Ok(()) }
}

/// CANN, and what becomes of what its installer writes.
fn cann_lines(f: &mut fmt::Formatter<'_>, content: &str, cann: &PlannedCann) -> fmt::Result {
    let file = cann.path.file_name().unwrap_or_default().to_string_lossy();
    let digest = cann.sha256.short();
    let size = match cann.engine {
        _ if !cann.layers.is_empty() => bytes(cann.layers.iter().map(|layer| layer.size).sum()),
        Some(engine) => format!("by {engine}"),
        None => "unmade".to_owned(),
    };
    writeln!(f, "layer   {content:<32} {size:>9}  {digest} {file}")?;
    if cann.layers.len() > 1 {
        writeln!(f, "      + in {}", count(cann.layers.len(), "layer"))?;
    }
    if cann.user {
        writeln!(f, "      + user HwHiAiUser")?;
    }
    cann.outside.iter().try_for_each(|path| writeln!(f, "      + {path}"))?;
    cann.removed.iter().try_for_each(|path| writeln!(f, "      - {path}"))?;
    let dropped =
        if cann.layers.is_empty() { String::new() } else { format!(" ({})", count(cann.dropped as usize, "change")) };
    writeln!(f, "drop    {}{dropped}", cann.drop.join(" "))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, tag, base, layers, config, .. } = self;
        writeln!(f, "image   {repository}:{tag}")?;
        writeln!(f, "base    {}", base.reference)?;
        let looked = if base.inspected { "looked into" } else { "not looked into" };
        writeln!(f, "        {}, {}, {}, {looked}", count(base.layers, "layer"), bytes(base.size), base.digest)?;
        for layer in layers {
            match layer {
                PlannedLayer::Cann(cann) => cann_lines(f, &layer.content(), cann)?,
                PlannedLayer::Wheel(wheel) => wheel_line(f, "layer", wheel)?,
                PlannedLayer::SharedByWheels { wheels, pieces } => {
                    let size = wheels.iter().map(|wheel| wheel.size).sum();
                    writeln!(f, "layer   {:<32} {:>9}", format!("shared by {} wheels", wheels.len()), bytes(size))?;
                    in_pieces(f, *pieces)?;
                    wheels.iter().try_for_each(|wheel| wheel_line(f, "      +", wheel))?;
                }
                PlannedLayer::Whiteouts { paths, .. } => {
                    writeln!(f, "layer   {} ({} paths)", layer.content(), paths.len())?;
                }
                PlannedLayer::Scripts { scripts } | PlannedLayer::Front { files: scripts } => {
                    for script in scripts {
                        let owner = format!("{}:{}", script.uid, script.gid);
                        writeln!(f, "layer   {} {:04o} {owner} {}", script.to, script.mode, script.sha256.short())?;
                    }
                }
                PlannedLayer::Files { files, .. } => {
                    for PlannedFile { from, to, mode, uid, gid, size, .. } in files {
                        let (size, from) = (bytes(*size), from.display());
                        writeln!(f, "layer   {to} {mode:04o} {uid}:{gid} {size} from {from}")?;
                    }
                }
                PlannedLayer::Tools { paths } => writeln!(f, "layer   {}", paths.join(" "))?,
            }
        }
        for PlannedFolder { path, mode, uid, gid } in &self.folders {
            writeln!(f, "folder  {path} {mode:04o} {uid}:{gid}")?;
        }
        for PlannedEdit { edit, status } in self.scripts.iter().flat_map(|scripts| &scripts.edits) {
            writeln!(f, "patch   {edit}: {status}")?;
        }
        for (name, value) in &config.env {
            writeln!(f, "env     {name}={value}")?;
        }
        for (name, value) in &config.labels {
            writeln!(f, "label   {name}={value}")?;
        }
        if let Some(user) = &config.user {
            writeln!(f, "user    {user}")?;
        }
        if let Some(workdir) = &config.working_dir {
            writeln!(f, "workdir {workdir}")?;
        }
        Ok(())
    }
}
