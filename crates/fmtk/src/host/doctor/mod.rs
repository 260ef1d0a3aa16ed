//! `doctor`: everything that can be wrong between this host and a pushed image, at once, each with its way out.

mod emulation;
mod finding;
mod fix;
mod inputs;
mod machine;
mod network;
mod sample;

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
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
    resolve::{packages::Package, place, setup},
    terminal::progress::Progress,
};

/// Who is looked at.
struct Patient {
    args: DoctorArgs,
    call: Call,
    recipe: Recipe,
    host: Host,
    store: Store,
}

/// What a check gives.
#[derive(Default)]
struct Learned {
    findings: Vec<Finding>,
    /// All packages, where none is missing.
    packages: Option<Vec<Package>>,
    /// Digest of the base's manifest, where it can be had.
    base: Option<Digest>,
}

impl Learned {
    /// What there is to say of the base, and its digest where it can be had.
    fn of_base(findings: Vec<Finding>, base: Option<Digest>) -> Self {
        Self { findings, base, ..Self::default() }
    }
}

impl From<Vec<Finding>> for Learned {
    fn from(findings: Vec<Finding>) -> Self {
        Self { findings, ..Self::default() }
    }
}

/// A check: what it is called in the table, what it means when it gives no answer in time and what to do then, and
/// itself.
type Check = (&'static str, State, &'static str, fn(&Patient) -> Learned);

const LATER: &str = "run `cargo xtask doctor` again";

/// In the order of the table.
const CHECKS: &[Check] = &[
    ("engine", State::Warning, "see whether `docker info` answers", |patient| machine::engine(patient).into()),
    ("emulation", State::Unknown, LATER, |patient| emulation::emulation(patient).into()),
    ("rust target", State::Unknown, LATER, |patient| machine::rust_target(patient).into()),
    ("disk", State::Warning, "see whether `df` answers", |patient| machine::disk(patient).into()),
    // Gigabytes that were never read before take longer to hash.
    ("packages", State::Unknown, "`cargo xtask image --dry-run` reads them however long it takes", inputs::packages),
    ("base", State::Wrong, "check the network to it; `--base` names another", network::base),
    ("organisation", State::Unknown, LATER, |patient| inputs::organisation(patient).into()),
    ("registry", State::Wrong, "check the network to it; `--resolve IP` gives its address", |patient| {
        network::registry(patient).into()
    }),
    ("image size", State::Unknown, LATER, |patient| inputs::sizes(patient).into()),
];

/// The same for the sample, which is neither pinned nor pushed.
const OF_SAMPLE: &[Check] = &[
    ("rust target", State::Unknown, LATER, |patient| machine::rust_target(patient).into()),
    ("disk", State::Warning, "see whether `df` answers", |patient| machine::disk(patient).into()),
    (
        "packages",
        State::Unknown,
        "`cargo xtask image --sample --dry-run` reads them however long it takes",
        sample::wheels,
    ),
    ("base", State::Unknown, "check the network; `--base` names one of your own", sample::base),
];

/// The promise is 3 s for all.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Flags of `doctor`.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorArgs {
    /// How the registry is reached.
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Mend what can be mended safely, and say each command that is run
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
    /// Override one key of the recipe, as in `versions.mindspore=1.9.0`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Base image [default: the recipe's]
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Folder of the vendor's packages [default: `pkg` of the workspace, or of `$DOCKER_BUILD_PATH`]
    #[arg(long, value_name = "DIR")]
    pub pkg: Option<PathBuf>,
    /// Look for what `image --sample` needs alone
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
        let (recipe, set, pkg) = (self.recipe.clone(), self.set.clone(), self.pkg.clone());
        RecipeArgs { recipe, set, pkg, sample: self.sample }
    }
}

/// Runs the command.
pub fn run(args: &DoctorArgs, call: &Call, store: Store, progress: &Progress) -> anyhow::Result<()> {
    let base = args.base.as_deref();
    let recipe = if args.sample {
        let own = crate::sample::reference(&store)?.to_string();
        setup::sample_recipe(&args.recipe(), base.unwrap_or(&own))?
    } else {
        place::recipe_with(args.recipe.as_deref(), Overrides { set: &args.set, base })?
    };
    let host = args.registry.clone().unwrap_or_else(|| recipe.registry.host.clone());
    let patient = Arc::new(Patient { args: args.clone(), call: call.clone(), recipe, host, store });
    let mut findings = examine(&patient);
    if args.fix && fix::run(&patient, &findings, progress) {
        findings = examine(&patient);
    }
    args.format.print(|| finding::table(&findings), &findings)?;
    match findings.iter().filter(|finding| finding.state == State::Wrong).count() {
        0 => Ok(()),
        1 => Err(anyhow!("1 thing is wrong")),
        wrong => Err(anyhow!("{wrong} things are wrong")),
    }
}

/// All checks at once. One that gives no answer in time is left behind.
fn examine(patient: &Arc<Patient>) -> Vec<Finding> {
    let deadline = Instant::now() + PATIENCE;
    let checks = if patient.args.sample { OF_SAMPLE } else { CHECKS };
    let (send, receive) = mpsc::channel();
    for (index, (_, _, _, check)) in checks.iter().enumerate() {
        let (patient, send) = (Arc::clone(patient), send.clone());
        thread::spawn(move || {
            // Nobody listens any more where it took too long.
            let _ = send.send((index, check(&patient)));
        });
    }
    drop(send);
    let mut learned: Vec<Option<Learned>> = checks.iter().map(|_| None).collect();
    while let Ok((index, found)) = receive.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        learned[index] = Some(found);
    }
    let late = |(name, state, way_out, _): &Check| {
        let says = format!("no answer within {} s", PATIENCE.as_secs_f32());
        Learned::from(vec![Finding { way_out: Some((*way_out).to_owned()), ..Finding::new(name, *state, says) }])
    };
    let learned: Vec<Learned> =
        learned.into_iter().zip(checks).map(|(found, check)| found.unwrap_or_else(|| late(check))).collect();
    let packages = learned.iter().find_map(|one| one.packages.as_deref());
    let base = learned.iter().find_map(|one| one.base);
    let lock = if patient.args.sample { Vec::new() } else { inputs::lock(patient, packages, base) };
    let mut findings: Vec<Finding> = Vec::new();
    for (one, (name, ..)) in learned.into_iter().zip(checks) {
        findings.extend(one.findings);
        if *name == "packages" {
            findings.extend(lock.clone());
        }
    }
    findings
}
