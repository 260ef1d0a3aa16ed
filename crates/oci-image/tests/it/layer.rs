//! What a layer writer leaves in the store, read back with other people's gzip and tar readers.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write as _},
    path::PathBuf,
};

use expect_test::{ExpectFile, expect_file};
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress, create_comp_flags_from_zip_params};
use oci_image::{
    Attr, Content, ContentHash, Digest, Layer, LayerError, LayerOptions, LayerWriter, ParentDirs, Store, TreeEntry,
    TreeKind, tree_layer,
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256, Sha512};

use crate::made::{gunzip, noise, store};

const ATTR: Attr = Attr { mode: 0o644, uid: 1000, gid: 100, mtime: 315_532_800 };

/// A base of which no folder is known.
static NONE: ParentDirs = ParentDirs::new();

fn options(parents: &ParentDirs) -> LayerOptions<'_> {
    LayerOptions { mtime: 315_532_800, uid: 1000, gid: 100, parents }
}

/// The tar archive of a layer; fails unless the blob is one gzip member and all digests and sizes are true.
fn unpack(store: &Store, layer: &Layer) -> Vec<u8> {
    let blob = std::fs::read(store.blob_path(&layer.digest)).unwrap();
    assert_eq!(blob.len() as u64, layer.size);
    assert_eq!(Digest::of(&blob), layer.digest);
    let tar = gunzip(&blob);
    assert_eq!(tar.len() as u64, layer.tar_size);
    assert_eq!(Digest::of(&tar), layer.diff_id);
    tar
}

fn listing(tar: &[u8]) -> String {
    let mut text = String::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let path = if path.len() > 60 { format!("{}… ({} bytes)", &path[..40], path.len()) } else { path };
        let (uid, gid, mtime) = (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
        let (kind, mode) = (header.entry_type(), header.mode().unwrap());
        write!(text, "{kind:?} {mode:o} {uid}:{gid} {mtime} {path}").unwrap();
        if let Some(link) = entry.link_name_bytes() {
            write!(text, " -> {}", String::from_utf8_lossy(&link)).unwrap();
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if !bytes.is_empty() {
            write!(text, " = {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(20)])).unwrap();
        }
        text.push('\n');
    }
    text
}

fn contents(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (path, bytes)
    });
    entries.filter(|(path, _)| !path.ends_with('/')).collect()
}

fn known(bytes: &[u8]) -> Content {
    Content {
        size: bytes.len() as u64,
        crc32: Some(crc32fast::hash(bytes)),
        hash: Some(ContentHash::Sha256(Sha256::digest(bytes).into())),
    }
}

/// Raw deflate of these parts: each ends with a flush or the last with the end, at this level and strategy.
fn deflate(parts: &[(Vec<u8>, bool)], level: i32, strategy: i32) -> Vec<u8> {
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(level, 0, strategy));
    let mut out = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut feed = |mut input: &[u8], flush| {
        loop {
            let (_, consumed, written) = compress(&mut compressor, input, &mut buffer, flush);
            out.extend_from_slice(&buffer[..written]);
            input = &input[consumed..];
            if input.is_empty() && written < buffer.len() {
                break;
            }
        }
    };
    for (part, flush) in parts {
        feed(part, if *flush { TDEFLFlush::Sync } else { TDEFLFlush::None });
    }
    feed(&[], TDEFLFlush::Finish);
    out
}

fn check(build: impl FnOnce(&mut LayerWriter<'_>) -> Result<(), LayerError>, parents: &ParentDirs, expect: ExpectFile) {
    let (_dir, store) = store();
    let mut writer = LayerWriter::new(&store, options(parents)).unwrap();
    let text = match build(&mut writer).and_then(|()| writer.finish()) {
        Ok(layer) => listing(&unpack(&store, &layer)),
        Err(error) => format!("{error}\n"),
    };
    expect.assert_eq(&text);
    assert_eq!(std::fs::read_dir(store.root().join("tmp")).unwrap().count(), 0, "a temporary file is left");
}

#[test]
fn a_hard_link_points_at_a_file_of_the_layer() {
    check(
        |writer| {
            writer.file("/opt/b/one", &ATTR, b"hello")?;
            writer.hard_link("/opt/a/two", &ATTR, "/opt/b/one")?;
            for target in ["/opt/b/other", "/opt/b", "/../etc/passwd"] {
                let refused = writer.hard_link("/opt/a/three", &ATTR, target);
                assert!(matches!(refused, Err(LayerError::Path { .. })), "{target}");
            }
            let before = writer.size();
            writer.file("/opt/c", &ATTR, &[0; 200_000])?;
            assert!(writer.size() > before);
            Ok(())
        },
        &NONE,
        expect_file!["snapshots/hard_links.txt"],
    );
}

#[test]
fn parents_come_first_with_the_attributes_of_the_base() {
    let parents = ParentDirs::from([
        ("/home/ma-user".to_owned(), Attr { mode: 0o750, uid: 1000, gid: 100, mtime: 7 }),
        ("/home".to_owned(), Attr { mode: 0o755, uid: 0, gid: 0, mtime: 5 }),
        ("/tmp".to_owned(), Attr { mode: 0o1777, uid: 0, gid: 0, mtime: 6 }),
    ]);
    check(
        |writer| {
            writer.file("/home/ma-user/kit/a.py", &ATTR, b"import sys\n")?;
            writer.symlink("/home/ma-user/kit/b.py", &ATTR, "a.py")?;
            writer.file("/tmp/x", &Attr { mode: 0o4755, ..ATTR }, b"")?;
            writer.dir("/opt/empty", &Attr { mode: 0o700, ..ATTR })?;
            writer.whiteout("/home/ma-user/old")?;
            writer.whiteout("/gone")
        },
        &parents,
        expect_file!["snapshots/parents.txt"],
    );
}

#[test]
fn long_and_foreign_names_and_numbers_survive() {
    check(
        |writer| {
            let deep = format!("/{}/{}", "d".repeat(140), "n".repeat(90));
            writer.file(&deep, &ATTR, b"fits ustar's prefix")?;
            let deeper = format!("/{}/{}", "p".repeat(160), "n".repeat(90));
            writer.file(&deeper, &ATTR, b"too long for the prefix")?;
            let long = format!("/{}", "x".repeat(200));
            writer.file(&long, &ATTR, b"needs PAX")?;
            writer.file("/目录/файл", &ATTR, b"utf-8")?;
            writer.symlink("/link", &ATTR, &format!("{}/ü", "t".repeat(30)))?;
            writer.file("/big-ids", &Attr { mode: 0o600, uid: 1 << 30, gid: 1 << 22, mtime: 1 << 34 }, b"")
        },
        &NONE,
        expect_file!["snapshots/names.txt"],
    );
}

#[test]
fn paths_that_lead_out_or_clash_are_refused() {
    for path in
        ["", "/", "/a/../b", "/a//b", "/a/.", "/a\0b", "/a/.wh.b", "/.wh..wh..opq/c", &format!("/{}", "c".repeat(256))]
    {
        let (_dir, store) = store();
        let mut writer = LayerWriter::new(&store, options(&NONE)).unwrap();
        assert!(matches!(writer.file(path, &ATTR, b""), Err(LayerError::Path { .. })), "{path:?}");
    }
    check(
        |writer| writer.file("/a", &ATTR, b"").and_then(|()| writer.file("/a", &ATTR, b"")),
        &NONE,
        expect_file!["snapshots/twice.txt"],
    );
    check(
        |writer| writer.symlink("/a", &ATTR, "/etc").and_then(|()| writer.file("/a/passwd", &ATTR, b"")),
        &NONE,
        expect_file!["snapshots/below_a_link.txt"],
    );
}

#[test]
fn contents_that_were_not_announced_are_refused() {
    let text = b"import mindspore\n".repeat(100);
    let stream = deflate(&[(text.clone(), false)], 6, 0);
    let length = stream.len() as u64;
    let splice = |content: Content, compressed: u64, bytes: &[u8]| {
        let (_dir, store) = store();
        let mut writer = LayerWriter::new(&store, options(&NONE)).unwrap();
        let result = writer.deflated("/f", &ATTR, &content, compressed, &mut { bytes });
        result.and_then(|()| writer.finish()).unwrap_err().to_string()
    };
    let good = known(&text);
    let mut table = String::new();
    let mut longer = stream.clone();
    longer.push(0);
    let mut broken = stream.clone();
    broken[0] |= 0b110;
    for (what, error) in [
        ("one byte too small", splice(Content { size: good.size - 1, ..good }, length, &stream)),
        ("one byte too large", splice(Content { size: good.size + 1, ..good }, length, &stream)),
        ("other CRC", splice(Content { crc32: Some(1), ..good }, length, &stream)),
        ("other hash", splice(Content { hash: Some(ContentHash::Sha512([0; 64])), ..good }, length, &stream)),
        ("cut stream", splice(good, length - 1, &stream)),
        ("bytes behind the stream", splice(good, length + 1, &longer)),
        ("source too short", splice(good, length, &stream[..10])),
        ("not deflate", splice(good, length, &broken)),
        ("nothing", splice(good, 0, &[])),
    ] {
        writeln!(table, "{what}: {error}").unwrap();
    }
    expect_file!["snapshots/contents.txt"].assert_eq(&table);
}

#[test]
fn a_layer_that_is_given_up_leaves_nothing() {
    let (_dir, store) = store();
    let mut writer = LayerWriter::new(&store, options(&NONE)).unwrap();
    writer.file("/a", &ATTR, &[7; 1_000_000]).unwrap();
    drop(writer);
    for folder in ["tmp", "blobs/sha256"] {
        assert_eq!(std::fs::read_dir(store.root().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

/// Large enough that its first parts are synced while the rest is being written.
#[test]
fn a_blob_that_is_synced_on_the_way_is_whole() {
    let (_dir, store) = store();
    let part: Vec<u8> = (0..1 << 20).map(|at: u32| (at >> 7) as u8).collect();
    let mut writer = store.blob_writer().unwrap();
    let mut hash = Sha256::new();
    for _ in 0..40 {
        writer.write_all(&part).unwrap();
        hash.update(&part);
    }
    let (digest, size) = writer.commit().unwrap();
    assert_eq!((digest, size), (Digest::from_bytes(hash.finalize().into()), 40 << 20));
    assert_eq!(store.read_blob(&digest, size).unwrap().len() as u64, size);
}

#[test]
fn bits_behind_a_stream_do_not_matter_and_a_sha512_is_checked() {
    check(
        |writer| {
            // A block with fixed codes, the letter a; it takes 18 bits, and RFC 1951 says nothing of those behind it.
            let stream = [0x4b, 0x04, 0xfc];
            writer.deflated("/f", &ATTR, &known(b"a"), 3, &mut &stream[..])?;
            writer.file("/g", &ATTR, b"b")?;
            let content = Content { hash: Some(ContentHash::Sha512(Sha512::digest(b"abc").into())), ..known(b"abc") };
            writer.file_from("/h", &ATTR, &content, &mut &b"abc"[..])
        },
        &NONE,
        expect_file!["snapshots/streams.txt"],
    );
}

#[test]
fn a_tree_is_the_same_layer_in_any_order() {
    let (dir, store) = store();
    let disk = dir.path().join("on-disk");
    std::fs::write(&disk, vec![7; 300_000]).unwrap();
    let entry = |path: &str, kind| TreeEntry { path: path.to_owned(), attr: ATTR, kind };
    let mut entries = vec![
        entry("/usr/local/bin/fmtk-launch", TreeKind::Known { sha256: Digest::of([7; 300_000]), file: disk }),
        entry("/usr/local/bin-more", TreeKind::Bytes(b"x".to_vec())),
        entry("/usr/local/lib/x", TreeKind::Symlink("../bin".to_owned())),
        entry("/usr/local/lib", TreeKind::Dir),
        entry("/usr/old", TreeKind::Whiteout),
    ];
    let layer = tree_layer(&store, entries.clone(), options(&NONE)).unwrap();
    entries.reverse();
    assert_eq!(tree_layer(&store, entries, options(&NONE)).unwrap(), layer);
    assert!(layer.size < 10_000, "300,000 equal bytes are compressed: {}", layer.size);
    expect_file!["snapshots/tree.txt"].assert_eq(&listing(&unpack(&store, &layer)));
}

/// The bytes of a layer must not change from machine to machine or version to version: a change here is a new
/// format version.
#[test]
fn the_bytes_of_a_layer_stay_the_same() {
    let (_dir, store) = store();
    let mut writer = LayerWriter::new(&store, options(&NONE)).unwrap();
    let text: Vec<u8> = (0..200_000_u32).flat_map(|number| number.wrapping_mul(number).to_le_bytes()).collect();
    writer.file("/a/compressed", &ATTR, &text).unwrap();
    let stream = deflate(&[(text[..1000].to_vec(), false)], 9, 0);
    writer.deflated("/a/spliced", &ATTR, &known(&text[..1000]), stream.len() as u64, &mut &stream[..]).unwrap();
    let layer = writer.finish().unwrap();
    // A change here needs a new LAYER_FORMAT.
    let expected = [
        "sha256:7f72f4f175ee942a8c4139f5ba28a3e936fcbc5185b0f1030434a494f839e515",
        "sha256:a582dca84812da493b1db8f8871c73a9b6df167e65ecf519b3c4947066cb72bd",
    ];
    assert_eq!([layer.digest, layer.diff_id].map(|digest| digest.to_string()), expected);
}

fn part() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..600),
        (any::<u8>(), 0..200_000_usize).prop_map(|(byte, length)| vec![byte; length]),
        // Enough literals for several blocks, some of them incompressible.
        (0..150_000_usize, 1..255_u8)
            .prop_map(|(length, spread)| noise(length).iter().map(|byte| byte % spread).collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_deflate_streams_can_be_spliced(
        files in proptest::collection::vec(
            (
                proptest::collection::vec((part(), any::<bool>()), 0..4),
                prop_oneof![Just(0), Just(1), Just(6), Just(9)],
                prop_oneof![Just(0), Just(2), Just(4)],
            ),
            0..4,
        )
    ) {
        let (_dir, store) = store();
            let mut writer = LayerWriter::new(&store, options(&NONE)).unwrap();
        let mut expected = BTreeMap::new();
        for (number, (parts, level, strategy)) in files.iter().enumerate() {
            let bytes: Vec<u8> = parts.iter().flat_map(|(part, _)| part.iter().copied()).collect();
            let stream = deflate(parts, *level, *strategy);
            let path = format!("f{number}");
            writer.deflated(&path, &ATTR, &known(&bytes), stream.len() as u64, &mut &stream[..]).unwrap();
            writer.file(&format!("g{number}"), &ATTR, &bytes).unwrap();
            expected.insert(path, bytes.clone());
            expected.insert(format!("g{number}"), bytes);
        }
        let layer = writer.finish().unwrap();
        prop_assert_eq!(contents(&unpack(&store, &layer)), expected);
    }
}

#[test]
fn a_file_that_changed_since_it_was_known_makes_no_layer() {
    let (dir, store) = store();
    let (file, pipe) = (dir.path().join("on-disk"), dir.path().join("pipe"));
    std::fs::write(&file, b"abc").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let layer_of = |kind| {
        let entry = TreeEntry { path: "/f".to_owned(), attr: ATTR, kind };
        tree_layer(&store, vec![entry], options(&NONE))
    };
    let known = |file: &PathBuf, bytes: &[u8]| {
        layer_of(TreeKind::Known { file: file.clone(), sha256: Digest::of(bytes) }).map_err(|error| error.to_string())
    };
    assert_eq!(known(&file, b"abc").unwrap(), layer_of(TreeKind::Bytes(b"abc".to_vec())).unwrap());
    assert_eq!(known(&file, b"other").unwrap_err(), "the contents of one file are not those that were announced: `f`");
    // What has become a pipe is not waited for.
    assert_eq!(known(&pipe, b"").unwrap_err(), format!("failed to read the contents of `{}`", pipe.display()));
}
