//! The recipe's single settings: the user, the source of the vendor scripts, labels.

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use super::{fields::Fields, folder_of, paths::HostPath};

/// The user that an image runs as: a name or number, and after a colon a group (OCI image spec, config.md, "User").
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User(String);

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = |name: &str| !name.is_empty() && !name.starts_with('-') && name.chars().all(plain);
        match text.split_once(':').map_or(name(text), |(user, group)| name(user) && name(group)) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is no user: a name or number, and after a colon a group")),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

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

impl Scripts {
    pub(super) fn read(fields: &mut Fields<'_>, folder: &Path) -> Self {
        let Some(text) = fields.placed::<String>("scripts") else { return Self::Auto };
        match text.value.as_str() {
            "auto" => Self::Auto,
            "keep" => Self::Keep,
            "" => {
                fields.fault(&text, "must be `auto`, `keep` or a folder");
                Self::Auto
            }
            path => Self::Folder(HostPath::new(path, folder_of(&text, folder))),
        }
    }
}

pub(super) fn labels(mut fields: Fields<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for key in fields.keys() {
        let Some(label) = fields.placed::<String>(&key) else { continue };
        if key.is_empty() || key.contains(char::is_control) {
            fields.fault(&label, "a label's name is text of one line");
        }
        labels.insert(key, label.value);
    }
    fields.end();
    labels
}
