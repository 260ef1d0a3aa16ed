//! The image beside what pip leaves: the target's own Python runs pip on the same base with the same wheels.

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
};

use anyhow::ensure;
use fmtk::resolve::{front, place, tools};

use super::world::World;
use crate::testbed::{Difference, Engine, Entry, Kind, PLATFORM, Snapshot, copy, name, paths, pip, recipe, wheel};

/// Modules of click that have a set with `None` in it: before Python 3.11 its order depends on an address, so that we
/// leave them without bytecode.
const OF_NO_ORDER: [&str; 2] =
    ["click/__pycache__/_winconsole.cpython-39.pyc", "click/__pycache__/utils.cpython-39.pyc"];

/// Bytes of a wheel from which on it is not compiled here.
const LARGE: u64 = 4 << 20;

/// Every file, folder and link is what pip leaves; scripts do the same.
pub fn run(world: &World) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let image = world.pulled(podman)?;
    world.say("pip installs the wheels into the base, run by the base's own Python");
    let (said, reference) = reference(world, &world.wheels()?, "--no-compile")?;
    let ours = podman.files(&image)?;

    let scripts = generated_scripts(&reference);
    ensure!(!scripts.is_empty(), "pip generated no script");
    let differences = compare(&reference, &ours, &scripts);
    ensure!(differences.is_empty(), "{} differences:\n    {}", differences.len(), differences.join("\n    "));
    world.say(format!("{} paths equal pip's", reference.entries.len()));

    let names: Vec<String> = scripts.iter().map(|path| format!("/{path}")).collect();
    let options = ["--user", "0", "--env", "PYTHONDONTWRITEBYTECODE=1"];
    let done = podman.container(&image, &options, &["sh", "-c", &try_scripts(&names.join(" "))])?.run()?;
    ensure!(done.stdout == said, "the scripts behave otherwise than pip's:\n{}\n-- pip's:\n{said}", done.stdout);
    world.say(format!("{} scripts behave as pip's", scripts.len()));
    Ok(())
}

/// The same where pip compiles, which is its default, and our modules are compiled by the base's own Python. Of the largest
/// wheels there is nothing more to see, and pip would take minutes for them.
pub fn compiled(world: &World) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let wheels: Vec<PathBuf> = paths(&world.wheels()?)?
        .into_iter()
        .filter(|path| name(path).ends_with(".whl") && path.metadata().is_ok_and(|file| file.len() < LARGE))
        .collect();
    let names: Vec<String> = wheels.iter().map(|wheel| name(wheel)).collect();
    let kinds = (1..).zip(&names).map(|(number, name)| (format!("packages.kind{number}.glob"), name.as_str()));
    let kinds: Vec<(String, &str)> = kinds.collect();
    let mut changes: Vec<(&str, &str)> = kinds.iter().map(|(key, name)| (key.as_str(), *name)).collect();
    changes.push(("bytecode", "on"));
    let project = world.project("pip-compiled", &recipe(&changes))?;
    for wheel in &wheels {
        copy(wheel, &project.pkg().join(name(wheel)))?;
    }
    let archive = project.path("image.tar");
    let build = podman.as_the_users(project.image(world.base()?))?.words("--engine podman --allow-missing --output");
    build.arg(format!("docker-archive:{}", archive.display())).run()?;
    let ours = podman.files(&podman.load(&archive)?)?;
    let (_, reference) = reference(world, &project.pkg(), "")?;
    let differences = compare(&reference, &ours, &generated_scripts(&reference));
    ensure!(differences.is_empty(), "{} differences:\n    {}", differences.len(), differences.join("\n    "));
    let compiled = ours.entries.keys().filter(|path| path.ends_with(".pyc")).count();
    ensure!(compiled > wheels.len(), "only {compiled} modules are compiled");
    world.say(format!("{} paths equal pip's, {compiled} of them compiled modules", reference.entries.len()));
    Ok(())
}

/// What pip's scripts print, and all files of the base after pip. It is the pip that is pinned in `ci/pip.txt`.
fn reference(world: &World, wheels: &Path, compile: &str) -> anyhow::Result<(String, Snapshot)> {
    let (podman, base) = (world.podman()?, world.base_image()?);
    podman.pull(&base, &world.login_folder())?;
    let folder = world.folder("pip")?;
    let download = pip(&world.log, "download").words("--no-deps --python-version 3.9 --dest").arg(&folder);
    download.arg("--requirement").arg(place::workspace().join("ci/pip.txt")).run()?;
    let script = format!(
        "umask 022 && python3 /pip.whl/pip install --quiet --no-index --no-deps {compile} \
         --no-warn-script-location --root-user-action=ignore /wheels/*.whl && {}",
        try_scripts("/usr/local/bin/*")
    );
    let run = podman.command().words("run --name pip-reference --network none --platform").arg(PLATFORM);
    let run = run.args(podman.run_options(&base)?).words("--env PYTHONDONTWRITEBYTECODE=1 --env HOME=/nonexistent");
    let run = run.arg("--volume").arg(format!("{}:/wheels:ro", wheels.display()));
    let run = run.arg("--volume").arg(format!("{}:/pip.whl:ro", wheel(&folder, "pip-")?.display()));
    let done = run.args([&base, "sh", "-c", &script]).run();
    let files = podman.container_files("pip-reference");
    podman.command().words("rm --force pip-reference").run()?;
    let mut files = files?;
    // Where the wheels and pip were mounted.
    files.entries.retain(|path, _| path != "wheels" && path != "pip.whl");
    Ok((done?.stdout, files))
}

/// A shell loop that runs every script with `--help` and prints what it said on stdout and how it ended.
fn try_scripts(names: &str) -> String {
    format!(
        "for script in {names}; do case $script in */fm*) continue;; esac; \
         echo \"== $script\"; (cd /tmp && \"$script\" --help </dev/null 2>/dev/null); echo \"-- $?\"; done"
    )
}

/// Paths of the scripts that pip wrote for the entry points of the wheels.
fn generated_scripts(reference: &Snapshot) -> BTreeSet<String> {
    let mut names = HashSet::new();
    for (path, entry) in &reference.entries {
        let Some(text) = entry.text.as_deref().filter(|_| path.ends_with(".dist-info/entry_points.txt")) else {
            continue;
        };
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = matches!(line, "[console_scripts]" | "[gui_scripts]");
            } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
                names.insert(name.trim().to_owned());
            }
        }
    }
    let is_one = |path: &&String| path.strip_prefix("usr/local/bin/").is_some_and(|name| names.contains(name));
    reference.entries.keys().filter(is_one).cloned().collect()
}

/// Every way in which `ours` is not what pip left, apart from owners below the prefix, times and `direct_url.json`.
fn compare(pip: &Snapshot, ours: &Snapshot, scripts: &BTreeSet<String>) -> Vec<String> {
    let tools: Vec<&str> = tools::TOOLS.iter().map(|(_, _, path)| path.trim_start_matches('/')).collect();
    let told = |Difference { path, here, there }: Difference<'_>| match (here, there) {
        // pip was given files, of which it notes where they lay.
        (Some(_), _) if path.ends_with(".dist-info/direct_url.json") => None,
        (Some(_), None) if OF_NO_ORDER.iter().any(|module| path.ends_with(module)) => None,
        (Some(theirs), None) => Some(format!("/{path} is missing: pip leaves a {theirs}")),
        (Some(theirs), Some(our)) => difference(path, theirs, our, scripts),
        (None, _) if tools.contains(&path) || Path::new(front::PATH).starts_with(Path::new("/").join(path)) => None,
        (None, our) => Some(format!("/{path} is too much: a {}", our?)),
    };
    pip.differences(ours).filter_map(told).collect()
}

fn difference(path: &str, pip: &Entry, our: &Entry, scripts: &BTreeSet<String>) -> Option<String> {
    let told = |what: &str| Some(format!("/{path}: {what}: {our} instead of {pip}"));
    if our.mode != pip.mode {
        return told("mode");
    }
    if our.owner != pip.owner && !path.starts_with("usr/local/") {
        return told("owner");
    }
    if our.kind == pip.kind {
        return None;
    }
    // Its bytes are not the same twice with pip; the scenario `bytecode` compares what they say.
    if path.ends_with(".pyc") {
        return None;
    }
    let both_files = matches!((&our.kind, &pip.kind), (Kind::File(..), Kind::File(..)));
    if both_files && scripts.contains(path) {
        let first = |entry: &Entry| entry.text.as_deref().and_then(|text| text.lines().next()).map(str::to_owned);
        return if first(our) == first(pip) { None } else { told("first line of the script") };
    }
    if both_files && path.ends_with(".dist-info/RECORD") {
        let (our, pip) = (rows(our, scripts), rows(pip, scripts));
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
            one.difference(other).take(3).cloned().collect()
        };
        return (our != pip)
            .then(|| format!("/{path}: rows only here {:?}, only in pip's {:?}", only(&our, &pip), only(&pip, &our)));
    }
    told("contents")
}

/// The rows of a RECORD but its own and that of `direct_url.json`; of generated scripts only the path.
fn rows(entry: &Entry, scripts: &BTreeSet<String>) -> BTreeSet<String> {
    let row = |row: &str| {
        let path = match row.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next()?,
            None => row.split(',').next()?,
        };
        let script = path.strip_prefix("../../../bin/").map(|name| format!("usr/local/bin/{name}"));
        let is_generated = script.is_some_and(|script| scripts.contains(&script));
        let is_noted = path.ends_with(".dist-info/RECORD") || path.ends_with(".dist-info/direct_url.json");
        let is_noted = is_noted || OF_NO_ORDER.contains(&path);
        (!is_noted).then(|| if is_generated { path.to_owned() } else { row.to_owned() })
    };
    entry.text.as_deref().unwrap_or_default().lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use image_name::Digest;

    use super::*;

    fn file(text: &str, mode: u32) -> Entry {
        let digest = Digest::of(text);
        Entry { kind: Kind::File(text.len() as u64, digest), mode, owner: (0, 0), text: Some(text.to_owned()) }
    }

    const INFO: &str = "usr/local/lib/python3.9/dist-packages/a-1.dist-info";

    fn pips() -> Snapshot {
        Snapshot::of(&[
            ("usr/local/bin/a", file("#!/usr/bin/python3\npip's words\n", 0o755)),
            (
                &format!("{INFO}/RECORD"),
                file("../../../bin/a,sha256=p,9\na.py,sha256=x,1\na-1.dist-info/RECORD,,\n", 0o644),
            ),
            (&format!("{INFO}/direct_url.json"), file("{}", 0o644)),
            (&format!("{INFO}/entry_points.txt"), file("[console_scripts]\na = a:main\n[other]\nb = b:x\n", 0o644)),
            ("usr/local/lib/python3.9/dist-packages/a.py", file("x", 0o644)),
        ])
    }

    #[test]
    fn our_own_words_in_a_script_and_another_order_in_record_are_no_difference() {
        let ours = Snapshot::of(&[
            ("usr/local/bin/a", file("#!/usr/bin/python3\nour words\n", 0o755)),
            ("usr/local/bin/fmtk-launch", file("elf", 0o755)),
            (&format!("{INFO}/RECORD"), file("a.py,sha256=x,1\n../../../bin/a,sha256=q,8\n", 0o644)),
            (&format!("{INFO}/entry_points.txt"), file("[console_scripts]\na = a:main\n[other]\nb = b:x\n", 0o644)),
            ("usr/local/lib/python3.9/dist-packages/a.py", file("x", 0o644)),
        ]);
        let scripts = generated_scripts(&pips());
        assert_eq!(scripts, ["usr/local/bin/a".to_owned()].into());
        assert_eq!(compare(&pips(), &ours, &scripts), Vec::<String>::new());
    }

    #[test]
    fn every_other_difference_is_told() {
        let ours = Snapshot::of(&[
            ("usr/local/bin/a", file("#!/usr/bin/python3.9\nour words\n", 0o755)),
            (&format!("{INFO}/RECORD"), file("a.py,sha256=y,1\n../../../bin/a,sha256=q,8\n", 0o644)),
            ("usr/local/lib/python3.9/dist-packages/a.py", file("x", 0o755)),
            ("usr/local/lib/python3.9/dist-packages/b.py", file("x", 0o644)),
        ]);
        let scripts = generated_scripts(&pips());
        expect![[r#"
            /usr/local/bin/a: first line of the script: file of 31 bytes 961a63b7fc74 0755 0:0 instead of file of 31 bytes 889dc2f5318c 0755 0:0
            /usr/local/lib/python3.9/dist-packages/a-1.dist-info/RECORD: rows only here ["a.py,sha256=y,1"], only in pip's ["a.py,sha256=x,1"]
            /usr/local/lib/python3.9/dist-packages/a-1.dist-info/entry_points.txt is missing: pip leaves a file of 45 bytes 929d4987d51e 0644 0:0
            /usr/local/lib/python3.9/dist-packages/a.py: mode: file of 1 bytes 2d711642b726 0755 0:0 instead of file of 1 bytes 2d711642b726 0644 0:0
            /usr/local/lib/python3.9/dist-packages/b.py is too much: a file of 1 bytes 2d711642b726 0644 0:0"#]]
        .assert_eq(&compare(&pips(), &ours, &scripts).join("\n"));
    }
}
