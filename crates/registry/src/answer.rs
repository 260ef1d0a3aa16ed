//! Reading answers: bounded bodies, the registry's own words, and what a status means.

use std::{
    borrow::Cow,
    error,
    io::{self, Read as _},
    mem,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use ureq::{
    Body,
    http::{HeaderMap, Response, header},
};

use crate::{error::Cause, url::Url};

/// 16 KiB of an error's body are read; of a message 300 characters are shown.
const ERROR_LIMIT: u64 = 16 << 10;
const MESSAGE_LIMIT: usize = 300;

/// Warnings that are told of an answer, and of a registry in all.
pub(crate) const WARNINGS: usize = 16;

/// Redirects followed of one request, as many as Go's client follows.
pub(crate) const REDIRECTS: usize = 10;

/// An answer. The body of a 200 or 206 has not been read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// The start of any other body. That is read at once, so that the connection can be used again.
    text: Vec<u8>,
    /// Where it came from.
    pub(crate) url: Url,
    patience: Duration,
}

/// An error body (distribution spec, "Error Codes"); SWR has fields of its own names in it.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(alias = "errorCode")]
    code: Option<String>,
    #[serde(alias = "errorMessage")]
    message: Option<String>,
}

impl Answer {
    pub(crate) fn new(answer: Response<Body>, url: Url, patience: Duration) -> Self {
        let (parts, mut body) = answer.into_parts();
        let (status, mut text) = (parts.status.as_u16(), Vec::new());
        if !matches!(status, 200 | 206) {
            // Where there is more, or the connection breaks, the connection is dropped instead.
            let _ = body.as_reader().take(ERROR_LIMIT).read_to_end(&mut text);
        }
        Self { status, headers: parts.headers, body, text, url, patience }
    }

    /// A field as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length of the body, where it is told.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3), which is compared with the answer's own: our clock may be
    /// wrong.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let asked = self.header("retry-after")?.trim();
        if let Ok(seconds) = asked.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = httpdate::parse_http_date(asked).ok()?;
        let now = self.header("date").and_then(|date| httpdate::parse_http_date(date.trim()).ok());
        until.duration_since(now.unwrap_or_else(SystemTime::now)).ok()
    }

    /// How many bytes of an upload the registry has: `Range: 0-N`. What an upload has when it begins is told as `0-0`.
    pub(crate) fn kept(&self) -> Option<u64> {
        let range = self.header("range")?.trim();
        let (first, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
        let last: u64 = last.trim().parse().ok()?;
        (first.trim() == "0").then_some(if last == 0 { 0 } else { last.checked_add(1)? })
    }

    /// What the `Location` field leads to.
    pub(crate) fn location(&self) -> Option<Url> {
        self.url.join(self.header("location")?)
    }

    /// Where the answer to a read redirects to, if it does.
    pub(crate) fn redirect(&self) -> Option<Url> {
        self.location().filter(|_| matches!(self.status, 301 | 302 | 303 | 307 | 308))
    }

    /// Whether an answer through a proxy is the proxy's own: it has a status that proxies use, and nothing that a registry
    /// or a busy server adds. The answer to a HEAD has no body that would tell.
    pub(crate) fn is_from_proxy(&self) -> bool {
        let may_be = matches!(self.status, 403 | 502 | 503 | 504);
        let is_json = self.text.trim_ascii_start().starts_with(b"{");
        let is_servers =
            ["docker-distribution-api-version", "retry-after"].iter().any(|name| self.header(name).is_some());
        self.status == 407 || (may_be && !is_json && !is_servers)
    }

    /// What the registry has to say beside its answer (distribution spec, "Warnings"): `299 - "TEXT"` a field, 4096 bytes
    /// in all.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let fields = self.headers.get_all(header::WARNING).iter().filter_map(|field| field.to_str().ok());
        let quoted = fields.filter_map(|field| field.trim().strip_prefix("299 - \""));
        quoted.map(|quoted| words(unquote(quoted).0.as_bytes())).filter(|text| !text.is_empty()).take(WARNINGS)
    }

    /// The registry's own words about an error, on one line.
    pub(crate) fn message(&self) -> String {
        words(&self.text)
    }

    /// Reads a short body to its end, so that the connection can be used again.
    pub(crate) fn finish(mut self) {
        let _ = self.read(1 << 10);
    }

    /// Reads the whole body, of at most `limit` bytes.
    pub(crate) fn read(&mut self, limit: u64) -> Result<Vec<u8>, Cause> {
        if !matches!(self.status, 200 | 206) {
            return Ok(mem::take(&mut self.text));
        }
        let host = self.url.authority.clone();
        let mut bytes = Vec::new();
        match self.body.as_reader().take(limit + 1).read_to_end(&mut bytes) {
            Err(error) => Err(io_cause(host, self.patience, error)),
            Ok(read) if read as u64 > limit => {
                Err(Cause::Protocol(host, format!("`{}` has more than {limit} bytes", self.url)))
            }
            Ok(_) => Ok(bytes),
        }
    }
}

/// The text of a header field up to the closing quote, and what follows it.
pub(crate) fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (text, &quoted[at + 1..]),
            '\\' => text.extend(characters.next().map(|(_, c)| c)),
            c => text.push(c),
        }
    }
    (text, "")
}

/// What an I/O error on a connection means.
pub(crate) fn io_cause(host: String, patience: Duration, error: io::Error) -> Cause {
    match error.get_ref() {
        Some(inner) if inner.is::<rustls::Error>() => tls_cause(host, inner),
        Some(inner) if matches!(inner.downcast_ref(), Some(ureq::Error::Timeout(_))) => Cause::TimedOut(host, patience),
        _ if error.kind() == io::ErrorKind::ConnectionRefused => Cause::Refused(host),
        _ => Cause::Connection(host, error),
    }
}

/// What an error of TLS means.
pub(crate) fn tls_cause(host: String, error: &(dyn error::Error + 'static)) -> Cause {
    use rustls::{CertificateError as Certificate, Error};
    match error.downcast_ref() {
        Some(Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::Other(_))) => Cause::Untrusted(host),
        Some(Error::InvalidCertificate(reason)) => Cause::BadCertificate(host, reason.to_string()),
        // The first byte of a TLS record is its type; that of an HTTP answer is an H.
        Some(Error::InvalidMessage(_)) => Cause::PlainHttp(host),
        _ => Cause::Tls(host, error.to_string()),
    }
}

fn words(bytes: &[u8]) -> String {
    let text = match serde_json::from_slice::<Errors>(bytes) {
        Ok(body) => {
            let lines = body.errors.into_iter().map(|error| match (error.code, error.message) {
                (Some(code), Some(message)) if !message.is_empty() => format!("{message} ({code})"),
                (code, message) => code.or(message).unwrap_or_default(),
            });
            lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
        }
        // Pages of proxies are for browsers.
        Err(_) if bytes.trim_ascii_start().starts_with(b"<") => String::new(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let shown = text.split_whitespace().map(without_query).collect::<Vec<_>>().join(" ");
    let shown: String = shown.chars().filter(|c| !c.is_control()).take(MESSAGE_LIMIT).collect();
    shown.trim_end_matches('.').to_owned()
}

/// A word without the query of a URL: that of an upload or of a blob in storage is as good as a password.
fn without_query(word: &str) -> Cow<'_, str> {
    match word.split_once('?') {
        Some((url, query)) if url.contains('/') && query.contains('=') => format!("{url}?…").into(),
        _ => word.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_fit_on_a_line_whatever_it_sends() {
        for (body, shown) in [
            (r#"{"errors":[{"code":"DENIED","message":"no.","detail":{}}]}"#, "no. (DENIED)"),
            (r#"{"errors":[{"errorCode":"SVC.403","errorMessage":"not yours"},{}]}"#, "not yours (SVC.403)"),
            (r#"{"errors":[]}"#, ""),
            ("<html><h1>502 Bad Gateway</h1></html>", ""),
            (
                "no upload at https://r.x/v2/a/blobs/uploads/1?_state=s3cret",
                "no upload at https://r.x/v2/a/blobs/uploads/1?…",
            ),
            (r#"{"errors":[{"message":"`/v2/a?sig=s3cret&x=y`"}]}"#, "`/v2/a?…"),
            ("why? a=b", "why? a=b"),
            ("Invalid image,\r\n fail to \u{1b}[31mparse.", "Invalid image, fail to [31mparse"),
        ] {
            assert_eq!(words(body.as_bytes()), shown, "{body}");
        }
        assert_eq!(words(&[b'x'; 10_000]).len(), MESSAGE_LIMIT);
    }
}
