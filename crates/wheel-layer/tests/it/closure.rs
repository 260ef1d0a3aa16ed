//! Wheels together: what they require, and where they get in each other's way.

use expect_test::{Expect, expect};
use wheel_layer::{WheelFacts, conflicts, unsatisfied};

use crate::wheel_file::{WheelFile, layout, target};

fn facts(wheels: &[WheelFile]) -> Vec<WheelFacts> {
    wheels.iter().map(WheelFile::facts).collect()
}

fn check_required(wheels: &[WheelFile], base: Option<&[(&str, &str)]>, expect: Expect) {
    let base: Option<Vec<(String, String)>> =
        base.map(|base| base.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect());
    let missing = unsatisfied(&facts(wheels), base.as_deref(), &target());
    expect.assert_eq(&missing.iter().map(|one| format!("{one}\n")).collect::<String>());
}

fn check_conflicts(wheels: &[WheelFile], expect: Expect) {
    let found = conflicts(&facts(wheels), &layout(), &target()).unwrap();
    expect.assert_eq(&found.iter().map(|one| format!("{one}\n")).collect::<String>());
}

#[test]
fn requirements_are_met_by_wheels_and_base() {
    let wheels = || {
        [
            WheelFile::new("mindpet", "1.0.4")
                .requires("Click (>=8)")
                .requires("PyYAML>=5; python_version >= '3.7'")
                .requires("numpy")
                .requires("pywin32; sys_platform == 'win32'")
                .requires("sphinx; extra == 'docs'")
                .requires("what is this"),
            WheelFile::new("click", "7.1"),
        ]
    };
    check_required(
        &wheels(),
        Some(&[("pyyaml", "6.0"), ("NumPy", "1.23"), ("click", "8.1")]),
        expect![[r#"
        `mindpet` requires `Click (>=8)`, but 7.1 is there
        `mindpet` requires `what is this`, which means nothing: `is this` is not a comparison of versions
    "#]],
    );
    check_required(
        &wheels(),
        None,
        expect![[r#"
        `mindpet` requires `Click (>=8)`, but 7.1 is there
        `mindpet` requires `PyYAML>=5; python_version >= '3.7'`, which is not there
        `mindpet` requires `numpy`, which is not there
        `mindpet` requires `what is this`, which means nothing: `is this` is not a comparison of versions
    "#]],
    );
}

#[test]
fn extras_count_where_a_wheel_asks_for_them() {
    let wheels = [
        WheelFile::new("app", "1").requires("kit[fast, Big_One]"),
        WheelFile::new("kit", "1")
            .requires("speed; extra == 'fast'")
            .requires("size; extra == 'big-one' and python_version > '3'")
            .requires("docs; extra == 'docs'")
            .requires("kit[all]; extra == 'fast'")
            .requires("everything; extra == 'all'"),
    ];
    check_required(
        &wheels,
        Some(&[]),
        expect![[r#"
        `kit` requires `everything; extra == 'all'`, which is not there
        `kit` requires `size; extra == 'big-one' and python_version > '3'`, which is not there
        `kit` requires `speed; extra == 'fast'`, which is not there
    "#]],
    );
}

#[test]
fn different_bytes_at_one_path_are_a_conflict() {
    check_conflicts(
        &[
            WheelFile::new("one", "1").file("shared/__init__.py", b"").file("shared/x.py", b"1").file("mod", b""),
            WheelFile::new("two", "1").file("shared/__init__.py", b"").file("shared/x.py", b"2").file("mod/a.py", b""),
        ],
        expect![[r#"
            `one` and `two` put different files at `/opt/py/lib/python3.9/site-packages/shared/x.py`
            `one` puts a file at `/opt/py/lib/python3.9/site-packages/mod`, where `two` has a folder
        "#]],
    );
}

#[test]
fn commands_conflict_too() {
    let wheel = |name: &str, function: &str| {
        WheelFile::new(name, "1").commands(&format!("[console_scripts]\nsame = m:f\nrun = {function}\n"))
    };
    check_conflicts(
        &[wheel("one", "a:b"), wheel("two", "a:c")],
        expect![[r#"
        `one` and `two` put different files at `/opt/py/bin/run`
    "#]],
    );
}

#[test]
fn one_distribution_twice_is_a_conflict() {
    check_conflicts(
        &[WheelFile::new("one-kit", "1"), WheelFile::new("One_Kit", "2")],
        expect![[r#"
        there are two wheels of `one-kit`: 1 and 2
    "#]],
    );
}
