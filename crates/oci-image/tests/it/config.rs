//! Configs keep what they don't know and take our edits.

use std::collections::BTreeMap;

use expect_test::expect_file;
use oci_image::{ConfigEdits, ImageConfig};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};

use crate::made::{arm64, digest};

fn edits() -> ConfigEdits {
    ConfigEdits {
        env: [("PATH", "/new/bin:/bin"), ("A", "1"), ("A", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        user: Some("ma-user".to_owned()),
        working_dir: Some("/home/ma-user".to_owned()),
        labels: BTreeMap::from([("base.name".to_owned(), "x".to_owned())]),
        created: "2022-10-28T18:13:25Z".to_owned(),
        created_by: "fmtk".to_owned(),
        cache: None,
    }
}

#[test]
fn edits_merge_into_what_the_base_says() {
    let base = json!({
        "architecture": "arm64", "os": "linux", "variant": "v8", "moby.buildkit.cache": 1,
        "created": "2020-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/bin", "X=a=b", "EMPTY", "PATH=/sbin"], "Cmd": ["sh"], "Entrypoint": ["/init"],
            "Labels": { "keep": "me", "base.name": "old" }, "Healthcheck": { "Test": ["NONE"] },
        },
        "history": [{ "created_by": "ADD" }, { "created_by": "ENV", "empty_layer": true }],
        "rootfs": { "diff_ids": [digest(b"1"), digest(b"2")], "type": "layers" },
        "docker_version": "20.10",
    });
    let base = ImageConfig::parse(base.to_string().as_bytes()).unwrap();
    let edited = base.edited(&edits(), &[(digest(b"3"), "numpy 1.23")]);
    let shown: Value = serde_json::from_slice(&edited.to_json()).unwrap();
    expect_file!["snapshots/config.txt"].assert_eq(&format!("{shown:#}\n"));
    assert_eq!(edited, ImageConfig::parse(&edited.to_json()).unwrap());
    assert_eq!(edited.diff_ids(), [digest(b"1"), digest(b"2"), digest(b"3")]);
    assert_eq!(edited.env()[1], ("X".to_owned(), "a=b".to_owned()));
    assert_eq!((edited.user(), edited.working_dir()), ("ma-user", "/home/ma-user"));
    assert_eq!(edited.platform().to_string(), "linux/arm64/v8");
}

#[test]
fn a_config_of_the_least_there_can_be_is_taken() {
    for bare in [
        json!({ "architecture": "arm64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": null } }),
        json!({ "architecture": "arm64", "os": "linux", "rootfs": {}, "config": null, "history": null }),
        json!({ "architecture": "arm64", "os": "linux", "rootfs": {}, "config": { "Env": null, "Labels": null } }),
        // The kernel's name of it, which some builders write.
        json!({ "architecture": "aarch64", "os": "linux", "rootfs": {} }),
    ] {
        let base = ImageConfig::parse(bare.to_string().as_bytes()).unwrap();
        assert!(base.platform().serves(&arm64()));
        let edited = base.edited(&edits(), &[(digest(b"1"), "x")]);
        assert_eq!(edited.env(), [("PATH", "/new/bin:/bin"), ("A", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(edited.labels(), [("base.name".to_owned(), "x".to_owned())]);
        assert_eq!(edited.platform(), arm64());
        assert_eq!(ImageConfig::parse(&edited.to_json()).unwrap(), edited);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".{0,6}", inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn extra() -> impl Strategy<Value = Vec<(String, Value)>> {
    // Keys of the spec are in lower case or begin with a capital inside `config`; `x-` collides with none.
    vec(("x-[a-z]{1,6}", any_json()), 0..5)
}

proptest! {
    #[test]
    fn unknown_keys_and_their_order_survive(top in extra(), inner in extra()) {
        let with = |map: Value, extra: &[(String, Value)]| {
            let Value::Object(mut map) = map else { unreachable!() };
            map.extend(extra.iter().cloned());
            Value::Object(map)
        };
        let config = with(json!({ "Env": ["A=0"] }), &inner);
        let base = json!({ "architecture": "arm64", "os": "linux", "rootfs": { "diff_ids": [] }, "config": config });
        let base = with(base, &top);
        let bytes = serde_json::to_vec(&base).unwrap();
        let parsed = ImageConfig::parse(&bytes).unwrap();
        prop_assert_eq!(parsed.to_json(), bytes);

        let edited: Map<String, Value> = serde_json::from_slice(&parsed.edited(&edits(), &[]).to_json()).unwrap();
        let kept = |map: &Map<String, Value>| -> Vec<(String, Value)> {
            map.iter().filter(|(key, _)| key.starts_with("x-")).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        prop_assert_eq!(kept(&edited), kept(base.as_object().unwrap()));
        prop_assert_eq!(kept(edited["config"].as_object().unwrap()), kept(base["config"].as_object().unwrap()));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in vec(any::<u8>(), 0..200), json in any_json()) {
        let _ = ImageConfig::parse(&bytes);
        let _ = ImageConfig::parse(json.to_string().as_bytes());
    }
}
