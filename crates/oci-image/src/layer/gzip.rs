//! One gzip member (RFC 1952) put together from stored blocks, deflate streams taken over as they are, and compressed
//! contents.
//!
//! A stream taken over keeps its blocks but for one bit: the last block no longer says that it is the last. It may end
//! at any bit of a byte, so the three zero bits that open a stored block follow at once; a stored block's length begins
//! at a whole byte, and the stream is aligned again. zlib's example gzjoin joins streams in this way.

use crc32fast::Hasher;
use miniz_oxide::{MZFlush, deflate::core::CompressorOxide};

use super::{LayerError, digester::Digester};
use crate::deflate::{HEADER, feed, trailer};

/// Bytes that a stored block can hold.
const STORED: usize = 65535;

/// A gzip member under way, and the tar archive in it.
pub(crate) struct Member {
    digester: Digester,
    crc: Hasher,
    size: u64,
    /// Bytes of the next stored block, never more than fit one.
    stored: Vec<u8>,
    /// Whether the three bits that open a stored block have been written already.
    opened: bool,
    compressor: Box<CompressorOxide>,
    scratch: Vec<u8>,
}

impl Member {
    /// Writes the header.
    pub fn start(mut digester: Digester) -> Result<Self, LayerError> {
        digester.blob(&HEADER)?;
        Ok(Self {
            digester,
            crc: Hasher::new(),
            size: 0,
            stored: Vec::with_capacity(STORED),
            opened: false,
            compressor: Box::new(fresh_compressor()),
            scratch: vec![0; 64 * 1024],
        })
    }

    /// Where tar bytes and blob bytes go.
    pub fn digester(&mut self) -> &mut Digester {
        &mut self.digester
    }

    /// Appends bytes to the tar archive as stored blocks.
    pub fn store(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        self.count(bytes);
        self.digester.tar(bytes)?;
        while !bytes.is_empty() {
            let length = bytes.len().min(STORED - self.stored.len());
            self.stored.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            if self.stored.len() == STORED {
                self.flush_stored()?;
            }
        }
        Ok(())
    }

    /// Aligns the blob to a whole byte; deflate blocks may follow. Their contents go to the tar archive by way of the
    /// digester, and are told of by [`Member::count`] or [`Member::count_known`].
    pub fn align(&mut self) -> Result<(), LayerError> {
        if self.opened || !self.stored.is_empty() {
            self.flush_stored()?;
        }
        Ok(())
    }

    /// The blob now ends in a deflate stream whose last byte has this many bits (0 to 7) that do not belong to it and
    /// whose last block does not say that it is the last.
    pub fn end_unaligned(&mut self, unused_bits: u8) -> Result<(), LayerError> {
        if let Some(last) = self.digester.blob_tail().last_mut() {
            *last &= 0xff >> unused_bits;
        }
        // A stored block opens with three zero bits; where they don't fit, they take a byte more.
        if unused_bits < 3 {
            self.digester.blob(&[0])?;
        }
        self.opened = true;
        Ok(())
    }

    /// These bytes, already put into the tar archive, count for the trailer.
    pub fn count(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Bytes with this CRC, already put into the tar archive, count for the trailer.
    pub fn count_known(&mut self, crc: &Hasher, size: u64) {
        self.crc.combine(crc);
        self.size += size;
    }

    /// Appends one part of contents, compressed. The last part says so, and leaves the blob aligned.
    pub fn compress(&mut self, bytes: &[u8], last: bool) -> Result<(), LayerError> {
        self.count(bytes);
        self.digester.tar(bytes)?;
        let flush = if last { MZFlush::Sync } else { MZFlush::None };
        let Self { compressor, scratch, digester, .. } = self;
        feed(compressor, bytes, scratch, flush, |part| digester.blob(part))?;
        if last {
            self.compressor.reset();
        }
        Ok(())
    }

    /// Writes the closing block and the trailer.
    pub fn finish(mut self) -> Result<super::Layer, LayerError> {
        self.align()?;
        self.digester.blob(&trailer(&self.crc, self.size))?;
        self.digester.finish()
    }

    fn flush_stored(&mut self) -> Result<(), LayerError> {
        if !self.opened {
            self.digester.blob(&[0])?;
        }
        self.opened = false;
        let length = self.stored.len() as u16; // at most STORED, which fits
        self.digester.blob(&length.to_le_bytes())?;
        self.digester.blob(&(!length).to_le_bytes())?;
        self.digester.blob(&self.stored)?;
        self.stored.clear();
        Ok(())
    }
}

/// Raw deflate, whose output does not depend on the processor. Level 4: programs take 2 % more bytes than at level 6, for
/// 40 % of the processor's time (37 MB in 0.75 instead of 1.8 s).
fn fresh_compressor() -> CompressorOxide {
    CompressorOxide::new(miniz_oxide::deflate::core::create_comp_flags_from_zip_params(4, 0, 0))
}
