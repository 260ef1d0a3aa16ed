//! Logging in: what a challenge asks for, tokens by scope, and when they are renewed (Docker's token authentication
//! specification).

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use image_name::Host;
use serde::Deserialize;
use serde_json::Value;
use ureq::http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    answer::{Answer, REDIRECTS},
    challenge::Challenge,
    credentials::{Credentials, Secret},
    error::Cause,
    logins::CredentialSource,
    options::RegistryOptions,
    url::{Url, encode},
    wire::{Outgoing, Wire},
};

/// What a request needs leave for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Access {
    /// The repository whose login is used; empty for `/v2/` itself.
    pub(crate) repository: String,
    /// Scopes of the token specification.
    scopes: Vec<String>,
}

impl Access {
    pub(crate) fn none() -> Self {
        Self { repository: String::new(), scopes: Vec::new() }
    }

    pub(crate) fn pull(repository: &str) -> Self {
        Self { repository: repository.to_owned(), scopes: vec![format!("repository:{repository}:pull")] }
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self { repository: repository.to_owned(), scopes: vec![format!("repository:{repository}:pull,push")] }
    }

    /// To push to one repository what another has.
    pub(crate) fn mount(repository: &str, from: &str) -> Self {
        let mut access = Self::push(repository);
        access.scopes.push(format!("repository:{from}:pull"));
        access
    }
}

/// A login's state towards one registry.
pub(crate) struct Auth {
    host: String,
    /// Where a password may go over plain HTTP.
    unencrypted: Unencrypted,
    timeout: Duration,
    source: CredentialSource,
    /// The logins that were looked up, by repository.
    found: Mutex<BTreeMap<String, Option<Credentials>>>,
    known: Mutex<Known>,
}

/// Where a password may go over plain HTTP: the same that may be the registry itself.
enum Unencrypted {
    Anywhere,
    /// From this machine to itself. A registry at the end of a tunnel is on loopback, and its realm may be far away.
    Loopback,
    Nowhere,
}

impl Unencrypted {
    fn takes(&self, realm: &Url) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Loopback => realm.authority.parse().is_ok_and(|host: Host| host.is_loopback()),
            Self::Nowhere => false,
        }
    }
}

#[derive(Default)]
struct Known {
    /// What the registry asked for last.
    challenge: Option<Challenge>,
    tokens: BTreeMap<Access, Token>,
}

struct Token {
    value: Secret,
    renew: Instant,
}

/// What a token endpoint answers. Some give an empty `token` beside the other, and any kind of value as the seconds.
#[derive(Deserialize)]
struct Issued {
    token: Option<String>,
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Value,
}

impl Issued {
    fn token(self) -> Option<Token> {
        let value = [self.token, self.access_token].into_iter().flatten().find(|token| !token.is_empty())?;
        let seconds = self.expires_in.as_f64().or_else(|| self.expires_in.as_str()?.trim().parse().ok());
        // 60 s where nothing useful is said, as the specification has it. Renewed a little early, for what is under way.
        let seconds = seconds.filter(|seconds| *seconds >= 1.0).unwrap_or(60.0).min(86_400.0);
        Some(Token { value: Secret::new(value), renew: Instant::now() + Duration::from_secs_f64(seconds * 0.9) })
    }
}

/// 1 MiB: tokens that list many scopes reach some ten thousand bytes.
const LIMIT: u64 = 1 << 20;

impl Auth {
    pub(crate) fn new(host: &Host, options: &RegistryOptions) -> Self {
        Self {
            host: host.to_string(),
            unencrypted: match options.is_loopback(host) {
                _ if options.insecure => Unencrypted::Anywhere,
                true => Unencrypted::Loopback,
                false => Unencrypted::Nowhere,
            },
            timeout: options.timeouts.progress,
            source: options.credentials.clone(),
            found: Mutex::default(),
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<String, Option<Credentials>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything to log in with for a repository. Known only after the registry has asked.
    pub(crate) fn has_credentials(&self, repository: &str) -> bool {
        matches!(self.found().get(repository), Some(Some(_)))
    }

    fn credentials(&self, access: &Access) -> Result<Option<Credentials>, Cause> {
        let mut known = self.found();
        if let Some(found) = known.get(&access.repository) {
            return Ok(found.clone());
        }
        let found = match &self.source {
            CredentialSource::Anonymous => None,
            CredentialSource::Given(credentials) => Some(credentials.clone()),
            CredentialSource::Logins(logins) => logins.find(&self.host, &access.repository)?,
        };
        known.insert(access.repository.clone(), found.clone());
        Ok(found)
    }

    /// The `Authorization` for a request, as far as the registry is known to want one.
    pub(crate) fn authorization(&self, wire: &Wire, access: &Access) -> Result<Option<HeaderValue>, Cause> {
        // Held while a token is fetched: other threads want the same one.
        let mut known = self.known();
        match known.challenge.clone() {
            None => Ok(None),
            Some(Challenge::Basic) => self.basic(access),
            Some(Challenge::Bearer { realm, service, scope, .. }) => {
                let valid = known.tokens.get(access).filter(|token| token.renew > Instant::now());
                if let Some(token) = valid {
                    return self.value("Bearer", &token.value).map(Some);
                }
                // What the registry asks for counts where the request itself needs nothing in particular.
                let asked: Vec<_> = scope.into_iter().collect();
                let scopes = if access.scopes.is_empty() { &asked } else { &access.scopes };
                let realm = realm.ok_or_else(|| self.protocol("the realm for tokens is not a URL"))?;
                let token = self.fetch(wire, realm, service.as_deref(), scopes, access)?;
                let value = self.value("Bearer", &token.value)?;
                known.tokens.insert(access.clone(), token);
                Ok(Some(value))
            }
        }
    }

    /// Takes note of a 401: what it asks for, and that `used` is worth nothing.
    pub(crate) fn learn(&self, challenges: &[Challenge], access: &Access, used: Option<&HeaderValue>) {
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let mut known = self.known();
        let stale = known.tokens.get(access).and_then(|token| self.value("Bearer", &token.value).ok());
        // Where another thread has renewed it since, that one is good.
        if stale.as_ref() == used {
            known.tokens.remove(access);
        }
        // Some say only at `/v2/` what they want.
        if let Some(challenge) = bearer.or(challenges.first()) {
            known.challenge = Some(challenge.clone());
        }
    }

    fn basic(&self, access: &Access) -> Result<Option<HeaderValue>, Cause> {
        let Some(Credentials::Basic { user, password }) = self.credentials(access)? else { return Ok(None) };
        self.value("Basic", &password.encoded(&user)).map(Some)
    }

    fn value(&self, scheme: &str, secret: &Secret) -> Result<HeaderValue, Cause> {
        let value = HeaderValue::from_str(&format!("{scheme} {}", secret.reveal()));
        let mut value = value.map_err(|_| self.protocol("a token has characters that no header field can hold"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Asks the token endpoint. Its words are not passed on: they may quote what it was sent.
    fn fetch(
        &self,
        wire: &Wire,
        realm: Url,
        service: Option<&str>,
        scopes: &[String],
        access: &Access,
    ) -> Result<Token, Cause> {
        let credentials = self.credentials(access)?;
        if let Some(Credentials::RegistryToken(token)) = credentials {
            return Ok(Token { value: token, renew: Instant::now() + Duration::from_secs(3600) });
        }
        if credentials.is_some() && !realm.https && !self.unencrypted.takes(&realm) {
            return Err(self.protocol(&format!("it wants the password sent unencrypted to `{realm}`")));
        }
        let mut answer = if let Some(Credentials::IdentityToken(token)) = &credentials {
            self.exchange(wire, &realm, service.unwrap_or_default(), &scopes.join(" "), token)?
        } else {
            let parameters = service.map(|service| ("service", service)).into_iter();
            let parameters = parameters.chain(scopes.iter().map(|scope| ("scope", scope.as_str())));
            let url = parameters.fold(realm, |url, (name, value)| url.with(name, value));
            self.request_token(wire, url, self.basic(access)?)?
        };
        let (host, message) = (answer.url.authority.clone(), String::new());
        match answer.status {
            200..=299 => {}
            400 | 401 | 403 => {
                let (host, had_credentials) = (self.host.clone(), credentials.is_some());
                return Err(Cause::Unauthorized { host, had_credentials, message });
            }
            status @ (429 | 503) => {
                return Err(Cause::Busy { host, status, retry_after: answer.retry_after(), message });
            }
            status => return Err(Cause::Status(host, status, "it is asked for tokens".to_owned())),
        }
        let issued: Option<Issued> = serde_json::from_slice(&answer.read(LIMIT)?).ok();
        let token = issued.and_then(Issued::token);
        token.ok_or_else(|| Cause::Protocol(host, "its answer holds no token".to_owned()))
    }

    /// Asks for a token with name and password, or as nobody.
    fn request_token(&self, wire: &Wire, mut url: Url, login: Option<HeaderValue>) -> Result<Answer, Cause> {
        let mut headers = HeaderMap::new();
        headers.extend(login.map(|value| (header::AUTHORIZATION, value)));
        for _ in 0..REDIRECTS {
            let outgoing = Outgoing { headers: headers.clone(), ..Outgoing::new(Method::GET, &url, self.timeout) };
            let answer = wire.send(outgoing)?;
            let Some(next) = answer.redirect() else { return Ok(answer) };
            // The password goes nowhere else, save from HTTP to HTTPS.
            let is_upgrade = next.https && next.name().eq_ignore_ascii_case(url.name());
            if !is_upgrade && !next.same_origin(&url) {
                headers.remove(header::AUTHORIZATION);
            }
            url = next;
        }
        Err(self.protocol("it redirects requests for tokens in a circle"))
    }

    /// Exchanges an identity token for one of access (RFC 6749, section 6).
    fn exchange(&self, wire: &Wire, realm: &Url, service: &str, scope: &str, token: &Secret) -> Result<Answer, Cause> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("service", service),
            ("client_id", "fmtk"),
            ("scope", scope),
            ("refresh_token", token.reveal()),
        ];
        let form = fields.map(|(name, value)| format!("{name}={}", encode(value))).join("&");
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let body = Some((&mut form.as_bytes() as &mut dyn Read, form.len() as u64));
        wire.send(Outgoing { headers, body, ..Outgoing::new(Method::POST, realm, self.timeout) })
    }

    /// A registry's words without our secrets, should it quote them. Taking out what is shorter than four characters
    /// would spoil every word and so tell it.
    pub(crate) fn scrub(&self, message: String) -> String {
        let mut secrets: Vec<_> = self.known().tokens.values().map(|token| token.value.clone()).collect();
        for found in self.found().values().flatten() {
            match found {
                Credentials::Basic { user, password } => secrets.extend([password.clone(), password.encoded(user)]),
                Credentials::IdentityToken(token) | Credentials::RegistryToken(token) => secrets.push(token.clone()),
            }
        }
        let shown = secrets.iter().map(Secret::reveal).filter(|secret| secret.len() > 3);
        shown.fold(message, |message, secret| message.replace(secret, "…"))
    }

    fn protocol(&self, reason: &str) -> Cause {
        Cause::Protocol(self.host.clone(), reason.to_owned())
    }
}
