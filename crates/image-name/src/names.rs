//! Names that are a checked text and nothing more, and the rules that they share.

use crate::error::Broken;

/// Declares a name over a text that `check` accepts, so that no name differs in how it is read and printed.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub(crate) fn read(text: &str) -> Result<Self, $crate::error::Broken> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        $crate::error::parsed_by_read!($name, $what);
    };
}

pub(crate) use name;

name! {
    /// The organisation of SWR that an image belongs to, `mindxsdk`: 1–64 of `a-z 0-9 _ -`, a letter first, a letter or
    /// digit last, separators single save `__`.
    ///
    /// SWR's two published rules disagree on dots, so they are refused: a name that both allow always works.
    OrgName, "organisation", |text: &str| {
        length(text, 64)?;
        characters(text, "a-z, 0-9, `_` and `-`", |c| lower(c) || matches!(c, '_' | '-'))?;
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(Broken::new("start with a lowercase letter", 0));
        }
        let rule = "have no two separators side by side, save `__`";
        separators(text, &['_', '-'], "a-z or 0-9", rule, |run| run == "__")
    }
}

name! {
    /// The repository of an image within its organisation, `fmtk-ma`: one path component of 1–128 characters. Dots are
    /// allowed: repositories of SWR that have them exist.
    Repository, "repository", |text| component(text, 128)
}

name! {
    /// The whole path of a repository on a registry, `mindxsdk/fmtk-ma_base`: one or more path components joined by `/`,
    /// 255 characters at most (the limit of docker and of the distribution project's registry).
    RepoPath, "repository path", |text: &str| {
        length(text, 255)?;
        let mut offset = 0;
        for part in text.split('/') {
            if part.is_empty() {
                return Err(Broken::new("have a name on both sides of a `/`", offset));
            }
            component(part, 255).map_err(|broken| broken.in_part("component", offset))?;
            offset += part.len() + 1;
        }
        Ok(())
    }
}

impl RepoPath {
    /// The path of a repository of an organisation.
    pub fn of(org: &OrgName, repository: &Repository) -> Self {
        // 64 + 1 + 128 characters at most, and the rules of both are stricter than those of a component.
        Self(format!("{org}/{repository}"))
    }
}

/// Characters of a tag.
pub(crate) const TAG_LENGTH: usize = 128;

name! {
    /// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution spec, "Pulling manifests").
    Tag, "tag", |text: &str| {
        length(text, TAG_LENGTH)?;
        of_a_tag(text)?;
        match text.starts_with(['.', '-']) {
            true => Err(Broken::new("start with a letter, a digit or `_`", 0)),
            false => Ok(()),
        }
    }
}

impl Tag {
    /// A text that was made of a tag's characters and is no longer than one.
    pub(crate) fn of_checked(text: String) -> Self {
        Self(text)
    }
}

/// One component of a repository's path: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (OCI distribution spec, "Pulling
/// manifests").
fn component(text: &str, max: usize) -> Result<(), Broken> {
    length(text, max)?;
    characters(text, "a-z, 0-9 and the separators `.`, `_`, `-`", |c| lower(c) || matches!(c, '.' | '_' | '-'))?;
    let rule = "have single separators, save `__` and runs of `-`";
    separators(text, &['.', '_', '-'], "a-z or 0-9", rule, |run| run == "__" || !run.contains(['.', '_']))
}

/// Every character is one that a tag may have behind its first.
pub(crate) fn of_a_tag(text: &str) -> Result<(), Broken> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    characters(text, "a-z, A-Z, 0-9, `_`, `.` and `-`", allowed)
}

/// 1–64 characters, letters and digits in groups joined by single separators.
pub(crate) fn groups(text: &str, between: &[char], allowed: &'static str) -> Result<(), Broken> {
    length(text, 64)?;
    characters(text, allowed, |c| c.is_ascii_alphanumeric() || between.contains(&c))?;
    separators(text, between, "a letter or digit", "have no two separators side by side", |_| false)
}

fn lower(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9')
}

/// There is a character, and there are no more than `max`.
pub(crate) fn length(text: &str, max: usize) -> Result<(), Broken> {
    if text.is_empty() {
        return Err(Broken::new("not be empty", 0));
    }
    match text.char_indices().nth(max) {
        Some((at, _)) => Err(Broken::new(format!("have at most {max} characters"), at)),
        None => Ok(()),
    }
}

/// Every character is `allowed`.
pub(crate) fn characters(text: &str, what: &str, allowed: impl Fn(char) -> bool) -> Result<(), Broken> {
    match text.find(|c| !allowed(c)) {
        Some(at) => Err(Broken::new(format!("hold only {what}"), at)),
        None => Ok(()),
    }
}

/// No separator is first or last, and of those between only the runs that `is_run` takes are longer than one. The text
/// is ASCII.
fn separators(
    text: &str,
    between: &[char],
    ends: &str,
    rule: &str,
    is_run: impl Fn(&str) -> bool,
) -> Result<(), Broken> {
    if text.starts_with(between) {
        return Err(Broken::new(format!("start with {ends}"), 0));
    }
    if text.ends_with(between) {
        return Err(Broken::new(format!("end with {ends}"), text.len() - 1));
    }
    let mut at = 0;
    for run in text.split(|c| !between.contains(&c)) {
        if run.len() > 1 && !is_run(run) {
            return Err(Broken::new(rule, at + 1));
        }
        at += run.len() + 1;
    }
    Ok(())
}
