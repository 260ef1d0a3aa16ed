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
    Err(if meta.is_dir() {
        io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")
    } else {
        io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
    })
}
