//! What lies where: compared, when it was written, with what pip 26.0.1 leaves of the same wheels.

use std::io;

use expect_test::expect_file;
use wheel_layer::{Compiler, Layout, NoCompiler};

use crate::wheel_file::{Setup, WheelFile, setup, store, unpack};

const REGULAR: u32 = 0o100_000;

/// Lists modes and paths, and the contents of what `show` picks.
fn check(title: &str, wheel: &WheelFile, setup: &Setup, show: &[&str]) {
    check_by(&NoCompiler, title, wheel, setup, show);
}

fn check_by(compiler: &dyn Compiler, title: &str, wheel: &WheelFile, setup: &Setup, show: &[&str]) {
    let (folder, store) = store();
    let installed = setup.install(&wheel.write(folder.path())).unwrap();
    let made = wheel_layer::layers(&[&installed], &store, &setup.parents, setup.max_layer, compiler).unwrap();
    let mut text = String::new();
    for (path, mode, bytes) in made.iter().flat_map(|layer| unpack(&store, layer)) {
        text += &format!("{mode:o} {path}\n");
        if show.iter().any(|end| path.ends_with(end)) {
            let shown = String::from_utf8(bytes).unwrap().replace('\r', "␍");
            text.extend(shown.lines().map(|line| format!("    |{line}\n")));
        }
    }
    expect_file![format!("said/{title}.txt")].assert_eq(&text);
}

#[test]
fn a_plain_wheel() {
    let wheel = WheelFile::demo()
        .file("demo/__init__.py", b"")
        .file_with_mode("demo/tool.sh", b"#!/bin/sh\n", REGULAR | 0o755)
        .file("demo/empty/", b"");
    check("a_plain_wheel", &wheel, &setup(), &["RECORD", "INSTALLER", "REQUESTED"]);
}

/// Debian and the official Python image have `/usr/local/man -> share/man`: a folder there would replace the link.
#[test]
fn what_leads_through_a_link_of_the_base_goes_behind_it() {
    check(
        "through_a_link_of_the_base",
        &WheelFile::demo().file("demo-1.0.data/data/man/man1/demo.1", b"").file("demo-1.0.data/data/man/x", b""),
        &Setup { link: Some(("/opt/py/man/man1", "/opt/py/share/man/man1")), ..setup() },
        &["RECORD"],
    );
}

/// pip looks at the type bits too, and takes any of the three execute bits for all.
#[test]
fn only_what_is_marked_as_an_executable_regular_file_is_executable() {
    let wheel = WheelFile::demo()
        .file_with_mode("a", b"x", 0o755)
        .file_with_mode("b", b"x", REGULAR | 0o654)
        .file_with_mode("c", b"x", REGULAR | 0o444)
        .file_with_mode("link", b"/etc/passwd", 0o120_777);
    check("executable_files", &wheel, &setup(), &["link"]);
}

#[test]
fn every_scheme_has_its_folder() {
    let mut wheel = WheelFile::new("Demo.Kit", "1.0")
        .file("shared.py", b"from the root")
        .file("Demo.Kit-1.0.data/purelib/shared.py", b"from purelib")
        .file("Demo.Kit-1.0.data/purelib/pure.py", b"")
        .file("Demo.Kit-1.0.data/platlib/plat.so", b"")
        .file("Demo.Kit-1.0.data/headers/kit/a.h", b"")
        .file("Demo.Kit-1.0.data/data/etc/kit.conf", b"")
        .file("Demo.Kit-1.0.data/scripts/plain", b"#!/bin/sh\n");
    wheel.wheel = wheel.wheel.replace("true", "false");
    let debian = Layout {
        purelib: "/opt/py/lib/python3/dist-packages".to_owned(),
        platlib: "/opt/py/lib/python3.9/dist-packages".to_owned(),
        ..setup().layout
    };
    check("every_scheme", &wheel, &Setup { layout: debian, ..setup() }, &["shared.py", "RECORD"]);
}

#[test]
fn scripts_get_the_interpreter_of_the_target() {
    let wheel = WheelFile::demo()
        .file_with_mode("demo-1.0.data/scripts/py", b"#!python -u\nprint(1)\n", REGULAR | 0o755)
        .file("demo-1.0.data/scripts/other", b"#!/usr/bin/python\n");
    check("scripts", &wheel, &setup(), &["bin/py", "bin/other", "RECORD"]);
}

#[test]
fn commands_replace_what_setuptools_made_for_them() {
    let wheel = WheelFile::demo()
        .commands("[console_scripts]\ntool = demo.cli:Tool.main\n[gui_scripts]\nwin = demo:gui [extra]\n")
        .file("demo-1.0.data/scripts/tool", b"#!python\nsetuptools\n")
        .file("demo-1.0.data/scripts/win-script.py", b"#!python\nsetuptools\n")
        .file("demo-1.0.data/scripts/tool.EXE", b"MZ")
        .file("demo-1.0.data/scripts/tool2", b"#!/bin/sh\n");
    let layout = Layout { interpreter: "/opt/my py/bin/python".to_owned(), ..setup().layout };
    check("commands", &wheel, &Setup { layout, ..setup() }, &["bin/tool", "bin/win", "RECORD"]);
}

#[test]
fn record_keeps_strange_rows_and_files() {
    let mut wheel = WheelFile::demo()
        .file("na,me \"q\".txt", b"q")
        .file("unlisted", b"u")
        .file("demo-1.0.dist-info/INSTALLER", b"conda\n")
        .file("über.txt", b"u");
    wheel.record = Some(
        "\"na,me \"\"q\"\".txt\",sha256=jjXCzTv2ZBvbDiBQt2kyy7LmA0oN2swdm-qCprpX988,1\ngone,,\n\
         über.txt,sha256=C_6TXnDDIcfKOvx1zg0MovmLVCLgCLsxwAxtfx8cCtY,1\n"
            .to_owned(),
    );
    check("strange_rows_and_files", &wheel, &setup(), &["RECORD", "INSTALLER"]);
}

/// The later wins, as with pip, which says nothing of it.
#[test]
fn one_path_twice_is_told() {
    let wheel = WheelFile::demo().file("demo.py", b"1").file("demo-1.0.data/purelib/demo.py", b"2");
    let folder = tempfile::tempdir().unwrap();
    let installed = setup().install(&wheel.write(folder.path())).unwrap();
    let path = "/opt/py/lib/python3.9/site-packages/demo.py";
    assert_eq!(installed.twice, [format!("its `demo-1.0.data/purelib/demo.py` overwrites its `demo.py` at `{path}`")]);
    let plain = setup().install(&WheelFile::demo().commands("[console_scripts]\nrun = a:b\n").write(folder.path()));
    assert_eq!(plain.unwrap().twice, [""; 0]);
}

/// A compiler whose bytecode is the path and the source; a source that begins with an error has none.
struct FakeCompiler;

impl Compiler for FakeCompiler {
    fn compile(&self, path: &str, source: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok((!source.starts_with(b"error")).then(|| [path.as_bytes(), b": ", source].concat()))
    }
}

/// As `pip install` without `--no-compile`: bytecode of every module, scripts and data among them, over what the wheel
/// itself has there, and its rows in RECORD without a hash.
#[test]
fn bytecode_lies_beside_every_source_that_compiles() {
    let wheel = WheelFile::demo()
        .file("demo/__init__.py", b"1")
        .file("demo/wrong.py", b"error")
        .file("demo/__pycache__/__init__.cpython-39.pyc", b"old")
        .file_with_mode("demo-1.0.data/scripts/run.py", b"#!python\n2", REGULAR | 0o755)
        .file("demo-1.0.data/data/man/man1/x.py", b"3")
        .file("demo/stub.pyi", b"");
    let layout = Layout { bytecode: Some("fake".to_owned()), ..setup().layout };
    let link = Some(("/opt/py/man/man1", "/opt/py/share/man/man1"));
    check_by(&FakeCompiler, "bytecode", &wheel, &Setup { layout, link, ..setup() }, &[".pyc", "RECORD"]);
}
