//! One request as the registry's user: logged in, paced, redirected, and made again while it fails for a passing reason.

use std::{io::Read, sync::atomic::Ordering};

use ureq::http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    answer::{Answer, REDIRECTS},
    auth::Access,
    challenge::{self, Challenge},
    client::Registry,
    error::{Cause, Context as _, Error},
    url::Url,
    wire::{Counted, Outgoing},
};

/// Logins tried for one request: with what is known, and with what the refusal asks for.
const LOGINS: usize = 2;

/// What is sent with a request.
enum Payload<'a> {
    Nothing,
    /// Sent again after a login.
    Bytes(&'a [u8]),
    /// So many bytes, which are gone once they were read.
    Reader(&'a mut dyn Read, u64),
}

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
        Self { method, url, access, headers: HeaderMap::new(), payload: Payload::Nothing }
    }

    pub(crate) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// With these bytes.
    pub(crate) fn bytes(self, bytes: &'a [u8]) -> Self {
        Self { payload: Payload::Bytes(bytes), ..self }
    }

    /// With so many bytes of a reader.
    pub(crate) fn reader(self, reader: &'a mut dyn Read, size: u64) -> Self {
        Self { payload: Payload::Reader(reader, size), ..self }
    }
}

impl Registry {
    /// Asks whether the registry is there, speaks the protocol and accepts the login.
    pub fn ping(&self) -> Result<(), Error> {
        let ping = || {
            let answer = self.ask(Ask::new(Method::GET, self.url("/v2/".to_owned())?, &Access::none()))?;
            if answer.status != 200 {
                return Err(self.refusal(answer, "/v2/", ""));
            }
            answer.finish();
            Ok(())
        };
        self.attempts(ping).context(|| format!("reach registry `{}`", self.host()))
    }

    /// Sends one request, logs in where that is wanted, and follows redirects unless the body is already sent. Any status
    /// but 429 and 503 is an answer.
    pub(crate) fn ask(&self, ask: Ask<'_>) -> Result<Answer, Cause> {
        let inner = &*self.0;
        let Ask { method, mut url, access, headers, mut payload } = ask;
        let home = self.origin()?;
        let timeouts = &inner.options.timeouts;
        let patience = if matches!(payload, Payload::Nothing) { timeouts.progress } else { timeouts.commit };
        let is_read = matches!(method, Method::GET | Method::HEAD);
        let may_downgrade = inner.options.insecure || access.repository.is_empty();
        let (mut redirects, mut logins) = (0, 0);
        // An upload's place may be elsewhere; it gets no login there, but the layers of a private image.
        if home.https && !url.https && !may_downgrade {
            return Err(Cause::Downgrade(home.to_string(), url.to_string()));
        }
        loop {
            inner.pacer.turn(&inner.options.retry);
            let at_home = url.same_origin(&home);
            // Nobody but the registry sees the login.
            let login = if at_home { inner.auth.authorization(&inner.wire, access)? } else { None };
            let mut headers = headers.clone();
            if let Some(login) = &login {
                headers.insert(header::AUTHORIZATION, login.clone());
            }
            let mut unread: &[u8];
            let source: Option<(&mut dyn Read, u64)> = match &mut payload {
                Payload::Nothing => None,
                Payload::Bytes(bytes) => {
                    unread = bytes;
                    Some((&mut unread, bytes.len() as u64))
                }
                Payload::Reader(reader, size) => Some((&mut **reader, *size)),
            };
            let mut counted =
                source.map(|(reader, size)| (Counted { reader, count: &inner.bodies, begun: false }, size));
            let body = counted.as_mut().map(|(counted, size)| (counted as &mut dyn Read, *size));
            let announce = !inner.no_announcing.load(Ordering::Relaxed);
            let outgoing = Outgoing { method: method.clone(), url: &url, headers, body, announce, patience };
            let answer = inner.wire.send(outgoing)?;
            inner.answered.store(true, Ordering::Relaxed);
            if at_home {
                self.note_warnings(&answer);
            }
            let gone = counted.is_some_and(|(counted, _)| counted.begun) && matches!(payload, Payload::Reader(..));
            match answer.status {
                401 if at_home && logins < LOGINS => {
                    let challenges = challenge::of(&answer);
                    let wants_more =
                        inner.auth.has_credentials(&access.repository) && challenges.iter().any(wants_more);
                    inner.auth.learn(&challenges, access, login.as_ref());
                    // A token that was fetched for this very scope a moment ago does not cover it.
                    let is_fresh = wants_more && logins > 0;
                    let is_same = is_fresh || inner.auth.authorization(&inner.wire, access)? == login;
                    if is_same && wants_more {
                        let (host, repository) = (answer.url.authority.clone(), access.repository.clone());
                        let message = inner.auth.scrub(answer.message());
                        return Err(Cause::Denied { host, repository, message });
                    }
                    if is_same {
                        return Ok(answer);
                    }
                    if gone {
                        return Err(Cause::LoginRenewed(inner.host.to_string()));
                    }
                    logins += 1;
                }
                // Some proxies do not support `Expect`.
                417 if announce && !gone => inner.no_announcing.store(true, Ordering::Relaxed),
                429 | 503 => {
                    inner.pacer.slow_down();
                    return Err(self.refusal(answer, "", ""));
                }
                // The last two keep the method.
                301 | 302 | 303 | 307 | 308 if is_read || (answer.status >= 307 && !gone) => {
                    redirects += 1;
                    url = match answer.location() {
                        // The digest keeps the bytes what they are, but on the line everybody could read the layers of a
                        // private image, and the signature in the URL, which is a login of its own. The files of a web
                        // server are public.
                        Some(target) if url.https && !target.https && !may_downgrade => {
                            return Err(Cause::Downgrade(url.to_string(), target.to_string()));
                        }
                        Some(target) if redirects <= REDIRECTS => target,
                        Some(_) => return Err(self.protocol(format!("`{url}` redirects more than {REDIRECTS} times"))),
                        None => return Err(self.protocol(format!("`{url}` redirects to nowhere"))),
                    };
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Does something again and again while it fails for a passing reason.
    pub(crate) fn attempts<T>(&self, mut attempt: impl FnMut() -> Result<T, Cause>) -> Result<T, Cause> {
        let mut made = 1;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(cause) => self.again(&mut made, cause)?,
            }
        }
    }

    /// Waits for the next attempt after so many; gives the cause back where there is to be none.
    pub(crate) fn again(&self, made: &mut u32, cause: Cause) -> Result<(), Cause> {
        let retry = &self.0.options.retry;
        let never_answered = !self.0.answered.load(Ordering::Relaxed);
        let down = never_answered && matches!(cause, Cause::Refused(_) | Cause::TimedOut(..) | Cause::Proxy { .. });
        if !cause.is_transient() || down || *made >= retry.attempts {
            return Err(cause);
        }
        let asked = if let Cause::Busy { retry_after, .. } = cause { retry_after } else { None };
        (retry.sleep)(retry.wait(*made, asked));
        *made += 1;
        Ok(())
    }
}

fn wants_more(challenge: &Challenge) -> bool {
    matches!(challenge, Challenge::Bearer { error: Some(error), .. } if error == "insufficient_scope")
}
