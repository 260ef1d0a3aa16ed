//! What goes into the image and what came out last: packages, lock, organisation, sizes.

use image_name::{Digest, OrgName};

use super::{
    Learned, Patient,
    finding::{Finding, State},
};
use crate::{
    record::BuildRecord,
    resolve::{
        lock::{self, Lock},
        packages::{self, Package},
        place,
        scripts::{self, scripts_folder},
        setup,
    },
    terminal::{
        progress::{self, bytes},
        report,
    },
};

/// The packages that the recipe asks for.
pub fn packages(patient: &Patient) -> Learned {
    let check = "packages";
    let args = patient.args.recipe();
    let folder = setup::pkg_folder(&args);
    let else_do = "`pkg/README.md` says what belongs there; `cargo xtask image --dry-run` tells more";
    let scripts = scripts::packages(&scripts::origin(&patient.recipe, scripts_folder(&args)));
    let call = &patient.call;
    let (found, missing) = match packages::survey(&patient.recipe, &folder, &patient.store, call) {
        Ok(surveyed) => surveyed,
        Err(error) => return problems(check, &error, else_do).into(),
    };
    let size = found.packages.iter().map(|package| package.size).sum();
    let says = format!("{}, {}", progress::count(found.packages.len(), "file"), bytes(size));
    let read = packages::contents(found.packages.clone(), &patient.store, call);
    let complete = report::both(missing, scripts);
    let wrong = complete.as_ref().err().into_iter().chain(read.as_ref().err());
    let mut findings: Vec<Finding> = wrong.flat_map(|error| problems(check, error, else_do)).collect();
    if findings.is_empty() {
        findings.push(Finding::good(check, says));
    }
    findings.extend(found.unused.iter().map(|file| {
        let says = format!("`{file}` is for no kind in `[packages]`");
        Finding::warning(check, says, "take it away, or give it a kind")
    }));
    let packages = complete.ok().map(|((), scripts)| found.packages.into_iter().chain(scripts).collect());
    Learned { findings, packages, ..Learned::default() }
}

/// A finding for each problem that an error holds; `else_do` is the hint of those that have none.
pub fn problems(check: &'static str, error: &anyhow::Error, else_do: &str) -> Vec<Finding> {
    let way_out = |own: Option<String>| own.unwrap_or_else(|| else_do.to_owned());
    report::problems(error).into_iter().map(|(says, own)| Finding::wrong(check, says, way_out(own))).collect()
}

/// The lock against packages and base, as far as both are known.
pub fn lock(patient: &Patient, packages: Option<&[Package]>, base: Option<Digest>) -> Vec<Finding> {
    let (check, call) = ("lock", &patient.call);
    let accept = lock::accept(call);
    let lock = match Lock::load(&lock::path(patient.args.recipe.as_deref())) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            return vec![Finding::warning(check, "nothing pins the packages and the base", format!("`{}`", call.lock))];
        }
        Err(error) => return problems(check, &error, &accept),
    };
    let Some(packages) = packages else {
        return vec![Finding::new(check, State::Unknown, "there, but not all packages are, to compare it with")];
    };
    // Where the base does not answer, the packages can be compared all the same.
    let locked = lock.base.as_ref().map(|base| base.digest);
    let Some(digest) = base.or(locked) else {
        return vec![Finding::new(check, State::Unknown, "there, but the base is not, to compare it with")];
    };
    match lock::verify(Some(&lock), &patient.recipe, packages, &digest, call) {
        Ok(_) if base.is_none() => vec![Finding::good(check, "packages are as pinned; the base is not known")],
        Ok(_) => vec![Finding::good(check, "packages and base are as pinned")],
        Err(error) => problems(check, &error, &accept),
    }
}

/// The organisation that a push goes to.
pub fn organisation(patient: &Patient) -> Vec<Finding> {
    let check = "organisation";
    let own = patient.recipe.registry.org.as_ref().map(ToString::to_string);
    let Some(name) = patient.args.org.clone().or(own) else {
        let way_out = "name it with `--org`, with `$org_name` or as `registry.org` in the recipe";
        return vec![Finding::warning(check, "none is named", way_out)];
    };
    vec![match name.parse::<OrgName>() {
        Ok(_) => Finding::good(check, format!("`{name}` is a name that SWR takes; it must exist there before a push")),
        Err(error) => Finding::wrong(check, error.to_string(), "name the one that the console shows"),
    }]
}

/// At most 30 GB an image; 15 GB are advised. (FACTS of the platform: ModelArts, custom images.)
const MOST: u64 = 30_000_000_000;
const ADVISED: u64 = 15_000_000_000;
/// At most 10 GB a layer (SWR's older pages).
const LAYER: u64 = 10_000_000_000;

/// The image built last against the platform's limits.
pub fn sizes(patient: &Patient) -> Vec<Finding> {
    let check = "image size";
    let Ok(record) = BuildRecord::latest(&patient.store, &place::workspace()) else {
        return vec![Finding::new(check, State::Unknown, "no image was built from this workspace yet")];
    };
    let layers: Vec<(u64, &str)> =
        record.layers.iter().map(|layer| (layer.blob.size, layer.content.as_str())).collect();
    judge_sizes(check, &layers)
}

fn judge_sizes(check: &'static str, layers: &[(u64, &str)]) -> Vec<Finding> {
    let size: u64 = layers.iter().map(|(size, _)| size).sum();
    let says = format!("the last image has {} (compressed)", bytes(size));
    let way_out = "leave out what jobs do not need; what they read once belongs into object storage";
    let mut findings = vec![match size {
        _ if size > MOST => Finding::wrong(check, format!("{says}, and the platform takes {}", bytes(MOST)), way_out),
        _ if size > ADVISED => Finding::warning(check, format!("{says}; {} are advised", bytes(ADVISED)), way_out),
        _ => Finding::good(check, says),
    }];
    findings.extend(layers.iter().filter(|(size, _)| *size > LAYER).map(|(size, content)| {
        let says = format!("layer `{content}` has {}, and SWR takes {}", bytes(*size), bytes(LAYER));
        Finding::wrong(check, says, "lower `layout.max_layer`, or build the base of smaller layers")
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_held_against_the_limits() {
        let states = |layers: &[u64]| -> Vec<State> {
            let layers: Vec<(u64, &str)> = layers.iter().map(|size| (*size, "x")).collect();
            judge_sizes("image size", &layers).iter().map(|finding| finding.state).collect()
        };
        let gb = 1_000_000_000;
        assert_eq!(states(&[9 * gb, 6 * gb]), [State::Good]);
        assert_eq!(states(&[9 * gb, 6 * gb, 1]), [State::Warning]);
        assert_eq!(states(&[10 * gb + 1]), [State::Good, State::Wrong]);
        assert_eq!(states(&[10 * gb, 10 * gb, 10 * gb, 1]), [State::Wrong]);
    }
}
