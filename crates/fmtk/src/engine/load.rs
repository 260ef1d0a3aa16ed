//! An image is loaded through a pipe: nothing is written beside it, and no engine pulls or builds.

use std::{
    io::{self, BufWriter},
    process::Stdio,
};

use anyhow::{Context, anyhow, ensure};
use oci_image::{BlobSource, Image, StreamError, stream_archive};

use super::EngineCommand;
use crate::terminal::progress::Progress;

/// Loads an image through a pipe, and gives its id. By id no engine looks for it elsewhere, nor minds its platform.
pub fn load(
    way: &EngineCommand,
    image: &Image,
    source: &dyn BlobSource,
    name: &str,
    progress: &Progress,
) -> anyhow::Result<String> {
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
    let size = image.layers.iter().map(|layer| layer.size).sum();
    let written = {
        let step = progress.transfer(format!("giving the image to {program}"), size);
        let pipe = step.count(child.stdin.take().with_context(failed)?);
        let mut pipe = BufWriter::with_capacity(256 << 10, pipe);
        stream_archive(image, source, &mut pipe, name)
    };
    let step = progress.step(format!("waiting for {program} to unpack it"));
    let output = child.wait_with_output().with_context(failed)?;
    drop(step);
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
    use std::fs;

    use oci_image::{Descriptor, Digest, Format, Store};

    use super::*;

    fn image(layers: &[Digest]) -> Image {
        let blob = |digest, size| Descriptor { media_type: String::new(), digest, size, urls: Vec::new() };
        let (config_descriptor, digest) = (blob(Digest::of(b"{}"), 2), Digest::of(b"manifest"));
        let layers = layers.iter().map(|layer| blob(*layer, 5)).collect();
        let (manifest, config) = (Vec::new(), b"{}".to_vec());
        Image { format: Format::DockerV2, manifest, digest, config, config_descriptor, layers }
    }

    #[test]
    fn a_layer_that_is_damaged_is_told_and_not_what_an_engine_makes_of_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let layer = store.put_blob(b"layer").unwrap();
        fs::write(store.blob_path(&layer), "lager").unwrap();
        let engine = "cat >/dev/null; echo unexpected EOF >&2; exit 1";
        let way = EngineCommand { program: "sh", global: vec!["-c", engine, "docker"], create: Vec::new() };
        let error = load(&way, &image(&[layer]), &store, "a:1", &Progress::new(true)).unwrap_err();
        assert_eq!(error.to_string(), format!("failed to read the layer {layer}"));
        assert!(format!("{error:#}").contains("is damaged: its digest is"), "{error:#}");
    }
}
