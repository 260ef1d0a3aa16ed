//! Layers and edits upon a base make an image.

use oci_image::{
    Base, ConfigEdits, Descriptor, Format, Image, ImageConfig, Layer, MAX_CONFIG, Manifest, NewLayer, assemble,
};
use serde_json::Value;

use crate::made::*;

fn edits() -> ConfigEdits {
    ConfigEdits { created: "2022-10-28T18:13:25Z".to_owned(), created_by: "fmtk".to_owned(), ..ConfigEdits::default() }
}

fn new_layer(number: usize) -> NewLayer {
    let digest = digest(number.to_string().as_bytes());
    NewLayer { layer: Layer { digest, size: 5, diff_id: digest, tar_size: 7 }, holds: format!("layer {number}") }
}

#[test]
fn an_image_is_the_same_bytes_for_the_same_parts() {
    // Without layers: what a gzip library makes of one may change with the processor.
    let base = base_of(&mut Blobs::default(), &[], &[]);
    // The digest of an image must not change between releases.
    for (format, expected) in [
        (Format::DockerV2, "sha256:1ea546143ce7faa821d2aac624e8ba9baf474c78398905e3719eacce30fa6a94"),
        (Format::Oci, "sha256:d70e35b3b95c45a16081985f146da989077271c5556cd3c84106e79766a3e876"),
    ] {
        let image: Image = assemble(&base, &[new_layer(1), new_layer(2)], &edits(), format).unwrap();
        let parsed = Manifest::parse(&image.manifest, Some(format.manifest())).unwrap();
        assert_eq!((parsed.format, &parsed.layers, &parsed.config), (format, &image.layers, &image.config_descriptor));
        assert!(image.layers.iter().all(|layer| layer.media_type == format.layer()));
        assert_eq!(digest(&image.manifest), image.digest);
        assert_eq!(descriptor(format.config(), &image.config), image.config_descriptor);
        let config: Value = serde_json::from_slice(&image.config).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        assert_eq!(config["history"].as_array().unwrap().len(), 2);
        assert_eq!(config["config"]["Cmd"][0], "bash");
        assert_eq!(image.digest.to_string(), expected);
    }
}

#[test]
fn an_image_of_more_layers_than_can_be_stacked_is_refused() {
    let archives = [tar(&[])];
    let base = base_of(&mut Blobs::default(), &[(OCI_GZIP, gzip(&archives[0]))], &archives);
    let layers: Vec<NewLayer> = (0..120).map(new_layer).collect();
    assert!(assemble(&base, &layers[1..], &edits(), Format::DockerV2).is_ok());
    let error = assemble(&base, &layers, &edits(), Format::DockerV2).unwrap_err();
    assert_eq!(error.to_string(), "the image would have 121 layers, 1 of them the base's; at most 120 can be stacked");
}

#[test]
fn layers_of_the_base_stay_and_come_first() {
    let archives = ["1", "2"].map(|name| tar(&[Made::File(name, name.as_bytes())]));
    // One image may mix the labels of both formats.
    let layers = [(OCI_GZIP, gzip(&archives[0])), (DOCKER_LAYER, gzip(&archives[1]))];
    let base = base_of(&mut Blobs::default(), &layers, &archives);
    let new = [new_layer(1), new_layer(2)];
    for format in [Format::DockerV2, Format::Oci] {
        let image = assemble(&base, &new, &edits(), format).unwrap();
        let said = |digest, size| Descriptor { media_type: format.layer().to_owned(), digest, size, urls: Vec::new() };
        let theirs = base.layers.iter().map(|layer| said(layer.digest, layer.size));
        let wanted: Vec<_> = theirs.chain(new.iter().map(|new| said(new.layer.digest, new.layer.size))).collect();
        assert_eq!(image.layers, wanted);
        let config = ImageConfig::parse(&image.config).unwrap();
        let ours = new.iter().map(|new| new.layer.diff_id);
        let diff_ids: Vec<_> = base.config.diff_ids().iter().copied().chain(ours).collect();
        assert_eq!(config.diff_ids(), diff_ids);
        // What came out is a base again.
        let again = Base::new("image", &image.manifest, Some(format.manifest()), image.config.clone()).unwrap();
        assert_eq!((again.manifest_digest, again.layers), (image.digest, image.layers));
    }
}

#[test]
fn layers_that_are_not_gzip_are_refused() {
    let archive = tar(&[Made::File("a", b"1")]);
    for (media_type, bytes) in [(OCI_ZSTD, zstd(&archive)), (OCI_TAR, archive.clone())] {
        let base = base_of(&mut Blobs::default(), &[(media_type, bytes)], std::slice::from_ref(&archive));
        let error = assemble(&base, &[], &edits(), Format::DockerV2).unwrap_err();
        let digest = base.layers[0].digest;
        let wanted = format!("layer {digest} of the base is `{media_type}`; it has to be recompressed with gzip first");
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn a_config_beyond_what_engines_read_is_refused() {
    let base = base_of(&mut Blobs::default(), &[], &[]);
    let with = |length: usize| {
        let edits = ConfigEdits { labels: [("a".to_owned(), "x".repeat(length))].into(), ..edits() };
        assemble(&base, &[], &edits, Format::DockerV2)
    };
    let around = with(0).unwrap().config.len();
    let most = MAX_CONFIG as usize - around;
    assert_eq!(with(most).unwrap().config.len() as u64, MAX_CONFIG);
    let error = with(most + 1).unwrap_err().to_string();
    assert_eq!(error, "the image's config would have 8388609 bytes; engines read at most 8388608");
}
