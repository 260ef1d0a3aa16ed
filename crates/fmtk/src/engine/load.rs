//! An image is loaded through a pipe: nothing is written beside it, and no engine pulls or builds.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Read},
    process::Stdio,
};

use anyhow::{Context, anyhow, ensure};
use oci_image::{BlobSource, Descriptor, Digest, Image, StreamError, stream_archive};

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
        let step = progress.transfer(format!("sending the image to {program}"), size);
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

/// The same where the engine has the lowest layers, `there` of them, by an image loaded before: they are not sent again.
/// In place of each is a blob that is no layer; an engine that has the layer does not open it. One that does refuses the
/// image, because a layer has to have its digest, and is then given all of it.
pub fn load_upon(
    there: usize,
    way: &EngineCommand,
    image: &Image,
    source: &dyn BlobSource,
    name: &str,
    progress: &Progress,
) -> anyhow::Result<String> {
    if there == 0 {
        return load(way, image, source, name, progress);
    }
    let mut short = image.clone();
    let mut stubs = BTreeMap::new();
    for (number, layer) in short.layers.iter_mut().take(there).enumerate() {
        // podman wants a file for each layer.
        let stub = format!("layer {number} is there").into_bytes();
        (layer.digest, layer.size) = (Digest::of(&stub), stub.len() as u64);
        stubs.insert(layer.digest, stub);
    }
    load(way, &short, &Stubs { stubs, other: source }, name, progress).or_else(|_| {
        progress.line(&format!("{} does not accept the image without its base; sending all of it", way.program));
        load(way, image, source, name, progress)
    })
}

struct Stubs<'a> {
    stubs: BTreeMap<Digest, Vec<u8>>,
    other: &'a dyn BlobSource,
}

impl BlobSource for Stubs<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.stubs.get(&blob.digest) {
            Some(stub) => Ok(Box::new(stub.as_slice())),
            None => self.other.open(blob),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use oci_image::{Format, Store};

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

    /// What an engine is given that answers `load` in such a way, archive by archive.
    fn given(answer: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let layers = [b"base1", b"base2", b"wheel"].map(|layer| store.put_blob(layer).unwrap());
        // The last argument is the subcommand, or the name of the image that is asked for.
        let script = format!(
            "cd {}; case $1 in load) n=$(($(ls | wc -l))); cat >archive$n; {answer} ;; *) echo sha256:1 ;; esac",
            folder.path().display()
        );
        let way = EngineCommand { program: "sh", global: vec!["-c", script.leak(), "docker"], create: Vec::new() };
        let id = load_upon(2, &way, &image(&layers), &store, "a:1", &Progress::new(true)).unwrap();
        assert_eq!(id, "sha256:1");
        let mut archives: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        archives.retain(|path| path.is_file());
        archives.sort();
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        archives.into_iter().map(text).collect()
    }

    #[test]
    fn layers_that_the_engine_has_are_not_sent_unless_it_wants_them() {
        let holds = |archive: &String| ["base1", "base2", "wheel"].map(|layer| archive.contains(layer));
        let takes: Vec<_> = given("true").iter().map(holds).collect();
        assert_eq!(takes, [[false, false, true]]);
        let refuses: Vec<_> = given("grep -q base1 archive$n").iter().map(holds).collect();
        assert_eq!(refuses, [[false, false, true], [true, true, true]]);
    }
}
