//! Whether a wheel's tags fit a Python (PEP 425, 600, 656), as packaging.tags says for CPython on Linux.

use crate::{FileName, Target};

impl FileName {
    /// Why no combination of its tags fits the target, where none does.
    pub fn misfit(&self, target: &Target) -> Option<String> {
        let python_fits = |any_platform: bool| {
            self.pythons.iter().any(|python| self.abis.iter().any(|abi| python_fits(python, abi, any_platform, target)))
        };
        let (with_any, with_own) = (python_fits(true), python_fits(false));
        // The oldest that any tag asks for.
        let mut glibc: Option<(u32, u32)> = None;
        let mut platform_is_fine = false;
        for platform in &self.platforms {
            let (asked, python) = match platform.as_str() {
                "any" => (Some((0, 0)), with_any),
                other => (asked_glibc(other), with_own),
            };
            match asked {
                // A new major version of glibc would promise nothing.
                Some(asked) if asked.0 > 0 && (asked.0 != target.glibc.0 || asked.1 > target.glibc.1) => {
                    glibc = Some(glibc.map_or(asked, |least| least.min(asked)));
                }
                Some(_) if python => return None,
                Some(_) => platform_is_fine = true,
                None => {}
            }
        }
        Some(match glibc {
            _ if platform_is_fine || !(with_any || with_own) => {
                let tags = format!("{}-{}", self.pythons.join("."), self.abis.join("."));
                format!("it is for {tags}, the target is {}", target.abi())
            }
            Some((major, minor)) => {
                format!("it needs glibc {major}.{minor}, the target has {}.{}", target.glibc.0, target.glibc.1)
            }
            None => format!("it is for {}, the target is Linux on aarch64", self.platforms.join(" or ")),
        })
    }
}

fn python_fits(python: &str, abi: &str, any_platform: bool, target: &Target) -> bool {
    let (major, minor) = target.python;
    let Some((implementation, version)) = split_python(python) else {
        return false;
    };
    let exact = version == (major, Some(minor));
    match implementation {
        "cp" if abi == "none" => exact,
        "cp" if any_platform => false,
        "cp" if abi == target.abi() => exact,
        // The stable ABI of an older 3.x does for a newer one (PEP 384).
        "cp" if abi == "abi3" => version.0 == major && version.1.is_some_and(|found| found >= 2 && found <= minor),
        "py" if abi == "none" => version.0 == major && version.1.is_none_or(|found| found <= minor),
        _ => false,
    }
}

/// `cp39` is `cp`, 3 and 9; `py3` is `py`, 3 and nothing.
fn split_python(tag: &str) -> Option<(&str, (u32, Option<u32>))> {
    let at = tag.find(|letter: char| letter.is_ascii_digit())?;
    let (implementation, digits) = tag.split_at(at);
    let (major, minor) = digits.split_at(1);
    let minor = if minor.is_empty() { None } else { Some(minor.parse().ok()?) };
    Some((implementation, (major.parse().ok()?, minor)))
}

/// The glibc that a platform asks for, 0.0 where it is any; none where it is another machine or system.
/// `manylinux_2_17_aarch64` asks for glibc 2.17, with which manylinux begins on aarch64.
fn asked_glibc(platform: &str) -> Option<(u32, u32)> {
    let asked = match platform.strip_suffix("_aarch64")? {
        "linux" => return Some((0, 0)),
        "manylinux2014" => (2, 17),
        platform => {
            let (major, minor) = platform.strip_prefix("manylinux_")?.split_once('_')?;
            (major.parse().ok()?, minor.parse().ok()?)
        }
    };
    (asked >= (2, 17)).then_some(asked)
}

#[cfg(test)]
mod tests {
    use crate::{FileName, Target};

    fn check(tags: &str, glibc: (u32, u32), expected: Option<&str>) {
        let file = FileName::parse(&format!("x-1-{tags}.whl")).unwrap();
        let found = file.misfit(&Target::aarch64((3, 9), glibc));
        let kind = |text: String| text.split(", ").last().unwrap_or_default().to_owned();
        assert_eq!(found.map(kind).as_deref(), expected, "{tags}");
    }

    /// Compared with `packaging.tags.sys_tags()` of CPython 3.9 on aarch64 with glibc 2.28.
    #[test]
    fn fits_what_packaging_says_fits() {
        for tags in [
            "py3-none-any",
            "py2.py3-none-any",
            "py39-none-any",
            "py30-none-any",
            "cp39-none-any",
            "cp39-cp39-linux_aarch64",
            "cp39-cp39-manylinux_2_17_aarch64.manylinux2014_aarch64",
            "cp39-cp39-manylinux_2_28_aarch64",
            "cp36-abi3-manylinux_2_31_aarch64.manylinux2014_aarch64",
            "cp39-none-manylinux2014_aarch64",
            "py3-none-manylinux2014_aarch64",
            "cp38.cp39-cp38.cp39-linux_aarch64",
        ] {
            check(tags, (2, 28), None);
        }
    }

    #[test]
    fn says_what_does_not_fit() {
        for tags in [
            "py2-none-any",
            "py310-none-any",
            "cp38-none-any",
            "cp38-cp38-linux_aarch64",
            "cp310-abi3-linux_aarch64",
            "cp39-cp39-any",
            "cp39-cp39m-linux_aarch64",
            "pp39-pypy39_pp73-linux_aarch64",
        ] {
            check(tags, (2, 28), Some("the target is cp39"));
        }
        for tags in [
            "cp39-cp39-linux_x86_64",
            "py3-none-win_amd64",
            "py3-none-musllinux_1_1_aarch64",
            "cp39-cp39-manylinux2010_aarch64",
            "cp39-cp39-macosx_11_0_arm64",
        ] {
            check(tags, (2, 28), Some("the target is Linux on aarch64"));
        }
        for (tags, glibc, asked) in [
            ("cp39-cp39-manylinux_2_31_aarch64.manylinux_2_34_aarch64", (2, 28), "2.31"),
            ("cp39-cp39-manylinux_2_17_aarch64", (2, 12), "2.17"),
        ] {
            let file = FileName::parse(&format!("x-1-{tags}.whl")).unwrap();
            let said = file.misfit(&Target::aarch64((3, 9), glibc)).unwrap();
            assert_eq!(said, format!("it needs glibc {asked}, the target has {}.{}", glibc.0, glibc.1));
        }
    }
}
