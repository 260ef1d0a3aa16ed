//! Any text: no list of hosts with a reason, or one of as many hosts as it says.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/job/nodes/host_list.rs"]
mod host_list;

fuzz_target!(|text: &str| {
    match host_list::HostList::read(text) {
        Err(why) => assert!(!why.is_empty()),
        Ok(list) => {
            assert!((1..=65_536).contains(&list.len()));
            // Names may be long; a few of them tell as much as all.
            let names: Vec<String> = list.iter().take(1_000).collect();
            assert_eq!(names.len(), list.len().min(1_000) as usize);
            assert!(names.iter().all(|it| !it.is_empty() && !it.contains([',', '[', ']'])));
        }
    }
});
