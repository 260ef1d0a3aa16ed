//! What a push leaves for the commands after it: where an image was pushed to last.

use anyhow::{Context, anyhow};
use image_name::{Digest, Host, RepoPath};
use oci_image::Store;
use serde::{Deserialize, Serialize};

use crate::{record::BuildRecord, terminal::report::WithHint};

/// Where an image lies in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRecord {
    pub host: Host,
    /// `mindxsdk/fmtk-ma`.
    pub path: RepoPath,
    /// Digest of the manifest that was pushed.
    digest: Digest,
    /// Digest of the image as it was built; in older records, where it was always pushed so, nothing.
    #[serde(default)]
    built: Option<Digest>,
}

const KIND: &str = "push";

impl PushRecord {
    /// Keeps it under the image's name; an earlier push of the image, to wherever it went, is forgotten.
    pub fn save(
        host: &Host,
        path: &RepoPath,
        record: &BuildRecord,
        digest: &Digest,
        store: &Store,
    ) -> anyhow::Result<()> {
        let push = Self { host: host.clone(), path: path.clone(), digest: *digest, built: Some(record.digest) };
        let name = record.name();
        store
            .put_record(KIND, &name, &push)
            .with_context(|| format!("`{name}` was pushed, but the store could not note where to"))
    }

    /// The last push of the image as it is now; one of another image that had its tag does not count.
    pub fn last(record: &BuildRecord, store: &Store) -> anyhow::Result<Self> {
        let name = record.name();
        let push: Option<Self> = store.record(KIND, &name)?;
        push.filter(|push| push.built.unwrap_or(push.digest) == record.digest)
            .ok_or_else(|| anyhow!("`{name}` has not been pushed from this store yet"))
            .hint(format!(
                "run `cargo xtask push {} --org ORG`, or name an image that is in a registry: `HOST/ORG/REPOSITORY:TAG`",
                record.timestamp
            ))
            .input()
    }
}
