//! Sections and settings that are read as they are written: the user, the vendor scripts, bytecode, `[registry]`, `[launch]`,
//! `[allow]`.

use std::{collections::BTreeSet, fmt, net::IpAddr, path::Path, str::FromStr};

use image_name::{Host, OrgName, Repository};
use serde::{Deserialize, Deserializer, Serialize};

use super::{distribution::Distribution, document::as_text, paths::HostPath};

/// The user that an image runs as: a name or number, and after a colon a group (OCI image spec, config.md, "User").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(String);

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = |name: &str| !name.is_empty() && !name.starts_with('-') && name.chars().all(plain);
        match text.split_once(':').map_or(name(text), |(user, group)| name(user) && name(group)) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is not a user: a name or number, and after a colon a group")),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(User);

/// Where `/home/ma-user/ascend910/*.py` come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scripts {
    /// `ascend910/` of the package folder where it is, else the base; patched.
    Auto,
    /// The base's own, untouched.
    Keep,
    /// This folder; patched.
    Folder(HostPath),
}

impl<'de> Deserialize<'de> for Scripts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "auto" => Ok(Self::Auto),
            "keep" => Ok(Self::Keep),
            "" => Err(serde::de::Error::custom("must be `auto`, `keep` or a folder")),
            folder => Ok(Self::Folder(HostPath::new(folder, Path::new("")))),
        }
    }
}

/// Whether the modules of wheels are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bytecode {
    /// Where this host has the image's Python.
    Auto,
    /// Always; a host without that Python builds nothing.
    On,
    /// Never.
    Off,
}

impl Bytecode {
    /// As recipes were before they had the key.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::Auto
    }
}

/// The registry that the image is pushed to and how to reach it. Nothing of it changes the image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Host and port. Default: `swr.cn-central-221.ovaijisuan.com`, the manual's.
    pub host: Host,
    /// Organisation. Default: none; the command is told.
    pub org: Option<OrgName>,
    /// Repository. Default: `fmtk-ma`.
    pub repository: Repository,
    /// Whether plain HTTP or any certificate will do. Default: no.
    pub insecure: bool,
    /// PEM file of certificates to trust too. Default: none.
    pub ca: Option<HostPath>,
    /// Address of the host where DNS does not know it. Default: none.
    pub ip: Option<IpAddr>,
}

/// The variable that tells the launcher in the image of `launch.ranks`.
pub const RANKS: &str = "FMTK_LAUNCH_RANKS";

/// What a job's boot command leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// The launch kit's `launcher.py` hands over to `fmtk-launch`. Default: true.
    pub front: bool,
    /// Who starts the ranks of a task. Default: `native`.
    pub ranks: Ranks,
}

/// Who starts the ranks of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ranks {
    /// `fmtk-launch` itself.
    Native,
    /// The vendor's scripts, patched.
    Scripts,
}

impl Ranks {
    /// As the recipe and the launcher have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Scripts => "scripts",
        }
    }
}

/// Distributions that are let off a check. None is by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// May hold programs of other architectures: some wheels ship several on purpose.
    pub elf: BTreeSet<Distribution>,
    /// May be replaced though the base has no `RECORD` of its files, so that the old ones stay.
    pub no_record: BTreeSet<Distribution>,
    /// Their files replace those of other wheels, as if pip installed them last and in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overwrite: Vec<Distribution>,
    /// May be installed though their own `RECORD` is wrong.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub wrong_record: BTreeSet<Distribution>,
}
