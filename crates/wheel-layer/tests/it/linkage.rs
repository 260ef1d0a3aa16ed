//! What the files of a wheel tell the dynamic loader.

use elf_fake::{FakeLibrary, X86_64, library_for};
use expect_test::expect;

use crate::{
    wheel_file::{WheelFile, noise},
    zip_file::ZipEntry,
};

fn needs(library: &str) -> FakeLibrary {
    FakeLibrary::new().needs(library, &[])
}

/// The files of which anything is known, and what they need.
fn linked(wheel: &WheelFile) -> String {
    let facts = wheel.facts();
    let line = |(file, linkage): &(String, wheel_layer::Linkage)| format!("{file}: {}\n", linkage.needed.join(" "));
    facts.linked.iter().map(line).collect()
}

/// As in torch (names behind all else), MindSpore (plugins that nobody may load) and cmake (programs).
#[test]
fn what_an_import_or_a_command_loads_is_read_and_nothing_else() {
    let far = [needs("libstdc++.so.6").bytes(), noise(1).repeat(100)].concat();
    let wheel = WheelFile::demo()
        .file("demo/_c.cpython-39-aarch64-linux-gnu.so", &needs("libown.so.1").bytes())
        .file("demo/lib/libown.so.1", &needs("libown2.so").needs("libz.so.1", &["ZLIB_1.2"]).patched().bytes())
        .entry(ZipEntry::new("demo/lib/libown2.so", &far, false))
        .file("demo/_d.abi3.so", &needs("libgomp.so.1").bytes())
        .file("demo-1.0.data/scripts/tool", &needs("libtool.so").bytes())
        .file("demo/lib/libplugin.so", &needs("libascendcl.so").bytes())
        .file("demo/plain.so", &needs("libsox.so").bytes())
        .file("demo/_x86.abi3.so", &library_for(X86_64));
    expect![[r#"
        demo-1.0.data/scripts/tool: libtool.so
        demo/_c.cpython-39-aarch64-linux-gnu.so: libown.so.1
        demo/_d.abi3.so: libgomp.so.1
        demo/lib/libown.so.1: libown2.so libz.so.1
        demo/lib/libown2.so: libstdc++.so.6
    "#]]
    .assert_eq(&linked(&wheel));
}

/// That the wheel is damaged is said when its layer is made.
#[test]
fn files_that_need_each_other_or_end_too_soon_are_read_once() {
    let library = needs("liba.abi3.so").bytes();
    let cut = ZipEntry::new("demo/cut.abi3.so", &[&library[..], &noise(2)].concat(), true);
    let cut = ZipEntry { raw: cut.raw[..100].to_vec(), ..cut };
    let broken =
        ZipEntry { raw: [&ZipEntry::new("", &library[..80], true).raw[..], &[0xff; 50]].concat(), ..cut.clone() };
    let broken =
        ZipEntry { name: b"demo/broken.abi3.so".to_vec(), local_name: b"demo/broken.abi3.so".to_vec(), ..broken };
    let wheel = WheelFile::demo().file("demo/liba.abi3.so", &library).entry(cut).entry(broken);
    expect![[r#"
        demo/liba.abi3.so: liba.abi3.so
    "#]]
    .assert_eq(&linked(&wheel));
}
