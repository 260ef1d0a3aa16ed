//! Reading blobs: size and digest are checked on the way; after a cut the rest is asked for (RFC 9110, section 14).

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

/// 64 KiB: once this much has come, the line works, and attempts begin anew. There are lines that carry no more than
/// some hundred thousand bytes between two cuts.
const PROGRESS: u64 = 64 << 10;

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
        // Where the body begins in the blob, and how long it should be.
        let (start, length) = match answer.status {
            // Also from a server that does not know ranges: what is there already is read over.
            200 => (0, self.blob.size),
            206 if self.offset > 0 => (self.offset, self.part(answer.header("content-range"))?),
            // Its blob ends before the byte that was asked for.
            416 if self.offset > 0 => return Err(self.wrong_size(self.offset)),
            _ => return Err(self.registry.refusal(answer, &self.name, &self.access.repository)),
        };
        if let Some(found) = answer.length().filter(|found| *found != length) {
            return Err(self.wrong_size(found.saturating_add(start)));
        }
        let mut body = answer.body.into_reader();
        let skip = self.offset - start;
        let skipped = io::copy(&mut (&mut body).take(skip), &mut io::sink()).map_err(|error| self.cut(error))?;
        if skipped < skip {
            return Err(self.cut(io::ErrorKind::UnexpectedEof.into()));
        }
        self.body = Some(body);
        Ok(())
    }

    /// How many bytes the part has that this `Content-Range` announces. It has to begin at `offset`; a server may send
    /// less than all of the rest (RFC 9110, section 15.3.7), which is asked for again then.
    fn part(&self, field: Option<&str>) -> Result<u64, Cause> {
        let size = self.blob.size;
        match field.and_then(content_range) {
            Some((_, last, whole)) if whole.is_some_and(|whole| whole != size) || last >= size => {
                Err(self.wrong_size(whole.unwrap_or(last.saturating_add(1))))
            }
            Some((first, last, _)) if first == self.offset && last >= first => Ok(last - first + 1),
            _ => {
                let from = self.offset;
                let reason = format!("asked for `{}` from byte {from} on, it sent something else", self.name);
                Err(self.registry.protocol(reason))
            }
        }
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
                // It had an address a moment ago: it is the line that is down.
                Err(Cause::NoSuchHost(host)) => cause = Cause::Connection(host, io::Error::other("no such host")),
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

/// First and last byte of the part, and the size of the whole unless that is `*`: `bytes 0-99/1000` (RFC 9110, section
/// 14.4).
fn content_range(field: &str) -> Option<(u64, u64, Option<u64>)> {
    let (part, whole) = field.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.trim().split_once('-')?;
    let whole = if whole.trim() == "*" { None } else { Some(whole.trim().parse().ok()?) };
    Some((first.parse().ok()?, last.parse().ok()?, whole))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_it_stands() {
        for (field, range) in [
            ("bytes 5-9/10", Some((5, 9, Some(10)))),
            (" bytes  5-9/* ", Some((5, 9, None))),
            ("bytes 5-18446744073709551615/*", Some((5, u64::MAX, None))),
            ("bytes 5-18446744073709551616/*", None),
            ("bytes */10", None),
            ("bytes 5-/10", None),
            ("bytes 5-9/x", None),
            ("bytes 5-9", None),
            ("items 5-9/10", None),
            ("", None),
        ] {
            assert_eq!(content_range(field), range, "{field}");
        }
    }
}
