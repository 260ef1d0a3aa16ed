//! Locks: what they look like, what they let through, what they refuse.

use std::fs;

use expect_test::expect_file;

use super::*;
use crate::{recipe::Overrides, terminal::report};

fn digest(digit: u8) -> Digest {
    Digest::from_bytes([digit; 32])
}

fn package(kind: &str, file: &str, digit: u8) -> Package {
    Package { kind: kind.to_owned(), file: file.to_owned(), path: PathBuf::new(), size: 7, sha256: digest(digit) }
}

fn recipe(text: &str, base: Option<&str>) -> Recipe {
    Recipe::parse(text, "image.toml", Path::new("/"), Overrides { base, ..Overrides::default() }).unwrap()
}

fn packages() -> Vec<Package> {
    vec![
        package("tuning-kit", "kit-1.whl", 2),
        package("pypi", "numpy-1-py3-none-any.whl", 3),
        package("cann", "cann.run", 1),
    ]
}

fn locked() -> Lock {
    Lock::of(&recipe("", None), &packages(), digest(9))
}

#[test]
fn the_file_is_sorted_and_reads_back() {
    let text = locked().to_toml().unwrap();
    expect_file!["image.lock"].assert_eq(&text);
    assert_eq!(Lock::parse(&text).unwrap(), locked());
    let mut empty = locked();
    (empty.base, empty.packages) = (None, Vec::new());
    assert_eq!(Lock::parse(&empty.to_toml().unwrap()).unwrap(), empty);
}

/// What was locked passes; inputs that changed, are new or gone are refused in the recipe, and noted in an argument.
#[test]
fn inputs_are_held_against_the_lock() {
    let (lock, all) = (locked(), packages());
    let without_pypi: Vec<Package> = packages().into_iter().filter(|package| package.kind != "pypi").collect();
    let changed = vec![
        package("cann", "cann.run", 4),
        package("tuning-kit", "kit-2.whl", 5),
        package("pypi", "numpy-1-py3-none-any.whl", 3),
    ];
    let other = "[base]\nreference = \"oci:other\"";
    let pinned = format!("[base]\ndigest = \"{}\"", digest(9));
    // Named by an argument, the pinned base is still the pinned one.
    let same = recipe("", None).base.reference.to_string();
    let mut said = String::new();
    for (title, lock, recipe, packages, base) in [
        ("as it was locked", Some(&lock), recipe("", None), &all, 9),
        ("no lock", None, recipe("", None), &all, 9),
        ("nothing of PyPI is wanted", Some(&lock), recipe("pypi.requirements = []", None), &without_pypi, 9),
        ("something is, and is gone", Some(&lock), recipe("", None), &without_pypi, 9),
        ("changed, new and lost", Some(&lock), recipe("", None), &changed, 8),
        ("another base in the recipe", Some(&lock), recipe(other, None), &all, 9),
        ("another base as an argument", Some(&lock), recipe("", Some("oci:other")), &all, 8),
        ("the same base as an argument, changed", Some(&lock), recipe("", Some(&same)), &all, 8),
        ("the recipe's own pin", None, recipe(&pinned, None), &all, 9),
        ("which another base has not", None, recipe(&pinned, None), &all, 8),
    ] {
        said += &format!("# {title}\n");
        match verify(lock, &recipe, packages, &digest(base), &Call::plain()) {
            Ok(notes) => said.extend(notes.iter().map(|note| format!("note: {note}\n"))),
            Err(error) => {
                assert_eq!(report::exit(&error), report::Exit::Input);
                said += &report::render(&error);
            }
        }
    }
    expect_file!["verified.txt"].assert_eq(&said);
}

#[test]
fn it_is_written_whole_once_and_lies_beside_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(Some(&folder.path().join("image.toml")), None);
    assert_eq!(file, folder.path().join("image.lock"));
    assert_eq!(Lock::load(&file).unwrap(), None);
    assert!(locked().save(&file).unwrap());
    assert!(!locked().save(&file).unwrap());
    assert_eq!(Lock::load(&file).unwrap(), Some(locked()));
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["image.lock"]);
}

/// A colleague's clone got other wheels than the lock's, and the next hint threw the pins away.
#[test]
fn a_lock_says_what_a_fetch_brings() {
    let wheels = ["alpha-1.0", "beta-2.0+cpu"].map(|name| package("pypi", &format!("{name}-py3-none-any.whl"), 3));
    let asks = |requirements: &str, constraints: &str| {
        recipe(&format!("pypi.requirements = [{requirements}]\npypi.constraints = [{constraints}]"), None)
    };
    let lock = Lock::of(&asks("'alpha', 'beta'", ""), &[&wheels[..], &packages()[..1]].concat(), digest(9));
    let brings = |recipe: &Recipe| {
        let pins = pins(&lock, recipe);
        (pins.exact, pins.files.into_keys().map(|file| file[..5].trim_end_matches('-').to_owned()).collect::<Vec<_>>())
    };
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(brings(&asks("'alpha', 'beta'", "")), (true, named(&["alpha", "beta"])));
    // What the recipe no longer allows may move, and the rest stays.
    assert_eq!(brings(&asks("'alpha>1', 'beta'", "")), (false, named(&["beta"])));
    assert_eq!(brings(&asks("'alpha'", "'beta<2'")), (false, named(&["alpha"])));
    assert_eq!(brings(&asks("'alpha>1; python_version > \"3.9\"'", "")), (false, named(&["alpha", "beta"])));
    // Other files fit an older glibc.
    let older = Recipe { python: recipe("python.glibc = '2.17'", None).python, ..asks("'alpha', 'beta'", "") };
    assert_eq!(brings(&older), (false, named(&["alpha", "beta"])));
    let mut old = lock.clone();
    old.pypi = None;
    assert!(!pins(&old, &asks("'alpha', 'beta'", "")).exact);
    // Nothing else would fetch what the lock lost.
    let mut merged = lock.clone();
    merged.packages.remove(0);
    assert!(!pins(&merged, &asks("'alpha', 'beta'", "")).exact);
}

#[test]
fn a_pin_is_moved_only_where_that_is_asked_for() {
    let old = locked();
    let moved = |packages: &[Package], base: &str| {
        let new = Lock::of(&recipe("", Some(base)), packages, digest(8));
        moves_nothing(&old, &new, &recipe("", None), &Call::plain())
            .map_err(|error| report::render(&error))
            .err()
            .unwrap_or_default()
    };
    // New, gone from the vendor's, and upon another base.
    let added = [package("pypi", "scipy-1-py3-none-any.whl", 5), packages().swap_remove(1)];
    assert_eq!(moved(&added, "oci:other"), "");
    let same = recipe("", None).base.reference.to_string();
    let changed = [package("pypi", "numpy-2-py3-none-any.whl", 4), package("tuning-kit", "kit-2.whl", 5)];
    expect_file!["moved.txt"].assert_eq(&format!("{}{}", moved(&changed, &same), moved(&changed[1..], "oci:other")));
}

/// The hint was `fetch`, which can't bring what the recipe forbids, and led back here.
#[test]
fn a_pin_that_the_recipe_forbids_is_not_to_be_fetched() {
    let numpy = |version: &str, digit| [package("pypi", &format!("numpy-{version}-py3-none-any.whl"), digit)];
    let old = Lock::of(&recipe("pypi.requirements = ['numpy']", None), &numpy("1", 3), digest(9));
    let hint = |requirement: &str| {
        let recipe = recipe(&format!("pypi.requirements = ['{requirement}']"), None);
        let error = verify(Some(&old), &recipe, &numpy("2", 4), &digest(9), &Call::plain()).unwrap_err();
        report::render(&error).lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(hint("numpy>1"), "hint: to accept the change, run `cargo xtask lock --upgrade`");
    assert!(hint("numpy>=1").starts_with("hint: to fetch the pinned packages, run `cargo xtask fetch`"));
}

/// The hint was to throw the pins away.
#[test]
fn a_pinned_package_of_the_system_is_to_be_fetched() {
    let packages = |version: &str, digit| {
        [package("system", &format!("liba_{version}_arm64.deb"), digit), package("system", "libb_1_all.deb", 5)]
    };
    let recipe = recipe("system.packages = ['liba', 'libb']", None);
    let old = Lock::of(&recipe, &packages("2", 3), digest(9));
    let refused = |found: &[Package]| {
        let error = verify(Some(&old), &recipe, found, &digest(9), &Call::plain()).unwrap_err();
        report::render(&error).lines().last().unwrap_or_default().to_owned()
    };
    let accepted = "to accept the change, run `cargo xtask lock";
    let hint = format!("hint: to fetch the pinned packages, run `cargo xtask fetch`; {accepted} --upgrade`");
    assert_eq!(refused(&packages("1", 4)), hint);
    // What the recipe no longer asks for does not come back.
    assert_eq!(refused(&packages("2", 3)[..1]), format!("hint: {accepted}`"));
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
    expect_file!["unreadable.txt"].assert_eq(&said.replace(folder.path().to_str().unwrap(), ""));
}
