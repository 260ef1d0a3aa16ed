//! An image is loaded through a pipe: nothing is written beside it, and no engine pulls or builds.

use std::{io::BufWriter, process::Stdio};

use anyhow::{Context, anyhow, ensure};
use oci_image::{BlobSource, Image, StreamError, stream_archive};

use super::{AskError, Way};

/// Loads an image through a pipe, and gives its id. By id no engine looks for it elsewhere, nor minds its platform.
pub fn load(way: &Way, image: &Image, source: &dyn BlobSource, name: &str) -> anyhow::Result<String> {
    let program = way.program;
    let failed = || format!("failed to run `{program} load`");
    let mut child = way
        .command()
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(failed)?;
    let written = {
        let mut pipe = BufWriter::with_capacity(256 << 10, child.stdin.take().with_context(failed)?);
        stream_archive(image, source, &mut pipe, name)
    };
    let output = child.wait_with_output().with_context(failed)?;
    // An engine that gives up closes the pipe; why it did is the better message.
    let said = String::from_utf8_lossy(&output.stderr);
    match written {
        Err(StreamError::Layer { digest, source }) if output.status.success() => {
            return Err(anyhow!(source)).with_context(|| format!("failed to read the layer {digest}"));
        }
        written => {
            ensure!(output.status.success(), "`{program} load` failed: {}", said.trim());
            written?;
        }
    }
    way.image("{{.Id}}", name).map_err(AskError::hinted)
}
