//! YAML as a parser of others reads it back.

use std::iter::Peekable;

use expect_test::expect;
use proptest::prelude::*;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, json};

use super::*;

/// The documents of a text.
pub fn parse(text: &str) -> Vec<Value> {
    let read = Parser::new_from_str(text).map(|read| read.unwrap_or_else(|error| panic!("{error}:\n{text}")).0);
    let is_content = |event: &Event<'_>| {
        !matches!(
            event,
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing
        )
    };
    let mut events = read.filter(is_content).peekable();
    let mut documents = Vec::new();
    while events.peek().is_some() {
        documents.push(value(&mut events));
    }
    documents
}

fn value<'t>(events: &mut Peekable<impl Iterator<Item = Event<'t>>>) -> Value {
    match events.next().unwrap() {
        Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
        Event::Scalar(text, ..) => text.into_owned().into(),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            while events.next_if(|event| matches!(event, Event::SequenceEnd)).is_none() {
                items.push(value(events));
            }
            items.into()
        }
        Event::MappingStart(..) => {
            let mut members = Map::new();
            while events.next_if(|event| matches!(event, Event::MappingEnd)).is_none() {
                let Value::String(key) = value(events) else { panic!("a key is not a string") };
                assert!(members.insert(key.clone(), value(events)).is_none(), "`{key}` is there twice");
            }
            members.into()
        }
        other => panic!("unexpected {other:?}"),
    }
}

/// What a scalar without quotes means.
fn plain(text: &str) -> Value {
    match text {
        "null" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        _ => text.parse::<Number>().map_or_else(|_| text.into(), Value::Number),
    }
}

#[test]
fn people_can_read_and_edit_it() {
    let job = json!({
        "kind": "Job",
        "spec": { "minAvailable": 2, "plugins": { "svc": [], "none": {} }, "tasks": [
            { "name": "worker", "command": ["sh", "-c", "echo 'a: b' # c"] },
            [1, true, null],
        ] },
    });
    let text = documents([json!({ "a": 1 }), job.clone()]);
    expect![[r##"
        a: 1
        ---
        kind: Job
        spec:
          minAvailable: 2
          plugins:
            svc: []
            none: {}
          tasks:
            - name: worker
              command:
                - sh
                - "-c"
                - "echo 'a: b' # c"
            - - 1
              - true
              - null
    "##]]
    .assert_eq(&text);
    assert_eq!(parse(&text), [json!({ "a": 1 }), job]);
}

#[test]
fn what_could_be_something_else_is_in_quotes() {
    let others =
        ["", "yes", "No", "ON", "y", "null", "~", "1", "1e3", "0o7", "1_000", "12:30", ".5", ".inf", "-", "- a"];
    let others =
        others.into_iter().chain(["a:b", "a: b", "a #b", "<x>", "&a", "*a", "!a", "|", "%a", "@a", "`a`", "{a}"]);
    for text in
        others.chain(["a\nb", "a\tb", "a\"b\\c", "ä", "\u{85}", "\u{feff}a", "\u{2028}", "\u{7f}", " a ", "$(x)"])
    {
        let written = scalar(text);
        assert!(written.starts_with('"'), "{written}");
        assert_eq!(parse(&written), [json!(text)]);
    }
    for text in ["Job", "huawei.com/Ascend910", "ring-controller.atlas", "/dev/shm", "a_b", "yesterday"] {
        assert_eq!(scalar(text), text);
        assert_eq!(parse(text), [json!(text)]);
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![any::<String>(), "[a-z/.-]{0,6}"];
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    let leaf = prop_oneof![leaf, text().prop_map(Value::from)];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let members = prop::collection::btree_map(text(), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(value in any_value()) {
        let text = documents([value.clone()]);
        prop_assert_eq!(parse(&text), [value], "{}", text);
    }
}
