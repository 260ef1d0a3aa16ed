//! Slurm's way to write many hosts in few letters: `n[001-010,12]`, `rack[1-2]n[3,5-6]`, several of these between commas.
//!
//! The hosts and their order are those of `scontrol show hostnames`: of several groups in a name the last one runs fastest,
//! then the first, the second and so on. What Slurm refuses is refused, and so are brackets that do not match, of which it
//! makes names that nobody has.

use std::fmt::Write;

/// Slurm's own limit of a range; here it is that of the list.
pub const MAX_HOSTS: u32 = 65_536;

/// A list that was read. It takes the memory of its text, however many hosts it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostList(Vec<Name>);

/// One name, or many that differ in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    /// Each with the text before it.
    groups: Vec<(String, Vec<Range>)>,
    /// The text after the last group.
    rest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u64,
    /// Not below the first.
    last: u64,
    /// Digits to fill up to with zeros.
    width: usize,
}

impl HostList {
    /// Reads a list. Errors: why it is none, to follow it.
    pub fn read(text: &str) -> Result<HostList, String> {
        let mut names = Vec::new();
        let (mut is_inside, mut start) = (false, 0);
        for (at, letter) in text.char_indices() {
            match letter {
                '[' if is_inside => return Err("has a bracket within brackets".to_owned()),
                ']' if !is_inside => return Err("has a `]` without a `[`".to_owned()),
                '[' => is_inside = true,
                ']' => is_inside = false,
                ',' | ' ' | '\t' | '\n' if !is_inside => {
                    names.push(&text[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        if is_inside {
            return Err("has a `[` without a `]`".to_owned());
        }
        names.push(&text[start..]);
        // Slurm passes over empty ones, too.
        let names = names.into_iter().filter(|it| !it.is_empty());
        let list = HostList(names.map(Name::read).collect::<Result<_, _>>()?);
        match list.0.iter().try_fold(0_u64, |sum, it| sum.checked_add(it.len()?)) {
            Some(0) => Err("names no host".to_owned()),
            Some(count) if count <= u64::from(MAX_HOSTS) => Ok(list),
            _ => Err(format!("names more than {MAX_HOSTS} hosts")),
        }
    }

    /// How many hosts there are, 65,536 at most.
    pub fn len(&self) -> u32 {
        let count: u64 = self.0.iter().filter_map(Name::len).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|name| (0..name.len().unwrap_or_default()).map(|at| name.nth(at)))
    }
}

impl Name {
    fn read(text: &str) -> Result<Name, String> {
        let mut groups = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('[') {
            // The brackets match, as the whole list was looked through.
            let (inside, after) = after.split_once(']').unwrap_or((after, ""));
            groups.push((before.to_owned(), inside.split(',').map(Range::read).collect::<Result<_, _>>()?));
            rest = after;
        }
        if !groups.is_empty() && !rest.is_empty() {
            return Err(format!("has `{rest}` behind the last bracket of `{text}`, which Slurm does not write"));
        }
        Ok(Name { groups, rest: rest.to_owned() })
    }

    /// `None` where it is more than can be counted.
    fn len(&self) -> Option<u64> {
        self.groups.iter().try_fold(1_u64, |product, (_, ranges)| product.checked_mul(count(ranges)?))
    }

    fn nth(&self, mut at: u64) -> String {
        let mut numbers = vec![String::new(); self.groups.len()];
        // The last group runs fastest, then the first and those behind it.
        let last = self.groups.len().checked_sub(1);
        for group in last.into_iter().chain(0..last.unwrap_or_default()) {
            let ranges = &self.groups[group].1;
            let size = count(ranges).unwrap_or(u64::MAX).max(1);
            numbers[group] = number(ranges, at % size);
            at /= size;
        }
        let mut name = String::new();
        for ((before, _), number) in self.groups.iter().zip(numbers) {
            name.push_str(before);
            name.push_str(&number);
        }
        name + &self.rest
    }
}

impl Range {
    fn read(text: &str) -> Result<Range, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|it| it.is_ascii_digit()));
        match (number(first), number(last)) {
            (Some(first_number), Some(last_number)) if first_number > last_number => {
                Err(format!("counts down in `{text}`"))
            }
            // A name with more digits is no name of a host.
            (Some(number), Some(last)) if first.len() < 64 => Ok(Range { first: number, last, width: first.len() }),
            _ => Err(format!("has `{text}` where a number or a range belongs")),
        }
    }
}

fn count(ranges: &[Range]) -> Option<u64> {
    ranges.iter().try_fold(0_u64, |sum, it| sum.checked_add((it.last - it.first).checked_add(1)?))
}

fn number(ranges: &[Range], mut at: u64) -> String {
    let mut text = String::new();
    for range in ranges {
        let size = range.last - range.first + 1;
        if at < size {
            // Writing to memory does not fail.
            let _ = write!(text, "{:0width$}", range.first + at, width = range.width);
            break;
        }
        at -= size;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(text: &str) -> String {
        HostList::read(text).map_or_else(|why| why, |list| list.iter().collect::<Vec<_>>().join(" "))
    }

    /// `cargo xtask e2e host-lists` compares the same with Slurm's own program.
    #[test]
    fn as_slurm_expands_them() {
        let table = include_str!("../../../tests/host_lists.txt");
        for line in table.lines().filter(|it| !it.starts_with('#')) {
            let (list, hosts) = line.split_once(" => ").expect("a list and its hosts");
            assert_eq!(expanded(list), hosts, "{list}");
        }
    }

    #[test]
    fn what_is_no_list() {
        let mut said = String::new();
        for text in [
            "",
            ",",
            "n[5-3]",
            "n[010-9]",
            "n[]",
            "n[1-",
            "n[1",
            "n1]",
            "n[1,]",
            "n[,1]",
            "n[1-]",
            "n[-1]",
            "n[a-c]",
            "n[1-2]-ib",
            "n[1,[2-3]]",
            "n[+1-2]",
            "n[0x1]",
            "n[1-2-3]",
            "n[1-65537]",
            "n[1-65536],m",
            "n[0-18446744073709551615]",
            "n[1-99999999999999999999]",
            "a[0-65535]b[0-65535]c[0-65535]d[0-65535]e[0-65535]",
        ] {
            let why = HostList::read(text).expect_err(text);
            said += &format!("{text}\n    {why}\n");
        }
        expect_test::expect![[r#"

                names no host
            ,
                names no host
            n[5-3]
                counts down in `5-3`
            n[010-9]
                counts down in `010-9`
            n[]
                has `` where a number or a range belongs
            n[1-
                has a `[` without a `]`
            n[1
                has a `[` without a `]`
            n1]
                has a `]` without a `[`
            n[1,]
                has `` where a number or a range belongs
            n[,1]
                has `` where a number or a range belongs
            n[1-]
                has `1-` where a number or a range belongs
            n[-1]
                has `-1` where a number or a range belongs
            n[a-c]
                has `a-c` where a number or a range belongs
            n[1-2]-ib
                has `-ib` behind the last bracket of `n[1-2]-ib`, which Slurm does not write
            n[1,[2-3]]
                has a bracket within brackets
            n[+1-2]
                has `+1-2` where a number or a range belongs
            n[0x1]
                has `0x1` where a number or a range belongs
            n[1-2-3]
                has `1-2-3` where a number or a range belongs
            n[1-65537]
                names more than 65536 hosts
            n[1-65536],m
                names more than 65536 hosts
            n[0-18446744073709551615]
                names more than 65536 hosts
            n[1-99999999999999999999]
                has `1-99999999999999999999` where a number or a range belongs
            a[0-65535]b[0-65535]c[0-65535]d[0-65535]e[0-65535]
                names more than 65536 hosts
        "#]]
        .assert_eq(&said);
    }

    /// Names with numbers, written as Slurm would: neighbours of the same width become ranges.
    fn compressed(hosts: &[(String, u64, usize)]) -> String {
        let mut text = String::new();
        let mut at = 0;
        while at < hosts.len() {
            let (prefix, first, width) = &hosts[at];
            let mut end = at + 1;
            while end < hosts.len() && hosts[end] == (prefix.clone(), first + (end - at) as u64, *width) {
                end += 1;
            }
            let last = first + (end - at - 1) as u64;
            let comma = if at > 0 { "," } else { "" };
            text += &match end - at {
                1 => format!("{comma}{prefix}{first:0width$}"),
                _ => format!("{comma}{prefix}[{first:0width$}-{last}]"),
            };
            at = end;
        }
        text
    }

    proptest! {
        #[test]
        fn what_is_compressed_expands_to_the_same(
            hosts in prop::collection::vec(("[a-z][a-z0-9-]{0,3}[a-z]", 0_u64..30, 0_usize..4, 1_u64..5), 1..8)
        ) {
            let hosts: Vec<_> = hosts
                .into_iter()
                .flat_map(|(prefix, first, width, count)| (0..count).map(move |it| (prefix.clone(), first + it, width)))
                .collect();
            let names: Vec<_> = hosts.iter().map(|(prefix, number, width)| format!("{prefix}{number:0width$}")).collect();
            let list = HostList::read(&compressed(&hosts)).expect("a list");
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), names);
            prop_assert_eq!(list.len() as usize, hosts.len());
        }

        #[test]
        fn no_text_is_too_much(text in r"[a-c0-9\[\],\-]{0,40}") {
            if let Ok(list) = HostList::read(&text) {
                prop_assert!(list.len() <= 65_536);
                prop_assert_eq!(list.iter().count(), list.len() as usize);
            }
        }
    }
}
