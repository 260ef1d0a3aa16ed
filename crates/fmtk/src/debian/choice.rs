//! Which packages are needed: those that are wanted and all that they depend on, less what a base has.
//!
//! Nothing of the base is replaced: a package that needs a newer one there is refused, with who needs what. Of several
//! versions in the archive the newest that fits the base is taken; of alternatives the first that is there already,
//! else the first that can be. What is only recommended is left out.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use anyhow::Context;
use debian_package::{Alternative, Relation, Stanza, compare, provided, relations, stanzas};

use oci_image::Digest;

use super::{Archive, Package, Release};
use crate::terminal::{hints::is_typo, report::Problems};

/// Packages that have to be added to a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// By name.
    pub packages: Vec<Package>,
    /// Those of the wanted that the base has, with their versions.
    pub present: Vec<(String, String)>,
}

/// Packages by name, and which of them provide something under another name.
struct Set<'a> {
    by_name: BTreeMap<&'a str, Vec<Stanza<'a>>>,
    providers: BTreeMap<&'a str, Vec<(Stanza<'a>, Option<&'a str>)>>,
}

impl<'a> Set<'a> {
    fn new(all: impl Iterator<Item = Stanza<'a>>) -> Self {
        let mut set = Self { by_name: BTreeMap::new(), providers: BTreeMap::new() };
        for stanza in all {
            set.add(stanza);
        }
        // The newest first.
        for same in set.by_name.values_mut() {
            same.sort_by(|one, other| compare(version(*other), version(*one)));
            same.dedup_by(|one, other| compare(version(*one), version(*other)) == Ordering::Equal);
        }
        set
    }

    fn add(&mut self, stanza: Stanza<'a>) {
        self.by_name.entry(name(stanza)).or_default().push(stanza);
        for (provided, version) in provided(stanza.field("Provides").unwrap_or_default()) {
            self.providers.entry(provided).or_default().push((stanza, version));
        }
    }

    fn named(&self, name: &str) -> &[Stanza<'a>] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    fn providing(&self, name: &str) -> impl Iterator<Item = &(Stanza<'a>, Option<&'a str>)> {
        self.providers.get(name).into_iter().flatten()
    }

    /// Whether something here is what is asked for.
    fn meets(&self, wanted: &Alternative<'_>) -> bool {
        self.named(wanted.name).iter().any(|one| wanted.allows(Some(version(*one))))
            || self.providing(wanted.name).any(|(_, version)| wanted.allows(*version))
    }
}

fn name(stanza: Stanza<'_>) -> &str {
    stanza.field("Package").unwrap_or_default()
}

fn version(stanza: Stanza<'_>) -> &str {
    stanza.field("Version").unwrap_or_default()
}

fn needs(stanza: Stanza<'_>) -> impl Iterator<Item = Relation<'_>> {
    ["Pre-Depends", "Depends"].into_iter().flat_map(move |field| relations(stanza.field(field).unwrap_or_default()))
}

/// What can't be there beside it.
fn refuses(stanza: Stanza<'_>) -> impl Iterator<Item = Alternative<'_>> {
    let all = ["Conflicts", "Breaks"].into_iter();
    all.flat_map(move |field| relations(stanza.field(field).unwrap_or_default())).flatten()
}

/// Whether the archive's indexes and dpkg's list speak of the same machine: what is for another one is of no use.
fn is_ours(stanza: &Stanza<'_>) -> bool {
    matches!(stanza.field("Architecture"), Some("arm64" | "all"))
}

/// Whether dpkg's list says that the package is there, in whatever state its scripts are.
fn is_installed(stanza: &Stanza<'_>) -> bool {
    let state = stanza.field("Status").and_then(|status| status.split(' ').nth(2));
    matches!(state, Some("installed" | "triggers-pending" | "triggers-awaited"))
}

/// Chooses what of the archive has to be added to a base with this list of installed packages (`/var/lib/dpkg/status`),
/// so that it has all of `wanted`. The files
/// in `pinned` come before newer ones.
pub fn choose(
    archive: &Archive,
    status: &str,
    wanted: &[&str],
    pinned: &BTreeSet<Digest>,
    release: &Release,
) -> anyhow::Result<Choice> {
    let mut of_archive = Set::new(archive.0.iter().flat_map(|text| stanzas(text)).filter(is_ours));
    if !pinned.is_empty() {
        let digest =
            |stanza: &Stanza<'_>| format!("sha256:{}", stanza.field("SHA256").unwrap_or_default()).parse().ok();
        let is_other = |stanza: &Stanza<'_>| digest(stanza).is_none_or(|digest: Digest| !pinned.contains(&digest));
        of_archive.by_name.values_mut().for_each(|same| same.sort_by_key(is_other));
    }
    let mut choosing = Choosing {
        archive: of_archive,
        base: Set::new(stanzas(status).filter(is_ours).filter(is_installed)),
        chosen: Set::new(std::iter::empty()),
        wanted_by: BTreeMap::new(),
        waiting: VecDeque::new(),
        problems: Problems::default(),
        release,
    };
    let mut present = Vec::new();
    for wanted in wanted {
        match choosing.base.named(wanted).first() {
            Some(there) => present.push(((*wanted).to_owned(), version(*there).to_owned())),
            None => choosing.want(wanted),
        }
    }
    while let Some(stanza) = choosing.waiting.pop_front() {
        needs(stanza).for_each(|relation| choosing.meet(stanza, &relation));
    }
    choosing.agree();
    let Choosing { chosen, problems, .. } = choosing;
    problems.into_result()?;
    let packages = chosen.by_name.values().flatten().map(|stanza| package(*stanza));
    Ok(Choice { packages: packages.collect::<anyhow::Result<_>>()?, present })
}

struct Choosing<'a> {
    archive: Set<'a>,
    base: Set<'a>,
    chosen: Set<'a>,
    /// Which of the packages that the user names brings each of the chosen, by name.
    wanted_by: BTreeMap<&'a str, &'a str>,
    /// Those of the chosen whose needs have not been met.
    waiting: VecDeque<Stanza<'a>>,
    problems: Problems,
    release: &'a Release,
}

impl<'a> Choosing<'a> {
    /// Chooses a package that the user names.
    fn want(&mut self, wanted: &str) {
        if !self.chosen.named(wanted).is_empty() {
            return;
        }
        let all: Vec<Stanza<'a>> = self.archive.named(wanted).to_vec();
        if !all.is_empty() {
            return match self.fitting(&all) {
                Ok(stanza) => self.take(stanza, stanza),
                Err(why) => self.problems.push(why, Some(self.too_old())),
            };
        }
        let providers: BTreeSet<&str> = self.archive.providing(wanted).map(|(stanza, _)| name(*stanza)).collect();
        let hint = match providers.is_empty() {
            false => format!("name one that provides it: {}", quoted(providers)),
            true => match self.like(wanted) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{} has a search for names and for what is in packages", self.release.vendor.search()),
            },
        };
        self.problems.push(format_args!("{} has no package `{wanted}` for arm64", self.release.name()), Some(hint));
    }

    /// The name that was most likely meant: libraries have a number at their end.
    fn like(&self, wanted: &str) -> Option<&'a str> {
        let names = || self.archive.by_name.keys().copied();
        let has_number = |known: &&str| {
            known.strip_prefix(wanted).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '-'))
        };
        names().find(has_number).or_else(|| names().find(|known| is_typo(known, wanted)))
    }

    /// Has one of these there for the package that needs it.
    fn meet(&mut self, by: Stanza<'a>, relation: &Relation<'_>) {
        if relation.iter().any(|wanted| self.base.meets(wanted) || self.chosen.meets(wanted)) {
            return;
        }
        let mut why = None;
        for wanted in relation {
            let all = self.candidates(wanted);
            match self.fitting(&all) {
                Ok(stanza) => return self.take(stanza, by),
                Err(reason) => {
                    why.get_or_insert(reason);
                }
            }
        }
        // What several provide is the user's to choose.
        let providers: BTreeSet<&str> = relation
            .iter()
            .flat_map(|wanted| self.archive.providing(wanted.name).filter(|(_, version)| wanted.allows(*version)))
            .map(|(stanza, _)| name(*stanza))
            .collect();
        let provider = match providers.first().filter(|_| providers.len() == 1) {
            Some(only) => self.fitting(self.archive.named(only)).ok(),
            None => None,
        };
        if let Some(stanza) = provider {
            return self.take(stanza, by);
        }
        let needs: Vec<String> = relation.iter().map(ToString::to_string).collect();
        let (name, needs) = (name(by), needs.join(" | "));
        match providers.len() {
            0 | 1 => {
                let why = why.filter(|why| !why.is_empty()).map_or_else(String::new, |why| format!(": {why}"));
                self.problems.push(format_args!("`{name}` needs `{needs}`{why}"), Some(self.too_old()));
            }
            _ => self.problems.push(
                format_args!("`{name}` needs `{needs}`, which several packages provide: {}", quoted(providers)),
                Some("add one of them to the packages that are wanted".to_owned()),
            ),
        }
    }

    /// The packages of the archive that are what is asked for, by name.
    fn candidates(&self, wanted: &Alternative<'_>) -> Vec<Stanza<'a>> {
        self.archive.named(wanted.name).iter().copied().filter(|one| wanted.allows(Some(version(*one)))).collect()
    }

    /// The first of these that can be added to the base as it is, or why the first of all can't be.
    fn fitting(&self, all: &[Stanza<'a>]) -> Result<Stanza<'a>, String> {
        let mut why = None;
        for stanza in all {
            match self.obstacle(*stanza) {
                None => return Ok(*stanza),
                Some(obstacle) => {
                    why.get_or_insert(obstacle);
                }
            }
        }
        Err(why.unwrap_or_default())
    }

    /// What keeps a package from being added to the base.
    fn obstacle(&self, stanza: Stanza<'a>) -> Option<String> {
        let (name, number) = (name(stanza), version(stanza));
        if let Some(there) = self.base.named(name).first() {
            return Some(format!("the base has `{name}` {}, and {number} would replace it", version(*there)));
        }
        if let Some(other) = self.chosen.named(name).first() {
            return Some(format!("`{name}` {} is needed elsewhere", version(*other)));
        }
        for relation in needs(stanza) {
            let is_met = |wanted: &Alternative<'_>| self.base.meets(wanted) || self.chosen.meets(wanted);
            let can_be = |wanted: &Alternative<'_>| {
                let is_there = !self.base.named(wanted.name).is_empty();
                !is_there
                    && (!self.candidates(wanted).is_empty() || self.archive.providing(wanted.name).next().is_some())
            };
            if relation.iter().any(|wanted| is_met(wanted) || can_be(wanted)) {
                continue;
            }
            let needs: Vec<String> = relation.iter().map(ToString::to_string).collect();
            let there = relation.iter().find_map(|wanted| self.base.named(wanted.name).first());
            let has = match there {
                Some(there) => format!("and the base has {}", version(*there)),
                None => format!("which {} does not have", self.release.name()),
            };
            return Some(format!("`{name}` {number} needs `{}`, {has}", needs.join(" | ")));
        }
        None
    }

    /// What to do where the archive has moved on since the base was made.
    fn too_old(&self) -> String {
        format!(
            "use a newer base; or name {}'s snapshot archive of the day when the base was made in `system.mirror`",
            self.release.vendor.name()
        )
    }

    /// Chooses the package, which is needed by another of the chosen or by itself.
    fn take(&mut self, stanza: Stanza<'a>, by: Stanza<'a>) {
        let wanted_by = self.wanted_by.get(name(by)).copied().unwrap_or(name(by));
        self.wanted_by.insert(name(stanza), wanted_by);
        self.chosen.add(stanza);
        self.waiting.push_back(stanza);
    }

    /// Notes packages that can't be there together.
    fn agree(&mut self) {
        let chosen: Vec<Stanza<'a>> = self.chosen.by_name.values().flatten().copied().collect();
        for (at, one) in chosen.iter().enumerate() {
            for other in self.base.by_name.values().flatten().chain(&chosen[..at]) {
                if is_refused(*one, *other) || is_refused(*other, *one) {
                    let of_base = if chosen[..at].contains(other) { "" } else { " of the base" };
                    let [(one, number), (other, of_other)] = [one, other].map(|it| (name(*it), version(*it)));
                    let brings = |name| match self.wanted_by.get(name) {
                        Some(wanted) if *wanted != name => Some(format!("`{wanted}`, which brings `{name}`,")),
                        wanted => wanted.map(|wanted| format!("`{wanted}`")),
                    };
                    let either: Vec<String> = [one, other].into_iter().filter_map(brings).collect();
                    let hint = format!("leave out {}, or use another base", either.join(" or ").trim_end_matches(','));
                    self.problems.push(
                        format_args!("`{one}` {number} conflicts with `{other}` {of_other}{of_base}"),
                        Some(hint),
                    );
                }
            }
        }
    }
}

/// Whether the first package can't be there beside the second, which is another one.
fn is_refused(one: Stanza<'_>, other: Stanza<'_>) -> bool {
    let provides = || provided(other.field("Provides").unwrap_or_default());
    refuses(one).any(|refused| {
        refused.name == name(other) && refused.allows(Some(version(other)))
            || provides().any(|(name, version)| name == refused.name && refused.allows(version))
    })
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn package(stanza: Stanza<'_>) -> anyhow::Result<Package> {
    let name = name(stanza);
    let field = |key: &str| stanza.field(key).with_context(|| format!("`{name}` has no `{key}` in the index"));
    Ok(Package {
        name: name.to_owned(),
        version: field("Version")?.to_owned(),
        path: field("Filename")?.to_owned(),
        size: field("Size")?.parse().with_context(|| format!("`{name}` has a size that is not a number"))?,
        digest: format!("sha256:{}", field("SHA256")?).parse().with_context(|| format!("bad SHA256 of `{name}`"))?,
    })
}

#[cfg(test)]
mod tests;
