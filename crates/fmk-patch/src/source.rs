//! Bytes of a script as the text that Python would read, at the same offsets.
//!
//! Only the places of statements matter, so bytes of a declared legacy encoding are masked rather than decoded: every
//! byte of a multi-byte character becomes one `x`. Names and strings with such characters lose their spelling, nothing
//! else, and each offset in the text is an offset in the file.

use std::borrow::Cow;

use crate::lines::{self, line_at};
use crate::refused::Refused;

/// Longest script that is looked at, in bytes. The vendor's have 5 to 9 KB.
pub const MAX_BYTES: usize = 1 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The text of `bytes`, of the same length.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Refused> {
    if bytes.len() > MAX_BYTES {
        return Err(Refused::TooLarge { bytes: bytes.len() as u64 });
    }
    if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
        return Err(Refused::ZeroByte { line: line_at(bytes, offset) });
    }
    let declared = cookie(bytes);
    let Some(declared) = declared.filter(|name| !is_utf8(name)) else {
        return utf8(bytes);
    };
    if bytes.starts_with(BOM) {
        return Err(Refused::MarkAgainstCookie(declared));
    }
    let family = Family::of(&declared).ok_or_else(|| Refused::Encoding(declared.clone()))?;
    mask(bytes, family).map(Cow::Owned).map_err(|offset| Refused::NotInEncoding {
        encoding: declared,
        offset,
        line: line_at(bytes, offset),
    })
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, Refused> {
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
        let offset = error.valid_up_to();
        Refused::NotInEncoding { encoding: "UTF-8".to_owned(), offset, line: line_at(bytes, offset) }
    })
}

/// The coding cookie of PEP 263, lowercase with `-` for `_`: in a comment of the first line, or of the second when the
/// first is blank or a comment.
fn cookie(bytes: &[u8]) -> Option<String> {
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    for line in lines::split(text).take(2) {
        // Blanks and form feeds may come first; `trim_ascii` takes just these and the line's ending.
        match line.trim_ascii() {
            [] => continue,
            [b'#', comment @ ..] => {
                if let Some(name) = cookie_in(comment) {
                    return Some(name);
                }
            }
            _ => return None,
        }
    }
    None
}

/// `coding[:=][ \t]*([-_.a-zA-Z0-9]+)` anywhere in a comment.
fn cookie_in(comment: &[u8]) -> Option<String> {
    let mut rest = comment;
    while let Some(at) = rest.windows(6).position(|window| window == b"coding") {
        rest = rest.get(at + 6..)?;
        let Some((b':' | b'=', name)) = rest.split_first() else { continue };
        let blanks = name.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let name: String = name
            .iter()
            .skip(blanks)
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            .map(|&byte| if byte == b'_' { '-' } else { char::from(byte.to_ascii_lowercase()) })
            .collect();
        if !name.is_empty() {
            return Some(name);
        }
    }
    None
}

fn is_utf8(name: &str) -> bool {
    matches!(name, "utf-8" | "utf8" | "u8" | "utf" | "cp65001") || name.starts_with("utf-8-")
}

/// How many bytes a character above ASCII takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// None is allowed.
    Ascii,
    /// Each byte stands for itself and never for ASCII: single-byte encodings and the EUC ones.
    HighBytes,
    /// Two bytes, the second of which may look like ASCII: GBK and Big5.
    Pairs,
    /// The same, or four bytes of which the second and fourth are digits.
    Gb18030,
}

impl Family {
    /// The encodings that Python 3.9 knows by these names and in which bytes below 0x80 outside characters are ASCII.
    fn of(name: &str) -> Option<Family> {
        match name {
            "ascii" | "us-ascii" | "646" => Some(Family::Ascii),
            "latin-1" | "latin1" | "latin" | "l1" | "8859" | "koi8-r" | "koi8-u" | "mac-roman" | "gb2312"
            | "gb-2312" | "euc-cn" | "euccn" | "euc-kr" | "euckr" => Some(Family::HighBytes),
            "gbk" | "cp936" | "936" | "ms936" | "big5" | "big5-tw" | "cp950" => Some(Family::Pairs),
            "gb18030" | "gb18030-2000" => Some(Family::Gb18030),
            _ if ["latin-1-", "iso-8859-1-", "iso-latin-1-"].iter().any(|prefix| name.starts_with(prefix)) => {
                Some(Family::HighBytes)
            }
            _ if ["iso-8859-", "iso8859-", "latin-", "latin", "windows-125", "cp125"]
                .iter()
                .filter_map(|prefix| name.strip_prefix(prefix))
                .any(|number| (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())) =>
            {
                Some(Family::HighBytes)
            }
            _ => None,
        }
    }
}

/// The masked text, or the offset of a byte that the encoding can't have there.
fn mask(bytes: &[u8], family: Family) -> Result<String, usize> {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let length = match (first, family, tail) {
            (0..=0x7f, ..) => 1,
            (_, Family::HighBytes, _) => 1,
            (0x81..=0xfe, Family::Pairs | Family::Gb18030, [0x40..=0x7e | 0x80..=0xfe, ..]) => 2,
            (0x81..=0xfe, Family::Gb18030, [b'0'..=b'9', 0x81..=0xfe, b'0'..=b'9', ..]) => 4,
            _ => return Err(bytes.len() - rest.len()),
        };
        if first.is_ascii() {
            text.push(char::from(*first));
        } else {
            text.extend(std::iter::repeat_n('x', length));
        }
        rest = &rest[length..];
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies() {
        for (text, expected) in [
            ("# -*- coding: latin-1 -*-\n", Some("latin-1")),
            ("#!/usr/bin/python\n# vim: set fileencoding=GBK :\n", Some("gbk")),
            ("#!/usr/bin/python\r\n# coding:utf_8\r\n", Some("utf-8")),
            ("\n\u{c}# coding=big5\n", Some("big5")),
            ("\u{feff}# coding: utf-8\n", Some("utf-8")),
            ("# encoding is coding= nothing coding: koi8-r", Some("nothing")),
            ("\n\n# coding: latin-1\n", None),
            ("\r\n\r\n# coding: latin-1\r\n", None),
            ("import os\n# coding: latin-1\n", None),
            ("s = '# coding: latin-1'\n", None),
            ("# coding latin-1\n", None),
        ] {
            assert_eq!(cookie(text.as_bytes()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn legacy_text_keeps_its_offsets() {
        for (cookie, bytes, masked) in [
            ("latin-1", &b"'\xe9'"[..], "'x'"),
            ("cp1252", b"'\x93\x94'", "'xx'"),
            // The second byte of these is `\` and `|`: as ASCII they would open an escape.
            ("gbk", b"'\x81\x5c'\xd6\xd0", "'xx'xx"),
            ("big5", b"'\xa5\x7c'", "'xx'"),
            ("gb18030", b"'\x81\x30\x81\x30'", "'xxxx'"),
        ] {
            let text = [b"# coding: ", cookie.as_bytes(), b"\n", bytes].concat();
            assert_eq!(decode(&text).unwrap(), format!("# coding: {cookie}\n{masked}"));
        }
    }

    #[test]
    fn what_python_would_refuse_is_refused() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(decode(bytes).unwrap_err().to_string(), expected);
        check(b"x = 1\n'\xff'", "byte 7 (line 2) is not valid UTF-8");
        check(b"# coding: ascii\n'\xe9'", "byte 17 (line 2) is not valid ascii");
        check(b"# coding: gbk\n'\xd6'", "byte 15 (line 2) is not valid gbk");
        check(b"# coding: utf-16\n", "it declares the encoding `utf-16`, which is not supported");
        check(b"# coding: shift_jis\n", "it declares the encoding `shift-jis`, which is not supported");
        check(b"\xef\xbb\xbf# coding: gbk\n", "it starts with a UTF-8 byte order mark but declares the encoding `gbk`");
        check(b"a\r\nb\0", "it has a zero byte at line 2");
        check(&vec![b' '; MAX_BYTES + 1], "it has 1048577 bytes, more than the 1048576 allowed");
    }
}
