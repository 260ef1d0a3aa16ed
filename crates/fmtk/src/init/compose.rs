//! The recipe for a base: the stack that fits it, and the keys that neither the stack nor the base decides.

use std::path::Path;

use image_name::ImageRef;
use oci_image::BaseIndex;
use toml_edit::{Array, Value};

use super::{
    facts::{Cann, Facts},
    fit::{self, Fit},
    text::RecipeText,
};
use crate::{
    plan,
    recipe::{
        CANN, CLAIMS, Draft, Overrides, Recipe, Requirement, device_groups, is_of_table,
        stacks::{MANUAL, Stack},
    },
    resolve::{base::OpenImage, inspection, wheels::chip},
};

/// The user and group that ModelArts needs.
const OWNER: (u64, u64) = (1000, 100);
/// Chip names in the tags of CANN's and ModelArts' images.
const CHIPS: [&str; 8] = ["910", "910b", "a3", "310p", "950", "snt9", "snt9b", "snt3p"];

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The base as the command names it.
    pub base: &'a str,
    /// The same as the recipe is to name it.
    pub reference: &'a ImageRef,
    pub stack: Option<&'a str>,
    /// Folder of the vendor's packages.
    pub pkg: &'a Path,
}

/// A recipe and what is to be said of it.
#[derive(Debug)]
pub struct Composed {
    pub toml: String,
    pub stack: &'static str,
    /// In words, what the base has.
    pub facts: String,
    /// What might have been chosen instead.
    pub notes: Vec<String>,
    /// What could not be determined, and what to do about it.
    pub doubts: Vec<String>,
}

/// A recipe upon this base.
pub fn draft(toml: &str, base: &str, stack: Option<&str>) -> anyhow::Result<Draft> {
    let overrides = Overrides { base: Some(base), stack, ..Overrides::default() };
    Draft::parse(toml, "image.toml", Path::new(""), overrides)
}

/// The recipe for this base.
pub fn compose(asked: Asked<'_>, opened: &OpenImage, index: &BaseIndex) -> anyhow::Result<Composed> {
    let plain = draft("", asked.base, asked.stack)?;
    let completed = plain.completed(&inspection::find(&plain, opened, index))?;
    let has_cann_variables = plan::has_cann_variables(&opened.base);
    let facts = Facts::of(&completed, &opened.base, index, asked.pkg)?;
    let text = RecipeText::default();
    let mut making = Making { asked, index, facts, text, has_cann_variables, notes: Vec::new(), doubts: Vec::new() };
    let (stack, fit) = making.stack(plain.recipe.stack)?;
    let recipe = stack.recipe()?;
    making.base();
    making.versions(&recipe, fit.as_ref());
    making.packages(&recipe);
    making.requirements(&recipe, fit.as_ref());
    making.user();
    making.unknown(&recipe);
    making.of_base(opened)?;
    let Making { text, notes, doubts, facts, .. } = making;
    let toml = text.to_toml(&format!(
        "Recipe for the base `{}`, written by `cargo xtask init`.\n\
         What is not here is as the stack has it; `image.example.toml` explains every key.\n\
         Commented-out keys show what this base provides; uncomment one to pin it.",
        asked.reference
    ))?;
    Ok(Composed { toml, stack: stack.name, facts: facts.words(), notes, doubts })
}

struct Making<'a> {
    asked: Asked<'a>,
    index: &'a BaseIndex,
    facts: Facts,
    text: RecipeText,
    /// Whether the base's config leads to its CANN.
    has_cann_variables: bool,
    notes: Vec<String>,
    doubts: Vec<String>,
}

impl Making<'_> {
    /// The stack that is asked for, else the best that fits; what fits, where that is known.
    fn stack(&mut self, asked: &'static Stack) -> anyhow::Result<(&'static Stack, Option<Fit>)> {
        let mut fits = fit::fitting(&self.facts)?;
        if let Some(name) = self.asked.stack {
            fits.retain(|fit| fit.stack == asked);
            let fit = fits.pop();
            self.text.set("stack", quoted(name), fit.as_ref().map(Fit::words).unwrap_or_default());
            return Ok((asked, fit));
        }
        if fits.is_empty() {
            self.nothing_fits();
            return Ok((MANUAL, None));
        }
        let best = fits.remove(0);
        if best.stack != MANUAL {
            let found = Some(self.facts.words()).filter(|words| !words.is_empty());
            let upon = found.map(|found| format!(", for the base's {found}")).unwrap_or_default();
            self.text.set("stack", quoted(best.stack.name), format!("{}{upon}", best.words()));
        }
        let (mut seen, mut others) = (vec![best.of.clone()], Vec::new());
        for other in fits.into_iter().filter(|other| other.is_own == best.is_own) {
            // With other versions all stacks of a framework say the same.
            if !other.is_own && seen.contains(&other.of) {
                continue;
            }
            seen.push(other.of.clone());
            others.push(format!("`{}` ({})", other.stack.name, other.words()));
        }
        if !others.is_empty() && self.facts.python.is_some() {
            let others = others.join(", ");
            self.notes.push(format!("other stacks fit the base too: {others}; `init --stack` chooses one"));
        }
        Ok((best.stack, Some(best)))
    }

    /// Without a stack the image has what the base has, and what somebody writes here.
    fn nothing_fits(&mut self) {
        let has = |key: &str| self.facts.frameworks.iter().any(|(framework, _)| *framework == key);
        let tag = match (has("mindspore"), has("torch")) {
            (true, _) => None,
            (_, true) => Some("pytorch_{torch}-cann_{cann}-py_{python}-{os}-{arch}-{chip}-{timestamp}"),
            _ => Some("py_{python}-cann_{cann}-{os}-{arch}-{chip}-{timestamp}"),
        };
        if let Some(tag) = tag {
            self.text.set("tag", quoted(tag), "");
            self.text.set("versions.mindspore", "false", "not in the image");
        }
        for (key, version) in &self.facts.frameworks {
            self.text.set(&format!("versions.{key}"), quoted(version), "in the base");
        }
        self.text.set("scripts", "\"keep\"", "none of the vendor's");
        for kind in ["moxing", "tuning-kit"] {
            self.text.set(&format!("packages.{kind}"), "{ required = false }", "");
        }
        let words = self.facts.words();
        self.text.set("pypi.requirements", "[]", "the wheels that the image is to have, as in \"torch==2.7.1\"");
        self.text.set("pypi.constraints", "[]", "");
        self.doubts.push(format!(
            "no stack is known to fit {words}: write the wheels that the image is to have into `pypi.requirements`"
        ));
    }

    fn base(&mut self) {
        self.text.set("base.reference", quoted(self.asked.reference.to_string()), "");
    }

    fn versions(&mut self, recipe: &Recipe, fit: Option<&Fit>) {
        for (key, version) in fit.into_iter().flat_map(|fit| &fit.versions) {
            if recipe.versions.get(key) != Some(version) {
                let in_base = self.facts.frameworks.iter().any(|(framework, _)| framework == key);
                let comment = if in_base { "in the base" } else { "known to fit the base" };
                self.text.set(&format!("versions.{key}"), quoted(version), comment);
            }
        }
        let of_stack = recipe.versions.cann();
        match &self.facts.cann {
            Cann::OfBase(version, others) => {
                let in_config = self.has_cann_variables;
                let comment = match () {
                    () if is_of_table(version) => "in the base",
                    () if in_config => "in the base, and its variables too",
                    () => "in the base; its variables are learned when the image is built",
                };
                if of_stack == Some(version) {
                    self.text.tell("versions.cann", quoted(version), comment);
                } else {
                    self.text.set("versions.cann", quoted(version), comment);
                }
                if !others.is_empty() {
                    let others = others.join("`, `");
                    self.notes.push(format!("the base also has CANN `{others}`; `versions.cann` says which is meant"));
                }
            }
            Cann::ToInstall(version, file) if of_stack != Some(version) => {
                self.text.set("versions.cann", quoted(version), format!("of {file}"));
            }
            Cann::ToInstall(..) => {}
            Cann::Unknown => {
                let value = quoted(of_stack.unwrap_or("none"));
                self.text.tell("versions.cann", value, "write the version of the base's CANN here");
                let stack = of_stack.unwrap_or("none");
                self.doubts.push(format!(
                    "the base has a CANN whose version is not known, and the tag would say `{stack}`: set `versions.cann`"
                ));
            }
            Cann::None => {
                self.text.set(
                    "versions.cann",
                    "\"none\"",
                    "write its version once the toolkit is in the package folder",
                );
                self.doubts.push(format!(
                    "the base has no CANN, so the image will have none; to install it, copy the toolkit for aarch64 to \
                     `{}` and set `versions.cann` to its version",
                    self.asked.pkg.display()
                ));
            }
        }
    }

    /// What the base has need not be in the package folder.
    fn packages(&mut self, recipe: &Recipe) {
        for (kind, spec) in recipe.packages.iter().filter(|(_, spec)| spec.required) {
            let key = format!("packages.{kind}");
            let of_base = match kind.as_str() {
                CANN => {
                    matches!(self.facts.cann, Cann::OfBase(..) | Cann::Unknown).then(|| "the base has it".to_owned())
                }
                _ => {
                    let name = spec.glob.split(['*', '?', '[']).next().unwrap_or_default();
                    let name = wheel_layer::normalize(name.trim_end_matches('-'));
                    self.facts.version_of(&name).map(|version| format!("the base has {version}"))
                }
            };
            if let Some(comment) = of_base.filter(|_| !self.text.is_set(&key)) {
                self.text.set(&key, "{ required = false }", comment);
            }
        }
    }

    /// Wheels that the base has are not installed again, where the framework is among them.
    fn requirements(&mut self, recipe: &Recipe, fit: Option<&Fit>) {
        let Some(fit) = fit else { return };
        if !fit.versions.iter().all(|one| self.facts.frameworks.contains(one)) {
            return;
        }
        let target = recipe.python.target();
        let is_framework = |name: &str| CLAIMS.iter().any(|(_, names)| names.contains(&name));
        let is_there = |one: &&Requirement| {
            let name = one.name().as_str();
            let version = self.facts.version_of(name);
            let allows = |version| one.on(&target).is_none_or(|one| one.allows(version));
            is_framework(name) || version.is_some_and(allows)
        };
        let asked = recipe.pypi.requirements.iter();
        let missing: Array = asked.filter(|one| !is_there(one)).map(ToString::to_string).collect();
        let comment = match missing.is_empty() {
            true => "the base has what the stack asks for; name more here",
            false => "the base has the rest of what the stack asks for",
        };
        self.text.set("pypi.requirements", Value::from(missing).to_string().trim(), comment);
    }

    /// The platform runs jobs under a fixed uid and gid. If the uid is free, `found.rs` adds the user.
    fn user(&mut self) {
        let (uid, gid) = OWNER;
        if let Some(there) = self.index.user("ma-user") {
            if (there.uid, there.gid) != OWNER {
                let comment = format!("`ma-user`'s in the base; ModelArts needs {uid}:{gid}");
                self.text.set("layout.owner", quoted(format!("{}:{}", there.uid, there.gid)), comment);
            }
            return;
        }
        let Some(holder) = self.index.users.iter().find(|user| user.uid == uid) else { return };
        if holder.gid == gid {
            self.text.set("user", quoted(&holder.name), format!("{uid}:{gid} in the base, as ModelArts needs"));
            if self.index.has_dir(&holder.home) {
                self.text.set("workdir", quoted(&holder.home), "its home");
            }
            return;
        }
        let comment =
            format!("replaces the base's `{}` ({uid}:{}); ModelArts needs {uid}:{gid}", holder.name, holder.gid);
        self.text.set("user", format!("{{ create = \"replace\"{} }}", device_groups(self.index)), comment);
    }

    /// Keys that the base does not determine.
    fn unknown(&mut self, recipe: &Recipe) {
        let of_stack = recipe.versions.get("chip").unwrap_or_default();
        let reference = self.asked.reference.to_string();
        // The tag; without one the name itself, but no folder above it.
        let name = reference.split('@').next().and_then(|name| name.rsplit(['/', ':']).next()).unwrap_or_default();
        match name.to_ascii_lowercase().split('-').find(|part| CHIPS.contains(part)) {
            Some(part) if chip(part) != chip(of_stack) => {
                let d = if part.starts_with(|first: char| first.is_ascii_digit()) { "d" } else { "" };
                self.text.set("versions.chip", quoted(format!("{d}{part}")), "by the base's name");
            }
            Some(_) => {}
            None => self.text.tell("versions.chip", quoted(of_stack), "not recorded in a base; check it"),
        }
        if !self.index.os_release.contains_key("ID") {
            let os = recipe.versions.get("os").unwrap_or_default();
            self.text.tell("versions.os", quoted(os), "the base has no os-release: write its system here");
            self.doubts
                .push(format!("the base has no `/etc/os-release`, and the tag would say `{os}`: set `versions.os`"));
        }
        if self.facts.python.is_none() {
            let prefix = quoted(recipe.python.prefix.as_str());
            self.text.tell("python.prefix", prefix, "the base has no Python for aarch64: use one that has");
            self.doubts.push("no Python for aarch64 was found in the base: use a base that has one".to_owned());
        }
        if self.index.glibc.is_none() {
            let glibc = recipe.python.glibc.to_string();
            self.text.tell("python.glibc", quoted(&glibc), "the base has no glibc: wheels are fetched for this one");
            self.doubts.push(format!(
                "no glibc was found in the base, and wheels from PyPI need one; they are fetched for glibc {glibc} unless \
                 `python.glibc` says another"
            ));
        }
    }

    /// The keys that the base completes.
    fn of_base(&mut self, opened: &OpenImage) -> anyhow::Result<()> {
        let own = draft(&self.text.to_toml("")?, self.asked.base, self.asked.stack)?;
        let found = inspection::find(&own, opened, self.index);
        for (key, value) in found.keys() {
            let comment = match key {
                "user" => "added, because the base lacks it",
                _ => "",
            };
            self.text.tell(key, value, comment);
        }
        // The first one tells the keys.
        self.notes.extend(found.notes.into_iter().skip(1));
        Ok(())
    }
}

/// A text in TOML.
fn quoted(text: impl AsRef<str>) -> String {
    Value::from(text.as_ref()).to_string()
}
