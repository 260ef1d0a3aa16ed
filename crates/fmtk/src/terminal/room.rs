//! A store that is full: it is at fault, whatever was being written into it.

use std::{error::Error, io};

use oci_image::{BaseError, IndexError, LayerError, RecompressError, StoreError};
use wheel_layer::WheelError;

use crate::terminal::report;

/// The error with the way out, where it is one of a store that has no room.
pub fn hinted(error: anyhow::Error) -> anyhow::Error {
    match report::causes(&error).into_iter().filter_map(of_store).any(StoreError::is_full) {
        true => report::hinted(error, "make room where the store is, or name another folder for it with `--store DIR`"),
        false => error,
    }
}

/// The store's error, which libraries show as their own: it is not among their causes.
fn of_store<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    if let Some(LayerError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(WheelError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(BaseError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(IndexError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(RecompressError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    // What is copied into the store while somebody else reads it.
    let written = || cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref();
    cause.downcast_ref().or_else(written)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use expect_test::expect;

    use super::*;

    fn full(kind: io::ErrorKind) -> StoreError {
        StoreError::Io { action: "write to", path: "/store".into(), source: kind.into() }
    }

    #[test]
    fn a_full_store_is_told_with_the_way_out_whatever_was_written() {
        let written = || io::Error::new(io::ErrorKind::StorageFull, full(io::ErrorKind::StorageFull));
        let errors: [anyhow::Error; 7] = [
            full(io::ErrorKind::QuotaExceeded).into(),
            LayerError::Store(full(io::ErrorKind::StorageFull)).into(),
            LayerError::Read { path: "topi.whl".to_owned(), source: written() }.into(),
            WheelError::Store(full(io::ErrorKind::StorageFull)).into(),
            BaseError::Store(full(io::ErrorKind::StorageFull)).into(),
            IndexError::Store(full(io::ErrorKind::StorageFull)).into(),
            RecompressError::Store(full(io::ErrorKind::FileTooLarge)).into(),
        ];
        for error in errors {
            let text = report::render(&hinted(error.context("failed")));
            assert!(text.contains("`/store`") && text.contains("--store DIR"), "{text}");
        }
        let none = anyhow!("no base");
        let both = report::all(vec![none, LayerError::Store(full(io::ErrorKind::StorageFull)).into()]);
        assert!(report::render(&hinted(both.unwrap_err())).contains("--store DIR"));
        let wheel = Err::<(), _>(WheelError::Store(full(io::ErrorKind::StorageFull))).context("failed to build");
        expect![[r#"
            error: failed to build
            caused by: failed to write to `/store`
            caused by: no storage space
            hint: make room where the store is, or name another folder for it with `--store DIR`
        "#]]
        .assert_eq(&report::render(&hinted(wheel.unwrap_err())));
    }

    #[test]
    fn another_disk_and_another_fault_have_ways_out_of_their_own() {
        let other = anyhow!(io::Error::from(io::ErrorKind::StorageFull)).context("failed to write `oci:/media/stick`");
        for error in [other, full(io::ErrorKind::PermissionDenied).into()] {
            assert!(!report::render(&hinted(error)).contains("hint"));
        }
    }
}
