//! End-to-end tests: the built program with real packages, registries, engines and an emulated arm64.

mod bad_base;
mod bad_packages;
mod cann;
mod conformance;
mod doctor_fix;
mod engine_base;
mod engines;
mod gzip_readers;
mod host;
mod interrupted;
mod launch_kit;
mod launch_task;
mod launcher;
mod lazy;
mod login;
mod outputs;
mod pip;
mod push;
mod registry_faults;
mod reproducible;
mod sample_base;
mod sample_image;
mod scripts;
mod trial;
mod world;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};

use self::world::World;
use crate::testbed::{Log, Requirement, require};
use fmtk::terminal::{
    progress,
    report::{self, WithHint},
};

/// Flags of `cargo xtask e2e`.
#[derive(Debug, clap::Args)]
pub struct E2eArgs {
    /// Run only the scenarios whose names contain one of these
    pub filter: Vec<String>,
    /// List the scenarios and stop
    #[arg(long)]
    pub list: bool,
    /// Take what an earlier `fetch --sample --pkg DIR` downloaded
    #[arg(long, value_name = "DIR")]
    pub pkg: Option<std::path::PathBuf>,
}

/// One thing that must work.
struct Scenario {
    name: &'static str,
    about: &'static str,
    run: fn(&World, &Log) -> anyhow::Result<()>,
}

/// All of them, in the order in which they run: what later ones build on comes first.
const SCENARIOS: &[Scenario] = &[
    scenario("sample-image", "fetch and build the sample; the second build makes nothing", sample_image::run),
    scenario(
        "sample-base",
        "the base is mmdebstrap's but for a table of differences, the same for every user, and dpkg knows it",
        sample_base::run,
    ),
    scenario("dry-run", "the plan is printed twice the same and nothing is written", sample_image::dry_run),
    scenario(
        "push",
        "push with a password; skopeo sees arm64 and Docker v2 s2; the second push sends nothing",
        push::run,
    ),
    scenario("mounted-base", "a base in the same registry is mounted and never downloaded", push::mounted_base),
    scenario("docker", "docker pulls and runs the image for arm64", engines::docker),
    scenario("podman", "podman pulls and runs the image for arm64", engines::podman),
    scenario("base-untouched-docker", "docker sees every path of the base as it was", engines::base_docker),
    scenario("base-untouched-podman", "podman sees every path of the base as it was", engines::base_podman),
    scenario("same-as-pip", "every file is what pip leaves", pip::run),
    scenario("gzip-readers", "five gzip readers read the largest layer whole", gzip_readers::run),
    scenario("outputs", "OCI layout, docker archive and --load", outputs::run),
    scenario("same-everywhere", "other umask, zone, locale, folder and store: same digest", reproducible::run),
    scenario("two-at-once", "two builds at once in one store", reproducible::two_at_once),
    scenario(
        "ctrl-c",
        "ctrl-C in the middle leaves no half blob; the next run finishes and clears up",
        interrupted::ctrl_c,
    ),
    scenario("full-disk", "a full disk is an error; with room the next run finishes", interrupted::full_disk),
    scenario("bad-packages", "packages that are missing, doubled, damaged, foreign or at odds", bad_packages::run),
    scenario("requirements", "Requires-Dist that nothing satisfies", bad_packages::requirements),
    scenario("cann", "podman and docker install CANN's stand-in: same layers, cached, whole in the image", cann::run),
    scenario("cann-refused", "installers that are cut off, changed, or of another version or machine", cann::refused),
    scenario("cann-interrupted", "ctrl-C while CANN is installed leaves no container", cann::interrupted),
    scenario(
        "cann-old-docker",
        "CANN is installed by a docker that knows what 18.09 knows, and refuses --platform as it does",
        cann::old_docker,
    ),
    scenario(
        "conformance",
        "what docker and podman build of the context is the image, file for file",
        conformance::run,
    ),
    scenario(
        "context-pushed",
        "docker builds the context upon a base in a registry, and what it made is pushed by hand",
        conformance::pushed_by_hand,
    ),
    scenario("bad-base", "a base for amd64 is refused, one with zstd layers is taken", bad_base::run),
    scenario(
        "engine-base",
        "a base out of docker and podman: streamed once, the same from both, pinned",
        engine_base::run,
    ),
    scenario(
        "scripts-of-base",
        "the base's fmk.py is patched into a layer of its own, or stops the build",
        scripts::of_base,
    ),
    scenario(
        "scripts-behave",
        "the image's Python runs the patched fmk.py, and it does what it is for",
        scripts::behave,
    ),
    scenario("scripts-relative", "the scripts of the real relative on PyPI are patched", scripts::relative),
    scenario(
        "launch-task",
        "the real mindpet is launched by the launch kit's parameters, with object storage that misbehaves",
        launch_task::run,
    ),
    scenario(
        "launch-kit",
        "jobs of the manual boot in the image: launcher.py, run_ascend910.py, with ranks by either",
        launch_kit::run,
    ),
    scenario("incremental", "docker builds a user's own scripts and code upon the pushed image", scripts::incremental),
    scenario(
        "launcher-old-kernel",
        "the launcher passes its tests with every system call refused that Linux 4.19 lacks",
        launcher::old_kernel,
    ),
    scenario(
        "launcher-beside-vendor",
        "what the vendor's launcher does wrong, ours does right, and ranks notice no other difference",
        launcher::beside_vendor,
    ),
    scenario(
        "launcher-in-image",
        "the image's launcher runs, fails and stops ranks in every kind of container",
        launcher::in_image,
    ),
    scenario("local-job", "docker runs a job of 2 nodes with 8 ranks each of the sample image", trial::whole),
    scenario(
        "local-job-ends",
        "podman runs jobs that fail, are stopped, interrupted, late, or of another user",
        trial::ends,
    ),
    scenario("login", "the console's line and a helper; then a push with what was stored", login::run),
    scenario("app-config", "push writes the address into an app_config, and nothing else", login::app_config),
    scenario("host-setup", "Debian, EulerOS and Ubuntu are set up, docker reads it, and it is undone", host::setup),
    scenario("doctor", "a host on which all is well, and one without a login", host::doctor),
    scenario("doctor-fix", "emulation, hosts file, Rust target and login are mended", doctor_fix::run),
    scenario("tag-exists", "a tag with another digest is not moved unless told so", registry_faults::tag_exists),
    scenario("registry-down", "a registry that is down, and organisations against the rules", registry_faults::down),
    scenario("wrong-password", "a wrong password and none at all", registry_faults::password),
    scenario(
        "certificate",
        "an untrusted certificate, trusted by --ca, ignored by --insecure",
        registry_faults::certificate,
    ),
];

const fn scenario(name: &'static str, about: &'static str, run: fn(&World, &Log) -> anyhow::Result<()>) -> Scenario {
    Scenario { name, about, run }
}

/// What scenarios need of the machine; `ci/setup.sh` installs it.
const REQUIREMENTS: &[Requirement] = &[
    Requirement::Root,
    Requirement::Program("setpriv", "util-linux"),
    Requirement::Program("docker", "docker.io"),
    Requirement::Program("dockerd", "docker.io"),
    Requirement::Program("podman", "podman"),
    Requirement::Program("docker-registry", "docker-registry"),
    Requirement::Program("skopeo", "skopeo"),
    Requirement::Program("mmdebstrap", "mmdebstrap"),
    Requirement::Program("makeself", "makeself"),
    Requirement::Program("htpasswd", "apache2-utils"),
    Requirement::Program("openssl", "openssl"),
    Requirement::Program("script", "bsdutils"),
    Requirement::Program("unpigz", "pigz"),
    Requirement::Program("gunzip", "gzip"),
    Requirement::Program("java", "default-jdk-headless"),
    Requirement::Program("python3", "python3"),
    Requirement::Arm64,
];

/// Runs the scenarios that the filter leaves; an error if one of them failed.
pub fn run(args: &E2eArgs, store: Option<&Path>) -> anyhow::Result<()> {
    let wanted = |name: &str| args.filter.is_empty() || args.filter.iter().any(|part| name.contains(part.as_str()));
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| wanted(scenario.name)).collect();
    if args.list {
        let lines: Vec<String> = chosen.iter().map(|one| format!("{:22} {}\n", one.name, one.about)).collect();
        return report::data(&lines.concat());
    }
    if chosen.is_empty() {
        return Err(anyhow!("no scenario is called like that")).hint("see `cargo xtask e2e --list`").input();
    }
    require(REQUIREMENTS)?;

    let world = World::new(store, args.pkg.as_deref())?;
    let mut outcomes = Vec::new();
    for scenario in &chosen {
        let log = Log::create(world.logs(), scenario.name)?;
        log.say(scenario.about);
        let begin = Instant::now();
        let result = (scenario.run)(&world, &log);
        let time = begin.elapsed();
        let why = result.err().map(|error| report::render(&error));
        match &why {
            None => log.say(&format!("passed in {}", progress::seconds(time))),
            Some(why) => log.say(&format!("FAILED\n{why}    log: {}", log.path().display())),
        }
        outcomes.push((scenario.name, why, time));
    }
    report::data(&table(&outcomes))?;
    let failed = outcomes.iter().filter(|(_, why, _)| why.is_some()).count();
    if failed > 0 {
        bail!("{failed} of {} scenarios failed; their logs are in `{}`", outcomes.len(), world.logs().display());
    }
    Ok(())
}

/// As much of a failure as the closing table tells again; the log has all of it.
const TOLD_AGAIN: usize = 12;

/// The closing table, and below it why each that failed did: whoever keeps only the end of the output has it too.
fn table(outcomes: &[(&str, Option<String>, Duration)]) -> String {
    let mut text = String::new();
    for (name, why, time) in outcomes {
        let verdict = if why.is_none() { "ok" } else { "FAILED" };
        text.push_str(&format!("{name:22} {verdict:6} {:>12}\n", progress::seconds(*time)));
    }
    let failed: Vec<(&str, &str)> =
        outcomes.iter().filter_map(|(name, why, _)| Some((*name, why.as_deref()?))).collect();
    text.push_str(&format!("{} passed, {} failed\n", outcomes.len() - failed.len(), failed.len()));
    for (name, why) in failed {
        text.push_str(&format!("{name}:\n"));
        why.lines().take(TOLD_AGAIN).for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use expect_test::expect;

    use super::*;

    #[test]
    fn the_table_counts_what_passed_and_what_failed() {
        let why = Some("error: no answer\n".to_owned() + &"and more\n".repeat(100));
        let outcomes = [("push", None, Duration::from_millis(1250)), ("docker", why, Duration::from_secs(61))];
        expect![[r#"
            push                   ok           1.25 s
            docker                 FAILED   1 min 01 s
            1 passed, 1 failed
            docker:
                error: no answer
        "#]]
        .assert_eq(&table(&outcomes).replace("    and more\n", ""));
        assert_eq!(table(&outcomes).matches("and more").count(), TOLD_AGAIN - 1);
    }

    #[test]
    fn every_scenario_has_a_name_of_its_own() {
        let names: HashSet<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
    }
}
