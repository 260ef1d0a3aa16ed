//! Opening what has to be a regular file.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Opens a file that is one: a pipe in a layout of others would have us wait for its other end for ever.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let meta = fs::metadata(path)?;
    if meta.is_file() {
        return File::open(path);
    }
    let kind = if meta.is_dir() { "it is a folder" } else { "it is not a regular file" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, kind))
}
