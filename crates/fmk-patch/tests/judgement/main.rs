//! Judgements of whole texts: the shapes in the wild, and what may stand around the places of the edits.

#![allow(clippy::unwrap_used, reason = "a test")]

mod code_cwd;
mod corpus;
mod judged;
mod layout;
mod limits;
mod log_path;
mod properties;
mod sentences;
mod shapes;
mod surroundings;
