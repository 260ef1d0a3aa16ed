//! The files of the base that say which users and groups it has.

use std::collections::BTreeMap;

use oci_image::{Attr, BaseIndex, Store, StoreError};

/// Their paths; of a base without passwords the last two are missing.
pub const FILES: [&str; 4] = [PASSWD, GROUP, SHADOW, GSHADOW];
pub const PASSWD: &str = "/etc/passwd";
pub const GROUP: &str = "/etc/group";
pub const SHADOW: &str = "/etc/shadow";
pub const GSHADOW: &str = "/etc/gshadow";

/// The files by path.
pub type Accounts = BTreeMap<&'static str, (Attr, Vec<u8>)>;

/// Those that the base has, where its index was asked for them; their contents are in the store then.
pub fn of_base(store: &Store, index: Option<&BaseIndex>) -> Result<Accounts, StoreError> {
    let mut accounts = Accounts::new();
    for path in FILES {
        let file = index.and_then(|index| Some((index, index.files.get(path)?.as_ref()?)));
        if let Some((index, file)) = file {
            accounts.insert(path, (file.attr, index.file(store, path)?.unwrap_or_default()));
        }
    }
    Ok(accounts)
}
