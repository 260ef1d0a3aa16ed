//! The house rules, as tests: what a reviewer would otherwise have to say by hand.

#![allow(clippy::unwrap_used, reason = "a test")]

mod arrows;
#[path = "../commands/mod.rs"]
mod commands;
mod documents;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Every file of the workspace with one of the endings, build output and fetched packages left out.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    fn walk(folder: &Path, root: &Path, endings: &[&str], found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "corpus", "artifacts"].contains(&name.as_str()) && relative != "pkg" {
                    walk(&path, root, endings, found);
                }
            } else if endings.iter().any(|ending| format!("/{relative}").ends_with(ending)) {
                found.push((relative, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&workspace(), &workspace(), endings, &mut found);
    found
}

fn refuse(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// Refuses the lines of these files that hold one of these.
fn refuse_lines(rule: &str, endings: &[&str], forbidden: &[&str]) {
    let mut found = Vec::new();
    for (path, text) in files(endings) {
        let lines = text.lines().enumerate().filter(|(_, line)| forbidden.iter().any(|word| line.contains(word)));
        found.extend(lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())));
    }
    refuse(rule, found);
}

#[test]
fn every_file_says_what_it_is() {
    assert!(files(&[".rs"]).len() > 300, "the walk found next to nothing");
    let mute = files(&[".rs"]).into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path);
    refuse("a Rust file starts with a `//!` line", mute.collect());
}

#[test]
fn modules_are_named_for_what_they_are() {
    let vague = files(&["/utils.rs", "/util.rs", "/common.rs", "/helpers.rs", "/misc.rs"]);
    refuse("name what it is", vague.into_iter().map(|(path, _)| path).collect());
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("#[ig", "nore")];
    refuse_lines("finish it or write an issue", &[".rs", ".sh", ".toml", ".py"], &marks);
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    let lax = files(&["Cargo.toml"]).into_iter().filter(|(path, text)| {
        path != "Cargo.toml" && !path.contains("fuzz") && !text.contains("[lints]\nworkspace = true")
    });
    refuse("add `[lints] workspace = true`", lax.map(|(path, _)| path).collect());
}

#[test]
fn no_path_of_a_machine_is_written_down() {
    // A user's home or a build machine's folder in a file means that it works there only.
    let homes = [concat!("/ro", "ot/."), concat!("/home/", "runner"), concat!("/wo", "rk/ma"), concat!("/Use", "rs/")];
    let endings = [".rs", ".sh", ".toml", ".py", ".md", ".yml", ".java", "Dockerfile"];
    refuse_lines("name the folder relative to something the reader has", &endings, &homes);
}

/// Names of the packages that a package of the lock file is built from, itself included.
fn closure(package: &str) -> BTreeSet<String> {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let quoted = |line: &str| line.trim().trim_matches(['"', ',']).split(' ').next().unwrap().to_owned();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for section in lock.split("[[package]]").skip(1) {
        let name = section.lines().find_map(|line| line.strip_prefix("name = ")).unwrap();
        let listed = section.split_once("dependencies = [").map_or("", |(_, rest)| rest);
        let listed = listed.lines().skip(1).take_while(|line| !line.starts_with(']')).map(quoted);
        needs.entry(quoted(name)).or_default().extend(listed);
    }
    let mut found = BTreeSet::new();
    let mut todo = vec![package.to_owned()];
    while let Some(name) = todo.pop() {
        if found.insert(name.clone()) {
            todo.extend(needs[&name].iter().cloned());
        }
    }
    found
}

#[test]
fn the_programs_of_the_image_need_no_c_and_no_async_runtime() {
    for package in ["launcher", "rank-table", "fmk-patch", "file-edit"] {
        let needs = closure(package);
        for forbidden in ["cc", "cmake", "tokio", "async-std", "smol", "ring", "openssl-sys", "libz-sys"] {
            assert!(!needs.contains(forbidden), "`{package}` depends on `{forbidden}`");
        }
    }
}

/// The sources of each crate by its folder, with their paths below `src`.
fn crates() -> BTreeMap<String, Vec<(String, String)>> {
    let mut crates: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (path, text) in files(&[".rs"]) {
        if let Some((folder, path)) = path.split_once("/src/") {
            crates.entry(folder.to_owned()).or_default().push((path.to_owned(), text));
        }
    }
    crates
}

#[test]
fn modules_do_not_import_each_other_in_circles() {
    let mut found = Vec::new();
    for (folder, files) in crates() {
        let circles = arrows::circles(arrows::arrows(&files)).into_iter();
        found.extend(circles.map(|arrow| format!("{folder}: {} > {} ({})", arrow.from, arrow.to, arrow.said)));
    }
    refuse("move down what both need, or hand it over", found);
}

/// The stages of `crates/fmtk`, as ARCHITECTURE.md has them.
const STAGES: [&[&str]; 11] = [
    &["init"],
    &["pipeline", "try_out"],
    &["ship"],
    &["build"],
    &["plan"],
    &["cann", "host"],
    &["resolve"],
    &["engine", "recipe", "record", "sample"],
    &["debian"],
    &["options"],
    &["terminal"],
];

#[test]
fn no_stage_imports_from_one_above_it() {
    let level = |name: &str| STAGES.iter().position(|stage| stage.contains(&name));
    let mut found = Vec::new();
    for arrow in arrows::arrows(&crates()["crates/fmtk"]).into_iter().filter(|arrow| arrow.folder.is_empty()) {
        let [from, to] =
            [&arrow.from, &arrow.to].map(|name| level(name).unwrap_or_else(|| panic!("`{name}` is not a stage")));
        if from >= to {
            found.push(format!("{} > {} ({})", arrow.from, arrow.to, arrow.said));
        }
    }
    refuse("move it down, or hand it over", found);
}

#[test]
fn no_user_compiles_what_is_for_tests() {
    let mut found = Vec::new();
    for (path, text) in files(&["Cargo.toml"]) {
        let needs = text.split_once("\n[dependencies]").map_or("", |(_, rest)| rest.split("\n[").next().unwrap());
        let names = needs.lines().map(|line| line.split(['.', ' ', '=']).next().unwrap());
        let for_tests = names.filter(|name| *name == "e2e" || name.ends_with("-fake"));
        if path != "crates/e2e/Cargo.toml" && !path.contains("/fuzz/") {
            found.extend(for_tests.map(|name| format!("{path}: {name}")));
        }
    }
    refuse("depend on it in `[dev-dependencies]`", found);
}
