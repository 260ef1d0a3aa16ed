//! Layers of every kind are read, and what is wrong with one is said.

#![allow(clippy::unwrap_used, reason = "a test")]

mod made;

use std::io::Read;

use expect_test::{Expect, expect};
use made::*;
use oci_image::{Descriptor, Digest, Entry, EntryKind, TarReader, UnpackError, Unpacked, read_layer};
use proptest::{collection::vec, prelude::*};

fn read(blobs: &Blobs, layer: &Descriptor, diff_id: Option<Digest>) -> Result<(Vec<Entry>, Unpacked), UnpackError> {
    read_layer(blobs, layer, diff_id, |stream| {
        let mut tar = stream.entries();
        let mut entries = Vec::new();
        while let Some(entry) = tar.next_entry().map_err(|source| UnpackError::Tar { digest: layer.digest, source })? {
            entries.push(entry);
        }
        Ok(entries)
    })
}

fn archive() -> Vec<u8> {
    let big: Vec<u8> = (0..700_000_u32).map(|n| (n.wrapping_mul(n) / 7) as u8).collect();
    tar(&[
        Made::Dir("usr", 0o755),
        Made::Mode("usr/su", 0o4755, b"#!"),
        Made::File("usr/big", &big),
        Made::Link("lib", "usr/lib"),
        Made::Hard("usr/hard", "usr/su"),
        Made::File(&format!("usr/{}", "long/".repeat(60) + "name"), b"x"),
    ])
}

#[test]
fn every_compression_gives_the_same_archive() {
    let archive = archive();
    let (one, two) = archive.split_at(archive.len() / 2);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&archive)].concat();
    for (media_type, bytes) in [
        (OCI_TAR, archive.clone()),
        (OCI_GZIP, gzip(&archive)),
        (OCI_GZIP, [gzip(one), gzip(two), gzip(b"")].concat()),
        (OCI_ZSTD, zstd(&archive)),
        (OCI_ZSTD, [zstd(one), zstd(two)].concat()),
        (OCI_ZSTD, [skippable.clone(), skippable[..11].to_vec()].concat()),
    ] {
        let mut blobs = Blobs::default();
        let layer = blobs.put(media_type, &bytes);
        let (entries, unpacked) = read(&blobs, &layer, Some(digest(&archive))).unwrap();
        assert_eq!((unpacked.diff_id, unpacked.tar_size), (digest(&archive), archive.len() as u64));
        let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths[..5], ["usr", "usr/su", "usr/big", "lib", "usr/hard"]);
        assert_eq!(paths[5].len(), 4 + 300 + 4);
        assert_eq!((entries[1].attr.mode, entries[1].attr.uid, entries[1].attr.gid), (0o4755, 1000, 100));
        assert_eq!(entries[2].kind, EntryKind::File(700_000));
        assert_eq!(entries[3].kind, EntryKind::Symlink("usr/lib".to_owned()));
        assert_eq!(entries[4].kind, EntryKind::HardLink("usr/su".to_owned()));
    }
}

#[test]
fn what_is_wrong_with_a_layer_is_said() {
    let check = |media_type: &str, bytes: &[u8], diff_id: Option<Digest>, expect: Expect| {
        let mut blobs = Blobs::default();
        let layer = blobs.put(media_type, bytes);
        let error = chain(&read(&blobs, &layer, diff_id).unwrap_err());
        expect.assert_eq(&error.replace(&layer.digest.to_string(), "LAYER"));
    };
    let archive = tar(&[Made::File("a", b"1"), Made::File("b", &[7; 2000])]);
    let good = gzip(&archive);
    let middle = good.len() / 2;
    check(
        OCI_TAR,
        &good,
        None,
        expect![
            "refused layer LAYER: its media type is `application/vnd.oci.image.layer.v1.tar`, its contents are gzip"
        ],
    );
    check(
        OCI_GZIP,
        &archive,
        None,
        expect![
            "refused layer LAYER: its media type is `application/vnd.oci.image.layer.v1.tar+gzip`, its contents are an uncompressed tar archive"
        ],
    );
    check(
        OCI_GZIP,
        &zstd(&archive),
        None,
        expect![
            "refused layer LAYER: its media type is `application/vnd.oci.image.layer.v1.tar+gzip`, its contents are zstd"
        ],
    );
    check(
        OCI_GZIP,
        &good,
        Some(digest(b"other")),
        expect![
            "refused layer LAYER: unpacked it is sha256:18715c949d05fea80fc6b91e3bbf8f956976219af336a3b041640e65c0c7b80f, the image's config says sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
        ],
    );
    check(
        OCI_GZIP,
        &good[..middle],
        None,
        expect![
            "failed to read the archive in layer LAYER: failed to read the archive at byte 0: incomplete deflate stream"
        ],
    );
    check(
        OCI_GZIP,
        &[&good[..middle], &[0xff; 9], &good[middle..]].concat(),
        None,
        expect![
            "failed to read the archive in layer LAYER: failed to read the archive at byte 0: corrupt deflate stream"
        ],
    );
    check(
        OCI_GZIP,
        &[&good[..], b"garbage"].concat(),
        None,
        expect![
            "failed to read the archive in layer LAYER: failed to read the archive at byte 0: unexpected end of file"
        ],
    );
    check(
        OCI_ZSTD,
        &zstd(&archive)[..30],
        None,
        expect![
            "failed to read the archive in layer LAYER: failed to read the archive at byte 0: the zstd stream is cut off"
        ],
    );
    // Window descriptor of 2 TiB.
    check(
        OCI_ZSTD,
        &[0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0],
        None,
        expect![
            "failed to read the archive in layer LAYER: failed to read the archive at byte 0: the zstd stream is damaged: Specified window_size is too big; Requested: 2199023255552, Max: 134217728"
        ],
    );
    check(
        OCI_TAR,
        &archive[..700],
        None,
        expect!["failed to read the archive in layer LAYER: the archive is damaged at byte 700: it is cut off"],
    );
    check(
        OCI_TAR,
        &archive[..1600],
        None,
        expect!["failed to read the archive in layer LAYER: the archive is damaged at byte 1600: it is cut off"],
    );
    check(
        OCI_TAR,
        b"no archive".repeat(100).as_slice(),
        None,
        expect![
            "failed to read the archive in layer LAYER: the archive is damaged at byte 0: there is no header of an entry"
        ],
    );
    check(
        OCI_TAR,
        &raw(b"../../etc/passwd", b'0', b"00000000000"),
        None,
        expect![
            "failed to read the archive in layer LAYER: the archive is damaged at byte 0: a path leads out by `..`"
        ],
    );
    check(
        OCI_TAR,
        &raw(b"a", b'0', b"\xff\xff"),
        None,
        expect![
            "failed to read the archive in layer LAYER: the archive is damaged at byte 0: an entry's size is no number"
        ],
    );
    check(
        OCI_TAR,
        &raw(b"a", b'0', b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        None,
        expect![
            "failed to read the archive in layer LAYER: the archive is damaged at byte 0: an entry has 9223372036854775807 bytes"
        ],
    );
    check(
        OCI_TAR,
        &raw(b"a", b'x', b"00010000000"),
        None,
        expect![
            "failed to read the archive in layer LAYER: the archive is damaged at byte 0: an extended header has 2097152 bytes; at most 1048576 are read"
        ],
    );
    check(
        OCI_TAR,
        &raw(b"a", b'L', b"77777777777"),
        None,
        expect![
            "failed to read the archive in layer LAYER: the archive is damaged at byte 0: an extended header has 8589934591 bytes; at most 1048576 are read"
        ],
    );

    let mut blobs = Blobs::default();
    let layer = blobs.put(OCI_GZIP, &good);
    blobs.0.get_mut(&layer.digest).unwrap()[4] ^= 1;
    let error = chain(&read(&blobs, &layer, None).unwrap_err());
    expect!["failed to read layer sha256:a702bc7a7233437431ed9bf401d949b4c74a64ca163f9560c0b1ddd4b0eedebb: blob sha256:a702bc7a7233437431ed9bf401d949b4c74a64ca163f9560c0b1ddd4b0eedebb is damaged: its digest is sha256:b9e0f81c261f0fde47b1053a78be74b16e164eba9322adbf13a8205b50d7e032"].assert_eq(&error);
}

/// A header with a true checksum, and nothing behind it.
fn raw(name: &[u8], flag: u8, size: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = flag;
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

#[test]
fn long_names_of_both_dialects_and_sparse_files_are_read() {
    let mut archive = Vec::new();
    let long = "x/".repeat(100) + "end";
    for (flag, text) in [(b'L', long.clone()), (b'K', "target/".repeat(30))] {
        archive.extend(raw(b"././@LongLink", flag, format!("{:011o}", text.len() + 1).as_bytes()));
        archive.extend(text.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.extend(raw(b"short", b'2', b"00000000000"));
    let sparse = "22 GNU.sparse.major=1\n29 GNU.sparse.name=real/name\n";
    archive.extend(raw(b"pax", b'x', format!("{:011o}", sparse.len()).as_bytes()));
    archive.extend(sparse.as_bytes());
    archive.resize(archive.len().next_multiple_of(512), 0);
    archive.extend(raw(b"GNUSparseFile.0/name", b'0', b"00000000001"));
    archive.extend([7; 512]);
    archive.extend(raw(b"./old/folder/", 0, b"00000000000"));
    archive.extend([0; 1024]);

    let mut tar = TarReader::new(archive.as_slice());
    let mut next = || tar.next_entry().unwrap().map(|entry| (entry.path, entry.kind));
    assert_eq!(next(), Some((long, EntryKind::Symlink("target/".repeat(30)))));
    assert_eq!(next(), Some(("real/name".to_owned(), EntryKind::Sparse)));
    assert_eq!(next(), Some(("old/folder".to_owned(), EntryKind::Dir)));
    assert_eq!(next(), None);
}

proptest! {
    #[test]
    fn what_was_put_in_comes_out(files in vec(("[a-z]{1,12}(/[a-zé]{1,90}){0,3}", vec(any::<u8>(), 0..2000)), 0..8)) {
        let entries: Vec<Made<'_>> = files.iter().map(|(path, bytes)| Made::File(path, bytes)).collect();
        let archive = tar(&entries);
        let mut reader = TarReader::new(archive.as_slice());
        for (path, bytes) in &files {
            let entry = reader.next_entry().unwrap().unwrap();
            prop_assert_eq!(&entry.path, path);
            let mut found = Vec::new();
            reader.contents().read_to_end(&mut found).unwrap();
            prop_assert_eq!(&found, bytes);
            prop_assert_eq!(&archive[entry.offset as usize..][..bytes.len()], bytes.as_slice());
        }
        prop_assert!(reader.next_entry().unwrap().is_none());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in vec(any::<u8>(), 512..2000), flag in any::<u8>(), fix in any::<bool>()) {
        if fix {
            bytes[156] = flag;
            bytes[148..156].fill(b' ');
            let sum: u32 = bytes[..512].iter().map(|&byte| u32::from(byte)).sum();
            bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        let mut reader = TarReader::new(bytes.as_slice());
        while let Ok(Some(_)) = reader.next_entry() {}
        for media_type in [OCI_TAR, OCI_GZIP, OCI_ZSTD] {
            let magic: &[u8] = match media_type { OCI_GZIP => &[0x1f, 0x8b, 8, 0], OCI_ZSTD => &[0x28, 0xb5, 0x2f, 0xfd], _ => &[] };
            let mut blobs = Blobs::default();
            let layer = blobs.put(media_type, &[magic, &bytes].concat());
            let _ = read(&blobs, &layer, None);
        }
    }
}
