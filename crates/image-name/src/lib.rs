//! Names of the image: tag, organisation, repository, reference, digest and timestamp, parsed once and printed exactly.

mod component;
mod digest;
mod host;
mod image_ref;
mod image_tag;
mod org;
mod platform;
mod reference;
mod refusal;
mod repo_path;
mod repository;
mod tag;
mod text;
mod timestamp;
mod version;

pub use digest::Digest;
pub use host::Host;
pub use image_ref::{ImageRef, ImageRefError};
pub use image_tag::ImageTag;
pub use org::OrgName;
pub use platform::Platform;
pub use reference::Reference;
pub use refusal::{NameError, Rule};
pub use repo_path::RepoPath;
pub use repository::Repository;
pub use tag::Tag;
pub use timestamp::Timestamp;
pub use version::Version;

/// What a job's `app_config.yaml` has under `user_image_url`: `{org}/{repository}:{tag}`, without a registry host.
pub fn user_image_url(org: &OrgName, repository: &Repository, tag: &Tag) -> String {
    format!("{org}/{repository}:{tag}")
}
