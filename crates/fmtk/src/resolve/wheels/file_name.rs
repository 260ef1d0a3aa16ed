//! What the file names of packages say.

use std::str::FromStr;

use crate::recipe::Distribution;

/// The name of a wheel: `{distribution}-{version}(-{build})?-{python}-{abi}-{platform}.whl` (PEP 427, "File name
/// convention"). The version is any text: MoXing's is none of PEP 440.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    /// The distribution, normalised.
    pub distribution: Distribution,
    /// Its version, as written.
    pub version: String,
}

impl FromStr for WheelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is not named as a wheel, NAME-VERSION-PYTHON-ABI-PLATFORM.whl");
        let parts: Vec<&str> = text.strip_suffix(".whl").ok_or_else(fault)?.split('-').collect();
        let odd = |c: char| c == '/' || c.is_control();
        if !(5..=6).contains(&parts.len()) || parts.iter().any(|part| part.is_empty() || part.contains(odd)) {
            return Err(fault());
        }
        let distribution = parts[0].parse().map_err(|_| fault())?;
        Ok(Self { distribution, version: parts[1].to_owned() })
    }
}

/// The name of CANN's installer: `Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallerName {
    /// The second `_` field.
    pub version: String,
    /// What follows `linux-`.
    pub arch: String,
}

impl FromStr for InstallerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.strip_suffix(".run").unwrap_or_default().splitn(3, '_').collect();
        match fields[..] {
            [_, version, system] if !version.is_empty() => {
                let arch = system.rsplit_once('-').map(|(_, arch)| arch.to_owned());
                arch.map(|arch| Self { version: version.to_owned(), arch })
            }
            _ => None,
        }
        .ok_or_else(|| format!("`{text}` is not named as CANN's installer, NAME_VERSION_linux-ARCH.run"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_of_the_field() {
        let name = |text: &str| text.parse::<WheelName>().map(|name| format!("{} {}", name.distribution, name.version));
        let good = [
            ("moxing_framework-2.0.0.rc2.4b57a67b-py2.py3-none-any.whl", "moxing-framework 2.0.0.rc2.4b57a67b"),
            ("mindspore_ascend-1.8.1-cp39-none-any.whl", "mindspore-ascend 1.8.1"),
            ("Ascend_mindxsdk_mxTuningKit-1.0-1-py3-none-any.whl", "ascend-mindxsdk-mxtuningkit 1.0"),
        ];
        for (text, read) in good {
            assert_eq!(name(text).as_deref(), Ok(read));
        }
        for text in [
            "a-../x-py3-none-any.whl",
            "",
            "a.whl",
            "a-1-py3-none.whl",
            "a-1-2-3-py3-none-any.whl",
            "a--py3-none-any.whl",
            "a-1-py3-none-any",
        ] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn installers_of_the_field() {
        let name = |text: &str| text.parse::<InstallerName>().map(|name| format!("{} {}", name.version, name.arch));
        assert_eq!(name("Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run").as_deref(), Ok("5.1.RC2 aarch64"));
        assert_eq!(name("Ascend-cann-toolkit_5.1.RC2_linux-x86_64.run").as_deref(), Ok("5.1.RC2 x86_64"));
        for text in ["", "cann.run", "Ascend_5.1.run", "Ascend__linux-aarch64.run", "Ascend_5.1_linux-aarch64.zip"] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
