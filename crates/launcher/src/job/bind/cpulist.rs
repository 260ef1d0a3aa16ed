//! CPU lists as the kernel writes them: `0-3,8`.

use std::ops::RangeInclusive;

/// The ranges of a list; an empty list has none, as a node without CPUs. `None` for anything else.
///
/// Ranges, not numbers, so that `0-4294967295` costs nothing.
pub fn parse(list: &str) -> Option<Vec<RangeInclusive<usize>>> {
    let list = list.trim();
    if list.is_empty() {
        return Some(Vec::new());
    }
    list.split(',').map(range).collect()
}

/// The shortest list of the ascending `cpus`.
pub fn format(cpus: &[usize]) -> String {
    let runs = cpus.chunk_by(|before, after| before.checked_add(1) == Some(*after));
    let texts = runs.filter_map(|run| match run {
        [] => None,
        [cpu] => Some(cpu.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    texts.collect::<Vec<_>>().join(",")
}

fn range(text: &str) -> Option<RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

fn number(text: &str) -> Option<usize> {
    // `parse` alone would take a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_the_kernel_writes_and_nothing_else() {
        assert_eq!(parse("0-3,8\n"), Some(vec![0..=3, 8..=8]));
        assert_eq!(parse("\n"), Some(vec![]));
        assert_eq!(parse("0-18446744073709551615"), Some(vec![0..=usize::MAX]));
        for wrong in ["x", "1,", ",1", "3-1", "+1", "1--2", "-1", "1-", "0-31:2/4", "18446744073709551616", "1 2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn formats_runs() {
        assert_eq!(format(&[]), "");
        assert_eq!(format(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(format(&[1, 3, 4, usize::MAX]), format!("1,3-4,{}", usize::MAX));
    }

    proptest! {
        #[test]
        fn anything_is_parsed_or_refused(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn near_lists_are_parsed_or_refused(text in "[-0-9,\n +:/]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_formatted_reads_back(cpus in proptest::collection::btree_set(0_usize..5000, 0..200)) {
            let cpus: Vec<usize> = cpus.into_iter().collect();
            let ranges = parse(&format(&cpus)).unwrap();
            prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), cpus);
        }
    }
}
