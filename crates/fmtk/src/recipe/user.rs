//! `user`: who jobs run as; as a table it also says what the base is given where it lacks that user.

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::document::{as_text, from_number_or_text};

/// The user that an image runs as: a name or number, and after a colon a group (OCI image spec, config.md, "User").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    text: String,
    /// What it has to be in the image. None leaves that to the base.
    pub account: Option<Account>,
}

/// A user with its groups, as `/etc/passwd` and `/etc/group` have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Account {
    /// Default: `ma-user`.
    pub name: Name,
    /// Default: 1000, which the platform wants.
    pub uid: Id,
    /// The name of its own group. Default: `ma-group`.
    pub group: Name,
    /// The number of its own group. Default: 100, which the platform wants.
    pub gid: Id,
    /// More groups that it is in, as that of the devices. Default: none.
    pub groups: Vec<Group>,
    /// What is done where the base lacks it. Default: `if-missing`.
    pub create: Create,
}

impl Default for Account {
    fn default() -> Self {
        let name = |name: &str| Name(name.to_owned());
        let (groups, create) = (Vec::new(), Create::IfMissing);
        Self { name: name("ma-user"), uid: Id(1000), group: name("ma-group"), gid: Id(100), groups, create }
    }
}

impl Account {
    /// Where it lives.
    pub fn home(&self) -> String {
        format!("/home/{}", self.name)
    }
}

/// What is done where the base lacks the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Create {
    /// It is added. A base that has its user id under another name is refused.
    IfMissing,
    /// The same, but whoever has its user id is removed.
    Replace,
}

/// The name of a user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What useradd(8) takes, and capitals, as in HwHiAiUser.
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        match first && text.len() <= 32 && text.chars().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is not a name: letters, digits, `-` and `_`, 32 at most, no digit first")),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a user or a group that is not root's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Id(pub u64);

from_number_or_text!(Id, "expected a number");

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        // 32 bits are what Linux has for an id; the highest means "no change" to it.
        let id = plain.then(|| text.parse().ok()).flatten().filter(|id| (1..u64::from(u32::MAX)).contains(id));
        id.map(Self).ok_or_else(|| format!("`{text}` is not an id from 1 to 4294967294"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A group of the base, or with a number, `HwHiAiUser:1000`, one that is added where the base lacks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: Name,
    pub gid: Option<Id>,
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, gid)) => Ok(Self { name: name.parse()?, gid: Some(gid.parse()?) }),
            None => Ok(Self { name: text.parse()?, gid: None }),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        self.gid.map_or(Ok(()), |gid| write!(f, ":{gid}"))
    }
}

as_text!(Name, Group);

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = |name: &str| !name.is_empty() && !name.starts_with('-') && name.chars().all(plain);
        match text.split_once(':').map_or(name(text), |(user, group)| name(user) && name(group)) {
            true => Ok(Self { text: text.to_owned(), account: None }),
            false => Err(format!("`{text}` is not a user: a name or number, and after a colon a group")),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.account {
            Some(account) => account.serialize(serializer),
            None => serializer.serialize_str(&self.text),
        }
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

struct TextOrTable;

impl<'de> Visitor<'de> for TextOrTable {
    type Value = User;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user's name, or a table")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<User, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<User, A::Error> {
        let account = Account::deserialize(MapAccessDeserializer::new(map))?;
        Ok(User { text: account.name.to_string(), account: Some(account) })
    }
}
