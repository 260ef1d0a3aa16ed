//! Conformance: what docker and podman build of the exported context is our image, file for file.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::symlink,
    path::Path,
};

use anyhow::{Context, ensure};
use serde_json::Value;
use wheel_fake::FakeWheel;

use super::{
    scripts,
    world::{ORG, Project, World},
};
use crate::testbed::{
    CANN, Engine, Entry, Kind, Snapshot, bytes, cann_fake, described, field, layer_files, list, manifest, name, names,
    own_files, paths, read, recipe, write,
};

/// Another one than the sample's, which later scenarios push by it.
const STAMP: &str = "20221028181326";
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
pub fn run(world: &World) -> anyhow::Result<()> {
    let base = old_base(world)?;
    let project = world.project("conformance", &recipe_of_all())?;
    exported(world, &project, &base)?;
    let ours = Seen::of_layout(world, &project.path("layout"))?;
    let there = |path: &str| ours.files.entries.contains_key(path);
    let site = "usr/local/lib/python3.9/dist-packages";
    for path in [format!("{site}/mindspore/__init__.py"), format!("{site}/te.py"), "opt/outside/kept".to_owned()] {
        ensure!(there(&path), "the image has no `/{path}`");
    }
    for gone in [format!("{site}/packaging/old.py"), format!("{site}/packaging.py"), "etc/issue".to_owned()] {
        ensure!(!there(&gone), "the image has `/{gone}`, of the base");
    }
    world.say(format!("the image has {} paths", ours.files.entries.len()));

    let context = project.path("context");
    let mut wrong = Vec::new();
    for engine in [world.docker()? as &dyn Engine, world.podman()?] {
        let built = built_by(world, engine, &context).with_context(|| format!("{} failed", engine.name()))?;
        let (differences, allowed) = ours.compare(&built, engine.name());
        world.log.note(&format!("{differences:#?}\n{allowed:#?}\n"));
        let counts = format!("{} differences, and {} with a reason", differences.len(), allowed.len());
        world.say(format!("{}: {} paths, {counts}", engine.name(), built.files.entries.len()));
        wrong.extend(differences.into_iter().map(|one| format!("{}: {one}", engine.name())));
    }
    let shown = wrong[..wrong.len().min(60)].join("\n    ");
    ensure!(wrong.is_empty(), "another image was made of the context; {} differences:\n    {shown}", wrong.len());
    Ok(())
}

/// What an engine makes of the context.
fn built_by(world: &World, engine: &dyn Engine, context: &Path) -> anyhow::Result<Seen> {
    const NAME: &str = "localhost/conformance:1";
    let dockerfile = read(&context.join("Dockerfile"))?;
    let base = dockerfile.lines().find_map(|line| line.strip_prefix("ARG BASE=")).context("no base is named")?;
    engine.command().words("load --input").arg(context.join("base.tar")).run()?;
    let build = match engine.name() {
        // The oldest protocol that users have: that of 18.09.
        "docker" => world.docker()?.build().env("DOCKER_API_VERSION", "1.39"),
        // One layer in the end: podman's storage copies all files for each where it has no overlay.
        _ => engine.command().words("build --format docker --layers=false"),
    };
    let built = build.args(engine.run_options(base)?).args(["--tag", NAME]).arg(context).run()?;
    world.say(format!("{} built it in {:.1} s", engine.name(), built.seconds));
    Seen::of_engine(engine, NAME)
}

/// The context of an image upon a base in a registry: docker pulls the base by its digest, and what it made is pushed by
/// hand, as the manual has it.
pub fn pushed_by_hand(world: &World) -> anyhow::Result<()> {
    let (docker, base) = (world.docker()?, world.base_image()?);
    let project = world.project("context-pushed", &recipe(&[("packages.alpha.glob", "alpha-*.whl")]))?;
    FakeWheel::new("alpha").write(&project.pkg())?;
    let context = project.path("context");
    let image = || {
        let image = project.command("image").args(["--insecure", "--timestamp", STAMP, "--base", &base]);
        image.arg("--output").arg(format!("context:{}", context.display()))
    };
    let built = image().json()?;
    let name = field(&built, "image")?;
    ensure!(!context.join("base.tar").exists(), "a base that is in a registry was put into the context");

    let login = world.login_folder();
    docker.build().env("DOCKER_CONFIG", &login).args(["--tag", name]).arg(&context).run()?;
    let seen = docker.printed(name, &["sh", "-c", "id -un; python3 -c 'import alpha; print(alpha.NAME)'"])?;
    ensure!(seen == "ma-user\nalpha", "the image says {seen}");
    let remote = format!("{}/{ORG}/{name}", world.host()?);
    docker.command().args(["tag", name, &remote]).run()?;
    docker.command_as(&login).args(["push", &remote]).run()?;
    let manifest = world.skopeo_inspect(&remote, &["--raw"])?.json()?;
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    ensure!(manifest["mediaType"] == kind, "docker pushed a {}", manifest["mediaType"]);
    let config = world.skopeo_inspect(&remote, &["--config"])?.json()?;
    ensure!(config["architecture"] == "arm64", "docker pushed an image for {}", config["architecture"]);
    world.say("built upon a base of the registry, and pushed by docker");

    // A folder with something of the user's is left alone, before anything is built.
    write(&context.join("notes.txt"), "mine")?;
    image().fails(2)?.says(&["`notes.txt` is in it", "name a new or empty folder"])
}

/// The sample's base with an older `packaging` and look-alikes of the vendor's scripts; its reference.
fn old_base(world: &World) -> anyhow::Result<String> {
    let scripts = own_files("ascend910", fmtk::resolve::scripts::FOLDER, "0640");
    let text = recipe(&[("packages.old.glob", "packaging-1.0-*.whl")]) + &scripts;
    let project = world.project("conformance/old-base", &text)?;
    let old = FakeWheel::new("packaging").file("packaging/__init__.py", b"old\n");
    old.file("packaging/old.py", b"old\n").write(&project.pkg())?;
    scripts::vendors(&world.log, &project.path("ascend910"), &scripts::look_alike()?)?;
    let base = format!("oci:{}", project.path("base").display());
    project.image(world.base()?).args(["--output", &base]).run()?;
    Ok(base)
}

/// All that an image may have. In `[environment]`, `${…}` is the base's.
fn recipe_of_all() -> String {
    recipe(&[
        ("scripts", "auto"),
        ("pypi.requirements", "[\"mindspore-ascend=={mindspore}\"]"),
        ("versions.cann", CANN),
        ("labels.awkward", &format!("'''{AWKWARD}'''")),
        ("environment.AWKWARD", &format!("'''{}'''", AWKWARD.replace("${HOME:-x}", "$(x)"))),
    ])
}

/// Builds the image, and writes its context twice and its layout.
fn exported(world: &World, project: &Project<'_>, base: &str) -> anyhow::Result<()> {
    cann_fake(&world.log, &project.pkg())?;
    let pypi = world.folder("conformance/pkg/pypi")?;
    for wheel in paths(&world.wheels()?)?.iter().filter(|path| path.extension().is_some_and(|it| it == "whl")) {
        symlink(wheel, pypi.join(name(wheel))).context("failed to link a wheel")?;
    }
    let (context, layout) = (project.path("context"), project.path("layout"));
    let build = || {
        // The shared store has the layers of the sample's wheels.
        let build = project.with_store(&world.store).command("image").args([
            "--timestamp",
            STAMP,
            "--engine",
            "docker",
            "--base",
            base,
        ]);
        let build = build.env("DOCKER_HOST", world.docker()?.host());
        anyhow::Ok(build.arg("--output").arg(format!("context:{}", context.display())))
    };
    build()?.arg("--output").arg(format!("oci:{}", layout.display())).run()?;
    let first = bytes(&context.join("SHA256SUMS"))?;
    // Another one takes its place, and nobody is to see a difference.
    let again = build()?.run()?;
    ensure!(bytes(&context.join("SHA256SUMS"))? == first, "a context written twice is not the same");
    world.say(format!("built again, and written, in {:.1} s", again.seconds));
    world.command("sha256sum").words("--check --quiet --strict SHA256SUMS").dir(&context).run()?;
    let names = [names(&context)?, names(&context.join("layers"))?].concat();
    ensure!(!names.iter().any(|name| name.ends_with(".run")), "an installer is in the context: {names:?}");
    for expected in ["Dockerfile", "README.md", "SHA256SUMS", ".dockerignore", "base.tar"] {
        ensure!(names.iter().any(|name| name == expected), "the context has no `{expected}`: {names:?}");
    }
    Ok(())
}

/// All that is compared of an image.
struct Seen {
    files: Snapshot,
    config: BTreeMap<String, String>,
}

impl Seen {
    /// Our image: its layers one upon the other.
    fn of_layout(world: &World, layout: &Path) -> anyhow::Result<Self> {
        let manifest = manifest(layout)?;
        let config = described(layout, &manifest["config"])?;
        let mut files = Snapshot::default();
        for layer in list(&manifest, "layers")? {
            files.put_on(layer_files(&world.log, layout, field(layer, "digest")?)?);
        }
        let platform = format!("{}/{}", field(&config, "os")?, field(&config, "architecture")?);
        Ok(Self { files: files.without_the_engines_own(), config: flat(&config["config"], &platform)? })
    }

    fn of_engine(engine: &dyn Engine, image: &str) -> anyhow::Result<Self> {
        let inspect = |what: &str| engine.inspect(image, what);
        let platform = [inspect(".Os")?, inspect(".Architecture")?];
        let platform = platform.map(|part| part.as_str().unwrap_or_default().to_owned()).join("/");
        Ok(Self { files: engine.files(image)?, config: flat(&inspect(".Config")?, &platform)? })
    }

    /// What differs without a reason, and what with one.
    fn compare(&self, other: &Self, engine: &str) -> (Vec<String>, Vec<String>) {
        let mut found: Vec<(&str, &str, String)> = Vec::new();
        for one in self.files.differences(&other.files) {
            let is_mode = |(here, there): (&Entry, &Entry)| here.kind == there.kind && here.owner == there.owner;
            let is_link = one.here.is_some_and(|here| matches!(here.kind, Kind::Link(_)));
            let what = if is_link && one.here.zip(one.there).is_some_and(is_mode) { "link mode" } else { "file" };
            found.push((what, one.path, one.to_string()));
        }
        let is_same = |(path, entry): &(&String, &Entry)| other.files.entries.get(*path) == Some(entry);
        for (path, _) in self.files.entries.iter().filter(is_same) {
            let (ours, theirs) = (self.files.times.get(path), other.files.times.get(path));
            if ours != theirs {
                found.push(("time", path, format!("{path}: {ours:?} became {theirs:?}")));
            }
        }
        let keys: BTreeSet<&String> = self.config.keys().chain(other.config.keys()).collect();
        for key in keys {
            let (ours, theirs) = (self.config.get(key), other.config.get(key));
            if ours != theirs {
                found.push(("config", key, format!("{key}: {ours:?} became {theirs:?}")));
            }
        }
        let is = |row: &str, found: &str| row == "*" || row == found;
        let has_reason = |(what, place, _): &(&str, &str, String)| {
            ALLOWED.iter().any(|row| is(row.0, engine) && row.1 == *what && is(row.2, place))
        };
        let (allowed, wrong): (Vec<_>, Vec<_>) = found.into_iter().partition(has_reason);
        let text = |(what, _, how): (&str, &str, String)| format!("{what} {how}");
        (wrong.into_iter().map(text).collect(), allowed.into_iter().map(text).collect())
    }
}

/// The platform and the keys of a config; variables and labels each by name, as their order means nothing. What is empty
/// is not there.
fn flat(config: &Value, platform: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::from([("platform".to_owned(), platform.to_owned())]);
    for (key, value) in config.as_object().context("a config is not an object")? {
        match (key.as_str(), value) {
            (_, Value::Null | Value::Bool(false)) => {}
            (_, Value::Array(list)) if list.is_empty() => {}
            (_, Value::Object(map)) if map.is_empty() => {}
            (_, Value::String(text)) if text.is_empty() => {}
            ("Env", Value::Array(list)) => {
                for entry in list {
                    let variable = entry.as_str().and_then(|text| text.split_once('='));
                    let (name, value) = variable.with_context(|| format!("a variable is {entry}"))?;
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
    use serde_json::json;

    use super::*;
    use crate::testbed::PLATFORM;

    #[test]
    fn whatever_differs_is_found_and_only_what_has_a_reason_is_let_pass() {
        let seen = |files: &[(&str, u32, u64)], config: Value, platform: &str| {
            let mut seen = Seen { files: Snapshot::default(), config: flat(&config, platform).unwrap() };
            for (path, mode, time) in files {
                seen.files.entries.insert((*path).to_owned(), Entry::folder(*mode, (0, 0)));
                seen.files.times.insert((*path).to_owned(), *time);
            }
            seen
        };
        let files = [("a", 0o755, 1), ("b", 0o755, 1), ("c", 0o755, 1)];
        let mut ours = seen(&files, json!({"User": "u", "Env": ["A=1", "B=2"]}), PLATFORM);
        let config = json!({"User": "u", "Env": ["B=2", "A=2"], "Cmd": null, "Tty": false, "Image": "x"});
        let mut theirs = seen(&[("a", 0o700, 1), ("b", 0o755, 2), ("d", 0o755, 1)], config, "linux/amd64");
        // Of what engines put there by themselves only the time is left.
        ours.files.times.insert("dev".to_owned(), 1);
        theirs.files.times.insert("dev".to_owned(), 2);
        let (wrong, allowed) = ours.compare(&theirs, "docker");
        assert_eq!(
            wrong,
            [
                "file a: folder 0755 0:0 became folder 0700 0:0",
                "file c: folder 0755 0:0 is gone",
                "file d: folder 0755 0:0 is new",
                "time b: Some(1) became Some(2)",
                "config Env A: Some(\"1\") became Some(\"2\")",
                "config platform: Some(\"linux/arm64\") became Some(\"linux/amd64\")",
            ]
        );
        assert_eq!(allowed, ["config Image: None became Some(\"\\\"x\\\"\")"]);
        assert_eq!(ours.compare(&ours, "docker"), (Vec::new(), Vec::new()));
    }
}
