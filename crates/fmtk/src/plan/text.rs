//! The plan as `--dry-run` prints it for people.

use std::fmt;

use crate::{
    plan::{Plan, PlannedCann, PlannedDeb, PlannedEdit, PlannedFolder, PlannedLayer, PlannedWheel},
    resolve::own_file::PlannedFile,
    terminal::progress::{bytes, count},
};

fn wheel_line(start: &str, wheel: &PlannedWheel) -> String {
    let file = wheel.path.file_name().unwrap_or_default().to_string_lossy();
    let (content, size, digest) = (wheel.content(), bytes(wheel.size), wheel.sha256.short());
    format!("{start:<7} {content:<32} {size:>9}  {digest} {file}\n{}", in_pieces(wheel.pieces))
}

fn folder_line(start: &str, PlannedFolder { path, mode, uid, gid }: &PlannedFolder) -> String {
    format!("{start:<7} {path} {mode:04o} {uid}:{gid}\n")
}

/// How small the files of a layer will be is known beforehand where they are taken over as they are.
fn in_pieces(pieces: usize) -> String {
    if pieces > 1 { format!("      + in up to {}\n", count(pieces, "layer")) } else { String::new() }
}

/// CANN, and what becomes of what its installer writes.
fn cann_lines(content: &str, cann: &PlannedCann) -> String {
    let PlannedCann { path, sha256, user, drop, engine, learns, layers, outside, removed, .. } = cann;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let size = match engine {
        _ if !layers.is_empty() => bytes(layers.iter().map(|layer| layer.size).sum()),
        Some(engine) => format!("by {engine}"),
        None => "missing".to_owned(),
    };
    let mut more = Vec::new();
    if layers.len() > 1 {
        more.push(format!("+ in {}", count(layers.len(), "layer")));
    }
    more.extend(user.then(|| "+ user HwHiAiUser".to_owned()));
    more.extend(learns.then(|| "+ the variables that its set_env.sh sets".to_owned()));
    more.extend(outside.iter().map(|path| format!("+ {path}")));
    more.extend(removed.iter().map(|path| format!("- {path}")));
    let more: String = more.iter().map(|line| format!("      {line}\n")).collect();
    format!("layer   {content:<32} {size:>9}  {} {file}\n{more}drop    {}\n", sha256.short(), drop.join(" "))
}

fn layer_lines(layer: &PlannedLayer) -> String {
    match layer {
        PlannedLayer::Cann(cann) => cann_lines(&layer.content(), cann),
        PlannedLayer::System(system) => {
            let line = |start: &str, deb: &PlannedDeb| {
                let (content, size) = (format!("{} {}", deb.name, deb.version), bytes(deb.package.size));
                format!("{start:<7} {content:<32} {size:>9}  {} {}\n", deb.package.sha256.short(), deb.package.file)
            };
            let starts = ["layer"].into_iter().chain(std::iter::repeat("      +"));
            starts.zip(&system.packages).map(|(start, deb)| line(start, deb)).collect()
        }
        PlannedLayer::Opened { folders } => folders.iter().map(|folder| folder_line("layer", folder)).collect(),
        PlannedLayer::Wheel(wheel) => wheel_line("layer", wheel),
        PlannedLayer::SharedByWheels { wheels, pieces } => {
            let size = bytes(wheels.iter().map(|wheel| wheel.size).sum());
            let of_wheels: String = wheels.iter().map(|wheel| wheel_line("      +", wheel)).collect();
            let content = format!("shared by {} wheels", wheels.len());
            format!("layer   {content:<32} {size:>9}\n{}{of_wheels}", in_pieces(*pieces))
        }
        PlannedLayer::Whiteouts { paths, .. } => format!("layer   {} ({} paths)\n", layer.content(), paths.len()),
        PlannedLayer::Scripts { scripts } | PlannedLayer::Front { files: scripts } => {
            let owned = scripts.iter().map(|it| (it, format!("{:04o} {}:{}", it.mode, it.uid, it.gid)));
            owned.map(|(it, owner)| format!("layer   {} {owner} {}\n", it.to, it.sha256.short())).collect()
        }
        PlannedLayer::Account { files, home, .. } => {
            let owned = files.iter().map(|it| (it, format!("{:04o} {}:{}", it.mode, it.uid, it.gid)));
            let files = owned.map(|(it, owner)| format!("layer   {} {owner} {}\n", it.to, it.sha256.short()));
            files.chain(home.iter().map(|home| folder_line("layer", home))).collect()
        }
        PlannedLayer::Files { files, .. } => {
            let line = |file: &PlannedFile| {
                let PlannedFile { from, to, mode, uid, gid, size, .. } = file;
                format!("layer   {to} {mode:04o} {uid}:{gid} {} from {}\n", bytes(*size), from.display())
            };
            files.iter().map(line).collect()
        }
        PlannedLayer::Tools { paths } => format!("layer   {}\n", paths.join(" ")),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, tag, base, layers, config, .. } = self;
        let looked = if base.inspected { "inspected" } else { "not inspected" };
        let (of_base, size) = (count(base.layers, "layer"), bytes(base.size));
        writeln!(f, "image   {repository}:{tag}\nbase    {}", base.reference)?;
        writeln!(f, "        {of_base}, {size}, {}, {looked}", base.digest)?;
        for (number, layer) in layers.iter().enumerate() {
            f.write_str(&layer_lines(layer))?;
            let from = self.layers_from.get(number).and_then(Option::as_ref);
            from.iter().try_for_each(|from| writeln!(f, "      = from {from}"))?;
        }
        self.bytecode.iter().try_for_each(|release| writeln!(f, "compile for Python {release}"))?;
        self.folders.iter().try_for_each(|folder| f.write_str(&folder_line("folder", folder)))?;
        for PlannedEdit { edit, status } in self.scripts.iter().flat_map(|scripts| &scripts.edits) {
            writeln!(f, "patch   {edit}: {status}")?;
        }
        config.env.iter().try_for_each(|(name, value)| writeln!(f, "env     {name}={value}"))?;
        config.labels.iter().try_for_each(|(name, value)| writeln!(f, "label   {name}={value}"))?;
        writeln!(f, "size    {}", bytes(self.size))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note    {note}"))?;
        config.user.iter().try_for_each(|user| writeln!(f, "user    {user}"))?;
        config.working_dir.iter().try_for_each(|workdir| writeln!(f, "workdir {workdir}"))
    }
}
