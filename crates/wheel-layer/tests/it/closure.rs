//! Wheels together: what they require, and where they get in each other's way.

use expect_test::expect_file;
use wheel_layer::{Corrections, InstalledWheel, Requirement, WheelFacts, conflicts, overwrite, unsatisfied};

use crate::wheel_file::{WheelFile, setup, target};

fn missing(wheels: &[WheelFile], base: Option<&[(&str, &str)]>, asked: &[(&str, &str)]) -> String {
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
    };
    let base = base.map(owned);
    let facts: Vec<WheelFacts> = wheels.iter().map(WheelFile::facts).collect();
    let missing = unsatisfied(facts.iter(), base.as_deref(), &owned(asked), Corrections::NONE, &target());
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
    let known = missing(&wheels, Some(&[("pyyaml", "6.0"), ("NumPy", "1.23"), ("click", "8.1")]), &[]);
    let unknown = missing(&wheels, None, &[]);
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
        &[],
    );
    let kit = [WheelFile::new("kit", "1").requires("speed; extra == 'fast'")];
    let asked = missing(&kit, Some(&[]), &[("kit", "fast"), ("gone", "fast")]);
    let text = format!(
        "a base that is known:\n{known}one that is not:\n{unknown}extras:\n{extras}extras of the user:\n{asked}"
    );
    expect_file!["said/requirements.txt"].assert_eq(&text);
}

/// As uv does: an override takes the place of what wheels require, and what is excluded is required by none.
#[test]
fn metadata_can_be_corrected() {
    let torch = WheelFile::new("torch", "2.11.0").requires("nvidia-cublas==13").requires("numpy<2").requires("sympy");
    let facts = [torch, WheelFile::new("numpy", "2.2")].map(|wheel| wheel.facts());
    let missing = |overrides: &[&str]| {
        let read = |text: &&str| Requirement::parse(text, &target(), "").unwrap();
        let overrides: Vec<Requirement> = overrides.iter().map(read).collect();
        let corrections =
            Corrections { overrides: &overrides, is_excluded: &|name| name.starts_with("nvidia-") || name == "sympy" };
        let missing = unsatisfied(facts.iter(), Some(&[]), &[], corrections, &target());
        missing.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(missing(&[]), ["`torch` requires `numpy<2`, but 2.2 is there"]);
    assert!(missing(&["numpy>=2"]).is_empty());
    assert_eq!(missing(&["numpy==3"]), ["`torch` requires `numpy<2`, which is overridden, but 2.2 is there"]);
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

/// What each of these wheels has at its paths when the named ones are installed last, and what is said of it.
fn overwritten(wheels: &[WheelFile], winners: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let installed = wheels.iter().map(|wheel| setup().install(&wheel.write(folder.path())).unwrap());
    let mut installed: Vec<InstalledWheel> = installed.collect();
    let winners: Vec<String> = winners.iter().map(|name| (*name).to_owned()).collect();
    let said = overwrite(&mut installed, &winners);
    let left = conflicts(&installed.iter().collect::<Vec<_>>());
    let refused = left.iter().map(|conflict| format!("refused: {conflict}\n"));
    said.iter().map(|one| format!("{one}\n")).chain(refused).collect()
}

/// rouge 1.0.1 and rouge-chinese 1.0.3 both have `rouge/rouge.py`, each its own.
#[test]
fn a_wheel_that_is_named_overwrites_files_of_others_as_if_it_were_installed_last() {
    let wheel = |name: &str, bytes: &[u8]| {
        let wheel = WheelFile::new(name, "1").file("rouge/__init__.py", b"").file("rouge/rouge.py", bytes);
        wheel.commands(&format!("[console_scripts]\nrouge = {}:main\n", name.replace('-', "_")))
    };
    let three = || [wheel("rouge", b"1"), wheel("rouge-chinese", b"2"), wheel("rouge-other", b"3")];
    let record = WheelFile::new("thief", "1").file("thief-1.data/platlib/rouge-1.dist-info/RECORD", b"");
    let folder = WheelFile::new("folder", "1").file("rouge/rouge.py/x", b"");
    let mut said = String::new();
    for (title, wheels, winners) in [
        ("nobody is named", three(), &[][..]),
        ("one", three(), &["rouge-chinese"]),
        ("two", three(), &["rouge-other", "rouge"]),
        ("one that takes a RECORD", [wheel("rouge", b"1"), record.clone(), wheel("apart", b"1")], &["thief"]),
        ("one whose RECORD is taken", [wheel("rouge", b"1"), record, wheel("apart", b"1")], &["rouge"]),
        ("a folder in the place of a file", [wheel("rouge", b"1"), folder, wheel("apart", b"1")], &["folder", "rouge"]),
    ] {
        said += &format!("# {title}\n{}", overwritten(&wheels, winners));
    }
    expect_file!["said/overwritten.txt"].assert_eq(&said);
}
