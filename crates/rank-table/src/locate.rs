//! Where the table is, by the environment.

use std::ffi::OsString;
use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};

/// The name of a table in a folder of one.
pub const FILE_NAME: &str = FILE_NAMES[0];

/// The names that a table may have in a folder: ModelArts', and MindCluster's. The first that is there counts.
pub const FILE_NAMES: [&str; 2] = ["jobstart_hccl.json", "hccl.json"];

/// Where a platform mounts the table where no variable says otherwise: ModelArts, and MindCluster.
pub const DEFAULT_PATHS: [&str; 2] = ["/user/config/jobstart_hccl.json", "/user/serverid/devindex/config/hccl.json"];

/// What said where the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The variable `RANK_TABLE_FILE_V_1_0`, which comes first.
    RankTableFileV1,
    /// The variable `RANK_TABLE_FILE`: a folder for the platform, the converted file for a rank.
    RankTableFile,
    /// Nothing: [`DEFAULT_PATHS`].
    Default,
    /// The caller, by a flag for example.
    Given,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::RankTableFileV1 => "named by RANK_TABLE_FILE_V_1_0",
            Origin::RankTableFile => "named by RANK_TABLE_FILE",
            Origin::Default => "the default, RANK_TABLE_FILE is not set",
            Origin::Given => "given",
        })
    }
}

/// A file, or a folder with a file of [`FILE_NAMES`]: that is looked up each time the table is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file or the folder.
    pub path: PathBuf,
    /// Another one, for when there is nothing at `path`.
    pub other: Option<PathBuf>,
    /// What said so.
    pub origin: Origin,
}

impl Location {
    /// A path that the caller knows.
    pub fn given(path: impl Into<PathBuf>) -> Location {
        Location { path: path.into(), other: None, origin: Origin::Given }
    }

    /// All paths, the one that comes first in front.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        iter::once(&self.path).chain(&self.other).map(PathBuf::as_path)
    }
}

/// Where the table is: `RANK_TABLE_FILE_V_1_0`, else `RANK_TABLE_FILE`, as for the vendor's scripts, else [`DEFAULT_PATHS`].
///
/// Either variable may name a file or a folder and a table of any format, so it works again in the environment of a
/// rank, where `RANK_TABLE_FILE` is the converted file. A variable that is empty counts as not set. `variable` looks up the
/// environment; nothing is looked at on the disk.
pub fn locate(variable: impl Fn(&str) -> Option<OsString>) -> Location {
    let named = |name, origin| {
        let path = variable(name).filter(|it| !it.is_empty())?;
        Some(Location { path: path.into(), other: None, origin })
    };
    named("RANK_TABLE_FILE_V_1_0", Origin::RankTableFileV1)
        .or_else(|| named("RANK_TABLE_FILE", Origin::RankTableFile))
        .unwrap_or_else(|| {
            let [path, other] = DEFAULT_PATHS;
            Location { path: path.into(), other: Some(other.into()), origin: Origin::Default }
        })
}
