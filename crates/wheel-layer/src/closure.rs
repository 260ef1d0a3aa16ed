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
    /// What there is instead.
    pub found: Found,
}

/// What there is where a requirement is not met.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// No distribution of that name.
    Nothing,
    /// This version of it.
    Version(String),
    /// The requirement can't be understood, for this reason.
    Malformed(String),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { by, requirement, found } = self;
        match found {
            Found::Nothing => write!(out, "`{by}` requires `{requirement}`, which is not there"),
            Found::Version(version) => write!(out, "`{by}` requires `{requirement}`, but {version} is there"),
            Found::Malformed(reason) => write!(out, "`{by}` requires `{requirement}`, which means nothing: {reason}"),
        }
    }
}

/// What these wheels require and neither they nor the base's distributions (name, version) provide. Where the base's
/// are not known (`None`), what it may well have is listed too. Extras count where one of the wheels asks for them.
pub fn unsatisfied(wheels: &[WheelFacts], base: Option<&[(String, String)]>, target: &Target) -> Vec<Missing> {
    let by_name: BTreeMap<String, &WheelFacts> = wheels.iter().map(|facts| (facts.key(), facts)).collect();
    let mut versions: BTreeMap<String, &str> =
        base.unwrap_or_default().iter().map(|(name, version)| (normalize(name), version.as_str())).collect();
    versions.extend(by_name.iter().map(|(name, facts)| (name.clone(), facts.version.as_str())));

    let mut missing = BTreeSet::new();
    let mut todo: Vec<(String, String)> = by_name.keys().map(|name| (name.clone(), String::new())).collect();
    let mut seen: BTreeSet<(String, String)> = todo.iter().cloned().collect();
    while let Some((name, extra)) = todo.pop() {
        let Some(facts) = by_name.get(&name) else {
            continue;
        };
        for text in &facts.requires_dist {
            let mut report = |found| {
                missing.insert(Missing { by: facts.name.clone(), requirement: text.clone(), found });
            };
            let requirement = match Requirement::parse(text) {
                Ok(requirement) => requirement,
                Err(reason) => {
                    report(Found::Malformed(reason));
                    continue;
                }
            };
            match requirement.applies(target, &extra) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(reason) => {
                    report(Found::Malformed(reason));
                    continue;
                }
            }
            match versions.get(&requirement.name) {
                None => report(Found::Nothing),
                Some(version) if !requirement.allows(version) => report(Found::Version((*version).to_owned())),
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
