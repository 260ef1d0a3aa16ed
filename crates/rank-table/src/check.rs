//! The checks that both formats have in common.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::fault::{Faults, Place, quote};
use crate::json::{Entry, Kind, List, Scalar};
use crate::limits::MAX_DEVICE_ID;
use crate::table::Device;

/// What was seen of a table so far.
#[derive(Default)]
pub(crate) struct Check {
    pub faults: Faults,
    /// Server ids, addresses in one spelling, and where each was first.
    servers: HashMap<String, (usize, Place)>,
    devices: Vec<((usize, u32), Place)>,
    addresses: Vec<(IpAddr, Place)>,
    without_address: Vec<(Place, &'static str)>,
}

impl Check {
    /// A number from 0 to `max`, written as text or as a number.
    pub fn whole(&mut self, value: &Scalar<'_>, place: Place, max: u32) -> Option<u32> {
        let number = match value {
            Scalar::Number(number) => u32::try_from(*number).ok(),
            // What is all digits and still no number is too large.
            Scalar::Text(text) if is_digits(text) => text.parse().ok(),
            _ => {
                self.faults.add(place, || match value {
                    Scalar::Missing => "is missing".to_owned(),
                    Scalar::Other(Kind::Number) => format!("is not a whole number from 0 to {max}"),
                    Scalar::Other(kind) => format!("is {kind}, not a whole number"),
                    Scalar::Number(number) => format!("is `{number}`, not a whole number"),
                    Scalar::Text(text) => format!("is {}, not a whole number", quote(text)),
                });
                return None;
            }
        };
        let number = number.filter(|number| *number <= max);
        if number.is_none() {
            self.faults.add(place, || match value {
                Scalar::Text(text) => format!("is {}, more than the {max} allowed", quote(text)),
                Scalar::Number(number) => format!("is `{number}`, more than the {max} allowed"),
                Scalar::Missing | Scalar::Other(_) => "is not a number".to_owned(),
            });
        }
        number
    }

    /// A count that has to agree with what the lists have.
    pub fn count(&mut self, says: &Scalar<'_>, place: Place, has: usize, what: &str) -> Option<u32> {
        let says = self.whole(says, place, u32::MAX)?;
        if says as usize != has {
            self.faults.add(place, || format!("is {says}, but {what} {has}"));
        }
        Some(says)
    }

    /// Text that is not empty.
    pub fn text(&mut self, value: &Scalar<'_>, place: Place) -> Option<String> {
        let wrong = match value {
            Scalar::Text(text) if !text.is_empty() => return Some(text.clone().into_owned()),
            Scalar::Text(_) => "is empty".to_owned(),
            Scalar::Missing => "is missing".to_owned(),
            Scalar::Number(_) => format!("is {}, not text", Kind::Number),
            Scalar::Other(kind) => format!("is {kind}, not text"),
        };
        self.faults.add(place, || wrong);
        None
    }

    /// The entries of a list that are objects, with their numbers, and how many entries there are.
    pub fn list<'l, T>(
        &mut self,
        list: &'l List<T>,
        place: Place,
        entry: impl Fn(usize) -> Place,
        max: usize,
    ) -> (Vec<(usize, &'l T)>, usize) {
        let (kept, count) = match list {
            List::Is { kept, count } => (kept, *count),
            List::Missing => {
                self.faults.add(place, || "is missing".to_owned());
                return (Vec::new(), 0);
            }
            List::Other(kind) => {
                self.faults.add(place, || format!("is {kind}, not a list"));
                return (Vec::new(), 0);
            }
        };
        if count > max {
            self.faults.add(place, || format!("has {count} entries, more than the {max} allowed"));
        }
        let mut objects = Vec::with_capacity(kept.len());
        for (number, it) in kept.iter().enumerate() {
            match it {
                Entry::Is(object) => objects.push((number, object)),
                Entry::Other(kind) => self.faults.add(entry(number), || format!("is {kind}, not an object")),
            }
        }
        (objects, count)
    }

    /// A server id, the number that stands for it in [`Check::device`], and where the same server was before.
    pub fn server(&mut self, value: &Scalar<'_>, place: Place) -> Option<(String, usize, Option<Place>)> {
        let text = self.text(value, place)?;
        // Any name will do for the collective library, but what is meant as an address has to be one.
        let address = text.parse::<IpAddr>();
        let looks_like_one = text.contains(':') || text.bytes().all(|it| it.is_ascii_digit() || it == b'.');
        if text.chars().any(char::is_control) {
            // It becomes MASTER_ADDR, and no variable can have a NUL.
            self.faults.add(place, || format!("is {}, which has control characters", quote(&text)));
        } else if address.is_err() && looks_like_one {
            self.faults.add(place, || format!("is {}, which is not an IP address", quote(&text)));
        }
        let spelled = address.map_or_else(|_| text.clone(), |it| it.to_string());
        let number = self.servers.len();
        let (known, first) = *self.servers.entry(spelled).or_insert((number, place));
        Some((text, known, (known < number).then_some(first)))
    }

    /// How many different server ids there are.
    pub fn server_count(&self) -> usize {
        self.servers.len()
    }

    /// A device of the server with that number. It has rank 0.
    pub fn device(&mut self, id: &Scalar<'_>, ip: &Scalar<'_>, server: Option<usize>, place: Place) -> Option<Device> {
        let ip = self.address(ip, place.key("device_ip"));
        let place = place.key("device_id");
        let id = self.whole(id, place, MAX_DEVICE_ID)?;
        self.devices.extend(server.map(|server| ((server, id), place)));
        Some(Device { id, ip, rank: 0 })
    }

    fn address(&mut self, value: &Scalar<'_>, place: Place) -> Option<String> {
        match value {
            Scalar::Missing => {
                self.without_address.push((place, "is missing"));
                return None;
            }
            Scalar::Text(text) if text.is_empty() => {
                self.without_address.push((place, "is empty"));
                return Some(String::new());
            }
            _ => {}
        }
        let text = self.text(value, place)?;
        match text.parse::<IpAddr>() {
            Err(_) => self.faults.add(place, || format!("is {}, which is not an IP address", quote(&text))),
            Ok(IpAddr::V4(ip)) if ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() => {
                self.faults.add(place, || format!("is `{ip}`, which is no device's address"));
            }
            Ok(IpAddr::V6(ip)) if ip.is_unspecified() || ip.is_multicast() => {
                self.faults.add(place, || format!("is `{ip}`, which is no device's address"));
            }
            Ok(ip) => self.addresses.push((ip, place)),
        }
        Some(text)
    }

    /// What can be judged only when all servers and devices were seen.
    pub fn end(mut self, devices: usize, list: &'static str) -> Faults {
        if self.server_count() > 1 {
            // On one server devices reach each other without their network.
            for (place, what) in std::mem::take(&mut self.without_address) {
                self.faults.add(place, || format!("{what}, and the table has several servers"));
            }
        }
        let faults = &mut self.faults;
        for_repeated(&mut self.devices, |(_, id), first, place| {
            faults.add(place, || format!("is {id}, which this server has at `{first}` already"));
        });
        for_repeated(&mut self.addresses, |ip, first, place| {
            faults.add(place, || format!("is `{ip}`, which `{first}` is already"));
        });
        if devices == 0 && self.faults.count() == 0 {
            self.faults.add(Place::Top(list), || "has no device at all".to_owned());
        }
        self.faults
    }
}

/// Whether there is nothing but decimal digits, and at least one.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

/// Calls `report` with each key that was there before, its first place, and its place. May sort what was seen by its keys.
pub(crate) fn for_repeated<K: Ord + Copy>(seen: &mut [(K, Place)], mut report: impl FnMut(K, Place, Place)) {
    // Tables have none, as a rule, and keys alone are sorted in a fraction of the time.
    let mut keys: Vec<K> = seen.iter().map(|(key, _)| *key).collect();
    if !keys.is_sorted() {
        keys.sort_unstable();
    }
    if keys.is_sorted_by(|one, other| one < other) {
        return;
    }
    // Stable: equal keys stay in the order of the file.
    seen.sort_by_key(|(key, _)| *key);
    for same in seen.chunk_by(|(one, _), (other, _)| one == other) {
        for (key, place) in &same[1..] {
            report(*key, same[0].1, *place);
        }
    }
}
