//! Scripts of the shapes that makeself has written over the years, before small payloads.

use std::{fs, path::PathBuf};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{Fault, Makeself, sums::Sums};

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

fn sums(payload: &[u8]) -> (String, String) {
    let text = format!("{:?}", Sums::of(&mut { payload }).unwrap());
    let quoted: Vec<&str> = text.split('"').collect();
    (quoted[1].to_owned(), quoted[3].to_owned())
}

fn good() -> Vec<u8> {
    let (md5, sha) = sums(PAYLOAD);
    of_2_4(PAYLOAD, CRC, &md5, &sha)
}

fn write(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.run");
    fs::write(&file, bytes).unwrap();
    (folder, file)
}

fn check(bytes: &[u8], expect: Expect) {
    let (_folder, file) = write(bytes);
    let text = match Makeself::read_whole(&file) {
        Ok(read) => {
            let sizes: Vec<u64> = read.parts.iter().map(|part| part.size).collect();
            let Makeself { interpreter, label, compression, offset, .. } = &read;
            format!("{interpreter} `{label}` {compression:?} {sizes:?} behind {offset}, {}", read.sums().join(" "))
        }
        Err(fault) => fault.to_string(),
    };
    expect.assert_eq(&text);
}

#[test]
fn scripts_of_both_generations_are_read() {
    check(&good(), expect![[r#"/bin/sh `CANN toolkit's stand-in` Some("gzip") [37] behind 334, CRC MD5 SHA-256"#]]);
    check(&of_2_1(), expect!["/bin/bash `old` None [6, 3] behind 227, "]);
}

#[test]
fn a_file_without_sums_is_taken_by_its_length() {
    let none = of_2_4(PAYLOAD, "0000000000", &"0".repeat(32), &"0".repeat(64));
    check(&none, expect![[r#"/bin/sh `CANN toolkit's stand-in` Some("gzip") [37] behind 334, "#]]);
}

#[test]
fn a_download_that_was_cut_off_is_told_by_its_bytes() {
    let whole = good();
    check(&whole[..whole.len() - 1], expect!["it is cut off: it must have 371 bytes and has 370"]);
    check(&whole[..whole.len() - 30], expect!["it is cut off: it must have 371 bytes and has 341"]);
    check(&whole[..whole.len() - 60], expect!["it is cut off: it must have more than 348 bytes and has 311"]);
    check(
        &whole[..40],
        expect!["it is no archive of makeself: no line says how many lines the script has (`skip=`, `head -n`)"],
    );
    check(b"", expect!["it is no archive of makeself: it does not begin with `#!` and an interpreter"]);
}

#[test]
fn what_was_put_behind_the_payload_is_told() {
    let long = [&good()[..], b"more"].concat();
    check(&long, expect!["it must have 371 bytes and has 375: something else was put behind it"]);
}

#[test]
fn a_changed_byte_is_found_by_each_sum() {
    let (md5, sha) = sums(PAYLOAD);
    let other: Vec<u8> = PAYLOAD.iter().map(|byte| if *byte == b't' { b'T' } else { *byte }).collect();
    let no = |digits: usize| "0".repeat(digits);
    check(
        &of_2_4(&other, CRC, &no(32), &no(64)),
        expect!["part 1 of its payload is damaged: its CRC is 2590811175, the script says 2888045540"],
    );
    check(
        &of_2_4(&other, "0", &md5, &no(64)),
        expect![
            "part 1 of its payload is damaged: its MD5 is 80eb9159375784c53044006a097f066f, the script says 3a253a52e1b5229305503c9fa5ceeaf4"
        ],
    );
    check(
        &of_2_4(&other, "0", &no(32), &sha),
        expect![
            "part 1 of its payload is damaged: its SHA-256 is 403ca64805a0afeb5a2b3f5135777cc321ee387b9c507d0c34a91657f7ce94aa, the script says db028dc150c6b18f355bcaa66e9c7b56eeaf09ab4c6658e5cb306ba9428592e1"
        ],
    );
    let mut old = of_2_1();
    let last = old.len() - 5;
    old[last] = b'O';
    check(
        &old,
        expect![
            "part 1 of its payload is damaged: its MD5 is db2480e33cac4bf29fb0803af567ab19, the script says b1946ac92492d2347c6235b4d2611184"
        ],
    );
}

#[test]
fn other_scripts_are_no_archives() {
    for text in
        ["#!/bin/sh\necho hello\n", "PK\x03\x04", "#!/bin/sh\nskip=\"2\"\nfilesizes=\"many\"\n", "#!env\nskip=1\n"]
    {
        let (_folder, file) = write(text.as_bytes());
        assert!(matches!(Makeself::read(&file), Err(Fault::Foreign(_))), "{text}");
    }
    let huge = "#!/bin/sh\nskip=\"3\"\nfilesizes=\"18446744073709551615 18446744073709551615\"\n";
    check(huge.as_bytes(), expect!["it is no archive of makeself: its `filesizes=` are more than any file has"]);
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
