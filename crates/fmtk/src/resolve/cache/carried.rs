//! What an image says of how its layers were built: records of the store, in one text of its config.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use image_name::Digest;
use oci_image::{BaseIndex, CACHE_KEY, ImageConfig, Noted, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wheel_layer::{InstalledWheel, OUTLINES, outlines};

use crate::resolve::packages::{Installer, MAKESELF, installer, installer_key};

/// Bytes of the text above which an image goes without it: configs are read whole, and engines stop at 8 MiB.
const MOST: usize = 2 << 20;
/// Bytes that it may unpack to.
const UNPACKED: usize = 128 << 20;
/// Values in it: a wheel has three for each of its files.
const VALUES: usize = 2_000_000;
/// Every build waits for it: not the highest. Of another compressor than miniz_oxide the bytes would depend on the
/// processor.
const LEVEL: u8 = 6;

/// Records by kind and by the SHA-256 of their keys, and the contents of small files.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    records: BTreeMap<String, BTreeMap<Digest, Value>>,
    /// In Base64, by digest.
    files: BTreeMap<Digest, String>,
}

/// What a plan was made of that another machine may lack.
pub struct Sources<'a> {
    /// The records of the layers.
    pub noted: &'a Noted,
    pub wheels: Vec<&'a InstalledWheel>,
    pub installers: &'a [Installer],
    /// The index of the base and the files of it that the recipe asks for, where a plan of this recipe needs it.
    pub index: Option<(&'a BaseIndex, &'a [String])>,
}

impl Carried {
    /// What an image of these sources carries. The same sources give the same, however the store came to know them.
    pub fn of(sources: &Sources<'_>, store: &Store) -> anyhow::Result<Self> {
        let mut carried = Self::default();
        for ((kind, key), value) in sources.noted {
            carried.add(kind, *key, value.clone());
        }
        for (key, outline) in outlines(&sources.wheels) {
            carried.add(OUTLINES, Digest::of(key), serde_json::to_value(outline)?);
        }
        for Installer { package, .. } in sources.installers {
            let read = installer(store, &package.path, &package.sha256)?;
            carried.add(MAKESELF, Digest::of(installer_key(&package.sha256)), serde_json::to_value(read)?);
        }
        if let Some((index, files)) = sources.index {
            let (kind, key, trimmed) = index.to_carry(files);
            for path in trimmed.files.keys() {
                if let Some(bytes) = index.file(store, path)? {
                    carried.files.insert(Digest::of(&bytes), BASE64_STANDARD.encode(bytes));
                }
            }
            carried.add(kind, Digest::of(key), serde_json::to_value(trimmed)?);
        }
        Ok(carried)
    }

    pub(super) fn add(&mut self, kind: &str, key: Digest, value: Value) {
        self.records.entry(kind.to_owned()).or_default().insert(key, value);
    }

    pub fn record(&self, kind: &str, key: &Digest) -> Option<&Value> {
        self.records.get(kind)?.get(key)
    }

    pub fn file(&self, digest: &Digest) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(self.files.get(digest)?).ok()
    }

    /// The text for the config; the error is the number of bytes that would be too many.
    pub fn to_text(&self) -> anyhow::Result<Result<String, usize>> {
        let packed = miniz_oxide::deflate::compress_to_vec(&serde_json::to_vec(self)?, LEVEL);
        let text = BASE64_STANDARD.encode(packed);
        Ok(if text.len() > MOST { Err(text.len()) } else { Ok(text) })
    }

    /// What this config carries.
    pub fn read(config: &ImageConfig) -> anyhow::Result<Self> {
        let Some(value) = config.get(CACHE_KEY) else {
            let another = config.keys().find(|key| key.starts_with("fmtk.cache."));
            return Err(match another {
                Some(key) => anyhow!("it has `{key}`, which a newer fmtk wrote"),
                None => anyhow!("it does not say what its layers were built from"),
            });
        };
        let damaged = || format!("its `{CACHE_KEY}` is damaged");
        let text = value.as_str().with_context(damaged)?;
        ensure!(text.len() <= MOST, "its `{CACHE_KEY}` has {} bytes; at most {MOST} are read", text.len());
        let packed = BASE64_STANDARD.decode(text).with_context(damaged)?;
        let unpacked = miniz_oxide::inflate::decompress_to_vec_with_limit(&packed, UNPACKED)
            .map_err(|error| anyhow!("{error}"))
            .with_context(damaged)?;
        // Each is at least a value of 72 bytes once it is read.
        let values = unpacked.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        ensure!(values <= VALUES, "its `{CACHE_KEY}` has more than {VALUES} values");
        serde_json::from_slice(&unpacked).with_context(damaged)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oci_image::{Behind, Platform};
    use serde_json::json;

    use super::*;

    fn config(key: &str, value: impl Into<Value>) -> ImageConfig {
        let config = json!({ "os": "linux", "architecture": "arm64", "rootfs": { "diff_ids": [] }, key: value.into() });
        ImageConfig::parse(config.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_carried_is_read_back_and_anything_else_is_a_reason() {
        let mut carried = Carried::default();
        carried.add("kind", Digest::of("key"), json!([1]));
        carried.files.insert(Digest::of("x"), BASE64_STANDARD.encode("x"));
        let text = carried.to_text().unwrap().unwrap();
        let read = Carried::read(&config(CACHE_KEY, text.as_str())).unwrap();
        assert_eq!(read, carried);
        assert_eq!(read.record("kind", &Digest::of("key")), Some(&json!([1])));
        assert_eq!(read.file(&Digest::of("x")).as_deref(), Some(&b"x"[..]));
        let bomb = BASE64_STANDARD.encode(miniz_oxide::deflate::compress_to_vec(&vec![b' '; UNPACKED + 1], 1));
        let zeros = format!("[{}0]", "0,".repeat(VALUES));
        let many = BASE64_STANDARD.encode(miniz_oxide::deflate::compress_to_vec(zeros.as_bytes(), 1));
        for (key, value, reason) in [
            (CACHE_KEY, json!(many), "more than 2000000 values"),
            ("other", json!(""), "it does not say"),
            ("fmtk.cache.v2", json!(""), "which a newer fmtk wrote"),
            (CACHE_KEY, json!(1), "is damaged"),
            (CACHE_KEY, json!("!"), "is damaged"),
            (CACHE_KEY, json!(text[..text.len() / 2]), "is damaged"),
            (CACHE_KEY, json!(BASE64_STANDARD.encode("x")), "is damaged"),
            (CACHE_KEY, json!(bomb), "is damaged"),
            (CACHE_KEY, json!("A".repeat(MOST + 1)), "at most 2097152 are read"),
        ] {
            let said = format!("{:#}", Carried::read(&config(key, value)).unwrap_err());
            assert!(said.contains(reason), "{said}");
        }
    }

    struct Told(Carried);

    impl Behind for Told {
        fn record(&self, kind: &str, key: &Digest) -> Option<Value> {
            self.0.record(kind, key).cloned()
        }
        fn has_layer(&self, _: &Digest, _: u64, _: &Digest) -> bool {
            false
        }
        fn file(&self, digest: &Digest) -> Option<Vec<u8>> {
            self.0.file(digest)
        }
    }

    /// A store that knew more of a base than the recipe asks for would carry more, and give another image.
    #[test]
    fn the_same_is_carried_whatever_the_store_knows() {
        let stores = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [full, empty] = [0, 1].map(|number: usize| Store::open(stores[number].path()).unwrap());
        let file = |text: &str| {
            let digest = full.put_blob(text.as_bytes()).unwrap();
            json!({ "digest": digest, "size": text.len(), "attr": { "mode": 0o644, "uid": 0, "gid": 0, "mtime": 0 } })
        };
        let manifest = Digest::of("manifest");
        let index: BaseIndex = serde_json::from_value(json!({
            "manifest_digest": manifest, "platform": Platform::linux_arm64(), "os_release": {}, "glibc": null,
            "libraries": {}, "interpreters": [], "distributions": [], "dirs": "", "links": {}, "names": "",
            "users": [], "groups": [], "setid": {}, "files": { "/a": file("a"), "/b": file("b"), "/none": null },
            "unpacked_size": 0, "compressions": [],
        }))
        .unwrap();
        let asked = ["/a", "/none"].map(str::to_owned);
        let of = |index: &BaseIndex, store: &Store| {
            let index = Some((index, &asked[..]));
            Carried::of(&Sources { noted: &Noted::new(), wheels: Vec::new(), installers: &[], index }, store).unwrap()
        };
        let carried = of(&index, &full);
        let empty = empty.before(Arc::new(Told(of(&index, &full))));
        let taken = BaseIndex::behind(&empty, &manifest, &asked).unwrap();
        assert_eq!(taken.file(&empty, "/a").unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(of(&taken, &empty), carried);
        assert!(BaseIndex::behind(&empty, &manifest, &["/b".to_owned()]).is_none());
        assert!(BaseIndex::behind(&empty, &Digest::of("other"), &asked).is_none());
        assert!(BaseIndex::cached(&empty, &manifest, &asked).unwrap().is_none(), "it is not kept");
    }

    #[test]
    fn too_much_is_not_carried() {
        let mut carried = Carried::default();
        // Digests do not compress.
        let many: Vec<Digest> = (0..60_000_u32).map(|number| Digest::of(number.to_le_bytes())).collect();
        carried.add("kind", Digest::of("key"), json!(many));
        assert!(carried.to_text().unwrap().unwrap_err() > MOST);
    }
}
