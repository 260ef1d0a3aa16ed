//! Texts that were trouble, or might be: each is refused or judged as told here, and none brings the program down. They are
//! where fuzzing starts from, too.

use std::fs;
use std::path::Path;

use fmk_patch::{Edits, patch};

use crate::judged::{brief, judge};

/// Each file, and what it comes to; its name says what it is for.
const TEXTS: [(&str, &str); 15] = [
    ("cookie_against_mark", "it starts with a UTF-8 byte order mark but declares the encoding `latin-1`"),
    ("everything_in_one_line", "not-found 1, not-found 1"),
    ("form_feeds", "it is not valid Python: Expected an indented block after `class` definition at line 3"),
    ("format_specs", "not-found, not-found"),
    ("gbk_with_backslash_bytes", "not-found 3, not-found 3"),
    ("lone_carriage_returns", "not-found 2, not-found 6"),
    ("mark_in_the_middle", "it is not valid Python: Got unexpected token \u{feff} at line 2"),
    ("nested_f_strings", "not-found, not-found"),
    ("non_ascii_names", "not-found 1, not-found 5"),
    ("odd_dedents", "it is not valid Python: unindent does not match any outer indentation level at line 3"),
    ("only_a_mark", "not-found, not-found"),
    ("return_in_the_class_body", "conflict 3, not-found 1"),
    ("truncated_utf_8", "byte 12 (line 1) is not valid UTF-8"),
    ("type_parameters", "it is not valid Python: Expected `)`, found `:` at line 1"),
    ("zero_byte", "it has a zero byte at line 1"),
];

#[test]
fn the_corpus_is_borne() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for (name, expected) in TEXTS {
        let text = fs::read(folder.join(name)).unwrap();
        let actual = match patch(&text, Edits::ALL) {
            Ok(_) => judge(&text).edits.iter().map(|(_, status)| brief(status)).collect::<Vec<_>>().join(", "),
            Err(refused) => refused.to_string(),
        };
        assert_eq!(actual, expected, "{name}");
    }
    // And `.gitattributes`.
    assert_eq!(fs::read_dir(folder).unwrap().count(), TEXTS.len() + 1);
}
