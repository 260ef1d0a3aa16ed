//! What the file names of packages say.

use std::str::FromStr;

use wheel_layer::FileName;

use crate::recipe::{CANN, NNAL, OPS};

/// The parts of a wheel's file name, and its distribution, normalised.
pub fn wheel_name(file: &str) -> Result<(String, FileName), String> {
    let mut name = FileName::parse(file)
        .map_err(|_| format!("`{file}` is not named as a wheel, NAME-VERSION-PYTHON-ABI-PLATFORM.whl"))?;
    // Some builders write the `+` of a local version so.
    name.version = name.version.replace('_', "+");
    Ok((wheel_layer::normalize(&name.name), name))
}

/// The name of an installer of CANN: `Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallerName {
    /// The kind of package, where the first field is one of those that are known.
    pub kind: Option<&'static str>,
    /// The chip that operators are for, as [`chip`] has it.
    pub chip: Option<String>,
    /// The second `_` field.
    pub version: String,
    /// What follows `linux-`. Some packages of operators have none: they hold code for the NPU alone.
    pub arch: Option<String>,
}

impl FromStr for InstallerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.strip_suffix(".run").unwrap_or_default().splitn(3, '_').collect();
        match fields[..] {
            [name, version, system] if !version.is_empty() => {
                // Up to CANN 8.3 operators are called kernels, from 8.5 on ops.
                let (kind, of_chip) = match name.split('-').collect::<Vec<_>>()[..] {
                    ["Ascend", "cann", "toolkit"] => (Some(CANN), None),
                    ["Ascend", "cann", "nnal"] => (Some(NNAL), None),
                    ["Ascend", "cann", "kernels", of_chip]
                    | ["Atlas", of_chip, "cann", "kernels"]
                    | ["Ascend", "cann", of_chip, "ops"] => (Some(OPS), Some(chip(of_chip))),
                    _ => (None, None),
                };
                let arch = system.rsplit_once('-').map(|(_, arch)| arch.to_owned());
                let is_whole = arch.is_some() || kind == Some(OPS) && system == "linux";
                is_whole.then(|| Self { kind, chip: of_chip, version: version.to_owned(), arch })
            }
            _ => None,
        }
        .ok_or_else(|| format!("`{text}` is not named as CANN's installer, NAME_VERSION_linux-ARCH.run"))
    }
}

/// A chip as packages of operators call it, in lower case: `910b`, `a3`. Tags of the manual say `d910`, those of ModelArts
/// `snt9b`.
pub fn chip(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    match text.as_str() {
        "snt9" => "910".to_owned(),
        "snt9b" => "910b".to_owned(),
        "snt3p" => "310p".to_owned(),
        _ => {
            let number = text.strip_prefix('d').filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
            number.unwrap_or(&text).to_owned()
        }
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
        let name = |text: &str| {
            text.parse::<InstallerName>().map(|name| format!("{} {}", name.version, name.arch.unwrap_or_default()))
        };
        assert_eq!(name("Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run").as_deref(), Ok("5.1.RC2 aarch64"));
        assert_eq!(name("Ascend-cann-toolkit_5.1.RC2_linux-x86_64.run").as_deref(), Ok("5.1.RC2 x86_64"));
        for (file, expected) in [
            ("Ascend-cann-toolkit_8.3.RC1_linux-aarch64.run", "cann"),
            ("Ascend-cann-kernels-910b_8.3.RC1_linux-aarch64.run", "ops 910b"),
            ("Atlas-A3-cann-kernels_8.3.RC1_linux-aarch64.run", "ops a3"),
            ("Ascend-cann-kernels-910b_8.0.RC1_linux.run", "ops 910b"),
            ("Ascend-cann-A3-ops_8.5.0_linux-aarch64.run", "ops a3"),
            ("Ascend-cann-310p-ops_8.5.0_linux-aarch64.run", "ops 310p"),
            ("Ascend-cann-nnal_8.5.0_linux-aarch64.run", "nnal"),
            ("Ascend-cann-nnrt_8.5.0_linux-aarch64.run", ""),
        ] {
            let InstallerName { kind, chip, .. } = file.parse().unwrap();
            assert_eq!([kind.unwrap_or_default(), &chip.unwrap_or_default()].join(" ").trim(), expected);
        }
        assert_eq!(
            ["d910", "D910B", "snt9b", "A3", "310P", "duo"].map(chip),
            ["910", "910b", "910b", "a3", "310p", "duo"]
        );
        assert_eq!(name("Ascend-cann-kernels-910b_8.0.RC1_linux.run").as_deref(), Ok("8.0.RC1 "));
        let nameless = "Ascend-cann-toolkit_8.0.RC1_linux.run";
        for text in
            [nameless, "", "cann.run", "Ascend_5.1.run", "Ascend__linux-aarch64.run", "Ascend_5.1_linux-aarch64.zip"]
        {
            let refused = format!("`{text}` is not named as CANN's installer, NAME_VERSION_linux-ARCH.run");
            assert_eq!(name(text), Err(refused));
        }
    }
}
