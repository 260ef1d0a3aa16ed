//! An image is loaded through a pipe: nothing is written beside it, and no engine pulls or builds.

use std::{
    io::{self, BufWriter},
    process::Stdio,
};

use anyhow::{Context, anyhow, ensure};
use oci_image::{BlobSource, Image, StreamError, stream_archive};

use super::EngineCommand;

/// Loads an image through a pipe, and gives its id. By id no engine looks for it elsewhere, nor minds its platform.
pub fn load(way: &EngineCommand, image: &Image, source: &dyn BlobSource, name: &str) -> anyhow::Result<String> {
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
    // An engine that gives up closes the pipe; why it did is the better message. Else it is we who gave up.
    match written {
        Err(StreamError::Layer { digest, source }) if source.kind() != io::ErrorKind::BrokenPipe => {
            return Err(anyhow!(source)).with_context(|| format!("failed to read the layer {digest}"));
        }
        written => {
            ensure!(output.status.success(), "`{program} load` failed: {}", super::said(output.status, &output.stderr));
            written?;
        }
    }
    // However long it takes: gigabytes were just written.
    way.say(&["image", "inspect", "--format", "{{.Id}}", name])
}

#[cfg(test)]
mod tests {
    use oci_image::{Descriptor, Format, Store};

    use super::*;

    #[test]
    fn a_layer_that_is_damaged_is_told_and_not_what_an_engine_makes_of_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let layer = store.put_blob(b"layer").unwrap();
        std::fs::write(store.blob_path(&layer), "lager").unwrap();
        let blob = |digest, size| Descriptor { media_type: String::new(), digest, size, urls: Vec::new() };
        let (config, layers) = (blob(layer, 2), vec![blob(layer, 5)]);
        let (format, digest) = (Format::DockerV2, layer);
        let image =
            Image { format, manifest: Vec::new(), digest, config: b"{}".to_vec(), config_descriptor: config, layers };
        let engine = "cat >/dev/null; echo unexpected EOF >&2; exit 1";
        let way = EngineCommand { program: "sh", global: vec!["-c", engine, "docker"], create: Vec::new() };
        let error = load(&way, &image, &store, "a:1").unwrap_err();
        assert_eq!(error.to_string(), format!("failed to read the layer {layer}"));
        assert!(format!("{error:#}").contains("is damaged: its digest is"), "{error:#}");
    }
}
