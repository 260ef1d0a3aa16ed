//! `[pypi]`: the wheels that `fetch` gets, from which index, and who resolves what they require.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    str::FromStr,
};

use glob::Pattern;
use image_name::Digest;
use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;
use wheel_layer::Target;

use super::{
    distribution::{Distribution, Requirement},
    document::{Document, Section, as_text},
    is_default, locked,
    versions::{Python, Versions},
};

/// What `fetch` gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pypi {
    /// Requirements, or what `pypi.locked` pins. Default: `mindspore-ascend=={mindspore}`.
    pub requirements: Vec<Requirement>,
    /// Constraints on whatever these need. Default: `numpy<1.24` and `protobuf<3.21`, since pip would else take majors
    /// that are years younger than MindSpore 1.8.
    pub constraints: Vec<Requirement>,
    /// Where these requirements are from, if another tool resolved them.
    #[serde(skip)]
    pub locked: Option<String>,
    /// How they become wheels.
    #[serde(skip_serializing_if = "is_default")]
    pub resolution: Resolution,
}

/// How requirements become wheels. The default is what pip does by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resolution {
    /// What finds the versions that fit together. Default: pip.
    pub resolver: Resolver,
    /// Indexes besides those that pip is configured for.
    pub index: Vec<Index>,
    /// Requirements that take the place of what wheels say of the same distribution.
    #[serde(rename = "override")]
    pub overrides: Vec<Requirement>,
    /// Distributions that do not go into the image, whoever requires them.
    pub exclude: Vec<NamePattern>,
    /// What a wheel of each distribution may have for content, where `pypi.locked` says it.
    pub hashes: BTreeMap<Distribution, BTreeSet<Digest>>,
}

impl Resolution {
    /// What tells it from another one; none where it is pip's own way.
    pub fn digest(&self) -> Option<Digest> {
        (*self != Self::default()).then(|| Digest::of(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// Whether a distribution (normalised) is left out.
    pub fn excludes(&self, name: &str) -> bool {
        self.exclude.iter().any(|pattern| pattern.matches(name))
    }

    /// The index that alone has this distribution (normalised).
    pub fn only_index(&self, name: &str) -> Option<&str> {
        let has = |index: &&Index| index.only.iter().any(|only| only.as_str() == name);
        self.index.iter().find(has).map(|index| index.url.as_str())
    }

    /// The index that takes the place of those that pip is configured for.
    pub fn default_index(&self) -> Option<&str> {
        self.index.iter().find(|index| index.only.is_empty()).map(|index| index.url.as_str())
    }
}

/// What finds the versions that fit together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolver {
    /// pip itself, as it downloads.
    #[default]
    Pip,
    /// `uv pip compile`, before pip downloads.
    Uv,
}

/// An index as PyPI is one (PEP 503).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its address, without credentials.
    pub url: String,
    /// The distributions that come from there, and from nowhere else. Default: all that no other index has alone.
    pub only: BTreeSet<Distribution>,
}

/// The name of a distribution, in which `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether a distribution (normalised) is meant.
    pub fn matches(&self, name: &str) -> bool {
        Pattern::new(&self.0).is_ok_and(|pattern| pattern.matches(name))
    }

    /// The name, if it is that of a single distribution.
    pub fn name(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&self.0)
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let as_name = text.replace('*', "x");
        as_name
            .parse::<Distribution>()
            .map_err(|_| format!("`{text}` is not a distribution name, with or without `*`"))?;
        Pattern::new(text).map_err(|error| format!("`{text}`: {error}"))?;
        Ok(Self(wheel_layer::normalize(text)))
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(NamePattern);

impl Pypi {
    /// What does not allow this version of a distribution (normalised) on this target, and under which key. An override
    /// is all that counts for its distribution.
    pub fn refusing<'a>(
        &'a self,
        name: &'a str,
        version: &'a str,
        target: &'a Target,
    ) -> impl Iterator<Item = (&'static str, &'a Requirement)> {
        let overrides = &self.resolution.overrides;
        let is_overridden = overrides.iter().any(|one| one.name().as_str() == name && one.on(target).is_some());
        let all = match is_overridden {
            true => vec![("override", overrides)],
            false => vec![("requirements", &self.requirements), ("constraints", &self.constraints)],
        };
        let all = all.into_iter().flat_map(|(key, list)| list.iter().map(move |one| (key, one)));
        let of_it = all.filter(move |(_, one)| one.name().as_str() == name);
        of_it.filter(move |(_, one)| one.on(target).is_some_and(|one| !one.allows(version)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    requirements: Vec<Spanned<String>>,
    constraints: Vec<Spanned<String>>,
    resolver: Resolver,
    index: Vec<Section<WrittenIndex>>,
    #[serde(rename = "override")]
    overrides: Vec<Spanned<String>>,
    exclude: Vec<Spanned<String>>,
    locked: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenIndex {
    url: Spanned<String>,
    #[serde(default)]
    only: Vec<Spanned<String>>,
}

impl Written {
    pub fn finish(self, versions: &Versions, python: &Python, document: &mut Document) -> Pypi {
        let target = locked::target(python);
        let overrides = list(self.overrides, document, |text| versions.fill(text)?.parse::<Requirement>());
        let exclude = list(self.exclude, document, |text| text.parse::<NamePattern>());
        let indexes = indexes(self.index, document);
        let (requirements, constraints, hashes) = if let Some(locked) = &self.locked {
            for (key, list) in [("requirements", &self.requirements), ("constraints", &self.constraints)] {
                if document.is_given(&["pypi", key]) && !list.is_empty() {
                    let hint = format!("remove `pypi.{key}` or `pypi.locked`");
                    document.fault_with(locked.span(), format!("conflicts with `pypi.{key}`"), Some(hint));
                }
            }
            let pinned = pinned(locked, &target, document);
            let requirements = pinned.iter().map(|one| (one.requirement.clone(), locked.span())).collect();
            let hashes = pinned.into_iter().map(|one| (one.requirement.name().clone(), one.hashes)).collect();
            (requirements, Vec::new(), hashes)
        } else {
            let requirements = list(self.requirements, document, |text| versions.fill(text)?.parse::<Requirement>());
            let constraints = list(self.constraints, document, |text| versions.fill(text)?.parse::<Requirement>());
            let direct: BTreeSet<&Distribution> =
                requirements.iter().filter(|(one, _)| one.on(&target).is_some()).map(|(one, _)| one.name()).collect();
            check(self.resolver, &direct, &indexes, &overrides, &exclude, document);
            (requirements, constraints, BTreeMap::new())
        };
        let index = indexes
            .into_iter()
            .map(|(url, only)| Index { url: url.into_inner(), only: only.into_iter().map(|(name, _)| name).collect() });
        Pypi {
            requirements: values(requirements),
            constraints: values(constraints),
            locked: self.locked.map(Spanned::into_inner),
            resolution: Resolution {
                resolver: self.resolver,
                index: index.collect(),
                overrides: values(overrides),
                exclude: values(exclude),
                hashes,
            },
        }
    }
}

/// A value of a list, and where it is in the text.
type Placed<T> = (T, std::ops::Range<usize>);

fn values<T>(placed: Vec<Placed<T>>) -> Vec<T> {
    placed.into_iter().map(|(value, _)| value).collect()
}

fn list<T>(
    texts: Vec<Spanned<String>>,
    document: &mut Document,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<Placed<T>> {
    let mut values = Vec::new();
    for text in texts {
        match read(text.get_ref()) {
            Ok(value) => values.push((value, text.span())),
            Err(message) if document.is_of_stack(text.span().start) => {
                let hint = "set `pypi.requirements`, or name another `stack`".to_owned();
                document.fault_with(text.span(), message, Some(hint));
            }
            Err(message) => document.fault(text.span(), message),
        }
    }
    values
}

type PlacedIndex = (Spanned<String>, Vec<Placed<Distribution>>);

fn indexes(written: Vec<Section<WrittenIndex>>, document: &mut Document) -> Vec<PlacedIndex> {
    let mut seen: BTreeSet<Option<Distribution>> = BTreeSet::new();
    let mut indexes = Vec::new();
    for Section(WrittenIndex { url, only }) in written {
        let of_all = only.is_empty();
        match address(url.get_ref()) {
            Ok(()) if of_all && !seen.insert(None) => {
                document.fault(url.span(), "only one index may leave out `only`");
            }
            Ok(()) => {}
            Err((message, hint)) => document.fault_with(url.span(), message, hint),
        }
        let only = list(only, document, |text| text.parse::<Distribution>());
        for (name, span) in &only {
            if !seen.insert(Some(name.clone())) {
                document.fault(span.clone(), format!("`{name}` can come from one index only"));
            }
        }
        indexes.push((url, only));
    }
    indexes
}

fn address(url: &str) -> Result<(), (String, Option<String>)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if authority.is_empty() || url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(("must be the address of an index, as `https://HOST/simple`".to_owned(), None));
    }
    // A password may hold a slash, and a query a token.
    match url.contains(['@', '?']) {
        true => Err((
            "must have no user, password or query in it".to_owned(),
            Some("write user and password into `~/.netrc`, which both pip and uv read".to_owned()),
        )),
        false => Ok(()),
    }
}

/// Of a file that another tool wrote, what is for this target.
fn pinned(file: &Spanned<String>, target: &Target, document: &mut Document) -> Vec<locked::Pinned> {
    let is_draft = document.is_draft();
    let path = document.folder_at(file.span().start).join(Path::new(file.get_ref()));
    locked::read(&path, target).unwrap_or_else(|problems| {
        // It may be for the Python of the base, which is not known yet.
        for (message, hint) in problems.into_iter().filter(|_| !is_draft) {
            document.fault_with(file.span(), format!("`{}`: {message}", file.get_ref()), hint);
        }
        Vec::new()
    })
}

/// What the resolver can't do.
fn check(
    resolver: Resolver,
    direct: &BTreeSet<&Distribution>,
    indexes: &[PlacedIndex],
    overrides: &[Placed<Requirement>],
    exclude: &[Placed<NamePattern>],
    document: &mut Document,
) {
    let only: Vec<&Placed<Distribution>> = indexes.iter().flat_map(|(_, only)| only).collect();
    if resolver == Resolver::Pip {
        let spans = [
            ("take a package from one index alone", only.first().map(|(_, span)| span)),
            ("override what a package requires", overrides.first().map(|(_, span)| span)),
            ("leave out what a package requires", exclude.first().map(|(_, span)| span)),
        ];
        for (what, span) in spans.into_iter().filter_map(|(what, span)| Some((what, span?))) {
            let hint = "set `pypi.resolver` to \"uv\", which `pip install uv` installs".to_owned();
            document.fault_with(span.clone(), format!("pip can't {what}"), Some(hint));
        }
        return;
    }
    // uv binds direct requirements to an index. What others require would come from the default one.
    for (name, span) in only.iter().filter(|(name, _)| !direct.contains(name)) {
        let hint = format!("add \"{name}\" to `pypi.requirements`, or remove it here");
        document.fault_with(span.clone(), format!("`{name}` is not in `pypi.requirements`"), Some(hint));
    }
    for (one, span) in overrides.iter().filter(|(one, _)| only.iter().any(|(name, _)| name == one.name())) {
        let message = format!("uv ignores `[[pypi.index]]` for `{}`, which is overridden", one.name());
        document.fault_with(span.clone(), message, Some("put the version into `pypi.requirements`".to_owned()));
    }
    for (pattern, span) in exclude {
        for name in direct.iter().filter(|name| pattern.matches(name.as_str())) {
            document.fault(span.clone(), format!("`{name}` is in `pypi.requirements` too"));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::{
        recipe::{Overrides, Recipe},
        terminal::report,
    };

    fn recipe(text: &str) -> anyhow::Result<Recipe> {
        Recipe::parse(text, "image.toml", Path::new("/"), Overrides::default())
    }

    const INDEXES: &str =
        "[pypi]\nresolver = 'uv'\nrequirements = ['torch', 'b']\nexclude = ['NVIDIA_*']\noverride = ['numpy==2']\n
        constraints = ['numpy<2']\n
        [[pypi.index]]\nurl = 'https://a/simple'\nonly = ['Torch']\n[[pypi.index]]\nurl = 'https://b/simple'";

    #[test]
    fn packages_are_told_to_indexes_by_name() {
        let pypi = recipe(INDEXES).unwrap().pypi;
        let of = &pypi.resolution;
        assert_eq!((of.only_index("torch"), of.only_index("b")), (Some("https://a/simple"), None));
        assert_eq!(of.default_index(), Some("https://b/simple"));
        assert_eq!(["nvidia-nccl-cu13", "nvidia", "torch"].map(|name| of.excludes(name)), [true, false, false]);
        // An override wins over a constraint, here and in uv.
        let target = Target::aarch64((3, 9), (2, 28));
        assert_eq!(pypi.refusing("numpy", "2", &target).count(), 0);
        assert_eq!(pypi.refusing("numpy", "1", &target).next().map(|(key, _)| key), Some("override"));
        let text = serde_json::to_string(&of).unwrap();
        assert_eq!(serde_json::from_str::<Resolution>(&text).unwrap(), *of);
    }

    #[test]
    fn what_no_resolver_does_is_refused() {
        let mut said = String::new();
        for text in [
            INDEXES.replace("'uv'", "'pip'"),
            INDEXES.replace("'torch', 'b'", "'torch; python_version > \"3.9\"'"),
            INDEXES.replace("numpy==2", "torch==2").replace("NVIDIA_*", "b*"),
            INDEXES.replace("['Torch']", "[]").replace("NVIDIA_*", "nvidia/*"),
            INDEXES.replace("https://b/", "ftp://b/").replace("https://a/", "https://me:word@a/"),
            format!("{INDEXES}\nonly = ['torch', 'b']"),
            "pypi.resolver = 'poetry'".to_owned(),
            INDEXES.replace("https://a/", "https://me:pass/word@a/"),
            INDEXES.replace("https://a/simple", "https://a/simple?token=word"),
            "versions.mindspore = false".to_owned(),
            "pypi.requirements = ['a==1', 'b @ https://me:word@a/b.whl']".to_owned(),
        ] {
            said += &format!("{}\n\n", report::render(&recipe(&text).unwrap_err()));
        }
        assert!(!said.contains("word@") && !said.contains("=word"), "a password was shown");
        expect_file!["tests/pypi.txt"].assert_eq(&said);
    }
}
