//! The image in docker and podman: pulled, run for arm64, and the base inside it as it was.

use anyhow::{Context, ensure};

use super::world::World;
use crate::testbed::{Engine, Entry, Kind, Log, Snapshot};

/// docker pulls and runs the image.
pub fn docker(world: &World, log: &Log) -> anyhow::Result<()> {
    runs(world, log, world.docker(log)?)
}

/// podman pulls and runs the image.
pub fn podman(world: &World, log: &Log) -> anyhow::Result<()> {
    runs(world, log, world.podman(log)?)
}

/// docker sees the base as it was.
pub fn base_docker(world: &World, log: &Log) -> anyhow::Result<()> {
    base_untouched(world, log, world.docker(log)?)
}

/// podman sees the base as it was.
pub fn base_podman(world: &World, log: &Log) -> anyhow::Result<()> {
    base_untouched(world, log, world.podman(log)?)
}

fn runs(world: &World, log: &Log, engine: &dyn Engine) -> anyhow::Result<()> {
    let image = world.pushed(log)?;
    engine.pull(log, &image, &world.login_folder())?;
    let run = |program: &[&str]| engine.run(log, &image, &[], program);

    let machine = run(&["uname", "-m"])?;
    ensure!(machine.text() == "aarch64", "it runs on `{}`: {}", machine.text(), machine.unexpected());

    log.say("import mindpet");
    let mindpet = run(&["python3", "-c", "import mindpet; print(mindpet.__file__)"])?;
    ensure!(mindpet.status.success() && mindpet.text().ends_with("mindpet/__init__.py"), mindpet.unexpected());

    // Without CANN it cannot go further; that it goes so far proves Python, architecture and wheels.
    log.say("import mindspore, as far as CANN's first library");
    let mindspore = run(&["python3", "-c", "import mindspore"])?;
    ensure!(!mindspore.status.success(), "MindSpore was imported without CANN");
    mindspore.says(&["ImportError: libge_runner.so"])?;

    log.say("mindpet --help");
    let help = run(&["mindpet", "--help"])?;
    ensure!(help.status.success() && help.stdout.contains("finetune"), help.unexpected());

    for program in ["fmtk-launch", "fmk-patch"] {
        let version = run(&[program, "--version"])?;
        ensure!(version.status.success() && version.text().contains(program), version.unexpected());
    }
    let user = run(&["id", "-un"])?;
    ensure!(user.text() == "ma-user", "it runs as `{}`", user.text());
    let home = run(&["sh", "-c", "cd && pwd && touch a && mkdir b && rm -r a b && touch /tmp/c"])?;
    ensure!(home.status.success() && home.text() == "/home/ma-user", home.unexpected());
    Ok(())
}

fn base_untouched(world: &World, log: &Log, engine: &dyn Engine) -> anyhow::Result<()> {
    let image = world.pushed(log)?;
    engine.pull(log, &image, &world.login_folder())?;
    let base = base_image(world, log)?;
    engine.pull(log, &base, &world.login_folder())?;

    let before = engine.files(log, &base)?.without_the_engines_own();
    let after = engine.files(log, &image)?.without_the_engines_own();
    for (path, mode, owner) in [("home/ma-user", 0o750, (1000, 100)), ("tmp", 0o1777, (0, 0)), ("root", 0o700, (0, 0))]
    {
        let entry = before.entries.get(path).with_context(|| format!("the base has no `/{path}`"))?;
        ensure!((entry.mode, entry.owner) == (mode, owner), "the base's `/{path}` is not what a real base has");
    }
    let changed = changes(&before, &after);
    ensure!(changed.is_empty(), "{} paths of the base changed:\n    {}", changed.len(), changed.join("\n    "));
    log.say(&format!("{} paths of the base are as they were, of {}", before.entries.len(), after.entries.len()));
    Ok(())
}

/// The sample's base in the registry, copied there by skopeo, byte for byte.
pub fn base_image(world: &World, log: &Log) -> anyhow::Result<String> {
    let layout = world.base(log)?;
    let base = format!("{}/base/python:3.9", world.registry(log)?.host());
    log.command("skopeo")
        .args(["copy", "--quiet", "--dest-tls-verify=false", "--preserve-digests", "--dest-authfile"])
        .arg(world.login_folder().join("config.json"))
        .arg(layout.to_string())
        .arg(format!("docker://{base}"))
        .run()?;
    Ok(base)
}

/// What is not as it was: gone, or with another owner, mode, kind or contents.
fn changes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut changed = Vec::new();
    for (path, was) in &before.entries {
        match after.entries.get(path) {
            None => changed.push(format!("/{path} is gone")),
            Some(is) if is != was => changed.push(format!("/{path}: {} became {}", show(was), show(is))),
            Some(_) => {}
        }
    }
    changed
}

/// An entry in the words of `ls`.
pub fn show(entry: &Entry) -> String {
    let kind = match &entry.kind {
        Kind::Folder => "folder".to_owned(),
        Kind::File(size, digest) => format!("file of {size} bytes {}", &digest.hex()[..12]),
        Kind::Link(target) => format!("link to {target}"),
        Kind::Special => "device".to_owned(),
    };
    format!("{kind} {:04o} {}:{}", entry.mode, entry.owner.0, entry.owner.1)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_changed_owner_a_changed_mode_and_a_missing_path_are_told() {
        let folder = |mode, owner| Entry { kind: Kind::Folder, mode, owner, text: None };
        let before = Snapshot {
            entries: [("a", folder(0o755, (0, 0))), ("b", folder(0o755, (0, 0))), ("c", folder(0o755, (0, 0)))]
                .map(|(path, entry)| (path.to_owned(), entry))
                .into(),
            ..Snapshot::default()
        };
        let after = Snapshot {
            entries: [("a", folder(0o755, (1000, 100))), ("b", folder(0o1777, (0, 0)))]
                .map(|(path, entry)| (path.to_owned(), entry))
                .into(),
            ..Snapshot::default()
        };
        expect![[r#"
            /a: folder 0755 0:0 became folder 0755 1000:100
            /b: folder 0755 0:0 became folder 1777 0:0
            /c is gone"#]]
        .assert_eq(&changes(&before, &after).join("\n"));
    }
}
