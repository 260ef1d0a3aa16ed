//! `doctor`: everything that can be wrong between this host and a pushed image, at once, each with a hint.

mod finding;
mod fix;
mod inputs;
mod machine;
mod network;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use image_name::{Digest, Host};
use oci_image::Store;

use self::finding::{Finding, State};
use crate::{
    options::{Call, Format, RecipeArgs, RegistryArgs},
    recipe::{Overrides, Recipe},
    resolve::{inputs::sample_draft, inspection, packages::Package, place},
    sample::SampleBase,
    terminal::{progress::Progress, style},
};

/// What the checks look at, and what some learn for others.
struct Patient {
    args: DoctorArgs,
    call: Call,
    recipe: Recipe,
    /// The sample's own base, where the sample is meant.
    sample: Option<&'static SampleBase>,
    host: Host,
    store: Store,
    /// All packages, where none is missing.
    packages: OnceLock<Vec<Package>>,
    /// Digest of the base's manifest, where it can be had.
    base: OnceLock<Digest>,
}

/// A check: what it is called, what it means when it gives no answer in time and what to do then, and itself.
type Check = (&'static str, State, &'static str, fn(&Patient) -> Vec<Finding>);

const LATER: &str = "run `cargo xtask doctor` again";

/// In the order of the table.
const CHECKS: &[Check] = &[
    ("engine", State::Warning, "see whether `docker info` answers", machine::engine),
    ("emulation", State::Unknown, LATER, machine::emulation),
    ("rust target", State::Unknown, LATER, machine::rust_target),
    ("disk", State::Warning, "see whether `df` answers", machine::disk),
    // Gigabytes that were never read before take longer to hash.
    ("packages", State::Unknown, "`cargo xtask image --dry-run` reads them without a time limit", inputs::packages),
    ("base", State::Wrong, "check the network, or name another base with `--base`", network::base),
    ("organisation", State::Unknown, LATER, inputs::organisation),
    ("registry", State::Wrong, "check the network, or give its address with `--resolve IP`", network::registry),
    ("image size", State::Unknown, LATER, inputs::sizes),
];

/// The same for the sample, which is neither pinned nor pushed.
const OF_SAMPLE: &[Check] = &[
    ("rust target", State::Unknown, LATER, machine::rust_target),
    ("disk", State::Warning, "see whether `df` answers", machine::disk),
    (
        "packages",
        State::Unknown,
        "`cargo xtask image --sample --dry-run` reads them without a time limit",
        inputs::sample_packages,
    ),
    ("base", State::Unknown, "check the network, or name a base of your own with `--base`", network::sample_base),
];

/// The promise is 3 s for all.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Flags of `doctor`.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorArgs {
    /// How the registry is reached.
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Fix what can be fixed safely, and print each command that is run
    #[arg(long)]
    pub fix: bool,
    /// Organisation that the image will go to [default: the recipe's]
    #[arg(long, value_name = "ORG", env = "org_name")]
    pub org: Option<String>,
    /// Registry [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::resolve::connect::host)]
    pub registry: Option<Host>,
    /// Recipe of the image [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Stack that the recipe lies on, of those that `cargo xtask stacks` lists [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// Override one key of the recipe, as in `versions.mindspore=1.9.0`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Base image [default: the recipe's]
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Folder of the vendor's packages [default: `pkg` of the workspace, or of `$DOCKER_BUILD_PATH`]
    #[arg(long, value_name = "DIR")]
    pub pkg: Option<PathBuf>,
    /// Check only what `image --sample` needs
    #[arg(long, conflicts_with_all = ["fix", "registry"])]
    pub sample: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Folder that stands for `/` where `--fix` changes files of the host, for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

impl DoctorArgs {
    /// The same, as the build takes it.
    pub fn recipe(&self) -> RecipeArgs {
        let Self { recipe, stack, set, pkg, sample, .. } = self.clone();
        RecipeArgs { recipe, stack, set, pkg, sample }
    }
}

/// Runs the command.
pub fn run(args: &DoctorArgs, call: &Call, store: Store, progress: &Progress) -> anyhow::Result<()> {
    let base = args.base.as_deref();
    let (draft, sample) = if args.sample {
        let (draft, own) = sample_draft(&args.recipe(), base, &store)?;
        (draft, Some(own))
    } else {
        let overrides = Overrides { set: &args.set, base, stack: args.stack.as_deref() };
        (place::draft(args.recipe.as_deref(), overrides)?, None)
    };
    let (recipe, _) = inspection::remembered(&draft, &store)?;
    let host = args.registry.clone().unwrap_or_else(|| recipe.registry.host.clone());
    let patient = Arc::new(Patient {
        args: args.clone(),
        call: call.clone(),
        recipe,
        sample,
        host,
        store,
        packages: OnceLock::new(),
        base: OnceLock::new(),
    });
    let mut findings = examine(&patient);
    if args.fix && fix::run(&patient, &findings, progress) {
        findings = examine(&patient);
    }
    args.format.print(|| finding::table(&findings, style::for_stdout), &findings)?;
    match findings.iter().filter(|finding| finding.state == State::Wrong).count() {
        0 => Ok(()),
        1 => Err(anyhow!("1 problem found")),
        wrong => Err(anyhow!("{wrong} problems found")),
    }
}

/// All checks at once. One that gives no answer in time is left behind.
fn examine(patient: &Arc<Patient>) -> Vec<Finding> {
    let deadline = Instant::now() + PATIENCE;
    let checks = if patient.args.sample { OF_SAMPLE } else { CHECKS };
    let run = |(name, state, hint, check): &Check| {
        let (send, receive) = mpsc::channel();
        let (patient, check) = (Arc::clone(patient), *check);
        thread::spawn(move || {
            // Nobody listens any more where it took too long.
            let _ = send.send(check(&patient));
        });
        let late = Finding::new(*state, format!("no answer within {} s", PATIENCE.as_secs_f32())).hint(*hint);
        (*name, receive, late)
    };
    let running: Vec<_> = checks.iter().map(run).collect();
    let mut findings = Vec::new();
    let mut after_packages = 0;
    for (name, receive, late) in running {
        let found =
            receive.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap_or_else(|_| vec![late]);
        findings.extend(found.into_iter().map(|one| one.named_by(name)));
        if name == "packages" {
            after_packages = findings.len();
        }
    }
    if !patient.args.sample {
        let lock = inputs::lock(patient).into_iter().map(|one| one.named_by("lock"));
        findings.splice(after_packages..after_packages, lock);
    }
    findings
}
