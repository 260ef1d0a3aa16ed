//! Image configs (OCI image spec, config.md; Docker's are the same with more keys). What is not known is kept.

mod edits;

use serde_json::{Map, Value};

use crate::{Digest, DocumentError, Platform, document::check_values, media::MAX_CONFIG};

pub use edits::{CACHE_KEY, ConfigEdits};

/// The config of an image: its JSON, every key and their order kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    json: Map<String, Value>,
    diff_ids: Vec<Digest>,
}

fn refuse(reason: impl AsRef<str>) -> DocumentError {
    DocumentError::refused("image's config", reason.as_ref())
}

impl ImageConfig {
    /// Reads and checks a config: platform, layers, and those keys of `config` that edits touch.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() as u64 > MAX_CONFIG {
            return Err(refuse(format!("it has {} bytes; at most {MAX_CONFIG} are read", bytes.len())));
        }
        check_values("image's config", bytes)?;
        let json: Map<String, Value> = serde_json::from_slice(bytes).map_err(DocumentError::json("image's config"))?;
        for key in ["os", "architecture"] {
            if !json.get(key).is_some_and(Value::is_string) {
                return Err(refuse(format!("`{key}` is not a text")));
            }
        }
        let rootfs = json.get("rootfs").ok_or_else(|| refuse("`rootfs` is missing"))?;
        let listed = match rootfs.get("diff_ids") {
            // Of an image without layers, Go writes null.
            None | Some(Value::Null) => &[],
            Some(Value::Array(listed)) => listed.as_slice(),
            Some(_) => return Err(refuse("`rootfs.diff_ids` is not a list")),
        };
        let diff_id = |value: &Value| {
            value
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| refuse(format!("{value} in `rootfs.diff_ids` is not a SHA-256 digest")))
        };
        let diff_ids = listed.iter().map(diff_id).collect::<Result<_, _>>()?;
        let config = Self { json, diff_ids };
        config.check_shapes()?;
        Ok(config)
    }

    fn check_shapes(&self) -> Result<(), DocumentError> {
        let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        let labels = |value: &Value| value.as_object().is_some_and(|map| map.values().all(Value::is_string));
        let history = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_object));
        let top = |key| self.json.get(key).unwrap_or(&Value::Null);
        let inner = |key| top("config").get(key).unwrap_or(&Value::Null);
        if !(top("config").is_null() || top("config").is_object()) {
            return Err(refuse("`config` is not an object"));
        }
        for (name, value, holds) in [
            ("config.Env", inner("Env"), &texts as &dyn Fn(&Value) -> bool),
            ("config.Entrypoint", inner("Entrypoint"), &texts),
            ("config.Cmd", inner("Cmd"), &texts),
            ("config.Labels", inner("Labels"), &labels),
            ("config.User", inner("User"), &Value::is_string),
            ("config.WorkingDir", inner("WorkingDir"), &Value::is_string),
            ("history", top("history"), &history),
        ] {
            if !(value.is_null() || holds(value)) {
                return Err(refuse(format!("`{name}` is not of the right kind")));
            }
        }
        Ok(())
    }

    /// What the image runs on.
    pub fn platform(&self) -> Platform {
        let text = |key| self.json.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let variant = Some(text("variant")).filter(|variant| !variant.is_empty());
        Platform { os: text("os"), architecture: text("architecture"), variant }
    }

    /// SHA-256 of the layers' tar archives, bottom first.
    pub fn diff_ids(&self) -> &[Digest] {
        &self.diff_ids
    }

    /// The environment in its order, as name and value. An entry without `=` has an empty value.
    pub fn env(&self) -> Vec<(String, String)> {
        let pairs = self.texts("Env").into_iter().map(|entry| match entry.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (entry, String::new()),
        });
        pairs.collect()
    }

    /// The user that the image starts as, empty for root.
    pub fn user(&self) -> &str {
        self.inner("User").and_then(Value::as_str).unwrap_or_default()
    }

    /// The folder that the image starts in, empty for `/`.
    pub fn working_dir(&self) -> &str {
        self.inner("WorkingDir").and_then(Value::as_str).unwrap_or_default()
    }

    /// What is started where there is no entry point, else its arguments.
    pub fn cmd(&self) -> Vec<String> {
        self.texts("Cmd")
    }

    /// Labels in their order.
    pub fn labels(&self) -> Vec<(String, String)> {
        let labels = self.inner("Labels").and_then(Value::as_object);
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        labels.into_iter().flatten().filter_map(text).collect()
    }

    /// When the image was made, as the config has it.
    pub fn created(&self) -> Option<&str> {
        self.json.get("created").and_then(Value::as_str)
    }

    /// The value of any key at the top.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.json.get(key)
    }

    /// The keys at the top.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.json.keys().map(String::as_str)
    }

    /// The config as JSON, the same bytes for the same value.
    pub fn to_json(&self) -> Vec<u8> {
        // It was made from JSON, and what edits put in are strings and lists.
        serde_json::to_vec(&self.json).unwrap_or_default()
    }

    fn inner(&self, key: &str) -> Option<&Value> {
        self.json.get("config")?.get(key)
    }

    fn texts(&self, key: &str) -> Vec<String> {
        let list = self.inner(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}
