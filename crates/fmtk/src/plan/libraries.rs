//! Whether the libraries are there that modules and commands of wheels are loaded with.
//!
//! Reports only libraries found nowhere: one that lies anywhere in the base or in a wheel may be found by a search path, by
//! `LD_LIBRARY_PATH`, or because something else has loaded it before.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use oci_image::BaseIndex;
use wheel_layer::WheelFacts;

use super::{Inputs, cann::is_in_base};
use crate::{
    debian::Release,
    resolve::{inputs::AUTOLOAD, packages::Wheel},
    terminal::{report::Problems, shell},
};

/// How the names of libraries begin by which a wheel for the NPU is known: MindSpore 1.8 to 2.10 and torch_npu 2.6 to
/// 2.10 need several each.
const WITH_NPU: &[&str] = &[
    // The driver, which the platform mounts.
    "libascend_hal.",
    "libdcmi.",
    "libdrvdsmi_host.",
    // CANN's toolkit and operators.
    "libacl_",
    "libascendcl.",
    "libge_",
    "libgraph.",
    "libhccl",
    "libopapi",
    "libregister.",
    "libruntime.",
    // Its library of transformers, nnal.
    "libatb",
];

/// Which package of Debian and Ubuntu, and which of openEuler and its relatives, has a library. The latter are named as in
/// openEuler's own list of packages, compatibility_level.md of oec-application (20.03).
const PACKAGES: &[(&str, &str, &str)] = &[
    ("libGL.so.1", "libgl1", "libglvnd"),
    ("libICE.so.6", "libice6", "libICE"),
    ("libSM.so.6", "libsm6", "libSM"),
    ("libX11.so.6", "libx11-6", "libX11"),
    ("libXext.so.6", "libxext6", "libXext"),
    ("libXrender.so.1", "libxrender1", "libXrender"),
    ("libatomic.so.1", "libatomic1", "libatomic"),
    ("libbz2.so.1", "libbz2-1.0", "bzip2"),
    ("libcrypto.so.1.1", "libssl1.1", "openssl-libs"),
    ("libcrypto.so.3", "libssl3", "openssl-libs"),
    ("libexpat.so.1", "libexpat1", "expat"),
    ("libffi.so.7", "libffi7", "libffi"),
    ("libffi.so.8", "libffi8", "libffi"),
    ("libgcc_s.so.1", "libgcc-s1", "libgcc"),
    ("libgfortran.so.5", "libgfortran5", "libgfortran"),
    ("libglib-2.0.so.0", "libglib2.0-0", "glib2"),
    ("libgomp.so.1", "libgomp1", "libgomp"),
    ("libgthread-2.0.so.0", "libglib2.0-0", "glib2"),
    ("liblzma.so.5", "liblzma5", "xz-libs"),
    ("libnuma.so.1", "libnuma1", "numactl-libs"),
    ("libopenblas.so.0", "libopenblas0", "openblas"),
    ("libsndfile.so.1", "libsndfile1", "libsndfile"),
    ("libsqlite3.so.0", "libsqlite3-0", "sqlite"),
    ("libssl.so.1.1", "libssl1.1", "openssl-libs"),
    ("libssl.so.3", "libssl3", "openssl-libs"),
    ("libstdc++.so.6", "libstdc++6", "libstdc++"),
    ("libxcb.so.1", "libxcb1", "libxcb"),
    ("libz.so.1", "zlib1g", "zlib"),
];

/// What needs something, by wheel: the first of its files that does.
type Users<'a> = BTreeMap<&'a str, &'a str>;

/// Refuses wheels of which a module or a command can't be loaded. Says nothing of a base that was not inspected or has no
/// glibc, for which the wheels' tags are wrong.
pub(super) fn libraries(inputs: &Inputs<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    let Some(index) = inputs.index.filter(|index| index.glibc.is_some()) else { return };
    let base = &inputs.recipe.base.reference;
    let of_wheels = of_wheels(&inputs.wheels);
    let mut libraries = index.libraries.clone();
    for (name, defined) in inputs.system.debs.iter().flat_map(|deb| &deb.facts.libraries) {
        libraries.entry(name.clone()).or_default().extend(defined.iter().cloned());
    }
    let is_there = |name: &str| of_wheels.contains(stem(name)) || libraries.contains_key(name);
    let mut missing: BTreeMap<&str, Users<'_>> = BTreeMap::new();
    let mut too_new: BTreeMap<&str, (BTreeSet<&str>, Users<'_>)> = BTreeMap::new();
    for Wheel { facts, .. } in &inputs.wheels {
        // What driver and CANN bring differs from version to version, but they do not bring what systems have.
        let is_known = inputs.cann.is_none() && !is_for_npu(facts);
        for (file, linkage) in &facts.linked {
            for library in linkage.needed.iter().filter(|name| is_library(name) && !is_there(name)) {
                if is_known || package(index, library).is_some() {
                    missing.entry(library).or_default().entry(&facts.name).or_insert(file);
                }
            }
            for (library, required) in linkage.required.iter().filter(|(name, _)| !of_wheels.contains(stem(name))) {
                let Some(defined) = libraries.get(library).filter(|defined| !defined.is_empty()) else {
                    continue;
                };
                let undefined: Vec<&String> = required.difference(defined).collect();
                if !undefined.is_empty() {
                    let (versions, users) = too_new.entry(library).or_default();
                    versions.extend(undefined.into_iter().map(String::as_str));
                    users.entry(&facts.name).or_insert(file);
                }
            }
        }
    }
    let mut push = |message: String, way: String| match inputs.allow_missing {
        true => warnings.push(message),
        false => problems.push(message, Some(format!("{way}, or give `--allow-missing`"))),
    };
    let can_add = Release::of(&index.os_release).is_some();
    let to_add: BTreeSet<&str> = missing.keys().filter_map(|library| package(index, library)).collect();
    for (library, users) in missing {
        let way = match package(index, library) {
            Some(package) if can_add && !inputs.recipe.system.packages.iter().any(|one| one == package) => {
                add(inputs, &to_add, package)
            }
            Some(package) => format!("use a base that has the package `{package}`"),
            None => "use a base that has it".to_owned(),
        };
        let (who, file) = told(&users);
        push(format!("{who} `{library}` (`{file}`), which is neither in the base `{base}` nor in a wheel"), way);
    }
    for (library, (versions, users)) in too_new {
        let defined = libraries.get(library).into_iter().flatten().map(String::as_str);
        let has: BTreeSet<&str> = versions.iter().filter_map(|version| highest(defined.clone(), version)).collect();
        let wanted: BTreeSet<&str> =
            versions.iter().filter_map(|version| highest(versions.iter().copied(), version)).collect();
        let has = match has.is_empty() {
            true => "has none of them".to_owned(),
            false => format!("has {} at most", listed(has)),
        };
        let (who, file) = told(&users);
        push(
            format!("{who} {} of `{library}` (`{file}`), and the base `{base}` {has}", listed(wanted)),
            "use a newer base or an older version of the wheel".to_owned(),
        );
    }
    npu(inputs, warnings);
}

/// Notes wheels that would use the NPU in an image without CANN.
fn npu(inputs: &Inputs<'_>, warnings: &mut Vec<String>) {
    // The sample has none by its nature. Where the tag promises CANN, that it is missing is said of the tag.
    let promises = inputs.recipe.versions.cann().is_some();
    if inputs.call.sample || promises || inputs.cann.is_some() || is_in_base(inputs.base, inputs.index) {
        return;
    }
    let facts = inputs.wheels.iter().map(|wheel| &*wheel.facts);
    let users: Vec<&WheelFacts> = facts.filter(|facts| is_for_npu(facts)).collect();
    if users.is_empty() {
        return;
    }
    let (base, environment) = (&inputs.recipe.base.reference, &inputs.recipe.environment);
    let fails = users.iter().any(|facts| facts.key() == "torch-npu") && !environment.contains_key(AUTOLOAD);
    let import = match fails {
        true => format!("; without CANN `import torch` needs `{AUTOLOAD}=0`"),
        false => String::new(),
    };
    let names: BTreeSet<&str> = users.iter().map(|facts| facts.name.as_str()).collect();
    warnings.push(format!(
        "{} can't use the NPU: `versions.cann` is `none`, and the base `{base}` has no CANN{import}",
        listed(names)
    ));
}

/// The libraries that lie anywhere in wheels, without what follows `.so`: Python code may load `libx.so` by its path, and
/// then it is there for all that need it by the name in it, `libx.so.1`.
fn of_wheels(wheels: &[Wheel]) -> HashSet<&str> {
    wheels
        .iter()
        .flat_map(|wheel| &wheel.facts.elf)
        .map(|(file, _)| stem(file.rsplit('/').next().unwrap_or(file)))
        .collect()
}

fn stem(library: &str) -> &str {
    library.split(".so").next().unwrap_or(library)
}

/// Whether the index of a base would know it.
fn is_library(name: &str) -> bool {
    name.starts_with("lib") || name.starts_with("ld-")
}

fn is_for_npu(facts: &WheelFacts) -> bool {
    let is_of_npu = |name: &String| WITH_NPU.iter().any(|start| name.starts_with(start));
    facts.elf.iter().any(|(_, elf)| elf.is_for_npu())
        || facts.linked.iter().any(|(_, linkage)| linkage.needed.iter().any(is_of_npu))
}

/// The package of the base's system that has this library.
fn package(index: &BaseIndex, library: &str) -> Option<&'static str> {
    let (_, debian, euler) = PACKAGES.iter().find(|(name, ..)| *name == library)?;
    let of_system = |key: &str| index.os_release.get(key).map_or("", String::as_str);
    let is_debian =
        [of_system("ID"), of_system("ID_LIKE")].iter().any(|id| id.contains("debian") || id.contains("ubuntu"));
    Some(if is_debian { debian } else { euler })
}

/// How to add the package that has a library, with all others that are missing: a list is given as a whole.
fn add(inputs: &Inputs<'_>, missing: &BTreeSet<&str>, package: &str) -> String {
    let wanted = inputs.recipe.system.packages.iter().map(String::as_str).chain(missing.iter().copied());
    let all: BTreeSet<String> = wanted.map(|name| format!("{name:?}")).collect();
    let set = format!("system.packages=[{}]", all.into_iter().collect::<Vec<_>>().join(", "));
    let also = match inputs.call.sample {
        // Its builds fetch what they lack.
        true => String::new(),
        false => format!(", here and to `{}`", inputs.call.fetch),
    };
    format!("to add the package `{package}`, give `--set {}`{also}", shell::word(set))
}

/// The highest version of the same series, as `GLIBCXX_3.4.28` of `GLIBCXX_3.4.30`.
fn highest<'a>(all: impl Iterator<Item = &'a str>, version: &str) -> Option<&'a str> {
    let series = |version: &str| version.rsplit_once('_').map(|(series, _)| series.to_owned());
    let number = |version: &str| -> Vec<u32> {
        version.rsplit('_').next().into_iter().flat_map(|number| number.split('.')).flat_map(str::parse).collect()
    };
    all.filter(|one| series(one) == series(version)).max_by_key(|one| number(one))
}

/// Who needs, and a file that does.
fn told<'a>(users: &Users<'a>) -> (String, &'a str) {
    let needs = if users.len() == 1 { "needs" } else { "need" };
    let file = users.values().next().copied().unwrap_or_default();
    (format!("{} {needs}", listed(users.keys().copied())), file)
}

/// The first three in words, and how many more there are.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.len() {
        0..=3 => names.join(", "),
        all => format!("{} and {} more", names[..3].join(", "), all - 3),
    }
}
