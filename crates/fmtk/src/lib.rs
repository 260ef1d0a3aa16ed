//! The product: an image for ModelArts is made of a recipe, packages and a base, pushed, and tried here.
//!
//! One folder a stage; each imports only from stages that are further down in this list.

pub mod init;

pub mod pipeline;
pub mod try_out;

pub mod ship;

pub(crate) mod build;

pub(crate) mod plan;

pub(crate) mod cann;
pub mod host;

pub mod resolve;

pub(crate) mod engine;
pub mod recipe;
pub(crate) mod record;
pub mod sample;

pub mod debian;

pub mod options;

pub mod terminal;
