//! Checks base, wheels and own files against the recipe.

use std::collections::{BTreeMap, BTreeSet};

use oci_image::{BaseIndex, Interpreter, ParentDirs, Platform, is_within};
use wheel_layer::{Corrections, Elf, InstalledWheel, Missing, Target};

use super::{Inputs, PlannedLayer, folders, scripts};
use crate::{
    recipe::{PYPI, Python, is_os, os_of},
    resolve::{own_file::PlannedFile, packages::Wheel},
    terminal::report::Problems,
};

/// What wheels are checked against.
fn target(inputs: &Inputs<'_>) -> Target {
    let python = &inputs.recipe.python;
    let said = python.target();
    // What the base really has counts more than what the recipe says of it.
    let glibc = inputs.index.and_then(|index| index.glibc).unwrap_or(said.glibc);
    let found = inputs.index.and_then(|index| index.interpreter(python.interpreter.as_str()));
    let python_micro = found.and_then(|found| found.micro);
    Target { python_micro, glibc, ..said }
}

/// Whether the base runs where the image is to run, and has the Python and the user of the recipe.
pub(super) fn base(inputs: &Inputs<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    let name = &inputs.recipe.base.reference;
    let (found, wanted) = (inputs.base.config.platform(), Platform::linux_arm64());
    if !found.serves(&wanted) {
        problems.push(
            format_args!("the base `{name}` is for {found}, the image is for {wanted}"),
            Some("name an arm64 base with `--base`".to_owned()),
        );
    } else if found.architecture != wanted.architecture {
        warnings.push(format!(
            "the base `{name}` calls its architecture `{}`; the image says `{}`, which registries and engines compare",
            found.architecture, wanted.architecture
        ));
    }
    let Some(index) = inputs.index else {
        warnings.push(format!(
            "base `{name}` not inspected; assuming its Python, glibc, users and directories match the recipe; \
             distributions that it has installed are neither counted nor replaced"
        ));
        return;
    };
    python(inputs, index, problems);
    system(inputs, index, problems);
    let user = inputs.recipe.user.to_string();
    let account = user.split(':').next().unwrap_or_default();
    let owner = inputs.recipe.layout.owner;
    let made = inputs.recipe.user.account.as_ref().map(|account| (account.uid.0, account.gid.0));
    let ids = made.or(index.user(account).map(|user| (user.uid, user.gid)));
    if let Some((uid, gid)) = ids.filter(|(uid, _)| owner.uid != 0 && ![0, owner.uid].contains(uid)) {
        problems.push(
            format_args!(
                "`{account}` has the user id {uid} in the base `{name}`, but added files would belong to {}",
                owner.uid
            ),
            Some(format!("set `layout.owner` to \"{uid}:{gid}\"")),
        );
    }
    if made.is_none() && account.parse::<u64>().is_err() && index.user(account).is_none() {
        let known: Vec<&str> = index.users.iter().map(|user| user.name.as_str()).collect();
        let other = match known.is_empty() {
            true => "to a number; its `/etc/passwd` lists no users".to_owned(),
            false => format!("to a number or to one of its users: {}", known.join(", ")),
        };
        let hint = format!("set `user` {other}; or have it added: `user = {{ name = \"{account}\" }}`");
        problems.push(format_args!("the base `{name}` has no user `{account}`"), Some(hint));
    }
}

/// Whether the base is the system that the tag will name, as far as its os-release tells.
fn system(inputs: &Inputs<'_>, index: &BaseIndex, problems: &mut Problems) {
    let Some(wanted) = inputs.recipe.versions.get("os").map(str::to_lowercase) else { return };
    if is_os(index, &wanted) {
        return;
    }
    let name = index.os_release.get("PRETTY_NAME").or_else(|| index.os_release.get("ID"));
    problems.push(
        format_args!(
            "the base `{}` is {}, and the tag would say `{wanted}`",
            inputs.recipe.base.reference,
            name.map_or("another system", String::as_str)
        ),
        os_of(index).map(|os| format!("set `versions.os` to `{os}`")),
    );
}

fn python(inputs: &Inputs<'_>, index: &BaseIndex, problems: &mut Problems) {
    let name = &inputs.recipe.base.reference;
    let python = &inputs.recipe.python;
    let wanted = format!("{}.{}", python.version.0, python.version.1);
    let interpreter = python.interpreter.as_str();
    if !index.has_python(interpreter, python.version) {
        let found = index.pythons();
        let found = if found.is_empty() { "no Python at all".to_owned() } else { found.join(", ") };
        problems.push(
            format_args!("the base `{name}` has no Python {wanted} at `{interpreter}`; it has {found}"),
            Some(way_to_python(index, python.version)),
        );
    } else if let Some(machine) = index.interpreter(interpreter).and_then(|found| found.machine)
        && machine != Elf::AARCH64.machine
    {
        problems.push(
            format_args!("`{interpreter}` of the base `{name}` is not a program for aarch64 (ELF machine {machine})"),
            Some("use a base whose contents match its config".to_owned()),
        );
    }
}

/// The keys that name a Python of the base, one of the recipe's version where there is one.
fn way_to_python(index: &BaseIndex, version: (u32, u32)) -> String {
    let exact = |one: &&Interpreter| one.path.ends_with(&format!("python{}.{}", one.version.0, one.version.1));
    let best = index.interpreters.iter().filter(exact).max_by_key(|one| (one.version == version, one.version));
    let Some(Interpreter { path, prefix, version: (major, minor), .. }) = best else {
        return "use a base that has a Python for aarch64".to_owned();
    };
    format!(
        "give `--set versions.python={major}.{minor} --set python.prefix={prefix} --set python.interpreter={path}`, or set \
         these keys in the recipe to another Python of the base"
    )
}

/// Whether each wheel fits the target, and whether all that they require is there.
pub(super) fn wheels(inputs: &Inputs<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    let (target, allow) = (target(inputs), &inputs.recipe.allow);
    for Wheel { package, facts } in &inputs.wheels {
        let wheel = format!("wheel `{}`", package.path.display());
        let mut push = |problem: &str, hint| problems.push(format_args!("{wheel}: {problem}"), hint);
        facts.check(&target).iter().for_each(|problem| push(problem, None));
        warnings.extend(facts.renamed(&target).map(|note| format!("{wheel}: {note}")));
        let key = facts.key();
        if allow.wrong_record.iter().any(|name| name.as_str() == key) {
            warnings.push(format!("{wheel}: its files are not checked against its RECORD (`allow.wrong_record`)"));
        } else {
            let hint = format!(
                "use another build of it; if the files are right and only RECORD is wrong, put \"{key}\" into \
                 `allow.wrong_record`"
            );
            facts.check_record().iter().for_each(|problem| push(problem, Some(hint.clone())));
        }
        if !allow.elf.iter().any(|name| name.as_str() == key) {
            let hint = format!(
                "use the wheel for aarch64; if it holds several architectures on purpose, put \"{key}\" into `allow.elf`"
            );
            facts.foreign_code().iter().for_each(|problem| push(problem, Some(hint.clone())));
        }
    }
    let installed = inputs.index.map(|index| installed(&inputs.recipe.python, index));
    let of_recipe = inputs.recipe.pypi.requirements.iter().filter_map(|one| one.on(&target));
    let extras: Vec<(String, String)> =
        of_recipe.flat_map(|one| one.extras.into_iter().map(move |extra| (one.name.clone(), extra))).collect();
    let resolution = &inputs.recipe.pypi.resolution;
    let overrides: Vec<_> = resolution.overrides.iter().filter_map(|one| one.on(&target)).collect();
    let corrections = Corrections { overrides: &overrides, is_excluded: &|name| resolution.excludes(name) };
    for one in wheel_layer::unsatisfied(
        inputs.wheels.iter().map(|wheel| &*wheel.facts),
        installed.as_deref(),
        &extras,
        corrections,
        &target,
    ) {
        match &installed {
            Some(_) if !inputs.allow_missing => {
                problems.push(&one, Some(way_to(&one, inputs)));
            }
            Some(_) => warnings.push(one.to_string()),
            None => warnings.push(format!("{one}, unless the base has it")),
        }
    }
}

/// How what a wheel requires gets there. Only what came from PyPI by hand is completed by a fetch as the recipe is: a
/// fetch that was brought all it was asked for, and of other wheels it knows nothing.
fn way_to(missing: &Missing, inputs: &Inputs<'_>) -> String {
    const BY_HAND: &str = "copy the wheel to the package folder and give it a kind in `[packages]`";
    let Missing { by, requirement, malformed, overridden, .. } = missing;
    if *malformed {
        return "use another version of it, or pass `--allow-missing`".to_owned();
    }
    if *overridden {
        return format!("run `{}`, or change `pypi.override`, or give `--allow-missing`", inputs.call.fetch);
    }
    if let Some(locked) = &inputs.recipe.pypi.locked {
        return format!(
            "pin it in `{locked}` too and run `{}`, or {BY_HAND}, or give `--allow-missing`",
            inputs.call.fetch
        );
    }
    let is_of_pypi = |wheel: &Wheel| wheel.facts.name == *by && wheel.package.kind == PYPI;
    let fetch = match inputs.wheels.iter().any(is_of_pypi) && !inputs.fetched {
        true => format!("run `{}`", inputs.call.fetch),
        // A marker has been found to apply; one about an extra would make pip leave it out.
        false => {
            let plain = requirement.split(';').next().unwrap_or_default().trim();
            inputs.call.fetch_also(plain, &inputs.recipe.pypi.requirements)
        }
    };
    format!("{fetch}, or {BY_HAND}, or give `--allow-missing`")
}

/// Whether the user's own files can lie where they are to lie: a file replaces a whole folder of what is below it, and a
/// folder the file in its place. `above` are the layers above those of the wheels.
pub(super) fn files(
    inputs: &Inputs<'_>,
    wheels: &[&InstalledWheel],
    above: &[PlannedLayer],
    known: &ParentDirs,
    problems: &mut Problems,
) {
    let places: BTreeSet<&str> = inputs.files.iter().map(|file| file.to.as_str()).collect();
    let of_wheel = |folder: &str| wheels.iter().any(|wheel| wheel.folders.contains(folder));
    let mut ours = BTreeMap::new();
    for layer in above {
        let hint = match layer {
            PlannedLayer::Files { .. } => continue,
            PlannedLayer::Scripts { .. } => format!("put it into {}", scripts::place(inputs)),
            PlannedLayer::Front { .. } => "set `launch.front=false`, or give the file another path".to_owned(),
            _ => "give the file another path".to_owned(),
        };
        ours.extend(layer.paths().into_iter().map(|path| (path, hint.clone())));
    }
    let of_fmtk = |folder: &str| ours.keys().any(|path: &String| path != folder && is_within(path, folder));
    let whose = |to: &str| {
        let real = folders::real(inputs, to);
        let link = inputs.index.is_some_and(|index| index.links.contains_key(&real));
        let of_base = (link || known.contains_key(&real)).then_some("the base");
        of_base.or_else(|| of_wheel(&real).then_some("a wheel")).or_else(|| of_fmtk(&real).then_some("fmtk"))
    };
    let file_of = |path: &str| {
        let of_wheel = || {
            wheels.iter().find(|wheel| wheel.has_file(path)).map(|wheel| format!("the wheel `{}`", wheel.facts.name))
        };
        let of_base = || inputs.index.is_some_and(|index| index.has_file(path)).then(|| "the base".to_owned());
        ours.contains_key(path).then(|| "fmtk".to_owned()).or_else(of_wheel).or_else(of_base)
    };
    let interpreter = inputs.recipe.python.interpreter.as_str();
    let program = inputs.index.and_then(|index| Some(&*index.interpreter(interpreter)?.real));
    let of_python = [interpreter, program.unwrap_or(interpreter)].map(|path| folders::real(inputs, path));
    // Each folder once: there may be thousands of files below it.
    let mut seen = BTreeSet::new();
    for PlannedFile { from, to, .. } in &inputs.files {
        if let Some(whose) = whose(to) {
            let name = from.file_name().unwrap_or_default().to_string_lossy();
            problems.push(
                format_args!("`{to}` of `[[files]]` is a folder of {whose}, which a file would replace"),
                Some(format!("give the file's own path: `to = \"{to}/{name}\"`")),
            );
        }
        if let Some(hint) = ours.get(&folders::real(inputs, to)) {
            let message = format_args!("`{}` of `[[files]]` would go to `{to}`, which fmtk writes", from.display());
            problems.push(message, Some(hint.clone()));
        } else if whose(to).is_none() && of_python.iter().any(|python| is_within(python, &folders::real(inputs, to))) {
            let message = format_args!("`{to}` of `[[files]]` would replace the image's Python, `{interpreter}`");
            problems.push(message, Some("give the file another path".to_owned()));
        }
        let folders_above = || to.match_indices('/').skip(1).map(|(end, _)| &to[..end]);
        let above = folders_above().find(|above| places.contains(above));
        // That one is no place for a file is said of itself, with the way out.
        if let Some(above) = above.filter(|above| whose(above).is_none()) {
            problems.push(format_args!("`{above}` of `[[files]]` is a file, and `{to}` would lie in it"), None);
        }
        for above in folders_above().filter(|above| seen.insert(*above) && whose(above).is_none()) {
            if let Some(whose) = file_of(&folders::real(inputs, above)) {
                problems.push(
                    format_args!("`{above}` is a file of {whose}, and `{to}` of `[[files]]` would lie in it"),
                    Some("give the file another path".to_owned()),
                );
            }
        }
        if to.split('/').any(|name| name.starts_with(".wh.")) {
            problems.push(
                format_args!("`{to}` of `[[files]]` has the name of a whiteout, which removes a file of the base"),
                Some("give it a name that does not begin with `.wh.`".to_owned()),
            );
        }
    }
}

/// Name and version of what the base's Python can import. Where wheels go comes first, as a second copy elsewhere does
/// not count for Python either.
pub fn installed(python: &Python, index: &BaseIndex) -> Vec<(String, String)> {
    /// Where Debian's own Python looks besides (its site.py).
    const DEBIAN: &str = "/usr/lib/python3/dist-packages";
    let mut all = index.distributions_of(python.site_packages.as_str());
    if python.interpreter.as_str().starts_with("/usr/bin/") {
        let shadowed: Vec<String> = all.iter().map(|(name, _)| wheel_layer::normalize(name)).collect();
        let more = index.distributions_of(DEBIAN).into_iter();
        all.extend(more.filter(|(name, _)| !shadowed.contains(&wheel_layer::normalize(name))));
    }
    all
}
