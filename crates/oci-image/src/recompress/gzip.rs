//! gzip by all processors, the same bytes whatever their number.
//!
//! The input is cut into chunks that are compressed each by itself and end at a whole byte, as pigz does it with
//! `--independent`; together they are one deflate stream in one gzip member (RFC 1951, 1952).

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::{self, Read, Write},
    thread::{self, ScopedJoinHandle},
};

use crc32fast::Hasher;
use miniz_oxide::{
    MZFlush,
    deflate::core::{CompressorOxide, create_comp_flags_from_zip_params},
};

use crate::deflate::{HEADER, feed, trailer};

/// 1 MiB: what a chunk can't refer back to costs less than a thousandth, and a thread of its own next to nothing.
const CHUNK: usize = 1 << 20;
/// Compressed bytes that are taken at a time.
const SCRATCH: usize = 256 * 1024;
/// Chunks under way for each processor: two, so that none need wait for the oldest.
const AHEAD: usize = 2;
/// Processors at work at most: 8 hold some 40 MiB.
const PROCESSORS: usize = 8;

/// Compresses all that `input` gives.
pub(super) fn compress(input: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get().min(PROCESSORS));
    compress_by(cores * AHEAD, input, output)
}

/// With so many chunks under way at most, whose results are taken in the order of the input.
fn compress_by(most: usize, input: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    output.write_all(&HEADER)?;
    let mut crc = Hasher::new();
    let mut size: u64 = 0;
    thread::scope(|scope| {
        let mut under_way: VecDeque<ScopedJoinHandle<'_, Vec<u8>>> = VecDeque::new();
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            input.take(CHUNK as u64).read_to_end(&mut chunk)?;
            let last = chunk.is_empty();
            if !last {
                crc.update(&chunk);
                size += chunk.len() as u64;
                let builder = thread::Builder::new().name("recompress".to_owned());
                under_way.push_back(builder.spawn_scoped(scope, move || deflated(&chunk))?);
            }
            while under_way.len() >= most || last {
                let Some(oldest) = under_way.pop_front() else { return Ok::<_, io::Error>(()) };
                let done = oldest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                output.write_all(&done)?;
            }
        }
    })?;
    output.write_all(&trailer(&crc, size))
}

/// One chunk as deflate blocks that end at a whole byte and are not the last. Level 3: 3 % more bytes than level 6 for
/// half of the processor's time. miniz_oxide's output does not depend on the processor.
fn deflated(chunk: &[u8]) -> Vec<u8> {
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(3, 0, 0));
    let mut out = Vec::with_capacity(chunk.len() / 2);
    let mut scratch = vec![0; SCRATCH];
    let take = |part: &[u8]| {
        out.extend_from_slice(part);
        Ok::<_, Infallible>(())
    };
    let Ok(()) = feed(&mut compressor, chunk, &mut scratch, MZFlush::Sync, take);
    out
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// A reader that gives less than it is asked for.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(70_001);
            self.0.read(&mut buffer[..length])
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn any_bytes_come_back_from_the_same_gzip_however_many_chunks_are_under_way(
            parts in vec((any::<u8>(), 1..700_000_usize, any::<bool>()), 0..6)
        ) {
            let mut bytes = Vec::new();
            for (seed, length, noise) in parts {
                let mut state = u32::from(seed) + 1;
                bytes.extend((0..length).map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if noise { (state >> 24) as u8 } else { seed }
                }));
            }
            let mut packed = Vec::new();
            compress(&mut bytes.as_slice(), &mut packed).unwrap();
            let mut found = Vec::new();
            // `bufread` stops at the end of the first member; nothing may be left.
            let mut decoder = flate2::bufread::GzDecoder::new(packed.as_slice());
            decoder.read_to_end(&mut found).unwrap();
            prop_assert!(decoder.into_inner().is_empty());
            prop_assert!(found == bytes);
            prop_assert!(packed.len() < bytes.len() + bytes.len() / 1000 + 100);
            for most in [1, 2, 20] {
                let mut again = Vec::new();
                compress_by(most, &mut Slow(&bytes), &mut again).unwrap();
                prop_assert!(again == packed, "{} chunks", most);
            }
        }
    }

    #[test]
    fn an_output_that_fails_ends_it() {
        let error = compress(&mut io::repeat(1).take(50 << 20), &mut &mut [0; 100][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
