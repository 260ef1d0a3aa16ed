//! Exports of small containers, before and after.

use std::{fmt::Write as _, iter};

use expect_test::{Expect, expect};
use oci_image::{Descriptor, Entry, Format, Layer, Store, UnpackError, read_layer};
use tar::{EntryType, Header};

use super::*;
use crate::{
    cann::layers,
    recipe::{Overrides, Recipe},
    terminal::report,
};

/// An export: each line is `KIND MODE UID PATH [CONTENTS or TARGET]`.
fn export(text: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, mode, uid, path] = words[..4] else { panic!("{line}") };
        let last = words.get(4).copied().unwrap_or_default();
        let mut header = Header::new_ustar();
        header.set_mode(u32::from_str_radix(mode, 8).unwrap());
        header.set_uid(uid.parse().unwrap());
        header.set_gid(0);
        header.set_mtime(1_700_000_000 + path.len() as u64);
        header.set_size(0);
        let entry = match kind {
            "d" => EntryType::Directory,
            "f" => EntryType::Regular,
            "l" => EntryType::Symlink,
            "h" => EntryType::Link,
            "p" => EntryType::Fifo,
            _ => panic!("{line}"),
        };
        header.set_entry_type(entry);
        match kind {
            "l" | "h" => builder.append_link(&mut header, path, last).unwrap(),
            _ => {
                header.set_size(last.len() as u64);
                builder.append_data(&mut header, path, last.as_bytes()).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

const BASE: &str = "
    d 755 0 etc/
    f 644 0 etc/hosts old
    f 644 0 etc/passwd root
    d 755 0 usr/
    d 755 0 usr/bin/
    f 755 0 usr/bin/a program
    h 755 0 usr/bin/b usr/bin/a
    d 755 0 usr/old/
    f 644 0 usr/old/x x
";

fn recipe() -> Recipe {
    Recipe::parse("", "image.toml", std::path::Path::new("/"), Overrides::default()).unwrap()
}

fn changes(after: &str) -> anyhow::Result<Changes> {
    let before = snapshot(&export(BASE)[..]).unwrap();
    compare(&before, &snapshot(&export(after)[..])?, &recipe().cann.drop.matcher(), None)
}

fn check(after: &str, expect: Expect) {
    let text = match changes(after) {
        Ok(changes) => {
            let mut text = String::new();
            for KeptItem { attr, kind, names } in changes.kept.values() {
                let what = match kind {
                    Kind::Symlink(to) => format!("link to {to}"),
                    Kind::File { size, .. } => format!("{size} bytes {:?}", &names[1..]),
                    kind => format!("{kind:?}"),
                };
                writeln!(text, "{} {:o} {} {what}", names[0], attr.mode, attr.mtime).unwrap();
            }
            for path in &changes.removed {
                writeln!(text, "- {path}").unwrap();
            }
            text
        }
        Err(error) => report::render(&error),
    };
    expect.assert_eq(&text);
}

#[test]
fn times_are_no_change() {
    let later = BASE.replace("etc/hosts old", "etc/hosts new");
    check(&later, expect![""]);
}

#[test]
fn what_is_new_or_other_is_kept_and_what_is_gone_is_told_once() {
    check(
        "
        d 755 0 etc/
        f 600 0 etc/passwd root
        d 755 0 tmp/
        f 644 0 tmp/left x
        d 700 0 usr/
        d 755 0 usr/bin/
        f 755 0 usr/bin/a changed
        h 755 0 usr/bin/b usr/bin/a
        d 755 0 usr/new/
        f 4755 0 usr/new/s s
        l 777 0 usr/new/latest 5.1
        d 755 0 usr/new/__pycache__/
        f 644 0 usr/new/__pycache__/a.pyc z
        ",
        expect![[r#"
            /etc/passwd 600 315619200 4 bytes []
            /usr 700 315619200 Dir
            /usr/bin/a 755 315619200 7 bytes ["/usr/bin/b"]
            /usr/new 755 315619200 Dir
            /usr/new/latest 777 315619200 link to 5.1
            /usr/new/s 4755 315619200 1 bytes []
            - /usr/old
        "#]],
    );
}

#[test]
fn a_folder_that_became_a_file_takes_what_was_in_it_along() {
    let after = BASE.replace("d 755 0 usr/old/\n", "f 644 0 usr/old file\n").replace("    f 644 0 usr/old/x x\n", "");
    check(
        &after,
        expect![[r#"
        /usr/old 644 315619200 4 bytes []
    "#]],
    );
}

#[test]
fn a_new_name_of_a_file_of_the_base_is_a_file_of_its_own() {
    let after = format!("{BASE}h 755 0 usr/c usr/bin/a\nh 755 0 usr/d usr/bin/a\n");
    // The export of a real engine is sorted; here the names come last, as their contents do before them.
    check(
        &after,
        expect![[r#"
        /usr/c 755 315619200 7 bytes ["/usr/d"]
    "#]],
    );
}

#[test]
fn pipes_are_refused_by_name_unless_they_are_dropped() {
    check(
        &format!("{BASE}d 755 0 var/\np 644 0 var/queue\n"),
        expect![[r#"
            error: CANN's installer made `/var/queue`, a device, pipe or socket, which no layer can hold
            hint: if the image can do without it, add "/var/queue" to `cann.drop`
        "#]],
    );
    check(&format!("{BASE}p 644 0 run/queue\n"), expect![""]);
}

#[test]
fn archives_that_are_cut_off_are_errors() {
    let error = snapshot(&export(BASE)[..700]).unwrap_err().to_string();
    expect!["the archive is damaged at byte 700: it is cut off"].assert_eq(&error);
}

/// Every entry of a layer.
pub fn entries(store: &Store, layer: &Layer) -> Vec<Entry> {
    let media_type = Format::DockerV2.layer().to_owned();
    let blob = Descriptor { media_type, digest: layer.digest, size: layer.size, urls: Vec::new() };
    let (entries, _) = read_layer(store, &blob, Some(layer.diff_id), |stream| {
        let mut tar = stream.entries();
        Ok::<_, UnpackError>(iter::from_fn(|| tar.next_entry().unwrap()).collect())
    })
    .unwrap();
    entries
}

/// The paths in a layer, in order, with modes, links and sizes.
fn listed(store: &Store, layer: &Layer) -> Vec<String> {
    let line = |entry: Entry| match entry.kind {
        EntryKind::HardLink(to) => format!("{} = {to}", entry.path),
        EntryKind::File(size) => format!("{} {:o} {size}", entry.path, entry.attr.mode),
        _ => entry.path,
    };
    entries(store, layer).into_iter().map(line).collect()
}

#[test]
fn layers_are_the_same_twice_split_by_size_and_have_the_wheels_copied() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let large = "x".repeat(9000);
    let after = format!(
        "d 755 0 etc/\nf 644 0 etc/hosts old\nf 644 0 etc/passwd root\nd 755 0 opt/\nf 644 0 opt/a {large}\n\
         h 644 0 opt/b opt/a\nf 644 0 opt/c {large}\nf 4755 0 opt/s s\nf 644 0 opt/te-1-py3-none-any.whl wheel\n\
         l 777 0 opt/z a\nd 755 0 usr/\nd 755 0 usr/bin/\nf 755 0 usr/bin/a program\nh 755 0 usr/bin/b usr/bin/a\n"
    );
    let changes = changes(&after).unwrap();
    let wheels = recipe().cann.wheels.matcher();
    let write = |max| layers::write(&store, &changes, &export(&after)[..], &wheels, max).unwrap();
    let (made, found) = write(1 << 30);
    assert_eq!(write(1 << 30).0, made);
    let all: Vec<Vec<String>> = made.iter().map(|layer| listed(&store, layer)).collect();
    assert_eq!(all[0], ["usr", "usr/.wh.old 644 0"]);
    let wheel = "opt/te-1-py3-none-any.whl 644 5";
    assert_eq!(all[1], ["opt", "opt/a 644 9000", "opt/b = opt/a", "opt/c 644 9000", "opt/s 4755 1", wheel, "opt/z"]);
    assert_eq!(found[0].path, "/opt/te-1-py3-none-any.whl");
    assert_eq!(store.read_blob(&found[0].sha256, 100).unwrap(), b"wheel");

    // Other names go where the first one is.
    let incompressible: Vec<Vec<String>> = write(12_000).0.iter().map(|layer| listed(&store, layer)).collect();
    assert!(incompressible.len() <= 3, "{incompressible:?}");

    // Another export than the one that was compared is no layer.
    let other = after.replace("opt/s s", "opt/s t");
    let error = layers::write(&store, &changes, &export(&other)[..], &wheels, 1 << 30).unwrap_err();
    expect!["failed to write CANN's layers: the contents of one file are not those that were announced: `opt/s`"]
        .assert_eq(&format!("{error:#}"));

    // A new name of a file of the base brings the contents along.
    let after = format!("{BASE}h 755 0 usr/c usr/bin/a\nh 755 0 usr/d usr/bin/a\n");
    let linked = self::changes(&after).unwrap();
    let (made, _) = layers::write(&store, &linked, &export(&after)[..], &wheels, 1 << 30).unwrap();
    assert_eq!(listed(&store, &made[0]), ["usr", "usr/c 755 7", "usr/d = usr/c"]);
}
