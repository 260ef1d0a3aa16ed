//! dpkg's database of what is installed, as dpkg itself would have written it: programs of the image and scanners of
//! images read from it which packages there are, in which versions, with which files (dpkg(1), dpkg-query(1)).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use debian_package::Control;
use md5::{Digest as _, Md5};

/// The folder of the database.
pub const FOLDER: &str = "/var/lib/dpkg";

/// The list of what is installed, in that folder.
pub const STATUS: &str = "/var/lib/dpkg/status";

/// What maintainer scripts are called.
const SCRIPTS: [&str; 5] = [".preinst", ".postinst", ".prerm", ".postrm", ".config"];

/// The files of the database by their paths in its folder.
#[derive(Debug, Default)]
pub struct Database {
    status: Vec<u8>,
    info: BTreeMap<String, Vec<u8>>,
}

impl Database {
    /// What is added to a database with this list of what is installed.
    pub fn upon(status: &[u8]) -> Self {
        let mut status = status.to_vec();
        // A blank line ends each stanza.
        while !status.is_empty() && !status.ends_with(b"\n\n") {
            status.push(b'\n');
        }
        Self { status, info: BTreeMap::new() }
    }

    /// A package as installed: `paths` are all that it brings, without slashes at either end, and `kept` has the contents
    /// of those of its configuration files that are there.
    pub fn add(
        &mut self,
        control: &Control,
        paths: &BTreeSet<String>,
        kept: &BTreeMap<String, Vec<u8>>,
    ) -> anyhow::Result<()> {
        let stanza = control.get("control").map(|bytes| std::str::from_utf8(bytes));
        let stanza = stanza.context("it has no file `control`")?.context("its `control` is not UTF-8")?;
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let name = field("Package").context("its `control` names no package")?;
        // Of a package that several architectures may have at once, the files are named with the architecture.
        let name = match (field("Multi-Arch"), field("Architecture")) {
            (Some("same"), Some(architecture)) => format!("{name}:{architecture}"),
            _ => name.to_owned(),
        };

        let (first, rest) = stanza.trim_end().split_once('\n').context("its `control` has one line")?;
        let mut entry = format!("{first}\nStatus: install ok installed\n{rest}\n");
        let conffiles = conffiles(control).filter(|path| paths.contains(*path));
        for (number, (path, bytes)) in conffiles.filter_map(|path| Some((path, kept.get(path)?))).enumerate() {
            let digest: String = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let head = if number == 0 { "Conffiles:\n" } else { "" };
            entry.push_str(&format!("{head} /{path} {digest}\n"));
        }
        entry.push('\n');
        self.status.extend(entry.into_bytes());

        let info = |kind: &str| format!("info/{name}.{kind}");
        let list: String =
            paths.iter().map(|path| if path.is_empty() { "/.\n".into() } else { format!("/{path}\n") }).collect();
        self.info.insert(info("list"), list.into_bytes());
        for (kind, bytes) in control.iter().filter(|(kind, _)| *kind != "control") {
            self.info.insert(info(kind), bytes.clone());
        }
        Ok(())
    }

    /// Every file of the database: its path in the database's folder, mode, contents.
    pub fn files(&self) -> impl Iterator<Item = (&str, u32, &[u8])> {
        let is_script = |path: &str| SCRIPTS.iter().any(|kind| path.ends_with(kind));
        let info = self
            .info
            .iter()
            .map(move |(path, bytes)| (path.as_str(), if is_script(path) { 0o755 } else { 0o644 }, bytes.as_slice()));
        std::iter::once(("status", 0o644, self.status.as_slice())).chain(info)
    }
}

/// The configuration files that a package names, without the leading slash.
pub fn conffiles(control: &Control) -> impl Iterator<Item = &str> {
    let text = control.get("conffiles").and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    text.lines().map(|line| line.trim().trim_start_matches('/'))
}
