//! The dynamic section: System V ABI, "Dynamic Linking"; versions of symbols: Linux Standard Base, "Symbol Versioning".

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use serde::{Deserialize, Serialize};

use crate::Elf;

/// Program headers that a file may have; linkers make some ten.
const HEADERS: usize = 128;
/// Bytes of the dynamic section; libraries with a hundred needs have 2 KiB.
const DYNAMIC: u64 = 64 << 10;
/// Bytes of the table of names; the largest known, of MindSpore's `libakg.so`, has 5 MiB.
const NAMES: u64 = 16 << 20;
/// Bytes of either table of versions, of which only the beginning is known: that of glibc has 2 KiB.
const VERSIONS: u64 = 64 << 10;
/// Bytes that the names taken from one file may have together: the largest known have 2 KiB.
const TAKEN: usize = 16 << 10;

/// What a file tells the dynamic loader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linkage {
    /// The name by which other files need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// Names of the libraries that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// Versions that it requires, by the library that is to define them; without those that may be missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub required: BTreeMap<String, BTreeSet<String>>,
    /// Versions that it defines.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub defined: BTreeSet<String>,
}

impl Linkage {
    /// That of a file, or of its beginning, in memory.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let range = |offset, size| {
            let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
            Ok(rest[..rest.len().min(usize::try_from(size).unwrap_or(usize::MAX))].to_vec())
        };
        // Memory gives no error.
        Self::read(range).ok().flatten()
    }

    /// Reads the linkage of a file for aarch64 through `at`, which gives so many bytes from an offset on, fewer where the
    /// file ends. Offsets ascend, except that there is one step back. None where the file has no linkage, or none that
    /// can be understood; whatever it holds, some 17 MiB are asked for at most.
    pub fn read(mut at: impl FnMut(u64, u64) -> io::Result<Vec<u8>>) -> io::Result<Option<Self>> {
        let head = at(0, 64)?;
        let Some((offset, count)) = program_headers(&head) else { return Ok(None) };
        let headers = at(offset, (count * 56) as u64)?;
        let Some(segments) = Segments::parse(&headers) else { return Ok(None) };
        let (offset, size) = segments.dynamic;
        let Some(dynamic) = Dynamic::parse(&at(offset, size.min(DYNAMIC))?) else { return Ok(None) };
        let here = offset.saturating_add(size);
        let range = |address, size| segments.offset(address).map(|offset| (offset, size));
        let ranges = [
            dynamic.names.and_then(|(address, size)| range(address, size.min(NAMES))),
            dynamic.required.and_then(|address| range(address, VERSIONS)),
            dynamic.defined.and_then(|address| range(address, VERSIONS)),
        ];
        let there = ranges.iter().enumerate().filter_map(|(of, range)| range.map(|(offset, size)| (of, offset, size)));
        let mut order: Vec<(usize, u64, u64)> = there.collect();
        // What lies behind the dynamic section first: linkers put it last, auditwheel's patchelf puts the names behind it.
        order.sort_by_key(|(_, offset, _)| (*offset < here, *offset));
        let mut tables: [Vec<u8>; 3] = Default::default();
        for (number, (of, offset, size)) in order.iter().enumerate() {
            // One ends where the next begins: nobody says how long the tables of versions are.
            let next = order.get(number + 1).map(|(_, next, _)| *next).filter(|next| next > offset);
            tables[*of] = at(*offset, next.map_or(*size, |next| (next - offset).min(*size)))?;
        }
        let [names, required, defined] = tables;
        Ok(dynamic.linkage(&mut Names { table: &names, left: TAKEN }, &required, &defined))
    }
}

/// Where the program headers lie, and how many they are, in the header of a little-endian file for aarch64.
fn program_headers(head: &[u8]) -> Option<(u64, usize)> {
    let is_ours = Elf::parse(head)? == Elf::AARCH64 && head[5] == 1;
    let (offset, size, count) = (u64_at(head, 32)?, u16_at(head, 54)?, usize::from(u16_at(head, 56)?));
    (is_ours && size == 56 && count <= HEADERS).then_some((offset, count))
}

/// Which parts of the file are loaded where.
struct Segments {
    /// Address, offset and size of each.
    loaded: Vec<(u64, u64, u64)>,
    /// Offset and size of the dynamic section.
    dynamic: (u64, u64),
}

impl Segments {
    fn parse(headers: &[u8]) -> Option<Self> {
        const LOAD: u32 = 1;
        const DYNAMIC: u32 = 2;
        let (mut loaded, mut dynamic) = (Vec::new(), None);
        for header in headers.chunks_exact(56) {
            let (offset, address, size) = (u64_at(header, 8)?, u64_at(header, 16)?, u64_at(header, 32)?);
            match u32_at(header, 0)? {
                LOAD => loaded.push((address, offset, size)),
                DYNAMIC => dynamic = Some((offset, size)),
                _ => {}
            }
        }
        Some(Self { loaded, dynamic: dynamic? })
    }

    /// Where in the file lies what is loaded at this address.
    fn offset(&self, address: u64) -> Option<u64> {
        let holds = |(start, _, size): &&(u64, u64, u64)| address.checked_sub(*start).is_some_and(|into| into < *size);
        let (start, offset, _) = self.loaded.iter().find(holds)?;
        offset.checked_add(address - start)
    }
}

/// The entries of the dynamic section that are of use. Names are offsets into the table of names.
#[derive(Default)]
struct Dynamic {
    soname: Option<u64>,
    needed: Vec<u64>,
    /// Address and size of the table of names.
    names: Option<(u64, u64)>,
    /// Addresses of the tables of versions.
    required: Option<u64>,
    defined: Option<u64>,
}

impl Dynamic {
    fn parse(section: &[u8]) -> Option<Self> {
        let (mut found, mut names, mut size) = (Self::default(), None, None);
        for entry in section.chunks_exact(16) {
            let value = u64_at(entry, 8)?;
            match u64_at(entry, 0)? {
                0 => break,                                  // DT_NULL
                1 => found.needed.push(value),               // DT_NEEDED
                5 => names = Some(value),                    // DT_STRTAB
                10 => size = Some(value),                    // DT_STRSZ
                14 => found.soname = Some(value),            // DT_SONAME
                0x6fff_fffc => found.defined = Some(value),  // DT_VERDEF
                0x6fff_fffe => found.required = Some(value), // DT_VERNEED
                _ => {}
            }
        }
        found.names = names.zip(size);
        found.names.is_some().then_some(found)
    }

    fn linkage(&self, names: &mut Names<'_>, required: &[u8], defined: &[u8]) -> Option<Linkage> {
        let soname = match self.soname {
            Some(at) => Some(names.take(at)?),
            None => None,
        };
        let needed = self.needed.iter().map(|at| names.take(*at)).collect::<Option<_>>()?;
        let mut found = Linkage { soname, needed, ..Linkage::default() };
        // Elf64_Verneed: version, count of Vernaux, file, offset of Vernaux, offset of the next.
        chain(required, 0, 12, |need, at| {
            let library = names.take(u32_at(need, 4)?.into())?;
            let versions = found.required.entry(library).or_default();
            // Elf64_Vernaux: hash, flags, index, name, offset of the next.
            chain(required, at.checked_add(u32_at(need, 8)? as usize)?, 12, |version, _| {
                const WEAK: u16 = 2;
                let name = names.take(u32_at(version, 8)?.into())?;
                if u16_at(version, 4)? & WEAK == 0 {
                    versions.insert(name);
                }
                Some(())
            })
        })?;
        // Elf64_Verdef: version, flags, index, count of Verdaux, hash, offset of Verdaux, offset of the next.
        chain(defined, 0, 16, |definition, at| {
            const BASE: u16 = 1;
            let own = at.checked_add(u32_at(definition, 12)? as usize)?;
            // The base definition is the file's own name. The first Verdaux has the version's, others its parents'.
            if u16_at(definition, 2)? & BASE == 0 {
                found.defined.insert(names.take(u32_at(defined, own)?.into())?);
            }
            Some(())
        })?;
        Some(found)
    }
}

/// Visits records of which each tells, at `next` bytes from its beginning, how far behind it the next one lies.
fn chain(table: &[u8], mut at: usize, next: usize, mut visit: impl FnMut(&[u8], usize) -> Option<()>) -> Option<()> {
    while let Some(record) = table.get(at..).filter(|record| !record.is_empty()) {
        visit(record, at)?;
        match u32_at(record, next)? {
            0 => break,
            step => at = at.checked_add(step as usize)?,
        }
    }
    Some(())
}

/// The table of names, and how many bytes may still be taken from it.
struct Names<'a> {
    table: &'a [u8],
    left: usize,
}

impl Names<'_> {
    fn take(&mut self, at: u64) -> Option<String> {
        let rest = self.table.get(usize::try_from(at).ok()?..)?;
        let name = &rest[..rest.iter().take(self.left).position(|byte| *byte == 0)?];
        // An empty one costs something too, lest there be endlessly many.
        self.left = self.left.checked_sub(name.len() + 1)?;
        String::from_utf8(name.to_vec()).ok()
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes_at(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use elf_fake::FakeLibrary;
    use proptest::prelude::*;

    use super::*;

    /// Reads these bytes, and how often that went back.
    fn read(bytes: &[u8]) -> (Option<Linkage>, usize) {
        let (mut back, mut last) = (0, 0);
        let linkage = Linkage::read(|offset, size| {
            back += usize::from(offset < last);
            last = offset.saturating_add(size);
            let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            Ok(rest[..rest.len().min(usize::try_from(size).unwrap())].to_vec())
        });
        (linkage.unwrap(), back)
    }

    fn library() -> FakeLibrary {
        FakeLibrary::new()
            .soname("libx.so.1")
            .needs("liby.so", &[])
            .needs("libstdc++.so.6", &["GLIBCXX_3.4", "GLIBCXX_3.4.30"])
            .needs("libc.so.6", &["GLIBC_2.17"])
            .defines("X_1.0")
            .defines("X_2.0")
    }

    #[test]
    fn linkage_is_read_with_one_step_back_wherever_the_names_lie() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let expected = Linkage {
            soname: Some("libx.so.1".to_owned()),
            needed: ["liby.so", "libstdc++.so.6", "libc.so.6"].map(str::to_owned).into(),
            required: [
                ("libc.so.6".to_owned(), words(&["GLIBC_2.17"])),
                ("libstdc++.so.6".to_owned(), words(&["GLIBCXX_3.4", "GLIBCXX_3.4.30"])),
            ]
            .into(),
            defined: words(&["X_1.0", "X_2.0"]),
        };
        assert_eq!(read(&library().bytes()), (Some(expected.clone()), 1));
        assert_eq!(read(&library().patched().bytes()), (Some(expected), 1));
    }

    #[test]
    fn what_is_no_library_for_aarch64_has_no_linkage() {
        for bytes in
            [b"".as_slice(), b"#!/bin/sh", &elf_fake::library_for(elf_fake::X86_64), &elf_fake::library_for(183)]
        {
            assert_eq!(read(bytes).0, None);
        }
        assert_eq!(read(&FakeLibrary::new().bytes()).0, Some(Linkage::default()));
    }

    /// Records may overlap, each beginning a byte behind the one before, and all have the same long name.
    #[test]
    fn what_would_grow_without_end_is_given_up() {
        let many = (0..2000).fold(FakeLibrary::new(), |library, number| library.needs(&format!("lib{number}.so"), &[]));
        assert_eq!(read(&many.bytes()).0, None);
        let mut names = Names { table: &[0; 10], left: 3 };
        assert_eq!((0..5).map(|at| names.take(at).is_some()).collect::<Vec<_>>(), [true, true, true, false, false]);
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(
            patched in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            end in any::<prop::sample::Index>(),
        ) {
            let mut bytes = if patched { library().patched() } else { library() }.bytes();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            read(&bytes);
            bytes.truncate(end.index(bytes.len()));
            read(&bytes);
        }
    }
}
