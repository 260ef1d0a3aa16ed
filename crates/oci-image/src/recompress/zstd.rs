//! zstd (RFC 8878), the same bytes on every machine.

use std::io::{self, Read, Write};

use zstd::stream::write::Encoder;

/// What `zstd` itself takes without being told. Level 9 makes an eighth less of MindSpore in five times the processor's time.
/// One thread: several would cut the input where their number says. The output is that of one version of libzstd.
const LEVEL: i32 = 3;

/// Compresses all that `input` gives.
pub(super) fn compress(input: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let mut encoder = Encoder::new(output, LEVEL)?;
    io::copy(input, &mut encoder)?;
    encoder.finish().map(drop)
}
