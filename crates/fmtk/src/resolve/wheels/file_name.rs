//! What the file names of packages say.

use std::str::FromStr;

use wheel_layer::FileName;

/// The parts of a wheel's file name, and its distribution, normalised.
pub fn wheel_name(file: &str) -> Result<(String, FileName), String> {
    let mut name = FileName::parse(file)
        .map_err(|_| format!("`{file}` is not named as a wheel, NAME-VERSION-PYTHON-ABI-PLATFORM.whl"))?;
    // Some builders write the `+` of a local version so.
    name.version = name.version.replace('_', "+");
    Ok((wheel_layer::normalize(&name.name), name))
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
    fn names_of_the_field() {
        for (file, read) in [
            ("moxing_framework-2.0.0.rc2.4b57a67b-py2.py3-none-any.whl", "moxing-framework 2.0.0.rc2.4b57a67b"),
            ("mindspore_ascend-1.8.1-cp39-none-any.whl", "mindspore-ascend 1.8.1"),
            ("Ascend_mindxsdk_mxTuningKit-1.0-1-py3-none-any.whl", "ascend-mindxsdk-mxtuningkit 1.0"),
            ("local-1.2_cpu-py3-none-any.whl", "local 1.2+cpu"),
            ("a.whl", "`a.whl` is not named as a wheel, NAME-VERSION-PYTHON-ABI-PLATFORM.whl"),
        ] {
            let said = wheel_name(file).map_or_else(|error| error, |(key, name)| format!("{key} {}", name.version));
            assert_eq!(said, read);
        }
        let name = |text: &str| text.parse::<InstallerName>().map(|name| format!("{} {}", name.version, name.arch));
        assert_eq!(name("Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run").as_deref(), Ok("5.1.RC2 aarch64"));
        assert_eq!(name("Ascend-cann-toolkit_5.1.RC2_linux-x86_64.run").as_deref(), Ok("5.1.RC2 x86_64"));
        for text in ["", "cann.run", "Ascend_5.1.run", "Ascend__linux-aarch64.run", "Ascend_5.1_linux-aarch64.zip"] {
            let refused = format!("`{text}` is not named as CANN's installer, NAME_VERSION_linux-ARCH.run");
            assert_eq!(name(text), Err(refused));
        }
    }
}
