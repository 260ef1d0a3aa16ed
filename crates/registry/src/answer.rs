//! Reading answers: bounded bodies, the registry's own words, and what a status means.

use std::{io::Read as _, time::Duration};

use serde::Deserialize;
use ureq::http::StatusCode;

use crate::{
    auth::Auth,
    error::Cause,
    wire::{Answer, io_cause},
};

/// 16 KiB of an error's body are read; of a message 300 characters are shown.
const ERROR_LIMIT: u64 = 16 << 10;
const MESSAGE_LIMIT: usize = 300;

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
    /// Reads the whole body, of at most `limit` bytes.
    pub(crate) fn read(&mut self, limit: u64, patience: Duration) -> Result<Vec<u8>, Cause> {
        let host = self.url.authority().to_owned();
        let mut bytes = Vec::new();
        let read = self.body.as_reader().take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| io_cause(host.clone(), patience, error))?;
        if bytes.len() as u64 > limit {
            return Err(Cause::Protocol { host, reason: format!("`{}` has more than {limit} bytes", self.url) });
        }
        Ok(bytes)
    }

    /// Reads a body that nobody needs, so that the connection can be used again.
    pub(crate) fn finish(mut self) {
        // Where there is more, or the connection breaks, it is dropped instead.
        let _ = std::io::copy(&mut self.body.as_reader().take(ERROR_LIMIT), &mut std::io::sink());
    }

    /// What an answer that was not hoped for means. `object` is what was asked for, `repository` where it is.
    pub(crate) fn refusal(mut self, object: &str, repository: &str, auth: &Auth) -> Cause {
        let host = self.url.authority().to_owned();
        let message = auth.scrub(self.message());
        let had_credentials = auth.has_credentials();
        match self.status {
            StatusCode::UNAUTHORIZED => Cause::Unauthorized { host, had_credentials, message },
            StatusCode::FORBIDDEN => Cause::Denied { host, repository: repository.to_owned(), message },
            StatusCode::NOT_FOUND => Cause::NotFound { object: object.to_owned(), message },
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Cause::Busy { host, status: self.status.as_u16(), retry_after: self.retry_after(), message }
            }
            status => Cause::Status { host, status: status.as_u16(), message },
        }
    }

    /// The registry's own words, on one line.
    fn message(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.body.as_reader().take(ERROR_LIMIT).read_to_end(&mut bytes);
        words(&bytes)
    }
}

fn words(bytes: &[u8]) -> String {
    let text = match serde_json::from_slice::<Errors>(bytes) {
        Ok(body) => {
            let lines = body.errors.into_iter().map(|error| match (error.code, error.message) {
                (Some(code), Some(message)) => format!("{message} ({code})"),
                (code, message) => message.or(code).unwrap_or_default(),
            });
            lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
        }
        // Pages of proxies are for browsers.
        Err(_) if bytes.trim_ascii_start().starts_with(b"<") => String::new(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let shown = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = shown.chars().filter(|c| !c.is_control()).take(MESSAGE_LIMIT).collect();
    shown.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(body: &str, expect: Expect) {
        expect.assert_eq(&words(body.as_bytes()));
    }

    #[test]
    fn a_registrys_words_fit_on_a_line_whatever_it_sends() {
        check(r#"{"errors":[{"code":"DENIED","message":"no.","detail":{}}]}"#, expect!["no. (DENIED)"]);
        check(r#"{"errors":[{"errorCode":"SVC.403","errorMessage":"not yours"},{}]}"#, expect!["not yours (SVC.403)"]);
        check(r#"{"errors":[]}"#, expect![""]);
        check("<html><h1>502 Bad Gateway</h1></html>", expect![""]);
        check("Invalid image,\r\n fail to \u{1b}[31mparse.", expect!["Invalid image, fail to [31mparse"]);
        assert_eq!(words(&[b'x'; 10_000]).len(), MESSAGE_LIMIT);
    }
}
