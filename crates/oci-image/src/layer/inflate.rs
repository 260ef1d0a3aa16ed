//! Inflating a raw deflate stream (RFC 1951) while learning where its blocks begin and at which bit it ends.
//!
//! The safe API of zlib-rs does not tell bit positions, its C-shaped one does (`data_type` after a call with
//! `Z_BLOCK`), so this file holds the only unsafe code of the crate. It is still pure Rust.

#![allow(unsafe_code)]

use libz_rs_sys as z;

/// What one step of [`Inflater::step`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes taken from the input.
    pub consumed: usize,
    /// Bytes written to the output.
    pub produced: usize,
    /// Where it stopped.
    pub stop: Stop,
}

/// Why a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The input is used up or the output is full.
    Buffers,
    /// A block has ended. The next one's header, or the end of the stream where `last` is set, lies this many bits
    /// before the end of what has been consumed (0 to 63).
    Block {
        /// Bits consumed but not part of the block that ended.
        unused_bits: u8,
        /// Whether that block was the last one.
        last: bool,
    },
    /// The stream was ended by an earlier step.
    End,
}

/// The bytes are not a deflate stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A raw inflater that can be used for one stream after the other.
pub(crate) struct Inflater {
    // Boxed: zlib's contract does not let an initialised stream be moved.
    stream: Box<z::z_stream>,
}

// SAFETY: the stream owns all it points to between calls: its state lives on the Rust heap, and `next_in` and `next_out`
// are set anew by every step and never read outside one.
unsafe impl Send for Inflater {}

impl Inflater {
    /// A fresh inflater; it holds about 50 KiB.
    pub fn new() -> Self {
        let mut stream = Box::new(z::z_stream::default());
        // SAFETY: the stream is a valid, exclusively borrowed `z_stream` with zlib-rs's own allocator, and the version
        // string and structure size are those of the library that is called.
        let code = unsafe {
            z::inflateInit2_(
                &mut *stream,
                -15, // raw deflate, window of 32 KiB
                z::zlibVersion(),
                size_of::<z::z_stream>() as i32,
            )
        };
        // It can only fail for want of memory, where Rust's own collections abort too.
        assert_eq!(code, z::Z_OK, "inflateInit2 failed");
        Self { stream }
    }

    /// Forgets the stream so far.
    pub fn reset(&mut self) {
        // SAFETY: the stream was initialised in `new` and is exclusively borrowed.
        let code = unsafe { z::inflateReset(&mut *self.stream) };
        debug_assert_eq!(code, z::Z_OK);
    }

    /// Inflates until the input is used up, the output is full or a block ends.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Malformed> {
        let available_in = u32::try_from(input.len()).unwrap_or(u32::MAX);
        let available_out = u32::try_from(output.len()).unwrap_or(u32::MAX);
        self.stream.next_in = input.as_ptr();
        self.stream.avail_in = available_in;
        self.stream.next_out = output.as_mut_ptr();
        self.stream.avail_out = available_out;
        // SAFETY: the stream was initialised in `new`; `next_in` and `next_out` point to live slices of at least
        // `avail_in` and `avail_out` bytes that do not overlap (one is shared, the other exclusive).
        let code = unsafe { z::inflate(&mut *self.stream, z::Z_BLOCK) };
        let consumed = (available_in - self.stream.avail_in) as usize;
        let produced = (available_out - self.stream.avail_out) as usize;
        let state = self.stream.data_type;
        let stop = match code {
            z::Z_STREAM_END => Stop::End,
            z::Z_OK | z::Z_BUF_ERROR if state & 128 != 0 => {
                Stop::Block { unused_bits: (state & 63) as u8, last: state & 64 != 0 }
            }
            z::Z_OK | z::Z_BUF_ERROR => Stop::Buffers,
            _ => return Err(Malformed),
        };
        Ok(Step { consumed, produced, stop })
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised in `new` and is not used afterwards.
        unsafe { z::inflateEnd(&mut *self.stream) };
    }
}
