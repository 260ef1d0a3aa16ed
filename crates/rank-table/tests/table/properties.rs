//! What holds for every table, and for every text that is none.

use proptest::prelude::*;
use rank_table::{Clues, Format, RankTable, find, parse};
use serde_json::{Value, json};

use crate::{v0, v1_2, v2};

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
    let pairs = table
        .instances()
        .iter()
        .flat_map(|it| it.devices.iter().map(|d| (d.rank, it.server_id.clone().unwrap_or_default(), d.id)));
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

/// A 1.2 table of some super pods, and how many servers each has.
fn super_pods() -> impl Strategy<Value = (Value, Vec<usize>)> {
    prop::collection::vec(prop::collection::vec(1..9usize, 1..5), 1..5).prop_map(|pods| {
        let mut server = 0;
        let mut named = |devices: &usize| {
            server += 1;
            (format!("192.168.0.{server}"), *devices)
        };
        let counts = pods.iter().map(Vec::len).collect();
        (v1_2(&pods.iter().map(|pod| pod.iter().map(&mut named).collect()).collect::<Vec<_>>()), counts)
    })
}

/// A v1 table some of whose objects have keys that nothing here reads.
fn with_optional_fields() -> impl Strategy<Value = Value> {
    let value = prop_oneof![Just(json!(null)), Just(json!("16666")), Just(json!(16666)), Just(json!([{"a": [1.5]}]))];
    let extra =
        || prop::collection::vec((prop::sample::select(vec!["device_port", "host_ip", "x"]), value.clone()), 0..3);
    let all = prop::collection::vec(extra(), 9);
    let add = |object: &mut Value, extra: &[(&str, Value)]| {
        extra.iter().for_each(|(key, value)| object[*key] = value.clone());
    };
    all.prop_map(move |extras| {
        let servers: Vec<(String, usize)> = (1..=2).map(|n| (format!("192.168.0.{n}"), 3)).collect();
        let mut table = v1_2(&[servers]);
        table.as_object_mut().unwrap().remove("super_pod_list");
        table["version"] = "1.0".into();
        let mut extras = extras.into_iter();
        let mut next = move || extras.next().unwrap();
        add(&mut table, &next());
        for server in table["server_list"].as_array_mut().unwrap() {
            add(server, &next());
            server["device"].as_array_mut().unwrap().iter_mut().for_each(|device| add(device, &next()));
        }
        table
    })
}

/// JSON in which the words of all formats turn up at wrong places.
fn soup() -> impl Strategy<Value = Value> {
    let words = "version status completed 1.0 group_count group_list device_count instance_count instance_list pod_name \
                 server_id devices device_id device_ip server_count server_list device rank_id 0 1 10.0.0.1 job-0 \
                 super_pod_list super_pod_id super_device_id host_ip rank_count rank_list local_id level_list net_layer \
                 rank_addr_list addr_type addr ports IPV4 EID";
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
    let lists = prop::sample::select(vec![
        ("1.0", "group_list"),
        ("1.0", "server_list"),
        ("1.2", "server_list"),
        ("2.0", "rank_list"),
    ]);
    (nested.clone(), nested, lists).prop_map(|(value, pods, (version, list))| {
        let mut table =
            json!({"version": version, "status": "completed", "group_count": 1, "rank_count": 1, list: value});
        if version == "1.2" {
            table["super_pod_list"] = pods;
        }
        table
    })
}

proptest! {
    #[test]
    fn ranks_of_a_converted_table_follow_groups_instances_and_devices(table in tables()) {
        let expected = expected(&table);
        let parsed = parse(table.to_string().as_bytes());
        prop_assume!(!expected.is_empty());
        let parsed = parsed.unwrap();
        prop_assert_eq!(by_rank(&parsed), expected.clone());
        let again = parse(parsed.to_v1().unwrap().as_bytes()).unwrap();
        prop_assert_eq!(by_rank(&again), expected);
        prop_assert_eq!(again.to_v1().unwrap(), parsed.to_v1().unwrap());
    }

    #[test]
    fn servers_are_in_the_super_pods_that_list_them((table, counts) in super_pods()) {
        let parsed = parse(table.to_string().as_bytes()).unwrap();
        prop_assert_eq!(parsed.format(), Format::V1_2);
        by_rank(&parsed);
        let expected = (0..).zip(counts).flat_map(|(pod, count)| vec![Some(pod.to_string()); count]);
        prop_assert_eq!(parsed.instances().iter().map(|it| it.super_pod.clone()).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        prop_assert!(parsed.to_v1().is_err());
    }

    #[test]
    fn nodes_are_found_in_ranks_in_whatever_order(nodes in prop::collection::vec(1..9usize, 1..20), seed in any::<prop::sample::Index>()) {
        let mut table = v2(&nodes);
        let ranks = table["rank_list"].as_array_mut().unwrap();
        let at = seed.index(ranks.len());
        ranks.rotate_left(at);
        ranks.reverse();
        let parsed = parse(table.to_string().as_bytes()).unwrap();
        by_rank(&parsed);
        // A node ends where a device comes again, and the first device of each node is 0.
        prop_assert_eq!(parsed.instances().iter().map(|it| it.devices.len()).collect::<Vec<_>>(), nodes);
        prop_assert!(parsed.to_v1().is_err());
    }

    #[test]
    fn a_v1_table_is_converted_with_all_that_it_has(table in with_optional_fields()) {
        let parsed = parse(table.to_string().as_bytes()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&parsed.to_v1().unwrap()).unwrap(), table);
    }

    #[test]
    fn a_table_with_one_thing_changed_is_judged_without_panic(table in prop_oneof![tables(), super_pods().prop_map(|it| it.0), Just(v2(&[2, 2]))], at in any::<prop::sample::Index>(), byte in any::<u8>()) {
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
            match table.format() {
                Format::V0 | Format::V1 => drop(parse(table.to_v1().unwrap().as_bytes()).unwrap()),
                Format::V1_2 | Format::V2 => assert!(table.to_v1().is_err()),
            }
            let _ = find(&table, &Clues::default());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
