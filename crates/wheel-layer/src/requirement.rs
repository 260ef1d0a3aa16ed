//! A requirement (PEP 508): a line of `Requires-Dist`, or what a user asks for.

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifier};

use crate::{
    Target,
    cursor::{Cursor, OPERATORS},
    filename::normalize,
    marker,
};

/// A requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Normalised name.
    pub name: String,
    /// Normalised extras that are asked for.
    pub extras: Vec<String>,
    /// What the version must be; a requirement by URL takes any.
    clauses: Vec<(String, String)>,
    /// Whether its marker, if it has one, holds.
    pub applies: bool,
}

impl Requirement {
    /// Reads `name[extra] (>=1,<2); marker` for this target and this extra of the distribution that has it (empty:
    /// none); the error says what is wrong with it.
    pub fn parse(text: &str, target: &Target, extra: &str) -> Result<Self, String> {
        let mut cursor = Cursor::new(text);
        let name = cursor.take_name().ok_or("it does not begin with a name")?;
        let mut extras = Vec::new();
        if cursor.take("[") {
            while let Some(extra) = cursor.take_name() {
                extras.push(normalize(extra));
                if !cursor.take(",") {
                    break;
                }
            }
            if !cursor.take("]") {
                return Err("its extras lack a `]`".to_owned());
            }
        }
        let by_url = cursor.take("@");
        let clauses = if by_url {
            // A URL ends at a space; only behind one can a marker follow.
            cursor.skip_space();
            let end = cursor.rest().find(char::is_whitespace).unwrap_or(cursor.rest().len());
            cursor.advance(end);
            Vec::new()
        } else {
            let bracketed = cursor.take("(");
            let end = cursor.rest().find([';', ')']).unwrap_or(cursor.rest().len());
            let clauses = parse_clauses(&cursor.rest()[..end])?;
            cursor.advance(end);
            if bracketed && !cursor.take(")") {
                return Err("its versions lack a `)`".to_owned());
            }
            clauses
        };
        let applies = !cursor.take(";") || marker::holds(&mut cursor, target, extra)?;
        cursor.skip_space();
        if !cursor.rest().is_empty() {
            return Err(format!("`{}` follows it", cursor.rest()));
        }
        Ok(Self { name: normalize(name), extras, clauses, applies })
    }

    /// The one version that it asks for, where it is pinned.
    pub fn pin(&self) -> Option<&str> {
        match &self.clauses[..] {
            [(operator, version)] if matches!(operator.as_str(), "==" | "===") && !version.contains('*') => {
                Some(version)
            }
            _ => None,
        }
    }

    /// Whether a distribution of this version will do. What is not a version of PEP 440 has no order: it is only
    /// compared as text, and does where an order is asked for.
    pub fn allows(&self, version: &str) -> bool {
        satisfies(&self.clauses, version)
    }
}

/// Whether the version satisfies clauses as `>=3.7,<4` (PEP 440); what is no version is compared as text. The error says
/// what is wrong with the clauses.
pub fn version_satisfies(clauses: &str, version: &str) -> Result<bool, String> {
    Ok(satisfies(&parse_clauses(clauses)?, version))
}

fn satisfies(clauses: &[(String, String)], version: &str) -> bool {
    let parsed = Version::from_str(version);
    clauses.iter().all(|(operator, wanted)| {
        if let Ok(version) = &parsed
            && let Ok(specifier) = VersionSpecifier::from_str(&format!("{operator}{wanted}"))
        {
            return specifier.contains(version);
        }
        match operator.as_str() {
            "==" | "===" => version.eq_ignore_ascii_case(wanted),
            "!=" => !version.eq_ignore_ascii_case(wanted),
            _ => true,
        }
    })
}

fn parse_clauses(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut clauses = Vec::new();
    for clause in text.split(',').map(str::trim).filter(|clause| !clause.is_empty()) {
        let operator = OPERATORS
            .into_iter()
            .find(|operator| clause.starts_with(operator))
            .ok_or_else(|| format!("`{clause}` is not a comparison of versions"))?;
        let version = clause[operator.len()..].trim();
        if version.is_empty() || version.contains(char::is_whitespace) {
            return Err(format!("`{clause}` is not a comparison of versions"));
        }
        clauses.push((operator.to_owned(), version.to_owned()));
    }
    Ok(clauses)
}

#[cfg(test)]
mod tests {
    use super::Requirement;
    use crate::Target;

    fn allows(requirement: &str, version: &str) -> Result<bool, String> {
        let parsed = Requirement::parse(requirement, &Target::aarch64((3, 9), (2, 28)), "");
        parsed.map(|requirement| requirement.allows(version))
    }

    #[test]
    fn compares_versions() {
        for (requirement, version, expected) in [
            ("numpy", "0", true),
            ("numpy>=1.17.0,<2", "1.23.5", true),
            ("numpy (>=1.17.0,<=1.23)", "1.23.5", false),
            ("NumPy[a,b] ~=1.20 ; python_version < '4'", "1.9", false),
            ("numpy==1.*", "1.23.5", true),
            ("numpy!=1.23.5", "1.23.5", false),
            ("numpy<2", "2.0rc1", false),
            ("numpy>=1", "2.0a1", true),
            ("numpy @ https://example.org/numpy.whl ; os_name == 'posix'", "1", true),
            // MoXing's version is not one of PEP 440.
            ("moxing-framework==2.0.0.rc2.4b57a67b", "2.0.0.rc2.4b57a67b", true),
            ("moxing-framework==2.0.0", "2.0.0.rc2.4b57a67b", false),
            ("moxing-framework>=2.0.0", "2.0.0.rc2.4b57a67b", true),
        ] {
            assert_eq!(allows(requirement, version), Ok(expected), "{requirement} {version}");
        }
    }

    #[test]
    fn says_what_can_not_be_read() {
        for (requirement, error) in [
            ("", "it does not begin with a name"),
            ("numpy 1.2", "`1.2` is not a comparison of versions"),
            ("numpy >=", "`>=` is not a comparison of versions"),
            ("numpy[a", "its extras lack a `]`"),
            ("numpy (>=1", "its versions lack a `)`"),
            ("numpy>=1) x", "`) x` follows it"),
        ] {
            assert_eq!(allows(requirement, "1"), Err(error.to_owned()), "{requirement}");
        }
    }
}
