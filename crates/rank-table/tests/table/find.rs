//! Who am I: every clue alone, together, and against each other.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::net::IpAddr;

use expect_test::expect_file;
use rank_table::{Clues, RankTable, find, parse};

use crate::{check_cases, v0, v1_2, v2};

/// A v0 table with a pod of so many devices on each of the servers, and one without devices.
fn pods(pods: impl Iterator<Item = (String, String)>, devices: usize) -> RankTable {
    let pods = pods.map(|(name, server)| (name, server, devices)).collect();
    let table = v0(&[pods, vec![("ps-0".to_owned(), String::new(), 0)]]);
    parse(table.to_string().as_bytes()).unwrap()
}

/// Clues of variables, `--node-rank` and addresses, written as `NAME=value` and `address`.
fn clues<'w>(words: impl Iterator<Item = &'w str> + Clone) -> Clues {
    let set: HashMap<&str, &str> = words.clone().filter_map(|it| it.split_once('=')).collect();
    let addresses = words.filter(|it| !it.contains('=')).map(|it| it.parse().unwrap()).collect();
    let node_rank = set.get("--node-rank").map(|it| it.parse().unwrap());
    Clues { node_rank, ..Clues::new(|name| set.get(name).map(OsString::from), addresses) }
}

/// A case is a table and what this server knows about itself. The table is v0 of `name@server`; v1 or v1.2 of servers, each
/// `server_id`, or `server_id@host_ip@container_ip`; or v2 of the devices that its nodes have.
#[test]
fn a_server_is_found_by_the_first_clue_that_fits_or_not_at_all() {
    check_cases(include_str!("find.txt"), expect_file!["find.txt"], |lines| {
        let [table, known] = lines else { panic!("{lines:?}") };
        let (format, servers) = table.split_once(' ').unwrap();
        let named = |(n, it): (usize, &str)| match it.split_once('@') {
            Some((name, server)) => (name.to_owned(), server.to_owned()),
            None => (format!("x-{n}"), it.to_owned()),
        };
        let table = match format {
            "v0" => pods(servers.split(' ').enumerate().map(named), 1),
            "v1" | "v1.2" => servers_of(format, servers),
            _ => {
                let nodes: Vec<usize> = servers.split(' ').map(|it| it.parse().unwrap()).collect();
                parse(v2(&nodes).to_string().as_bytes()).unwrap()
            }
        };
        let known = known.replace("ESC", "\u{1b}");
        match find(&table, &clues(known.split(' ').skip(1))) {
            Ok(found) => {
                assert_eq!(&table.instances()[found.position], found.instance);
                let note = found.note.map(|it| format!("\nnote: {it}")).unwrap_or_default();
                let first = found.instance.devices[0].rank;
                assert_eq!(found.number == 0, first == 0, "number 0 has rank 0");
                let who = found.instance.server_id.clone().unwrap_or_else(|| format!("rank {first}"));
                format!("{who} at {}, found by {}{note}", found.position, found.by)
            }
            Err(error) => error.to_string(),
        }
    });
}

/// A table of servers in one super pod, or in none.
fn servers_of(format: &str, servers: &str) -> RankTable {
    let servers: Vec<Vec<&str>> = servers.split(' ').map(|it| it.split('@').collect()).collect();
    let mut table = v1_2(&[servers.iter().map(|it| (it[0].to_owned(), 1)).collect()]);
    if format == "v1" {
        table["version"] = "1.0".into();
        table.as_object_mut().unwrap().remove("super_pod_list");
    }
    for (server, words) in table["server_list"].as_array_mut().unwrap().iter_mut().zip(&servers) {
        for (key, word) in ["host_ip", "container_ip"].into_iter().zip(&words[1..]) {
            server[key] = (*word).into();
        }
    }
    parse(table.to_string().as_bytes()).unwrap()
}

/// What 64 launchers of one job see: each has its own environment and the same file, before and after the conversion.
#[test]
fn the_64_nodes_of_one_table_have_all_ranks_once() {
    let address = |n: usize| IpAddr::from([10, 0, 1, u8::try_from(n).unwrap()]).to_string();
    let first = pods((0..64).map(|n| (n * 37) % 64).map(|n| (format!("job-{n}"), address(n))), 8);
    let again = parse(first.to_v1().unwrap().as_bytes()).unwrap();
    let words = |n: usize| {
        let (name, host) = (format!("MA_CURRENT_INSTANCE_NAME=job-{n}"), format!("MA_CURRENT_HOST_IP={}", address(n)));
        [name, host, address(n), format!("VC_TASK_INDEX={n}")]
    };
    let by = ["its name in", "its address in", "its own address", "its number in"];
    for (table, which) in [(&first, 0), (&first, 1), (&first, 2), (&first, 3), (&again, 1), (&again, 2), (&again, 3)] {
        let mut seen = BTreeSet::new();
        for node in 0..64 {
            let found = find(table, &clues([words(node)[which].as_str()].into_iter())).unwrap();
            assert!(found.by.starts_with(by[which]), "{}", found.by);
            assert_eq!(found.instance.server_id, Some(address(node)));
            let ranks: Vec<u32> = found.instance.devices.iter().map(|it| it.rank).collect();
            let first = u32::try_from(node).unwrap() * 8;
            assert_eq!(ranks, (first..first + 8).collect::<Vec<_>>(), "node {node} by {}", found.by);
            seen.extend(ranks);
        }
        assert_eq!(seen, (0..512).collect());
    }
    // With everything set, as on the platform.
    let found = find(&again, &clues(words(5).each_ref().map(String::as_str).into_iter())).unwrap();
    assert_eq!((found.position, found.by.starts_with(by[1])), (5, true));
}
