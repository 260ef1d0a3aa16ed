//! Sections and settings that are read as they are written: the vendor scripts, bytecode, `[registry]`, `[limits]`,
//! `[launch]`, `[allow]`.

use std::{collections::BTreeSet, net::IpAddr, ops::RangeInclusive, path::Path, str::FromStr};

use image_name::{Host, OrgName, Repository};
use serde::{Deserialize, Deserializer, Serialize};

use super::{amounts::Size, distribution::Distribution, document::from_number_or_text, paths::HostPath};
use crate::terminal::progress::bytes;

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
    /// Where this machine can: by a Python of the release of the base's, or by the base's own in a container.
    Auto,
    /// Always; a machine that can't builds nothing.
    On,
    /// Never.
    Off,
}

impl Bytecode {
    /// As recipes were before they had the key.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::Off
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
    /// What is sent in a request once the line was cut, to this registry or another. Default: 8 MiB.
    pub chunk: Option<Chunk>,
}

/// How many bytes of a blob are sent in a request once the line was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk(u64);

impl Chunk {
    /// Less makes thousands of requests, of which SWR takes 20 a second; more is no chunk of a blob.
    const BOUNDS: RangeInclusive<u64> = 1 << 20..=1 << 30;

    /// The number.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Chunk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: Size = text.parse()?;
        if Self::BOUNDS.contains(&size.0) { Ok(Self(size.0)) } else { Err("must be 1 MiB to 1 GiB".to_owned()) }
    }
}

from_number_or_text!(Chunk, "expected a number of bytes, or text as \"8 MiB\"");

/// How large an image may be, in compressed bytes, as registries count. Nothing of it changes the image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Above this there is a warning. Default: 15 GB, which ModelArts advises.
    pub advised: Size,
    /// The whole image. Default: 30 GB, ModelArts' limit.
    pub image: Size,
    /// A layer of it. Default: 10 GB, SWR's limit.
    pub layer: Size,
}

/// Something that is larger than it may or should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    pub message: String,
    pub hint: String,
    /// Whether an image with it is refused; else it is only more than is advised.
    pub is_refused: bool,
}

impl Limits {
    /// Compares an image of this size, of which `says` tells it, and these layers with the limits.
    pub fn exceeded(&self, says: &str, size: u64, layers: impl IntoIterator<Item = (String, u64)>) -> Vec<Excess> {
        let smaller = "leave out what jobs do not need; move data that is read once to object storage";
        let mut found = Vec::new();
        if size > self.image.0 {
            let message = format!("{says}; `limits.image` is {}", bytes(self.image.0));
            found.push(Excess { message, hint: format!("{smaller}; or raise `limits.image`"), is_refused: true });
        } else if size > self.advised.0 {
            let message = format!("{says}; {} are advised (`limits.advised`)", bytes(self.advised.0));
            found.push(Excess { message, hint: smaller.to_owned(), is_refused: false });
        }
        for (what, size) in layers.into_iter().filter(|(_, size)| *size > self.layer.0) {
            let message = format!("{what} has {}; `limits.layer` is {}", bytes(size), bytes(self.layer.0));
            let hint = "build it of smaller files or layers, or raise `limits.layer`".to_owned();
            found.push(Excess { message, hint, is_refused: true });
        }
        found
    }
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
    /// Keys of `[versions]` whose version may go with others than are known to fit.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub versions: BTreeSet<String>,
}
