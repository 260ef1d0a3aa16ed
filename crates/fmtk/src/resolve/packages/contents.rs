//! What is inside the packages: every wheel read, CANN's installers checked whole.

use std::sync::Arc;

use oci_image::{Store, StoreError};
use wheel_layer::{WheelError, WheelFacts};

use super::{
    Package,
    installer::{Installer, installer},
};
use crate::{
    options::Call,
    recipe::{INSTALLERS, PYPI},
    terminal::report::{self, Problems},
};

/// A wheel that goes into the image, and what it says and holds.
#[derive(Debug, Clone)]
pub struct Wheel {
    /// The file.
    pub package: Package,
    /// What was read of it.
    pub facts: Arc<WheelFacts>,
}

/// The wheels, and CANN's installers in the order in which they are run.
pub type Contents = (Vec<Wheel>, Vec<Installer>);

/// Reads each package, or takes from the store what was found when that was done. All that are damaged are named
/// together.
pub fn contents(found: Vec<Package>, store: &Store, call: &Call) -> anyhow::Result<Contents> {
    let mut problems = Problems::default();
    let (mut wheels, mut installers) = (Vec::new(), Vec::new());
    // Machine code is unpacked to learn what it needs: of MindSpore and torch that takes half a second each.
    let length = |package: &Package| package.size;
    let wheel = |package: &Package| {
        (!package.is_installer()).then(|| WheelFacts::cached(store, &package.path, &package.sha256))
    };
    let read = side_by_side::map_longest_first(&found, side_by_side::cores(), length, wheel);
    for (package, read) in found.into_iter().zip(read) {
        let Some(facts) = read else {
            match installer(store, &package.path, &package.sha256) {
                Ok(read) => installers.push(Installer { package, interpreter: read.interpreter }),
                // Downloading again will not help.
                Err(error) if error.is::<StoreError>() => return Err(error),
                Err(error) => problems.push(
                    format_args!("`{}` can't be used: {}", package.path.display(), report::one_line(error.as_ref())),
                    Some(again(&package, call)),
                ),
            }
            continue;
        };
        match facts {
            Ok(facts) => wheels.push(Wheel { package, facts: Arc::new(facts) }),
            Err(WheelError::Store(error)) => return Err(error.into()),
            Err(error) => problems.push(report::one_line(&error), Some(again(&package, call))),
        }
    }
    problems.into_result()?;
    installers.sort_by_key(|one| INSTALLERS.iter().position(|kind| *kind == one.package.kind));
    Ok((wheels, installers))
}

fn again(package: &Package, call: &Call) -> String {
    match package.kind.as_str() {
        PYPI => format!("delete `{}` and run `{}`", package.path.display(), call.fetch),
        _ => "copy the file again from its source".to_owned(),
    }
}
