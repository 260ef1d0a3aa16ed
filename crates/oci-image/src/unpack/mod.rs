//! Reading layers: decompression, the tar archive inside, and the digests of both checked on the way.

mod decode;
mod error;
mod header;
mod several;
mod stream;
mod tar;

pub(crate) use decode::decoder;
pub use error::{TarError, UnpackError};
pub(crate) use several::each_layer;
pub use stream::{LayerStream, Unpacked, read_layer};
pub use tar::{Contents, Entry, EntryKind, SkipRead, TarReader};
