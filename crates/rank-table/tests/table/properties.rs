//! What holds for every table, and for every text that is none.

use proptest::prelude::*;
use rank_table::{Clues, RankTable, find, parse};
use serde_json::{Value, json};

use crate::v0;

/// The order of ranks by the rule itself, written down another way: (server, device) pairs.
fn expected(table: &Value) -> Vec<(String, u64)> {
    let mut pairs = Vec::new();
    for (g, group) in table["group_list"].as_array().unwrap().iter().enumerate() {
        let mut instances: Vec<&Value> = group["instance_list"].as_array().unwrap().iter().collect();
        if g == 0 {
            let index = |it: &Value| {
                let name = it["pod_name"].as_str().unwrap();
                name[name.rfind('-').unwrap() + 1..].parse::<u64>().unwrap()
            };
            instances.sort_by_key(|it| index(it));
        }
        for instance in instances {
            for device in instance["devices"].as_array().unwrap() {
                pairs.push((instance["server_id"].as_str().unwrap().to_owned(), device["device_id"].as_u64().unwrap()));
            }
        }
    }
    pairs
}

fn by_rank(table: &RankTable) -> Vec<(String, u64)> {
    let pairs = table.instances().iter().flat_map(|it| it.devices.iter().map(|d| (d.rank, it.server_id.clone(), d.id)));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    assert!(pairs.iter().map(|(rank, ..)| *rank).eq(0..table.rank_count()), "ranks are unique and consecutive");
    pairs.into_iter().map(|(_, server, id)| (server, u64::from(id))).collect()
}

/// A v0 table of some groups, with and without devices.
fn tables() -> impl Strategy<Value = Value> {
    let group = (any::<bool>(), prop::collection::vec((0..300u16, 0..9usize), 1..6));
    prop::collection::vec(group, 1..5).prop_map(|groups| {
        let mut server = 0;
        let mut pod = |(index, devices): &(u16, usize), has_devices: bool| {
            server += 1;
            let name = format!("job-{server}-{index}");
            (name, format!("192.168.{}.{}", server / 256, server % 256), if has_devices { *devices } else { 0 })
        };
        let groups = groups.iter().map(|(has_devices, pods)| pods.iter().map(|it| pod(it, *has_devices)).collect());
        v0(&groups.collect::<Vec<_>>())
    })
}

/// JSON in which the words of both formats turn up at wrong places.
fn soup() -> impl Strategy<Value = Value> {
    let words = "version status completed 1.0 group_count group_list device_count instance_count instance_list pod_name \
                 server_id devices device_id device_ip server_count server_list device rank_id 0 1 10.0.0.1 job-0";
    let word = prop::sample::select(words.split(' ').chain([""]).collect::<Vec<_>>());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..3u64).prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    let nested = leaf.prop_recursive(7, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    });
    let lists = prop::sample::select(vec!["group_list", "server_list"]);
    (nested, lists).prop_map(|(value, list)| json!({"status": "completed", "group_count": 1, list: value}))
}

proptest! {
    #[test]
    fn ranks_of_a_converted_table_follow_groups_instances_and_devices(table in tables()) {
        let expected = expected(&table);
        let parsed = parse(table.to_string().as_bytes());
        prop_assume!(!expected.is_empty());
        let parsed = parsed.unwrap();
        prop_assert_eq!(by_rank(&parsed), expected.clone());
        let again = parse(parsed.to_v1().as_bytes()).unwrap();
        prop_assert_eq!(by_rank(&again), expected);
        prop_assert_eq!(again.to_v1(), parsed.to_v1());
    }

    #[test]
    fn a_table_with_one_thing_changed_is_judged_without_panic(table in tables(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = table.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        judge(&text);
        judge(&text[..at]);
    }

    #[test]
    fn any_json_is_judged_without_panic(value in soup()) {
        judge(value.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        judge(&bytes);
    }
}

/// What is accepted holds what [`RankTable`] promises, and what is not has a message.
fn judge(bytes: &[u8]) {
    match parse(bytes) {
        Ok(table) => {
            by_rank(&table);
            assert!(table.rank_count() > 0);
            parse(table.to_v1().as_bytes()).unwrap();
            let _ = find(&table, &Clues::default());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
