//! Where an installer would put things, and what it installs for.

use serde::Serialize;

/// The Python that wheels are installed for, on Linux on aarch64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Major and minor version of CPython.
    pub python: (u32, u32),
    /// Its third number, where it is known; `Requires-Python` may ask for it.
    pub python_micro: Option<u32>,
    /// Version of glibc.
    pub glibc: (u32, u32),
}

impl Target {
    /// CPython of this version on arm64 with this glibc.
    pub fn aarch64(python: (u32, u32), glibc: (u32, u32)) -> Self {
        Self { python, python_micro: None, glibc }
    }

    /// Its ABI tag, `cp39`; of 3.7 it is `cp37m`: PEP 3149's flag for pymalloc was dropped from the tag in 3.8.
    pub(crate) fn abi(&self) -> String {
        let flag = if self.python < (3, 8) { "m" } else { "" };
        format!("cp{}{}{flag}", self.python.0, self.python.1)
    }
}

/// Where an installer puts the parts of a wheel. All paths are absolute, without a trailing slash, and lead through
/// real folders: a link among them would become a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Major and minor version of the Python, which some commands have in their names.
    pub python: (u32, u32),
    /// Where `*.data/data` goes: the prefix of the Python.
    pub data: String,
    /// Where pure modules go: `<prefix>/lib/python3.9/site-packages`, or `dist-packages` on Debian.
    pub purelib: String,
    /// Where modules with machine code go; mostly the same.
    pub platlib: String,
    /// Where commands go: `<prefix>/bin`.
    pub scripts: String,
    /// Where headers go, one folder a distribution below it: `<prefix>/include/python3.9`.
    pub headers: String,
    /// What runs the commands: `<prefix>/bin/python3.9`.
    pub interpreter: String,
    /// Owner of all files and new folders.
    pub uid: u64,
    /// Group of all files and new folders.
    pub gid: u64,
    /// Modification time of all files and new folders, seconds since 1970 UTC.
    pub mtime: u64,
    /// What modules are compiled by: all that their bytecode depends on besides the source, its path and its time. None:
    /// they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytecode: Option<String>,
}

impl Layout {
    /// What CPython's own scheme `posix_prefix` says of `prefix`, for owner 0. The interpreter is `<prefix>/bin/pythonX.Y`.
    pub fn posix_prefix(prefix: &str, python: (u32, u32), mtime: u64) -> Self {
        let prefix = prefix.trim_end_matches('/');
        let version = format!("python{}.{}", python.0, python.1);
        let site = format!("{prefix}/lib/{version}/site-packages");
        Self {
            python,
            data: prefix.to_owned(),
            purelib: site.clone(),
            platlib: site,
            scripts: format!("{prefix}/bin"),
            headers: format!("{prefix}/include/{version}"),
            interpreter: format!("{prefix}/bin/{version}"),
            uid: 0,
            gid: 0,
            mtime,
            bytecode: None,
        }
    }

    /// Where the Python looks for the bytecode of a source: `importlib.util.cache_from_source`. None where it is not
    /// compiled: pip compiles whatever ends in `.py`.
    pub(crate) fn bytecode_path(&self, source: &str) -> Option<String> {
        let (folder, name) = source.rsplit_once('/').filter(|_| self.bytecode.is_some())?;
        let stem = name.strip_suffix(".py")?;
        let (stem, (major, minor)) = (if stem.is_empty() { "py" } else { stem }, self.python);
        Some(format!("{folder}/__pycache__/{stem}.cpython-{major}{minor}.pyc"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `importlib.util.cache_from_source` says it.
    #[test]
    fn bytecode_lies_beside_its_source() {
        let plain = Layout::posix_prefix("/usr", (3, 11), 0);
        assert_eq!(plain.bytecode_path("/a/b.py"), None);
        let layout = Layout { bytecode: Some("1".to_owned()), ..plain };
        let path = |source| layout.bytecode_path(source);
        assert_eq!(path("/a/b.py").as_deref(), Some("/a/__pycache__/b.cpython-311.pyc"));
        assert_eq!(path("/a/b.c.py").as_deref(), Some("/a/__pycache__/b.c.cpython-311.pyc"));
        assert_eq!(path("/a/.py").as_deref(), Some("/a/__pycache__/py.cpython-311.pyc"));
        assert_eq!(["/a/b.PY", "/a/b.pyi", "/a/py"].map(path), [None, None, None]);
    }
}
