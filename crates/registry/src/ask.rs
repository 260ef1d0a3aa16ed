//! One request as the registry's user: logged in, paced, redirected.

use std::{cell::Cell, io::Read, sync::atomic::Ordering};

use ureq::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::{
    auth::Access,
    challenge::{self, Challenge},
    client::Registry,
    error::{Cause, Context as _, Error},
    url::Url,
    wire::{Answer, Outgoing, Payload},
};

/// Redirects followed of one request.
const REDIRECTS: usize = 5;

/// Logins tried for one request: with what is known, and with what the refusal asks for.
const LOGINS: usize = 2;

/// A request to the registry.
pub(crate) struct Ask<'a> {
    method: Method,
    url: Url,
    access: &'a Access,
    headers: HeaderMap,
    payload: Payload<'a>,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(method: Method, url: Url, access: &'a Access) -> Self {
        Self { method, url, access, headers: HeaderMap::new(), payload: Payload::None }
    }

    pub(crate) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(crate) fn bytes(self, bytes: &'a [u8]) -> Self {
        Self { payload: Payload::Bytes(bytes), ..self }
    }

    pub(crate) fn stream(self, reader: &'a mut dyn Read, size: u64) -> Self {
        Self { payload: Payload::Stream(reader, size), ..self }
    }
}

/// A reader that tells whether it was read.
struct Watched<'a> {
    reader: &'a mut dyn Read,
    read: &'a Cell<bool>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.read.set(true);
        self.reader.read(buffer)
    }
}

impl Registry {
    /// Asks whether the registry is there, speaks the protocol and accepts the login.
    pub fn ping(&self) -> Result<(), Error> {
        let ping = || {
            let url = self.url("/v2/".to_owned())?;
            let answer = self.ask(Ask::new(Method::GET, url, &Access::none()))?;
            if answer.status != StatusCode::OK {
                return Err(self.refusal(answer, "/v2/", ""));
            }
            answer.finish();
            Ok(())
        };
        self.attempts(ping).context(|| format!("reach registry `{}`", self.0.host))
    }

    /// Sends one request, logs in where that is wanted, follows redirects of reads. Any status but 429 and 503 is an
    /// answer.
    pub(crate) fn ask(&self, ask: Ask<'_>) -> Result<Answer, Cause> {
        let inner = &*self.0;
        let Ask { method, mut url, access, headers, mut payload } = ask;
        let home = self.origin()?;
        let read = Cell::new(false);
        let (mut redirects, mut logins) = (0, 0);
        loop {
            inner.pacer.turn(&inner.options.retry);
            let at_home = url.same_origin(&home);
            // Nobody but the registry sees the login.
            let login = if at_home { inner.auth.authorization(&inner.wire, access)? } else { None };
            let mut headers = headers.clone();
            if let Some(login) = &login {
                headers.insert(header::AUTHORIZATION, login.clone());
            }
            let mut watched;
            let payload = match &mut payload {
                Payload::None => Payload::None,
                Payload::Bytes(bytes) => Payload::Bytes(bytes),
                Payload::Form(form) => Payload::Form(form.clone()),
                Payload::Stream(reader, size) => {
                    watched = Watched { reader: &mut **reader, read: &read };
                    Payload::Stream(&mut watched, *size)
                }
            };
            let answer = inner.wire.send(Outgoing { method: method.clone(), url: &url, headers, payload })?;
            inner.answered.store(true, Ordering::Relaxed);
            match answer.status.as_u16() {
                401 if at_home && logins < LOGINS => {
                    let challenges = challenge::of(&answer.headers);
                    // A token fetched for this very scope a moment ago, and it does not cover it.
                    if logins > 0 && inner.auth.has_credentials() && challenges.iter().any(wants_more) {
                        return Err(match self.refusal(answer, "", "") {
                            Cause::Unauthorized { host, message, .. } => {
                                Cause::Denied { host, repository: access.repository().to_owned(), message }
                            }
                            cause => cause,
                        });
                    }
                    if !inner.auth.learn(&challenges, access, login.as_ref())? {
                        return Ok(answer);
                    }
                    if read.get() {
                        return Err(Cause::LoginRenewed { host: inner.host.to_string() });
                    }
                    answer.finish();
                    logins += 1;
                }
                429 | 503 => {
                    inner.pacer.slow_down();
                    return Err(self.refusal(answer, "", ""));
                }
                301 | 302 | 303 | 307 | 308 if matches!(method, Method::GET | Method::HEAD) => {
                    redirects += 1;
                    let target = answer.header("location").and_then(|location| url.join(location));
                    url = match target {
                        Some(target) if redirects <= REDIRECTS => target,
                        Some(_) => return Err(self.protocol(format!("`{url}` redirects more than {REDIRECTS} times"))),
                        None => return Err(self.protocol(format!("`{url}` redirects to nowhere"))),
                    };
                    answer.finish();
                }
                _ => return Ok(answer),
            }
        }
    }
}

fn wants_more(challenge: &Challenge) -> bool {
    matches!(challenge, Challenge::Bearer { error: Some(error), .. } if error == "insufficient_scope")
}
