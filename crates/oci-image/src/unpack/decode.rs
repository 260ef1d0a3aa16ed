//! Decompression of a layer's blob.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use crate::Compression;

/// The largest window that a zstd stream may ask for: 128 MiB, what `zstd` itself takes without being told to.
const MAX_WINDOW: u64 = 128 << 20;
/// Bytes read from the source at a time.
const INPUT: usize = 256 * 1024;

/// Finds out how the blob is compressed and reads through that.
pub(crate) fn decoder<'a>(source: impl Read + Send + 'a) -> io::Result<(Compression, Box<dyn Read + Send + 'a>)> {
    let mut source = BufReader::with_capacity(INPUT, source);
    // The reader gives the first bytes as they come, which may be fewer than four; none of the sources do so.
    let compression = Compression::of_magic(source.fill_buf()?);
    let decoder: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
        Compression::Zstd => {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(MAX_WINDOW);
            Box::new(ZstdReader { source, decoder, within: false })
        }
    };
    Ok((compression, decoder))
}

/// A zstd stream of any number of frames, skippable ones passed over.
struct ZstdReader<R> {
    source: R,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: BufRead> ZstdReader<R> {
    /// Why decoding failed: the source's own reason where it has one, the decoder's else.
    fn failed(&mut self, error: &FrameDecoderError) -> io::Error {
        match self.source.fill_buf() {
            Err(error) => error,
            Ok([]) => io::Error::new(io::ErrorKind::UnexpectedEof, "the zstd stream is cut off"),
            // The decoder's errors repeat their causes themselves.
            Ok(_) => io::Error::new(io::ErrorKind::InvalidData, format!("the zstd stream is damaged: {error}")),
        }
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                match self.decoder.init(&mut self.source) {
                    Ok(()) => self.within = true,
                    Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                        length, ..
                    })) => {
                        let length = u64::from(length);
                        let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                        if skipped < length {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                        continue;
                    }
                    Err(error) => return Err(self.failed(&error)),
                }
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.decoder.is_finished() {
                self.within = false;
                continue;
            }
            if let Err(error) = self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1)) {
                return Err(self.failed(&error));
            }
        }
    }
}
