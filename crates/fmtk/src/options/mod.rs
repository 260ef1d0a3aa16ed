//! Options that several commands have.

mod call;

use std::path::PathBuf;

use clap::{
    Args as ClapArgs, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};

use image_name::Host;
use serde::Serialize;

pub use self::call::{Call, flag, lock_name};
use crate::terminal::report;

/// All devices of a node that has so many, at least one, as `--devices` of the launcher has them.
pub fn device_list(count: u32) -> String {
    match count {
        1 => "0".to_owned(),
        count => format!("0-{}", count - 1),
    }
}

/// What stdout looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    #[default]
    Human,
    /// One JSON document
    Json,
}

impl Format {
    /// Prints one of two forms of the same thing to stdout: text for people, or a document.
    pub fn print(self, text: impl FnOnce() -> String, document: &impl Serialize) -> anyhow::Result<()> {
        match self {
            Self::Human => report::data(&text()),
            Self::Json => report::data(&format!("{}\n", serde_json::to_string_pretty(document)?)),
        }
    }
}

/// Media types of the manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MediaTypes {
    /// Docker v2 schema 2, the only one that SWR takes
    #[default]
    Docker,
    /// OCI image spec
    Oci,
}

impl MediaTypes {
    /// The manifest's format.
    pub const fn format(self) -> oci_image::Format {
        match self {
            Self::Docker => oci_image::Format::DockerV2,
            Self::Oci => oci_image::Format::Oci,
        }
    }
}

/// How the layers that a push sends are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LayerCompression {
    /// As they were built; every engine reads them
    #[default]
    Gzip,
    /// Fewer bytes to unpack in less time; for OCI manifests only, and docker before 23 can't read it
    Zstd,
}

/// A container engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// docker where its daemon answers, else podman
    #[default]
    Auto,
    /// docker
    Docker,
    /// podman
    Podman,
}

/// When a base in a registry is streamed to see what is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Inspect {
    /// When the plan needs it (wheels, scripts to patch, folders that the recipe does not know) and it was not seen before
    #[default]
    Auto,
    /// When it was not seen before
    Always,
    /// Never, though it was seen before
    Never,
}

/// Where the recipe and the packages are.
#[derive(Debug, Clone, ClapArgs)]
pub struct RecipeArgs {
    /// Recipe of the image [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Stack that the recipe lies on, of those that `cargo xtask stacks` lists [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// Override one key of the recipe, as in `versions.mindspore=1.9.0`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder of the vendor's packages [default: `pkg` of the workspace, or of `$DOCKER_BUILD_PATH`]
    #[arg(long, value_name = "DIR")]
    pub pkg: Option<PathBuf>,
    /// Use the sample in place of the vendor's packages: a base made of Debian's packages, and what PyPI has of the stack
    #[arg(long)]
    pub sample: bool,
}

/// How to reach the registry.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct RegistryArgs {
    /// Accept plain HTTP or any certificate from the registry
    #[arg(long)]
    pub insecure: bool,
    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(certificates))]
    pub ca: Option<PathBuf>,
    /// Address of the registry where its name is not in DNS
    #[arg(long, value_name = "IP")]
    pub resolve: Option<std::net::IpAddr>,
    /// The only registry that these are about; if there is none, all that the command reaches.
    #[arg(skip)]
    pub only: Option<Host>,
}

impl RegistryArgs {
    /// The same about this registry alone: an image may have layers in others.
    pub fn only_for(&self, host: &Host) -> Self {
        Self { only: Some(host.clone()), ..self.clone() }
    }
}

/// A file of certificates, read now: it is not needed before the first connection, which may be minutes away.
fn certificates(path: PathBuf) -> Result<PathBuf, registry::CaFileError> {
    registry::check_ca_file(&path).map(|()| path)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use expect_test::expect;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: RegistryArgs,
    }

    /// It was first read for the first connection, after all that is done before it.
    #[test]
    fn a_certificate_that_is_none_is_refused_as_an_argument() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty.pem"), "").unwrap();
        let first = |file: &str| {
            let file = folder.path().join(file);
            let error = Line::try_parse_from(["push".as_ref(), "--ca".as_ref(), file.as_os_str()]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let said = error.to_string().replace(&format!("{}/", folder.path().display()), "");
            said.lines().next().unwrap_or_default().to_owned()
        };
        expect![[r#"
            error: invalid value 'missing.pem' for '--ca <FILE>': failed to read certificates from `missing.pem`: No such file or directory (os error 2)
            error: invalid value 'empty.pem' for '--ca <FILE>': failed to read certificates from `empty.pem`: there is no PEM certificate in it
        "#]]
        .assert_eq(&format!("{}\n{}\n", first("missing.pem"), first("empty.pem")));
        // What can be read once only was empty for the first connection.
        assert!(first("/dev/null").contains("it is not a regular file"), "{}", first("/dev/null"));
        assert!(Line::try_parse_from(["push"]).unwrap().args.ca.is_none());
    }
}
