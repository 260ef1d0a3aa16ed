//! What is inside the packages: every wheel read, CANN's installer checked whole.

use makeself::Makeself;
use oci_image::{Store, StoreError};
use wheel_layer::{WheelError, WheelFacts};

use super::{Package, installer};
use crate::{
    options::Call,
    recipe::PYPI,
    terminal::report::{self, Problems},
};

/// Packages that can be used.
#[derive(Debug, Default)]
pub struct Contents {
    /// The wheels.
    pub wheels: Vec<Package>,
    /// What each of them says and holds, in the same order.
    pub facts: Vec<WheelFacts>,
    /// CANN's installer.
    pub installer: Option<(Package, Makeself)>,
}

/// Reads each package, or takes from the store what was found when that was done; all that are damaged are named
/// together.
pub fn contents(found: Vec<Package>, store: &Store, call: &Call) -> anyhow::Result<Contents> {
    let mut problems = Problems::default();
    let mut contents = Contents::default();
    for package in found {
        if package.is_installer() {
            match installer(store, &package.path, &package.sha256) {
                Ok(read) => contents.installer = Some((package, read)),
                // No file can help it, nor a copy of it.
                Err(error) if error.is::<StoreError>() => return Err(error),
                Err(error) => problems.push(
                    format_args!("`{}` can't be used: {}", package.path.display(), report::one_line(error.as_ref())),
                    Some(again(&package, call)),
                ),
            }
            continue;
        }
        match WheelFacts::cached(store, &package.path, &package.sha256) {
            Ok(read) => {
                contents.facts.push(read);
                contents.wheels.push(package);
            }
            Err(WheelError::Store(error)) => return Err(error.into()),
            Err(error) => problems.push(report::one_line(&error), Some(again(&package, call))),
        }
    }
    problems.into_result()?;
    Ok(contents)
}

fn again(package: &Package, call: &Call) -> String {
    match package.kind.as_str() {
        PYPI => format!("delete `{}` and run `{}`", package.path.display(), call.fetch),
        _ => "copy the file again from where it came".to_owned(),
    }
}
