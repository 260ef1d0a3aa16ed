//! How long a large table takes: `cargo run --profile artifact -p rank-table --example thousand [SERVERS]`.
//!
//! Prints the best and the median of 50 runs of each part, in milliseconds.

#![allow(clippy::unwrap_used, reason = "an example that can not go on fails")]

use std::time::{Duration, Instant};

use rank_table::{Clues, Location, Step, Watcher, find, parse, write_v1};

fn main() {
    let servers: usize = std::env::args().nth(1).map_or(1_000, |it| it.parse().unwrap());
    let text = v0(servers);
    println!("{servers} servers x 8 devices, {} bytes of v0", text.len());
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("v0.json"), folder.path().join("rank_table/jobstart_hccl.json"));
    std::fs::write(&source, &text).unwrap();
    let clues = Clues { instance_name: Some(format!("job-net-{}", servers - 1)), ..Clues::default() };
    let table = parse(text.as_bytes()).unwrap();
    let v1 = table.to_v1();

    measure("read from the file and validate (v0)", || {
        let now = Instant::now();
        let step = Watcher::new(Location::given(&source), now, Duration::ZERO).step(now);
        assert!(matches!(step, Step::Ready(_)));
    });
    measure("validate only (v1)", || assert!(parse(v1.as_bytes()).is_ok()));
    measure("convert to text", || assert_eq!(table.to_v1().len(), v1.len()));
    measure("convert and write, synced", || {
        let _ = std::fs::remove_file(&target);
        assert!(write_v1(&table, &target).unwrap());
    });
    measure("find oneself by name", || assert!(find(&table, &clues).is_ok()));
    measure("read, validate, convert, find", || {
        let now = Instant::now();
        let Step::Ready(ready) = Watcher::new(Location::given(&source), now, Duration::ZERO).step(now) else {
            panic!()
        };
        assert_eq!(ready.table.to_v1().len(), v1.len());
        assert!(find(&ready.table, &clues).is_ok());
    });
}

fn measure(what: &str, mut run: impl FnMut()) {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        run();
        times.push(start.elapsed());
    }
    times.sort();
    println!("{what}: best {:.2} median {:.2}", times[0].as_secs_f64() * 1e3, times[25].as_secs_f64() * 1e3);
}

/// Pods in an order that is not theirs.
fn v0(servers: usize) -> String {
    let pods: Vec<String> = (0..servers)
        .map(|n| (n * 7_919) % servers)
        .map(|n| {
            let device = |d| format!(r#"{{"device_id":"{d}","device_ip":"192.{d}.{}.{}"}}"#, n / 256, n % 256);
            let devices: Vec<String> = (0..8).map(device).collect();
            let server = format!("10.0.{}.{}", n / 256, n % 256);
            format!(r#"{{"pod_name":"job-net-{n}","server_id":"{server}","devices":[{}]}}"#, devices.join(","))
        })
        .collect();
    format!(
        r#"{{"status":"completed","group_count":"1","group_list":[{{"group_name":"g","device_count":"{}","instance_count":"{servers}","instance_list":[{}]}}]}}"#,
        servers * 8,
        pods.join(",")
    )
}
