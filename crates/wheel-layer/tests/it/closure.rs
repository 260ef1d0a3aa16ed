//! Wheels together: what they require, and where they get in each other's way.

use expect_test::expect_file;
use wheel_layer::{WheelFacts, conflicts, unsatisfied};

use crate::wheel_file::{WheelFile, setup, target};

fn missing(wheels: &[WheelFile], base: Option<&[(&str, &str)]>) -> String {
    let base: Option<Vec<(String, String)>> =
        base.map(|base| base.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect());
    let facts: Vec<WheelFacts> = wheels.iter().map(WheelFile::facts).collect();
    let missing = unsatisfied(facts.iter(), base.as_deref(), &target());
    missing.iter().map(|one| format!("  {one}\n")).collect()
}

#[test]
fn requirements_are_met_by_wheels_and_base() {
    let wheels = [
        WheelFile::new("mindpet", "1.0.4")
            .requires("Click (>=8)")
            .requires("PyYAML>=5; python_version >= '3.7'")
            .requires("numpy")
            .requires("pywin32; sys_platform == 'win32'")
            .requires("sphinx; extra == 'docs'")
            .requires("what is this"),
        WheelFile::new("click", "7.1"),
    ];
    let known = missing(&wheels, Some(&[("pyyaml", "6.0"), ("NumPy", "1.23"), ("click", "8.1")]));
    let unknown = missing(&wheels, None);
    // Extras count where a wheel asks for them.
    let extras = missing(
        &[
            WheelFile::new("app", "1").requires("kit[fast, Big_One]"),
            WheelFile::new("kit", "1")
                .requires("speed; extra == 'fast'")
                .requires("size; extra == 'big-one' and python_version > '3'")
                .requires("docs; extra == 'docs'")
                .requires("kit[all]; extra == 'fast'")
                .requires("everything; extra == 'all'"),
        ],
        Some(&[]),
    );
    let text = format!("a base that is known:\n{known}one that is not:\n{unknown}extras:\n{extras}");
    expect_file!["said/requirements.txt"].assert_eq(&text);
}

#[test]
fn wheels_that_can_not_both_be_installed_are_named() {
    let command = |name: &str, function: &str| {
        WheelFile::new(name, "1").commands(&format!("[console_scripts]\nsame = m:f\nrun = {function}\n"))
    };
    let rows = [
        [
            WheelFile::new("one", "1").file("shared/__init__.py", b"").file("shared/x.py", b"1").file("mod", b""),
            WheelFile::new("two", "1").file("shared/__init__.py", b"").file("shared/x.py", b"2").file("mod/a.py", b""),
        ],
        [command("one", "a:b"), command("two", "a:c")],
        [WheelFile::new("one-kit", "1"), WheelFile::new("One_Kit", "2")],
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for wheels in rows {
        let [one, two] = wheels.map(|wheel| setup().install(&wheel.write(folder.path())).unwrap());
        text.extend(conflicts(&[&one, &two]).iter().map(|one| format!("{one}\n")));
    }
    expect_file!["said/conflicts.txt"].assert_eq(&text);
}
