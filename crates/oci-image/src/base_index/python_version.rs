//! The version in the name of a Python: of its program, its library, its folder of modules.

/// `(3, 9)` of `python3.9`.
pub(super) fn python_version_of(name: &str) -> Option<(u32, u32)> {
    let (major, minor) = name.strip_prefix("python")?.split_once('.')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(major)?, number(minor)?))
}
