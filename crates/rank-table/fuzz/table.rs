//! Any bytes: no table with a message, or one that keeps its promises before and after the conversion.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rank_table::{Clues, RankTable, find, parse};

fuzz_target!(|bytes: &[u8]| {
    let table = match parse(bytes) {
        Ok(table) => table,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let again = parse(table.to_v1().as_bytes()).unwrap();
    assert_eq!(again.to_v1(), table.to_v1());
    assert_eq!(ranks(&again), ranks(&table));
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
