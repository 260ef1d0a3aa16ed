//! From bytes to a table, or to all that is wrong with them.

use serde_json::Value;

use crate::check::{JsonPath, Object, kind};
use crate::error::{Error, quote};
use crate::formats;
use crate::ranks;
use crate::table::{Format, RankTable};

/// Bytes of a table: enough for any cluster, too little to exhaust a server's memory.
///
/// 1,000 servers of 8 devices have half a megabyte; a config map, from which the platform makes the file, can't have more
/// than 1 MiB. The worst file of this size (hundreds of thousands of small objects) takes some 320 MB for a quarter of a
/// second.
pub const MAX_BYTES: usize = 4 << 20;

/// Reads and checks a table of any format, whatever the bytes are.
///
/// Numbers may be strings or integers, keys that are not known are passed over, a table that is `initializing` may hold
/// nothing else. In a v0 table ranks are numbered here: consecutively over groups, instances and devices, the instances of
/// the first group ordered by the integer after the last `-` of `pod_name`, groups whose `device_count` is 0 skipped. In a
/// 2.0 table nodes are told apart here: ranks that follow each other are on one node as long as no `device_id` and no
/// `local_id` comes again. Of equal keys the last counts, as for the vendor's scripts.
///
/// Checked are: each count against its list; `pod_name`s, devices of a server, addresses of devices, ranks and (1.x)
/// servers for duplicates; ranks for gaps; `device_ip` and what looks like an address in `server_id`; the limits of this
/// crate. `device_ip` may be missing or empty where all devices are on one server or in one super pod. Of a 1.2 table also:
/// that each server is in exactly one super pod, if there is a `super_pod_list`, and that `super_device_id`s are unique in
/// theirs. Of a 2.0 table: the networks of each rank, their order, and what they call IP addresses. JSON nested deeper than
/// 127 levels, or with a number beyond a double, is not read. A byte order mark of UTF-8 is passed over.
///
/// # Errors
///
/// [`Error`], the end of a sentence about the file: all that is wrong with a complete table, a line each with its place.
pub fn parse(bytes: &[u8]) -> Result<RankTable, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::lasting(format!("is larger than the {MAX_BYTES} bytes allowed")));
    }
    if bytes.is_empty() {
        return Err(Error::passing("is empty"));
    }
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, ..] | [0, b'{', ..] = bytes {
        return Err(Error::lasting("is UTF-16, not UTF-8"));
    }
    let text = utf8(bytes)?;
    let top = match serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(syntax)? {
        Value::Object(top) => top,
        other => return Err(Error::lasting(format!("is {}, not a JSON object", kind(&other)))),
    };
    let version = version(&top)?;
    match top.get("status") {
        Some(Value::String(status)) if status == "completed" => {}
        Some(Value::String(status)) if status == "initializing" => {
            return Err(Error::passing("has the status `initializing`"));
        }
        Some(Value::String(status)) => {
            return Err(Error::passing(format!("has the status {}, not `completed`", quote(status))));
        }
        Some(_) => return Err(one_fault("status", "is not text")),
        None => return Err(Error::passing("has no `status`")),
    }
    match (version, top.contains_key("group_list"), top.contains_key("server_list")) {
        (Version::V1_2, ..) => formats::v1(&top, Format::V1_2),
        (Version::V2, ..) => ranks::v2(&top),
        (Version::V1, true, false) => formats::v0(&top),
        (Version::V1, false, true) => formats::v1(&top, Format::V1),
        (Version::V1, false, false) => Err(one_fault("", "has neither `group_list` (v0) nor `server_list` (v1)")),
        (Version::V1, true, true) => Err(one_fault("", "has both `group_list` (v0) and `server_list` (v1)")),
    }
}

/// What `version` says. Nothing at all is version 1.0, or v0, which has none.
enum Version {
    V1,
    V1_2,
    V2,
}

/// The version, or a refusal of one that is not known.
fn version(top: &Object) -> Result<Version, Error> {
    let version = match top.get("version") {
        Some(Value::String(version)) => Some(version.clone()),
        Some(Value::Number(version)) if version.is_u64() => Some(version.to_string()),
        None => None,
        // Nothing writes 1.0 as a number.
        Some(other) => return Err(one_fault("version", &format!("is {}, not the text `1.0`", kind(other)))),
    };
    let named = version.as_ref().map_or_else(String::new, |version| format!(" of version {}", quote(version)));
    let what = if top.contains_key("server_group_list") {
        format!("a global table{named} (it has `server_group_list`)")
    } else {
        match version.as_deref() {
            None | Some("1.0") if top.contains_key("super_pod_list") => {
                return Err(one_fault("super_pod_list", "is there, but `$.version` is not `1.2`"));
            }
            None | Some("1.0") => return Ok(Version::V1),
            Some("1.2") => return Ok(Version::V1_2),
            Some("2.0") => return Ok(Version::V2),
            Some(_) => format!("a table{named}"),
        }
    };
    let supported = "v0 (`group_list`), versions 1.0 and 1.2 (`server_list`) and version 2.0 (`rank_list`) are";
    Err(Error::lasting(format!("is {what}, which is not supported: {supported}")))
}

fn one_fault(key: &'static str, message: &str) -> Error {
    Error::lasting(format!("has 1 fault:\n`{}` {message}", JsonPath::top(key)))
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|it| **it == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|it| **it != b'\n').count() + 1;
        match error.error_len() {
            // In the middle of a character.
            None => breaks_off(line, column),
            Some(_) => not_json("a byte that is not UTF-8", line, column),
        }
    })
}

fn syntax(error: serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return breaks_off(line, column);
    }
    let text = error.to_string();
    not_json(text.split(" at line ").next().unwrap_or(&text), line, column)
}

/// Being written, as a rule.
fn breaks_off(line: usize, column: usize) -> Error {
    Error::passing(format!("breaks off in line {line}, column {column}, as if it were half-written"))
}

/// No more bytes will make it right.
fn not_json(message: &str, line: usize, column: usize) -> Error {
    Error::lasting(format!("is not valid JSON: {message} in line {line}, column {column}"))
}
