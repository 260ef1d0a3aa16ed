//! Many pushes over lines that go wrong at random: whatever happens, an image under its tag is whole, the next push
//! completes it, and nothing is left behind.

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{self, ExitStatus},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use fmtk::{
    sample::{self, BULLSEYE},
    terminal::{progress::Progress, report},
};
use image_name::Digest;
use oci_image::Store;
use registry_fake::{FakeRegistry, Fault, Options, Partial};

use crate::testbed::{
    self, Access, Cut, Faults, Line, PATIENCE, RegistryServer, Workplace, field, memory, noise, open_files, own_files,
    recipe, require, signal, wait_until, with_argument,
};

/// Flags of `cargo xtask soak`.
#[derive(Debug, clap::Args)]
pub struct SoakArgs {
    /// How many pushes
    #[arg(long, default_value_t = 500)]
    pushes: u64,
    /// What the faults are drawn from [default: the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Number of the first push: with the seed of another run, its faults once more
    #[arg(long, default_value_t = 1)]
    first: u64,
}

/// The image: its base, and 24 MB that do not compress in layers of 4 MiB.
const BYTES: u64 = 24_000_000;
const TIMESTAMP: &str = "20230101000000";

/// docker-registry keeps what was cut until it is emptied: 25 pushes leave a gigabyte at most.
const EMPTIED_EVERY: u64 = 25;

/// From here on nothing that is opened or allocated once is counted as a leak.
const WARM: u64 = 10;

/// Most that this process may grow by from then on.
const GROWTH: u64 = 64 << 20;

/// What befalls a push.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// To a fake that does this with uploads that are cut, not to docker-registry.
    fake: Option<Partial>,
    line: Faults,
    /// The fake says no to this many requests, after so many, with this status.
    refusals: Option<(u32, u32, u16)>,
    /// The push is killed after so many bytes, with this signal.
    kill: Option<(u64, &'static str)>,
}

/// Random numbers, the same each time: Steele's splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

impl Plan {
    /// The same for the same seed and number.
    fn of(seed: u64, number: u64) -> Self {
        let mut random = Random(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let fake = match random.below(6) {
            0 => Some(Partial::Bytes),
            1 => Some(Partial::Chunks),
            2 => Some(Partial::Forgets),
            _ => None,
        };
        let cut = match random.below(3) {
            0 => Cut::Never,
            1 => Cut::AllEvery(4_000_000 + random.below(30_000_000)),
            _ => Cut::OneAfter(random.below(BYTES)),
        };
        let round_trip = Duration::from_millis(if random.once_in(3) { random.below(40) } else { 0 });
        let bytes_per_second = random.once_in(3).then(|| 20_000_000 + random.below(80_000_000));
        let corrupt = random.once_in(3).then(|| random.below(BYTES));
        let status = if random.once_in(2) { 429 } else { 503 };
        let refusals = (1 + random.below(4) as u32, random.below(20) as u32, status);
        let refusals = random.once_in(3).then_some(refusals);
        let name = if random.once_in(3) { "INT" } else { "KILL" };
        let kill = random.once_in(3).then(|| (random.below(BYTES), name));
        Self { fake, line: Faults { cut, round_trip, bytes_per_second, corrupt }, refusals, kill }
    }
}

/// What is shared by all pushes. Servers end and folders go with it: the fields are dropped in this order.
struct Soak {
    registry: RegistryServer,
    store: PathBuf,
    /// Of the image that is pushed.
    digest: Digest,
    repository: String,
    workplace: Workplace,
}

/// How a push ended under its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// It said why not.
    Failed,
    Killed,
}

/// A push that ended: how, and the most memory and open files that it was seen with.
#[derive(Debug, Clone, Copy)]
struct Ended {
    end: End,
    memory: u64,
    files: usize,
}

pub fn run(args: &SoakArgs, store: Option<&Path>) -> anyhow::Result<()> {
    require("root setpriv docker-registry skopeo")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let seed = args.seed.unwrap_or(now.as_secs());
    let soak = Soak::new(store)?;
    soak.workplace.say(format!("seed {seed}"));
    let (mut ended, mut problems, mut warm) = (Vec::new(), Vec::new(), None);
    for number in args.first..args.first.saturating_add(args.pushes) {
        let plan = Plan::of(seed, number);
        match soak.push(number, &plan) {
            Ok(one) => ended.push(one),
            Err(error) => {
                let again = format!("cargo xtask soak --seed {seed} --first {number} --pushes 1");
                problems.push(format!("push {number}: {error:#}\n    {plan:?}\n    once more: {again}\n"));
                soak.workplace.say(problems[problems.len() - 1].trim_end());
            }
        }
        if number.is_multiple_of(EMPTIED_EVERY) {
            soak.workplace.say(format!("{number} pushes, {} problems", problems.len()));
            soak.registry.empty()?;
        }
        if number + 1 == args.first + WARM {
            warm = Some(own()?);
        }
    }
    if let Err(error) = soak.is_clean_at_last(warm) {
        problems.push(format!("{error:#}\n"));
    }
    report::data(&summary(seed, &ended, &problems))?;
    ensure!(problems.is_empty(), "{} pushes had problems", problems.len());
    Ok(())
}

/// Open files and resident bytes of this process.
fn own() -> anyhow::Result<(usize, u64)> {
    let own = process::id();
    open_files(own).zip(memory(own).map(|(now, _)| now)).context("`/proc` says nothing about this process")
}

fn summary(seed: u64, ended: &[Ended], problems: &[String]) -> String {
    let count = |end: End| ended.iter().filter(|one| one.end == end).count();
    // Of the earlier and of the later half: what grows from push to push would show.
    let (earlier, later) = ended.split_at(ended.len() / 2);
    let most = |half: &[Ended]| {
        let memory = half.iter().map(|one| one.memory).max().unwrap_or(0) >> 10;
        format!("{memory} KiB, {} open files", half.iter().map(|one| one.files).max().unwrap_or(0))
    };
    format!(
        "seed {seed}: {} went through, {} failed and {} were killed before the next push completed them\n\
         at most: {}; in the later half {}\n{} problems\n{}",
        count(End::Done),
        count(End::Failed),
        count(End::Killed),
        most(earlier),
        most(later),
        problems.len(),
        problems.concat(),
    )
}

impl Soak {
    fn new(store: Option<&Path>) -> anyhow::Result<Self> {
        let workplace = Workplace::new("soak", "soak")?;
        // Where there is a store that has the sample's base, it need not be made again.
        let bases = store.map_or_else(|| Ok(workplace.path("bases")), std::path::absolute).context("no folder")?;
        let base = sample::ensure_base(&Store::open(&bases)?, BULLSEYE, &Progress::new(true))?;
        let folder = workplace.folder("image")?;
        noise(&folder.join("data"), BYTES)?;
        let settings = recipe(&[("layout.max_layer", "4 MiB")]);
        testbed::write(&folder.join("image.toml"), settings + &own_files("data", "/opt/data", "0644"))?;
        let store = workplace.folder("store")?;
        let image = workplace.xtask_in(&store).args(["image", "--timestamp", TIMESTAMP, "--base", &base.to_string()]);
        let built = image.arg("--recipe").arg(folder.join("image.toml")).arg("--pkg").arg(&folder).json()?;
        let (digest, tag) = (field(&built, "digest")?.parse()?, field(&built, "tag")?);
        let repository = format!("fmtk-ma:{tag}");
        let registry = RegistryServer::start(&workplace.log, &workplace.folder("registry")?, Access::Anyone)?;
        Ok(Self { registry, store, digest, repository, workplace })
    }

    /// Pushes under the plan, and until it is done.
    fn push(&self, number: u64, plan: &Plan) -> anyhow::Result<Ended> {
        let partial = plan.fake.unwrap_or_default();
        let fake = FakeRegistry::with(Options { partial, ..Options::default() });
        if let Some((times, skip, status)) = plan.refusals {
            for method in ["HEAD", "POST", "PATCH", "PUT"] {
                let fault = Fault::status(method, "/v2/", status, "TOOMANYREQUESTS", "later");
                fake.plan(fault.with_header("Retry-After", "0").times(times).after(skip));
            }
        }
        let server: SocketAddr = match plan.fake.is_some() {
            true => fake.host().parse().context("the fake has no address")?,
            false => self.registry.address(),
        };
        let org = format!("soak-{number}");
        let line = Line::start(server, plan.line)?;
        let ended = self.once(&line, &org, plan.kill)?;
        let is_undisturbed = plan.line.cut == Cut::Never && plan.line.corrupt.is_none() && ended.end == End::Done;
        if plan.fake.is_some() && is_undisturbed {
            // What a refusal has ended is given up, and the registry told so.
            ensure!(fake.open_uploads() == 0, "{} uploads are left in the registry", fake.open_uploads());
        }
        // Whoever pulls meanwhile gets the whole image or none.
        if ended.end == End::Done || self.is_there(server, &org)? {
            self.is_whole(server, &org)?;
        }
        if ended.end != End::Done {
            // A push that was killed goes on in the next process, which knows the registry by the same name.
            line.mend();
            let again = self.once(&line, &org, None)?;
            ensure!(again.end == End::Done, "the push after it failed without a fault; see `{}`", self.log());
            self.is_whole(server, &org)?;
        }
        let left = with_argument(&self.store.to_string_lossy())?;
        ensure!(left.is_empty(), "processes are left: {left:?}");
        self.no_upload_is_recorded()?;
        Ok(ended)
    }

    fn log(&self) -> String {
        self.workplace.log.path().display().to_string()
    }

    /// One push, killed where that is asked for.
    fn once(&self, line: &Line, org: &str, kill: Option<(u64, &str)>) -> anyhow::Result<Ended> {
        let push = self.workplace.xtask_in(&self.store).args(["push", "--quiet", "--org", org, "--registry"]);
        let mut child = push.arg(line.host()).args(["--timestamp", TIMESTAMP]).interruptible().spawn()?;
        let (begin, mut most, mut killed) = (Instant::now(), (0, 0), false);
        let status = loop {
            if let Some(status) = child.try_wait().context("failed to look after a process")? {
                break status;
            }
            let (files, (_, memory)) = open_files(child.id()).zip(memory(child.id())).unwrap_or_default();
            most = (most.0.max(memory), most.1.max(files));
            if let Some((after, name)) = kill.filter(|(after, _)| !killed && line.passed().sent >= *after) {
                killed = true;
                self.workplace.log.note(&format!("## SIG{name} after {after} bytes\n"));
                // One that has just ended needs no signal.
                let _ = signal(child.id(), name);
            }
            if begin.elapsed() > PATIENCE {
                let _ = child.kill().and_then(|()| child.wait());
                bail!("it hangs; see `{}`", self.log());
            }
            // Also how often it is looked at.
            thread::sleep(Duration::from_millis(2));
        };
        Ok(Ended { end: end_of(status, killed)?, memory: most.0, files: most.1 })
    }

    fn image(&self, server: SocketAddr, org: &str) -> String {
        format!("docker://{server}/{org}/{}", self.repository)
    }

    fn is_there(&self, server: SocketAddr, org: &str) -> anyhow::Result<bool> {
        let inspect = self.workplace.command("skopeo").words("inspect --tls-verify=false --raw");
        Ok(inspect.arg(self.image(server, org)).finish()?.status.success())
    }

    /// An error unless every blob can be had, with the right digest, and the manifest is the one that was built.
    fn is_whole(&self, server: SocketAddr, org: &str) -> anyhow::Result<()> {
        let folder = self.workplace.fresh("pulled")?;
        let copy = self.workplace.command("skopeo").words("copy --quiet --src-tls-verify=false --preserve-digests");
        copy.arg(self.image(server, org)).arg(format!("dir:{}", folder.display())).run().context("a bad image")?;
        let found = Digest::of(&testbed::bytes(&folder.join("manifest.json"))?);
        ensure!(found == self.digest, "a bad image: it is {found}, {} was pushed", self.digest);
        Ok(())
    }

    /// An error if the store still knows an upload that is to be gone on with: there is none after a push that is done.
    fn no_upload_is_recorded(&self) -> anyhow::Result<()> {
        for path in files_below(&self.store)?.iter().filter(|path| !path.starts_with(self.store.join("blobs"))) {
            let is_one = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).contains("/blobs/uploads/");
            ensure!(!is_one, "an upload is left in `{}`", path.display());
        }
        Ok(())
    }

    /// No temporary file is left once a command has cleared up after those that were killed, every blob of the store is
    /// whole, and this process, in which the lines and the fakes were, has not grown.
    fn is_clean_at_last(&self, warm: Option<(usize, u64)>) -> anyhow::Result<()> {
        let tmp = self.store.join("tmp");
        for name in testbed::names(&tmp)? {
            // What was written within the last minute is let be, in case someone is just about to lock it.
            self.workplace.command("touch").args(["-d", "1 hour ago"]).arg(tmp.join(name)).run()?;
        }
        let line = Line::start(self.registry.address(), Faults::default())?;
        self.once(&line, "at-last", None)?;
        drop(line);
        let left = testbed::names(&tmp)?;
        ensure!(left.is_empty(), "left in the store's `tmp`: {left:?}");
        let store = Store::open(&self.store)?;
        for name in testbed::names(&self.store.join("blobs/sha256"))? {
            let digest = format!("sha256:{name}").parse().with_context(|| format!("a blob called `{name}`"))?;
            store.read_blob(&digest, u64::MAX - 1).with_context(|| format!("half a blob: `{name}`"))?;
        }
        let Some((files, bytes)) = warm else { return Ok(()) };
        // Threads of the last connections may still be closing them.
        wait_until("open files are as many as before", || Ok(own()?.0 <= files))?;
        let (_, now) = own()?;
        ensure!(now <= bytes + GROWTH, "this process has grown from {bytes} to {now} bytes");
        Ok(())
    }
}

/// An error if it is none of the ways in which a push may end.
fn end_of(status: ExitStatus, killed: bool) -> anyhow::Result<End> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(End::Done),
        (Some(130) | None, _) if killed => Ok(End::Killed),
        (Some(1), _) => Ok(End::Failed),
        _ => bail!("it ended with {status}"),
    }
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in testbed::paths(folder)? {
        match path.is_dir() {
            true => found.extend(files_below(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_the_same_for_the_same_seed_and_of_all_kinds() {
        let plans = |seed| (1..=100).map(|number| format!("{:?}", Plan::of(seed, number))).collect::<Vec<_>>();
        assert_eq!(plans(7), plans(7));
        assert_ne!(plans(7), plans(8));
        let all: Vec<Plan> = (1..=100).map(|number| Plan::of(7, number)).collect();
        let some = |is: fn(&Plan) -> bool| all.iter().any(is) && !all.iter().all(is);
        assert!(
            some(|plan| plan.fake.is_some())
                && some(|plan| plan.kill.is_some())
                && some(|plan| plan.refusals.is_some())
        );
        assert!(some(|plan| plan.line.corrupt.is_some()) && some(|plan| matches!(plan.line.cut, Cut::AllEvery(_))));
        assert!(some(|plan| plan.line == Faults::default()));
    }

    #[test]
    fn only_success_errors_and_our_own_signals_are_ends() {
        let of = |raw: i32, killed| end_of(ExitStatus::from_raw(raw), killed).ok();
        assert_eq!(of(0, false), Some(End::Done));
        assert_eq!(of(1 << 8, false), Some(End::Failed));
        assert_eq!([of(9, true), of(130 << 8, true)], [Some(End::Killed); 2]);
        assert_eq!([of(9, false), of(101 << 8, false), of(130 << 8, false)], [None; 3]);
    }
}
