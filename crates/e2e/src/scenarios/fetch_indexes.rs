//! `fetch` with uv and pip themselves, from two indexes on loopback that both have a wheel of the same name and version.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use oci_image::Digest;
use wheel_fake::FakeWheel;

use super::world::{Project, World};
use crate::testbed::{Invocation, WheelIndex, bytes, names, recipe, write};

const ALPHA: &str = "alpha-1.0-py3-none-any.whl";
const BETA: &str = "beta-1.0-py3-none-any.whl";
/// The user and the password of the main index, and what HTTP makes of them.
const LOGIN: (&str, &str) = ("me:s3cret", "bWU6czNjcmV0");

struct Indexes {
    main: WheelIndex,
    own: WheelIndex,
}

pub fn run(world: &World) -> anyhow::Result<()> {
    let [of_main, of_own] = ["main", "own"].map(|name| world.folder(&format!("fetch-indexes/{name}")));
    let (of_main, of_own) = (of_main?, of_own?);
    FakeWheel::new("alpha").requires("beta").requires("gamma<2").requires("nvidia-one").write(&of_main)?;
    FakeWheel::new("nvidia_one").requires("nvidia-two").write(&of_main)?;
    FakeWheel::new("nvidia_two").write(&of_main)?;
    for version in ["1.0", "2.0"] {
        FakeWheel::new("gamma").version(version).write(&of_main)?;
    }
    // Somebody else's, under the same name: once the same version, once a newer one.
    for version in ["1.0", "9.0"] {
        FakeWheel::new("beta").version(version).file("evil.py", b"").write(&of_main)?;
    }
    FakeWheel::new("beta").write(&of_own)?;
    FakeWheel::new("alpha").version("9.0").write(&of_own)?;
    FakeWheel::new("other").write(&of_main)?;
    let foreign = ("delta", "other-1.0-py3-none-any.whl");
    let main = WheelIndex::serve(&of_main, Some(LOGIN.1), Some(foreign))?;
    let indexes = Indexes { main, own: WheelIndex::serve(&of_own, None, None)? };

    let project = world.project("fetch-indexes/project", &text(&indexes, "['gamma==2.0']", "['alpha', 'beta']"))?;
    let fetch = || indexes.pip(project.command("fetch"));
    let said = fetch().run()?;
    said.says(&["uv chose 3 versions"])?;
    said.keeps_silent_about(&["s3cret", LOGIN.1])?;
    ensure!(fetched(&project)? == [ALPHA, BETA, "gamma-2.0-py3-none-any.whl"], "these are not what uv had to choose");
    indexes.beta_is_its_own(&project, &of_own)?;

    // A changed key is another request.
    write(&project.path("image.toml"), text(&indexes, "['gamma==1.0']", "['alpha', 'beta']"))?;
    fetch().run()?;
    ensure!(fetched(&project)?.contains(&"gamma-1.0-py3-none-any.whl".to_owned()), "the override did not change");
    fetch().run()?.says(&["everything is already in"])?;

    // The main index answers with another package, to uv and to pip.
    write(&project.path("image.toml"), text(&indexes, "[]", "['delta', 'beta']"))?;
    let said = fetch().fails(1)?;
    said.says(&["uv could not resolve delta, beta", "`other` when queried for `delta`"])?;
    said.keeps_silent_about(&["s3cret", LOGIN.1])?;
    write(&project.path("image.toml"), recipe(&[("pypi.requirements", "['delta']")]))?;
    fetch().fails(1)?.says(&["the index lists `other` on the page of `delta`"])?;

    other_tools(&project, &indexes, [&of_main, &of_own])
}

/// `pylock.toml` and a requirements file with hashes.
fn other_tools(project: &Project<'_>, indexes: &Indexes, [main, own]: [&Path; 2]) -> anyhow::Result<()> {
    let hex = |folder: &Path, file: &str| Ok::<_, anyhow::Error>(Digest::of(bytes(&folder.join(file))?).hex());
    let (alpha, beta) = (hex(main, ALPHA)?, hex(own, BETA)?);
    let package = |name: &str, file: &str, hex: &str| {
        format!(
            "[[packages]]\nname = '{name}'\nversion = '1.0'\nwheels = [{{ name = '{file}', hashes = {{ sha256 = '{hex}' }} }}]\n"
        )
    };
    let pylock = package("alpha", ALPHA, &alpha) + &package("beta", BETA, &beta);
    write(&project.path("pylock.toml"), format!("lock-version = '1.0'\n{pylock}"))?;
    let lines = format!("alpha==1.0 --hash=sha256:{alpha}\nbeta==1.0 \\\n    --hash=sha256:{beta}\n");
    write(&project.path("locked.txt"), lines)?;
    for file in ["pylock.toml", "locked.txt"] {
        fs::remove_dir_all(project.pkg().join("pypi")).context("nothing was fetched")?;
        let of_own = format!("[[pypi.index]]\nurl = '{}'\nonly = ['beta']\n", indexes.own.url(""));
        write(&project.path("image.toml"), locked(file) + &of_own)?;
        let fetch = || indexes.pip(project.command("fetch"));
        indexes.main.asked();
        indexes.own.asked();
        fetch().run()?.says(&[&format!("pip downloads 1 wheel of `{file}` from `{}`", indexes.own.url(""))])?;
        ensure!(fetched(project)? == [ALPHA, BETA], "these are not the wheels of `{file}`");
        indexes.beta_is_its_own(project, own)?;
        // The main index has none of that content.
        write(&project.path("image.toml"), locked(file))?;
        fetch().fails(1)?.says(&[&format!("pip could not download 2 wheels of `{file}`")])?;
    }
    Ok(())
}

impl Indexes {
    /// The command with the main index, and its password, for pip's own.
    fn pip(&self, command: Invocation) -> Invocation {
        command.env("PIP_INDEX_URL", self.main.url(LOGIN.0)).env("PIP_FIND_LINKS", "")
    }

    /// An error unless `beta` came from its own index, and only it, and nobody asked another one for it.
    fn beta_is_its_own(&self, project: &Project<'_>, own: &Path) -> anyhow::Result<()> {
        ensure!(bytes(&project.pkg().join("pypi").join(BETA))? == bytes(&own.join(BETA))?, "`beta` is somebody else's");
        let (of_main, of_own) = (self.main.asked(), self.own.asked());
        ensure!(!of_main.contains(&"beta".to_owned()), "the main index was asked for `beta`");
        ensure!(of_own == ["beta"], "the other index was asked for {of_own:?}");
        Ok(())
    }
}

fn text(indexes: &Indexes, overrides: &str, requirements: &str) -> String {
    recipe(&[
        ("pypi.resolver", "uv"),
        ("pypi.requirements", requirements),
        ("pypi.override", overrides),
        ("pypi.exclude", "['nvidia-*']"),
    ]) + &format!("[[pypi.index]]\nurl = '{}'\nonly = ['beta']\n", indexes.own.url(""))
}

/// The recipe without requirements: the file has them.
fn locked(file: &str) -> String {
    let text = recipe(&[("pypi.locked", file)]);
    text.lines().filter(|line| !line.starts_with("pypi.requirements")).map(|line| format!("{line}\n")).collect()
}

fn fetched(project: &Project<'_>) -> anyhow::Result<Vec<String>> {
    let mut wheels = names(&project.pkg().join("pypi"))?;
    wheels.retain(|name| name.ends_with(".whl"));
    wheels.sort();
    Ok(wheels)
}
