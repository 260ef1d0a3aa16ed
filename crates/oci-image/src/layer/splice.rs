//! Taking over a deflate stream as it is, checked while it passes.

use std::io::Read;

use crc32fast::Hasher;

use super::{
    Content, LayerError,
    gzip::Member,
    inflate::{Inflater, Stop},
};

/// Bytes read at a time.
const INPUT: usize = 128 * 1024;

/// What splicing needs and keeps between streams.
pub(crate) struct Splicer {
    inflater: Inflater,
    input: Vec<u8>,
}

impl Splicer {
    pub fn new() -> Self {
        Self { inflater: Inflater::new(), input: vec![0; INPUT] }
    }

    /// Copies `compressed` bytes of raw deflate from `source` into the member. Refused unless the stream ends exactly
    /// there and gives exactly the contents that were announced.
    pub fn splice(
        &mut self,
        member: &mut Member,
        path: &str,
        content: &Content,
        compressed: u64,
        source: &mut dyn Read,
    ) -> Result<(), LayerError> {
        let damaged = |reason: String| LayerError::Damaged { path: path.to_owned(), reason };
        self.inflater.reset();
        member.align()?;
        let mut crc = Hasher::new();
        let (mut at, mut end) = (0, 0);
        let mut unread = compressed;
        let mut remaining = content.size;
        // Whether the next byte taken begins with the bit that says "this block is the last".
        let mut clear_next = true;
        loop {
            if at == end && unread > 0 {
                let length = unread.min(INPUT as u64) as usize;
                source
                    .read_exact(&mut self.input[..length])
                    .map_err(|source| LayerError::Read { path: path.to_owned(), source })?;
                (at, end) = (0, length);
                unread -= length as u64;
            }
            let digester = member.digester();
            let space = digester.tar_space()?;
            let room = usize::try_from(remaining).unwrap_or(usize::MAX).min(space.len());
            // One byte of room where no more is to come: what is written there is one too many.
            let mut beyond = [0];
            let output = if room == 0 { &mut beyond[..] } else { &mut space[..room] };
            let step = self
                .inflater
                .step(&self.input[at..end], output)
                .map_err(|_| damaged("it is not a deflate stream".to_owned()))?;
            if room == 0 && step.produced > 0 {
                return Err(damaged(format!("it unpacks to more than {} bytes", content.size)));
            }
            digester.tar_filled(step.produced);
            crc.update(digester.tar_last(step.produced));
            remaining -= step.produced as u64;
            digester.blob(&self.input[at..at + step.consumed])?;
            if clear_next && step.consumed > 0 {
                let tail = digester.blob_tail();
                let first = tail.len() - step.consumed;
                tail[first] &= !1;
                clear_next = false;
            }
            at += step.consumed;
            match step.stop {
                Stop::Buffers if step.consumed == 0 && step.produced == 0 && at == end && unread == 0 => {
                    return Err(damaged("it ends in the middle of its deflate stream".to_owned()));
                }
                Stop::Buffers => {}
                Stop::Block { unused_bits: 0, last: false } => clear_next = true,
                Stop::Block { unused_bits, last: false } => {
                    let tail = digester.blob_tail();
                    let byte = tail.len() - usize::from(unused_bits.div_ceil(8));
                    tail[byte] &= !(1 << ((8 - unused_bits % 8) % 8));
                }
                Stop::Block { unused_bits, last: true } if unused_bits < 8 && at == end && unread == 0 => {
                    if remaining > 0 {
                        let found = content.size - remaining;
                        return Err(damaged(format!("it unpacks to {found} bytes instead of {}", content.size)));
                    }
                    content.check_crc(path, crc.clone())?;
                    member.count_known(&crc, content.size);
                    return member.end_unaligned(unused_bits);
                }
                Stop::Block { last: true, .. } | Stop::End => {
                    return Err(damaged("its deflate stream ends before its place does".to_owned()));
                }
            }
        }
    }
}
