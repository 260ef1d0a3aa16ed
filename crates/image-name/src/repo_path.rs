//! The whole path of a repository on a registry, of any depth: `mindxsdk/fmtk-ma_base`.

use crate::{
    OrgName, Repository, component,
    refusal::{Fault, Rule, length},
    text::checked_text,
};

/// One or more path components joined by `/`, 255 characters at most (the limit of docker and of the distribution
/// project's registry).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(String);

checked_text!(RepoPath, "repository path", check);

/// Characters of a path.
pub(crate) const MAX: usize = 255;

pub(crate) fn check(text: &str) -> Result<(), Fault> {
    length(text, MAX)?;
    let mut offset = 0;
    for part in text.split('/') {
        if part.is_empty() {
            return Err(Fault::new(Rule::Parts("have a name on both sides of a `/`"), offset));
        }
        component::check(part, MAX).map_err(|fault| fault.in_part("component", offset))?;
        offset += part.len() + 1;
    }
    Ok(())
}

impl RepoPath {
    /// The path of a repository of an organisation.
    pub fn of(org: &OrgName, repository: &Repository) -> Self {
        // 64 + 1 + 128 characters at most, and the rules of both are stricter than those of a component.
        Self(format!("{org}/{repository}"))
    }
}
