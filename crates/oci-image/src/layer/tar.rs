//! Headers of a tar archive: POSIX ustar, with a PAX extended header (POSIX.1-2001) before entries that don't fit.

use super::Attr;

/// Bytes of a tar block; headers are one, contents are padded to whole ones.
pub(crate) const BLOCK: u64 = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A regular file of this many bytes.
    File(u64),
    /// A folder.
    Dir,
    /// A symbolic link to this target.
    Symlink(&'a str),
    /// Another name of the file with this one, which comes before it.
    HardLink(&'a str),
}

/// Appends the header blocks of one entry. `name` has no leading and no trailing slash.
pub(crate) fn push_header(out: &mut Vec<u8>, name: &str, kind: Kind<'_>, attr: &Attr) {
    let dir_name;
    let name = match kind {
        Kind::Dir => {
            dir_name = format!("{name}/");
            &dir_name
        }
        _ => name,
    };
    let (size, flag, link) = match kind {
        Kind::File(size) => (size, b'0', ""),
        Kind::Dir => (0, b'5', ""),
        Kind::Symlink(target) => (0, b'2', target),
        Kind::HardLink(target) => (0, b'1', target),
    };
    let mut records = Vec::new();
    let place = place(name);
    if place.is_none() {
        push_record(&mut records, "path", name);
    }
    if link.len() > 100 || !link.is_ascii() {
        push_record(&mut records, "linkpath", link);
    }
    for (key, value, digits) in
        [("size", size, 11), ("uid", attr.uid, 7), ("gid", attr.gid, 7), ("mtime", attr.mtime, 11)]
    {
        if value >> (3 * digits) != 0 {
            push_record(&mut records, key, &value.to_string());
        }
    }
    if !records.is_empty() {
        let header = Attr { mode: 0o644, uid: 0, gid: 0, mtime: attr.mtime.min(0o777_7777_7777) };
        push_block(out, ("PaxHeader", ""), "", records.len() as u64, b'x', &header);
        let padded = records.len().next_multiple_of(BLOCK as usize);
        records.resize(padded, 0);
        out.extend_from_slice(&records);
    }
    // Readers that know PAX take the name from there; others should see one.
    push_block(out, place.unwrap_or(("PaxEntry", "")), link, size, flag, attr);
}

/// How a name is spread over the 100 bytes of `name` and the 155 of `prefix`; none where it does not fit.
fn place(name: &str) -> Option<(&str, &str)> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= 100 {
        return Some((name, ""));
    }
    // The split falls on a slash that is not the last byte; the first one that leaves at most 100 bytes behind it.
    let from = name.len() - 101;
    let slash = from + name[from..name.len() - 1].find('/')?;
    (slash <= 155).then(|| (&name[slash + 1..], &name[..slash]))
}

fn push_block(out: &mut Vec<u8>, (name, prefix): (&str, &str), link: &str, size: u64, flag: u8, attr: &Attr) {
    let mut block = [0_u8; BLOCK as usize];
    put_text(&mut block[0..100], name);
    put_octal(&mut block[100..108], u64::from(attr.mode & 0o7777));
    put_octal(&mut block[108..116], attr.uid);
    put_octal(&mut block[116..124], attr.gid);
    put_octal(&mut block[124..136], size);
    put_octal(&mut block[136..148], attr.mtime);
    block[148..156].fill(b' ');
    block[156] = flag;
    put_text(&mut block[157..257], if link.is_ascii() { link } else { "" });
    block[257..265].copy_from_slice(b"ustar\x0000");
    put_octal(&mut block[329..337], 0);
    put_octal(&mut block[337..345], 0);
    put_text(&mut block[345..500], prefix);
    let mut sum = 0;
    for byte in block {
        sum += u64::from(byte);
    }
    put_octal(&mut block[148..155], sum);
    out.extend_from_slice(&block);
}

/// As much of the text as fits; where something is cut off, a PAX record holds the whole.
fn put_text(field: &mut [u8], text: &str) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

/// Octal digits, zero padded, one byte left for the closing NUL; 0 where a PAX record holds the number.
fn put_octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let value = if value >> (3 * digits) == 0 { value } else { 0 };
    for (at, byte) in field[..digits].iter_mut().enumerate() {
        *byte = b'0' + ((value >> (3 * (digits - 1 - at))) & 7) as u8;
    }
}

/// A PAX record: its own length in decimal, a space, `key=value`, a newline.
fn push_record(out: &mut Vec<u8>, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    out.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
}

/// Zero bytes that follow contents of this many bytes.
pub(crate) fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK) - size) as usize
}
