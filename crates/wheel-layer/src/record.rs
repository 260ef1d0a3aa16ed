//! RECORD: the list of a distribution's files (PEP 376 and PEP 427), comma-separated as Python's csv module does.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use oci_image::ContentHash;
use serde::{Deserialize, Serialize};

/// One row: path, hash and size in bytes as they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Path with forward slashes, relative to the folder that the `.dist-info` folder lies in.
    pub path: String,
    /// `sha256=` and unpadded urlsafe Base64, or nothing.
    pub hash: String,
    /// Size in bytes, or nothing.
    pub size: String,
}

/// More rows than any wheel has files.
const ROWS: usize = 250_000;

/// Reads RECORD; the error names the line.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() {
            continue;
        }
        if rows.len() == ROWS {
            return Err(format!("it has more than {ROWS} rows"));
        }
        let mut fields =
            split_line(line).ok_or_else(|| format!("line {} has a quote that is not closed", number + 1))?.into_iter();
        let mut next = || fields.next().unwrap_or_default();
        rows.push(Row { path: next(), hash: next(), size: next() });
    }
    Ok(rows)
}

fn split_line(line: &str) -> Option<Vec<String>> {
    if !line.contains('"') {
        return Some(line.split(',').map(str::to_owned).collect());
    }
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut letters = line.chars().peekable();
    let mut quoted = false;
    let mut begins = true;
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if begins => quoted = true,
            ',' if !quoted => {
                fields.push(std::mem::take(&mut field));
                begins = true;
                continue;
            }
            other => field.push(other),
        }
        begins = false;
    }
    fields.push(field);
    (!quoted).then_some(fields)
}

/// Writes RECORD as pip does: sorted rows, lines that end in CR LF.
pub(crate) fn write(mut rows: Vec<Row>) -> Vec<u8> {
    rows.sort_unstable();
    let mut out = String::new();
    for Row { path, hash, size } in &rows {
        for (field, end) in [(path, ","), (hash, ","), (size, "\r\n")] {
            // One after the other: to be sought together takes a hundred times as long without optimisation.
            if [',', '"', '\r', '\n'].into_iter().any(|special| field.contains(special)) {
                out.push('"');
                out.push_str(&field.replace('"', "\"\""));
                out.push('"');
            } else {
                out.push_str(field);
            }
            out.push_str(end);
        }
    }
    out.into_bytes()
}

/// The hash of a row: none where it is empty; the error says what is wrong with it.
pub(crate) fn hash(text: &str) -> Result<Option<ContentHash>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let malformed = || format!("`{text}` is not a hash");
    let (name, value) = text.split_once('=').ok_or_else(malformed)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).map_err(|_| malformed())?;
    let hash = match name {
        "sha256" => bytes.try_into().ok().map(ContentHash::Sha256),
        "sha384" => bytes.try_into().ok().map(ContentHash::Sha384),
        "sha512" => bytes.try_into().ok().map(ContentHash::Sha512),
        // PEP 427 asks for SHA-256 or better.
        _ => return Err(format!("`{name}` is not one of the hashes sha256, sha384, sha512")),
    };
    hash.map(Some).ok_or_else(malformed)
}

/// A SHA-256 as a row has it.
pub(crate) fn sha256(digest: &[u8]) -> String {
    format!("sha256={}", BASE64_URL_SAFE_NO_PAD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::{Row, hash, parse, write};

    fn row(path: &str, hash: &str, size: &str) -> Row {
        Row { path: path.to_owned(), hash: hash.to_owned(), size: size.to_owned() }
    }

    /// `csv.writer(open("RECORD", "w", newline="")).writerows(...)` writes these bytes.
    #[test]
    fn writes_and_reads_like_pythons_csv() {
        let rows = vec![row("b", "sha256=x", "1"), row("a,\"q\"", "", "")];
        let bytes = write(rows.clone());
        assert_eq!(String::from_utf8_lossy(&bytes), "\"a,\"\"q\"\"\",,\r\nb,sha256=x,1\r\n");
        let mut sorted = rows;
        sorted.sort();
        assert_eq!(parse(&bytes).unwrap(), sorted);
    }

    #[test]
    fn short_and_empty_lines_are_read() {
        assert_eq!(parse(b"a\n\nb,sha256=x,2,more\n").unwrap(), [row("a", "", ""), row("b", "sha256=x", "2")]);
        assert_eq!(parse(b"a\n\"b,,\n").unwrap_err(), "line 2 has a quote that is not closed");
        assert_eq!(parse(b"\xff").unwrap_err(), "it is not UTF-8");
    }

    #[test]
    fn only_strong_hashes_count() {
        assert_eq!(hash(""), Ok(None));
        assert!(matches!(hash("sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"), Ok(Some(_))));
        assert_eq!(hash("md5=abc").unwrap_err(), "`md5` is not one of the hashes sha256, sha384, sha512");
        assert_eq!(hash("sha256=abc").unwrap_err(), "`sha256=abc` is not a hash");
    }
}
