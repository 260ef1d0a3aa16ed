//! When a login was stored, so that it can be told when it has ended. Nothing of the login itself.

use image_name::Host;
use oci_image::Store;
use serde::{Deserialize, Serialize};

use crate::terminal::clock;

/// How long a login made by the console lasts, in seconds: 24 hours.
const LIFETIME: u64 = 24 * 3600;

const KIND: &str = "login";

/// One login to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRecord {
    /// When it was stored, in seconds since 1970.
    pub at: u64,
    /// Whether it ends after [`LIFETIME`].
    pub temporary: bool,
}

impl LoginRecord {
    /// Keeps one that is stored now in place of an earlier one for the host.
    pub fn save(temporary: bool, store: &Store, host: &Host) -> anyhow::Result<()> {
        store.put_record(KIND, host.as_str(), &Self { at: clock::unix_seconds(), temporary })?;
        Ok(())
    }

    /// The last one for the host.
    pub fn load(store: &Store, host: &Host) -> anyhow::Result<Option<Self>> {
        Ok(store.record(KIND, host.as_str())?)
    }

    /// Seconds that it lasts from `now` on: nothing where it does not end, 0 where it has.
    pub fn left(&self, now: u64) -> Option<u64> {
        self.temporary.then(|| (self.at + LIFETIME).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_logins_end() {
        let login = |temporary| LoginRecord { at: 1000, temporary };
        assert_eq!(login(false).left(u64::MAX), None);
        assert_eq!(login(true).left(1000), Some(86_400));
        assert_eq!(login(true).left(1000 + 86_400), Some(0));
        assert_eq!(login(true).left(u64::MAX), Some(0));
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let host: Host = "r.x:5000".parse().unwrap();
        assert_eq!(LoginRecord::load(&store, &host).unwrap(), None);
        LoginRecord::save(true, &store, &host).unwrap();
        assert!(LoginRecord::load(&store, &host).unwrap().unwrap().temporary);
    }
}
