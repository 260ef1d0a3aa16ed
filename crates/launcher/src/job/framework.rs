//! Which framework the ranks use: what they have to find in their environment to meet.

use std::ffi::OsString;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use super::python::{Python, Version};
use crate::options::Framework;

/// The framework of a job, and what decided it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    pub framework: Framework,
    /// To follow the framework's name and a comma: `found in /usr/lib/python3/dist-packages`.
    pub by: String,
    /// The Python that runs the ranks, where their command tells.
    pub interpreter: Option<PathBuf>,
    /// How to choose, where ranks of several nodes may not meet by this one.
    pub note: Option<String>,
}

/// What is known of a job before its framework is.
#[derive(Debug, Clone, Copy)]
pub struct Clues<'a> {
    /// What `--framework` says.
    pub given: Option<Framework>,
    /// The job has one rank, which has nobody to meet.
    pub is_lone: bool,
    pub has_several_nodes: bool,
    /// There is a rank table, or one has to come.
    pub has_table: bool,
    /// That of the ranks' command.
    pub python: Option<&'a Python>,
}

/// The first MindSpore that meets without a rank table.
const MEETS_BY_SCHEDULER: Version = Version(2, 3);

/// The first MindSpore that does not start from a rank table.
const NEEDS_SCHEDULER: Version = Version(2, 8);

/// Decides the framework of the ranks: what the user says, else what their Python has.
pub fn choose(clues: Clues<'_>) -> Choice {
    let interpreter = clues.python.map(|it| it.interpreter.clone());
    let choice = |framework, by: String| Choice { framework, by, interpreter: interpreter.clone(), note: None };
    if let Some(given) = clues.given {
        return choice(given, "by `--framework`".to_owned());
    }
    let plain = |by: &str| choice(Framework::Plain, by.to_owned());
    if clues.is_lone {
        return plain("single rank");
    }
    // With a table the ranks meet by that.
    let noted = |by: &str| {
        let note = format!(
            "the ranks get no variables of a framework, {by}: choose their framework with `--framework torch` or `--framework mindspore`"
        );
        Choice { note: Some(note).filter(|_| clues.has_several_nodes && !clues.has_table), ..plain(by) }
    };
    let Some(python) = clues.python else { return noted("as the command names no Python") };
    match (&python.torch, &python.mindspore) {
        (Some(torch), None) => choice(Framework::Torch, format!("found in {}", torch.display())),
        (None, Some((folder, version))) => {
            let found = format!("{version} found in {}", folder.display());
            let first = if clues.has_table { NEEDS_SCHEDULER } else { MEETS_BY_SCHEDULER };
            if *version >= first {
                choice(Framework::MindSpore, found)
            } else {
                plain(&format!("as MindSpore {found}{}", if clues.has_table { " meets by the rank table" } else { "" }))
            }
        }
        (Some(_), Some(_)) => noted(&format!("as {} has both torch and mindspore", python.interpreter.display())),
        (None, None) if python.is_script => {
            let path = python.interpreter.display();
            noted(&format!("as {path} is a script, whose packages can't be told"))
        }
        (None, None) => noted(&format!("as {} has neither torch nor mindspore", python.interpreter.display())),
    }
}

/// What MindSpore's scheduler does: it needs nothing of the ranks' script. Under `msrun` it runs that up to `init`, which
/// costs it all that the script does before.
const SCHEDULER: &str =
    "import mindspore; from mindspore.communication import init; mindspore.set_context(device_target='CPU'); init()";

/// The command of the scheduler, by the Python of the ranks; by the one in PATH where their command does not tell it.
pub fn scheduler(python: Option<&Path>) -> Vec<OsString> {
    let python = python.unwrap_or(Path::new("python3"));
    vec![python.into(), "-c".into(), SCHEDULER.into()]
}

/// The address of a host, as MindSpore has to be given it: it takes no names. One that other nodes can reach, and of IPv4,
/// comes first; `None` where the name does not resolve.
pub fn address(host: &str) -> Option<IpAddr> {
    let found = host.parse().map_or_else(
        |_| (host, 0).to_socket_addrs().map(|all| all.map(|it| it.ip()).collect()).unwrap_or_default(),
        |literal: IpAddr| vec![literal],
    );
    found.into_iter().min_by_key(|it| (it.is_loopback(), it.is_ipv6()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(torch: bool, mindspore: Option<(u32, u32)>) -> Python {
        Python {
            interpreter: "/p/bin/python3".into(),
            is_script: false,
            torch: torch.then(|| "/p/s".into()),
            mindspore: mindspore.map(|(major, minor)| ("/p/s".into(), Version(major, minor))),
        }
    }

    #[test]
    fn what_python_has_and_the_table_decide() {
        use Framework::{MindSpore, Plain, Torch};
        for (torch, mindspore, has_table, expected) in [
            (true, None, false, (Torch, "found in /p/s")),
            (true, None, true, (Torch, "found in /p/s")),
            (false, Some((2, 8)), true, (MindSpore, "2.8 found in /p/s")),
            (false, Some((2, 10)), true, (MindSpore, "2.10 found in /p/s")),
            (false, Some((2, 7)), true, (Plain, "as MindSpore 2.7 found in /p/s meets by the rank table")),
            (false, Some((2, 7)), false, (MindSpore, "2.7 found in /p/s")),
            (false, Some((2, 3)), false, (MindSpore, "2.3 found in /p/s")),
            (false, Some((2, 2)), false, (Plain, "as MindSpore 2.2 found in /p/s")),
            (false, Some((1, 8)), true, (Plain, "as MindSpore 1.8 found in /p/s meets by the rank table")),
            (true, Some((2, 7)), false, (Plain, "as /p/bin/python3 has both torch and mindspore")),
            (false, None, false, (Plain, "as /p/bin/python3 has neither torch nor mindspore")),
        ] {
            let python = python(torch, mindspore);
            let clues =
                Clues { given: None, is_lone: false, has_several_nodes: false, has_table, python: Some(&python) };
            let chosen = choose(clues);
            assert_eq!((chosen.framework, chosen.by.as_str()), expected, "{python:?} {has_table}");
            assert_eq!(chosen.note, None);
            assert_eq!(choose(Clues { given: Some(Torch), ..clues }).framework, Torch);
            assert_eq!(choose(Clues { is_lone: true, ..clues }).framework, Plain);
        }
    }

    #[test]
    fn of_a_script_it_is_not_said_that_it_has_nothing() {
        let python = Python { is_script: true, ..python(false, None) };
        let clues =
            Clues { given: None, is_lone: false, has_several_nodes: true, has_table: false, python: Some(&python) };
        let chosen = choose(clues);
        assert_eq!(chosen.framework, Framework::Plain);
        assert_eq!(chosen.by, "as /p/bin/python3 is a script, whose packages can't be told");
        assert!(chosen.note.is_some_and(|it| it.contains(&chosen.by)));
        let python = Python { torch: Some("/named".into()), ..python.clone() };
        assert_eq!(choose(Clues { python: Some(&python), ..clues }).framework, Framework::Torch);
    }

    #[test]
    fn several_nodes_are_told_how_to_choose_where_nothing_else_tells() {
        let (both, neither) = (python(true, Some((2, 7))), python(false, None));
        for python in [Some(&both), Some(&neither), None] {
            let clues = Clues { given: None, is_lone: false, has_several_nodes: true, has_table: false, python };
            assert!(choose(clues).note.is_some_and(|it| it.contains("`--framework torch`")));
            assert_eq!(choose(Clues { has_table: true, ..clues }).note, None);
            assert_eq!(choose(Clues { given: Some(Framework::Plain), ..clues }).note, None);
        }
    }

    #[test]
    fn addresses() {
        for (host, expected) in
            [("10.0.0.9", Some("10.0.0.9")), ("fe80::1", Some("fe80::1")), ("no.such.invalid", None)]
        {
            assert_eq!(address(host).map(|it| it.to_string()).as_deref(), expected, "{host}");
        }
        assert!(address("localhost").is_some_and(|it| it.is_loopback()));
    }
}
