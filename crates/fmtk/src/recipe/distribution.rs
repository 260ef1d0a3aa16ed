//! Names of Python distributions, and requirements on them.

use std::{fmt, str::FromStr};

use wheel_layer::Target;

use super::document::as_text;

/// A distribution's name, normalised as PEP 503 has it: lowercase, runs of `-`, `_` and `.` one `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distribution(String);

impl Distribution {
    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric();
        let good = text.chars().all(|c| plain(c) || matches!(c, '-' | '_' | '.'));
        if !good || !text.starts_with(plain) || !text.ends_with(plain) {
            return Err(format!("`{text}` is not a distribution name: letters, digits and `-`, `_`, `.` between them"));
        }
        let parts: Vec<&str> = text.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
        Ok(Self(parts.join("-").to_ascii_lowercase()))
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What pip is asked for: a name, then what PEP 508 lets follow it, `mindspore-ascend==1.8.1`. It can't pass for an
/// option or another line of a requirements file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    text: String,
    name: Distribution,
}

impl Requirement {
    /// The distribution that is required.
    pub fn name(&self) -> &Distribution {
        &self.name
    }

    /// What it asks for in an image for this target; none where its marker says that it asks for nothing there.
    pub fn on(&self, target: &Target) -> Option<wheel_layer::Requirement> {
        wheel_layer::Requirement::parse(&self.text, target, "").ok().filter(|read| read.applies)
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end =
            text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let name: Distribution =
            name.parse().map_err(|_| format!("`{text}` does not begin with a distribution name"))?;
        if rest.contains(char::is_control) || rest.contains(['#', '@']) || rest.contains("--") || rest.ends_with('\\') {
            return Err(format!("`{text}` must be one requirement without options, URLs or comments"));
        }
        // Whether it can be read does not depend on the target.
        wheel_layer::Requirement::parse(text, &Target::aarch64((3, 9), (2, 28)), "")
            .map_err(|reason| format!("`{text}` is not a requirement: {reason}"))?;
        // An unrelated project of that name is on PyPI; MoXing itself is only had from its maker.
        if name.as_str() == "moxing" {
            return Err(format!("`{text}`: PyPI's `moxing` is not MoXing, whose wheel goes into the package folder"));
        }
        Ok(Self { text: text.to_owned(), name })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(Distribution, Requirement);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_normalised() {
        let normal = |text: &str| text.parse::<Distribution>().map(|name| name.to_string());
        assert_eq!(normal("Ascend_mindxsdk.-mxTuningKit").as_deref(), Ok("ascend-mindxsdk-mxtuningkit"));
        for text in ["", "-a", "a-", "a b", "a/b", "numpy<2", "é"] {
            assert!(normal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn requirements_begin_with_a_name() {
        for text in ["mindpet", "mindpet==1.0.4", "numpy<1.24,>=1.20", "a[x] >= 1 ; python_version < '3.10'", "a (>=1)"]
        {
            assert_eq!(text.parse::<Requirement>().map(|requirement| requirement.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn requirements_can_not_smuggle_options_into_pip() {
        let bad =
            ["", "-r x", "--index-url=http://x", "a\n-r x", "a --hash=sha256:0", "a @ http://x", "./a.whl", "a==1 # b"];
        for text in bad.into_iter().chain(["a==1 \\", "a b", "a=1", "a; python = '3'"]) {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_unrelated_moxing_is_never_asked_for() {
        assert!("MoXing==1.0".parse::<Requirement>().unwrap_err().contains("is not MoXing"));
        assert!("moxing_framework".parse::<Requirement>().is_ok());
    }
}
