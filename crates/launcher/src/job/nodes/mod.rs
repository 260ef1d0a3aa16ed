//! The nodes of a job, and which of them this server is: what the flags say, else what the cluster's variables do.

use std::fmt;

use super::Lookup;
use crate::exit::{Exit, Failure};

/// The nodes of a job, numbered from 0. All have the same number of ranks; a rank table alone may say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// At least 1.
    pub count: u32,
    /// Which of them this server is, below `count`.
    pub index: u32,
    /// Where the ranks meet: node 0, as it was named. `None` where nobody names it.
    pub master: Option<Master>,
    /// What says so, to follow "by": `--nnodes and --node-rank`, `VC_WORKER_NUM and VC_TASK_INDEX`; empty for a job that
    /// has one node because nothing says otherwise.
    pub by: String,
}

/// Where rank 0 listens for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// An address or a name; an IPv6 address has no brackets.
    pub host: String,
    pub port: Option<u16>,
}

/// What `--nnodes`, `--node-rank` and `--master` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFlags {
    pub count: Option<u32>,
    pub index: Option<u32>,
    pub master: Option<Master>,
}

impl Nodes {
    /// This server alone.
    pub fn alone() -> Nodes {
        Nodes { count: 1, index: 0, master: None, by: String::new() }
    }
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, None) => f.write_str(host),
            (host, Some(port)) if host.contains(':') => write!(f, "[{host}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

impl Master {
    /// Reads `HOST`, `HOST:PORT`, `[ADDRESS]:PORT` or an IPv6 address without a port.
    pub fn read(text: &str) -> Result<Master, String> {
        let wrong = || format!("`{text}` is not `HOST` or `HOST:PORT`");
        let (host, port) = match text.strip_prefix('[').map(|it| it.split_once(']').ok_or_else(wrong)).transpose()? {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            // Several colons are those of an IPv6 address.
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = port.map(|it| it.parse().ok().filter(|it| *it > 0).ok_or_else(wrong)).transpose()?;
        let is_host = !host.is_empty() && !host.contains(|it: char| it.is_whitespace() || it.is_control() || it == '/');
        if is_host { Ok(Master { host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

/// The nodes of the job, if anything says that it has several or which one this is.
///
/// # Errors
///
/// With exit code 2: a count without a number of this node or the other way around, a number that is not below the count,
/// and sources that contradict each other, with both values. There is no default: two servers with the same number would
/// start the same ranks.
pub fn find(flags: &NodeFlags, _lookup: Lookup) -> Result<Option<Nodes>, Failure> {
    let refused = |text: String| Err(Failure::new(Exit::USAGE, text));
    match (flags.count, flags.index) {
        (None, None) => Ok(None),
        (Some(count), Some(index)) if index < count => {
            let by = "--nnodes and --node-rank".to_owned();
            Ok(Some(Nodes { count, index, master: flags.master.clone(), by }))
        }
        (Some(count), Some(index)) => {
            refused(format!("`--node-rank` is {index}, but `--nnodes` is {count}: nodes are numbered from 0"))
        }
        (Some(1), None) => Ok(Some(Nodes { by: "--nnodes".to_owned(), ..Nodes::alone() })),
        (Some(count), None) => refused(format!(
            "`--nnodes` is {count}, and nothing says which of them this node is\nhint: give `--node-rank`"
        )),
        (None, Some(index)) => refused(format!(
            "`--node-rank` is {index}, and nothing says how many nodes there are\nhint: give `--nnodes`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters() {
        for (text, expected) in [
            ("node-0", Some(("node-0", None))),
            ("10.0.0.1:29500", Some(("10.0.0.1", Some(29_500)))),
            ("[fe80::1]:80", Some(("fe80::1", Some(80)))),
            ("[fe80::1]", Some(("fe80::1", None))),
            ("fe80::1", Some(("fe80::1", None))),
            ("", None),
            (":80", None),
            ("a:0", None),
            ("a:65536", None),
            ("a:", None),
            ("[a", None),
            ("[a]80", None),
            ("http://a", None),
            ("a b", None),
        ] {
            let read = Master::read(text);
            let expected = expected.map(|(host, port)| Master { host: host.to_owned(), port });
            assert_eq!(read.as_ref().ok(), expected.as_ref(), "{text}");
            if let Ok(master) = read {
                assert_eq!(Master::read(&master.to_string()), Ok(master));
            }
        }
    }
}
