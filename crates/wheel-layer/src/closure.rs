//! Whether what wheels require is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Target, WheelFacts, filename::normalize, requirement::Requirement};

/// A requirement that is not met.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Name of the distribution that has it.
    pub by: String,
    /// The requirement as METADATA writes it.
    pub requirement: String,
    /// Whether it can't be understood.
    pub malformed: bool,
    /// Whether it is not that, but what overrides it, which is not met.
    pub overridden: bool,
    /// What there is instead, the end of the sentence.
    reason: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { by, requirement, reason, .. } = self;
        write!(out, "`{by}` requires `{requirement}`, {reason}")
    }
}

/// What a user knows better than the metadata of wheels does.
#[derive(Clone, Copy)]
pub struct Corrections<'a> {
    /// Each takes the place of all that wheels require of its distribution.
    pub overrides: &'a [Requirement],
    /// Whether a distribution (normalised) is not wanted, though wheels require it.
    pub is_excluded: &'a dyn Fn(&str) -> bool,
}

impl Corrections<'_> {
    /// Nothing is known better.
    pub const NONE: Self = Self { overrides: &[], is_excluded: &|_| false };
}

/// What these wheels require and neither they nor the base's distributions (name, version) provide. Where the base's
/// are not known (`None`), what it may well have is listed too. Extras count where one of the wheels asks for them, or the
/// user, who is to have `asked` for these (distribution and extra). `corrections` are laid over what wheels require.
pub fn unsatisfied<'a>(
    wheels: impl Iterator<Item = &'a WheelFacts>,
    base: Option<&[(String, String)]>,
    asked: &[(String, String)],
    corrections: Corrections<'_>,
    target: &Target,
) -> Vec<Missing> {
    let by_name: BTreeMap<String, &WheelFacts> = wheels.map(|facts| (facts.key(), facts)).collect();
    let mut versions: BTreeMap<String, &str> =
        base.unwrap_or_default().iter().map(|(name, version)| (normalize(name), version.as_str())).collect();
    versions.extend(by_name.iter().map(|(name, facts)| (name.clone(), facts.version.as_str())));

    let mut missing = BTreeSet::new();
    let plain = by_name.keys().map(|name| (name.clone(), String::new()));
    let mut todo: Vec<(String, String)> = plain.chain(asked.iter().cloned()).collect();
    let mut seen: BTreeSet<(String, String)> = todo.iter().cloned().collect();
    while let Some((name, extra)) = todo.pop() {
        let Some(facts) = by_name.get(&name) else {
            continue;
        };
        for text in &facts.requires_dist {
            let mut report = |malformed, overridden, reason| {
                let (by, requirement) = (facts.name.clone(), text.clone());
                missing.insert(Missing { by, requirement, malformed, overridden, reason });
            };
            let requirement = match Requirement::parse(text, target, &extra) {
                Ok(requirement) if !requirement.applies => continue,
                Ok(requirement) => requirement,
                Err(reason) => {
                    report(true, false, format!("which means nothing: {reason}"));
                    continue;
                }
            };
            if (corrections.is_excluded)(&requirement.name) {
                continue;
            }
            let corrected = corrections.overrides.iter().find(|one| one.name == requirement.name);
            let (overridden, though) =
                (corrected.is_some(), if corrected.is_some() { "which is overridden, " } else { "" });
            let requirement = corrected.cloned().unwrap_or(requirement);
            match versions.get(&requirement.name) {
                None => report(false, overridden, "which is not there".to_owned()),
                Some(version) if !requirement.allows(version) => {
                    report(false, overridden, format!("{though}but {version} is there"));
                }
                Some(_) => {
                    for wanted in requirement.extras {
                        let next = (requirement.name.clone(), wanted);
                        if seen.insert(next.clone()) {
                            todo.push(next);
                        }
                    }
                }
            }
        }
    }
    missing.into_iter().collect()
}
