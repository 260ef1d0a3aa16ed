//! What our layers change of the base's config.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ImageConfig;
use crate::Digest;

/// The key at the top of a config under which an image carries what its layers were built from. Engines and registries
/// keep keys that they do not know.
pub const CACHE_KEY: &str = "fmtk.cache.v1";

/// Edits of a config. What is not named stays as the base has it, entry point and command too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConfigEdits {
    /// Variables to set. One that the base has keeps its place and gets the new value; others follow in this order.
    /// Of two for one name the later counts.
    pub env: Vec<(String, String)>,
    /// The user to start as.
    pub user: Option<String>,
    /// The folder to start in.
    pub working_dir: Option<String>,
    /// Labels to set.
    pub labels: BTreeMap<String, String>,
    /// When the image was made, as RFC 3339 says it.
    pub created: String,
    /// What the history says made the layers.
    pub created_by: String,
    /// The text under [`CACHE_KEY`]. That of the base is not kept: it is of other layers.
    #[serde(skip)]
    pub cache: Option<String>,
}

impl ImageConfig {
    /// The config of an image with these layers more on top, each a diff id and what it holds, in words. The
    /// architecture gets Go's name, which registries and engines compare.
    pub fn edited(&self, edits: &ConfigEdits, layers: &[(Digest, &str)]) -> Self {
        let mut config = self.clone();
        config.diff_ids.extend(layers.iter().map(|(diff_id, _)| *diff_id));
        let json = &mut config.json;
        json.insert("created".to_owned(), edits.created.clone().into());
        json.insert("architecture".to_owned(), self.platform().go_architecture().into());

        json.shift_remove(CACHE_KEY);
        if let Some(cache) = &edits.cache {
            json.insert(CACHE_KEY.to_owned(), cache.clone().into());
        }

        let inner = object(json, "config");
        if !edits.env.is_empty() {
            let env = merged(&self.env(), &edits.env);
            inner.insert("Env".to_owned(), env.into());
        }
        for (key, value) in [("User", &edits.user), ("WorkingDir", &edits.working_dir)] {
            if let Some(value) = value {
                inner.insert(key.to_owned(), value.clone().into());
            }
        }
        if !edits.labels.is_empty() {
            let labels = object(inner, "Labels");
            for (key, value) in &edits.labels {
                labels.insert(key.clone(), value.clone().into());
            }
        }

        let mut history = match json.get_mut("history").map(Value::take) {
            Some(Value::Array(history)) => history,
            _ => Vec::new(),
        };
        // Converters want an entry for each layer; bases that were put together by tools often have none.
        let told = history.iter().filter(|entry| entry.get("empty_layer") != Some(&Value::Bool(true))).count();
        for _ in told..self.diff_ids.len() {
            history.push(json!({ "comment": "a layer of the base" }));
        }
        for (_, holds) in layers {
            history.push(json!({
                "created": edits.created,
                "created_by": edits.created_by,
                "comment": holds,
            }));
        }
        json.insert("history".to_owned(), history.into());

        let diff_ids: Vec<String> = config.diff_ids.iter().map(ToString::to_string).collect();
        let rootfs = object(json, "rootfs");
        rootfs.insert("type".to_owned(), "layers".into());
        rootfs.insert("diff_ids".to_owned(), diff_ids.into());
        config
    }
}

/// The object under a key, made where there is none.
fn object<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = map.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(map) = value else { unreachable!("made an object above") };
    map
}

fn merged(base: &[(String, String)], edits: &[(String, String)]) -> Vec<String> {
    let mut env: Vec<(&str, &str)> = Vec::new();
    for (name, value) in base.iter().chain(edits) {
        match env.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => env.push((name, value)),
        }
    }
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}
