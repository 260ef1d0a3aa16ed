//! `init`: a recipe is written for a base and fits it.

use std::{fs, path::Path};

use expect_test::{expect, expect_file};
use serde_json::Value;

use crate::{
    bases,
    program::{program, run},
};

fn init(folder: &Path, base: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let (base, recipe) = (format!("oci:{base}"), format!("{base}.toml"));
    let arguments = [&["init", "--base", &base, "--recipe", &recipe, "--pkg", "pkg"], more].concat();
    let mut command = program(folder, &arguments);
    // No engine of this machine.
    command.env("PATH", folder);
    run(command)
}

/// What is said, without the time of the tag.
fn timeless(text: &str) -> String {
    let start = text.find("-20").filter(|at| text[*at + 1..].chars().take(14).all(|c| c.is_ascii_digit()));
    start.map_or_else(|| text.to_owned(), |at| format!("{}-TIMESTAMP{}", &text[..at], &text[at + 15..]))
}

fn bed(bases: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("pkg")).unwrap();
    bases.iter().for_each(|base| bases::made(folder.path(), base));
    folder
}

const ALL: [&str; 7] = ["debian", "openeuler", "cann-8.3", "cann-8.2", "cann-7.0", "conda", "bare"];

#[test]
fn every_kind_of_base_gets_a_recipe_that_fits_it() {
    let folder = bed(&ALL);
    let mut all = String::new();
    for base in ALL {
        let (code, toml, said) = init(folder.path(), base, &[]);
        assert_eq!(toml, fs::read_to_string(folder.path().join(format!("{base}.toml"))).unwrap_or_default());
        let said: Vec<String> = said.lines().filter(|line| !line.starts_with("inspecting")).map(timeless).collect();
        all.push_str(&format!("#### {base}: exit code {}\n{toml}##\n{}\n\n", code.unwrap(), said.join("\n")));
    }
    expect_file!["init.txt"].assert_eq(&all);
}

/// Whatever is said of packages that are not there, the plan of the written recipe is made once nothing of them is asked for.
#[test]
fn the_written_recipe_is_read_back_and_plans() {
    let folder = bed(&ALL);
    for base in ALL.into_iter().filter(|base| *base != "bare") {
        assert_eq!(init(folder.path(), base, &[]).0, Some(0));
        let recipe = format!("{base}.toml");
        let arguments = ["image", "--dry-run", "--recipe", &recipe, "--pkg", "pkg", "--set", "pypi.requirements=[]"];
        let (code, plan, said) = run(program(folder.path(), &arguments));
        assert_eq!(code, Some(0), "{base}: {said}");
        assert!(plan.starts_with("image   fmtk-ma:"), "{plan}");
    }
}

#[test]
fn a_recipe_is_never_replaced_and_printed_on_demand() {
    let folder = bed(&["debian"]);
    fs::write(folder.path().join("debian.toml"), "mine").unwrap();
    let (code, out, said) = init(folder.path(), "debian", &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    expect![[r#"
        error: the recipe `debian.toml` exists already, and `init` replaces none
        hint: write another one with `--recipe FILE`, or print it with `--dry-run`
    "#]]
    .assert_eq(&said);
    let (code, printed, _) = init(folder.path(), "debian", &["--dry-run"]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("[base]\nreference = \"oci:debian\"\n"), "{printed}");
    assert_eq!(fs::read_to_string(folder.path().join("debian.toml")).unwrap(), "mine");
    let (code, _, said) = run(program(folder.path(), &["init", "--base", "oci:debian", "--recipe", "none/x.toml"]));
    assert!(code == Some(2) && said.contains("hint: run `mkdir -p "), "{said}");
    // The base is inspected before anything is written.
    let (code, _, said) = init(folder.path(), "nowhere", &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(!folder.path().join("nowhere.toml").exists());
}

/// A path in a recipe begins at the recipe.
#[test]
fn a_base_in_a_folder_is_named_as_the_recipe_finds_it() {
    let folder = bed(&["debian"]);
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    let reference = |recipe: &str| {
        let arguments = ["init", "--base", "oci:debian:1", "--recipe", recipe, "--pkg", "pkg", "--format", "json"];
        let (code, out, said) = run(program(folder.path(), &arguments));
        assert_eq!(code, Some(0), "{said}");
        let document: Value = serde_json::from_str(&out).unwrap();
        assert!(document["image"].as_str().unwrap().starts_with("fmtk-ma:py_3.11-ms_2.7.2_"), "{document}");
        assert_eq!(document["packages"][0]["messages"].as_array().unwrap().len(), 14);
        document["base"].as_str().unwrap().to_owned()
    };
    assert_eq!(reference("here.toml"), "oci:debian:1");
    assert_eq!(reference("below/there.toml"), format!("oci:{}:1", folder.path().join("debian").display()));
}

/// The stack that is asked for is taken, and a toolkit in the package folder is the image's CANN.
#[test]
fn stack_and_toolkit_may_be_chosen() {
    let folder = bed(&["debian"]);
    let recipe = |more: &[&str]| init(folder.path(), "debian", &[&["--dry-run"], more].concat());
    let (_, toml, said) = recipe(&["--stack", "torch-2.10"]);
    assert!(toml.contains("stack = \"torch-2.10\" ") && !said.contains("other stacks"), "{toml}{said}");
    fs::write(folder.path().join("pkg/Ascend-cann-toolkit_8.5.1_linux-aarch64.run"), "").unwrap();
    let (_, toml, said) = recipe(&[]);
    assert!(toml.contains("stack = \"mindspore-2.7\" ") && toml.contains("cann = \"8.5.1\""), "{toml}");
    assert!(said.is_empty(), "{said}");
    let (code, _, said) = recipe(&["--stack", "torch"]);
    assert!(code == Some(2) && said.contains("no stack `torch`"), "{said}");
}

/// A chip was read from the name of a folder above the base.
#[test]
fn the_chip_is_by_the_base_s_own_name() {
    let folder = bed(&[]);
    let chip = |base: &str| {
        let above = folder.path().join(base).parent().unwrap().to_owned();
        fs::create_dir_all(&above).unwrap();
        bases::made(&above, "debian");
        let base = format!("oci:{base}");
        let arguments = ["init", "--base", &base, "--recipe", "image.toml", "--pkg", "pkg", "--dry-run"];
        let (code, toml, said) = run(program(folder.path(), &arguments));
        assert_eq!(code, Some(0), "{said}");
        toml.lines().find(|line| line.contains("chip = ")).unwrap().to_owned()
    };
    assert!(chip("my-a3-x/debian").starts_with("# chip = \"d910b\""));
}

/// The command that was named next took another store.
#[test]
fn what_is_named_next_finds_the_same_store() {
    let folder = bed(&["debian"]);
    let (code, _, said) = init(folder.path(), "debian", &["--store", "elsewhere"]);
    assert_eq!(code, Some(0), "{said}");
    let store = format!("--store {}", folder.path().join("elsewhere").display());
    let commands: Vec<&str> = said.lines().filter(|line| line.contains("`cargo xtask fetch")).collect();
    assert!(!commands.is_empty() && commands.iter().all(|line| line.contains(&store)), "{said}");
}
