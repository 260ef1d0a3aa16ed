//! Writing zip archives that need not be right (APPNOTE.TXT 6.3.9).

use std::io::Write as _;

use flate2::{Compression, write::DeflateEncoder};

/// One entry, with every field free to lie.
#[derive(Clone)]
pub struct ZipEntry {
    /// Name in the central directory.
    pub name: Vec<u8>,
    /// Name in the entry's own header.
    pub local_name: Vec<u8>,
    /// Bytes in the archive.
    pub raw: Vec<u8>,
    /// Compression method: 0 stored, 8 deflate.
    pub method: u16,
    /// Flags: 1 encrypted, 8 data descriptor, 0x800 UTF-8.
    pub flags: u16,
    /// CRC-32 that is claimed.
    pub crc32: u32,
    /// Size that is claimed.
    pub size: u64,
    /// Unix mode.
    pub mode: u32,
    /// Whether sizes and offset are in a zip64 field.
    pub zip64: bool,
    /// Where the entry is said to begin, if not where it does.
    pub offset: Option<u64>,
}

impl ZipEntry {
    /// An honest entry.
    pub fn new(name: &str, bytes: &[u8], deflated: bool) -> Self {
        let raw = if deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        } else {
            bytes.to_vec()
        };
        Self {
            name: name.as_bytes().to_vec(),
            local_name: name.as_bytes().to_vec(),
            raw,
            method: if deflated { 8 } else { 0 },
            flags: if name.is_ascii() { 0 } else { 0x800 },
            crc32: crc32fast::hash(bytes),
            size: bytes.len() as u64,
            mode: 0,
            zip64: false,
            offset: None,
        }
    }
}

/// The archive. `count` is how many entries the end record claims, if not as many as there are.
pub fn zip(entries: &[ZipEntry], count: Option<u16>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let offset = entry.offset.unwrap_or(out.len() as u64);
        let described = entry.flags & 8 != 0;
        let length = entry.raw.len() as u64;
        out.extend_from_slice(b"PK\x03\x04");
        put16(&mut out, &[if entry.zip64 { 45 } else { 20 }, entry.flags, entry.method, 0, 0x21]);
        put32(&mut out, &[if described { 0 } else { entry.crc32 }]);
        let sizes = if described { (0, 0) } else { (length, entry.size) };
        let local = if entry.zip64 { zip64_field(&[sizes.1, sizes.0]) } else { Vec::new() };
        let small = |size: u64| if entry.zip64 { u32::MAX } else { size as u32 };
        put32(&mut out, &[small(sizes.0), small(sizes.1)]);
        put16(&mut out, &[entry.local_name.len() as u16, local.len() as u16]);
        out.extend_from_slice(&entry.local_name);
        out.extend_from_slice(&local);
        out.extend_from_slice(&entry.raw);
        if described {
            out.extend_from_slice(b"PK\x07\x08");
            put32(&mut out, &[entry.crc32, length as u32, entry.size as u32]);
        }
        let extra = if entry.zip64 { zip64_field(&[entry.size, length, offset]) } else { Vec::new() };
        directory.extend_from_slice(b"PK\x01\x02");
        put16(&mut directory, &[3 << 8 | 20, 20, entry.flags, entry.method, 0, 0x21]);
        put32(&mut directory, &[entry.crc32, small(length), small(entry.size)]);
        put16(&mut directory, &[entry.name.len() as u16, extra.len() as u16, 0, 0, 0]);
        put32(&mut directory, &[entry.mode << 16, small(offset)]);
        directory.extend_from_slice(&entry.name);
        directory.extend_from_slice(&extra);
    }
    let start = out.len() as u32;
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06");
    let count = count.unwrap_or(entries.len() as u16);
    put16(&mut out, &[0, 0, count, count]);
    put32(&mut out, &[directory.len() as u32, start]);
    put16(&mut out, &[0]);
    out
}

fn zip64_field(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    put16(&mut out, &[1, 8 * values.len() as u16]);
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    out
}

fn put16(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put32(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}
