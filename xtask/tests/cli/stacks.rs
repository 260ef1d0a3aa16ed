//! `stacks`, and `--stack` where there is none of that name.

use expect_test::expect;
use serde_json::Value;

use crate::program::{program, run};

#[test]
fn stacks_are_listed_and_printed() {
    let folder = tempfile::tempdir().unwrap();
    let stacks = |arguments: &[&str]| run(program(folder.path(), &[&["stacks"], arguments].concat()));
    let (code, listed, said) = stacks(&[]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(listed.starts_with("manual          Python 3.9, MindSpore 1.8.1, CANN 5.1.RC2, "), "{listed}");
    let all: Value = serde_json::from_str(&stacks(&["--format", "json"]).1).unwrap();
    let names: Vec<&str> = all.as_array().unwrap().iter().filter_map(|stack| stack["name"].as_str()).collect();
    assert_eq!(names, ["manual", "mindspore-2.7", "mindspore-2.10", "torch-2.7", "torch-2.10"]);
    // What is printed is a recipe: with the same stack or upon another it says the same.
    std::fs::write(folder.path().join("own.toml"), stacks(&["torch-2.7"]).1).unwrap();
    let fetch = |flag: &str, value: &str| {
        let (code, asked, said) = run(program(folder.path(), &["fetch", "--dry-run", "--pkg", "p", flag, value]));
        assert_eq!(code, Some(0), "{said}");
        asked.lines().filter(|line| !line.starts_with("folder")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(fetch("--recipe", "own.toml"), fetch("--stack", "torch-2.7"));
    assert!(fetch("--stack", "torch-2.7").starts_with("requirement  torch==2.7.1\n"));
}

#[test]
fn a_stack_that_is_not_is_told_the_nearest_and_all() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let (code, _, said) = run(program(folder.path(), arguments));
        assert_eq!(code, Some(2), "{said}");
        said
    };
    let all =
        [&["stacks", "torch2.7"][..], &["image", "--stack", "mindspore"], &["push", "--stack", "x", "--org", "o"]];
    expect![[r#"
        error: no stack `torch2.7`
        hint: did you mean `torch-2.7`? there are `manual`, `mindspore-2.7`, `mindspore-2.10`, `torch-2.7`, `torch-2.10`
        error: `--stack mindspore`: `stack`: no stack `mindspore`
        hint: there are `manual`, `mindspore-2.7`, `mindspore-2.10`, `torch-2.7`, `torch-2.10`
        error: `--stack x`: `stack`: no stack `x`
        hint: there are `manual`, `mindspore-2.7`, `mindspore-2.10`, `torch-2.7`, `torch-2.10`
    "#]]
    .assert_eq(&all.map(said).concat());
}
