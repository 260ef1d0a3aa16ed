//! Texts that were trouble, or might be: each is refused or judged, and none brings the program down.

use std::fs;
use std::path::Path;

use fmk_patch::{Edits, patch};

use crate::judged::judge;

#[test]
fn the_corpus_is_borne() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name == ".gitattributes") {
            continue;
        }
        let text = fs::read(&path).unwrap();
        if patch(&text, Edits::ALL).is_ok() {
            judge(&text);
        }
        count += 1;
    }
    assert!(count >= 20, "{count} texts");
}
