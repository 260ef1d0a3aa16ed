//! The bytes of a blob on their way to the registry.

use std::io::{self, Read};

use image_name::Digest;
use sha2::{Digest as _, Sha256};

use super::{PushBlob, PushEvent, Upload};
use crate::error::Cause;

/// A blob on its way out: hashed, told of, and stopped at its last bytes where it is not what it should be.
pub(super) struct Checked<'a> {
    upload: &'a Upload<'a>,
    source: Box<dyn Read + Send + 'a>,
    pub(super) position: u64,
    hash: Sha256,
    pub(super) problem: Option<Cause>,
}

impl<'a> Checked<'a> {
    /// The blob after its first so many bytes, which are hashed and not sent.
    pub(super) fn at(upload: &'a Upload<'a>, position: u64) -> Result<Self, Cause> {
        let PushBlob { name, descriptor, source, .. } = upload.blob;
        let source = source.open(descriptor).map_err(|error| Cause::Source(name.clone(), error))?;
        let mut reader = Self { upload, source, position: 0, hash: Sha256::new(), problem: None };
        let skipped = match descriptor.size {
            // An empty blob has nothing to send, and so no last read that would find it wrong.
            0 => reader.check(),
            _ => reader.skip(position),
        };
        match (reader.problem.take(), skipped) {
            (Some(problem), _) => Err(problem),
            (None, Err(error)) => Err(Cause::Source(name.clone(), error)),
            (None, Ok(())) => Ok(reader),
        }
    }

    fn skip(&mut self, position: u64) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        while self.position < position {
            let most = buffer.len().min(usize::try_from(position - self.position).unwrap_or(usize::MAX));
            match self.read_on(&mut buffer[..most]) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Upload { blob, .. } = self.upload;
        if let Err(cause) = self.upload.check_wanted() {
            return Err(self.fail(cause));
        }
        let (size, position) = (blob.descriptor.size, self.position);
        let most = buffer.len().min(usize::try_from(size - position).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let bytes = match self.source.read(&mut buffer[..most]) {
            Ok(0) => return Err(self.damaged(format!("it has {position} bytes, not {size}"))),
            Ok(amount) => amount,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.fail(Cause::Source(blob.name.clone(), error))),
        };
        self.hash.update(&buffer[..bytes]);
        self.position += bytes as u64;
        if self.position == size {
            self.check()?;
        }
        Ok(bytes)
    }

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
        let bytes = self.read_on(buffer)?;
        if bytes > 0 {
            (self.upload.progress)(PushEvent::Sent { name: &self.upload.blob.name, bytes: bytes as u64 });
        }
        Ok(bytes)
    }
}
