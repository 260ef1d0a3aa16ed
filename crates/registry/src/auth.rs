//! Logging in: what a challenge asks for, tokens by scope, and when they are renewed (Docker's token authentication
//! specification).

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use image_name::Host;
use serde::Deserialize;
use ureq::http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    challenge::Challenge,
    credentials::{Credentials, Secret},
    error::Cause,
    logins::CredentialSource,
    options::RegistryOptions,
    url::{Url, encode},
    wire::{Outgoing, Wire},
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

    /// To push to one repository what another has.
    pub(crate) fn mount(repository: &str, from: &str) -> Self {
        Self(vec![format!("repository:{repository}:pull,push"), format!("repository:{from}:pull")])
    }

    /// The repository that the first scope is about.
    pub(crate) fn repository(&self) -> &str {
        self.0.first().and_then(|scope| scope.split(':').nth(1)).unwrap_or_default()
    }
}

/// A login's state towards one registry.
pub(crate) struct Auth {
    host: String,
    /// Whether a password may go to a realm over plain HTTP.
    unencrypted: bool,
    timeout: Duration,
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
    pub(crate) fn new(host: &Host, options: &RegistryOptions) -> Self {
        Self {
            host: host.to_string(),
            unencrypted: options.insecure || host.is_loopback(),
            timeout: options.timeouts.progress,
            source: options.credentials.clone(),
            found: OnceLock::new(),
            known: Mutex::default(),
        }
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
            Some(Challenge::Bearer { realm, service, scope, .. }) => {
                let valid = known.tokens.get(access).filter(|token| token.renew > Instant::now());
                if let Some(token) = valid {
                    return self.value("Bearer", &token.value).map(Some);
                }
                // What the registry asks for counts where the request itself needs nothing in particular.
                let scopes = if access.0.is_empty() { scope.into_iter().collect() } else { access.0.clone() };
                let token = self.fetch(wire, &realm, service.as_deref(), &scopes)?;
                let value = self.value("Bearer", &token.value)?;
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
            let stale = known.tokens.get(access).and_then(|token| self.value("Bearer", &token.value).ok());
            // Where another thread has renewed it since, that one is good.
            if stale.as_ref() == used {
                known.tokens.remove(access);
            }
            known.challenge = Some(challenge.clone());
            return Ok(true);
        }
        let first = known.challenge != Some(Challenge::Basic) || used.is_none();
        if basic {
            known.challenge = Some(Challenge::Basic);
        }
        Ok(basic && first)
    }

    fn basic(&self) -> Result<Option<HeaderValue>, Cause> {
        let Some(Credentials::Basic { user, password }) = self.credentials()? else { return Ok(None) };
        self.value("Basic", &password.encoded(user)).map(Some)
    }

    fn value(&self, scheme: &str, secret: &Secret) -> Result<HeaderValue, Cause> {
        let value = HeaderValue::from_str(&format!("{scheme} {}", secret.reveal()));
        let mut value = value.map_err(|_| self.protocol("a token has characters that no header field can hold"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Asks the token endpoint. Its words are not passed on: they may quote what it was sent.
    fn fetch(&self, wire: &Wire, realm: &str, service: Option<&str>, scopes: &[String]) -> Result<Token, Cause> {
        let realm = Url::parse(realm).ok_or_else(|| self.protocol("the realm for tokens is not a URL"))?;
        let credentials = self.credentials()?;
        if let Some(Credentials::RegistryToken(token)) = credentials {
            return Ok(Token { value: token.clone(), renew: Instant::now() + Duration::from_secs(3600) });
        }
        if credentials.is_some() && !realm.https && !self.unencrypted {
            return Err(self.protocol(&format!("it wants the password sent unencrypted to `{realm}`")));
        }
        let (mut url, mut headers, form) = (realm.clone(), HeaderMap::new(), self.form(service, scopes)?);
        let mut bytes = form.as_deref().unwrap_or_default().as_bytes();
        let size = bytes.len() as u64;
        if form.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        } else {
            let parameters = service.map(|service| ("service", service)).into_iter();
            for (name, value) in parameters.chain(scopes.iter().map(|scope| ("scope", scope.as_str()))) {
                url = url.with(name, value);
            }
            headers.extend(self.basic()?.map(|value| (header::AUTHORIZATION, value)));
        }
        let method = if form.is_some() { Method::POST } else { Method::GET };
        let body = form.is_some().then_some((&mut bytes as &mut dyn Read, size));
        let mut answer = wire.send(Outgoing { method, url: &url, headers, body, patience: self.timeout })?;

        let (host, message) = (realm.authority, String::new());
        match answer.status {
            200 => {}
            400 | 401 | 403 => {
                let (host, had_credentials) = (self.host.clone(), self.has_credentials());
                return Err(Cause::Unauthorized { host, had_credentials, message });
            }
            status @ (429 | 503) => {
                return Err(Cause::Busy { host, status, retry_after: answer.retry_after(), message });
            }
            status => return Err(Cause::Status(host, status, "it is asked for tokens".to_owned())),
        }
        let issued = serde_json::from_slice(&answer.read(LIMIT)?).ok();
        let issued = issued.and_then(|Issued { token, access_token, expires_in }| {
            Some((token.or(access_token).filter(|token| !token.is_empty())?, expires_in))
        });
        let (token, expires_in) =
            issued.ok_or_else(|| Cause::Protocol(host, "its answer holds no token".to_owned()))?;
        // 60 s where nothing is said, as the specification has it. Renewed a little early, for what is under way.
        let valid = Duration::from_secs(expires_in.unwrap_or(60).clamp(1, 86_400));
        Ok(Token { value: Secret::new(token), renew: Instant::now() + valid.mul_f32(0.9) })
    }

    /// The form by which an identity token is exchanged, for who has one.
    fn form(&self, service: Option<&str>, scopes: &[String]) -> Result<Option<String>, Cause> {
        let Some(Credentials::IdentityToken(token)) = self.credentials()? else { return Ok(None) };
        let fields = [
            ("grant_type", "refresh_token"),
            ("service", service.unwrap_or_default()),
            ("client_id", "fmtk"),
            ("scope", &scopes.join(" ")),
            ("refresh_token", token.reveal()),
        ];
        Ok(Some(fields.map(|(name, value)| format!("{name}={}", encode(value))).join("&")))
    }

    /// A registry's words without our secrets, should it quote them. Taking out what is shorter than four characters
    /// would spoil every word and so tell it.
    pub(crate) fn scrub(&self, message: String) -> String {
        let mut secrets: Vec<_> = self.known().tokens.values().map(|token| token.value.clone()).collect();
        match self.found.get() {
            Some(Some(Credentials::Basic { user, password })) => {
                secrets.extend([password.clone(), password.encoded(user)]);
            }
            Some(Some(Credentials::IdentityToken(token) | Credentials::RegistryToken(token))) => {
                secrets.push(token.clone());
            }
            _ => {}
        }
        let shown = secrets.iter().map(Secret::reveal).filter(|secret| secret.len() > 3);
        shown.fold(message, |message, secret| message.replace(secret, "…"))
    }

    fn protocol(&self, reason: &str) -> Cause {
        Cause::Protocol(self.host.clone(), reason.to_owned())
    }
}
