//! `WWW-Authenticate` (RFC 9110, 11.6.1): what a registry wants to see before it answers.

use ureq::http::header;

use crate::{
    answer::{Answer, unquote},
    url::Url,
};

/// One challenge that we can meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from `realm` (Docker's token authentication specification), which is `None` where it is no URL.
    Bearer { realm: Option<Url>, service: Option<String>, scope: Option<String>, error: Option<String> },
}

/// All challenges of a 401. A realm is resolved like a `Location`: a registry behind a proxy that ends TLS may call
/// itself `http`, and some give a path alone.
pub(crate) fn of(answer: &Answer) -> Vec<Challenge> {
    let fields = answer.headers.get_all(header::WWW_AUTHENTICATE);
    // Names of realms are for people, in whatever script and encoding.
    fields.iter().flat_map(|field| parse(&String::from_utf8_lossy(field.as_bytes()), &answer.url)).collect()
}

/// The challenges of a field's value, in order; schemes that we do not know are left out.
fn parse(field: &str, from: &Url) -> Vec<Challenge> {
    let mut rest = field;
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',']).unwrap_or(rest.len());
        let (scheme, tail) = rest.split_at(end);
        if scheme.is_empty() {
            return found;
        }
        let (parameters, tail) = parameters(tail);
        rest = tail;
        let get = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            let (service, scope, error) = (get("service"), get("scope"), get("error"));
            found.push(Challenge::Bearer { realm: from.join(&realm), service, scope, error });
        }
    }
}

/// `key=value` pairs parted by commas, up to a word that has no `=`: that is the next scheme.
fn parameters(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut pairs = Vec::new();
    loop {
        let start = rest.trim_start_matches([' ', '\t', ',']);
        let end = start.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)));
        let Some(end) = end.filter(|end| *end > 0) else { return (pairs, start) };
        let after = start[end..].trim_start_matches([' ', '\t']);
        let Some(value) = after.strip_prefix('=') else { return (pairs, start) };
        let value = value.trim_start_matches([' ', '\t']);
        let (text, tail) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = value.find([',', ' ', '\t']).unwrap_or(value.len());
                (value[..end].to_owned(), &value[end..])
            }
        };
        pairs.push((start[..end].to_owned(), text));
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: &str, scope: &str, error: &str) -> Challenge {
        let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Challenge::Bearer { realm: Url::parse(realm), service: set(service), scope: set(scope), error: set(error) }
    }

    fn registry() -> Url {
        Url::origin(true, "r.x")
    }

    #[test]
    fn challenges_are_read_with_quoted_commas_and_several_schemes() {
        for (field, expected) in [
            ("Basic realm=\"x\"", vec![Challenge::Basic]),
            (
                r#"Bearer realm="https://a/token",service="s, inc",scope="repository:a/b:pull,push""#,
                vec![bearer("https://a/token", "s, inc", "repository:a/b:pull,push", "")],
            ),
            (
                r#"bearer realm = "https://a" , error=invalid_token, BASIC realm="q\"uote""#,
                vec![bearer("https://a", "", "", "invalid_token"), Challenge::Basic],
            ),
            ("Negotiate, Basic", vec![Challenge::Basic]),
            ("Digest realm=\"x\", nonce=\"Basic\"", vec![]),
            ("Bearer service=\"no realm\"", vec![]),
            ("Bearer realm=\"https://never.closed", vec![bearer("https://never.closed", "", "", "")]),
            ("Bearer realm=\"/token?account=x\",service=\"\"", vec![bearer("https://r.x/token?account=x", "", "", "")]),
            ("Bearer realm=\"http://r.x/token\"", vec![bearer("https://r.x/token", "", "", "")]),
            ("Bearer realm=\"http://auth.x/token\"", vec![bearer("http://auth.x/token", "", "", "")]),
            ("Bearer realm=\"ftp://auth.x\"", vec![bearer("", "", "", "")]),
            ("Basic realm=\"私有仓库, 请登录\"", vec![Challenge::Basic]),
            ("Basic realm=/", vec![Challenge::Basic]),
            ("", vec![]),
            (",,=,\"", vec![]),
        ] {
            assert_eq!(parse(field, &registry()), expected, "{field}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_read_to_its_end(field in "\\PC{0,64}") {
            parse(&field, &registry());
        }
    }
}
