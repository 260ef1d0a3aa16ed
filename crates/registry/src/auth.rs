//! Logging in: what a challenge asks for, tokens by scope, and when they are renewed (Docker's token authentication
//! specification).

use std::{
    collections::BTreeMap,
    io::Read as _,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use ureq::http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    challenge::Challenge,
    credentials::Credentials,
    docker_config::CredentialSource,
    error::Cause,
    secret::Secret,
    url::{Url, encode},
    wire::{Answer, Outgoing, Payload, Wire},
};

/// What a request needs leave for: scopes of the token specification, none for `/v2/` itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Access(Vec<String>);

impl Access {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn pull(repository: &str) -> Self {
        Self(vec![format!("repository:{repository}:pull")])
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self(vec![format!("repository:{repository}:pull,push")])
    }

    /// The repository that the first scope is about.
    pub(crate) fn repository(&self) -> &str {
        self.0.first().and_then(|scope| scope.split(':').nth(1)).unwrap_or_default()
    }

    /// To push to one repository what another has.
    pub(crate) fn mount(repository: &str, from: &str) -> Self {
        Self(vec![format!("repository:{repository}:pull,push"), format!("repository:{from}:pull")])
    }
}

/// A login's state towards one registry.
pub(crate) struct Auth {
    host: String,
    /// Whether a password may go to a realm over plain HTTP.
    insecure: bool,
    source: CredentialSource,
    found: OnceLock<Option<Credentials>>,
    known: Mutex<Known>,
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

/// What a token endpoint answers.
#[derive(Deserialize)]
struct Issued {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// 1 MiB: tokens that list many scopes reach some ten thousand bytes.
const LIMIT: u64 = 1 << 20;

impl Auth {
    pub(crate) fn new(host: String, insecure: bool, source: CredentialSource) -> Self {
        Self { host, insecure, source, found: OnceLock::new(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything to log in with. Known only after the registry has asked.
    pub(crate) fn has_credentials(&self) -> bool {
        matches!(self.found.get(), Some(Some(_)))
    }

    fn credentials(&self) -> Result<Option<&Credentials>, Cause> {
        if let Some(found) = self.found.get() {
            return Ok(found.as_ref());
        }
        let found = match &self.source {
            CredentialSource::Anonymous => None,
            CredentialSource::Given(credentials) => Some(credentials.clone()),
            CredentialSource::Logins(logins) => logins.find(&self.host)?,
        };
        Ok(self.found.get_or_init(|| found).as_ref())
    }

    /// The `Authorization` for a request, as far as the registry is known to want one.
    pub(crate) fn authorization(&self, wire: &Wire, access: &Access) -> Result<Option<HeaderValue>, Cause> {
        // Held while a token is fetched: other threads want the same one.
        let mut known = self.known();
        match known.challenge.clone() {
            None => Ok(None),
            Some(Challenge::Basic) => self.basic(),
            Some(challenge) => {
                let valid = known.tokens.get(access).filter(|token| token.renew > Instant::now());
                if let Some(token) = valid {
                    return self.bearer(&token.value).map(Some);
                }
                let token = self.fetch(wire, &challenge, access)?;
                let value = self.bearer(&token.value)?;
                known.tokens.insert(access.clone(), token);
                Ok(Some(value))
            }
        }
    }

    /// Takes note of a 401: what it asks for, and that `used` is worth nothing. Whether it makes sense to ask again with
    /// a new [`Auth::authorization`].
    pub(crate) fn learn(
        &self,
        challenges: &[Challenge],
        access: &Access,
        used: Option<&HeaderValue>,
    ) -> Result<bool, Cause> {
        let credentials = self.credentials()?;
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let basic = challenges.contains(&Challenge::Basic) && matches!(credentials, Some(Credentials::Basic { .. }));
        let mut known = self.known();
        if let Some(challenge) = bearer {
            let stale = known.tokens.get(access).and_then(|token| self.bearer(&token.value).ok());
            // Where another thread has renewed it since, that one is good.
            if stale.as_ref() == used {
                known.tokens.remove(access);
            }
            known.challenge = Some(challenge.clone());
            return Ok(true);
        }
        if basic {
            let first = known.challenge != Some(Challenge::Basic) || used.is_none();
            known.challenge = Some(Challenge::Basic);
            return Ok(first);
        }
        Ok(false)
    }

    fn basic(&self) -> Result<Option<HeaderValue>, Cause> {
        let Some(Credentials::Basic { user, password }) = self.credentials()? else { return Ok(None) };
        let encoded = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
        self.value("Basic", &encoded).map(Some)
    }

    fn bearer(&self, token: &Secret) -> Result<HeaderValue, Cause> {
        self.value("Bearer", token.reveal())
    }

    fn value(&self, scheme: &str, secret: &str) -> Result<HeaderValue, Cause> {
        let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).map_err(|_| Cause::Protocol {
            host: self.host.clone(),
            reason: "a token has characters that no header field can hold".to_owned(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn fetch(&self, wire: &Wire, challenge: &Challenge, access: &Access) -> Result<Token, Cause> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else {
            return Err(self.protocol("no realm for tokens"));
        };
        let realm = Url::parse(realm).ok_or_else(|| self.protocol("the realm for tokens is no URL"))?;
        let credentials = self.credentials()?;
        if let Some(Credentials::RegistryToken(token)) = credentials {
            return Ok(Token { value: token.clone(), renew: Instant::now() + Duration::from_secs(3600) });
        }
        // What the registry asks for counts where the request itself needs nothing in particular.
        let scopes = if access.0.is_empty() { scope.iter().cloned().collect() } else { access.0.clone() };
        if credentials.is_some() && !realm.is_https() && !self.insecure {
            return Err(self.protocol(&format!("it wants the password sent unencrypted to `{realm}`")));
        }
        let mut headers = HeaderMap::new();
        let answer = if let Some(Credentials::IdentityToken(token)) = credentials {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", service.as_deref().unwrap_or_default()),
                ("client_id", "fmtk"),
                ("scope", &scopes.join(" ")),
                ("refresh_token", token.reveal()),
            ];
            let form: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            let payload = Payload::Form(form.join("&"));
            wire.send(Outgoing { method: Method::POST, url: &realm, headers, payload })?
        } else {
            let mut url = realm.clone();
            if let Some(service) = service {
                url = url.with("service", service);
            }
            for scope in &scopes {
                url = url.with("scope", scope);
            }
            if let Some(value) = self.basic()? {
                headers.insert(header::AUTHORIZATION, value);
            }
            wire.send(Outgoing { method: Method::GET, url: &url, headers, payload: Payload::None })?
        };
        self.issued(&realm, answer)
    }

    /// Reads what the token endpoint answered. Its words are not passed on: they may quote what it was sent.
    fn issued(&self, realm: &Url, mut answer: Answer) -> Result<Token, Cause> {
        let (host, message) = (realm.authority().to_owned(), String::new());
        match answer.status.as_u16() {
            200 => {}
            400 | 401 | 403 => {
                let (host, had_credentials) = (self.host.clone(), self.has_credentials());
                return Err(Cause::Unauthorized { host, had_credentials, message });
            }
            status @ (429 | 503) => {
                return Err(Cause::Busy { host, status, retry_after: answer.retry_after(), message });
            }
            status => return Err(Cause::Status { host, status, message: "it is asked for tokens".to_owned() }),
        }
        let mut bytes = Vec::new();
        let read = answer.body.as_reader().take(LIMIT).read_to_end(&mut bytes);
        read.map_err(|source| Cause::Connection { host: host.clone(), source })?;
        let garbled = || Cause::Protocol { host: host.clone(), reason: "its answer holds no token".to_owned() };
        let issued: Issued = serde_json::from_slice(&bytes).map_err(|_| garbled())?;
        let value = issued.token.or(issued.access_token).filter(|token| !token.is_empty()).ok_or_else(garbled)?;
        // 60 s where nothing is said, as the specification has it. Renewed a little early, for what is under way.
        let valid = Duration::from_secs(issued.expires_in.unwrap_or(60).clamp(1, 86_400));
        Ok(Token { value: Secret::new(value), renew: Instant::now() + valid.mul_f32(0.9) })
    }

    /// A registry's words without our secrets, should it quote them. Taking out what is shorter than four characters
    /// would spoil every word and so tell it.
    pub(crate) fn scrub(&self, message: String) -> String {
        let tokens: Vec<_> = self.known().tokens.values().map(|token| token.value.clone()).collect();
        let stored = match self.found.get() {
            Some(Some(Credentials::Basic { user, password })) => {
                let encoded = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
                vec![password.clone(), Secret::new(encoded)]
            }
            Some(Some(Credentials::IdentityToken(token) | Credentials::RegistryToken(token))) => vec![token.clone()],
            _ => Vec::new(),
        };
        let secrets = tokens.iter().chain(&stored).map(Secret::reveal).filter(|secret| secret.len() > 3);
        secrets.fold(message, |message, secret| message.replace(secret, "…"))
    }

    fn protocol(&self, reason: &str) -> Cause {
        Cause::Protocol { host: self.host.clone(), reason: reason.to_owned() }
    }
}
