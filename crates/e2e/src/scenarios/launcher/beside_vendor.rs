//! The real relative of the vendor's launcher on PyPI beside ours: what it does wrong, and what it does right.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use fmk_patch::{Backup, Edits, patch_file};
use fmtk::resolve::tools;

use super::{
    defects::SITUATIONS,
    same,
    sandbox::{Launcher, Sandbox},
};
use crate::{
    scenarios::world::World,
    testbed::{copy_folder, unpack_relative_launcher},
};

/// Every defect shows with the vendor's launcher and not with ours; for ranks, both are the same.
pub fn run(world: &World) -> anyhow::Result<()> {
    let (log, folder) = (&world.log, world.folder("launcher-beside-vendor")?);
    let [modules, patched] = install(world, &folder)?;
    let program = tools::own_launcher()?;
    // The interpreter itself: a version manager's front would have variables of its own.
    let python = world.command("python3").args(["-c", "import sys; print(sys.executable)"]).run()?;
    let both = |modules: &Path| [Launcher::vendor(python.text(), modules), Launcher::ours(&program, modules)];
    let mut table = format!("{:36}  {:36}  ours\n", "situation", "the vendor's");
    let mut surprises = Vec::new();
    for (number, (name, run, is_patched)) in SITUATIONS.iter().enumerate() {
        let [theirs, ours] = both(if *is_patched { &patched } else { &modules });
        let judge = |launcher: Launcher| {
            let sandbox = Sandbox::new(log, &folder.join(format!("{number}-{}", launcher.name)), &launcher)?;
            run(sandbox).with_context(|| format!("{name}: {}", launcher.name))
        };
        let (theirs, ours) = (judge(theirs)?, judge(ours)?);
        let told = |seen: &(bool, String)| format!("{}: {}", if seen.0 { "ok" } else { "WRONG" }, seen.1);
        table.push_str(&format!("{name:36}  {:36}  {}\n", told(&theirs), told(&ours)));
        if !ours.0 {
            surprises.push(format!("{name}: ours: {}", ours.1));
        }
        if theirs.0 {
            surprises.push(format!("{name}: the vendor's has no such defect: {}", theirs.1));
        }
    }
    world.say(&table);
    ensure!(surprises.is_empty(), "it was otherwise than expected:\n    {}", surprises.join("\n    "));

    let [vendor, ours] = both(&modules);
    same::environments(log, &folder.join("same"), &vendor, &ours)?;
    same::tables(log, &folder.join("tables"), &vendor, &program)
}

/// The modules as they are on PyPI, and a copy with the edits of the manual.
fn install(world: &World, folder: &Path) -> anyhow::Result<[PathBuf; 2]> {
    let modules = ["modules", "patched"].map(|name| folder.join(name));
    unpack_relative_launcher(&world.log, &modules[0])?;
    copy_folder(&world.log, &modules[0], &modules[1])?;
    let done = patch_file(&modules[1].join("davincirunsdk/fmk.py"), Edits::ALL, Backup::None)?;
    ensure!(done.written, "the relative's `fmk.py` was not patched: {:?}", done.report.edits);
    Ok(modules)
}
