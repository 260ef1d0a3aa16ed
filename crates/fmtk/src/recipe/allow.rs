//! `[allow]`: distributions that are let off a check, by name.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{distribution::Distribution, fields::Fields};

/// Exceptions. Each is a statement about one distribution; none is there by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Allow {
    /// May hold programs of other architectures: some wheels ship several on purpose.
    pub elf: BTreeSet<Distribution>,
    /// May be replaced though the base has no `RECORD` of its files, so that the old ones stay.
    pub no_record: BTreeSet<Distribution>,
}

impl Allow {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let elf = fields.value("elf", BTreeSet::new());
        let no_record = fields.value("no_record", BTreeSet::new());
        fields.end();
        Self { elf, no_record }
    }
}
