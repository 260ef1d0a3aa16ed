//! `init` upon the sample's base: the recipe that it writes builds the image that it names.

use std::fs;

use anyhow::{Context, ensure};

use super::world::{Built, TIMESTAMP, World};
use crate::testbed::{field, read};

/// A Debian with Python 3.9 and no CANN is one for the default stack.
pub fn run(world: &World) -> anyhow::Result<()> {
    let project = world.project("init", "")?;
    let recipe = project.path("image.toml");
    let init = || Ok::<_, anyhow::Error>(project.command("init").args(["--base", &world.base()?.to_string()]));
    // An empty recipe is one all the same.
    init()?.fails(2)?.says(&["exists already", "--recipe FILE"])?;
    fs::remove_file(&recipe).context("no recipe to remove")?;
    let done = init()?.words("--format json").run()?;
    done.says(&[
        "wrote `",
        "which has Python 3.9",
        "the base has no CANN",
        "`mindspore-ascend==1.8.1` of PyPI is not in",
    ])?;
    let (json, written) = (done.json()?, read(&recipe)?);
    ensure!(field(&json, "toml")? == written, "another recipe was printed than written:\n{written}");
    for line in
        ["cann = \"none\" ", "# os = \"debian_11\"\n", "# site_packages = \"/usr/local/lib/python3.9/dist-packages\"\n"]
    {
        ensure!(written.contains(line), "`{line}` is not in the recipe:\n{written}");
    }
    let named = field(&json, "image")?;
    world.say(format!("the recipe is for {named}"));

    let set = ["packages.moxing.required=false", "packages.tuning-kit.required=false", "pypi.requirements=[]"];
    let image = project.command("image").args(["--timestamp", TIMESTAMP]);
    let built = Built::by(image.args(set.iter().flat_map(|set| ["--set", set])))?;
    let without_time = |tag: &str| tag.rsplit_once('-').map(|(tag, _)| tag.to_owned());
    let named = named.split(':').next_back().and_then(without_time);
    ensure!(without_time(&built.tag) == named, "`{}` was built", built.tag);
    Ok(())
}
