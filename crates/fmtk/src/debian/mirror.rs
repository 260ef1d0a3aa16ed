//! Downloads packages of Debian and Ubuntu: from a mirror, or from an archive once mirrors have dropped the release.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    ops::ControlFlow,
    process::Command,
};

use anyhow::{Context, anyhow};
use oci_image::Store;
use registry::{Cause, CredentialSource, FileServer, Proxies, RegistryOptions};

use super::{Package, Vendor};
use crate::terminal::{
    progress::Progress,
    report::{self, WithHint},
};

/// Names a mirror of Debian's packages, in place of the one that this machine's apt uses.
pub const MIRROR_VARIABLE: &str = "FMTK_DEBIAN_MIRROR";

/// The mirror for machines that are not Debian, of packages and of security updates. Plain HTTP: every file is checked by
/// its digest.
const DEBIAN: &str = "http://deb.debian.org/debian";

/// The one of Ubuntu's packages for arm64.
const UBUNTU: &str = "http://ports.ubuntu.com/ubuntu-ports";

/// Have every release that mirrors no longer have.
const OLD_DEBIAN: &str = "http://archive.debian.org/debian";
const OLD_UBUNTU: &str = "http://old-releases.ubuntu.com/ubuntu";

/// Packages fetched at a time: most are small, so that the way to the mirror is what takes the time.
const PARALLEL: usize = 8;

/// Where packages are looked for, in this order: a mirror, then the archive of old releases.
pub type Servers = [FileServer; 2];

/// Mirrors of a vendor's packages for arm64.
#[derive(Debug, Clone)]
pub struct Mirrors {
    /// Those of the releases.
    pub main: Servers,
    /// Those of Debian's security updates, which Ubuntu has beside the releases.
    pub security: Option<Servers>,
    /// How to name another mirror.
    pub another: String,
}

impl Mirrors {
    /// The mirror that a recipe names, else what is usual.
    pub fn of(vendor: Vendor, named: Option<&str>) -> anyhow::Result<Self> {
        let (address, from) = match (named, vendor) {
            (Some(address), _) => (address.to_owned(), "`system.mirror`".to_owned()),
            (None, Vendor::Debian) => debian()?,
            (None, Vendor::Ubuntu) => (UBUNTU.to_owned(), String::new()),
        };
        let old = match vendor {
            Vendor::Debian => OLD_DEBIAN,
            Vendor::Ubuntu => OLD_UBUNTU,
        };
        let servers = |address: &str, old: &str| -> anyhow::Result<Servers> {
            let mirror =
                FileServer::new(address, options()).with_context(|| format!("bad mirror in {from}")).input()?;
            Ok([mirror, FileServer::new(old, options())?])
        };
        let security = match vendor {
            Vendor::Debian => security_of(&address).zip(security_of(old)),
            Vendor::Ubuntu => None,
        };
        Ok(Self {
            main: servers(&address, old)?,
            security: security.map(|(address, old)| servers(&address, &old)).transpose()?,
            another: "name another mirror in `system.mirror` of the recipe".to_owned(),
        })
    }

    /// Those that have the file at this path; security updates of Debian have a folder of their own in the pool.
    pub fn of_path(&self, path: &str) -> &Servers {
        let is_update = path.starts_with("pool/updates/");
        self.security.as_ref().filter(|_| is_update).unwrap_or(&self.main)
    }
}

/// The mirror of security updates beside a mirror of Debian: `debian-security` for `debian` in its path.
fn security_of(address: &str) -> Option<String> {
    let mut parts: Vec<&str> = address.split('/').collect();
    let folder = parts.iter_mut().skip(3).rev().find(|part| **part == "debian")?;
    *folder = "debian-security";
    Some(parts.join("/"))
}

/// The mirrors of the sample's packages.
pub fn servers() -> anyhow::Result<Servers> {
    servers_with(options())
}

/// The same, reached so.
pub fn servers_with(options: RegistryOptions) -> anyhow::Result<Servers> {
    let (address, from) = debian()?;
    let mirror = FileServer::new(&address, options.clone())
        .with_context(|| format!("bad mirror of Debian's packages in {from}"))
        .hint(format!("name one in `{MIRROR_VARIABLE}`, as in `{MIRROR_VARIABLE}={DEBIAN}`"))
        .map_err(report::input)?;
    Ok([mirror, FileServer::new(OLD_DEBIAN, options)?])
}

/// The address of Debian's mirror, and where it is from.
fn debian() -> anyhow::Result<(String, String)> {
    let named = match env::var(MIRROR_VARIABLE) {
        Err(env::VarError::NotUnicode(_)) => return Err(anyhow!("`{MIRROR_VARIABLE}` is not UTF-8")).input(),
        named => named.ok().filter(|address| !address.is_empty()),
    };
    Ok(match named {
        Some(address) => (address, format!("`{MIRROR_VARIABLE}`")),
        None => (apt_mirror().unwrap_or_else(|| DEBIAN.to_owned()), "apt's sources".to_owned()),
    })
}

/// How mirrors are reached: by the environment's proxies, else by apt's, and believing what apt believes.
pub fn options() -> RegistryOptions {
    let output = Command::new("apt-config").args(["dump", "Acquire"]).output();
    let dump = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let from_env = proxies.iter().any(|name| env::var_os(name).or(env::var_os(name.to_ascii_lowercase())).is_some());
    let proxies = Proxies::from_lookup(|name| match (name, from_env) {
        ("HTTP_PROXY", false) => apt_setting(&dump, "Acquire::http::Proxy"),
        ("HTTPS_PROXY", false) => apt_setting(&dump, "Acquire::https::Proxy"),
        _ => env::var(name).ok(),
    });
    let ca_files = apt_setting(&dump, "Acquire::https::CAInfo").into_iter().map(Into::into).collect();
    // A registry's login is not a mirror's.
    RegistryOptions { proxies, ca_files, credentials: CredentialSource::Anonymous, ..RegistryOptions::default() }
}

/// The value of `key` in what `apt-config dump` prints; apt's word for no proxy is `DIRECT`.
fn apt_setting(dump: &str, key: &str) -> Option<String> {
    let value = dump.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" \"")?.strip_suffix("\";"))?;
    (!value.is_empty() && value != "DIRECT").then(|| value.to_owned())
}

/// The mirror of Debian's main suite that this machine's apt uses. apt itself is asked, so that every way of writing
/// its sources is understood; it lists what it would download, and needs neither root nor lists for that.
fn apt_mirror() -> Option<String> {
    let output = Command::new("apt-get").args(["update", "--print-uris"]).output().ok()?;
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    choose(&String::from_utf8_lossy(&output.stdout), &os_release)
}

/// Of apt's lines `'URI' FILE SIZE`, the mirror that has the main suite of this very Debian.
fn choose(uris: &str, os_release: &str) -> Option<String> {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches('"').to_owned())
    };
    // Descendants keep their own archives, which do not have Debian's releases.
    if value("ID").as_deref() != Some("debian") {
        return None;
    }
    let codename = value("VERSION_CODENAME");
    let suites = codename.iter().map(String::as_str).chain(["stable", "testing", "unstable", "sid"]);
    let suites: Vec<String> = suites.map(|suite| format!("/dists/{suite}/InRelease")).collect();
    // Others than of the web (`mirror+file:`, `tor+http:`, `cdrom:`) only apt understands.
    let uris = uris.lines().filter_map(|line| line.strip_prefix('\'')?.split('\'').next());
    let uris: Vec<&str> = uris.filter(|uri| uri.starts_with("http://") || uri.starts_with("https://")).collect();
    let mirrors = || uris.iter().filter_map(|uri| suites.iter().find_map(|suite| uri.strip_suffix(suite.as_str())));
    // Makers of other software name their suites after Debian's; updates for them only Debian has.
    let has_updates =
        |mirror: &&str| uris.iter().any(|uri| uri.starts_with(mirror) && uri.ends_with("-updates/InRelease"));
    mirrors().find(has_updates).or_else(|| mirrors().next()).map(str::to_owned)
}

/// Asks whether the mirror can be reached and has this package; nothing is downloaded.
pub fn probe(server: &FileServer, package: &Package) -> anyhow::Result<()> {
    match server.file(&package.path, &package.blob()) {
        Ok(_) => Ok(()),
        // The archive will be asked then.
        Err(error) if matches!(error.cause(), Cause::NotFound { .. }) => Ok(()),
        Err(error) => Err(hinted(error.into(), server, &another_of_sample())),
    }
}

/// How another mirror of the sample's packages is named.
pub fn another_of_sample() -> String {
    format!(
        "name another mirror of Debian's packages in `{MIRROR_VARIABLE}`, or give a base image of your own with `--base`"
    )
}

/// Has every package in the store, each from the first of the servers that has it. What is there already is not
/// downloaded again. `another` says how another mirror is named.
pub fn fetch(
    store: &Store,
    packages: &[&Package],
    servers: &Servers,
    another: &str,
    progress: &Progress,
) -> anyhow::Result<()> {
    let wanted: Vec<&Package> =
        packages.iter().copied().filter(|package| !store.has(&package.digest, package.size)).collect();
    let total: u64 = wanted.iter().map(|package| package.size).sum();
    let step = progress.transfer("downloading Debian's packages", total);
    let said = |bytes: usize| step.moved(bytes as u64);
    let [mirror, archive] = servers;
    let from_any = |package: &&Package| {
        let Err(error) = download(mirror, store, package, said) else { return ControlFlow::Continue(Ok(())) };
        if !is_missing(&error) {
            // The others would fail the same way, each after its own patience.
            return ControlFlow::Break(Err(error));
        }
        match download(archive, store, package, said) {
            Ok(()) => ControlFlow::Continue(Ok(())),
            Err(of_archive) if is_missing(&of_archive) => ControlFlow::Continue(Err(error)),
            // A mirror that lacks packages is the trouble, not the archive that can't be reached either.
            Err(of_archive) if cause(&of_archive).is_some() => ControlFlow::Break(Err(error)),
            Err(of_store) => ControlFlow::Break(Err(of_store)),
        }
    };
    let results = side_by_side::until(&wanted, PARALLEL, from_any);
    let failed = wanted.iter().zip(results).filter_map(|(package, result)| Some((package, result?.err()?)));
    let (missing, other): (Vec<_>, Vec<_>) = failed.partition(|(_, error)| is_missing(error));
    let count = missing.len();
    let error = match (other.into_iter().next(), missing.into_iter().next()) {
        (Some((_, error)), _) => error,
        (None, Some((package, error))) if count == 1 => {
            error.context(format!("{mirror} does not have `{}`", package.path))
        }
        (None, Some((package, error))) => {
            error.context(format!("{mirror} does not have {count} of the packages, `{}` among them", package.path))
        }
        (None, None) => return Ok(()),
    };
    Err(hinted(error, mirror, another))
}

fn download(server: &FileServer, store: &Store, package: &Package, said: impl Fn(usize)) -> anyhow::Result<()> {
    let mut reader = server.file(&package.path, &package.blob())?;
    let mut writer = store.blob_writer()?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let failed = || format!("failed to download `{}`", package.path);
        let read = reader.read(&mut buffer).with_context(failed)?;
        if read == 0 {
            break;
        }
        writer.write_all(&buffer[..read]).with_context(failed)?;
        said(read);
    }
    writer.commit()?;
    Ok(())
}

/// What the server said, or what was wrong with what it sent.
pub fn cause(error: &anyhow::Error) -> Option<&Cause> {
    report::causes(error).into_iter().find_map(|cause| cause.downcast_ref())
}

/// Whether the server does not have what was asked for.
pub fn is_missing(error: &anyhow::Error) -> bool {
    matches!(cause(error), Some(Cause::NotFound { .. }))
}

/// The error with what to do about it. A fault of the store is not the mirror's and is left as it is.
pub fn hinted(error: anyhow::Error, server: &FileServer, another: &str) -> anyhow::Error {
    let hint = match cause(&error) {
        None => return error,
        Some(Cause::Mismatch { .. } | Cause::Protocol(..)) => format!(
            "something answers in place of {server}, or its copy is damaged; if this network has a sign-in page, sign \
             in first; else {another}"
        ),
        Some(Cause::Unauthorized { .. } | Cause::Denied { .. }) => {
            format!("give the mirror's login with its address, `http://USER:PASSWORD@HOST/debian`: {another}")
        }
        Some(Cause::NotFound { .. }) => another.to_owned(),
        Some(Cause::Untrusted { .. } | Cause::BadCertificate { .. } | Cause::Tls { .. }) => {
            format!("use the mirror over plain HTTP (every package is checked by its digest): {another}")
        }
        Some(_) => format!("check the network and the proxies (`HTTP_PROXY`, `NO_PROXY`); or {another}"),
    };
    report::hinted(error.context("failed to download Debian's packages"), hint)
}

#[cfg(test)]
mod tests;
