//! URLs as the protocol uses them: an origin of ours, and what `Location` and `realm` lead to.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// An `http` or `https` URL without user, password and fragment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) https: bool,
    /// `host[:port]`.
    pub(crate) authority: String,
    /// Path, and query where there is one.
    target: String,
}

/// What is before the id of an upload in its path.
const UPLOADS: &str = "/blobs/uploads/";

impl Url {
    /// The root of a host.
    pub(crate) fn origin(https: bool, authority: &str) -> Self {
        Self { https, authority: authority.to_owned(), target: "/".to_owned() }
    }

    /// An absolute URL; `None` where it is no such thing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() || authority.contains('@') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Some(Self { https, authority: authority.to_owned(), target: format!("{slash}{target}") })
    }

    /// What a `Location` field means when it comes with the answer to this URL. A registry behind a proxy that ends TLS
    /// may call itself `http` (docker's does): where host and port are ours, so is the scheme.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        let joined = match Self::parse(location) {
            Some(url) => url,
            // A scheme that is not ours, or a URL with a password in it.
            None if location.split(['/', '?']).next()?.ends_with(':') => return None,
            None if location.starts_with("//") => Self::parse(&format!("{}:{location}", self.scheme()))?,
            None => {
                let path = self.path();
                let folder = match location.as_bytes().first()? {
                    b'/' => "",
                    b'?' => path,
                    _ => &path[..=path.rfind('/')?],
                };
                Self::parse(&self.at(format!("{folder}{location}")).full())?
            }
        };
        let downgraded = self.https && joined.authority.eq_ignore_ascii_case(&self.authority);
        Some(Self { https: joined.https || downgraded, ..joined })
    }

    /// Another path and query on the same origin.
    pub(crate) fn at(&self, target: String) -> Self {
        Self { target, ..self.clone() }
    }

    /// With one more parameter, encoded.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let mark = if self.target.contains('?') { '&' } else { '?' };
        self.target.push_str(&format!("{mark}{name}={}", encode(value)));
        self
    }

    /// Whether a secret for one may go to the other.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https && self.name().eq_ignore_ascii_case(other.name()) && self.port() == other.port()
    }

    /// The host without the port; an IPv6 address with its brackets.
    pub(crate) fn name(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &self.authority,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        let given = self.authority[self.name().len()..].trim_start_matches(':').parse().ok();
        given.unwrap_or(if self.https { 443 } else { 80 })
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Path, and query where there is one.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A text without what makes this the URL of an upload: who knows that may write to it.
    pub(crate) fn scrub(&self, text: String) -> String {
        let Some((_, id)) = self.target.split_once(UPLOADS) else { return text };
        let secrets = id.split(['/', '?']).filter(|secret| secret.len() > 3);
        secrets.fold(text, |text, secret| text.replace(secret, "…"))
    }

    /// The whole URL, for the wire.
    pub(crate) fn full(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.target)
    }
}

impl fmt::Display for Url {
    /// Without the query, which may hold a signature, and without the id of an upload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, id) = match self.path().split_once(UPLOADS) {
            Some((repository, id)) if !id.is_empty() => (repository, format!("{UPLOADS}…")),
            _ => (self.path(), String::new()),
        };
        write!(f, "{}://{}{path}{id}", self.scheme(), self.authority)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All but what never has a meaning of its own in a query (RFC 3986) and what scopes are full of.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/').remove(b',');

/// Percent-encodes a value of a query or form.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn locations_are_absolute_relative_or_of_another_host() {
        let base = Url::parse("https://r.x:5000/v2/a/b/blobs/uploads/?n=1").unwrap();
        for (location, joined) in [
            ("/v2/a/b/blobs/uploads/id?_state=x%3D", Some("https://r.x:5000/v2/a/b/blobs/uploads/id?_state=x%3D")),
            ("id?s=1", Some("https://r.x:5000/v2/a/b/blobs/uploads/id?s=1")),
            ("?s=1", Some("https://r.x:5000/v2/a/b/blobs/uploads/?s=1")),
            ("https://s3.x/b?sig=1#frag", Some("https://s3.x/b?sig=1")),
            ("//s3.x/b", Some("https://s3.x/b")),
            ("HTTP://s3.x", Some("http://s3.x/")),
            ("http://r.x:5000/v2/", Some("https://r.x:5000/v2/")),
            ("http://user:pw@s3.x/", None),
            ("", None),
            ("/a b", None),
        ] {
            assert_eq!(base.join(location).map(|url| url.full()).as_deref(), joined, "{location}");
        }
    }

    #[test]
    fn origins_are_compared_with_their_default_ports() {
        for (one, other, same) in [
            ("https://r.x/a", "https://R.x:443/b", true),
            ("http://[::1]/", "http://[::1]:80/", true),
            ("https://r.x/", "http://r.x/", false),
            ("https://r.x/", "https://r.x.evil/", false),
            ("https://r.x/", "https://r.x:444/", false),
        ] {
            assert_eq!(Url::parse(one).unwrap().same_origin(&Url::parse(other).unwrap()), same, "{one} {other}");
        }
    }

    #[test]
    fn a_signature_in_the_query_is_not_shown() {
        let url = Url::parse("https://s3.x/b?signature=s3cret").unwrap().with("scope", "repository:a/b:pull,push +=");
        assert_eq!(format!("{url} {url:?}"), "https://s3.x/b https://s3.x/b");
        let upload = Url::parse("https://r.x/v2/a/b/blobs/uploads/1d-0f?_state=s3cret").unwrap();
        assert_eq!(upload.to_string(), "https://r.x/v2/a/b/blobs/uploads/…");
        assert_eq!(upload.scrub("no 1d-0f with _state=s3cret".to_owned()), "no … with …");
        assert_eq!(url.target(), "/b?signature=s3cret&scope=repository:a/b:pull,push%20%2B%3D");
    }

    proptest! {
        #[test]
        fn any_location_is_joined_or_refused(location in "\\PC{0,40}") {
            let base = Url::parse("http://r/v2/").unwrap();
            if let Some(url) = base.join(&location) {
                prop_assert!(Url::parse(&url.full()) == Some(url));
            }
        }
    }
}
