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

use super::world::World;
use crate::testbed::{Engine, Invocation, Kind, Log, Snapshot, read, recipe, unpack_relative, write};

/// The name of the module that `fmk.py` imports, and where a stand-in for it is.
const NEIGHBOUR: &str = "common.py";
/// The others of the vendor's scripts, as stubs.
const STUBS: [(&str, &str); 3] = [
    ("manager.py", "from fmk import FMK\n\n\nclass FMKManager:\n    ranks = [FMK]\n"),
    ("rank_table.py", "class RankTable:\n    devices = ()\n"),
    ("run_ascend910.py", "from manager import FMKManager\n\nprint(FMKManager.ranks)\n"),
];
/// A script without the places that the edits belong to.
const STRANGER: &str = "class FMK:\n    def start(self, command):\n        return command\n";
/// Neither the owner nor the mode that the recipe gives by itself.
const OWNER: (u64, u64) = (0, 100);
const MODE: u32 = 0o640;
/// The timestamp of the images here, so that docker's names of others are not taken.
const STAMP: &str = "20221028181326";

/// The base's `fmk.py` is patched, and nothing else of the base is in the layer; what cannot be patched stops the build.
pub fn of_base(world: &World, log: &Log) -> anyhow::Result<()> {
    let base = Base::new(world, log, "scripts-of-base", &look_alike()?)?;
    // The base is looked into without its scripts first: what was found then must not stand for what is asked later.
    let kept = base.build(world, log, "keep").run()?.json()?;
    ensure!(layers_of(&kept, "vendor")?.is_empty(), "`scripts=keep` put scripts into the image: {kept}");

    let built = base.build(world, log, "auto").run()?.json()?;
    let [layer] = &layers_of(&built, "vendor")?[..] else { bail!("not one layer has the vendor's scripts: {built}") };
    let layer = contents(log, &base.store, layer)?;
    let path = format!("{}/{PATCHED}", &FOLDER[1..]);
    let [before] = &layers_of(&base.built, "own files")?[..] else { bail!("the base has no layer of scripts") };
    let before = contents(log, &base.store, before)?;
    let names = [NEIGHBOUR, PATCHED].into_iter().chain(STUBS.map(|(name, _)| name));
    for name in names {
        let entry = before.entries.get(&format!("{}/{name}", &FOLDER[1..]));
        let entry = entry.with_context(|| format!("the base has no `{name}`"))?;
        ensure!((entry.mode, entry.owner) == (MODE, OWNER), "the base's `{name}` is not what it was to be: {entry:?}");
    }
    let mut expected = before;
    let below = format!("{}/", &FOLDER[1..]);
    expected.entries.retain(|other, _| *other == path || !other.starts_with(&below));
    let patched = patched(look_alike()?.as_bytes())?;
    if let Some(script) = expected.entries.get_mut(&path) {
        script.kind = Kind::File(patched.len() as u64, Digest::of(&patched));
    }
    ensure!(
        layer.entries == expected.entries,
        "the layer of scripts holds {:#?}\n    instead of {:#?}",
        layer.entries,
        expected.entries
    );
    log.say(&format!("the layer holds {} paths, and of scripts only {PATCHED}", layer.entries.len()));

    let archive = format!("docker-archive:{}", base.archive.display());
    let config = log.command("skopeo").args(["inspect", "--config", &archive]).run()?.json()?;
    for edit in Edit::ALL {
        let label = &config["config"]["Labels"][format!("fmtk.patch.{edit}")];
        ensure!(label == "applied", "the label of {edit} says {label}");
    }

    let strange = Base::new(world, log, "scripts-of-base/strange", STRANGER)?;
    let refused = strange.build(world, log, "auto").fails(2)?;
    refused.says(&[&format!("the base's `{FOLDER}/{PATCHED}` can't be patched"), "scripts=keep"])?;
    for edit in Edit::ALL {
        refused.says(&[&format!("{edit}: not-found: ")])?;
    }
    strange.build(world, log, "keep").run()?;
    log.say("a script that can't be patched is refused, and kept where that is asked for");
    Ok(())
}

/// A container's shell: every case starts a rank by `behave.py` and says on a line what it saw, after `ran` or `none`.
const TRIAL: &str = r#"
cd /tmp && mkdir here code && cd here
try() {
    name=$1 script=$2; shift 2; mkdir "/tmp/$name"
    said=$(env MA_VJ_NAME=ma-job-1 MA_MOUNT_PATH="/tmp/$name" "$@" python3 /trial/behave.py "$script") || exit 1
    if [ -e "/tmp/$name/seen.json" ]; then echo "ran $name $said"; else echo "none $name $said"; fi
}
python3 -c 'import platform, sys; print(platform.machine(), *sys.version_info[:2])'
ours=/home/ma-user/ascend910/fmk.py
try set $ours MODEL_TASK_CWD=/tmp/code
try log $ours MODEL_TASK_CWD=/tmp/code ASCEND_PROCESS_LOG_PATH=/tmp/own/log
try unset $ours
try empty $ours MODEL_TASK_CWD=
try missing $ours MODEL_TASK_CWD=/tmp/nowhere
try unpatched /trial/unpatched.py MODEL_TASK_CWD=/tmp/code
"#;

/// The image's own Python runs the patched script, and it does what the edits are for.
pub fn behave(world: &World, log: &Log) -> anyhow::Result<()> {
    let base = Base::new(world, log, "scripts-behave", &look_alike()?)?;
    let built = base.build(world, log, "auto").run()?.json()?;
    let name = built["image"].as_str().context("`image` printed no name")?;
    let docker = world.docker(log)?;
    docker.command(log).args(["load", "--quiet", "--input"]).arg(&base.archive).run()?;

    let trial = world.folder("scripts-behave/trial")?;
    write(&trial.join("behave.py"), &fs::read_to_string(shapes().join("behave.py"))?)?;
    write(&trial.join("unpatched.py"), &look_alike()?)?;
    let volume = format!("{}:/trial:ro", trial.display());
    let options = ["--volume", &volume, "--env", &format!("PYTHONPATH={FOLDER}")];
    let ran = docker.run(log, name, &options, &["sh", "-c", TRIAL])?;
    ensure!(ran.status.success(), ran.unexpected());

    let log_of = |name: &str| format!("/tmp/{name}/log/modelarts-job-1/ascend/process_log/rank_3");
    let saw = |cwd: &str, process_log: Value| json!({ "cwd": cwd, "process_log": process_log, "process_log_exists": process_log.is_string() });
    let no_folder = json!({ "error": "FileNotFoundError" });
    let expected = [
        ("ran set", saw("/tmp/code", log_of("set").into())),
        ("ran log", saw("/tmp/code", "/tmp/own/log".into())),
        ("ran unset", saw("/tmp/here", log_of("unset").into())),
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
        let said: Value = serde_json::from_str(said).with_context(|| format!("`{line}` is no JSON"))?;
        ensure!(said == expected, "`{case}`: {said} instead of {expected}");
        log.say(&format!("{case}: {said}"));
    }
    ensure!(lines.next().is_none(), "there were more cases:\n{}", ran.stdout);
    Ok(())
}

/// The scripts of the relative on PyPI, and their lines that the second edit belongs to.
const RELATIVES: [(&str, [usize; 2]); 2] =
    [("davincirunsdk/fmk.py", [149, 159]), ("davincirunsdk/notebook/fmk.py", [154, 165])];

/// Both scripts of the real relative get the edit that they lack, and keep every other byte.
pub fn relative(world: &World, log: &Log) -> anyhow::Result<()> {
    let folder = world.folder("scripts-relative")?;
    unpack_relative(log, &folder)?;
    for (name, places) in RELATIVES {
        let script = folder.join(name);
        let before = fs::read(&script).with_context(|| format!("failed to read `{}`", script.display()))?;
        let done = patch_file(&script, Edits::ALL, Backup::None)?;
        let [(Edit::LogPath, log_path), (Edit::CodeCwd, code_cwd)] = &done.report.edits[..] else {
            bail!("`{name}`: not both edits were judged: {:?}", done.report.edits)
        };
        ensure!(log_path.word() == "already-applied", "`{name}`: log-path: {log_path}");
        ensure!(*code_cwd == Status::Applied { lines: places.into() }, "`{name}`: code-cwd: {code_cwd}");
        let after = fs::read(&script).with_context(|| format!("failed to read `{}`", script.display()))?;
        ensure!(done.written && after != before, "`{name}` was not written");
        only_these_lines(&before, &after, &places).with_context(|| format!("`{name}`"))?;

        let inode = fs::metadata(&script)?.ino();
        let again = patch_file(&script, Edits::ALL, Backup::None)?;
        let has_both = again.report.edits.iter().all(|(_, status)| status.word() == "already-applied");
        ensure!(has_both, "`{name}`: the second run says {:?}", again.report.edits);
        ensure!(
            !again.written && fs::read(&script)? == after && fs::metadata(&script)?.ino() == inode,
            "the second run wrote `{name}`"
        );
        log.command("python3").args(["-m", "py_compile"]).arg(&script).run()?;
        log.say(&format!("{name}: code-cwd {code_cwd}, log-path {log_path}"));
    }
    Ok(())
}

/// An error unless both texts have CRLF throughout and differ in these lines alone, which became the edit's own.
fn only_these_lines(before: &[u8], after: &[u8], places: &[usize]) -> anyhow::Result<()> {
    let lines = |bytes| -> anyhow::Result<Vec<String>> {
        let text = std::str::from_utf8(bytes)?;
        let lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
        ensure!(!lines.iter().any(|line| line.contains(['\r', '\n'])), "not every line ends with CRLF");
        Ok(lines)
    };
    let (before, after) = (lines(before)?, lines(after)?);
    ensure!(before.len() == after.len(), "{} lines became {}", before.len(), after.len());
    let changed: Vec<usize> =
        (1..).zip(before.iter().zip(&after)).filter(|(_, (a, b))| a != b).map(|(n, _)| n).collect();
    ensure!(changed == places, "lines {changed:?} changed instead of {places:?}");
    for line in places.iter().map(|number| after[number - 1].trim_start()) {
        let expected = "with self.switch_directory(os.getenv(\"MODEL_TASK_CWD\", os.getcwd())):";
        ensure!(line == expected, "a line became `{line}`");
    }
    Ok(())
}

/// A user's own build by docker upon the pushed image.
pub fn incremental(world: &World, log: &Log) -> anyhow::Result<()> {
    let image = world.pushed(log)?;
    let docker = world.docker(log)?;
    docker.pull(log, &image, &world.login_folder())?;
    let context = world.folder("incremental")?;
    for name in ["code", "ascend910"] {
        world.folder(&format!("incremental/{name}"))?;
    }
    write(&context.join("code/train.py"), "print('trained')\n")?;
    let script = context.join("ascend910").join(PATCHED);
    let build = |tag: &str| {
        docker
            .command(log)
            // The oldest builder that users have, whatever plugins this machine has.
            .env("DOCKER_BUILDKIT", "0")
            .args(["build", "--platform", "linux/arm64", "--network", "none", "--tag", tag])
            .args(["--build-arg", &format!("IMAGE={image}"), "--file"])
            .arg(place::workspace().join("docker/incremental.Dockerfile"))
            .arg(&context)
    };

    // A change of the user's own, which the patch must keep.
    let own = look_alike()?.replace("str(1800)", "str(7200)");
    ensure!(own != look_alike()?, "the look-alike has no time-out to change");
    write(&script, &own)?;
    build("incremental").run()?;
    let look = format!("id -un; stat -c '%u:%g %a' {FOLDER}/{PATCHED}; python3 code/train.py; cat {FOLDER}/{PATCHED}");
    let seen = docker.run(log, "incremental", &["--workdir", "/home/ma-user"], &["sh", "-c", &look])?;
    let expected = format!("ma-user\n1000:100 644\ntrained\n{}", String::from_utf8(patched(own.as_bytes())?)?);
    ensure!(seen.status.success(), seen.unexpected());
    ensure!(seen.stdout == expected, "the user's image has:\n{}\n-- instead of:\n{expected}", seen.stdout);
    log.say("docker built it, with the user's own script patched");

    write(&script, STRANGER)?;
    let failed = build("strange").finish()?;
    ensure!(!failed.status.success(), "a script that can't be patched was built");
    let said = format!("{}{}", failed.stdout, failed.stderr);
    ensure!(said.contains("not-found") && said.contains("fmk-patch"), failed.unexpected());
    log.say("a script that can't be patched fails the build");
    Ok(())
}

/// The sample's base with the vendor's scripts upon it, and a store of its own.
struct Base {
    recipe: PathBuf,
    packages: PathBuf,
    store: PathBuf,
    layout: String,
    /// Where [`Base::build`] writes the image.
    archive: PathBuf,
    /// What `image --format json` said when the base was made.
    built: Value,
}

impl Base {
    /// Makes it in this folder of the run, with this as `fmk.py`.
    fn new(world: &World, log: &Log, folder: &str, fmk: &str) -> anyhow::Result<Self> {
        let sample = world.base(log)?;
        let own = world.folder(&format!("{folder}/ascend910"))?;
        vendors(&own, fmk)?;
        let packages = world.folder(&format!("{folder}/pkg"))?;
        let folder = world.folder(folder)?;
        let text = recipe(&[]);
        let (uid, gid) = OWNER;
        let files = format!(
            "{text}[[files]]\nfrom = \"ascend910\"\nto = \"{FOLDER}\"\nowner = \"{uid}:{gid}\"\nmode = \"{MODE:04o}\"\n"
        );
        write(&folder.join("base.toml"), &files)?;
        write(&folder.join("image.toml"), &text)?;
        let mut base = Self {
            recipe: folder.join("image.toml"),
            packages,
            store: folder.join("store"),
            layout: format!("oci:{}", folder.join("base").display()),
            archive: folder.join("image.tar"),
            built: Value::Null,
        };
        let made = base.image(world, log, &folder.join("base.toml"), &sample.to_string());
        base.built = made.args(["--output", &base.layout]).run()?.json()?;
        Ok(base)
    }

    /// `image` upon it, into a docker archive.
    fn build<'a>(&self, world: &World, log: &'a Log, scripts: &str) -> Invocation<'a> {
        self.image(world, log, &self.recipe, &self.layout)
            .args(["--set", &format!("scripts={scripts}"), "--output"])
            .arg(format!("docker-archive:{}", self.archive.display()))
    }

    fn image<'a>(&self, world: &World, log: &'a Log, recipe: &Path, base: &str) -> Invocation<'a> {
        world
            .xtask_in(log, &self.store)
            .args(["image", "--format", "json", "--timestamp", STAMP, "--base", base, "--recipe"])
            .arg(recipe)
            .arg("--pkg")
            .arg(&self.packages)
    }
}

/// Digests of the layers above the base whose content is called so.
fn layers_of(built: &Value, content: &str) -> anyhow::Result<Vec<String>> {
    let layers = built["layers"].as_array().context("`image` printed no layers")?;
    let named = layers.iter().filter(|layer| layer["content"].as_str().is_some_and(|text| text.contains(content)));
    named.map(|layer| Ok(layer["blob"]["digest"].as_str().context("a layer without digest")?.to_owned())).collect()
}

/// What a layer of the store, or of a layout, holds.
pub(super) fn contents(log: &Log, store: &Path, digest: &str) -> anyhow::Result<Snapshot> {
    let blob = store.join("blobs").join(digest.replace(':', "/"));
    let packed = fs::File::open(&blob).with_context(|| format!("failed to open `{}`", blob.display()))?;
    let mut child = log.command("gunzip").arg("--stdout").stdin(packed).stream()?;
    let snapshot = Snapshot::read(child.stdout.take().context("no pipe from gunzip")?);
    let status = child.wait().context("failed to wait for gunzip")?;
    ensure!(status.success(), "gunzip ended with {status}");
    snapshot
}

/// Writes look-alikes of the vendor's five scripts.
pub(super) fn look_alikes(folder: &Path) -> anyhow::Result<()> {
    vendors(folder, &look_alike()?)
}

/// The same with this as `fmk.py`.
fn vendors(folder: &Path, fmk: &str) -> anyhow::Result<()> {
    write(&folder.join(PATCHED), fmk)?;
    write(&folder.join(NEIGHBOUR), &fs::read_to_string(shapes().join("neighbours").join(NEIGHBOUR))?)?;
    STUBS.iter().try_for_each(|(name, text)| write(&folder.join(name), text))
}

/// Where the look-alikes of the vendor's scripts are.
fn shapes() -> PathBuf {
    place::workspace().join("crates/fmk-patch/tests/shapes")
}

/// The text of a script that lacks both edits.
fn look_alike() -> anyhow::Result<String> {
    read(&shapes().join("pristine.py"))
}

/// The same with both edits.
fn patched(script: &[u8]) -> anyhow::Result<Vec<u8>> {
    let report = fmk_patch::patch(script, Edits::ALL)?;
    ensure!(report.edits.iter().all(|(_, status)| status.word() == "applied"), "{:?}", report.edits);
    report.output.context("the look-alike has the edits already")
}
