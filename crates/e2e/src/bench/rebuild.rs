//! After only mindpet changed: what a developer of the tuning kit waits for.

use std::{fs, io::Write, path::Path};

use anyhow::Context;
use fmtk::resolve::place;

use super::{
    bytes, ours,
    rivals::{self, docker_base},
    row::{Bar, Row, median},
    stage::Stage,
};
use crate::testbed::copy_folder;

/// What docker is measured as, and its times.
struct Rival {
    name: &'static str,
    /// Where mindpet's module is that changes.
    module: std::path::PathBuf,
    context: std::path::PathBuf,
    seconds: Vec<f64>,
}

/// Ours and docker's in turn, round by round; the registry has the image of before.
pub fn run(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    stage.empty_registry()?;
    docker_base(stage)?;
    let mut rivals = rivals(stage)?;
    for (number, rival) in rivals.iter().enumerate() {
        rivals::docker(stage, &rival.context, &format!("before-{number}"), false)?;
    }
    let store = stage.fresh("rebuild-store")?;
    ours::build_and_push(stage, &store, "20220101000000")?;
    let original = stage.mindpet()?;
    let kept = stage.fresh("rebuild-original")?.join("mindpet.whl");
    fs::copy(&original, &kept).with_context(|| format!("failed to copy `{}`", original.display()))?;

    let mut us = Vec::new();
    let mut sent = bytes::Sent::default();
    for round in 0..stage.rounds {
        // The wheel of a new release, and the same change in docker's unpacked files.
        stage
            .log
            .command("python3")
            .arg(place::workspace().join("ci/touch_wheel.py"))
            .args([&kept, &original])
            .arg(format!("release {round}"))
            .run()?;
        let run = ours::build_and_push(stage, &store, &format!("202201020000{round:02}"))?;
        us.push(run.seconds());
        sent.take(&run)?;
        for (number, rival) in rivals.iter_mut().enumerate() {
            append(&rival.module, &format!("\n# release {round}\n"))?;
            rival.seconds.push(rivals::docker(stage, &rival.context, &format!("after-{number}-{round}"), true)?);
        }
        let theirs: Vec<String> =
            rivals.iter().map(|rival| format!("{} {:.2} s", rival.name, rival.seconds[round])).collect();
        stage.log.say(&format!(
            "rebuild {}/{}: ours {:.3} s, {}",
            round + 1,
            stage.rounds,
            us[round],
            theirs.join(", ")
        ));
    }
    fs::copy(&kept, &original).with_context(|| format!("failed to restore `{}`", original.display()))?;

    let figure = "rebuild + push, only mindpet changed";
    let bars = [Bar::Faster(40.0), Bar::None, Bar::Times(1.0)];
    let mut rows: Vec<Row> = rivals
        .iter()
        .zip(bars)
        .map(|(rival, bar)| Row::beside(figure, median(&us), rival.name, median(&rival.seconds), bar))
        .collect();
    rows.extend(sent.rows());
    Ok(rows)
}

/// docker as people write it, as the careful write it, and at its very best.
fn rivals(stage: &Stage) -> anyhow::Result<Vec<Rival>> {
    let folder = stage.fresh("rebuild-contexts")?;
    let spore = folder.join("mindspore");
    let pet = folder.join("mindpet");
    rivals::unpack(stage, &stage.mindspore()?, &spore)?;
    rivals::unpack(stage, &stage.mindpet()?, &pet)?;
    let module = |folder: &Path| folder.join("mindpet/__init__.py");

    let one = stage.fresh("rebuild-contexts/one")?;
    copy_folder(&stage.log, &spore, &one.join("site"))?;
    copy_folder(&stage.log, &pet.join("."), &one.join("site"))?;
    rivals::dockerfile(&one, &stage.base(), &["site"])?;

    let each = stage.fresh("rebuild-contexts/each")?;
    copy_folder(&stage.log, &spore, &each.join("mindspore"))?;
    copy_folder(&stage.log, &pet, &each.join("mindpet"))?;
    rivals::dockerfile(&each, &stage.base(), &["mindspore", "mindpet"])?;

    // Without BuildKit the whole context goes to the daemon each time; an image of its own for MindSpore avoids that.
    let below = stage.fresh("rebuild-contexts/below")?;
    copy_folder(&stage.log, &spore, &below.join("mindspore"))?;
    rivals::dockerfile(&below, &stage.base(), &["mindspore"])?;
    rivals::docker(stage, &below, "below", false)?;
    let small = stage.fresh("rebuild-contexts/small")?;
    copy_folder(&stage.log, &pet, &small.join("mindpet"))?;
    rivals::dockerfile(&small, &format!("{}/bench/docker:below", stage.registry.host()), &["mindpet"])?;

    let rival = |name, module, context| Rival { name, module, context, seconds: Vec::new() };
    Ok(vec![
        rival("docker, one COPY", module(&one.join("site")), one),
        rival("docker, a COPY a wheel", module(&each.join("mindpet")), each),
        rival("docker, a COPY a wheel, small context", module(&small.join("mindpet")), small),
    ])
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to change `{}`", path.display()))
}
