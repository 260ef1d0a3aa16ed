//! Where a registry has its clients fetch tokens (Docker's token authentication specification): the fake registry's
//! endpoint, with JSON Web Tokens (RFC 7519) that a real registry trusts.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use registry_fake::{Auth, FakeRegistry, Options, SERVICE};
use serde_json::{Value, json};

use super::{
    Log,
    certificate::certificate,
    files::{folder, read},
};

/// Prints the token (RFC 7515, section 3.1) of a head `$1` and claims `$2`, signed with the key `$3`.
const SIGN: &str = r#"
for_urls() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
signed=$(printf %s "$1" | for_urls).$(printf %s "$2" | for_urls)
printf %s.%s "$signed" "$(printf %s "$signed" | openssl dgst -sha256 -sign "$3" | for_urls)"
"#;

/// One that serves a single user; who gives no password has tokens to pull.
#[derive(Debug)]
pub struct TokenServer {
    server: FakeRegistry,
    certificate: String,
}

impl TokenServer {
    /// Starts one with a key and a certificate `tokens.pem` in `place`.
    pub fn start(log: &Log, place: &Path, user: &str, password: &str) -> anyhow::Result<Self> {
        folder(place)?;
        certificate(log, place, "tokens", "")?;
        let pem = place.join("tokens.pem");
        let der: String = read(&pem)?.lines().filter(|line| !line.starts_with('-')).collect();
        let (log, key) = (log.clone(), place.join("tokens-key.pem"));
        let sign = move |allows: &BTreeSet<String>| {
            token(&log, &key, &der, allows).unwrap_or_else(|error| {
                log.note(&format!("no token: {error:#}\n"));
                String::new()
            })
        };
        let auth =
            Auth::Bearer { user: user.to_owned(), password: password.to_owned(), identity_token: "none".to_owned() };
        let server = FakeRegistry::with(Options { auth, sign: Some(Arc::new(sign)), ..Options::default() });
        Ok(Self { server, certificate: pem.display().to_string() })
    }

    /// The part of docker-registry's configuration that sends clients here.
    pub fn settings(&self) -> String {
        let (host, certificate) = (self.server.host(), &self.certificate);
        format!(
            "auth:\n  token: {{realm: 'http://{host}/token', service: '{SERVICE}', issuer: e2e, \
             rootcertbundle: {certificate}}}\n"
        )
    }

    /// What each token was asked for since the last call: scopes with blanks between them.
    pub fn scopes_asked(&self) -> BTreeSet<String> {
        let log = self.server.log();
        self.server.clear_log();
        let scopes = log.iter().map(|entry| entry.query.split('&').filter_map(|pair| pair.strip_prefix("scope=")));
        scopes.map(|scopes| scopes.collect::<Vec<_>>().join(" ")).collect()
    }
}

/// A token that allows this, each as `repository:NAME:ACTION`.
fn token(log: &Log, key: &Path, certificate: &str, allows: &BTreeSet<String>) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    let access = allows.iter().filter_map(|it| match it.split(':').collect::<Vec<_>>()[..] {
        [kind, name, action] => Some(json!({ "type": kind, "name": name, "actions": [action] })),
        _ => None,
    });
    let head = json!({ "typ": "JWT", "alg": "RS256", "x5c": [certificate] });
    let claims = json!({
        "iss": "e2e", "aud": SERVICE, "exp": now + 600, "access": access.collect::<Vec<Value>>(),
    });
    let sign = log.command("sh").args(["-euc", SIGN, "sh", &head.to_string(), &claims.to_string()]).arg(key);
    Ok(sign.run()?.stdout)
}
