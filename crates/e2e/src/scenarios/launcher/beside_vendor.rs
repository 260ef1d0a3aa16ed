//! The real relative of the vendor's launcher on PyPI beside ours: what it does wrong, and what it does right.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use fmk_patch::{Backup, Edits, patch_file};
use fmtk::resolve::tools;

use super::{
    defects::SITUATIONS,
    same,
    trial::{Launcher, Place},
};
use crate::{
    scenarios::world::World,
    testbed::{Log, copy_folder, unpack_relative_launcher},
};

/// Every defect shows with the vendor's launcher and not with ours; for ranks, both are the same.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let folder = world.folder("launcher-beside-vendor")?;
    let [modules, patched] = install(log, &folder)?;
    let program = tools::own_launcher()?;
    // The interpreter itself: a version manager's front would have variables of its own.
    let python = log.command("python3").args(["-c", "import sys; print(sys.executable)"]).run()?;
    let vendor = |modules: &Path| Launcher::vendor(python.text(), modules);
    let mut table = format!("{:36}  {:36}  ours\n", "situation", "the vendor's");
    let mut surprises = Vec::new();
    for (number, situation) in SITUATIONS.iter().enumerate() {
        let modules = if situation.is_patched { &patched } else { &modules };
        let judge = |launcher: Launcher| {
            let place = Place::new(log, &folder.join(format!("{number}-{}", launcher.name)), &launcher)?;
            (situation.run)(place).with_context(|| format!("{}: {}", situation.name, launcher.name))
        };
        let (theirs, ours) = (judge(vendor(modules))?, judge(Launcher::ours(&program, modules))?);
        let verdict = |is_right| if is_right { "ok" } else { "WRONG" };
        let _ = writeln!(
            table,
            "{:36}  {:36}  {}: {}",
            situation.name,
            format!("{}: {}", verdict(theirs.is_right), theirs.text),
            verdict(ours.is_right),
            ours.text
        );
        if !ours.is_right {
            surprises.push(format!("{}: ours: {}", situation.name, ours.text));
        }
        if theirs.is_right {
            surprises.push(format!("{}: the vendor's has no such defect: {}", situation.name, theirs.text));
        }
    }
    log.say(&table);
    ensure!(surprises.is_empty(), "it was otherwise than expected:\n    {}", surprises.join("\n    "));

    same::environments(log, &folder.join("same"), &vendor(&modules), &Launcher::ours(&program, &modules))?;
    same::tables(log, &folder.join("tables"), &vendor(&modules), &program)
}

/// The modules as they are on PyPI, and a copy with the edits of the manual.
fn install(log: &Log, folder: &Path) -> anyhow::Result<[PathBuf; 2]> {
    let modules = ["modules", "patched"].map(|name| folder.join(name));
    unpack_relative_launcher(log, &modules[0])?;
    copy_folder(log, &modules[0], &modules[1])?;
    let done = patch_file(&modules[1].join("davincirunsdk/fmk.py"), Edits::ALL, Backup::None)?;
    if !done.written {
        bail!("the relative's `fmk.py` was not patched: {:?}", done.report.edits);
    }
    Ok(modules)
}
