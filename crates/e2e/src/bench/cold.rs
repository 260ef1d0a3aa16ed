//! Everything anew: the others' caches off, the registry with the base alone. docker and buildah have the base already, and
//! our store knows what is in it, and nothing else; what it takes to find that out is measured apart.

use std::fs;

use anyhow::Context;

use super::{
    ours,
    rivals::{self, Buildah},
    row::{Bar, Row, Unit, median},
    stage::Stage,
};
use crate::testbed::copy_folder;

/// Most that a build or a push may have resident, bytes.
const PEAK: f64 = 128.0 * 1024.0 * 1024.0;

/// Ours, docker and buildah in turn, round by round.
pub fn run(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    stage.empty_registry()?;
    let context = stage.fresh("cold-context")?;
    let site = context.join("site");
    rivals::unpack(stage, &stage.mindspore()?, &site)?;
    let pet = stage.fresh("cold-mindpet")?;
    rivals::unpack(stage, &stage.mindpet()?, &pet.join("site"))?;
    copy_folder(&stage.log, &pet.join("site/."), &site)?;
    rivals::dockerfile(&context, &stage.base(), &["site"])?;
    rivals::docker_base(stage)?;
    let buildah = Buildah::new(stage)?;
    // Once before the clocks start: the programs of the image are built by cargo, the wheels come into the page cache.
    let first = stage.fresh("first-store")?;
    ours::build_and_push(stage, &first, "20200101000000")?;
    let base_known = first.join("records/base-index");

    let (mut us, mut unknown, mut docker, mut buildahs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut build_peak, mut push_peak) = (0, 0);
    let mut cpu = Vec::new();
    for round in 0..stage.rounds {
        stage.empty_registry()?;
        let timestamp = format!("202101010000{round:02}");
        unknown.push(ours::build_and_push(stage, &stage.fresh("cold-store")?, &timestamp)?.seconds());

        stage.empty_registry()?;
        let store = stage.fresh("cold-store")?;
        let records = store.join("records");
        fs::create_dir_all(&records).with_context(|| format!("failed to create folder `{}`", records.display()))?;
        copy_folder(&stage.log, &base_known, &records)?;
        let run = ours::build_and_push(stage, &store, &timestamp)?;
        us.push(run.seconds());
        cpu.push(run.build.cpu_seconds + run.push.cpu_seconds);
        build_peak = build_peak.max(run.build.peak_bytes);
        push_peak = push_peak.max(run.push.peak_bytes);

        stage.empty_registry()?;
        docker.push(rivals::docker(stage, &context, &format!("cold-{round}"), false)?);

        stage.empty_registry()?;
        buildahs.push(buildah.build_and_push(stage, &context, &format!("cold-{round}"))?);
        stage.log.say(&format!(
            "cold {}/{}: base unknown {:.2} s, ours {:.2} s (build {:.2}, push {:.2}), docker {:.2} s, buildah {:.2} s",
            round + 1,
            stage.rounds,
            unknown[round],
            run.seconds(),
            run.build.seconds,
            run.push.seconds,
            docker[round],
            buildahs[round]
        ));
    }
    let figure = "cold build + push";
    Ok(vec![
        Row::beside(figure, median(&us), "docker", median(&docker), Bar::Faster(10.0)),
        Row::beside(figure, median(&us), "buildah", median(&buildahs), Bar::Faster(8.0)),
        Row::alone("the same, base never seen", median(&unknown), Unit::Seconds, Bar::None),
        Row::alone("cold build + push, CPU", median(&cpu), Unit::Seconds, Bar::None),
        Row::alone("peak memory of a build", build_peak as f64, Unit::Bytes, Bar::AtMost(PEAK)),
        Row::alone("peak memory of a push", push_peak as f64, Unit::Bytes, Bar::AtMost(PEAK)),
    ])
}
