//! The vendor's scripts: patched out of a base, run by the image's Python, and those of a real relative.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use fmk_patch::{Backup, Edit, Edits, Status, patch_file};
use fmtk::resolve::{
    place,
    scripts::{FOLDER, PATCHED},
};
use image_name::Digest;
use serde_json::{Value, json};

use super::world::{Project, World};
use crate::testbed::{
    Engine, Invocation, Kind, Log, bytes, copy, copy_folder, data, field, layer_files, list, names, own_files, read,
    recipe, unpack_relative, write,
};

/// A script without the places that the edits belong to.
const STRANGER: &str = "class FMK:\n    def start(self, command):\n        return command\n";
/// Neither the owner nor the mode that the recipe gives by itself.
const OWNER: (u64, u64) = (0, 100);
const MODE: u32 = 0o640;

/// The base's `fmk.py` is patched, and nothing else of the base is in the layer; what cannot be patched stops the build.
pub fn of_base(world: &World) -> anyhow::Result<()> {
    let base = Base::new(world, "scripts-of-base", &look_alike()?)?;
    // The base is inspected without its scripts first: what was found then must not stand for what is asked later.
    let kept = base.build("keep").json()?;
    ensure!(layers_of(&kept, "vendor")?.is_empty(), "`scripts=keep` put scripts into the image: {kept}");

    let built = base.build("auto").json()?;
    let files = |digest: &str| layer_files(&world.log, &base.project.store, digest);
    let [layer] = &layers_of(&built, "vendor")?[..] else { bail!("not one layer has the vendor's scripts: {built}") };
    let layer = files(layer)?;
    let [before] = &layers_of(&base.built, "own files")?[..] else { bail!("the base has no layer of scripts") };
    let mut expected = files(before)?;
    let below = format!("{}/", &FOLDER[1..]);
    let path = format!("{below}{PATCHED}");
    for name in names(&base.project.path("ascend910"))? {
        let entry = expected.entries.get(&format!("{below}{name}"));
        let entry = entry.with_context(|| format!("the base has no `{name}`"))?;
        ensure!((entry.mode, entry.owner) == (MODE, OWNER), "the base's `{name}` is not what it was to be: {entry:?}");
    }
    expected.entries.retain(|other, _| *other == path || !other.starts_with(&below));
    let patched = patched(look_alike()?.as_bytes())?;
    if let Some(script) = expected.entries.get_mut(&path) {
        script.kind = Kind::File(patched.len() as u64, Digest::of(&patched));
    }
    let (found, expected) = (layer.entries, expected.entries);
    ensure!(found == expected, "the layer of scripts holds {found:#?}\n    instead of {expected:#?}");
    world.say(format!("the layer holds {} paths, and of scripts only {PATCHED}", found.len()));

    let archive = format!("docker-archive:{}", base.archive.display());
    let config = world.command("skopeo").args(["inspect", "--config", &archive]).run()?.json()?;
    for edit in Edit::ALL {
        let label = &config["config"]["Labels"][format!("fmtk.patch.{edit}")];
        ensure!(label == "applied", "the label of {edit} says {label}");
    }

    let strange = Base::new(world, "scripts-of-base/strange", STRANGER)?;
    let refused = strange.build("auto").fails(2)?;
    refused.says(&[&format!("the base's `{FOLDER}/{PATCHED}` can't be patched"), "scripts=keep"])?;
    for edit in Edit::ALL {
        refused.says(&[&format!("{edit}: not-found: ")])?;
    }
    strange.build("keep").run()?;
    world.say("a script that can't be patched is refused, and kept where that is asked for");
    Ok(())
}

/// The image's own Python runs the patched script, and it does what the edits are for.
pub fn behave(world: &World) -> anyhow::Result<()> {
    let base = Base::new(world, "scripts-behave", &look_alike()?)?;
    let built = base.build("auto").json()?;
    let docker = world.docker()?;
    docker.command().words("load --quiet --input").arg(&base.archive).run()?;

    let trial = world.folder("scripts-behave/trial")?;
    copy(&shapes().join("behave.py"), &trial.join("behave.py"))?;
    write(&trial.join("unpatched.py"), look_alike()?)?;
    let options = [format!("--volume={}:/trial:ro", trial.display()), format!("--env=PYTHONPATH={FOLDER}")];
    let script = read(&data("patched_scripts.sh"))?;
    let options = options.each_ref().map(String::as_str);
    let ran = docker.container(field(&built, "image")?, &options, &["sh", "-c", &script])?.run()?;

    let saw = |cwd: &str, process_log: Value| json!({ "cwd": cwd, "process_log_exists": process_log.is_string(), "process_log": process_log });
    let log_of = |name: &str| format!("/tmp/{name}/log/modelarts-job-1/ascend/process_log/rank_3").into();
    let no_folder = json!({ "error": "FileNotFoundError" });
    let expected = [
        ("ran set", saw("/tmp/code", log_of("set"))),
        ("ran log", saw("/tmp/code", "/tmp/own/log".into())),
        ("ran unset", saw("/tmp/here", log_of("unset"))),
        ("none empty", no_folder.clone()),
        ("none missing", no_folder),
        // The script without the edits: what is seen above is their doing.
        ("ran unpatched", saw("/tmp/unpatched/workspace/device1", Value::Null)),
    ];
    let mut lines = ran.text().lines();
    let python = lines.next().unwrap_or_default();
    ensure!(python == "aarch64 3 9", "the scripts were run by `{python}`");
    for (case, expected) in expected {
        let line = lines.next().unwrap_or_default();
        let said = line.strip_prefix(case).with_context(|| format!("`{case}` was expected, not `{line}`"))?;
        let said: Value = serde_json::from_str(said).with_context(|| format!("`{line}` is not JSON"))?;
        ensure!(said == expected, "`{case}`: {said} instead of {expected}");
        world.say(format!("{case}: {said}"));
    }
    ensure!(lines.next().is_none(), "there were more cases:\n{}", ran.stdout);
    Ok(())
}

/// The scripts of the relative on PyPI, and their lines that the second edit belongs to.
const RELATIVES: [(&str, [usize; 2]); 2] =
    [("davincirunsdk/fmk.py", [149, 159]), ("davincirunsdk/notebook/fmk.py", [154, 165])];

/// Both scripts of the real relative get the edit that they lack, and keep every other byte.
pub fn relative(world: &World) -> anyhow::Result<()> {
    let folder = world.folder("scripts-relative")?;
    unpack_relative(&world.log, &folder)?;
    for (name, places) in RELATIVES {
        let script = folder.join(name);
        let before = bytes(&script)?;
        let done = patch_file(&script, Edits::ALL, Backup::None)?;
        let [(Edit::LogPath, log_path), (Edit::CodeCwd, code_cwd)] = &done.report.edits[..] else {
            bail!("`{name}`: not both edits were judged: {:?}", done.report.edits)
        };
        ensure!(log_path.word() == "already-applied", "`{name}`: log-path: {log_path}");
        ensure!(*code_cwd == Status::Applied { lines: places.into() }, "`{name}`: code-cwd: {code_cwd}");
        let after = bytes(&script)?;
        ensure!(done.written && after != before, "`{name}` was not written");
        only_these_lines(&before, &after, &places).with_context(|| format!("`{name}`"))?;

        let inode = fs::metadata(&script)?.ino();
        let again = patch_file(&script, Edits::ALL, Backup::None)?;
        let has_both = again.report.edits.iter().all(|(_, status)| status.word() == "already-applied");
        ensure!(has_both, "`{name}`: the second run says {:?}", again.report.edits);
        let is_untouched = bytes(&script)? == after && fs::metadata(&script)?.ino() == inode;
        ensure!(!again.written && is_untouched, "the second run wrote `{name}`");
        world.command("python3").args(["-m", "py_compile"]).arg(&script).run()?;
        world.say(format!("{name}: code-cwd {code_cwd}, log-path {log_path}"));
    }
    Ok(())
}

/// An error unless both texts have CRLF throughout and differ in these lines alone, which became the edit's own.
fn only_these_lines(before: &[u8], after: &[u8], places: &[usize]) -> anyhow::Result<()> {
    let lines = |bytes| -> anyhow::Result<Vec<String>> {
        let lines: Vec<String> = std::str::from_utf8(bytes)?.split("\r\n").map(str::to_owned).collect();
        ensure!(!lines.iter().any(|line| line.contains(['\r', '\n'])), "not every line ends with CRLF");
        Ok(lines)
    };
    let (before, after) = (lines(before)?, lines(after)?);
    ensure!(before.len() == after.len(), "{} lines became {}", before.len(), after.len());
    let pairs = (1..).zip(before.iter().zip(&after));
    let changed: Vec<usize> = pairs.filter(|(_, (old, new))| old != new).map(|(number, _)| number).collect();
    ensure!(changed == places, "lines {changed:?} changed instead of {places:?}");
    for line in places.iter().map(|number| after[number - 1].trim_start()) {
        let expected = "with self.switch_directory(os.getenv(\"MODEL_TASK_CWD\", os.getcwd())):";
        ensure!(line == expected, "a line became `{line}`");
    }
    Ok(())
}

/// A user's own build by docker upon the pushed image.
pub fn incremental(world: &World) -> anyhow::Result<()> {
    let docker = world.docker()?;
    let image = world.pulled(docker)?;
    let context = world.folder("incremental")?;
    write(&context.join("code/train.py"), "print('trained')\n")?;
    let script = context.join("ascend910").join(PATCHED);
    let build = |tag: &str| {
        let build = docker.build().words("--platform linux/arm64 --network none --tag").arg(tag);
        let build = build.arg("--build-arg").arg(format!("IMAGE={image}")).arg("--file");
        build.arg(place::workspace().join("docker/incremental.Dockerfile")).arg(&context)
    };

    // A change of the user's own, which the patch must keep.
    let own = look_alike()?.replace("str(1800)", "str(7200)");
    ensure!(own != look_alike()?, "the look-alike has no time-out to change");
    write(&script, &own)?;
    build("incremental").run()?;
    let look = format!("id -un; stat -c '%u:%g %a' {FOLDER}/{PATCHED}; python3 code/train.py; cat {FOLDER}/{PATCHED}");
    let options = ["--workdir", "/home/ma-user"];
    let seen = docker.container("incremental", &options, &["sh", "-c", &look])?.run()?.stdout;
    let expected = format!("ma-user\n1000:100 644\ntrained\n{}", String::from_utf8(patched(own.as_bytes())?)?);
    ensure!(seen == expected, "the user's image has:\n{seen}\n-- instead of:\n{expected}");
    world.say("docker built it, with the user's own script patched");

    write(&script, STRANGER)?;
    let failed = build("strange").finish()?;
    ensure!(!failed.status.success(), "a script that can't be patched was built");
    let said = format!("{}{}", failed.stdout, failed.stderr);
    ensure!(said.contains("not-found") && said.contains("fmk-patch"), failed.unexpected());
    world.say("a script that can't be patched fails the build");
    Ok(())
}

/// The sample's base with the vendor's scripts upon it, and a store of its own.
struct Base<'w> {
    project: Project<'w>,
    layout: String,
    /// Where [`Base::build`] writes the image.
    archive: PathBuf,
    /// What `image --format json` said when the base was made.
    built: Value,
}

impl<'w> Base<'w> {
    /// Makes it in this folder of the run, with this as `fmk.py`.
    fn new(world: &'w World, folder: &str, fmk: &str) -> anyhow::Result<Self> {
        let project = world.project(folder, &recipe(&[]))?;
        vendors(&world.log, &project.path("ascend910"), fmk)?;
        let files = own_files("ascend910", FOLDER, &format!("{MODE:04o}"));
        let owner = format!("owner = \"{}:{}\"\n", OWNER.0, OWNER.1);
        write(&project.path("base.toml"), recipe(&[]) + &files + &owner)?;
        let (layout, archive) = (format!("oci:{}", project.path("base").display()), project.path("image.tar"));
        let mut base = Self { project, layout, archive, built: Value::Null };
        base.built = base.image("base.toml", &world.base()?.to_string()).args(["--output", &base.layout]).json()?;
        Ok(base)
    }

    /// `image` upon it, into a docker archive.
    fn build(&self, scripts: &str) -> Invocation {
        let image = self.image("image.toml", &self.layout).args(["--set", &format!("scripts={scripts}")]);
        image.arg("--output").arg(format!("docker-archive:{}", self.archive.display()))
    }

    /// By a timestamp of its own, so that docker's names of others are not taken.
    fn image(&self, recipe: &str, base: &str) -> Invocation {
        self.project.command_of("image", recipe).args(["--timestamp", "20221028181326", "--base", base])
    }
}

/// Digests of the layers above the base whose content is called so.
fn layers_of(built: &Value, content: &str) -> anyhow::Result<Vec<String>> {
    let named =
        list(built, "layers")?.iter().filter(|layer| field(layer, "content").is_ok_and(|it| it.contains(content)));
    named.map(|layer| Ok(field(&layer["blob"], "digest")?.to_owned())).collect()
}

/// Writes look-alikes of the vendor's five scripts, with this as `fmk.py`.
pub fn vendors(log: &Log, folder: &Path, fmk: &str) -> anyhow::Result<()> {
    copy_folder(log, &data("ascend910"), folder)?;
    write(&folder.join(PATCHED), fmk)?;
    copy(&shapes().join("neighbours/common.py"), &folder.join("common.py"))
}

/// Where the look-alikes of the vendor's scripts are.
fn shapes() -> PathBuf {
    place::workspace().join("crates/fmk-patch/tests/shapes")
}

/// The text of a script that lacks both edits.
pub fn look_alike() -> anyhow::Result<String> {
    read(&shapes().join("pristine.py"))
}

/// The same with both edits.
fn patched(script: &[u8]) -> anyhow::Result<Vec<u8>> {
    let report = fmk_patch::patch(script, Edits::ALL)?;
    ensure!(report.edits.iter().all(|(_, status)| status.word() == "applied"), "{:?}", report.edits);
    report.output.context("the look-alike has the edits already")
}
