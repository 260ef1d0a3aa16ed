//! `[python]`: the Python of the base that the wheels are installed for.

use serde::Serialize;

use super::{amounts::Glibc, fields::Fields, paths::ImagePath, versions::Versions};

/// Python in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Python {
    /// Major and minor number, from `versions.python`.
    pub version: (u32, u32),
    /// `sys.prefix`. Default: the conda environment of the manual's base, `/home/ma-user/anaconda3/envs/MindSpore`.
    pub prefix: ImagePath,
    /// Where wheels are unpacked. Default: `<prefix>/lib/python<version>/site-packages`; Debian says `dist-packages`.
    pub site_packages: ImagePath,
    /// What scripts name in their first line. Default: `<prefix>/bin/python<version>`.
    pub interpreter: ImagePath,
    /// The base's glibc: no wheel may need a newer one. Default: `2.28`, EulerOS 2.8's.
    pub glibc: Glibc,
}

impl Python {
    pub(super) fn read(mut fields: Fields<'_>, versions: &Versions) -> Option<Self> {
        let version = versions.python_numbers();
        let name = format!("python{}.{}", version.0, version.1);
        let prefix: Option<ImagePath> =
            fields.preset("prefix", "/home/ma-user/anaconda3/envs/MindSpore").map(|placed| placed.value);
        let below = |path: &str| prefix.as_ref().map(|prefix| prefix.join(path));
        let site_packages = fields.optional("site_packages").or_else(|| below(&format!("lib/{name}/site-packages")));
        let interpreter = fields.optional("interpreter").or_else(|| below(&format!("bin/{name}")));
        let glibc = fields.value("glibc", Glibc { major: 2, minor: 28 });
        fields.end();
        Some(Self { version, prefix: prefix?, site_packages: site_packages?, interpreter: interpreter?, glibc })
    }

    /// The ABI tag of wheels for it (PEP 425): `cp39`; up to 3.7 with the `m` of pymalloc.
    pub fn abi(&self) -> String {
        let (major, minor) = self.version;
        let suffix = if self.version <= (3, 7) { "m" } else { "" };
        format!("cp{major}{minor}{suffix}")
    }
}
