//! Small ELF files made for a purpose: headers and a dynamic section, and no code.

/// `e_machine` of x86-64.
pub const X86_64: u16 = 62;
/// `e_machine` of the code that MindSpore's wheels hold for the cores of the NPU.
pub const NPU: u16 = 0x1029;

/// Where the one segment is loaded, so that no address is an offset.
const ADDRESS: usize = 0x1_0000;
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// The first bytes of a shared library for this machine (ELF's `e_machine`), long enough to be one.
pub fn library_for(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[..18].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes
}

/// A shared library for aarch64 (System V ABI; symbol versions of the Linux Standard Base).
#[derive(Debug, Clone, Default)]
pub struct FakeLibrary {
    soname: Option<String>,
    needed: Vec<String>,
    required: Vec<(String, Vec<String>)>,
    defined: Vec<String>,
    patched: bool,
}

impl FakeLibrary {
    /// One without a name that needs nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives it a name.
    pub fn soname(mut self, name: &str) -> Self {
        self.soname = Some(name.to_owned());
        self
    }

    /// Has it need this library, and these versions of it.
    pub fn needs(mut self, library: &str, versions: &[&str]) -> Self {
        self.needed.push(library.to_owned());
        if !versions.is_empty() {
            let versions = versions.iter().map(|version| (*version).to_owned()).collect();
            self.required.push((library.to_owned(), versions));
        }
        self
    }

    /// Has it define this version.
    pub fn defines(mut self, version: &str) -> Self {
        self.defined.push(version.to_owned());
        self
    }

    /// Puts the names behind all else, where auditwheel's patchelf puts them.
    pub fn patched(mut self) -> Self {
        self.patched = true;
        self
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut names = Names(vec![0]);
        let needed: Vec<usize> = self.needed.iter().map(|name| names.put(name)).collect();
        let soname = self.soname.as_ref().map(|name| names.put(name));
        let (required, defined) = (self.required(&mut names), self.defined(&mut names));

        let entries = 5 + needed.len() + self.required.len() + self.defined.len();
        let versions = HEADER + 2 * PROGRAM_HEADER;
        let dynamic = versions + required.len() + defined.len() + if self.patched { 0 } else { names.0.len() };
        let behind = dynamic + 16 * entries;
        let (table, required_at) = if self.patched { (behind, versions) } else { (versions, versions + names.0.len()) };
        let defined_at = required_at + required.len();

        let mut section: Vec<(usize, usize)> = needed.into_iter().map(|name| (1, name)).collect();
        section.extend(soname.map(|name| (14, name)));
        section.extend([(5, ADDRESS + table), (10, names.0.len())]);
        section.extend((!required.is_empty()).then_some((0x6fff_fffe, ADDRESS + required_at)));
        section.extend((!defined.is_empty()).then_some((0x6fff_fffc, ADDRESS + defined_at)));
        section.resize(entries, (0, 0));
        let section: Vec<u8> = section.iter().flat_map(|(tag, value)| [word(*tag), word(*value)].concat()).collect();

        let mut bytes = library_for(183);
        bytes.resize(HEADER, 0);
        bytes[32..40].copy_from_slice(&word(HEADER));
        bytes[54..58].copy_from_slice(&[PROGRAM_HEADER as u8, 0, 2, 0]);
        let whole = behind + if self.patched { names.0.len() } else { 0 };
        for (kind, offset, size) in [(1, 0, whole), (2, dynamic, section.len())] {
            let address = ADDRESS + offset;
            let fields = [kind, offset, address, address, size, size, 8].map(word);
            bytes.extend(fields.concat());
        }
        let body =
            if self.patched { [required, defined, section, names.0] } else { [names.0, required, defined, section] };
        [bytes, body.concat()].concat()
    }

    /// One `Elf64_Verneed` for each library, followed by its `Elf64_Vernaux`s.
    fn required(&self, names: &mut Names) -> Vec<u8> {
        let mut table = Vec::new();
        for (number, (library, versions)) in self.required.iter().enumerate() {
            let next = if number + 1 < self.required.len() { 16 + 16 * versions.len() } else { 0 };
            table.extend(u16s([1, versions.len()]));
            table.extend(u32s([names.put(library), 16, next]));
            for (number, version) in versions.iter().enumerate() {
                let next = if number + 1 < versions.len() { 16 } else { 0 };
                table.extend(u32s([0, 0, names.put(version), next]));
            }
        }
        table
    }

    /// One `Elf64_Verdef` for the library's own name and for each version, each followed by its `Elf64_Verdaux`.
    fn defined(&self, names: &mut Names) -> Vec<u8> {
        let mut table = Vec::new();
        let own = self.soname.as_ref().filter(|_| !self.defined.is_empty());
        let all: Vec<&String> = own.into_iter().chain(&self.defined).collect();
        for (number, version) in all.iter().enumerate() {
            let is_base = own.is_some() && number == 0;
            let next = if number + 1 < all.len() { 28 } else { 0 };
            table.extend(u16s([1, usize::from(is_base), number + 1, 1]));
            table.extend(u32s([0, 20, next, names.put(version), 0]));
        }
        table
    }
}

/// A table of names, each ended by a NUL.
struct Names(Vec<u8>);

impl Names {
    fn put(&mut self, name: &str) -> usize {
        let at = self.0.len();
        self.0.extend([name.as_bytes(), b"\0"].concat());
        at
    }
}

fn word(value: usize) -> [u8; 8] {
    (value as u64).to_le_bytes()
}

fn u16s<const N: usize>(values: [usize; N]) -> Vec<u8> {
    values.into_iter().flat_map(|value| (value as u16).to_le_bytes()).collect()
}

fn u32s<const N: usize>(values: [usize; N]) -> Vec<u8> {
    values.into_iter().flat_map(|value| (value as u32).to_le_bytes()).collect()
}
