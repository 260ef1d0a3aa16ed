//! `[layout]`: owners, modes and sizes of what the layers hold.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    amounts::{Mode, Owner},
    fields::Fields,
    max_layer::MaxLayer,
    paths::ImagePath,
};

/// How files lie in the layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Owner of what the image adds. Default: `1000:100`, the platform's ma-user and ma-group.
    pub owner: Owner,
    /// Folders of the base, which every layer that reaches into them repeats. The base's own attributes, once known,
    /// come before these. New folders above the user's own files too. Default: those of the manual's base.
    pub dirs: BTreeMap<ImagePath, Dir>,
    /// A layer with more compressed bytes is split. Default: `"auto"`.
    pub max_layer: MaxLayer,
}

/// Attributes of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dir {
    /// Permission bits. Default: 0755.
    pub mode: Mode,
    /// Owner. Default: that of the layout.
    pub owner: Owner,
}

const OWNER: Owner = Owner { uid: 1000, gid: 100 };
const ROOT: Owner = Owner { uid: 0, gid: 0 };

/// `/home/ma-user` is 0750 on the platform; remade as root's 0755 it would lock its user out of its own home.
const DIRS: [(&str, u32, Owner); 11] = [
    ("/", 0o755, ROOT),
    ("/etc", 0o755, ROOT),
    ("/home", 0o755, ROOT),
    ("/home/ma-user", 0o750, OWNER),
    ("/home/ma-user/mxLaunchKit", 0o755, OWNER),
    ("/home/ma-user/mxLaunchKit/ma", 0o755, OWNER),
    ("/opt", 0o755, ROOT),
    ("/tmp", 0o1777, ROOT),
    ("/usr", 0o755, ROOT),
    ("/usr/local", 0o755, ROOT),
    ("/usr/local/bin", 0o755, ROOT),
];

impl Layout {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let owner = fields.value("owner", OWNER);
        let max_layer = fields.placed::<MaxLayer>("max_layer");
        if let Some(placed) = &max_layer
            && let MaxLayer::Bytes(bytes) = placed.value
            && !MaxLayer::BOUNDS.contains(&bytes.0)
        {
            fields.fault(placed, "must be 1 MiB to 10 GB, or `auto`");
        }
        let mut inner = fields.table("dirs");
        let mut dirs = BTreeMap::new();
        for (path, mode, owner) in DIRS {
            // The paths are those just above.
            dirs.extend(path.parse::<ImagePath>().map(|path| (path, Dir { mode: Mode::new(mode), owner })));
        }
        for key in inner.keys() {
            let mut dir = inner.table(&key);
            let path = key.parse::<ImagePath>();
            let known = path.as_ref().ok().and_then(|path| dirs.get(path)).copied();
            let preset = known.unwrap_or(Dir { mode: Mode::new(0o755), owner });
            let mode = dir.value("mode", preset.mode);
            let owner = dir.value("owner", preset.owner);
            match path {
                Ok(path) => drop(dirs.insert(path, Dir { mode, owner })),
                Err(error) => dir.reject(format!("the folder {error}")),
            }
            dir.end();
        }
        inner.end();
        fields.end();
        Self { owner, dirs, max_layer: max_layer.map_or(MaxLayer::Auto, |placed| placed.value) }
    }
}
