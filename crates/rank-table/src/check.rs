//! The checks that the formats have in common. All that is wrong is reported at once, each with its place in the file.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::error::{Error, quote};
use crate::table::{Device, Extra};

/// The highest `device_id`. Physical devices count from 0; virtual ones have higher numbers.
pub(crate) const MAX_DEVICE_ID: u32 = 65_535;

/// Faults that are kept; those beyond are counted.
const MAX_FAULTS: usize = 50;

pub(crate) type Object = Map<String, Value>;

/// A path in a table, displayed as a JSONPath: `$.server_list[0].device[3].rank_id`. Entries count from 0 in the order of
/// the file. Copied about freely; text is made of it only where a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JsonPath {
    /// The lists that lead there, and which of their entries.
    entries: [Option<(&'static str, usize)>; 3],
    key: &'static str,
}

impl JsonPath {
    /// A key of the whole file; the file itself where it is empty.
    pub fn top(key: &'static str) -> JsonPath {
        JsonPath { entries: [None; 3], key }
    }

    /// Another key of the same object.
    pub fn key(self, key: &'static str) -> JsonPath {
        JsonPath { key, ..self }
    }

    /// An entry of the list at this path.
    pub fn entry(mut self, number: usize) -> JsonPath {
        if let Some(entry) = self.entries.iter_mut().find(|it| it.is_none()) {
            *entry = Some((self.key, number));
        }
        self.key("")
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for (list, number) in self.entries.iter().flatten() {
            write!(f, ".{list}[{number}]")?;
        }
        if self.key.is_empty() { Ok(()) } else { write!(f, ".{}", self.key) }
    }
}

/// What was seen of a table so far, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Check {
    /// The first of the faults, in the order in which they were found, and the number of all.
    faults: (Vec<String>, usize),
    /// Server ids, addresses in one spelling, and where each was first.
    servers: HashMap<String, (usize, JsonPath)>,
    /// By server and id.
    devices: Vec<((usize, u32), JsonPath)>,
    addresses: Vec<(IpAddr, JsonPath)>,
    without_address: Vec<(JsonPath, &'static str)>,
    /// All servers are in one super pod, in which devices reach each other without addresses.
    pub is_one_super_pod: bool,
}

/// A server id that was seen.
pub(crate) struct ServerId<'v> {
    /// As it was written.
    pub text: &'v str,
    /// What stands for the server in [`Check::device`]. Servers are counted from 0 as they are seen.
    pub number: usize,
    /// Where the same server was before.
    pub first: Option<JsonPath>,
    pub address: Option<IpAddr>,
}

impl Check {
    pub fn add(&mut self, path: JsonPath, message: impl fmt::Display) {
        if self.faults.1 < MAX_FAULTS {
            self.faults.0.push(format!("`{path}` {message}"));
        }
        self.faults.1 += 1;
    }

    /// A number from 0 to `max`, written as text or as a number.
    pub fn whole(&mut self, value: Option<&Value>, path: JsonPath, max: u32) -> Option<u32> {
        let found = number(value);
        let fitting = found.and_then(|it| u32::try_from(it).ok()).filter(|it| *it <= max);
        if fitting.is_none() {
            let shown = match value {
                None => None,
                Some(Value::String(text)) => Some(quote(text)),
                Some(number @ Value::Number(_)) => Some(format!("`{number}`")),
                Some(other) => Some(kind(other).to_owned()),
            };
            let message = match (shown, found) {
                (None, _) => "is missing".to_owned(),
                (Some(shown), Some(_)) => format!("is {shown}, more than the {max} allowed"),
                (Some(shown), None) => format!("is {shown}, not a whole number"),
            };
            self.add(path, message);
        }
        fitting
    }

    /// A count that has to agree with what the lists have.
    pub fn count(&mut self, says: Option<&Value>, path: JsonPath, has: usize, what: &str) {
        match self.whole(says, path, u32::MAX) {
            Some(says) if says as usize != has => self.add(path, format!("is {says}, but {what} {has}")),
            _ => {}
        }
    }

    /// Text that is not empty.
    pub fn text<'v>(&mut self, value: Option<&'v Value>, path: JsonPath) -> Option<&'v str> {
        match value {
            Some(Value::String(text)) if !text.is_empty() => return Some(text),
            Some(Value::String(_)) => self.add(path, "is empty"),
            Some(other) => self.add(path, format!("is {}, not text", kind(other))),
            None => self.add(path, "is missing"),
        }
        None
    }

    /// The entries of a list that are objects, with their places, and how many entries there are. Of a list with more than
    /// `max` the first are given.
    pub fn list<'v>(
        &mut self,
        value: Option<&'v Value>,
        path: JsonPath,
        max: usize,
    ) -> (Vec<(JsonPath, &'v Object)>, usize) {
        let entries = match value {
            Some(Value::Array(entries)) => entries,
            Some(other) => {
                self.add(path, format!("is {}, not a list", kind(other)));
                return (Vec::new(), 0);
            }
            None => {
                self.add(path, "is missing");
                return (Vec::new(), 0);
            }
        };
        if entries.len() > max {
            self.add(path, format!("has {} entries, more than the {max} allowed", entries.len()));
        }
        let mut objects = Vec::with_capacity(entries.len().min(max));
        for (number, entry) in entries.iter().enumerate().take(max) {
            match entry {
                Value::Object(object) => objects.push((path.entry(number), object)),
                other => self.add(path.entry(number), format!("is {}, not an object", kind(other))),
            }
        }
        (objects, entries.len())
    }

    pub fn server<'v>(&mut self, value: Option<&'v Value>, path: JsonPath) -> Option<ServerId<'v>> {
        let text = self.text(value, path)?;
        // Any name will do for the collective library, but what is meant as an address has to be one.
        let address = text.parse::<IpAddr>();
        let looks_like_one = text.contains(':') || text.bytes().all(|it| it.is_ascii_digit() || it == b'.');
        if text.chars().any(char::is_control) {
            // It becomes MASTER_ADDR, and no variable can have a NUL.
            self.add(path, format!("is {}, which has control characters", quote(text)));
        } else if address.is_err() && looks_like_one {
            self.add(path, format!("is {}, which is not an IP address", quote(text)));
        }
        let next = self.servers.len();
        let spelled = address.as_ref().map_or_else(|_| text.to_owned(), ToString::to_string);
        let (number, first) = *self.servers.entry(spelled).or_insert((next, path));
        Some(ServerId { text, number, first: (number < next).then_some(first), address: address.ok() })
    }

    /// The number of a server that was seen.
    pub fn number_of_server(&self, text: &str) -> Option<usize> {
        let spelled = text.parse::<IpAddr>().map_or_else(|_| text.to_owned(), |it| it.to_string());
        self.servers.get(&spelled).map(|(number, _)| *number)
    }

    /// A device of the server with that number, with rank 0, and its `rank_id`.
    pub fn device<'v>(
        &mut self,
        device: &'v Object,
        server: Option<usize>,
        path: JsonPath,
    ) -> (Option<Device>, Option<&'v Value>) {
        let (mut id, mut ip, mut rank, mut extra) = (None, None, None, Extra::default());
        // One pass: three look-ups in each of thousands of devices take longer.
        for (key, value) in device {
            match key.as_str() {
                "device_id" => id = Some(value),
                "device_ip" => ip = Some(value),
                "rank_id" => rank = Some(value),
                _ => extra.0.push((key.clone(), value.clone())),
            }
        }
        let ip = self.address(ip, path.key("device_ip"));
        let path = path.key("device_id");
        let id = self.whole(id, path, MAX_DEVICE_ID);
        self.devices.extend(server.zip(id).map(|key| (key, path)));
        (id.map(|id| Device { id, ip, rank: 0, super_id: None, extra }), rank)
    }

    fn address(&mut self, value: Option<&Value>, path: JsonPath) -> Option<String> {
        if value.is_none() || value.and_then(Value::as_str) == Some("") {
            self.without_address.push((path, if value.is_none() { "is missing" } else { "is empty" }));
            return value.map(|_| String::new());
        }
        let text = self.text(value, path)?;
        let is_no_device =
            |ip: IpAddr| ip.is_unspecified() || ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        match text.parse::<IpAddr>() {
            Err(_) => self.add(path, format!("is {}, which is not an IP address", quote(text))),
            Ok(ip) if is_no_device(ip) => self.add(path, format!("is `{ip}`, which is not the address of a device")),
            Ok(ip) => self.addresses.push((ip, path)),
        }
        Some(text.to_owned())
    }

    /// Judges what can be judged only when all servers and `devices` of `list` were seen.
    ///
    /// # Errors
    ///
    /// All faults of the table.
    pub fn end(mut self, devices: usize, list: &'static str) -> Result<(), Error> {
        if self.servers.len() > 1 && !self.is_one_super_pod {
            // On one server devices reach each other without their network.
            for (path, what) in std::mem::take(&mut self.without_address) {
                self.add(path, format!("{what}, and the table has several servers"));
            }
        }
        for ((_, id), first, path) in repeated(&mut std::mem::take(&mut self.devices)) {
            self.add(path, format!("is {id}, which this server has at `{first}` already"));
        }
        for (ip, first, path) in repeated(&mut std::mem::take(&mut self.addresses)) {
            self.add(path, format!("is `{ip}`, which `{first}` is already"));
        }
        if devices == 0 && self.faults.1 == 0 {
            self.add(JsonPath::top(list), "has no device at all");
        }
        let (mut lines, count) = self.faults;
        if count == 0 {
            return Ok(());
        }
        if count > lines.len() {
            lines.push(format!("and {} more", count - lines.len()));
        }
        let plural = if count == 1 { "" } else { "s" };
        Err(Error::lasting(format!("has {count} fault{plural}:\n{}", lines.join("\n"))))
    }
}

/// The keys of an object but for those that are read.
pub(crate) fn extra(object: &Object, is_read: impl Fn(&str) -> bool) -> Extra {
    let unread = object.iter().filter(|(key, _)| !is_read(key));
    Extra(unread.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// What a value is, where it is not what is needed.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A whole number, written as text or as a number.
pub(crate) fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        // What is all digits and still no number is too large.
        Value::String(text) if is_digits(text) => Some(text.parse().unwrap_or(u64::MAX)),
        _ => None,
    }
}

/// Whether there is nothing but decimal digits, and at least one.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

/// Sorts what was seen by its keys. Each key that was there before, its first path, and its path.
pub(crate) fn repeated<K: Ord + Copy>(seen: &mut [(K, JsonPath)]) -> Vec<(K, JsonPath, JsonPath)> {
    // Stable: equal keys stay in the order of the file.
    seen.sort_by_key(|(key, _)| *key);
    let same = seen.chunk_by(|(one, _), (other, _)| one == other);
    same.flat_map(|same| same[1..].iter().map(|(key, path)| (*key, same[0].1, *path))).collect()
}
