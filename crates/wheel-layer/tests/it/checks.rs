//! What speaks against installing a wheel.

use expect_test::expect_file;
use wheel_layer::Target;

use crate::{
    wheel_file::{WheelFile, target},
    zip_file::ZipEntry,
};

fn elf(bits: u8, machine: u16) -> Vec<u8> {
    let mut bytes = b"\x7fELF".to_vec();
    bytes.extend([bits, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
    bytes.extend(machine.to_le_bytes());
    bytes.extend([0; 100]);
    bytes
}

#[test]
fn problems_are_named() {
    let telling = |wheel: WheelFile, metadata: &str| WheelFile { metadata: metadata.to_owned(), ..wheel };
    let demo = |metadata: &str| telling(WheelFile::demo(), metadata);
    let named = |tags: &str| WheelFile { file_name: format!("demo-1.0-{tags}.whl"), ..WheelFile::demo() };
    let format = |version: &str| {
        let wheel = WheelFile::demo();
        WheelFile { wheel: wheel.wheel.replace("1.0", version), ..wheel }
    };
    let tagged = |wheel: WheelFile, tags: &str| WheelFile { wheel: format!("Wheel-Version: 1.0\n{tags}"), ..wheel };
    // Four hundred empty stored blocks, then the contents in one.
    let hidden = elf(2, 62);
    let mut raw = [0, 0, 0, 0xff, 0xff].repeat(400);
    raw.extend([1, hidden.len() as u8, 0, !(hidden.len() as u8), 0xff]);
    raw.extend_from_slice(&hidden);
    let hidden = ZipEntry { raw, ..ZipEntry::new("demo.so", &hidden, true) };
    let foreign = WheelFile::demo()
        .file("demo/x86.so", &elf(2, 62))
        .entry(ZipEntry::new("demo/arm.so.1", &elf(1, 40), false))
        .file("demo/fine.so", &elf(2, 183))
        .file("demo/short.so", b"\x7fELF");
    // As MindSpore 2.10 for aarch64 has them, and what CUDA and Linux load.
    let devices = [("npu.o", 0x1029), ("gpu.cubin", 190), ("probe.o", 247)];
    let devices = devices.iter().fold(WheelFile::demo(), |wheel, (name, machine)| wheel.file(name, &elf(2, *machine)));
    let many = (0..5).fold(WheelFile::demo(), |wheel, number| wheel.file(&format!("{number}.so"), &elf(2, 62)));
    let hash = "sha256=LXEWQrcmsEQBYnyp9dT5wYoaqrGTwXvb3vmmBkjXx30";
    let mut record = WheelFile::demo();
    for name in ["unlisted", "nohash", "md5", "size", "demo-1.0.dist-info/RECORD.jws"] {
        record = record.file(name, b"x");
    }
    record.record = Some(format!(
        "nohash,,1\nmd5,md5=nd,1\nsize,{hash},2\ngone,{hash},1\nfolder,,\n\
         demo-1.0.dist-info/METADATA,{hash},\ndemo-1.0.dist-info/WHEEL,{hash},\n"
    ));
    let moxing = || WheelFile::new("moxing-framework", "2.0.0.rc2.4b57a67b");
    let rows = [
        ("a sound wheel", WheelFile::demo().file("demo.py", b"").file("demo.so", &elf(2, 183))),
        ("code for other machines", foreign),
        ("code of devices, which is the same beside every processor", devices),
        ("many files, of which three are named", many.file("5.so", &elf(1, 183))),
        ("code behind empty blocks", WheelFile::demo().entry(hidden)),
        ("the same name and version, spelt otherwise", demo("Name: Demo\nVersion: 1.0.0\n")),
        ("another name", demo("Name: demo-kit\nVersion: 1.0\n")),
        ("another version", demo("Name: demo\nVersion: 1.1\n")),
        ("MoXing's version, which is none of PEP 440", moxing()),
        ("and another", telling(moxing(), "Name: moxing-framework\nVersion: 2.0.0.rc2.other\n")),
        ("tags as mindspore-ascend 1.8.1 has them", named("cp39-none-any")),
        ("another Python", named("cp38-cp38-linux_aarch64")),
        ("a wheel that was renamed", tagged(named("cp39-cp39-linux_aarch64"), "Tag: cp38-cp38-linux_x86_64\n")),
        (
            "one for two Pythons",
            tagged(named("cp39-cp39-linux_aarch64"), "Tag: cp38-cp38-any\nTag: py2.py3-none-any\n"),
        ),
        ("tags that mean nothing", tagged(WheelFile::demo(), "Tag: cp38\n")),
        ("other platforms", named("py3-none-manylinux2014_x86_64.win_amd64")),
        ("a newer glibc", named("cp39-cp39-manylinux_2_34_aarch64")),
        ("Requires-Python", demo("Name: demo\nVersion: 1.0\nRequires-Python: >=3.10\n")),
        ("a RECORD", record),
        ("format 2.1", format("2.1")),
        ("format 1.9", format("1.9")),
    ];
    let mut text = String::new();
    for (title, wheel) in rows {
        let facts = wheel.facts();
        text += &format!("{title}:\n");
        for problem in facts.check(&target()).iter().chain(&facts.check_record()).chain(&facts.foreign_code()) {
            text += &format!("  {problem}\n");
        }
        text.extend(facts.renamed(&target()).map(|note| format!("  note: {note}\n")));
    }
    expect_file!["said/problems.txt"].assert_eq(&text);
}

#[test]
fn required_python_is_compared_with_the_target() {
    for (wanted, micro, fits) in [
        (">=3.7,<4", None, true),
        (">=3.9.1", None, true),
        (">=3.9.18", Some(2), false),
        (">=3.10", None, false),
        ("nonsense", None, true),
    ] {
        let metadata = format!("Name: demo\nVersion: 1.0\nRequires-Python: {wanted}\n");
        let wheel = WheelFile { metadata, ..WheelFile::demo() };
        let problems = wheel.facts().check(&Target { python_micro: micro, ..target() });
        assert_eq!(problems.is_empty(), fits, "{wanted}: {problems:?}");
    }
}

#[test]
fn what_was_compiled_says_so_by_tags_contents_or_wheel() {
    let named = |tags: &str| WheelFile { file_name: format!("demo-1.0-{tags}.whl"), ..WheelFile::demo() };
    let impure = WheelFile { wheel: WheelFile::demo().wheel.replace("true", "false"), ..WheelFile::demo() };
    for (wheel, reason) in [
        (WheelFile::demo(), None),
        (named("cp39-none-any"), None),
        (named("cp39-cp39-linux_aarch64"), Some("has the tags `cp39-cp39-linux_aarch64`")),
        (named("py3-none-manylinux2014_x86_64"), Some("has the tags `py3-none-manylinux2014_x86_64`")),
        (WheelFile::demo().file("a.so", &elf(2, 183)), Some("has machine code in `a.so` (64-bit AArch64)")),
        (impure, Some("does not say `Root-Is-Purelib: true`")),
    ] {
        assert_eq!(wheel.facts().impurity().as_deref(), reason);
    }
}
