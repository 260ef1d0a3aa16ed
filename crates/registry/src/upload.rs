//! Writing blobs: asked for first, mounted where another repository has them, else sent in one stream.
//!
//! Small blobs are sent as containerd does it, in the request that completes the upload: SWR counts requests. Large
//! ones are sent as docker does it, before that: of such an upload the registry can be asked how far it got.

use std::{
    io::{self, Read},
    sync::atomic::{AtomicBool, Ordering},
};

use image_name::{Digest, RepoPath};
use oci_image::Descriptor;
use sha2::{Digest as _, Sha256};
use ureq::http::{HeaderValue, Method, StatusCode, header};

use crate::{
    ask::Ask,
    auth::Access,
    client::Registry,
    error::{Cause, Context as _, Error},
    url::Url,
    wire::Answer,
};

/// 16 MiB: from here on a request more is nothing beside the blob.
const LARGE: u64 = 16 << 20;

/// An upload that the registry has begun. A cut upload can go on from here: `location` and `offset` are all it takes.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Where its next bytes go; every answer gives a new one.
    location: Url,
    /// Bytes that the registry has.
    offset: u64,
}

/// What came of asking for a blob of another repository.
pub(crate) enum Mount {
    /// It is there now.
    Done,
    /// The registry would rather have it sent, here.
    Upload(Upload),
}

/// What is sent, and who is told about it.
pub(crate) struct Sending<'a> {
    pub(crate) blob: &'a Descriptor,
    /// What the blob is called for people.
    pub(crate) name: &'a str,
    /// Called with the bytes just sent.
    pub(crate) progress: &'a dyn Fn(u64),
    /// Set when the upload is no longer wanted.
    pub(crate) cancelled: &'a AtomicBool,
}

/// Opens the blob's bytes from the start; called again for every attempt.
pub(crate) type Open<'a> = dyn FnMut() -> io::Result<Box<dyn Read + Send + 'a>> + 'a;

impl Registry {
    /// Whether a repository has a blob, with this many bytes where the registry tells.
    pub fn has_blob(&self, repository: &RepoPath, blob: &Descriptor) -> Result<bool, Error> {
        self.attempts(|| self.has_blob_once(repository, blob, &Access::pull(repository.as_str())))
            .context(|| format!("look for blob `{}/{repository}@{}`", self.host(), blob.digest))
    }

    /// Makes a blob of another repository of the same registry appear in this one. `false` where the registry would
    /// rather have it sent.
    pub fn mount(&self, repository: &RepoPath, blob: &Descriptor, from: &RepoPath) -> Result<bool, Error> {
        let mounted = self.attempts(|| match self.begin_mount(repository, &blob.digest, from)? {
            Mount::Done => Ok(true),
            Mount::Upload(upload) => {
                self.cancel(upload, &Access::push(repository.as_str()));
                Ok(false)
            }
        });
        mounted.context(|| format!("mount blob `{}` from `{from}` in `{}/{repository}`", blob.digest, self.host()))
    }

    /// Sends a blob unless the repository has it; says whether it was sent. `open` gives its bytes from the start, and
    /// is called again for every attempt. They are hashed on their way: where they are not what the descriptor says,
    /// nothing appears in the registry ([`Cause::Damaged`]).
    pub fn upload_blob<'a>(
        &self,
        repository: &RepoPath,
        blob: &Descriptor,
        mut open: impl FnMut() -> io::Result<Box<dyn Read + Send + 'a>> + 'a,
    ) -> Result<bool, Error> {
        let access = Access::push(repository.as_str());
        let name = blob.digest.to_string();
        let sending = Sending { blob, name: &name, progress: &|_| {}, cancelled: &AtomicBool::new(false) };
        let sent = self.attempts(|| {
            if self.has_blob_once(repository, blob, &access)? {
                return Ok(false);
            }
            let upload = self.begin_upload(repository, &access)?;
            self.send_blob(repository, upload, &access, &sending, &mut open)?;
            Ok(true)
        });
        sent.context(|| format!("push blob `{}/{repository}@{name}`", self.host()))
    }

    pub(crate) fn has_blob_once(
        &self,
        repository: &RepoPath,
        blob: &Descriptor,
        access: &Access,
    ) -> Result<bool, Cause> {
        let url = self.url(format!("/v2/{repository}/blobs/{}", blob.digest))?;
        let answer = self.ask(Ask::new(Method::HEAD, url, access))?;
        match answer.status {
            StatusCode::OK => {
                let whole = answer.length().is_none_or(|length| length == blob.size);
                answer.finish();
                Ok(whole)
            }
            StatusCode::NOT_FOUND => {
                answer.finish();
                Ok(false)
            }
            _ => Err(self.refuse_upload(answer, repository)),
        }
    }

    pub(crate) fn begin_mount(&self, repository: &RepoPath, digest: &Digest, from: &RepoPath) -> Result<Mount, Cause> {
        let url = self.url(format!("/v2/{repository}/blobs/uploads/"))?;
        let url = url.with("mount", &digest.to_string()).with("from", from.as_str());
        let access = Access::mount(repository.as_str(), from.as_str());
        let answer = self.ask(Ask::new(Method::POST, url, &access).bytes(&[]))?;
        if answer.status == StatusCode::CREATED {
            answer.finish();
            return Ok(Mount::Done);
        }
        self.begun(answer, repository).map(Mount::Upload)
    }

    pub(crate) fn begin_upload(&self, repository: &RepoPath, access: &Access) -> Result<Upload, Cause> {
        let url = self.url(format!("/v2/{repository}/blobs/uploads/"))?;
        let answer = self.ask(Ask::new(Method::POST, url, access).bytes(&[]))?;
        self.begun(answer, repository)
    }

    fn begun(&self, answer: Answer, repository: &RepoPath) -> Result<Upload, Cause> {
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.refuse_upload(answer, repository));
        }
        let location = self.location(&answer)?;
        answer.finish();
        Ok(Upload { location, offset: 0 })
    }

    /// Sends all of a blob into an upload and completes it. On failure the upload is given up.
    pub(crate) fn send_blob(
        &self,
        repository: &RepoPath,
        mut upload: Upload,
        access: &Access,
        sending: &Sending<'_>,
        open: &mut Open<'_>,
    ) -> Result<(), Cause> {
        let source = |source| Cause::Source { name: sending.name.to_owned(), source };
        let opened = match open().map_err(source) {
            Ok(opened) => opened,
            Err(cause) => {
                self.cancel(upload, access);
                return Err(cause);
            }
        };
        let mut reader = Checked { source: opened, sending, left: sending.blob.size, hash: Sha256::new(), fault: None };
        let alone = sending.blob.size >= LARGE || self.0.no_monolithic.load(Ordering::Relaxed);
        let sent = match reader.left {
            // An empty blob has nothing to send, and so no last read that would find it wrong.
            0 => reader.check().map_err(source),
            _ if alone => self.send(&mut upload, access, &mut reader),
            _ => Ok(()),
        };
        let done = sent.and_then(|()| self.complete(&upload, access, &mut reader));
        // Where reading failed, what the connection says is only a consequence.
        let done = match reader.fault.take() {
            Some(fault) => Err(fault),
            None => done,
        };
        if done.is_err() {
            self.cancel(upload, access);
        }
        match done {
            // The bytes were right, so it is their place that the registry does not like.
            Err(Cause::Status { status: 400 | 405 | 411 | 415 | 501, .. }) if !alone && reader.left == 0 => {
                self.0.no_monolithic.store(true, Ordering::Relaxed);
                let upload = self.begin_upload(repository, access)?;
                self.send_blob(repository, upload, access, sending, open)
            }
            done => done,
        }
    }

    fn send(&self, upload: &mut Upload, access: &Access, reader: &mut Checked<'_, '_>) -> Result<(), Cause> {
        let size = reader.left;
        let ask = Ask::new(Method::PATCH, upload.location.clone(), access)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .stream(reader, size);
        let answer = self.ask(ask)?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.refusal(answer, "upload", access.repository()));
        }
        upload.location = self.location(&answer)?;
        upload.offset += size;
        answer.finish();
        Ok(())
    }

    /// Sends what has not been sent and has the registry check the whole.
    fn complete(&self, upload: &Upload, access: &Access, reader: &mut Checked<'_, '_>) -> Result<(), Cause> {
        let url = upload.location.clone().with("digest", &reader.sending.blob.digest.to_string());
        let left = reader.sending.blob.size - upload.offset;
        let ask = Ask::new(Method::PUT, url, access);
        let answer = self.ask(match left {
            0 => ask.bytes(&[]),
            _ => ask
                .header(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
                .stream(reader, left),
        })?;
        if answer.status != StatusCode::CREATED {
            return Err(self.refusal(answer, "upload", access.repository()));
        }
        answer.finish();
        Ok(())
    }

    /// Tells the registry that an upload is given up. Where that fails, it will find out by itself.
    pub(crate) fn cancel(&self, upload: Upload, access: &Access) {
        if let Ok(answer) = self.ask(Ask::new(Method::DELETE, upload.location, access)) {
            answer.finish();
        }
    }

    fn location(&self, answer: &Answer) -> Result<Url, Cause> {
        let location = answer.header("location").and_then(|location| answer.url.join(location));
        location.ok_or_else(|| self.protocol("it takes an upload but gives no `Location` to send it to"))
    }

    fn refuse_upload(&self, answer: Answer, repository: &RepoPath) -> Cause {
        self.refusal(answer, &format!("{}/{repository}", self.host()), repository.as_str())
    }
}

/// A blob on its way out: hashed, counted, and stopped at its last bytes where it is not what it should be.
struct Checked<'s, 'a> {
    source: Box<dyn Read + Send + 'a>,
    sending: &'s Sending<'s>,
    left: u64,
    hash: Sha256,
    fault: Option<Cause>,
}

impl Checked<'_, '_> {
    fn fail(&mut self, fault: Cause) -> io::Error {
        self.fault = Some(fault);
        io::Error::other("reading the blob failed")
    }

    fn damaged(&mut self, reason: String) -> io::Error {
        let fault = Cause::Damaged { name: self.sending.name.to_owned(), wanted: self.sending.blob.digest, reason };
        self.fail(fault)
    }

    fn check(&mut self) -> io::Result<()> {
        let found = Digest::from_bytes(self.hash.finalize_reset().into());
        if found == self.sending.blob.digest {
            return Ok(());
        }
        Err(self.damaged(format!("its digest is {found}")))
    }
}

impl Read for Checked<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.sending.cancelled.load(Ordering::Relaxed) {
            return Err(self.fail(Cause::Cancelled));
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let amount = match self.source.read(&mut buffer[..most]) {
            Ok(0) => {
                let size = self.sending.blob.size;
                return Err(self.damaged(format!("it has {} bytes, not {size}", size - self.left)));
            }
            Ok(amount) => amount,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(source) => {
                let name = self.sending.name.to_owned();
                return Err(self.fail(Cause::Source { name, source }));
            }
        };
        self.hash.update(&buffer[..amount]);
        self.left -= amount as u64;
        if self.left == 0 {
            self.check()?;
        }
        (self.sending.progress)(amount as u64);
        Ok(amount)
    }
}
