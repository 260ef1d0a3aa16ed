//! Packages of the base's distribution: which of their files go where, and what is said of them.

use std::collections::BTreeSet;

use image_name::Digest;
use oci_image::{Attr, MTIME, ParentDirs};
use serde::Serialize;

use super::{Inputs, PlannedLayer, folders};
use crate::{
    debian::{dpkg, facts::Packed, unpack::is_document},
    resolve::{
        packages::Package,
        system::{self, Deb, SystemInput},
    },
    terminal::report::Problems,
};

/// The layer of packages of the base's distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedSystem {
    /// By name.
    pub packages: Vec<PlannedDeb>,
    /// SHA-256 of dpkg's list of the base, which the layer extends.
    pub status: Digest,
    /// That list.
    #[serde(skip)]
    pub installed: Vec<u8>,
    /// The folder of dpkg's database.
    pub database: String,
}

/// A package of that layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedDeb {
    pub name: String,
    pub version: String,
    #[serde(flatten)]
    pub package: Package,
    /// Where its entries go, by their paths in the package.
    #[serde(skip)]
    pub places: Vec<(String, String)>,
}

/// The layer of the recipe's packages, whose new folders come to be `known`.
pub(super) fn system(
    inputs: &Inputs<'_>,
    known: &mut ParentDirs,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Option<PlannedLayer> {
    let SystemInput { debs, chosen_for, installed } = &inputs.system;
    let recipe = inputs.recipe;
    if recipe.system.packages.is_empty() || !inputs.with_wheels {
        return None;
    }
    let base = &recipe.base.reference;
    let Some(index) = inputs.index else {
        let hint = "leave out `--no-inspect`, or `system.packages`".to_owned();
        problems.push(
            format_args!("base `{base}` not inspected, so what it lacks of `system.packages` is not known"),
            Some(hint),
        );
        return None;
    };
    if let Err(error) = system::release(recipe, index) {
        problems.push_error(error);
        return None;
    }
    let installed = installed.as_ref()?;
    let status = Digest::of(&installed.status);
    if *chosen_for != Some(status) {
        problems.push(
            format_args!("the packages of `system.packages` were fetched for another base than `{base}`"),
            Some(format!("run `{}`", inputs.call.fetch)),
        );
        return None;
    }
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut replaced: Vec<String> = Vec::new();
    let mut packages = Vec::new();
    for Deb { package, facts } in debs {
        let mut places = Vec::new();
        for Packed { path, is_folder, is_link, attr } in &facts.entries {
            if path.is_empty() || is_document(path, *is_folder || *is_link) {
                continue;
            }
            let real = folders::real(inputs, &format!("/{path}"));
            if known.contains_key(&real) || index.links.contains_key(&real) {
                // A folder of the base stays as it is, and so does a link to one.
                if !is_folder {
                    problems.push(
                        format_args!(
                            "`/{path}` of the package `{}` would replace a folder of the base `{base}`",
                            facts.name
                        ),
                        Some("leave the package out of `system.packages`".to_owned()),
                    );
                }
                continue;
            }
            if *is_folder {
                let (mode, uid, gid) = *attr;
                known.insert(real.clone(), Attr { mode, uid, gid, mtime: MTIME });
            } else if !taken.insert(real.clone()) {
                problems.push(
                    format_args!("`/{path}` is in several packages of `system.packages`, one of them `{}`", facts.name),
                    Some("leave one of them out".to_owned()),
                );
            } else if index.has_file(&real) {
                replaced.push(format!("`{real}` of `{}`", facts.name));
            }
            places.push((path.clone(), real));
        }
        for (script, commands) in &facts.skipped {
            warnings.push(format!(
                "`{script}` of the package `{}` is not run; it would call `{}`",
                facts.name,
                commands.join("`, `")
            ));
        }
        let (name, version) = (facts.name.clone(), facts.version.clone());
        packages.push(PlannedDeb { name, version, package: package.clone(), places });
    }
    if let Some(first) = replaced.first() {
        let more = if replaced.len() > 1 { format!(" and {} more", replaced.len() - 1) } else { String::new() };
        warnings
            .push(format!("files of `system.packages` replace those of the base that no package has: {first}{more}"));
    }
    let database = index.real_path(dpkg::FOLDER);
    let layer = PlannedSystem { packages, status, installed: installed.status.clone(), database };
    (!layer.packages.is_empty()).then(|| PlannedLayer::System(layer.into()))
}

impl PlannedSystem {
    /// Every path in the layer.
    pub fn paths(&self) -> Vec<String> {
        let places = self.packages.iter().flat_map(|one| one.places.iter().map(|(_, place)| place.clone()));
        places.chain([format!("{}/status", self.database), format!("{}/info/x", self.database)]).collect()
    }

    /// What it holds, for people.
    pub(super) fn content(&self) -> String {
        let names: Vec<String> = self.packages.iter().map(|one| format!("{} {}", one.name, one.version)).collect();
        match names.len() {
            0..=3 => names.join(", "),
            all => format!("{} and {} more packages", names[..2].join(", "), all - 2),
        }
    }
}
