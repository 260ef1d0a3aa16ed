//! Writing an image as a docker archive.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    Attr, BlobSource, CheckedReader, Digest, Image,
    layer::{Kind, padding, push_header},
    layout::{WriteError, io_error, name},
    leftover,
};

/// Writes the image as an archive that `docker load`, `podman load` and skopeo take, named `repo_tag`
/// (`host/org/repository:tag`). Layers come from `source` and stay compressed, which docker reads since 1.10. The same
/// image and name give the same bytes; the file appears whole or not at all. A link to a file stays; what is not a regular
/// file is refused.
pub fn write_archive(image: &Image, source: &dyn BlobSource, file: &Path, repo_tag: &str) -> Result<(), WriteError> {
    let file = &real(file)?;
    // A bare file name lies in the current folder.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = format!(".{}.new-", file.file_name().unwrap_or_default().to_string_lossy());
    leftover::clear(folder, &[&prefix]);
    let mut out = leftover::readable_file(folder, &prefix).map_err(io_error("create a temporary file in", folder))?;
    let mut writer = BufWriter::with_capacity(256 * 1024, out.as_file_mut());
    stream_archive(image, source, &mut writer, repo_tag).map_err(|error| match error {
        StreamError::Layer { digest, source } => WriteError::layer(&digest, file)(source),
        StreamError::Write(source) => io_error("write", file)(source),
    })?;
    drop(writer);
    name(out, file)
}

/// Why an archive could not be written.
#[allow(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A layer could not be had, or could not be written.
    #[error("failed to copy layer {digest}")]
    Layer { digest: Digest, source: io::Error },
    /// The writer refused.
    #[error("failed to write the archive")]
    Write(#[from] io::Error),
}

/// Writes the same archive to any writer, as `docker load` reads it from a pipe.
pub fn stream_archive(
    image: &Image,
    source: &dyn BlobSource,
    out: &mut dyn Write,
    repo_tag: &str,
) -> Result<(), StreamError> {
    let config = format!("{}.json", image.config_descriptor.digest.hex());
    let layer_name = |digest: &Digest| format!("{}.tar.gz", digest.hex());
    let layers: Vec<String> = image.layers.iter().map(|layer| layer_name(&layer.digest)).collect();
    let manifest = json!([{ "Config": config, "RepoTags": [repo_tag], "Layers": layers }]).to_string();

    let mut written = BTreeSet::new();
    for layer in &image.layers {
        // An image may have a layer twice.
        if !written.insert(layer.digest) {
            continue;
        }
        begin(out, &layer_name(&layer.digest), layer.size)?;
        let failed = |source| StreamError::Layer { digest: layer.digest, source };
        let opened = source.open(layer).map_err(failed)?;
        io::copy(&mut CheckedReader::new(opened, layer), out).map_err(failed)?;
        pad(out, layer.size)?;
    }
    for (name, bytes) in [(config.as_str(), image.config.as_slice()), ("manifest.json", manifest.as_bytes())] {
        let size = bytes.len() as u64;
        begin(out, name, size)?;
        out.write_all(bytes)?;
        pad(out, size)?;
    }
    // Two zero blocks end a tar archive.
    out.write_all(&[0; 1024])?;
    out.flush()?;
    Ok(())
}

/// The file that a rename may replace: it would do so with a device like `/dev/null` too, and with the link itself.
fn real(file: &Path) -> Result<PathBuf, WriteError> {
    match fs::metadata(file) {
        Ok(meta) if meta.is_file() => fs::canonicalize(file).map_err(io_error("find", file)),
        Ok(_) => Err(WriteError::occupied(file, "is not a file")),
        // Not there, most often; else creating it says more.
        Err(_) => Ok(file.to_owned()),
    }
}

fn begin(out: &mut dyn Write, name: &str, size: u64) -> io::Result<()> {
    // Time 0: nothing of when or where it was made is in the archive.
    let attr = Attr { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
    let mut header = Vec::new();
    push_header(&mut header, name, Kind::File(size), &attr);
    out.write_all(&header)
}

fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    out.write_all(&[0; 512][..padding(size)])
}
