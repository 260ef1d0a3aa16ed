//! The shared libraries of a base.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    capture::Content,
    tree::{Kind, Tree},
};
use crate::paths::split_name;

/// The name of each library that lies anywhere, and the versions that all libraries of this name define.
///
/// Where the loader looks is not asked: programs have search paths of their own, and jobs set `LD_LIBRARY_PATH`.
pub(super) fn libraries(tree: &Tree) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    tree.walk(&mut |path, kind| {
        let name = split_name(path).1;
        if is_library(name) && !matches!(kind, Kind::Dir(_)) {
            found.entry(name.to_owned()).or_default();
        }
        if let Kind::File(Some(fact)) = kind
            && let Content::Library { soname: Some(soname), defined, .. } = &fact.content
        {
            found.entry(soname.clone()).or_default().extend(defined.iter().cloned());
        }
    });
    found
}

fn is_library(name: &str) -> bool {
    (name.starts_with("lib") || name.starts_with("ld-")) && (name.ends_with(".so") || name.contains(".so."))
}
