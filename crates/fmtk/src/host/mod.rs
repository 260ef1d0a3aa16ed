//! This machine: what is wrong with it, its login, its docker, and files of the user.

pub(crate) mod app_config;
pub mod doctor;
pub mod login;
pub mod setup;
