//! The name of a job, which every kind of cluster takes.

use std::{fmt, str::FromStr};

/// A label of RFC 1035, 1–50 characters: a-z, 0-9 and `-`, a letter first, no `-` last.
///
/// Kubernetes names a service after the job, which may not begin with a digit as other names may, and hosts after its pods,
/// as in `NAME-worker-4095`, with 63 characters at most. ModelArts and Slurm take whatever Kubernetes does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobName(String);

const LENGTH: usize = 50;

impl JobName {
    /// The repository's name with `-` for what a job's can't have.
    pub fn of_repository(repository: &str) -> Self {
        let kept = |letter: char| if is_allowed(letter) { letter } else { '-' };
        let name: String = repository.chars().map(|letter| kept(letter.to_ascii_lowercase())).collect();
        let name =
            if name.starts_with(|first: char| first.is_ascii_lowercase()) { name } else { format!("job-{name}") };
        // All of it is ASCII.
        let name = name[..name.len().min(LENGTH)].trim_end_matches('-');
        Self(name.to_owned())
    }
}

fn is_allowed(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'
}

impl FromStr for JobName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_right = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(is_allowed)
            && !text.ends_with('-')
            && text.len() <= LENGTH;
        match is_right {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "a job's name has 1–{LENGTH} of a-z, 0-9 and `-`, with a letter first and no `-` last; `{}` would do",
                Self::of_repository(text)
            )),
        }
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_every_cluster_takes() {
        for name in ["a", "fmtk-ma", "llama-7b", &"a".repeat(LENGTH)] {
            assert_eq!(name.parse::<JobName>().unwrap().to_string(), name);
        }
        for name in ["", "7b", "-a", "a-", "A", "a_b", "a.b", "ä", "a b", "$(x)", &"a".repeat(LENGTH + 1)] {
            let said = name.parse::<JobName>().unwrap_err();
            // What is suggested is taken.
            let suggested = said.rsplit('`').nth(1).unwrap();
            suggested.parse::<JobName>().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let of = |repository: &str| JobName::of_repository(repository).to_string();
        assert_eq!(["fmtk-ma", "fmtk_ma.2", "7b", ""].map(of), ["fmtk-ma", "fmtk-ma-2", "job-7b", "job"]);
    }
}
