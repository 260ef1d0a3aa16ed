//! Any bytes as a manifest, an index, a config or a layer: refused with a message, or read in keeping with what is
//! promised. The fuzz targets call these functions, and start from the corpus that is read here.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use oci_image::{BlobSource, Descriptor, Digest, Document, EntryKind, ImageConfig, Platform, UnpackError, read_layer};

/// A manifest or an index.
pub fn document(bytes: &[u8]) {
    match Document::parse(bytes, None) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(Document::Manifest(manifest)) => {
            let again = Document::parse(&manifest.to_json(), Some(manifest.format.manifest())).unwrap();
            assert_eq!(again, Document::Manifest(manifest));
        }
        Ok(Document::Index(index)) => match index.choose(&Platform::linux_arm64()) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(entry) => assert!(index.manifests.contains(entry) && !entry.is_attestation()),
        },
    }
}

/// An image's config.
pub fn config(bytes: &[u8]) {
    let config = match ImageConfig::parse(bytes) {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let again = ImageConfig::parse(&config.to_json()).unwrap();
    assert_eq!(again, config);
    let said = |config: &ImageConfig| {
        let (platform, diff_ids) = (config.platform(), config.diff_ids().to_vec());
        let texts = [config.user(), config.working_dir(), config.created().unwrap_or_default()].map(str::to_owned);
        (platform, diff_ids, texts, config.env(), config.labels(), config.cmd())
    };
    assert_eq!(said(&again), said(&config));
}

/// A layer, compressed in any way or not at all.
pub fn layer(bytes: &[u8]) {
    let source = Bytes(bytes);
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    let blob = Descriptor { media_type: "any".to_owned(), digest, size, urls: Vec::new() };
    let read = read_layer(&source, &blob, None, |stream| {
        let mut tar = stream.entries();
        let mut left = LIMIT;
        while let Some(entry) = tar.next_entry().map_err(|source| UnpackError::Tar { digest, source })? {
            let names_a_folder_above = entry.path.split('/').any(|part| part == "..");
            assert!(!names_a_folder_above && !entry.path.starts_with('/'), "{entry:?}");
            if let EntryKind::HardLink(target) = &entry.kind {
                assert!(!target.split('/').any(|part| part == "..") && !target.starts_with('/'), "{entry:?}");
            }
            let begun = io::copy(&mut tar.contents().take(left), &mut io::sink());
            left -= begun.map_err(|source| UnpackError::Read { digest, source })?;
            if left == 0 {
                let source = io::Error::other("so much is enough");
                return Err(UnpackError::Read { digest, source });
            }
        }
        Ok(())
    });
    match read {
        Ok(((), unpacked)) => assert!(unpacked.tar_size <= LIMIT * 1024),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// 1 MiB of files: a few bytes may unpack to gigabytes.
const LIMIT: u64 = 1 << 20;

struct Bytes<'b>(&'b [u8]);

impl BlobSource for Bytes<'_> {
    fn open(&self, _: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.0))
    }
}

#[test]
fn the_corpus_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for (name, read) in [("document", document as fn(&[u8])), ("config", config), ("layer", layer)] {
        let mut count = 0;
        for file in fs::read_dir(corpus.join(name)).unwrap() {
            read(&fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 5, "{name}: {count} files");
    }
}
