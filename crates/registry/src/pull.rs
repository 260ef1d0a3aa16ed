//! Reading blobs: size and digest are checked on the way; after a cut the rest is asked for.

use std::{
    fmt,
    io::{self, Read},
};

use image_name::{Digest, RepoPath};
use oci_image::{BlobSource, Descriptor};
use sha2::{Digest as _, Sha256};
use ureq::{
    BodyReader,
    http::{HeaderValue, Method, header},
};

use crate::{
    answer::io_cause,
    ask::Ask,
    auth::Access,
    client::Registry,
    error::{Cause, Context as _},
};

/// 1 MiB: a connection that has brought this much before it was cut counts as progress, and attempts begin anew.
const PROGRESS: u64 = 1 << 20;

/// A blob being read. Constant memory; the read that would bring its last byte fails unless the whole has the
/// descriptor's digest, and no byte beyond the descriptor's size is ever read. Its errors have a [`Cause`] inside.
pub struct BlobReader {
    registry: Registry,
    /// The path that is asked for, with leave to read it.
    target: String,
    access: Access,
    /// As people see it.
    name: String,
    blob: Descriptor,
    body: Option<BodyReader<'static>>,
    /// It ended with an error, and goes on doing so.
    failed: bool,
    offset: u64,
    hash: Sha256,
    /// Attempts made since there was progress, and where they began.
    attempts: u32,
    mark: u64,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("digest", &self.blob.digest).field("offset", &self.offset).finish()
    }
}

impl BlobReader {
    /// Begins to read a blob. One that is not there is [`Cause::NotFound`].
    pub(crate) fn open(
        registry: &Registry,
        target: String,
        access: Access,
        name: String,
        blob: &Descriptor,
    ) -> Result<Self, Cause> {
        let mut reader = Self {
            registry: registry.clone(),
            target,
            access,
            name,
            blob: blob.clone(),
            body: None,
            failed: false,
            offset: 0,
            hash: Sha256::new(),
            attempts: 1,
            mark: 0,
        };
        registry.attempts(|| reader.request())?;
        Ok(reader)
    }

    /// Asks for the blob from `offset` on.
    fn request(&mut self) -> Result<(), Cause> {
        let mut ask = Ask::new(Method::GET, self.registry.url(self.target.clone())?, &self.access);
        if self.offset > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", self.offset))
                .map_err(|error| self.registry.protocol(format!("a range fits no header field: {error}")))?;
            ask = ask.header(header::RANGE, range);
        }
        let answer = self.registry.ask(ask)?;
        let skip = match answer.status {
            200 => self.offset,
            206 if self.offset > 0 => {
                let start = format!("bytes {}-", self.offset);
                if !answer.header("content-range").is_some_and(|range| range.starts_with(&start)) {
                    return Err(self.registry.protocol(format!("`{}` came from another place than asked", self.name)));
                }
                0
            }
            _ => return Err(self.registry.refusal(answer, &self.name, &self.access.repository)),
        };
        let whole = answer.length().map(|length| length.saturating_add(self.offset - skip));
        if let Some(found) = whole.filter(|whole| *whole != self.blob.size) {
            return Err(self.wrong_size(found));
        }
        let mut body = answer.body.into_reader();
        let skipped = io::copy(&mut (&mut body).take(skip), &mut io::sink()).map_err(|error| self.cut(error))?;
        if skipped < skip {
            return Err(self.wrong_size(skipped));
        }
        self.body = Some(body);
        Ok(())
    }

    fn cut(&self, error: io::Error) -> Cause {
        io_cause(self.registry.host().to_string(), self.registry.0.options.timeouts.progress, error)
    }

    fn wrong_size(&self, found: u64) -> Cause {
        self.mismatch(format!("{found} bytes"), self.blob.size.to_string())
    }

    fn mismatch(&self, found: String, wanted: String) -> Cause {
        Cause::Mismatch { host: self.registry.host().to_string(), object: self.name.clone(), found, wanted }
    }

    /// Asks for the rest of a blob that was cut, unless that has been tried too often.
    fn resume(&mut self, mut cause: Cause) -> Result<(), Cause> {
        loop {
            if self.offset >= self.mark + PROGRESS {
                (self.mark, self.attempts) = (self.offset, 1);
            }
            self.registry.again(&mut self.attempts, cause)?;
            match self.request() {
                Ok(()) => return Ok(()),
                Err(next) => cause = next,
            }
        }
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> Result<usize, Cause> {
        let left = self.blob.size - self.offset;
        if left == 0 && self.body.is_some() {
            // An empty blob: its first read is its last.
            self.check()?;
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        loop {
            let read = match &mut self.body {
                Some(body) => body.read(&mut buffer[..most]),
                None => Err(io::ErrorKind::NotConnected.into()),
            };
            let cause = match read {
                Ok(0) => self.cut(io::ErrorKind::UnexpectedEof.into()),
                Ok(amount) => {
                    self.hash.update(&buffer[..amount]);
                    self.offset += amount as u64;
                    if self.offset == self.blob.size {
                        self.check()?;
                    }
                    return Ok(amount);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.cut(error),
            };
            self.body = None;
            self.resume(cause)?;
        }
    }

    /// The end: nothing more may come, and the whole must be what was asked for.
    fn check(&mut self) -> Result<(), Cause> {
        if let Some(mut body) = self.body.take()
            && body.read(&mut [0]).is_ok_and(|more| more > 0)
        {
            return Err(self.wrong_size(self.blob.size + 1));
        }
        let found = Digest::from_bytes(self.hash.finalize_reset().into());
        if found == self.blob.digest {
            return Ok(());
        }
        Err(self.mismatch(format!("digest {found}"), self.blob.digest.to_string()))
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other(format!("`{}` failed before", self.name)));
        }
        let read = self.read_on(buffer);
        self.failed = read.is_err();
        read.map_err(io::Error::other)
    }
}

/// A repository as a place that blobs are read from.
#[derive(Debug, Clone)]
pub struct RegistrySource {
    /// The registry.
    pub registry: Registry,
    /// The repository on it.
    pub repository: RepoPath,
}

impl BlobSource for RegistrySource {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        let Self { registry, repository } = self;
        let target = format!("/v2/{repository}/blobs/{}", blob.digest);
        let name = format!("{}/{repository}@{}", registry.host(), blob.digest);
        let reader = BlobReader::open(registry, target, Access::pull(repository.as_str()), name.clone(), blob);
        Ok(Box::new(reader.context(|| format!("pull blob `{name}`")).map_err(io::Error::other)?))
    }
}
