//! What is common to those who write gzip (RFC 1952): header, trailer, and feeding a deflate compressor (RFC 1951) until
//! nothing is left in it.

use crc32fast::Hasher;
use miniz_oxide::{
    MZFlush,
    deflate::{core::CompressorOxide, stream::deflate},
};

/// Magic, deflate, no flags, no time (0), no extra flags, unknown system (255): the same on every machine.
pub(crate) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Ends a member: an empty block with fixed codes that says it is the last, CRC, and length modulo 2^32.
pub(crate) fn trailer(crc: &Hasher, size: u64) -> [u8; 10] {
    let [a, b, c, d] = crc.clone().finalize().to_le_bytes();
    let [e, f, g, h] = (size as u32).to_le_bytes();
    [0x03, 0x00, a, b, c, d, e, f, g, h]
}

/// Compresses all of `bytes` and hands out what comes of them, part by part, by way of `scratch`. With
/// [`MZFlush::Sync`] all of it is out in the end.
pub(crate) fn feed<E>(
    compressor: &mut CompressorOxide,
    mut bytes: &[u8],
    scratch: &mut [u8],
    flush: MZFlush,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    // Where output did not fit, the next call may hand out that alone, with input still inside and unflushed. So a call
    // that leaves room counts as the last one only where the one before has left room too.
    let mut left_over = false;
    loop {
        let result = deflate(compressor, bytes, scratch, flush);
        bytes = &bytes[result.bytes_consumed..];
        take(&scratch[..result.bytes_written])?;
        let full = result.bytes_written == scratch.len();
        if bytes.is_empty() && !full && !left_over {
            return Ok(());
        }
        left_over = full;
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io::Read};

    use miniz_oxide::deflate::core::create_comp_flags_from_zip_params;

    use super::*;

    #[test]
    fn nothing_stays_inside_however_the_output_ends() {
        for level in [3, 4] {
            for (length, scratch) in [(381_000, 65_536), (380_941, 191_494), (381_001, 10_007), (70_000, 1000), (0, 10)]
            {
                // Noise: what does not compress fills the output.
                let mut state = 1_u32;
                let next = |_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                };
                let bytes: Vec<u8> = (0..length).map(next).collect();
                let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(level, 0, 0));
                let (mut scratch, mut out) = (vec![0; scratch], Vec::new());
                let (first, last) = bytes.split_at(length / 2);
                for (part, flush) in [(first, MZFlush::None), (last, MZFlush::Sync)] {
                    let take = |part: &[u8]| {
                        out.extend_from_slice(part);
                        Ok::<_, Infallible>(())
                    };
                    feed(&mut compressor, part, &mut scratch, flush, take).unwrap();
                }
                out.extend([3, 0]);
                let mut found = Vec::new();
                flate2::bufread::DeflateDecoder::new(out.as_slice()).read_to_end(&mut found).unwrap();
                assert!(found == bytes, "{length} bytes, level {level}, by {} bytes", scratch.len());
            }
        }
    }
}
