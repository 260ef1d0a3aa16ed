//! Layers of every kind are read, and what is wrong with one is said.

use std::io::Read;

use expect_test::expect_file;
use oci_image::{Descriptor, Digest, Entry, EntryKind, TarReader, UnpackError, Unpacked, read_layer};
use proptest::{collection::vec, prelude::*};

use crate::made::*;

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
        // Labelled as something else: skopeo writes such layouts with `--dest-oci-accept-uncompressed-layers`.
        (OCI_TAR, gzip(&archive)),
        (OCI_GZIP, archive.clone()),
        (OCI_GZIP, zstd(&archive)),
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
    let archive = tar(&[Made::File("a", b"1"), Made::File("b", &[7; 2000])]);
    let good = gzip(&archive);
    let (front, back) = good.split_at(good.len() / 2);
    // Window descriptor of 2 TiB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0];
    let mut text = String::new();
    for (media_type, bytes, diff_id) in [
        (OCI_GZIP, good.clone(), Some(digest(b"other"))),
        (OCI_GZIP, front.to_vec(), None),
        (OCI_GZIP, [front, &[0xff; 9], back].concat(), None),
        (OCI_GZIP, [&good[..], b"garbage"].concat(), None),
        (OCI_ZSTD, zstd(&archive)[..30].to_vec(), None),
        (OCI_ZSTD, window.to_vec(), None),
        (OCI_TAR, archive[..700].to_vec(), None),
        (OCI_TAR, archive[..1600].to_vec(), None),
        (OCI_TAR, b"no archive".repeat(100), None),
        (OCI_TAR, raw(b"../../etc/passwd", b'0', b"00000000000"), None),
        (OCI_TAR, raw(b"a", b'0', b"\xff\xff"), None),
        (OCI_TAR, raw(b"a", b'0', b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), None),
        (OCI_TAR, raw(b"a", b'x', b"00010000000"), None),
        (OCI_TAR, raw(b"a", b'L', b"77777777777"), None),
    ] {
        let mut blobs = Blobs::default();
        let layer = blobs.put(media_type, &bytes);
        let error = chain(&read(&blobs, &layer, diff_id).unwrap_err());
        text += &format!("{}\n", error.replace(&layer.digest.to_string(), "LAYER"));
    }
    let mut blobs = Blobs::default();
    let layer = blobs.put(OCI_GZIP, &good);
    blobs.0.get_mut(&layer.digest).unwrap()[4] ^= 1;
    text += &format!("{}\n", chain(&read(&blobs, &layer, None).unwrap_err()));
    expect_file!["snapshots/layers.txt"].assert_eq(&text);
}

/// A header with a true checksum, and nothing behind it.
fn raw(name: &[u8], flag: u8, size: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[124..124 + size.len()].copy_from_slice(size);
    seal(&mut block, flag);
    block
}

/// Gives a header its flag and a true checksum.
fn seal(block: &mut [u8], flag: u8) {
    block[156] = flag;
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

#[test]
fn long_names_of_both_dialects_and_sparse_files_are_read() {
    let mut archive = Vec::new();
    let mut add = |name: &[u8], flag, bytes: &[u8]| {
        archive.extend(raw(name, flag, format!("{:011o}", bytes.len()).as_bytes()));
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    };
    let long = "x/".repeat(100) + "end";
    add(b"././@LongLink", b'L', format!("{long}\0").as_bytes());
    add(b"././@LongLink", b'K', format!("{}\0", "target/".repeat(30)).as_bytes());
    add(b"short", b'2', b"");
    add(b"pax", b'x', b"22 GNU.sparse.major=1\n29 GNU.sparse.name=real/name\n");
    add(b"GNUSparseFile.0/name", b'0', &[7]);
    add(b"./old/folder/", 0, b"");
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
            seal(&mut bytes[..512], flag);
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
