//! What is kept of a file: next to nothing of most, the contents of a few, a number found in some.

use crate::Attr;

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub attr: Attr,
    pub content: Content,
}

/// What was taken from a file's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing; the file is known for its mode.
    None,
    /// All of them.
    Whole(Vec<u8>),
    /// Name and version of a distribution.
    Metadata(Option<(String, String)>),
    /// Paths that a distribution lists as its own, one a line.
    Listed(String),
    /// What conda knows of a package.
    Conda(CondaPackage),
    /// Version of glibc.
    Libc((u32, u32)),
    /// An ELF program or library.
    Python(PythonBinary),
}

/// One package that conda installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CondaPackage {
    pub name: String,
    /// Paths below the prefix, one a line.
    pub files: String,
}

/// A Python interpreter or its library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PythonBinary {
    /// ELF's number of the machine.
    pub machine: Option<u16>,
    /// The third number of its version.
    pub micro: Option<u32>,
}

impl Fact {
    /// Bytes of memory beside the node.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.content {
                Content::Whole(bytes) => bytes.len(),
                Content::Listed(lines) => lines.len(),
                Content::Conda(package) => package.name.len() + package.files.len(),
                Content::Metadata(Some((name, version))) => name.len() + version.len(),
                Content::None | Content::Metadata(None) | Content::Libc(_) | Content::Python(_) => 0,
            }
    }
}
