//! Every flag of every command, in one place.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args as ClapArgs, Parser, Subcommand, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};
use image_name::{Host, OrgName, Tag, Timestamp};

/// Build the ModelArts training image and push it, with nothing but cargo
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, disable_help_subcommand = true)]
pub struct Args {
    /// Folder of finished layers and images, shared by all clones [default: the user's cache folder, `fmtk`]
    #[arg(long, global = true, value_name = "DIR", env = "FMTK_STORE")]
    pub store: Option<PathBuf>,
    /// Say nothing but warnings and errors on stderr
    #[arg(long, short, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the image into the store
    Image(Box<ImageArgs>),
    /// Push a built image to a registry and print its `user_image_url`
    Push(Box<PushArgs>),
    /// Download what PyPI has of the recipe into the package folder
    Fetch(FetchArgs),
    /// Pin the packages and the base by digest in `image.lock`
    Lock(LockArgs),
    /// Show an image, a wheel or CANN's installer
    Inspect(InspectArgs),
    /// List the images of an organisation in the registry, newest first
    Images(ImagesArgs),
    /// Log in to the registry with the console's `docker login …` line, or a key, on stdin
    Login(LoginArgs),
    /// Prepare this host's docker and hosts file for a registry without TLS and DNS
    HostSetup(HostSetupArgs),
    /// Look for everything that can be wrong between this host and a pushed image
    Doctor(Box<DoctorArgs>),
    /// Run a whole job on this machine, in containers of a built image
    Try(Box<TryArgs>),
    /// Run the end-to-end tests with real engines, registries and packages
    E2e(crate::e2e::E2eArgs),
    /// Measure against docker and buildah, side by side
    Bench(crate::bench::BenchArgs),
    /// Renew the pinned list of the Debian packages that the sample's base is made of, for developers
    SamplePackages {
        /// Only say whether the list is up to date; exit 1 if it is not
        #[arg(long)]
        check: bool,
    },
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// What stdout looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Media types of the manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MediaTypes {
    /// Docker v2 schema 2, the only one that SWR takes
    #[default]
    Docker,
    /// OCI image spec
    Oci,
}

/// Where the recipe and the packages are.
#[derive(Debug, Clone, ClapArgs)]
pub struct RecipeArgs {
    /// Recipe of the image [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Override one key of the recipe, as in `versions.mindspore=1.9.0`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder of the vendor's packages [default: `pkg` of the workspace, or of `$DOCKER_BUILD_PATH`]
    #[arg(long, value_name = "DIR")]
    pub pkg: Option<PathBuf>,
    /// Make a small real image without the vendor's packages: Debian's Python 3.9, MindSpore and mindpet from PyPI
    #[arg(long)]
    pub sample: bool,
}

/// How to reach the registry.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct RegistryArgs {
    /// Accept plain HTTP or any certificate from the registry
    #[arg(long)]
    pub insecure: bool,
    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(certificates))]
    pub ca: Option<PathBuf>,
    /// Address of the registry where its name is not in DNS
    #[arg(long, value_name = "IP")]
    pub resolve: Option<std::net::IpAddr>,
}

/// A file of certificates, read now: it is not needed before the first connection, which may be minutes away.
fn certificates(path: PathBuf) -> Result<PathBuf, registry::CaFileError> {
    registry::check_ca_file(&path).map(|()| path)
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The image goes into the store, from which `cargo xtask push` takes it. Besides, --output writes it as
  oci:DIR              an OCI image layout, for skopeo and other tools; other images in it stay
  docker-archive:FILE  what `docker load` and `podman load` take
  context:DIR          a folder of which plain `docker build` or `podman build` makes the same image elsewhere
each whole or not at all.")]
pub struct ImageArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Base image: `host/org/repo:tag[@digest]`, `oci:DIR[:tag]`, `docker-archive:FILE`, `docker-daemon:NAME`, `podman:NAME`
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Timestamp of the tag, `YYYYmmddHHMMSS` [default: now, local time]
    #[arg(long, value_name = "TS", env = "timestamp")]
    pub timestamp: Option<Timestamp>,
    /// Print the plan and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write the image as `oci:DIR`, `docker-archive:FILE` or `context:DIR` too; may be given several times
    #[arg(long, value_name = "KIND:PATH")]
    pub output: Vec<String>,
    /// Load the image into docker or podman too, to run it here
    #[arg(long)]
    pub load: bool,
    /// Engine that runs CANN's installer, and that `--load` uses
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// Media types of the manifest
    #[arg(long, value_enum, default_value_t)]
    pub media_types: MediaTypes,
    /// Whether a base in a registry is streamed once to see what is in it
    #[arg(long, value_enum, default_value_t)]
    pub inspect: Inspect,
    /// The same as `--inspect never`
    #[arg(long, conflicts_with = "inspect")]
    pub no_inspect: bool,
    /// Build though a wheel requires a distribution that is nowhere
    #[arg(long)]
    pub allow_missing: bool,
}

/// When a base in a registry is streamed to see what is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Inspect {
    /// When the plan needs it (wheels, scripts to patch, folders that the recipe does not know) and it was not seen before
    #[default]
    Auto,
    /// When it was not seen before
    Always,
    /// Never, though it was seen before
    Never,
}

/// A container engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// docker where its daemon answers, else podman
    #[default]
    Auto,
    /// docker
    Docker,
    /// podman
    Podman,
}

#[derive(Debug, ClapArgs)]
pub struct PushArgs {
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Organisation that the image goes to [default: the recipe's]
    #[arg(long, value_name = "ORG", env = "org_name")]
    pub org: Option<OrgName>,
    /// Registry [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::connect::host)]
    pub registry: Option<Host>,
    /// Push the image with this timestamp [default: the last one built from this workspace]
    #[arg(long, value_name = "TS", env = "timestamp")]
    pub timestamp: Option<Timestamp>,
    /// Push the image with this whole tag
    #[arg(long, value_name = "TAG", conflicts_with = "timestamp")]
    pub tag: Option<Tag>,
    /// Recipe that names the registry [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Move the tag though it exists with another digest
    #[arg(long)]
    pub overwrite: bool,
    /// Set `scenario.modelarts.user_image_url` in this YAML file once the image is there; nothing else of it changes
    #[arg(long, value_name = "FILE")]
    pub app_config: Option<PathBuf>,
    /// Print what would be pushed and stop, without asking the registry
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
pub struct FetchArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Print what pip would be asked for and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
pub struct LockArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Base image to pin [default: the recipe's]
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Print the lock and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
pub struct InspectArgs {
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// A tag or timestamp in the store, any reference of a base, a layout's folder, a docker archive, a `.whl` or a `.run` file
    pub subject: String,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Reads from stdin, and never takes a secret as an argument:
  the line `docker login -u <region>@<AK> -p <key> <host>` of the console; or
  with --region and --ak, the secret key (SK), from which the long-term key is made; or
  with --username, the password.")]
pub struct LoginArgs {
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Region of the long-term key; stdin is the secret key (SK) then
    #[arg(long, value_name = "REGION", requires = "ak", conflicts_with = "username")]
    pub region: Option<String>,
    /// Access key (AK) of the long-term key
    #[arg(long, value_name = "AK", requires = "region")]
    pub ak: Option<String>,
    /// Name to log in with; stdin is the password then
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// As `docker login` takes it: taken only to be refused with the way that is meant
    #[arg(short, long, hide = true)]
    pub password: Option<String>,
    /// The rest of such a line
    #[arg(hide = true)]
    pub words: Vec<String>,
    /// Registry [default: the one of the line, else the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::connect::host)]
    pub registry: Option<Host>,
    /// Store the login without asking the registry whether it accepts it
    #[arg(long)]
    pub no_check: bool,
    /// Recipe that names the registry [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
`push` of this project needs none of this: it is for `docker push` and `docker pull` on this host.
Lines in the hosts file are marked `# fmtk`; what was there before stays beside as `FILE.fmtk-backup-TIMESTAMP`.")]
pub struct HostSetupArgs {
    /// Registry that docker takes without TLS [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::connect::host)]
    pub registry: Option<Host>,
    /// Address that its name gets in `/etc/hosts` [default: the recipe's; without one the hosts file stays]
    #[arg(long, value_name = "IP")]
    pub ip: Option<std::net::IpAddr>,
    /// Name that gets the same address
    #[arg(long, value_name = "HOST")]
    pub modelarts_host: Option<Host>,
    /// Print the changes as a diff and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Take the changes out again, and nothing else
    #[arg(long)]
    pub undo: bool,
    /// Leave docker running with its old settings
    #[arg(long)]
    pub no_restart: bool,
    /// Recipe that names the registry [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Folder that stands for `/`, for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

#[derive(Debug, Clone, ClapArgs)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Mend what can be mended safely, and say each command that is run
    #[arg(long)]
    pub fix: bool,
    /// Organisation that the image will go to [default: the recipe's]
    #[arg(long, value_name = "ORG", env = "org_name")]
    pub org: Option<String>,
    /// Registry [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::connect::host)]
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

#[derive(Debug, ClapArgs)]
pub struct ImagesArgs {
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Organisation to list [default: the recipe's]
    #[arg(long, value_name = "ORG", env = "org_name")]
    pub org: Option<OrgName>,
    /// Registry [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::connect::host)]
    pub registry: Option<Host>,
    /// Recipe that names the registry and the repository [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Exit codes: 0 all nodes ended with 0; 1 one did not, and the table and the report name it with its own code; 2 wrong input.
The containers have no network: ranks of several nodes can't talk to each other.
ctrl-C stops the containers and removes them; what they wrote stays in the output folder.")]
pub struct TryArgs {
    /// A tag or timestamp in the store, or an image that the engine has [default: the last one built from this workspace]
    pub image: Option<String>,
    /// Nodes of the job, a container each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub nodes: u32,
    /// Devices of a node, a rank each
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub devices: u32,
    /// User that the containers run as
    #[arg(long, value_name = "UID", default_value_t = 1000)]
    pub uid: u32,
    /// Group that the containers run as; ma-user's, whose home others can't enter
    #[arg(long, value_name = "GID", default_value_t = 100)]
    pub gid: u32,
    /// Let nothing be written but below /cache, /tmp and $MA_MOUNT_PATH
    #[arg(long)]
    pub read_only: bool,
    /// Folder of training code that each node gets a copy of, in /home/ma-user/modelarts/user-job-dir/code, closed to others
    /// as the tuning kit wants it [default: a small example]
    #[arg(long, value_name = "DIR")]
    pub code: Option<PathBuf>,
    /// One more variable for the containers
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Stop the job after this time
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = crate::trial::duration)]
    pub timeout: Duration,
    /// Time from SIGTERM to SIGKILL for containers that are stopped
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::trial::duration)]
    pub grace: Duration,
    /// Folder for all that the nodes write, and the report [default: `target/try/` and the time]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Engine that runs the containers
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Recipe that names the registry of the image's base [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Print what would be run and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// The boot command, which no shell reads [default: the launcher, with the example as ranks]
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
