//! Reading blobs: size and digest are checked on the way, a cut is mended by asking for the rest.

use std::io::{self, Read};

use image_name::{Digest, RepoPath};
use oci_image::{BlobSource, Descriptor};
use sha2::{Digest as _, Sha256};
use ureq::{
    BodyReader,
    http::{HeaderValue, Method, StatusCode, header},
};

use crate::{
    ask::Ask,
    auth::Access,
    client::Registry,
    error::{Cause, Context as _, Error},
    wire::io_cause,
};

/// 1 MiB: a connection that has brought this much before it was cut counts as progress, and attempts begin anew.
const PROGRESS: u64 = 1 << 20;

/// A blob being read. Constant memory; the read that would bring its last byte fails unless the whole has the
/// descriptor's digest, and no byte beyond the descriptor's size is ever read.
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

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobReader").field("digest", &self.blob.digest).field("offset", &self.offset).finish()
    }
}

impl Registry {
    /// Begins to read a blob. A blob that is not there is [`Cause::NotFound`]. The reader's errors have a [`Cause`]
    /// inside.
    pub fn pull_blob(&self, repository: &RepoPath, blob: &Descriptor) -> Result<BlobReader, Error> {
        let target = format!("/v2/{repository}/blobs/{}", blob.digest);
        let name = format!("{}/{repository}@{}", self.host(), blob.digest);
        let mut reader = BlobReader::new(self, &target, Access::pull(repository.as_str()), name, blob);
        self.attempts(|| reader.open()).context(|| format!("pull blob `{}`", reader.name))?;
        Ok(reader)
    }
}

impl BlobReader {
    pub(crate) fn new(registry: &Registry, target: &str, access: Access, name: String, blob: &Descriptor) -> Self {
        Self {
            registry: registry.clone(),
            target: target.to_owned(),
            access,
            name,
            blob: blob.clone(),
            body: None,
            failed: false,
            offset: 0,
            hash: Sha256::new(),
            attempts: 1,
            mark: 0,
        }
    }

    /// Asks for the blob from `offset` on.
    pub(crate) fn open(&mut self) -> Result<(), Cause> {
        let url = self.registry.url(self.target.clone())?;
        let mut ask = Ask::new(Method::GET, url, &self.access);
        if self.offset > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", self.offset))
                .map_err(|error| self.registry.protocol(format!("a range fits no header field: {error}")))?;
            ask = ask.header(header::RANGE, range);
        }
        let answer = self.registry.ask(ask)?;
        let skip = match answer.status {
            StatusCode::OK => self.offset,
            StatusCode::PARTIAL_CONTENT if self.offset > 0 => {
                let start = format!("bytes {}-", self.offset);
                if !answer.header("content-range").is_some_and(|range| range.starts_with(&start)) {
                    return Err(self.registry.protocol(format!("`{}` came from another place than asked", self.name)));
                }
                0
            }
            _ => return Err(self.registry.refusal(answer, &self.name, self.access.repository())),
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
        io_cause(self.registry.host().to_string(), self.registry.options().timeouts.progress, error)
    }

    fn wrong_size(&self, found: u64) -> Cause {
        Cause::WrongSize {
            host: self.registry.host().to_string(),
            object: self.name.clone(),
            found,
            wanted: self.blob.size,
        }
    }

    /// Reads on from where the blob was cut, unless that has been tried too often.
    fn mend(&mut self, cause: Cause) -> io::Result<()> {
        let retry = self.registry.options().retry.clone();
        let mut cause = cause;
        loop {
            if self.offset >= self.mark + PROGRESS {
                (self.mark, self.attempts) = (self.offset, 1);
            }
            if !cause.is_transient() || self.attempts >= retry.attempts {
                return Err(io::Error::other(cause));
            }
            (retry.sleep)(retry.wait(self.attempts, self.registry.0.pacer.salt(), &cause));
            self.attempts += 1;
            match self.open() {
                Ok(()) => return Ok(()),
                Err(next) => cause = next,
            }
        }
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
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
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => self.cut(error),
            };
            self.body = None;
            self.mend(cause)?;
        }
    }

    /// The end: nothing more may come, and the whole must be what was asked for.
    fn check(&mut self) -> io::Result<()> {
        let mut body = self.body.take();
        if let Some(body) = &mut body
            && body.read(&mut [0]).is_ok_and(|more| more > 0)
        {
            return Err(io::Error::other(self.wrong_size(self.blob.size + 1)));
        }
        let found = Digest::from_bytes(self.hash.finalize_reset().into());
        if found == self.blob.digest {
            return Ok(());
        }
        Err(io::Error::other(Cause::WrongDigest {
            host: self.registry.host().to_string(),
            object: self.name.clone(),
            found: found.to_string(),
            wanted: self.blob.digest,
        }))
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other(format!("`{}` failed before", self.name)));
        }
        let result = self.read_on(buffer);
        self.failed = result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        result
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
        match self.registry.pull_blob(&self.repository, blob) {
            Ok(reader) => Ok(Box::new(reader)),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
