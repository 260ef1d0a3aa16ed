//! A machine with an empty store, on which the tuning kit alone is new: all else comes from the image that was pushed
//! last, beside a machine whose store has it.

use std::path::PathBuf;

use wheel_fake::FakeWheel;

use super::{Pushes, size};
use crate::{
    bench::{
        meter::Measure,
        row::{Bar, Row, Unit, median},
    },
    testbed::{
        CANN, Docker, Faults, Invocation, Line, NOWHERE, Passed, cann_fake_with, copy, field, folder, list, read_json,
        recipe, write,
    },
};

/// Most that goes over the line in either direction besides manifests, configs and the changed wheel, bytes.
const LITTLE: f64 = 1e6;

/// 2 GB that do not compress, in files of 20 MB, written by the base's own Python.
const CONTENT: &str = "\
python3 - \"$kit/lib64\" <<'EOF'
import random, sys
noise = random.Random(7)
for number in range(100):
    with open('%s/noise-%02d' % (sys.argv[1], number), 'wb') as file:
        file.write(noise.randbytes(20_000_000))
EOF
";

/// A machine: its store, and its recipe with the packages that it has.
#[derive(Debug, Clone)]
struct Machine {
    store: PathBuf,
    folder: PathBuf,
}

/// What a build and a push took.
#[derive(Debug)]
struct Run {
    build: Measure,
    push: Measure,
    passed: Passed,
    reference: String,
}

pub fn run(pushes: &Pushes) -> anyhow::Result<Vec<Row>> {
    let bench = &pushes.bench;
    pushes.registry.empty()?;
    // An image is pushed and taken from by one name, so all goes over this line.
    let line = Line::start(pushes.registry.address(), Faults::default())?;
    let base = format!("{}/base/python:3.9", line.host());
    let copy_base = bench.command("skopeo").words("copy --quiet --dest-tls-verify=false --preserve-digests");
    copy_base.arg(pushes.base.to_string()).arg(format!("docker://{base}")).run()?;

    let full = Machine { store: bench.folder("full/store")?, folder: bench.folder("full")? };
    let host = line.host();
    let settings = [
        ("versions.cann", CANN),
        ("packages.kit.glob", "kit-*.whl"),
        ("registry.host", &host),
        ("registry.org", "bench"),
        ("base.reference", &base),
    ];
    write(&full.folder.join("image.toml"), recipe(&settings))?;
    cann_fake_with(&bench.log, &full.pkg()?, CONTENT)?;
    let docker = Docker::start(&bench.log, &bench.folder("docker-of-cann")?, false)?;
    full.kit("before")?;
    full.pin(pushes)?;
    bench.say("installing CANN's stand-in of 2 GB");
    let last = full.run(pushes, &line, "20240101000000", docker.host(), &[])?;
    drop(docker);

    let mut empties = Vec::new();
    let figure = "empty store, only the kit changed";
    let [empty, kept] = bench.in_turns(figure, ["empty store", "full store"], |who, round| {
        full.kit(&format!("round {round}"))?;
        full.pin(pushes)?;
        if who == "full store" {
            return Ok(full.run(pushes, &line, &format!("202401020000{round:02}"), NOWHERE, &[])?.seconds());
        }
        let empty = Machine { store: bench.fresh("empty-store")?, folder: bench.fresh("empty")? };
        for name in ["image.toml", "image.lock"] {
            copy(&full.folder.join(name), &empty.folder.join(name))?;
        }
        empty.kit(&format!("round {round}"))?;
        let from = ["--cache-from", &last.reference];
        let run = empty.run(pushes, &line, &format!("202401030000{round:02}"), NOWHERE, &from)?;
        let seconds = run.seconds();
        empties.push(run);
        Ok(seconds)
    })?;

    let (read, _) = described(pushes, &last.reference)?;
    let mut most = [0.0_f64; 2];
    for run in &empties {
        let (documents, kit) = described(pushes, &run.reference)?;
        most[0] = most[0].max(run.passed.sent as f64 - documents - kit);
        most[1] = most[1].max(run.passed.received as f64 - read);
    }
    let little =
        |what: &str, bytes: f64| Row::alone(&format!("{figure}: {what}"), bytes, Unit::Bytes, Bar::AtMost(LITTLE));
    let build = median(&empties.iter().map(|run| run.build.seconds).collect::<Vec<_>>());
    Ok(vec![
        Row::timed(&format!("{figure}: build + push"), &empty, "full store", &kept, Bar::Times(2.0)),
        Row::alone("  of that, the build", build, Unit::Seconds, Bar::None),
        little("sent besides manifest, config, kit", most[0]),
        little("received besides manifest, config", most[1]),
    ])
}

impl Machine {
    fn pkg(&self) -> anyhow::Result<PathBuf> {
        let pkg = self.folder.join("pkg");
        folder(&pkg)?;
        Ok(pkg)
    }

    /// Has another tuning kit, of the same version, in its packages.
    fn kit(&self, text: &str) -> anyhow::Result<()> {
        FakeWheel::new("kit").file("kit_release.py", format!("# {text}\n").as_bytes()).write(&self.pkg()?).map(drop)
    }

    fn command(&self, pushes: &Pushes, name: &str) -> anyhow::Result<Invocation> {
        let command = pushes.bench.xtask_in(&self.store).arg(name).arg("--recipe").arg(self.folder.join("image.toml"));
        Ok(command.arg("--pkg").arg(self.pkg()?))
    }

    /// Pins the packages and the base as they are now.
    fn pin(&self, pushes: &Pushes) -> anyhow::Result<()> {
        self.command(pushes, "lock")?.arg("--upgrade").run().map(drop)
    }

    /// Builds, with docker at this address should it be needed, and pushes.
    fn run(&self, pushes: &Pushes, line: &Line, timestamp: &str, docker: &str, more: &[&str]) -> anyhow::Result<Run> {
        let before = line.passed();
        let image = self.command(pushes, "image")?.words("--engine docker --timestamp").arg(timestamp);
        let (build, _) = pushes.bench.measure(image.env("DOCKER_HOST", docker).args(more))?;
        let (push, said) = pushes.pushed(pushes.command(&self.store, &line.host(), timestamp))?;
        let after = line.passed();
        let passed = Passed { sent: after.sent - before.sent, received: after.received - before.received, ..after };
        Ok(Run { build, push, passed, reference: field(&said, "reference")?.to_owned() })
    }
}

impl Run {
    fn seconds(&self) -> f64 {
        self.build.seconds + self.push.seconds
    }
}

/// Bytes of an image's manifest and config, and of its smallest layer, which is the kit's.
fn described(pushes: &Pushes, reference: &str) -> anyhow::Result<(f64, f64)> {
    let file = pushes.bench.path("manifest.json");
    let inspect = pushes.bench.command("skopeo").words("inspect --tls-verify=false --raw");
    let raw = inspect.arg(format!("docker://{reference}")).run()?.stdout;
    write(&file, &raw)?;
    let manifest = read_json(&file)?;
    let layers = list(&manifest, "layers")?.iter().map(size).collect::<anyhow::Result<Vec<f64>>>()?;
    let kit = layers.into_iter().fold(f64::INFINITY, f64::min);
    Ok((raw.len() as f64 + size(&manifest["config"])?, kit))
}
