//! Container images as data: digests, manifests, configs, layers, and the store that keeps them by content.

mod archive;
mod assemble;
mod base;
mod base_index;
mod blob;
mod checked;
mod config;
mod deflate;
mod document;
mod index;
mod layer;
mod layout;
mod leftover;
mod manifest;
mod media;
mod normalise;
mod platform;
mod refused;
mod regular;
mod store;
mod unpack;
mod within;

pub use archive::{
    ArchiveSource, ImportedSource, StreamError, import, imported, open_archive, stream_archive, write_archive,
};
pub use assemble::{AssembleError, Image, MAX_LAYERS, NewLayer, assemble};
pub use base::{Base, BaseError};
pub use base_index::{BaseIndex, Distribution, Group, IndexError, IndexedFile, Interpreter, NotRecorded, User};
pub use blob::{BlobSource, Descriptor};
pub use checked::{CheckedReader, WrongBlob, read_small};
pub use config::{ConfigEdits, ConfigError, ImageConfig};
pub use document::Document;
pub use image_name::Digest;
pub use index::{Index, IndexEntry};
pub use layer::{
    Attr, Content, ContentHash, LAYER_FORMAT, Layer, LayerError, LayerOptions, LayerWriter, MTIME, ParentDirs,
    TreeEntry, TreeKind, split, tree_layer,
};
pub use layout::{LayoutSource, WriteError, open_layout, write_layout};
pub use leftover::Scratch;
pub use manifest::Manifest;
pub use media::{Compression, Format, MAX_CONFIG, MAX_MANIFEST};
pub use normalise::{NormaliseError, normalise};
pub use platform::Platform;
pub use refused::ManifestError;
pub use store::{BlobWriter, Lock, Store, StoreError};
pub use unpack::{
    Contents, Entry, EntryKind, LayerStream, SkipRead, TarError, TarReader, UnpackError, Unpacked, read_layer,
};
pub use within::is_within;
