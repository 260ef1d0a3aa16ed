//! End-to-end tests: the built program with real packages, registries, engines and an emulated arm64.

mod bad_base;
mod bad_packages;
mod bases;
mod bytecode;
mod cache;
mod cann;
mod cann_parts;
mod cluster_job;
mod completions;
mod conformance;
mod doctor_fix;
mod engine_base;
mod engines;
mod fetch;
mod fetch_indexes;
mod gzip_readers;
mod host;
mod host_lists;
mod init;
mod interrupted;
mod launch_kit;
mod launch_task;
mod launcher;
mod login;
mod outputs;
mod pip;
mod push;
mod registries;
mod registry_faults;
mod reproducible;
mod sample_base;
mod sample_image;
mod schedule;
mod scripts;
mod stacks;
mod system_packages;
mod try_job;
mod world;

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use fmtk::{
    resolve::tools,
    terminal::{
        interrupt, progress,
        report::{self, WithHint},
    },
};

use self::{
    engines::base_untouched,
    world::{Commons, World},
};
use crate::testbed::require;

/// Flags of `cargo xtask e2e`.
#[derive(Debug, clap::Args)]
pub struct E2eArgs {
    /// Run only the scenarios whose names contain one of these
    pub filter: Vec<String>,
    /// Run so many scenarios side by side [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// List the scenarios and stop
    #[arg(long)]
    pub list: bool,
    /// Take what an earlier `fetch --sample --pkg DIR` downloaded
    #[arg(long, value_name = "DIR")]
    pub pkg: Option<std::path::PathBuf>,
}

/// One thing that must work: its name, what it is about, and what it does.
type Scenario = (&'static str, &'static str, fn(&World) -> anyhow::Result<()>);

/// Those that run while nothing else does, in this order, and why each of them has to.
const ALONE: &[(Scenario, &str)] = &[
    (
        ("sample-image", "fetch and build the sample; the second build makes nothing", sample_image::run),
        "it counts what is in the store of all, and makes the image that most others want",
    ),
    (
        ("dry-run", "the plan is printed twice the same and nothing is written", sample_image::dry_run),
        "it counts what is in the store of all",
    ),
    (
        ("doctor-fix", "emulation, hosts file, Rust target and login are fixed", doctor_fix::run),
        "it takes emulation from the kernel for a while",
    ),
    (
        ("launcher-beside-vendor", "what the vendor's launcher does wrong, ours does right", launcher::beside_vendor),
        "it asks which of two programs ends first, and load makes one later than the other",
    ),
];

/// All others. They run side by side, each with engines, a registry and a folder of its own; what they share is in
/// [`Commons`].
const SCENARIOS: &[Scenario] = &[
    (
        "sample-base",
        "the base is mmdebstrap's but for a table, the same for every user, known to dpkg",
        sample_base::run,
    ),
    (
        "system-packages",
        "a wheel that needs C++ on a Debian without it: named, then added from the archive, pinned, known to dpkg",
        system_packages::run,
    ),
    ("push", "push with a password; skopeo sees arm64 and Docker v2 s2; a second push sends nothing", push::run),
    (
        "push-oci",
        "the image with OCI media types, and with zstd layers: skopeo and containerd read it, podman runs it",
        push::oci,
    ),
    ("mounted-base", "a base in the same registry is mounted and never downloaded", push::mounted_base),
    ("docker", "docker pulls and runs the image for arm64", |world| engines::runs(world, world.docker()?)),
    ("podman", "podman pulls and runs the image for arm64", |world| engines::runs(world, world.podman()?)),
    ("base-untouched-docker", "docker sees the base as it was", |world| base_untouched(world, world.docker()?)),
    ("base-untouched-podman", "podman sees the base as it was", |world| base_untouched(world, world.podman()?)),
    ("same-as-pip", "every file is what pip leaves", pip::run),
    ("same-as-pip-compiled", "with bytecode, every file is what pip leaves that compiles", pip::compiled),
    ("bytecode", "compiled modules are pip's, and the same each time", bytecode::run),
    ("bytecode-ways", "this machine's Python and the base's own compile to the same image", bytecode::ways),
    ("gzip-readers", "five gzip readers read the largest layer whole", gzip_readers::run),
    ("outputs", "OCI layout for skopeo, umoci and containerd, docker archive and --load", outputs::run),
    ("same-everywhere", "other umask, zone, locale, folder and store: same digest", reproducible::run),
    ("two-at-once", "two builds at once in one store", reproducible::two_at_once),
    ("ctrl-c", "ctrl-C in the middle leaves no half blob; the next run finishes and clears up", interrupted::ctrl_c),
    ("full-disk", "a full disk is an error; with disk space the next run finishes", interrupted::full_disk),
    ("bad-packages", "packages that are missing, duplicate, damaged, foreign or in conflict", bad_packages::run),
    ("fetch-locked", "pip brings what the lock names, by version and hash", fetch::locked),
    ("fetch-source", "what has no wheel is named, and pip takes one that was made by hand", fetch::source_alone),
    ("fetch-pure", "pip builds a wheel of a source where that is asked for, if it is pure Python", fetch::pure_sources),
    ("fetch-pypi-source", "a source of PyPI is built to the same wheel each time", fetch::pure_source_of_pypi),
    (
        "fetch-indexes",
        "uv resolves with overrides, exclusions and an index of its own; files of other tools are fetched by hash",
        fetch_indexes::run,
    ),
    ("requirements", "Requires-Dist that nothing satisfies", bad_packages::requirements),
    ("cann", "podman and docker install CANN's stand-in: same layers, cached, whole in the image", cann::run),
    (
        "cache-from",
        "an empty machine takes from the image pushed last what it lacks: little is sent, no engine; lies are found",
        cache::run,
    ),
    ("cann-refused", "installers that are cut off, changed, or of another version or machine", cann::refused),
    ("cann-interrupted", "ctrl-C while CANN is installed leaves no container", cann::interrupted),
    (
        "cann-parts",
        "toolkit, operators and nnal of both generations: layers of their own, variables that are learned, refusals",
        cann_parts::run,
    ),
    ("cann-old-docker", "CANN is installed by a docker that knows what 18.09 knows", cann::old_docker_installs),
    ("conformance", "what docker and podman build of the context is the image, file for file", conformance::run),
    (
        "context-pushed",
        "docker builds the context upon a base in a registry and pushes it",
        conformance::pushed_by_hand,
    ),
    ("bad-base", "a base for amd64 is refused, one with zstd layers is taken", bad_base::run),
    ("init", "a recipe is written for the sample's base, and builds the image that it names", init::run),
    ("engine-base", "a base out of docker and podman: streamed once, the same from both, pinned", engine_base::run),
    ("scripts-of-base", "the base's fmk.py is patched into a layer of its own, or stops the build", scripts::of_base),
    ("scripts-behave", "the image's Python runs the patched fmk.py, and it does what it is for", scripts::behave),
    ("scripts-relative", "the scripts of the real relative on PyPI are patched", scripts::relative),
    ("launch-task", "mindpet is launched by the launch kit's parameters; storage misbehaves", launch_task::run),
    ("launch-kit", "jobs of the manual boot in the image, with ranks by our launcher or the scripts", launch_kit::run),
    ("incremental", "docker builds a user's own scripts and code upon the pushed image", scripts::incremental),
    ("launcher-old-kernel", "the launcher passes its tests without the calls Linux 4.19 lacks", launcher::old_kernel),
    (
        "launcher-mindspore",
        "real ranks of MindSpore meet by our scheduler, on two nodes, and by msrun; one fails and all are gone",
        launcher::mindspore,
    ),
    (
        "launcher-engine-ends",
        "mpirun ends both nodes when one fails, and kills ranks that do not obey; nothing is left",
        launcher::engine_ends,
    ),
    ("launcher-report", "chromium opens the joined report of 128 nodes with 8 ranks each", launcher::report),
    ("launcher-in-image", "the launcher runs, fails and stops ranks in every kind of container", launcher::in_image),
    ("host-lists", "Slurm's short lists of nodes mean what its own program makes of them", host_lists::run),
    ("local-job", "docker runs a job of 2 nodes with 8 ranks each of the sample image", try_job::whole),
    ("local-job-ends", "podman runs jobs that fail, are stopped, late, or of another user", try_job::ends),
    (
        "cluster-job",
        "what starts a job on a cluster has the pushed image, and its command runs there",
        cluster_job::run,
    ),
    (
        "stack-torch-2.7",
        "PyTorch 2.7 adds up on two nodes, by the launcher and torchrun; torch_npu lacks the driver's library alone",
        stacks::torch,
    ),
    ("base-of-cann", "a base like CANN's own completes the stack's recipe, and keeps its CANN", bases::of_cann),
    (
        "base-of-conda",
        "wheels go into ModelArts' environment of conda, and replace what conda installed",
        bases::of_conda,
    ),
    ("stack-torch-2.10", "PyTorch 2.10 is imported, and torch_npu lacks CANN alone", stacks::newer_torch),
    ("stack-mindspore-2.10", "MindSpore 2.10 computes on the CPU", stacks::mindspore),
    ("stack-mindspore-2.7", "MindSpore 2.7 is built as it was planned", stacks::older_mindspore),
    ("completions", "a Tab at the prompt of bash, zsh and fish completes `cargo xtask`", completions::run),
    ("login", "the console's line and a helper; then a push with what was stored", login::run),
    ("app-config", "push writes the address into an app_config, and nothing else", login::app_config),
    ("host-setup", "Debian, EulerOS and Ubuntu are set up, docker reads it, and it is undone", host::setup),
    ("doctor", "a host on which all is well, and one without a login", host::doctor),
    ("tag-exists", "a tag with another digest is not moved unless told so", registry_faults::tag_exists),
    (
        "registries",
        "no login, a password, tokens over HTTPS: a base is pulled, an image pushed and read; the least scopes; refusals",
        registries::run,
    ),
    ("registry-down", "a registry that is down, and organisations against the rules", registry_faults::down),
    (
        "bad-line",
        "a line that is cut all the time: what arrives, what is sent, when it stops",
        registry_faults::bad_line,
    ),
    ("certificate", "an untrusted certificate, trusted by --ca, ignored by --insecure", registry_faults::certificate),
];

/// What takes longest, the longest first: it is begun first.
const LONGEST: &[&str] = &[
    "launcher-in-image",
    "stack-torch-2.7",
    "launcher-old-kernel",
    "launch-kit",
    "local-job",
    "cann-parts",
    "launcher-mindspore",
    "same-as-pip-compiled",
    "sample-base",
    "conformance",
    "stack-mindspore-2.10",
    "stack-torch-2.10",
    "local-job-ends",
    "base-of-cann",
    "base-of-conda",
    "system-packages",
];

fn all() -> impl Iterator<Item = Scenario> {
    ALONE.iter().map(|(scenario, _)| *scenario).chain(SCENARIOS.iter().copied())
}

/// What scenarios need of the machine; `ci/setup.sh` installs it.
const NEEDS: &str = "root arm64 setpriv docker dockerd containerd ctr podman docker-registry skopeo umoci mmdebstrap makeself scontrol htpasswd openssl \
                     script unpigz gunzip java mpirun python3 uv bash zsh fish chromium";

/// Runs the scenarios that the filter leaves; an error if one of them failed.
pub fn run(args: &E2eArgs, store: Option<&Path>) -> anyhow::Result<()> {
    let is_chosen = |name: &str| args.filter.is_empty() || args.filter.iter().any(|part| name.contains(part.as_str()));
    let chosen: Vec<Scenario> = all().filter(|(name, ..)| is_chosen(name)).collect();
    if args.list {
        let lines: Vec<String> = chosen.iter().map(|(name, about, _)| format!("{name:22} {about}\n")).collect();
        return report::data(&lines.concat());
    }
    if chosen.is_empty() {
        return Err(anyhow!("no scenario is called like that")).hint("see `cargo xtask e2e --list`").input();
    }
    require(NEEDS)?;

    interrupt::watch(|| eprintln!("interrupted: ending engines and removing their folders"))
        .context("failed to catch signals")?;
    let commons = Arc::new(Commons::new(store, args.pkg.as_deref())?);
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let is_alone = |scenario: &Scenario| ALONE.iter().any(|(alone, _)| alone.0 == scenario.0);
    let (alone, mut beside): (Vec<Scenario>, Vec<Scenario>) = chosen.iter().partition(|scenario| is_alone(scenario));
    // Begun last, it would run when all others have ended.
    beside.sort_by_key(|(name, ..)| LONGEST.iter().position(|long| long == name).unwrap_or(LONGEST.len()));
    // Nearly all want the launcher, in the image or here. Where one of them had it compiled, a processor would be idle.
    if chosen.len() > 1 {
        tools::own_launcher()?;
    }
    let world = |job| World::new(&commons, &format!("setup-{job}"));
    // Of one at a time everything is printed at once.
    let held = jobs > NonZeroUsize::MIN;
    let mut outcomes = schedule::run([&alone, &beside], jobs, world, |world, scenario| {
        outcome(world, scenario, held && !is_alone(scenario))
    })?;
    outcomes.sort_by_key(|(name, ..)| chosen.iter().position(|scenario| scenario.0 == *name));
    report::data(&table(&outcomes))?;
    let failed = outcomes.iter().filter(|(_, why, _)| why.is_some()).count();
    if failed > 0 {
        bail!("{failed} of {} scenarios failed; their logs are in `target/e2e`", outcomes.len());
    }
    Ok(())
}

/// The name of a scenario, why it failed if it did, and how long it took.
type Outcome = (&'static str, Option<String>, Duration);

/// Runs a scenario to its end. With `held` its lines are printed together then.
fn outcome(world: &World, (name, about, run): &Scenario, held: bool) -> Outcome {
    interrupt::wait_if_pending();
    let begin = Instant::now();
    let done = world.log.go_on_in(name, held).and_then(|()| {
        world.say(about);
        run(world)
    });
    interrupt::wait_if_pending();
    let why = done.err().map(|error| report::render(&error));
    world.clear();
    let time = begin.elapsed();
    match &why {
        None => world.say(format!("passed in {}", progress::seconds(time))),
        Some(why) => world.say(format!("FAILED\n{why}    log: {}", world.log.path().display())),
    }
    world.log.release();
    (name, why, time)
}

/// As much of a failure as the closing table tells again; the log has all of it.
const TOLD_AGAIN: usize = 12;

/// The closing table, and below it why each that failed did: whoever keeps only the end of the output has it too.
fn table(outcomes: &[Outcome]) -> String {
    let (mut text, mut reasons, mut failed) = (String::new(), String::new(), 0);
    for (name, why, time) in outcomes {
        let verdict = if why.is_none() { "ok" } else { "FAILED" };
        text.push_str(&format!("{name:22} {verdict:6} {:>12}\n", progress::seconds(*time)));
        if let Some(why) = why {
            failed += 1;
            reasons.push_str(&format!("{name}:\n"));
            why.lines().take(TOLD_AGAIN).for_each(|line| reasons.push_str(&format!("    {line}\n")));
        }
    }
    format!("{text}{} passed, {failed} failed\n{reasons}", outcomes.len() - failed)
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
        let names: HashSet<&str> = all().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), all().count());
        for long in LONGEST {
            assert!(names.contains(long), "`{long}` is no scenario");
        }
    }
}
