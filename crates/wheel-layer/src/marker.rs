//! Environment markers (PEP 508): parsing and evaluating them for a target.

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifier};

use crate::{
    Target,
    cursor::{Cursor, OPERATORS},
    normalize,
};

/// Parentheses may be nested this deep; real ones are two deep.
const DEPTH: usize = 32;
/// Stands for the third number of a Python version that is not known: a base is more likely to have a late release of
/// its series than an early one, and no series has so many.
const LATE_MICRO: u32 = 99;

/// What a marker is evaluated for.
#[derive(Clone, Copy)]
struct Given<'a> {
    target: &'a Target,
    /// The extra that is asked for (empty: none).
    extra: &'a str,
    /// The groups of dependencies that are wanted, where the marker is of a lock.
    groups: Option<&'a [String]>,
}

impl<'a> Given<'a> {
    /// The value of a variable that is a set of names.
    fn set(self, variable: &str) -> Option<&'a [String]> {
        match variable {
            "dependency_groups" => self.groups,
            "extras" => self.groups.map(|_| &[][..]),
            _ => None,
        }
    }
}

/// Whether a marker by itself (`python_version < '3.10'`) holds for the target. The error names what can't be read.
/// In a lock (PEP 751) it may ask for groups of dependencies, of which these are wanted, and for extras, of which none is.
pub fn marker_holds(marker: &str, target: &Target, groups: &[String]) -> Result<bool, String> {
    let given = Given { target, extra: "", groups: Some(groups) };
    let mut cursor = Cursor::new(marker);
    whole(&mut cursor, given)
}

/// Reads a marker to the end of the text, and whether it holds for the target, with this extra asked for (empty: none).
/// The error names what can't be read, or a comparison that means nothing.
pub(crate) fn holds(cursor: &mut Cursor<'_>, target: &Target, extra: &str) -> Result<bool, String> {
    whole(cursor, Given { target, extra, groups: None })
}

fn whole(cursor: &mut Cursor<'_>, given: Given<'_>) -> Result<bool, String> {
    let held = any_of(cursor, given, 0)?;
    cursor.skip_space();
    if cursor.rest().is_empty() { Ok(held) } else { Err(format!("`{}` follows its marker", cursor.rest())) }
}

fn any_of(cursor: &mut Cursor<'_>, given: Given<'_>, depth: usize) -> Result<bool, String> {
    let mut held = all_of(cursor, given, depth)?;
    while cursor.take_word("or") {
        held |= all_of(cursor, given, depth)?;
    }
    Ok(held)
}

fn all_of(cursor: &mut Cursor<'_>, given: Given<'_>, depth: usize) -> Result<bool, String> {
    let mut held = one(cursor, given, depth)?;
    while cursor.take_word("and") {
        held &= one(cursor, given, depth)?;
    }
    Ok(held)
}

fn one(cursor: &mut Cursor<'_>, given: Given<'_>, depth: usize) -> Result<bool, String> {
    if cursor.take("(") {
        if depth == DEPTH {
            return Err("its marker has too many parentheses".to_owned());
        }
        let held = any_of(cursor, given, depth + 1)?;
        return if cursor.take(")") { Ok(held) } else { Err("its marker lacks a `)`".to_owned()) };
    }
    let (left_name, mut left) = operand(cursor, given)?;
    let operator = operator(cursor)?;
    if left_name.is_some_and(|name| given.set(name).is_some()) {
        return Err("its marker has a set of names to the left".to_owned());
    }
    let (right_name, mut right) = operand(cursor, given)?;
    if let Some(set) = right_name.and_then(|name| given.set(name)) {
        let has = set.iter().any(|one| normalize(one) == normalize(&left));
        return match operator {
            "in" => Ok(has),
            "not in" => Ok(!has),
            _ => Err(format!("its marker compares a set of names by `{operator}`")),
        };
    }
    let Some(variable) = left_name.or(right_name) else { return Err("its marker compares two texts".to_owned()) };
    if variable == "extra" {
        (left, right) = (normalize(&left), normalize(&right));
    }
    compare(variable, &left, operator, &right)
}

fn operator(cursor: &mut Cursor<'_>) -> Result<&'static str, String> {
    if let Some(operator) = OPERATORS.into_iter().find(|operator| cursor.take(operator)) {
        return Ok(operator);
    }
    if cursor.take_word("in") {
        return Ok("in");
    }
    if cursor.take_word("not") && cursor.take_word("in") {
        return Ok("not in");
    }
    Err(format!("its marker has no comparison before `{}`", cursor.rest()))
}

fn compare(variable: &str, left: &str, operator: &str, right: &str) -> Result<bool, String> {
    let of_version =
        matches!(variable, "python_version" | "python_full_version" | "implementation_version" | "platform_release");
    if of_version
        && let Ok(specifier) = VersionSpecifier::from_str(&format!("{operator}{right}"))
        && let Ok(version) = Version::from_str(left)
    {
        return Ok(specifier.contains(&version));
    }
    // Texts have no order (PyPA, "Dependency specifiers"; packaging since 24): what asks for one is false.
    Ok(match operator {
        "in" => right.contains(left),
        "not in" => !right.contains(left),
        "==" | "<=" | ">=" => left == right,
        "!=" => left != right,
        "<" | ">" => false,
        _ => return Err(format!("its marker compares `{left}` and `{right}` by `{operator}`")),
    })
}

/// A variable's name and value, or a text and no name.
fn operand<'a>(cursor: &mut Cursor<'a>, given: Given<'_>) -> Result<(Option<&'a str>, String), String> {
    let Given { target, extra, .. } = given;
    cursor.skip_space();
    let rest = cursor.rest();
    if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let text = &rest[1..];
        let end = text.find(quote).ok_or("its marker has a quote that is not closed")?;
        cursor.advance(end + 2);
        return Ok((None, text[..end].to_owned()));
    }
    let end = rest
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')))
        .unwrap_or(rest.len());
    let name = &rest[..end];
    let value = match name {
        "python_version" => format!("{}.{}", target.python.0, target.python.1),
        "python_full_version" | "implementation_version" => full_version(target),
        "os_name" | "os.name" => "posix".to_owned(),
        "sys_platform" | "sys.platform" => "linux".to_owned(),
        "platform_system" => "Linux".to_owned(),
        "platform_machine" | "platform.machine" => "aarch64".to_owned(),
        "platform_python_implementation" | "platform.python_implementation" | "python_implementation" => {
            "CPython".to_owned()
        }
        "implementation_name" => "cpython".to_owned(),
        "extra" => extra.to_owned(),
        // A set is compared by itself.
        set if given.set(set).is_some() => String::new(),
        // Release and version of the kernel are those of the host that the container will run on.
        "platform_release" | "platform_version" | "platform.version" => String::new(),
        _ => return Err(format!("its marker has the unknown variable `{name}`")),
    };
    cursor.advance(end);
    Ok((Some(name), value))
}

/// The whole version of the target's Python.
pub(crate) fn full_version(target: &Target) -> String {
    format!("{}.{}.{}", target.python.0, target.python.1, target.python_micro.unwrap_or(LATE_MICRO))
}

#[cfg(test)]
mod tests {
    use crate::{Target, cursor::Cursor};

    fn holds(marker: &str, extra: &str) -> Result<bool, String> {
        super::holds(&mut Cursor::new(marker), &Target::aarch64((3, 9), (2, 28)), extra)
    }

    /// Compared with `packaging.markers.Marker(…).evaluate(…)`.
    #[test]
    fn evaluates_like_packaging() {
        for (marker, expected) in [
            ("python_version < '3.10'", true),
            ("python_version >= \"3.10\"", false),
            ("'3.9' == python_version", true),
            ("'3.10' > python_version", true),
            ("python_version in '3.8 3.9'", true),
            ("python_version not in '3.8, 3.10'", true),
            ("python_version ~= '3.7'", true),
            ("python_version == '3.*'", true),
            ("python_full_version < '3.9.2'", false),
            ("sys_platform == 'win32' or os_name == 'posix'", true),
            ("os_name == 'posix' or sys_platform == 'win32'", true),
            ("sys.platform == 'linux' and platform.machine == 'aarch64'", true),
            ("platform_machine == 'x86_64' and (python_version > '3' or os_name == 'nt')", false),
            ("platform_machine != 'x86_64'", true),
            ("sys_platform >= 'linux'", true),
            ("sys_platform > 'lin'", false),
            ("platform_python_implementation == 'CPython' and implementation_name != 'pypy'", true),
            ("python_implementation == 'CPython'", true),
            ("platform_system == 'Darwin' or platform_system == 'Linux' and extra == 'x'", false),
            ("extra == 'test'", false),
            ("extra != 'test'", true),
            ("'linux' in sys_platform", true),
        ] {
            assert_eq!(holds(marker, ""), Ok(expected), "{marker}");
        }
        assert_eq!(holds("extra == 'Dev_Tools'", "dev-tools"), Ok(true));
    }

    #[test]
    fn a_lock_asks_for_groups_by_name() {
        let holds = |marker| {
            super::marker_holds(marker, &Target::aarch64((3, 9), (2, 28)), &["Dev_Tools".to_owned(), "main".to_owned()])
        };
        for (marker, expected) in [
            ("'dev-tools' in dependency_groups", true),
            ("'mai' in dependency_groups or 'main' in extras", false),
            ("'x' not in extras and 'main' in dependency_groups", true),
        ] {
            assert_eq!(holds(marker), Ok(expected), "{marker}");
        }
        assert!(holds("'x' == extras").is_err() && holds("extras in 'x'").is_err());
        // Wheels have none.
        assert!(super::tests::holds("'x' in extras", "").is_err());
    }

    #[test]
    fn says_what_can_not_be_read() {
        for (marker, error) in [
            ("python_version", "its marker has no comparison before ``"),
            ("python_versio < '3'", "its marker has the unknown variable `python_versio`"),
            ("python_version < '3", "its marker has a quote that is not closed"),
            ("(python_version < '3'", "its marker lacks a `)`"),
            ("python_version < '3' x", "`x` follows its marker"),
            ("'a' == 'b'", "its marker compares two texts"),
            ("os_name ~= 'posix'", "its marker compares `posix` and `posix` by `~=`"),
        ] {
            assert_eq!(holds(marker, ""), Err(error.to_owned()), "{marker}");
        }
        let deep = "(".repeat(100_000);
        assert_eq!(holds(&deep, ""), Err("its marker has too many parentheses".to_owned()));
    }
}
