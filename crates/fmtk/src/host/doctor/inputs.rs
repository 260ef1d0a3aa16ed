//! What goes into the image and what came out last: packages, lock, organisation, sizes.

use std::process::{Command, Stdio};

use image_name::OrgName;

use super::{
    DoctorArgs, Patient,
    finding::{Finding, State, problems},
};
use crate::{
    recipe::Limits,
    record::BuildRecord,
    resolve::{
        cache::CacheArgs,
        fetch, inputs,
        lock::{self, Lock},
        packages, place,
        scripts::{self, scripts_folder},
        system,
    },
    terminal::{
        progress::{self, bytes},
        report,
    },
};

/// The packages that the recipe asks for.
pub fn packages(patient: &Patient) -> Vec<Finding> {
    let args = patient.args.recipe();
    let folders = inputs::folders(&args);
    let hint = "`pkg/README.md` says what belongs there; `cargo xtask image --dry-run` tells more";
    let scripts = scripts::packages(&scripts::origin(&patient.recipe, scripts_folder(&args)));
    let call = &patient.call;
    let system = system::packages(&patient.recipe, &folders.system, &patient.store, call);
    let scripts = report::both(scripts, system).map(|(scripts, system)| [scripts, system].concat());
    let surveyed = takes_layers(patient).and_then(|takes| {
        let elsewhere = if takes { inputs::missing(&args, &patient.recipe, &folders)? } else { Vec::new() };
        packages::survey(&patient.recipe, &folders, &elsewhere, &patient.store, call)
    });
    let (found, missing) = match surveyed {
        Ok(surveyed) => surveyed,
        Err(error) => return problems(&error, hint),
    };
    let (here, elsewhere): (Vec<_>, Vec<_>) = found.packages.iter().cloned().partition(|it| it.path.exists());
    let size = here.iter().map(|package| package.size).sum();
    let says = format!("{}, {}", progress::count(here.len(), "file"), bytes(size));
    let read = packages::contents(here, &patient.store, call);
    let complete = report::both(missing, scripts);
    let wrong = complete.as_ref().err().into_iter().chain(read.as_ref().err());
    let mut findings: Vec<Finding> = wrong.flat_map(|error| problems(error, hint)).collect();
    if findings.is_empty() {
        findings.push(Finding::good(says));
    }
    if !elsewhere.is_empty() {
        let files: Vec<_> = elsewhere.iter().map(|package| format!("`{}`", package.file)).collect();
        findings.push(Finding::warning(
            format!("pinned in `{}`, but not in the package folder: {}", call.lock_file, files.join(", ")),
            "`image` uses their layers if an image in the registry has them (`cargo xtask image --dry-run` shows that); \
             otherwise copy the files into the package folder",
        ));
    }
    let missing = inputs::missing_folder(&args);
    findings.extend(missing.map(|missing| Finding::warning(missing, "name another with `--pkg`, or make it")));
    findings.extend(found.unused.iter().map(|file| {
        Finding::warning(format!("`{file}` matches no kind in `[packages]`"), "remove it, or give it a kind")
    }));
    if let Ok(((), scripts)) = complete {
        // The same where `--fix` has the checks run again.
        let _ = patient.packages.set(found.packages.into_iter().chain(scripts).collect());
    }
    findings
}

/// Whether `image` looks for layers in the registry.
fn takes_layers(patient: &Patient) -> anyhow::Result<bool> {
    let DoctorArgs { org, registry, sample, .. } = &patient.args;
    let org = org.as_ref().and_then(|org| org.parse().ok());
    CacheArgs { org, host: registry.clone(), ..CacheArgs::default() }.finds_any(&patient.recipe, *sample)
}

/// What the sample has of packages, or pip, which the build has fetch them.
pub fn sample_packages(patient: &Patient) -> Vec<Finding> {
    let folders = inputs::folders(&patient.args.recipe());
    let state = fetch::state(&patient.recipe, &folders.pypi, &patient.store);
    let by_hand = packages::by_hand(&patient.recipe, &folders);
    match (state, by_hand) {
        (Ok(fetch::State::Complete), _) | (_, Ok(true)) => return packages(patient),
        (Err(error), _) | (_, Err(error)) => return problems(&error, "see whether the folder can be read"),
        _ => {}
    }
    let mut python = Command::new("python3");
    python.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stderr(Stdio::null());
    let version = python.output().ok().filter(|output| output.status.success());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    vec![match version.as_deref().and_then(|text| text.split_whitespace().nth(1)) {
        Some(version) => {
            Finding::good(format!("pip {version} will download the wheels from PyPI; its index was not contacted"))
        }
        None => Finding::wrong("the wheels from PyPI are missing, and `python3` has no pip", fetch::INSTALL_PIP),
    }]
}

/// The lock against packages and base, as far as both are known.
pub fn lock(patient: &Patient) -> Vec<Finding> {
    let call = &patient.call;
    let accept = lock::accept(call, true);
    let lock = match Lock::load(&lock::path(patient.args.recipe.as_deref(), patient.args.stack.as_deref())) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            return vec![Finding::warning("packages and base are not pinned", format!("`{}`", call.lock))];
        }
        Err(error) => return problems(&error, &accept),
    };
    let Some(packages) = patient.packages.get() else {
        return vec![Finding::new(State::Unknown, "not checked: some packages are missing")];
    };
    // Where the base does not answer, the packages can be compared all the same.
    let base = patient.base.get().copied();
    let Some(digest) = base.or(lock.base.as_ref().map(|base| base.digest)) else {
        return vec![Finding::new(State::Unknown, "not checked: the base is not available")];
    };
    match lock::verify(Some(&lock), &patient.recipe, packages, &digest, call) {
        Ok(_) if base.is_none() => vec![Finding::good("the packages match it; the base was not checked")],
        Ok(_) => vec![Finding::good("packages and base match it")],
        Err(error) => problems(&error, &accept),
    }
}

/// The organisation that a push goes to.
pub fn organisation(patient: &Patient) -> Vec<Finding> {
    let own = patient.recipe.registry.org.as_ref().map(ToString::to_string);
    let Some(name) = patient.args.org.clone().or(own) else {
        let hint = "name it with `--org`, with `$org_name` or as `registry.org` in the recipe";
        return vec![Finding::warning("none given", hint)];
    };
    vec![match name.parse::<OrgName>() {
        Ok(_) => Finding::good(format!("`{name}` is a name that SWR takes; it must exist there before a push")),
        Err(error) => Finding::wrong(error.to_string(), "name the one that the console shows"),
    }]
}

/// The image built last against the recipe's limits.
pub fn sizes(patient: &Patient) -> Vec<Finding> {
    let recipe = place::recipe_file(patient.args.recipe.as_deref());
    let Ok(record) = recipe.and_then(|recipe| BuildRecord::latest(&patient.store, &recipe)) else {
        return vec![Finding::new(State::Unknown, "no image was built from the recipe yet")];
    };
    let layers = record.layers.iter().map(|layer| (layer.content.as_str(), layer.blob.size));
    judge_sizes(layers.collect(), &patient.recipe.limits)
}

fn judge_sizes(layers: Vec<(&str, u64)>, limits: &Limits) -> Vec<Finding> {
    let size: u64 = layers.iter().map(|(_, size)| size).sum();
    let says = format!("the last image has {} (compressed)", bytes(size));
    let layers = layers.into_iter().map(|(content, size)| (format!("the layer of {content}"), size));
    let found = limits.exceeded(&says, size, layers);
    let mut findings: Vec<Finding> = found
        .into_iter()
        .map(|excess| match excess.is_refused {
            true => Finding::wrong(excess.message, excess.hint),
            false => Finding::warning(excess.message, excess.hint),
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::good(says));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        sync::{Arc, OnceLock},
    };

    use clap::Parser;
    use image_name::Digest;
    use oci_image::Store;

    use super::*;
    use crate::{
        options::Call,
        recipe::{Overrides, Recipe},
        resolve::packages::Package,
    };

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: DoctorArgs,
    }

    /// It called them missing, though `image` takes their layers from the registry.
    #[test]
    fn packages_that_are_pinned_may_be_elsewhere_if_there_is_a_registry_to_take_layers_from() {
        let folder = tempfile::tempdir().unwrap();
        let (recipe, pkg) = (folder.path().join("image.toml"), folder.path().join("pkg"));
        fs::create_dir(&pkg).unwrap();
        let found = |text: &str| {
            let text = format!(
                "{text}\nscripts = 'keep'\n[versions]\ncann = 'none'\n[pypi]\nrequirements = []\n\
                 [packages]\ntuning-kit = {{ glob = 'kit-*.whl', required = true }}\nmoxing.required = false\n"
            );
            fs::write(&recipe, &text).unwrap();
            let line = ["doctor".as_ref(), "--recipe".as_ref(), recipe.as_os_str(), "--pkg".as_ref(), pkg.as_os_str()];
            let args = Line::parse_from(line).args;
            let recipe = place::draft(args.recipe.as_deref(), Overrides::default()).unwrap().recipe;
            let kit = Package {
                kind: "tuning-kit".to_owned(),
                file: "kit-1.0-py3-none-any.whl".to_owned(),
                path: Default::default(),
                size: 7,
                sha256: Digest::of("kit"),
            };
            Lock::of(&recipe, &[kit], Digest::of("base")).save(&lock::path(args.recipe.as_deref(), None)).unwrap();
            let patient = Arc::new(Patient {
                host: recipe.registry.host.clone(),
                args,
                call: Call::plain(),
                recipe,
                sample: None,
                store: Store::open(&folder.path().join("store")).unwrap(),
                packages: OnceLock::new(),
                base: OnceLock::new(),
            });
            let told = |found: &Finding| (found.state, found.says.clone());
            packages(&patient).iter().map(told).collect::<Vec<_>>()
        };
        let said = found("registry = { host = 'r.example', org = 'mine' }");
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[0].0, State::Good, "{said:?}");
        assert_eq!(said[1].0, State::Warning, "{said:?}");
        assert_eq!(said[1].1, "pinned in `image.lock`, but not in the package folder: `kit-1.0-py3-none-any.whl`");
        let said = found("cache = []\nregistry = { host = 'r.example', org = 'mine' }");
        assert_eq!(said[0].0, State::Wrong, "{said:?}");
        assert!(said[0].1.contains("no `tuning-kit` package: nothing in"), "{said:?}");
    }

    #[test]
    fn sizes_are_held_against_the_limits() {
        let recipe = Recipe::parse("", "image.toml", Path::new("/"), Overrides::default()).unwrap();
        let limits = recipe.limits;
        let states = |layers: &[u64]| -> Vec<State> {
            let layers = layers.iter().map(|size| ("x", *size)).collect();
            judge_sizes(layers, &limits).iter().map(|finding| finding.state).collect()
        };
        let gb = 1_000_000_000;
        assert_eq!(states(&[9 * gb, 6 * gb]), [State::Good]);
        assert_eq!(states(&[9 * gb, 6 * gb, 1]), [State::Warning]);
        assert_eq!(states(&[10 * gb + 1]), [State::Wrong]);
        assert_eq!(states(&[10 * gb, 10 * gb, 10 * gb, 1]), [State::Wrong]);
    }
}
