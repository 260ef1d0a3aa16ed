//! Locks: what they look like, what they let through, what they refuse.

use std::fs;

use expect_test::{Expect, expect};

use super::*;
use crate::{recipe::Overrides, terminal::report};

fn digest(digit: u8) -> Digest {
    Digest::from_bytes([digit; 32])
}

fn package(kind: &str, file: &str, digit: u8) -> Package {
    Package { kind: kind.to_owned(), file: file.to_owned(), path: file.into(), size: 7, sha256: digest(digit) }
}

fn recipe(text: &str, base: Option<&str>) -> Recipe {
    Recipe::parse(text, "image.toml", Path::new("/"), Overrides { set: &[], base }).unwrap()
}

fn packages() -> Vec<Package> {
    vec![package("tuning-kit", "kit-1.whl", 2), package("pypi", "numpy-1.whl", 3), package("cann", "cann.run", 1)]
}

fn locked() -> Lock {
    Lock::of(&recipe("", None), &packages(), digest(9))
}

fn check_error(lock: &Lock, recipe: &Recipe, packages: &[Package], base: u8, expected: Expect) {
    let error = verify(Some(lock), recipe, packages, &digest(base), &Call::plain()).unwrap_err();
    assert_eq!(report::exit(&error), report::Exit::Input);
    expected.assert_eq(&report::render(&error));
}

#[test]
fn the_file_is_sorted_and_reads_back() {
    let text = locked().to_toml();
    expect![[r##"
        # The inputs of the image by content. Written by `cargo xtask lock`; keep it with the recipe.
        version = 1

        [base]
        reference = "swr.cn-central-221.ovaijisuan.com/mindxsdk/fmtk-ma_base:2022110901"
        digest = "sha256:0909090909090909090909090909090909090909090909090909090909090909"

        [[package]]
        kind = "cann"
        file = "cann.run"
        size = 7
        sha256 = "sha256:0101010101010101010101010101010101010101010101010101010101010101"

        [[package]]
        kind = "pypi"
        file = "numpy-1.whl"
        size = 7
        sha256 = "sha256:0303030303030303030303030303030303030303030303030303030303030303"

        [[package]]
        kind = "tuning-kit"
        file = "kit-1.whl"
        size = 7
        sha256 = "sha256:0202020202020202020202020202020202020202020202020202020202020202"
    "##]]
    .assert_eq(&text);
    assert_eq!(Lock::parse(&text).unwrap(), locked());
    let mut empty = locked();
    (empty.base, empty.packages) = (None, Vec::new());
    assert_eq!(Lock::parse(&empty.to_toml()).unwrap(), empty);
}

#[test]
fn what_was_locked_passes() {
    assert_eq!(verify(Some(&locked()), &recipe("", None), &packages(), &digest(9), &Call::plain()).unwrap(), [""; 0]);
}

#[test]
fn without_a_lock_the_build_goes_on_and_says_so() {
    let notes = verify(None, &recipe("", None), &packages(), &digest(9), &Call::plain()).unwrap();
    assert_eq!(notes, ["no `image.lock`: nothing pins the packages and the base; `cargo xtask lock` does"]);
}

#[test]
fn a_build_that_wants_nothing_of_pypi_does_without_its_locked_files() {
    let mut found = packages();
    found.retain(|package| package.kind != "pypi");
    let notes =
        verify(Some(&locked()), &recipe("pypi.requirements = []", None), &found, &digest(9), &Call::plain()).unwrap();
    assert_eq!(notes, ["`pypi.requirements` is empty, which leaves 1 file of PyPI in `image.lock` unchecked"]);
    assert!(verify(Some(&locked()), &recipe("", None), &found, &digest(9), &Call::plain()).is_err());
}

#[test]
fn changed_new_and_lost_inputs_are_all_refused() {
    let found =
        [package("cann", "cann.run", 4), package("tuning-kit", "kit-2.whl", 5), package("pypi", "numpy-1.whl", 3)];
    check_error(
        &locked(),
        &recipe("", None),
        &found,
        8,
        expect![[r#"
        error: `cann.run` has digest `sha256:0404040404040404040404040404040404040404040404040404040404040404`, and `image.lock` has `sha256:0101010101010101010101010101010101010101010101010101010101010101`
        error: `kit-2.whl` of `tuning-kit` with digest `sha256:0505050505050505050505050505050505050505050505050505050505050505` is not in `image.lock`
        error: `kit-1.whl` of `tuning-kit` with digest `sha256:0202020202020202020202020202020202020202020202020202020202020202` is in `image.lock` and was not found
        error: base `swr.cn-central-221.ovaijisuan.com/mindxsdk/fmtk-ma_base:2022110901` has digest `sha256:0808080808080808080808080808080808080808080808080808080808080808`, and `image.lock` has `sha256:0909090909090909090909090909090909090909090909090909090909090909`
        hint: if that is what the image shall have, run `cargo xtask lock`
    "#]],
    );
}

#[test]
fn another_base_is_refused_in_the_recipe_and_noted_in_an_argument() {
    let text = "[base]\nreference = \"oci:other\"";
    check_error(
        &locked(),
        &recipe(text, None),
        &packages(),
        9,
        expect![[r#"
        error: the base is `oci:other`, and `image.lock` has `swr.cn-central-221.ovaijisuan.com/mindxsdk/fmtk-ma_base:2022110901`
        hint: if that is what the image shall have, run `cargo xtask lock`
    "#]],
    );
    let notes =
        verify(Some(&locked()), &recipe("", Some("oci:other")), &packages(), &digest(8), &Call::plain()).unwrap();
    assert_eq!(notes, ["base `oci:other` is not the one that `image.lock` pins, and so is not checked"]);
    // Named by an argument, the pinned base is still the pinned one.
    let same = recipe("", None).base.reference.to_string();
    assert!(verify(Some(&locked()), &recipe("", Some(&same)), &packages(), &digest(8), &Call::plain()).is_err());
}

#[test]
fn the_recipe_s_own_pin_counts_with_and_without_a_lock() {
    let text = format!("[base]\ndigest = \"{}\"", digest(9));
    assert!(verify(None, &recipe(&text, None), &packages(), &digest(9), &Call::plain()).is_ok());
    let error = verify(None, &recipe(&text, None), &packages(), &digest(8), &Call::plain()).unwrap_err();
    assert!(error.to_string().contains("the recipe pins"));
}

#[test]
fn it_is_written_whole_once_and_lies_beside_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(Some(&folder.path().join("image.toml")));
    assert_eq!(file, folder.path().join("image.lock"));
    assert_eq!(Lock::load(&file).unwrap(), None);
    assert!(locked().save(&file).unwrap());
    assert!(!locked().save(&file).unwrap());
    assert_eq!(Lock::load(&file).unwrap(), Some(locked()));
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["image.lock"]);
}

#[test]
fn a_lock_that_can_not_be_read_is_an_error_and_not_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.lock");
    let mut said = String::new();
    for text in [
        "version = 2",
        "version = 1\nbsae = 1",
        "<<<<<<< ours",
        "version = 1\n[base]\nreference = \"a\"\ndigest = \"x\"",
    ] {
        fs::write(&file, text).unwrap();
        said.push_str(&report::render(&Lock::load(&file).unwrap_err()));
    }
    expect![[r#"
        error: failed to read lock `/image.lock`
        caused by: its version is 2, and this program knows 1
        hint: write it anew with `cargo xtask lock`
        error: failed to read lock `/image.lock`
        caused by: TOML parse error at line 2, column 1
          |
        2 | bsae = 1
          | ^^^^
        unknown field `bsae`, expected one of `version`, `base`, `package`
        hint: write it anew with `cargo xtask lock`
        error: failed to read lock `/image.lock`
        caused by: TOML parse error at line 1, column 9
          |
        1 | <<<<<<< ours
          |         ^
        key with no value, expected `=`
        hint: write it anew with `cargo xtask lock`
        error: failed to read lock `/image.lock`
        caused by: TOML parse error at line 4, column 10
          |
        4 | digest = "x"
          |          ^^^
        digest `x` must start with `sha256:` (character 1, `x`)
        hint: write it anew with `cargo xtask lock`
    "#]]
    .assert_eq(&said.replace(folder.path().to_str().unwrap(), ""));
}
