//! What speaks against installing a wheel.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use wheel_layer::{Allowances, Target};

use crate::{
    wheel_file::{WheelFile, target},
    zip_file::ZipEntry,
};

fn elf(bits: u8, machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF".to_vec();
    bytes.extend([bits, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, machine, 0]);
    bytes.extend([0; 100]);
    bytes
}

fn check_for(wheel: &WheelFile, target: &Target, allowances: &Allowances, expect: Expect) {
    let problems = wheel.facts().check(target, allowances);
    expect.assert_eq(&problems.iter().map(|problem| format!("{problem}\n")).collect::<String>());
}

fn check(wheel: &WheelFile, expect: Expect) {
    check_for(wheel, &target(), &Allowances::default(), expect);
}

#[test]
fn a_sound_wheel_has_no_problems() {
    let wheel = WheelFile::demo().file("demo.py", b"").file("demo.so", &elf(2, 183));
    check(&wheel, expect![""]);
}

#[test]
fn machine_code_for_other_machines_is_named_by_file() {
    let wheel = WheelFile::demo()
        .file("demo/x86.so", &elf(2, 62))
        .entry(ZipEntry::new("demo/arm.so.1", &elf(1, 40), false))
        .file("demo/fine.so", &elf(2, 183))
        .file("demo/short.so", b"\x7fELF");
    check(
        &wheel,
        expect![[r#"
        `demo/x86.so` holds 64-bit x86-64 code, the target is aarch64
        `demo/arm.so.1` holds 32-bit ARM code, the target is aarch64
    "#]],
    );
    let allowances = Allowances { foreign_code: BTreeSet::from(["Demo".to_owned()]) };
    check_for(&wheel, &target(), &allowances, expect![""]);
}

#[test]
fn machine_code_behind_empty_blocks_is_found() {
    // Four hundred empty stored blocks, then the contents in one.
    let bytes = elf(2, 62);
    let mut raw = [0, 0, 0, 0xff, 0xff].repeat(400);
    raw.extend([1, bytes.len() as u8, 0, !(bytes.len() as u8), 0xff]);
    raw.extend_from_slice(&bytes);
    let wheel = WheelFile::demo().entry(ZipEntry { raw, ..ZipEntry::new("demo.so", &bytes, true) });
    check(
        &wheel,
        expect![[r#"
        `demo.so` holds 64-bit x86-64 code, the target is aarch64
    "#]],
    );
}

#[test]
fn file_name_and_metadata_agree() {
    let mut wheel = WheelFile::demo();
    wheel.metadata = "Name: Demo\nVersion: 1.0.0\n".to_owned();
    check(&wheel, expect![""]);
    wheel.metadata = "Name: demo-kit\nVersion: 1.0\n".to_owned();
    check(
        &wheel,
        expect![[r#"
        its file name says `demo 1.0`, its METADATA says `demo-kit 1.0`
    "#]],
    );
    wheel.metadata = "Name: demo\nVersion: 1.1\n".to_owned();
    check(
        &wheel,
        expect![[r#"
        its file name says `demo 1.0`, its METADATA says `demo 1.1`
    "#]],
    );
}

/// MoXing's is none of PEP 440, and is not refused for it.
#[test]
fn a_version_of_its_own_kind_is_compared_as_text() {
    let mut wheel = WheelFile::new("moxing-framework", "2.0.0.rc2.4b57a67b");
    check(&wheel, expect![""]);
    wheel.metadata = "Name: moxing-framework\nVersion: 2.0.0.rc2.other\n".to_owned();
    check(
        &wheel,
        expect![[r#"
        its file name says `moxing_framework 2.0.0.rc2.4b57a67b`, its METADATA says `moxing-framework 2.0.0.rc2.other`
    "#]],
    );
}

#[test]
fn tags_of_the_file_name_count_and_those_inside_may_differ() {
    let mut wheel = WheelFile::demo();
    // As mindspore-ascend 1.8.1 has it.
    wheel.file_name = "demo-1.0-cp39-none-any.whl".to_owned();
    check(&wheel, expect![""]);
    wheel.file_name = "demo-1.0-cp38-cp38-linux_aarch64.whl".to_owned();
    check(
        &wheel,
        expect![[r#"
        it is for cp38-cp38, the target is cp39
    "#]],
    );
    wheel.file_name = "demo-1.0-py3-none-manylinux2014_x86_64.win_amd64.whl".to_owned();
    check(
        &wheel,
        expect![[r#"
        it is for manylinux2014_x86_64 or win_amd64, the target is Linux on aarch64
    "#]],
    );
    wheel.file_name = "demo-1.0-cp39-cp39-manylinux_2_34_aarch64.whl".to_owned();
    check(
        &wheel,
        expect![[r#"
        it needs glibc 2.34, the target has 2.28
    "#]],
    );
}

#[test]
fn required_python_is_compared_with_the_target() {
    let mut wheel = WheelFile::demo();
    for (wanted, micro, fits) in [
        (">=3.7,<4", None, true),
        (">=3.9.1", None, true),
        (">=3.9.18", Some(2), false),
        (">=3.10", None, false),
        ("nonsense", None, true),
    ] {
        wheel.metadata = format!("Name: demo\nVersion: 1.0\nRequires-Python: {wanted}\n");
        let target = Target { python_micro: micro, ..target() };
        let problems = wheel.facts().check(&target, &Allowances::default());
        assert_eq!(problems.is_empty(), fits, "{wanted}: {problems:?}");
    }
    wheel.metadata = "Name: demo\nVersion: 1.0\nRequires-Python: >=3.10\n".to_owned();
    check(
        &wheel,
        expect![[r#"
        it requires Python >=3.10, the target is 3.9
    "#]],
    );
}

#[test]
fn record_lists_every_file_with_size_and_hash() {
    let mut wheel = WheelFile::demo();
    for name in ["unlisted", "nohash", "md5", "size", "demo-1.0.dist-info/RECORD.jws"] {
        wheel = wheel.file(name, b"x");
    }
    let hash = "sha256=LXEWQrcmsEQBYnyp9dT5wYoaqrGTwXvb3vmmBkjXx30";
    wheel.record = Some(format!(
        "nohash,,1\nmd5,md5=nd,1\nsize,{hash},2\ngone,{hash},1\nfolder,,\n\
         demo-1.0.dist-info/METADATA,{hash},\ndemo-1.0.dist-info/WHEEL,{hash},\n"
    ));
    check(
        &wheel,
        expect![[r#"
        RECORD does not list `unlisted`
        RECORD has no usable hash of `nohash`: it is empty
        RECORD has no usable hash of `md5`: `md5=nd` is not a hash
        `size` has 1 bytes, RECORD says 2
        RECORD lists `gone`, which is not there
    "#]],
    );
}

#[test]
fn a_newer_format_is_refused() {
    let mut wheel = WheelFile::demo();
    wheel.wheel = wheel.wheel.replace("1.0", "2.1");
    check(
        &wheel,
        expect![[r#"
        its format is 2.1; only 1.x is known
    "#]],
    );
    wheel.wheel = wheel.wheel.replace("2.1", "1.9");
    check(&wheel, expect![""]);
}
