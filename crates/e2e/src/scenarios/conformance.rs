//! Conformance: what docker and podman build of the exported context is our image, file for file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value};
use wheel_double::WheelDouble;

use super::{
    engines::{base_image, show},
    scripts,
    world::{ORG, World},
};
use crate::testbed::{Docker, Engine, Kind, Log, Snapshot, cann_double, recipe, write};

/// Another one than the sample's, which later scenarios push by it.
const TIMESTAMP: &str = "20221028181326";
const CANN: &str = "5.1.RC2";
/// What quoting gets wrong, if it gets anything wrong.
const AWKWARD: &str = r#"a "b" 'c' $HOME ${HOME:-x} \ \\ 50 % # ü"#;

/// The differences that have a reason: engine, what differs, at which path or key, why. `*` is any.
const ALLOWED: &[(&str, &str, &str, &str)] = &[
    ("*", "link mode", "*", "no file system keeps the mode of a link; the base's archive has one all the same"),
    ("docker", "time", "etc", "docker puts files of its own into the `/etc` of every container, of our image's too"),
    ("docker", "config", "Image", "clients before 28 show the builder's note of the step before"),
    ("docker", "config", "Hostname", "clients before 28 show a container's name, of the last step"),
    ("podman", "config", "Labels io.buildah.version", "podman signs what it builds"),
];

/// A base with an older distribution and the vendor's scripts in it, CANN's stand-in, MindSpore with all that it
/// requires: the context of that image, built by docker and by podman.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let (podman, docker) = (world.podman(log)?, world.docker(log)?);
    let folder = world.folder("conformance")?;
    let base = old_base(world, log, &folder)?;
    let context = folder.join("context");
    let layout = exported(world, log, &folder, &base, docker)?;
    let ours = Seen::of_layout(log, &layout)?;
    let there = |path: &str| ours.files.entries.contains_key(path);
    let site = "usr/local/lib/python3.9/dist-packages";
    for path in [format!("{site}/mindspore/__init__.py"), format!("{site}/te.py"), "opt/outside/kept".to_owned()] {
        ensure!(there(&path), "the image has no `/{path}`");
    }
    for gone in [format!("{site}/packaging/old.py"), format!("{site}/packaging.py"), "etc/issue".to_owned()] {
        ensure!(!there(&gone), "the image has `/{gone}`, of the base");
    }
    log.say(&format!("the image has {} paths", ours.files.entries.len()));

    let base = argument(&context)?;
    let mut wrong = Vec::new();
    for engine in [docker as &dyn Engine, podman] {
        let built = built_by(log, engine, &context, &base).with_context(|| format!("{} failed", engine.name()))?;
        let (differences, allowed) = ours.compare(&built, engine.name());
        log.note(&format!("{differences:#?}\n{allowed:#?}\n"));
        let counts = format!("{} differences, and {} with a reason", differences.len(), allowed.len());
        log.say(&format!("{}: {} paths, {counts}", engine.name(), built.files.entries.len()));
        wrong.extend(differences.into_iter().map(|one| format!("{}: {one}", engine.name())));
    }
    let shown = wrong[..wrong.len().min(60)].join("\n    ");
    ensure!(wrong.is_empty(), "another image was made of the context; {} differences:\n    {shown}", wrong.len());
    Ok(())
}

/// What an engine makes of the context.
fn built_by(log: &Log, engine: &dyn Engine, context: &Path, base: &str) -> anyhow::Result<Seen> {
    const NAME: &str = "localhost/conformance:1";
    engine.command(log).args(["load", "--input"]).arg(context.join("base.tar")).run()?;
    let options = engine.run_options(log, base)?;
    let build = engine.command(log);
    let build = match engine.name() {
        // The oldest builder and protocol that users have: those of 18.09.
        "docker" => build.env("DOCKER_BUILDKIT", "0").env("DOCKER_API_VERSION", "1.39").arg("build"),
        // One layer in the end: podman's storage copies all files for each where it has no overlay.
        _ => build.args(["build", "--format", "docker", "--layers=false"]),
    };
    let built = build.args(options).args(["--tag", NAME]).arg(context).run()?;
    log.say(&format!("{} built it in {:.1} s", engine.name(), built.time.as_secs_f64()));
    Seen::of_engine(log, engine, NAME)
}

/// The context of an image upon a base in a registry: docker pulls the base by its digest, and what it made is pushed by
/// hand, as the manual has it.
pub fn pushed_by_hand(world: &World, log: &Log) -> anyhow::Result<()> {
    let docker = world.docker(log)?;
    let base = base_image(world, log)?;
    let folder = world.folder("context-pushed")?;
    let pkg = world.folder("context-pushed/pkg")?;
    WheelDouble::new("alpha").write(&pkg)?;
    let file = folder.join("image.toml");
    write(&file, recipe(&[("alpha", "alpha-*.whl")]))?;
    let context = folder.join("context");
    let image = || {
        let image = world.xtask_in(log, &folder.join("store")).args(["image", "--insecure", "--format", "json"]);
        let image =
            image.args(["--timestamp", TIMESTAMP, "--base", &base, "--recipe"]).arg(&file).arg("--pkg").arg(&pkg);
        image.arg("--output").arg(format!("context:{}", context.display()))
    };
    let built = image().run()?.json()?;
    let name = built["image"].as_str().context("`image` printed no name")?;
    ensure!(!context.join("base.tar").exists(), "a base that is in a registry was put into the context");

    let login = world.login_folder();
    let build = docker.command_as(log, &login).env("DOCKER_BUILDKIT", "0").args(["build", "--tag", name]);
    build.arg(&context).run()?;
    let seen = docker.run(log, name, &[], &["sh", "-c", "id -un; python3 -c 'import alpha; print(alpha.NAME)'"])?;
    ensure!(seen.text() == "ma-user\nalpha", seen.unexpected());
    let remote = format!("{}/{ORG}/{name}", world.registry(log)?.host());
    docker.command(log).args(["tag", name, &remote]).run()?;
    docker.command_as(log, &login).args(["push", &remote]).run()?;
    let inspect =
        || log.command("skopeo").args(["inspect", "--tls-verify=false", "--authfile"]).arg(login.join("config.json"));
    let manifest = inspect().args(["--raw", &format!("docker://{remote}")]).run()?.json()?;
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    ensure!(manifest["mediaType"] == kind, "docker pushed a {}", manifest["mediaType"]);
    let config = inspect().args(["--config", &format!("docker://{remote}")]).run()?.json()?;
    ensure!(config["architecture"] == "arm64", "docker pushed an image for {}", config["architecture"]);
    log.say("built upon a base of the registry, and pushed by docker");

    // A folder with something of the user's is left alone, before anything is built.
    write(&context.join("notes.txt"), "mine")?;
    image().fails(2)?.says(&["`notes.txt` is in it", "name a new or empty folder"])?;
    Ok(())
}

/// The sample's base with an older `packaging` and look-alikes of the vendor's scripts; its reference.
fn old_base(world: &World, log: &Log, folder: &Path) -> anyhow::Result<String> {
    let sample = world.base(log)?;
    let pkg = world.folder("conformance/base-pkg")?;
    WheelDouble::new("packaging")
        .file("packaging/__init__.py", b"old\n")
        .file("packaging/old.py", b"old\n")
        .write(&pkg)?;
    scripts::look_alikes(&world.folder("conformance/ascend910")?)?;
    let files = format!(
        "{}[[files]]\nfrom = \"ascend910\"\nto = \"{}\"\nmode = \"0640\"\n",
        recipe(&[("old", "packaging-1.0-*.whl")]),
        fmtk::resolve::scripts::FOLDER
    );
    let file = folder.join("base.toml");
    write(&file, &files)?;
    let base = format!("oci:{}", folder.join("base").display());
    let made = world.xtask(log).args(["image", "--timestamp", TIMESTAMP, "--base", &sample.to_string()]);
    made.arg("--recipe").arg(&file).arg("--pkg").arg(&pkg).args(["--output", &base]).run()?;
    Ok(base)
}

/// Builds the image, writes its context twice and its layout; where the layout is.
fn exported(world: &World, log: &Log, folder: &Path, base: &str, docker: &Docker) -> anyhow::Result<PathBuf> {
    let pkg = world.folder("conformance/pkg")?;
    cann_double(log, &pkg, CANN)?;
    let pypi = world.folder("conformance/pkg/pypi")?;
    let wheels = world.wheels(log)?;
    for entry in fs::read_dir(&wheels).with_context(|| format!("failed to list `{}`", wheels.display()))? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.extension().is_some_and(|extension| extension == "whl") {
            symlink(&path, pypi.join(name)).context("failed to link a wheel")?;
        }
    }
    let text = recipe(&[])
        .replace("scripts = \"keep\"", "scripts = \"auto\"")
        .replace("requirements = []", "requirements = [\"mindspore-ascend=={mindspore}\"]")
        .replace("cann = \"none\"", &format!("cann = \"{CANN}\""));
    let file = folder.join("image.toml");
    write(&file, format!("{text}labels.awkward = '''{AWKWARD}'''\nenvironment.AWKWARD = '''{}'''\n", own_dollars()))?;
    let (context, layout) = (folder.join("context"), folder.join("layout"));
    let build = |more: &[String]| {
        let build = world.xtask(log).args(["image", "--engine", "docker", "--format", "json", "--base", base]);
        let build = build.args(["--timestamp", TIMESTAMP]).arg("--recipe").arg(&file).arg("--pkg").arg(&pkg);
        let build = build.env("DOCKER_HOST", docker.host());
        build.arg("--output").arg(format!("context:{}", context.display())).args(more).run()
    };
    build(&["--output".to_owned(), format!("oci:{}", layout.display())])?;
    let sums = || fs::read(context.join("SHA256SUMS")).context("the context has no `SHA256SUMS`");
    let first = sums()?;
    // Another one takes its place, and nobody is to see a difference.
    let again = build(&[])?;
    ensure!(sums()? == first, "a context written twice is not the same");
    log.say(&format!("built again, and written, in {:.1} s", again.time.as_secs_f64()));
    log.command("sha256sum").args(["--check", "--quiet", "--strict", "SHA256SUMS"]).dir(&context).run()?;
    let mut names = BTreeSet::new();
    for folder in [context.clone(), context.join("layers")] {
        for entry in fs::read_dir(&folder).context("failed to list the context")? {
            names.insert(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    ensure!(!names.iter().any(|name| name.ends_with(".run")), "an installer is in the context: {names:?}");
    for name in ["Dockerfile", "README.md", "SHA256SUMS", ".dockerignore", "base.tar"] {
        ensure!(names.contains(name), "the context has no `{name}`: {names:?}");
    }
    Ok(layout)
}

/// As an `[environment]` may have it, where `${…}` is the base's.
fn own_dollars() -> String {
    AWKWARD.replace("${HOME:-x}", "$(x)")
}

/// What the Dockerfile builds upon.
fn argument(context: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(context.join("Dockerfile")).context("the context has no Dockerfile")?;
    let base = text.lines().find_map(|line| line.strip_prefix("ARG BASE="));
    base.map(str::to_owned).with_context(|| format!("the Dockerfile names no base:\n{text}"))
}

/// All that is compared of an image.
struct Seen {
    files: Snapshot,
    config: BTreeMap<String, String>,
    platform: (Value, Value),
}

impl Seen {
    /// Our image: its layers one upon the other.
    fn of_layout(log: &Log, layout: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| -> anyhow::Result<Value> {
            let path = layout.join(name);
            let text = fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("`{}` is not JSON", path.display()))
        };
        let blob = |blob: &Value| {
            let digest = blob["digest"].as_str().context("a descriptor without digest")?;
            read(&format!("blobs/{}", digest.replace(':', "/")))
        };
        let manifest = blob(&read("index.json")?["manifests"][0])?;
        let config = blob(&manifest["config"])?;
        let mut files = Snapshot::default();
        for layer in manifest["layers"].as_array().context("a manifest without layers")? {
            let digest = layer["digest"].as_str().context("a layer without digest")?;
            files.put_on(scripts::contents(log, layout, digest)?);
        }
        let platform = (config["architecture"].clone(), config["os"].clone());
        Ok(Self { files: files.without_the_engines_own(), config: flat(&config["config"])?, platform })
    }

    /// What an engine has.
    fn of_engine(log: &Log, engine: &dyn Engine, image: &str) -> anyhow::Result<Self> {
        let inspect = |what: &str| {
            let format = format!("{{{{json .{what}}}}}");
            engine.command(log).args(["image", "inspect", "--format", &format, image]).run()?.json()
        };
        let files = engine.files(log, image)?.without_the_engines_own();
        let platform = (inspect("Architecture")?, inspect("Os")?);
        Ok(Self { files, config: flat(&inspect("Config")?)?, platform })
    }

    /// What differs without a reason, and what with one.
    fn compare(&self, other: &Self, engine: &str) -> (Vec<String>, Vec<String>) {
        let mut found: Vec<(&str, String, String)> = Vec::new();
        let paths: BTreeSet<&String> = self.files.entries.keys().chain(other.files.entries.keys()).collect();
        for path in paths {
            let at = |seen: &Self| seen.files.entries.get(path).cloned();
            match (at(self), at(other)) {
                (Some(ours), Some(theirs)) if (&ours.kind, ours.owner) != (&theirs.kind, theirs.owner) => {
                    found.push(("file", path.clone(), format!("{} became {}", show(&ours), show(&theirs))));
                }
                (Some(ours), Some(theirs)) if ours.mode != theirs.mode => {
                    let what = if matches!(ours.kind, Kind::Link(_)) { "link mode" } else { "file" };
                    found.push((what, path.clone(), format!("{} became {}", show(&ours), show(&theirs))));
                }
                (Some(_), Some(_)) => {
                    let time = |seen: &Self| seen.files.times.get(path).copied().unwrap_or_default();
                    if time(self) != time(other) {
                        found.push(("time", path.clone(), format!("{} became {}", time(self), time(other))));
                    }
                }
                (Some(ours), None) => found.push(("file", path.clone(), format!("{} is gone", show(&ours)))),
                (None, theirs) => found.push(("file", path.clone(), format!("{:?} is new", theirs.as_ref().map(show)))),
            }
        }
        let keys: BTreeSet<&String> = self.config.keys().chain(other.config.keys()).collect();
        for key in keys {
            let (ours, theirs) = (self.config.get(key), other.config.get(key));
            if ours != theirs {
                found.push(("config", key.clone(), format!("{ours:?} became {theirs:?}")));
            }
        }
        if self.platform != other.platform {
            found.push(("config", "platform".to_owned(), format!("{:?} became {:?}", self.platform, other.platform)));
        }
        let is = |row: &str, found: &str| row == "*" || row == found;
        let reason = |what: &str, place: &str| {
            ALLOWED.iter().find(|row| is(row.0, engine) && row.1 == what && is(row.2, place)).map(|row| row.3)
        };
        let (allowed, wrong): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(what, place, _)| reason(what, place).is_some());
        let text = |(what, place, how): (&str, String, String)| format!("{what} {place}: {how}");
        (wrong.into_iter().map(text).collect(), allowed.into_iter().map(text).collect())
    }
}

/// The keys of a config; variables and labels each by name, as their order means nothing. What is empty is not there.
fn flat(config: &Value) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, value) in config.as_object().unwrap_or(&Map::new()) {
        match (key.as_str(), value) {
            (_, Value::Null | Value::Bool(false)) => {}
            (_, Value::Array(list)) if list.is_empty() => {}
            (_, Value::Object(map)) if map.is_empty() => {}
            (_, Value::String(text)) if text.is_empty() => {}
            ("Env", Value::Array(list)) => {
                for entry in list {
                    let Some((name, value)) = entry.as_str().and_then(|text| text.split_once('=')) else {
                        bail!("a variable is {entry}");
                    };
                    all.insert(format!("Env {name}"), value.to_owned());
                }
            }
            ("Labels", Value::Object(map)) => {
                all.extend(map.iter().map(|(name, value)| (format!("Labels {name}"), value.to_string())));
            }
            _ => drop(all.insert(key.clone(), value.to_string())),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::Entry;

    #[test]
    fn whatever_differs_is_found_and_only_what_has_a_reason_is_let_pass() {
        let entry = |mode| Entry { kind: Kind::Folder, mode, owner: (0, 0), text: None };
        let seen = |files: &[(&str, u32, u64)], config: Value| Seen {
            files: Snapshot {
                entries: files.iter().map(|(path, mode, _)| ((*path).to_owned(), entry(*mode))).collect(),
                times: files.iter().map(|(path, _, time)| ((*path).to_owned(), *time)).collect(),
            },
            config: flat(&config).unwrap(),
            platform: ("arm64".into(), "linux".into()),
        };
        let ours = seen(
            &[("a", 0o755, 1), ("b", 0o755, 1), ("c", 0o755, 1)],
            serde_json::json!({"User": "u", "Env": ["A=1", "B=2"]}),
        );
        let theirs = seen(
            &[("a", 0o700, 1), ("b", 0o755, 2), ("d", 0o755, 1)],
            serde_json::json!({"User": "u", "Env": ["B=2", "A=2"], "Cmd": null, "Tty": false, "Image": "x"}),
        );
        let (wrong, allowed) = ours.compare(&theirs, "docker");
        assert_eq!(
            wrong,
            [
                "file a: folder 0755 0:0 became folder 0700 0:0",
                "time b: 1 became 2",
                "file c: folder 0755 0:0 is gone",
                "file d: Some(\"folder 0755 0:0\") is new",
                "config Env A: Some(\"1\") became Some(\"2\")",
            ]
        );
        assert_eq!(allowed, ["config Image: None became Some(\"\\\"x\\\"\")"]);
        assert_eq!(ours.compare(&ours, "docker"), (Vec::new(), Vec::new()));
    }
}
