//! Writing blobs: asked for first, mounted where another repository has them, else sent in one stream.
//!
//! Small blobs are sent as containerd does it, in the request that completes the upload: SWR counts requests. Large
//! ones are sent as docker does it, before that: of such an upload the registry can be asked how far it got.

use std::{
    io::{self, Read},
    sync::atomic::{AtomicBool, Ordering},
};

use image_name::{Digest, RepoPath};
use oci_image::{BlobSource, Descriptor};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use ureq::http::{HeaderValue, Method, header};

use crate::{
    answer::Answer,
    ask::Ask,
    auth::Access,
    client::Registry,
    error::{Cause, Context as _, Error},
    url::Url,
};

/// 16 MiB: from here on a request more is nothing beside the blob.
const LARGE: u64 = 16 << 20;

/// A blob of an image to push.
#[derive(Clone)]
pub struct PushBlob<'a> {
    /// Its digest and size.
    pub descriptor: Descriptor,
    /// What it is called for people: `mindspore-ascend 1.8.1`.
    pub name: String,
    /// A repository of the same registry that has it already.
    pub mount_from: Option<RepoPath>,
    /// Where its bytes are read from, should they be needed: a store, or another registry.
    pub source: &'a (dyn BlobSource + Sync),
}

/// What happens to a blob during a push. `name` is the blob's for people.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "sizes and bytes are what they say")]
pub enum PushEvent<'e> {
    /// Its bytes are being sent, from the first.
    Sending { name: &'e str, size: u64 },
    /// This many more of its bytes were sent.
    Sent { name: &'e str, bytes: u64 },
    /// It is there.
    Done { name: &'e str, how: Arrival },
}

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// It was there.
    Present,
    /// Taken over from another repository of the registry.
    Mounted,
    /// Sent.
    Sent,
}

/// A blob on its way to a repository.
pub(crate) struct Upload<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) repository: &'a RepoPath,
    pub(crate) blob: &'a PushBlob<'a>,
    pub(crate) progress: &'a (dyn Fn(PushEvent<'_>) + Sync),
    /// Set when the upload is no longer wanted.
    pub(crate) cancelled: &'a AtomicBool,
}

impl Upload<'_> {
    /// Brings the blob there by the cheapest way there is. Its bytes are hashed on their way: where they are not what
    /// the descriptor says, nothing appears in the registry ([`Cause::Damaged`]).
    pub(crate) fn run(&self) -> Result<Arrival, Error> {
        let Self { registry, repository, blob, .. } = self;
        let mut mount_from = blob.mount_from.as_ref().filter(|from| from != repository);
        let mut mount_again = true;
        let arrival = registry.attempts(|| self.attempt(&mut mount_from, &mut mount_again));
        let (name, digest) = (&blob.name, blob.descriptor.digest);
        let how = arrival.context(|| format!("push blob `{name}` ({digest}) to `{}/{repository}`", registry.host()))?;
        (self.progress)(PushEvent::Done { name, how });
        Ok(how)
    }

    fn attempt(&self, mount_from: &mut Option<&RepoPath>, mount_again: &mut bool) -> Result<Arrival, Cause> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Cause::Cancelled);
        }
        let mut begun = None;
        if let Some(from) = *mount_from {
            // Also says whether the blob is there: one request instead of two.
            match self.begin(Some(from)) {
                Ok(None) => return Ok(Arrival::Mounted),
                Ok(location) => begun = location,
                // A mount may save gigabytes, so a failure that may pass is retried once.
                Err(cause @ Cause::Status(..)) if cause.is_transient() && *mount_again => {
                    *mount_again = false;
                    return Err(cause);
                }
                // A login that may not read the other repository may still push to this one, and some registries know
                // no mounts at all.
                Err(Cause::Unauthorized { .. } | Cause::Denied { .. } | Cause::NotFound(..) | Cause::Status(..)) => {}
                Err(cause) => return Err(cause),
            }
            *mount_from = None;
        }
        if self.is_there()? {
            begun.into_iter().for_each(|location| self.cancel(location));
            return Ok(Arrival::Present);
        }
        let location = match begun {
            Some(location) => location,
            None => self.begin_alone()?,
        };
        (self.progress)(PushEvent::Sending { name: &self.blob.name, size: self.blob.descriptor.size });
        self.send(location)?;
        Ok(Arrival::Sent)
    }

    fn access(&self) -> Access {
        Access::push(self.repository.as_str())
    }

    fn refusal(&self, answer: Answer) -> Cause {
        let object = format!("{}/{}", self.registry.host(), self.repository);
        self.registry.refusal(answer, &object, self.repository.as_str())
    }

    /// Whether the repository has the blob, with this many bytes where the registry tells.
    fn is_there(&self) -> Result<bool, Cause> {
        let Descriptor { digest, size, .. } = &self.blob.descriptor;
        let url = self.registry.url(format!("/v2/{}/blobs/{digest}", self.repository))?;
        let answer = self.registry.ask(Ask::new(Method::HEAD, url, &self.access()))?;
        match answer.status {
            200 => Ok(answer.length().is_none_or(|length| length == *size)),
            // Some registries have no HEAD, and storage behind a redirect may answer 403 to it: then the blob is sent.
            400 | 403..=428 | 501 => Ok(false),
            _ => Err(self.refusal(answer)),
        }
    }

    /// Begins an upload; `None` where the blob was mounted instead.
    fn begin(&self, mount_from: Option<&RepoPath>) -> Result<Option<Url>, Cause> {
        let mut url = self.registry.url(format!("/v2/{}/blobs/uploads/", self.repository))?;
        let mut access = self.access();
        if let Some(from) = mount_from {
            url = url.with("mount", &self.blob.descriptor.digest.to_string()).with("from", from.as_str());
            access = Access::mount(self.repository.as_str(), from.as_str());
        }
        let answer = self.registry.ask(Ask::new(Method::POST, url, &access).bytes(&[]))?;
        match answer.status {
            201 => Ok(None),
            202 => {
                let by_id = || {
                    let id = answer.header("docker-upload-uuid")?;
                    answer.url.join(&format!("/v2/{}/blobs/uploads/{id}", self.repository))
                };
                let missing = || self.registry.protocol("it takes an upload but gives no `Location` to send it to");
                answer.location().or_else(by_id).ok_or_else(missing).map(Some)
            }
            _ => Err(self.refusal(answer)),
        }
    }

    /// Begins an upload that mounts nothing.
    fn begin_alone(&self) -> Result<Url, Cause> {
        self.begin(None)?.ok_or_else(|| self.registry.protocol("it takes an upload before it is sent"))
    }

    /// Sends all of the blob into an upload and completes it. On failure the upload is given up.
    fn send(&self, mut location: Url) -> Result<(), Cause> {
        let no_monolithic = &self.registry.0.no_monolithic;
        let alone = self.blob.descriptor.size >= LARGE || no_monolithic.load(Ordering::Relaxed);
        let sent = self.transfer(&mut location, alone);
        if sent.is_err() {
            self.cancel(location);
        }
        match sent {
            // It is the bytes' place that the registry does not like.
            Err(Cause::Status(_, 400 | 405 | 411 | 415 | 501, _)) if !alone => {
                no_monolithic.store(true, Ordering::Relaxed);
                self.send(self.begin_alone()?)
            }
            sent => sent,
        }
    }

    /// Sends the blob, `alone` in a request of its own, and has the registry check the whole.
    fn transfer(&self, location: &mut Url, alone: bool) -> Result<(), Cause> {
        let unreadable = |error| Cause::Source(self.blob.name.clone(), error);
        let source = self.blob.source.open(&self.blob.descriptor).map_err(unreadable)?;
        let left = self.blob.descriptor.size;
        let mut reader = Checked { upload: self, source, left, hash: Sha256::new(), problem: None };
        let sent = match left {
            // An empty blob has nothing to send, and so no last read that would find it wrong.
            0 => reader.check().map_err(unreadable),
            // The next request goes to the new `Location`, if there is one.
            _ if alone => self.put(Method::PATCH, location.clone(), &mut reader).map(|answer| {
                *location = answer.location().unwrap_or(location.clone());
            }),
            _ => Ok(()),
        };
        let complete = location.clone().with("digest", &self.blob.descriptor.digest.to_string());
        let done = sent.and_then(|()| self.put(Method::PUT, complete, &mut reader));
        // Where reading failed, what the connection says is only a consequence.
        reader.problem.map_or(done.map(drop), Err)
    }

    /// Sends what has not been sent.
    fn put(&self, method: Method, url: Url, reader: &mut Checked<'_>) -> Result<Answer, Cause> {
        let left = reader.left;
        let octets = HeaderValue::from_static("application/octet-stream");
        let access = self.access();
        let ask = Ask::new(method, url, &access).header(header::CONTENT_TYPE, octets).reader(reader, left);
        let answer = self.registry.ask(ask)?;
        match answer.status {
            // The specification says 202 after a PATCH and 201 after a PUT; docker's first one said 204.
            200..=204 => Ok(answer),
            _ => Err(self.registry.refusal(answer, "upload", self.repository.as_str())),
        }
    }

    /// Tells the registry that an upload is given up. Where that fails, it will find out by itself.
    fn cancel(&self, location: Url) {
        let _ = self.registry.ask(Ask::new(Method::DELETE, location, &self.access()));
    }
}

/// A blob on its way out: hashed, told of, and stopped at its last bytes where it is not what it should be.
struct Checked<'a> {
    upload: &'a Upload<'a>,
    source: Box<dyn Read + Send + 'a>,
    left: u64,
    hash: Sha256,
    problem: Option<Cause>,
}

impl Checked<'_> {
    fn fail(&mut self, problem: Cause) -> io::Error {
        self.problem = Some(problem);
        io::Error::other("reading the blob failed")
    }

    fn damaged(&mut self, reason: String) -> io::Error {
        let PushBlob { name, descriptor, .. } = self.upload.blob;
        self.fail(Cause::Damaged { name: name.clone(), wanted: descriptor.digest, reason })
    }

    fn check(&mut self) -> io::Result<()> {
        let found = Digest::from_bytes(self.hash.finalize_reset().into());
        if found == self.upload.blob.descriptor.digest {
            return Ok(());
        }
        Err(self.damaged(format!("its digest is {found}")))
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Upload { blob, progress, cancelled, .. } = self.upload;
        if cancelled.load(Ordering::Relaxed) {
            return Err(self.fail(Cause::Cancelled));
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let bytes = match self.source.read(&mut buffer[..most]) {
            Ok(0) => {
                let size = blob.descriptor.size;
                return Err(self.damaged(format!("it has {} bytes, not {size}", size - self.left)));
            }
            Ok(amount) => amount as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.fail(Cause::Source(blob.name.clone(), error))),
        };
        self.hash.update(&buffer[..bytes as usize]);
        self.left -= bytes;
        if self.left == 0 {
            self.check()?;
        }
        progress(PushEvent::Sent { name: &blob.name, bytes });
        Ok(bytes as usize)
    }
}
