//! What `image` and `lock` say of inputs that are wrong.

use std::{fs, path::Path};

use expect_test::expect;

use crate::program::{program, run};

/// Its exit code and what it says to people.
fn say(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (code, _, said) = run(program(folder, arguments));
    (code, said.replace(folder.to_str().unwrap(), ""))
}

/// A recipe of no package but the tuning kit.
const RECIPE: &str = "packages = { cann.required = false, moxing.required = false }\npypi.requirements = []\n";

#[test]
fn what_is_wrong_with_packages_is_said_though_the_base_can_not_be_had() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("image.toml"), format!("{RECIPE}base.reference = 'oci:nowhere'\n")).unwrap();
    fs::create_dir(folder.path().join("pkg")).unwrap();
    let build = ["image", "--dry-run", "--recipe", "image.toml", "--pkg", "pkg"];
    let (code, missing) = say(folder.path(), &build);
    expect![[r#"
        error: no `tuning-kit` package: nothing in `pkg` is named `Ascend_mindxsdk_mxTuningKit-*.whl`
        hint: copy the mxTuningKit wheel of MindX SDK to `pkg`; or, for its open successor `mindpet`, add it to `pypi.requirements`, or use a base that has either, and give `--set packages.tuning-kit.required=false`
        hint: `cargo xtask image --sample` builds a small, real image without the vendor's packages
        error: failed to open the base `oci:nowhere`
        caused by: failed to read `/nowhere/oci-layout`
        caused by: No such file or directory (os error 2)
        hint: check the path: in a recipe it is relative to the recipe's folder, in an argument to the current folder
    "#]]
    .assert_eq(&missing);
    assert_eq!(code, Some(2));
    assert_eq!(say(folder.path(), &["lock", "--recipe", "image.toml", "--pkg", "pkg"]).1, missing);

    fs::write(folder.path().join("pkg/Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl"), "rubbish").unwrap();
    expect![[r#"
        error: wheel `pkg/Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl` is damaged: it is not a whole zip archive (Missing end of central directory)
        hint: copy the file again from its source
        error: failed to open the base `oci:nowhere`
        caused by: failed to read `/nowhere/oci-layout`
        caused by: No such file or directory (os error 2)
        hint: check the path: in a recipe it is relative to the recipe's folder, in an argument to the current folder
    "#]]
    .assert_eq(&say(folder.path(), &build).1);
    // Whoever has to copy the base first is told of the packages before that.
    expect![[r#"
        error: wheel `pkg/Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl` is damaged: it is not a whole zip archive (Missing end of central directory)
        hint: copy the file again from its source
    "#]]
    .assert_eq(&say(folder.path(), &[&build[..], &["--base", "docker-archive:nowhere.tar"]].concat()).1);
}

/// It built an image without them.
#[test]
fn a_package_folder_that_is_not_there_is_named_though_nothing_of_it_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let none = RECIPE.replace("moxing", "tuning-kit.required = false, moxing");
    fs::write(folder.path().join("image.toml"), format!("{none}base.reference = 'oci:nowhere'\n")).unwrap();
    let warned = |flags: &[&str]| {
        let said = say(folder.path(), &[&["image", "--dry-run", "--recipe", "image.toml"], flags].concat()).1;
        said.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(warned(&["--pkg", "pkgs"]), "warning: there is no folder `pkgs`, so nothing is taken from it");
    assert_eq!(warned(&[]), "error: failed to open the base `oci:nowhere`");
    let doctor = ["doctor", "--recipe", "image.toml", "--pkg", "pkgs", "--registry", "127.0.0.1:9"];
    let (_, table, _) = run(program(folder.path(), &doctor));
    assert!(table.contains("there is no folder `pkgs`"), "{table}");
}

/// It called them good by their names, and read none of them while another was missing.
#[test]
fn doctor_reads_the_packages() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = "kit = { glob = 'kit-*.whl' }, late = { glob = 'late-*.whl' }";
    let recipe = RECIPE.replace("cann.required = false", kinds);
    fs::write(folder.path().join("image.toml"), format!("{recipe}base.reference = 'oci:nowhere'\n")).unwrap();
    fs::create_dir(folder.path().join("pkg")).unwrap();
    let files = ["Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run", "kit-1-py3-none-any.whl"];
    for file in files.iter().chain(&["Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl"]) {
        fs::write(folder.path().join("pkg").join(file), "rubbish").unwrap();
    }
    let doctor = ["doctor", "--recipe", "image.toml", "--pkg", "pkg", "--registry", "127.0.0.1:9"];
    let (code, table, _) = run(program(folder.path(), &doctor));
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = table.lines().skip_while(|line| !line.contains("  packages  ")).take(8).collect();
    expect![[r#"
        WRONG    packages       no `late` package: nothing in `pkg` is named `late-*.whl`
                 ->             copy it to `pkg`, or give `--set packages.late.required=false`
        WRONG    packages       `pkg/Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run` can't be used: not a makeself archive: it does not begin with `#!` and an interpreter
                 ->             copy the file again from its source
        WRONG    packages       wheel `pkg/kit-1-py3-none-any.whl` is damaged: it is not a whole zip archive (Missing end of central directory)
                 ->             copy the file again from its source
        WRONG    packages       wheel `pkg/Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl` is damaged: it is not a whole zip archive (Missing end of central directory)
                 ->             copy the file again from its source
    "#]]
    .assert_eq(&(lines.join("\n") + "\n"));
}

/// docs/en/scripts.md: the sample takes the base's scripts as they are, unless told otherwise.
#[test]
fn the_sample_takes_the_vendor_s_scripts_on_request_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("pkg/ascend910")).unwrap();
    let sample = ["image", "--sample", "--dry-run", "--pkg", "pkg", "--base", "oci:nowhere"];
    let lacks = "there is no `fmk.py` in `pkg/ascend910`";
    let said = say(folder.path(), &sample).1;
    assert!(said.contains("oci:nowhere") && !said.contains("ascend910"), "{said}");
    let said = say(folder.path(), &[&sample[..], &["--set", "scripts=auto"]].concat()).1;
    assert!(said.contains("oci:nowhere") && said.contains(lacks), "{said}");
    // The recipe's own folder is not the sample's.
    fs::write(folder.path().join("image.toml"), "scripts = 'mine'\n").unwrap();
    let said = say(folder.path(), &[&sample[..], &["--recipe", "image.toml"]].concat()).1;
    assert!(!said.contains("mine"), "{said}");
}

#[test]
fn doctor_knows_what_the_sample_needs() {
    let folder = tempfile::tempdir().unwrap();
    let examine = || {
        let mut command = program(folder.path(), &["doctor", "--sample", "--pkg", "pkg", "--base", "oci:nowhere"]);
        // The original build's variable is no argument of this call.
        command.env("org_name", "mindxsdk").env("PATH", "");
        let (_, table, _) = run(command);
        let lines = table.lines().skip_while(|line| !line.contains("  packages  "));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    expect![[r#"
        WRONG    packages     the wheels from PyPI are missing, and `python3` has no pip
                 ->           install pip, for example with `apt-get install python3-pip`
        WRONG    base         failed to read `nowhere/oci-layout`: No such file or directory (os error 2)
                 ->           check the path: in a recipe it is relative to the recipe's folder, in an argument to the current folder
    "#]]
    .assert_eq(&examine());
    // Wheels that are there need no pip; they are read.
    let pypi = folder.path().join("pkg/pypi");
    fs::create_dir_all(&pypi).unwrap();
    for file in ["mindspore_ascend-1.8.1-cp39-none-any.whl", "mindpet-1.0.4-py3-none-any.whl"] {
        fs::write(pypi.join(file), "rubbish").unwrap();
    }
    let table = examine();
    assert_eq!(table.matches("is damaged").count(), 2, "{table}");
    assert_eq!(table.matches("delete `pkg/pypi/").count(), 2, "{table}");
    assert_eq!(table.matches("run `cargo xtask fetch --sample --pkg pkg`").count(), 2, "{table}");
}

/// One fetch was told in two lines, `1 wheels` in the first.
#[test]
fn a_fetch_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("python3");
    let pip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/fmtk/src/resolve/fetch/fake_pip.sh");
    std::os::unix::fs::symlink(pip, python).unwrap();
    let fetch = || {
        let mut command = program(folder.path(), &["fetch", "--pkg", "pkg", "--set", "pypi.requirements=['a==1']"]);
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path);
        run(command).2
    };
    expect![[r#"
        pip downloads a==1 and dependencies
        fetched 1 wheel, 5 B, into `pkg/pypi`
    "#]]
    .assert_eq(&fetch());
    expect![[r#"
        everything is already in `pkg/pypi`: 1 wheel, 5 B
    "#]]
    .assert_eq(&fetch());
}

/// pip was blamed: PyPI has no MindSpore of the sample for another Python.
#[test]
fn the_sample_has_one_python() {
    let folder = tempfile::tempdir().unwrap();
    let of_310 = ["--sample", "--pkg", "pkg", "--set", "versions.python=3.10"];
    for command in ["fetch", "image", "doctor"] {
        let (code, said) = say(folder.path(), &[&[command], &of_310[..]].concat());
        expect![[r#"
            error: the sample's base has Python 3.9, and `versions.python` is set to `3.10`
            hint: leave it out, or name a base that has Python 3.10 with `--base`
        "#]]
        .assert_eq(&said);
        assert_eq!(code, Some(2), "{command}");
    }
}

#[test]
fn a_lock_offers_no_sample_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (_, help, _) = run(program(folder.path(), &["lock", "--help"]));
    assert!(help.contains("--upgrade") && !help.contains("--sample"), "{help}");
    expect![[r#"
        error: the sample is not pinned: `image.lock` is for the packages and the base of your own image
        hint: leave out `--sample`
    "#]]
    .assert_eq(&say(folder.path(), &["lock", "--sample"]).1);
}

#[test]
fn a_value_of_the_environment_is_told_by_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str], variable: (&str, &str)| {
        let mut command = program(folder.path(), arguments);
        command.env(variable.0, variable.1);
        let (code, _, said) = run(command);
        assert_eq!(code, Some(2), "{said}");
        said.lines().next().unwrap_or_default().to_owned() + "\n"
    };
    expect![[r#"
        error: invalid value 'latest' for 'the environment variable timestamp': timestamp `latest` must hold only digits (character 1, `l`)
        error: invalid value '' for 'the environment variable org_name': organisation `` must not be empty (character 1, the end)
        error: a value is required for 'the environment variable FMTK_STORE' but none was supplied
        error: invalid value 'latest' for '--timestamp <TS>': timestamp `latest` must hold only digits (character 1, `l`)
    "#]]
    .assert_eq(
        &[
            said(&["push", "--dry-run"], ("timestamp", "latest")),
            said(&["push", "--dry-run"], ("org_name", "")),
            said(&["image"], ("FMTK_STORE", "")),
            said(&["push", "--timestamp=latest"], ("timestamp", "latest")),
        ]
        .concat(),
    );
}
