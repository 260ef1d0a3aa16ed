//! Any bytes: no table with a message, or one that keeps its promises before and after the conversion.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rank_table::{Clues, Format, RankTable, find, parse};

fuzz_target!(|bytes: &[u8]| {
    let table = match parse(bytes) {
        Ok(table) => table,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    ranks(&table);
    for instance in table.instances() {
        let mut devices: Vec<u32> = instance.devices.iter().map(|it| instance.logical_id(it)).collect();
        devices.sort();
        assert!(devices.into_iter().eq(0..instance.devices.len() as u32));
    }
    match table.format() {
        Format::V0 | Format::V1 => {
            let again = parse(table.to_v1().unwrap().as_bytes()).unwrap();
            assert_eq!(ranks(&again), ranks(&table));
        }
        Format::V1_2 | Format::V2 => assert!(table.to_v1().is_err()),
    }
    for instance in table.instances().iter().filter(|it| it.name.is_some()) {
        let clues = Clues { instance_name: instance.name.clone(), ..Clues::default() };
        assert_eq!(find(&table, &clues).unwrap().instance, instance);
    }
});

fn ranks(table: &RankTable) -> Vec<u32> {
    let mut ranks: Vec<u32> = table.instances().iter().flat_map(|it| &it.devices).map(|it| it.rank).collect();
    ranks.sort();
    assert!(ranks.iter().copied().eq(0..table.rank_count()));
    ranks
}
