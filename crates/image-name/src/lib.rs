//! Names of the image: tag, organisation, repository, reference, digest and timestamp, parsed once and printed exactly.

mod digest;
mod error;
mod host;
mod image_ref;
mod names;
mod reference;
mod tag_template;
mod timestamp;

pub use digest::Digest;
pub use error::NameError;
pub use host::Host;
pub use image_ref::{ImageRef, ImageRefError};
pub use names::{OrgName, RepoPath, Repository, Tag};
pub use reference::Reference;
pub use tag_template::{ReadTag, TagPart, TagTemplate};
pub use timestamp::Timestamp;

/// What a job's `app_config.yaml` has under `user_image_url`: `{org}/{repository}:{tag}`, without a registry host.
pub fn user_image_url(org: &OrgName, repository: &Repository, tag: &Tag) -> String {
    format!("{org}/{repository}:{tag}")
}
