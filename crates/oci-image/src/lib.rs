//! Container images as data: digests, manifests, configs, layers, and the store that keeps them by content.

mod archive;
mod assemble;
mod base;
mod base_index;
mod checked;
mod config;
mod deflate;
mod document;
mod layer;
mod layout;
mod leftover;
mod media;
mod paths;
mod platform;
mod recompress;
mod store;
mod unpack;

pub use archive::{ImportedSource, StreamError, import, imported, open_archive, stream_archive, write_archive};
pub use assemble::{AssembleError, Image, MAX_LAYERS, NewLayer, assemble};
pub use base::{Base, BaseError};
pub use base_index::{BaseIndex, Distribution, Group, IndexError, IndexedFile, Interpreter, NotRecorded, User};
pub use checked::{BlobSource, CheckedReader, WrongBlob};
pub use config::{CACHE_KEY, ConfigEdits, ImageConfig};
pub use document::{Descriptor, Document, DocumentError, Index, IndexEntry, Manifest};
pub use image_name::Digest;
pub use layer::{
    Attr, Content, ContentHash, LAYER_FORMAT, Layer, LayerError, LayerOptions, LayerWriter, MTIME, ParentDirs,
    TreeEntry, TreeKind, split, tree_layer,
};
pub use layout::{LayoutSource, WriteError, check_layout, open_layout, write_layout};
pub use leftover::Scratch;
pub use media::{Compression, Format, MAX_CONFIG, MAX_MANIFEST};
pub use paths::is_within;
pub use platform::Platform;
pub use recompress::{RecompressError, recompress, zstd_layer};
pub use store::{Behind, BlobWriter, Lock, Noted, Store, StoreError, is_full};
pub use unpack::{
    Contents, Entry, EntryKind, LayerStream, SkipRead, TarError, TarReader, UnpackError, Unpacked, read_layer,
};
