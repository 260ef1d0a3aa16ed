//! URLs as the protocol uses them: an origin of ours, and what `Location` and `realm` lead to.

use std::fmt;

/// An `http` or `https` URL without user, password and fragment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    https: bool,
    /// `host[:port]`.
    authority: String,
    /// Path, and query where there is one.
    target: String,
}

impl Url {
    /// The root of a host.
    pub(crate) fn origin(https: bool, authority: &str) -> Self {
        Self { https, authority: authority.to_owned(), target: "/".to_owned() }
    }

    /// An absolute URL; `None` where it is no such thing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let scheme = |prefix: &str| {
            text.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
                .then(|| &text[prefix.len()..])
        };
        let (https, rest) = match (scheme("https://"), scheme("http://")) {
            (Some(rest), _) => (true, rest),
            (None, rest) => (false, rest?),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.is_empty() || authority.contains('@') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Some(Self { https, authority: authority.to_owned(), target })
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
                let target = match location.as_bytes().first()? {
                    b'/' => location.to_owned(),
                    b'?' => format!("{path}{location}"),
                    _ => format!("{}/{location}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
                };
                Self::parse(&format!("{}://{}{target}", self.scheme(), self.authority))?
            }
        };
        let downgraded = self.https && !joined.https && joined.authority.eq_ignore_ascii_case(&self.authority);
        Some(Self { https: joined.https || downgraded, ..joined })
    }

    /// Another path and query on the same origin.
    pub(crate) fn at(&self, target: String) -> Self {
        Self { target, ..self.clone() }
    }

    /// With one more parameter, encoded.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(name);
        self.target.push('=');
        self.target.push_str(&encode(value));
        self
    }

    /// Whether a secret for one may go to the other.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https && self.name().eq_ignore_ascii_case(other.name()) && self.port() == other.port()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// `host[:port]`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
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

    /// The whole URL, for the wire.
    pub(crate) fn full(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.target)
    }
}

impl fmt::Display for Url {
    /// Without the query, which may hold a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority, self.path())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Percent-encodes all but what never has a meaning of its own in a query (RFC 3986) and what scopes are full of.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b',' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The text that was percent-encoded; what is not well encoded stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let byte = match (first, others) {
            (b'%', [high, low, ..]) => char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16)),
            _ => None,
        };
        bytes.push(byte.map_or(*first, |(high, low)| (high * 16 + low) as u8));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(location: &str, expect: Expect) {
        let base = Url::parse("https://r.x:5000/v2/a/b/blobs/uploads/?n=1").unwrap();
        expect.assert_eq(&base.join(location).map_or_else(|| "none".to_owned(), |url| url.full()));
    }

    #[test]
    fn locations_are_absolute_relative_or_of_another_host() {
        check("/v2/a/b/blobs/uploads/id?_state=x%3D", expect!["https://r.x:5000/v2/a/b/blobs/uploads/id?_state=x%3D"]);
        check("id?s=1", expect!["https://r.x:5000/v2/a/b/blobs/uploads/id?s=1"]);
        check("?s=1", expect!["https://r.x:5000/v2/a/b/blobs/uploads/?s=1"]);
        check("https://s3.x/b?sig=1#frag", expect!["https://s3.x/b?sig=1"]);
        check("//s3.x/b", expect!["https://s3.x/b"]);
        check("HTTP://s3.x", expect!["http://s3.x/"]);
        check("http://r.x:5000/v2/", expect!["https://r.x:5000/v2/"]);
        check("http://user:pw@s3.x/", expect!["none"]);
        check("", expect!["none"]);
        check("/a b", expect!["none"]);
    }

    #[test]
    fn origins_are_compared_with_their_default_ports() {
        let same = |one: &str, two: &str| Url::parse(one).unwrap().same_origin(&Url::parse(two).unwrap());
        assert!(same("https://r.x/a", "https://R.x:443/b"));
        assert!(same("http://[::1]/", "http://[::1]:80/"));
        assert!(!same("https://r.x/", "http://r.x/"));
        assert!(!same("https://r.x/", "https://r.x.evil/"));
        assert!(!same("https://r.x/", "https://r.x:444/"));
    }

    #[test]
    fn a_signature_in_the_query_is_not_shown() {
        let url = Url::parse("https://s3.x/b?signature=s3cret").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://s3.x/b https://s3.x/b");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text in "\\PC{0,20}") {
            prop_assert_eq!(decode(&encode(&text)), text);
        }

        #[test]
        fn any_location_is_joined_or_refused(location in "\\PC{0,40}") {
            let base = Url::parse("http://r/v2/").unwrap();
            if let Some(url) = base.join(&location) {
                prop_assert!(Url::parse(&url.full()) == Some(url));
            }
        }
    }
}
