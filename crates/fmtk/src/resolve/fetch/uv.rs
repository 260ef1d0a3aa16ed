//! Resolving by uv: `uv pip compile` for the image's Python and machine, asked for wheels alone. It says which versions
//! and which hashes; pip downloads them.
//!
//! What pip is configured for (indexes, credentials, certificates, proxy, find-links) is told to uv through a pipe, as it
//! may hold passwords. uv's own configuration does not count: two configurations would be one too many.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde_json::json;
use wheel_layer::Target;

use super::{
    NO_PIP, Pins, Tools,
    request::{OWN, Request},
};
use crate::{
    recipe::{Index, Resolution, locked},
    terminal::{
        progress::{self, Progress},
        report::WithHint,
        secrets::masked,
    },
};

/// What pip is configured for, as `pip_settings.py` prints it.
#[derive(Deserialize)]
struct PipSettings {
    index_url: String,
    extra_index_urls: Vec<String>,
    no_index: bool,
    find_links: Vec<String>,
    trusted_hosts: Vec<String>,
    proxy: Option<String>,
    cert: Option<String>,
    client_cert: Option<String>,
}

const PYPROJECT: &str = "pyproject.toml";
const CONSTRAINTS: &str = "uv-constraints.txt";
const OVERRIDES: &str = "uv-overrides.txt";
const EXCLUDES: &str = "uv-excludes.txt";

/// What the recipe could call no requirement of its own: the project whose dependencies are resolved.
const PROJECT: &str = "fmtk-image";

/// Variables of uv that can't change which versions come.
const HARMLESS: [&str; 3] = ["UV_CACHE_DIR", "UV_HTTP_TIMEOUT", "UV_OFFLINE"];

/// How to come by uv.
const INSTALL_UV: &str = "install uv, for example with `pip install uv`; or set `pypi.resolver` to \"pip\"";

/// The same request with each distribution pinned by version and hash, but for those that lie there by hand.
pub fn resolve(
    tools: Tools<'_>,
    request: &Request,
    by_hand: &BTreeSet<String>,
    target: &Target,
    work: &Path,
    progress: &Progress,
) -> anyhow::Result<Request> {
    let settings = pip_settings(tools.python)?;
    let platform = platform(target.glibc)?;
    for (name, text) in [
        (PYPROJECT, pyproject(request)?),
        (CONSTRAINTS, lines(&request.constraints)),
        (OVERRIDES, lines(&request.resolution.overrides)),
    ] {
        let path = work.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    let exclude = &request.resolution.exclude;
    let mut excluded: BTreeSet<String> =
        exclude.iter().filter_map(|pattern| pattern.name()).map(str::to_owned).collect();
    let step = progress.step("uv finds versions that fit together");
    // uv knows no patterns: what it chose and one of them means is left out by name the next time.
    let pinned = loop {
        let path = work.join(EXCLUDES);
        fs::write(&path, lines(&excluded)).with_context(|| format!("failed to write `{}`", path.display()))?;
        let text = compile(tools.uv, request, &settings, platform, work)?;
        let pinned = locked::pylock(&text, target)
            .map_err(|problems| {
                anyhow!(problems.into_iter().map(|(message, _)| message).collect::<Vec<_>>().join("\n"))
            })
            .context("uv's answer can't be used")?;
        let names = pinned.iter().map(|one| one.requirement.name().to_string());
        let unwanted: BTreeSet<String> = names.filter(|name| request.resolution.excludes(name)).collect();
        if unwanted.is_empty() {
            break pinned;
        }
        if unwanted.iter().all(|name| excluded.contains(name)) {
            bail!("uv did not leave out `{}`", unwanted.into_iter().collect::<Vec<_>>().join("`, `"));
        }
        excluded.extend(unwanted);
    };
    drop(step);
    progress.line(&format!("uv chose {}", progress::count(pinned.len(), "version")));
    // From here on it is as if the recipe had been locked so.
    let requirements = pinned.iter().map(|one| one.requirement.to_string()).collect();
    let hashes = pinned.into_iter().map(|one| (one.requirement.name().clone(), one.hashes)).collect();
    let resolution = Resolution { hashes, ..request.resolution.clone() };
    Ok(Request { requirements, resolution, ..request.clone() }.with(&Pins::default(), &[], by_hand))
}

fn lines(list: impl IntoIterator<Item = impl ToString>) -> String {
    list.into_iter().map(|one| format!("{}\n", one.to_string())).collect()
}

fn pip_settings(python: &Path) -> anyhow::Result<PipSettings> {
    let mut command = Command::new(python);
    command.args(["-c", include_str!("pip_settings.py")]).stdin(Stdio::null());
    let output = command.output().context("failed to run `python3`, which pip needs").hint(super::INSTALL_PIP)?;
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout).context("failed to read pip's configuration"),
        Some(NO_PIP) => Err(anyhow!("the `python3` of this machine has no pip")).hint(super::INSTALL_PIP),
        _ => {
            let said = masked(String::from_utf8_lossy(&output.stderr).trim_end());
            Err(anyhow!("failed to read pip's configuration\n{said}"))
        }
    }
}

/// The newest of uv's platforms that this glibc has.
fn platform((major, minor): (u32, u32)) -> anyhow::Result<u32> {
    let known = [17, 28].into_iter().chain(31..=40);
    let fit = known.into_iter().rfind(|known| major == 2 && *known <= minor);
    fit.ok_or_else(|| anyhow!("uv knows no wheels for glibc {major}.{minor}"))
        .hint("set `pypi.resolver` to \"pip\", or correct `python.glibc`")
}

/// The requirements, and which of them have an index of their own.
fn pyproject(request: &Request) -> anyhow::Result<String> {
    let own: Vec<(String, &Index)> = { 0.. }
        .zip(request.resolution.index.iter().filter(|index| !index.only.is_empty()))
        .map(|(number, index)| (format!("index-{number}"), index))
        .collect();
    let indexes = own.iter().map(|(name, index)| json!({"name": name, "url": index.url, "explicit": true}));
    let sources = own
        .iter()
        .flat_map(|(name, index)| index.only.iter().map(move |only| (only.to_string(), json!({"index": name}))));
    let all = json!({
        "project": {"name": PROJECT, "version": "0", "dependencies": request.requirements},
        "tool": {"uv": {"sources": sources.collect::<serde_json::Map<_, _>>(), "index": indexes.collect::<Vec<_>>()}},
    });
    toml_edit::ser::to_string_pretty(&all).context("failed to write uv's requirements")
}

/// uv's configuration.
fn configuration(request: &Request, settings: &PipSettings, work: &Path) -> anyhow::Result<String> {
    // uv knows of no link that leads nowhere; pip passes it over.
    let is_there = |link: &&String| link.contains("://") || Path::new(link.as_str()).exists();
    let absolute = |link: &String| match link.contains("://") {
        true => Ok(link.clone()),
        false => std::path::absolute(link).map(|path| path.to_string_lossy().into_owned()),
    };
    let own = work.join(OWN).to_string_lossy().into_owned();
    let links = [&own].into_iter().chain(settings.find_links.iter().filter(is_there)).map(absolute);
    let links: Vec<String> = links.collect::<Result<_, _>>().context("bad path in pip's `find-links`")?;
    // uv takes a package from the first index that has it.
    let indexes = match request.resolution.default_index() {
        Some(index) => vec![json!({"url": index, "default": true})],
        None => {
            let extra = settings.extra_index_urls.iter().map(|url| json!({"url": url}));
            extra.chain([json!({"url": settings.index_url, "default": true})]).collect()
        }
    };
    let mut all = json!({
        "no-index": settings.no_index,
        "find-links": links,
        "index": indexes,
        "allow-insecure-host": settings.trusted_hosts,
    });
    if let Some(proxy) = settings.proxy.as_ref().filter(|proxy| !proxy.is_empty()) {
        // pip takes one without a scheme for that.
        let proxy = if proxy.contains("://") { proxy.clone() } else { format!("http://{proxy}") };
        all["http-proxy"] = json!(proxy);
        all["https-proxy"] = json!(proxy);
    }
    toml_edit::ser::to_string_pretty(&all).context("failed to write uv's configuration")
}

/// Runs uv; its answer is a `pylock.toml`.
fn compile(uv: &Path, request: &Request, settings: &PipSettings, platform: u32, work: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(uv);
    command.args(["pip", "compile", PYPROJECT, "--config-file", "/dev/stdin"]);
    command.args(["--constraints", CONSTRAINTS, "--overrides", OVERRIDES, "--excludes", EXCLUDES]);
    command.args(["--format", "pylock.toml", "--no-header", "--quiet", "--no-python-downloads"]);
    command.args(["--only-binary", ":all:", "--python-version", &request.python]);
    command.arg(format!("--python-platform=aarch64-manylinux_2_{platform}"));
    command.current_dir(work).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("UV_") && !HARMLESS.contains(&name)) {
            command.env_remove(name);
        }
    }
    // pip of today trusts the certificates of the system, too; the second is the name that older uv know.
    command.env("UV_SYSTEM_CERTS", "1").env("UV_NATIVE_TLS", "1");
    for (variable, file) in [("SSL_CERT_FILE", &settings.cert), ("SSL_CLIENT_CERT", &settings.client_cert)] {
        if let Some(file) = file {
            command.env(variable, file);
        }
    }
    let configuration = configuration(request, settings, work)?;
    let mut child = command.spawn().context("failed to run `uv`").hint(INSTALL_UV)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where uv ends before it has read that, it says why.
        let _ = stdin.write_all(configuration.as_bytes());
    }
    let output = child.wait_with_output().context("failed to run `uv`")?;
    if output.status.success() {
        return String::from_utf8(output.stdout).context("uv's answer is not text");
    }
    // An error in its configuration quotes the line.
    let said = masked(String::from_utf8_lossy(&output.stderr).trim_end());
    Err(anyhow!("uv could not resolve {}\n{said}", request.requirements.join(", ")))
        .hint("`pip config list` shows the index, proxy and find-links that are used")
}
