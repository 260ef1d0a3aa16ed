//! Scripts of the shapes that makeself has written over the years, before small payloads.

use std::{
    fs,
    io::{self, Read as _},
};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{Makeself, sums};

const PAYLOAD: &[u8] = b"not really a tar archive\n\0\xff#!/bin/sh\n";
const CRC: &str = "2888045540";

/// As Debian's 2.4.5 writes it: the variables in this order, one payload, `skip`.
fn of_2_4(payload: &[u8], crc: &str, md5: &str, sha: &str) -> Vec<u8> {
    let size = payload.len();
    let text = format!(
        "#!/bin/sh\n# This script was generated using Makeself 2.4.5\nCRCsum=\"{crc}\"\nMD5=\"{md5}\"\nSHA=\"{sha}\"\n\
         label=\"CANN toolkit's stand-in\"\nfilesizes=\"{size}\"\nskip=\"14\"\n    offset=`head -n \"$skip\" \"$1\"`\n\
         {{\n\techo Compression: gzip\n}}\neval $finish; exit $res\n#\n"
    );
    [text.as_bytes(), payload].concat()
}

/// As 2.1 wrote it: two parts, the number of lines in the commands alone, no SHA.
fn of_2_1() -> Vec<u8> {
    let text = "#!/bin/bash\n# This script was generated using Makeself 2.1.5\nCRCsum=\"0000000000 0\"\n\
                MD5=\"b1946ac92492d2347c6235b4d2611184 00000000000000000000000000000000\"\nlabel=\"old\"\n\
                filesizes=\"6 3\"\noffset=`head -n 7 \"$0\" | wc -c | tr -d \" \"`\n";
    [text.as_bytes(), b"hello\nabc"].concat()
}

fn good() -> Vec<u8> {
    let (_, md5, sha) = sums(&mut { PAYLOAD }).unwrap();
    of_2_4(PAYLOAD, CRC, &md5, &sha)
}

/// What is said of each of the files, a line each.
fn check(files: &[&[u8]], expect: Expect) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.run");
    let said = files.iter().map(|bytes| {
        fs::write(&path, bytes).unwrap();
        match Makeself::read_whole(&path) {
            Ok(read) => {
                let sizes: Vec<u64> = read.parts.iter().map(|part| part.size).collect();
                let Makeself { interpreter, label, compression, offset, .. } = &read;
                format!("{interpreter} `{label}` {compression:?} {sizes:?} behind {offset}, {:?}\n", read.sums())
            }
            Err(error) => format!("{error}\n"),
        }
    });
    expect.assert_eq(&said.collect::<String>());
}

#[test]
fn the_sums_are_those_of_the_programs() {
    // printf 'hello\n' | cksum, md5sum, sha256sum
    let (crc, md5, sha256) = sums(&mut &b"hello\n"[..]).unwrap();
    assert_eq!(crc, 3_015_617_425);
    assert_eq!(md5, "b1946ac92492d2347c6235b4d2611184");
    assert_eq!(sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    assert_eq!(sums(&mut io::empty()).unwrap().0, 4_294_967_295);
    // head -c 700000 /dev/zero | cksum
    assert_eq!(sums(&mut io::repeat(0).take(700_000)).unwrap().0, 1_358_596_675);
}

#[test]
fn scripts_of_both_generations_are_read() {
    // Without sums the length has to do.
    let none = of_2_4(PAYLOAD, "0000000000", &"0".repeat(32), &"0".repeat(64));
    check(
        &[&good(), &of_2_1(), &none],
        expect![[r#"
        /bin/sh `CANN toolkit's stand-in` Some("gzip") [37] behind 334, ["CRC", "MD5", "SHA-256"]
        /bin/bash `old` None [6, 3] behind 227, []
        /bin/sh `CANN toolkit's stand-in` Some("gzip") [37] behind 334, []
    "#]],
    );
}

#[test]
fn a_file_of_another_length_is_told_by_its_bytes() {
    let whole = good();
    let [short, shorter, in_script] = [1, 30, 60].map(|less| &whole[..whole.len() - less]);
    check(
        &[short, shorter, in_script, &[&whole[..], b"more"].concat()],
        expect![[r#"
        it is cut off: it must have 371 bytes and has 370
        it is cut off: it must have 371 bytes and has 341
        it is cut off: it must have more than 348 bytes and has 311
        it must have 371 bytes and has 375: something else was put behind it
    "#]],
    );
}

#[test]
fn other_files_are_no_archives() {
    let huge = "#!/bin/sh\nskip=\"3\"\nfilesizes=\"18446744073709551615 18446744073709551615\"\n";
    let long = [b"#!/bin/sh\nskip=9\nfilesizes=1\n", &[b'#'; 5 << 20][..]].concat();
    check(
        &[
            b"",
            &good()[..40],
            b"#!/bin/sh\necho hello\n",
            b"PK\x03\x04",
            b"#!/bin/sh\nskip=\"3\"\nfilesizes=\"many\"\n",
            // In the payload.
            b"#!/bin/sh\nskip=\"2\"\nfilesizes=\"16\"\n",
            b"#!env\nskip=1\n",
            huge.as_bytes(),
            &long,
        ],
        expect![[r#"
            not a makeself archive: it does not begin with `#!` and an interpreter
            not a makeself archive: no line says how many lines the script has (`skip=`, `head -n`)
            not a makeself archive: no line says how many lines the script has (`skip=`, `head -n`)
            not a makeself archive: it does not begin with `#!` and an interpreter
            not a makeself archive: its `filesizes=` are not numbers
            not a makeself archive: no line says how large the payload is (`filesizes=`)
            not a makeself archive: it does not begin with `#!` and an interpreter
            not a makeself archive: its `filesizes=` are more than any file has
            not a makeself archive: its script has more than 4 MiB
        "#]],
    );
}

#[test]
fn a_changed_byte_is_found_by_each_sum() {
    let (_, md5, sha) = sums(&mut { PAYLOAD }).unwrap();
    let other: Vec<u8> = PAYLOAD.iter().map(|byte| if *byte == b't' { b'T' } else { *byte }).collect();
    let no = |digits: usize| "0".repeat(digits);
    let mut old = of_2_1();
    let last = old.len() - 5;
    old[last] = b'O';
    let by_crc = of_2_4(&other, CRC, &no(32), &no(64));
    let by_md5 = of_2_4(&other, "0", &md5, &no(64));
    let by_sha = of_2_4(&other, "0", &no(32), &sha);
    check(
        &[&by_crc, &by_md5, &by_sha, &old],
        expect![[r#"
        part 1 of its payload is damaged: its CRC is 2590811175, the script says 2888045540
        part 1 of its payload is damaged: its MD5 is 80eb9159375784c53044006a097f066f, the script says 3a253a52e1b5229305503c9fa5ceeaf4
        part 1 of its payload is damaged: its SHA-256 is 403ca64805a0afeb5a2b3f5135777cc321ee387b9c507d0c34a91657f7ce94aa, the script says db028dc150c6b18f355bcaa66e9c7b56eeaf09ab4c6658e5cb306ba9428592e1
        part 1 of its payload is damaged: its MD5 is db2480e33cac4bf29fb0803af567ab19, the script says b1946ac92492d2347c6235b4d2611184
    "#]],
    );
}

proptest! {
    /// Whatever a file holds, it is read or refused.
    #[test]
    fn nothing_panics(start in proptest::collection::vec(any::<u8>(), 0..400), length in any::<u64>()) {
        let _ = Makeself::parse(&start, length);
    }

    #[test]
    fn changed_scripts_do_not_panic(at in 0..400_usize, byte in any::<u8>(), cut in 0..420_usize, old in any::<bool>()) {
        let mut bytes = if old { of_2_1() } else { good() };
        bytes.truncate(cut);
        if let Some(there) = bytes.get_mut(at) {
            *there = byte;
        }
        let length = bytes.len() as u64;
        let _ = Makeself::parse(&bytes, length);
    }
}
