//! Tables of texts, and that whatever is pushed can be taken out again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use proptest::prelude::*;
use serde_json::{Value, json};

use file_edit::{Splice, apply, json::Json};

const PATH: &[&str] = &["insecure-registries"];

fn done(text: &str, splice: Option<Splice>) -> String {
    String::from_utf8(apply(text.as_bytes(), splice.as_slice())).unwrap()
}

fn pushed(text: &str) -> String {
    let splice = Json::parse(text.as_bytes(), "    ").and_then(|json| json.push(PATH, "new"));
    splice.map_or_else(|error| format!("ERROR {error}"), |splice| done(text, Some(splice)))
}

#[test]
fn a_string_joins_a_list_in_the_style_of_the_text() {
    for (text, expected) in [
        ("", "{\n    \"insecure-registries\": [\n        \"new\"\n    ]\n}\n"),
        ("{}\n", "{\n    \"insecure-registries\": [\n        \"new\"\n    ]\n}\n"),
        ("{\n\t\"a\": 1\n}\n", "{\n\t\"a\": 1,\n\t\"insecure-registries\": [\n\t\t\"new\"\n\t]\n}\n"),
        ("{\r\n  \"a\" : {}\r\n}", "{\r\n  \"a\" : {},\r\n  \"insecure-registries\" : [\r\n    \"new\"\r\n  ]\r\n}"),
        ("{\"a\":[1,2]}", "{\"a\":[1,2],\"insecure-registries\":[\"new\"]}"),
        ("{ \"a\": 1, \"b\": 2 }", "{ \"a\": 1, \"b\": 2, \"insecure-registries\": [\"new\"] }"),
        ("{\"insecure-registries\":[\"x\"]}", "{\"insecure-registries\":[\"x\",\"new\"]}"),
        ("{\n  \"insecure-registries\": [\"x\"]\n}", "{\n  \"insecure-registries\": [\"x\", \"new\"]\n}"),
        (
            "{\n  \"insecure-registries\": [\n    \"x\"\n  ], \"z\": \"]},\\\"\"\n}",
            "{\n  \"insecure-registries\": [\n    \"x\",\n    \"new\"\n  ], \"z\": \"]},\\\"\"\n}",
        ),
        ("{\n  \"insecure-registries\": []\n}", "{\n  \"insecure-registries\": [\n    \"new\"\n  ]\n}"),
        ("\u{feff}{\"a\": 1}", "\u{feff}{\"a\": 1, \"insecure-registries\": [\"new\"]}"),
        ("{\"a\": 1,\n}", "ERROR it is not valid JSON at line 2, column 1"),
        ("[1]", "ERROR line 1: `` is not an object"),
        ("{\n\"insecure-registries\": \"x\"}", "ERROR line 2: `insecure-registries` is not a list"),
        (
            "{\"insecure-registries\": [],\n\"insecure-registries\": []}",
            "ERROR line 2: `insecure-registries` is there a second time",
        ),
    ] {
        assert_eq!(pushed(text), expected, "{text:?}");
    }
    assert!(pushed(&"[".repeat(100_000)).starts_with("ERROR"));
}

#[test]
fn a_value_is_set_where_it_is_or_where_it_belongs() {
    let set = |text: &str| {
        let entry = json!({ "auth": "eA==" });
        done(text, Some(Json::parse(text.as_bytes(), "\t").unwrap().set(&["auths", "r.x:5000"], &entry).unwrap()))
    };
    assert_eq!(set(""), "{\n\t\"auths\": {\n\t\t\"r.x:5000\": {\n\t\t\t\"auth\": \"eA==\"\n\t\t}\n\t}\n}\n");
    assert_eq!(
        set("{\n  \"auths\": {\n    \"r.x:5000\": {\n      \"auth\": \"old\"\n    },\n    \"q\": {}\n  }\n}\n"),
        "{\n  \"auths\": {\n    \"r.x:5000\": {\n      \"auth\": \"eA==\"\n    },\n    \"q\": {}\n  }\n}\n"
    );
    assert_eq!(
        set("{\n  \"z\": 1,\n  \"auths\": {\n    \"q\": {}\n  },\n  \"a\": 2\n}\n"),
        "{\n  \"z\": 1,\n  \"auths\": {\n    \"q\": {},\n    \"r.x:5000\": {\n      \"auth\": \"eA==\"\n    }\n  },\n  \"a\": 2\n}\n"
    );
    assert_eq!(set("{\"auths\":{}}"), "{\"auths\":{\"r.x:5000\":{\"auth\":\"eA==\"}}}");
}

#[test]
fn a_string_leaves_with_its_comma() {
    let removed =
        |text: &str, or_key| done(text, Json::parse(text.as_bytes(), "  ").unwrap().remove(PATH, "x", or_key).unwrap());
    let list = |items: &str| format!("{{\n  \"a\": 1,\n  \"insecure-registries\": {items}\n}}\n");
    assert_eq!(removed(&list("[\"x\", \"y\"]"), true), list("[\"y\"]"));
    assert_eq!(removed(&list("[\"y\", \"x\"]"), true), list("[\"y\"]"));
    assert_eq!(removed(&list("[\"x\"]"), false), list("[]"));
    assert_eq!(removed(&list("[\"x\"]"), true), "{\n  \"a\": 1\n}\n");
    assert_eq!(removed(&list("[\"y\"]"), true), list("[\"y\"]"));
    assert_eq!(removed("{\"insecure-registries\":[\"x\"]}", true), "{}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any::<bool>().prop_map(Value::from), "[a-z\"\\\\\n{}\\[\\],:é]{0,6}".prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"é]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_pushed_is_there_and_nothing_else_differs(
        members in prop::collection::hash_map("[a-z\"é]{0,4}", any_json(), 0..4),
        list in prop::option::of(prop::collection::vec("[x-z]{1,3}", 0..3)),
        pretty: bool,
    ) {
        let mut value = Value::Object(members.into_iter().collect());
        if let Some(list) = &list {
            value["insecure-registries"] = json!(list);
        }
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let new = pushed(&text);
        let mut expected = value.clone();
        expected["insecure-registries"] = json!(list.clone().unwrap_or_default().into_iter().chain(["new".to_owned()]).collect::<Vec<_>>());
        prop_assert_eq!(serde_json::from_str::<Value>(&new).unwrap(), expected);
        // Printed text that was printed in this style stays so, in order.
        let printed: Value = serde_json::from_str(&new).unwrap();
        let again = if pretty { serde_json::to_string_pretty(&printed) } else { serde_json::to_string(&printed) }.unwrap();
        prop_assume!(!value.as_object().unwrap().is_empty());
        prop_assert_eq!(&new, &again);
        let gone = Json::parse(new.as_bytes(), "  ").unwrap().remove(PATH, "new", list.is_none()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&done(&new, gone)).unwrap(), value);
    }
}
