//! Every refusal: which rule is broken, and at which character.

use std::str::FromStr;

use expect_test::{Expect, expect};
use image_name::{Digest, Host, ImageTag, NameError, OrgName, Platform, Reference, RepoPath, Repository, Tag};
use image_name::{Timestamp, Version};

fn check<T: FromStr<Err = NameError>>(texts: &[&str], expected: Expect) {
    let said: Vec<String> = texts
        .iter()
        .map(|text| match text.parse::<T>() {
            Ok(_) => format!("{text:?} is accepted\n"),
            Err(error) => format!("{error}\n"),
        })
        .collect();
    expected.assert_eq(&said.concat());
}

#[test]
fn organisation() {
    let long = "a".repeat(65);
    check::<OrgName>(
        &["", &long, "MindX", "mindX", "9mind", "_mind", "mind-", "mind_", "m.x", "a--b", "a-_b", "a___b", "a__b", "a"],
        expect![[r#"
            organisation `` must not be empty (character 1, the end)
            organisation `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` must have at most 64 characters (character 65, `a`)
            organisation `MindX` must hold only a-z, 0-9, `_` and `-` (character 1, `M`)
            organisation `mindX` must hold only a-z, 0-9, `_` and `-` (character 5, `X`)
            organisation `9mind` must start with a lowercase letter (character 1, `9`)
            organisation `_mind` must start with a lowercase letter (character 1, `_`)
            organisation `mind-` must end with a-z or 0-9 (character 5, `-`)
            organisation `mind_` must end with a-z or 0-9 (character 5, `_`)
            organisation `m.x` must hold only a-z, 0-9, `_` and `-` (character 2, `.`)
            organisation `a--b` must have no two separators side by side, save `__` (character 3, `-`)
            organisation `a-_b` must have no two separators side by side, save `__` (character 3, `_`)
            organisation `a___b` must have no two separators side by side, save `__` (character 4, `_`)
            "a__b" is accepted
            "a" is accepted
        "#]],
    );
}

#[test]
fn repository() {
    let long = "a".repeat(129);
    check::<Repository>(
        &[
            "",
            &long,
            "Fmtk",
            "fmtk/ma",
            "-fmtk",
            "fmtk.",
            "a..b",
            "a___b",
            "a._b",
            "a-_b",
            "a__b",
            "a--b",
            "fmtk-ma.v2",
        ],
        expect![[r#"
            repository `` must not be empty (character 1, the end)
            repository `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` must have at most 128 characters (character 129, `a`)
            repository `Fmtk` must hold only a-z, 0-9 and the separators `.`, `_`, `-` (character 1, `F`)
            repository `fmtk/ma` must hold only a-z, 0-9 and the separators `.`, `_`, `-` (character 5, `/`)
            repository `-fmtk` must start with a-z or 0-9 (character 1, `-`)
            repository `fmtk.` must end with a-z or 0-9 (character 5, `.`)
            repository `a..b` must have single separators, save `__` and runs of `-` (character 3, `.`)
            repository `a___b` must have single separators, save `__` and runs of `-` (character 3, `_`)
            repository `a._b` must have single separators, save `__` and runs of `-` (character 3, `_`)
            repository `a-_b` must have single separators, save `__` and runs of `-` (character 3, `_`)
            "a__b" is accepted
            "a--b" is accepted
            "fmtk-ma.v2" is accepted
        "#]],
    );
}

#[test]
fn repository_path() {
    let long = "a/".repeat(128) + "a";
    check::<RepoPath>(
        &["", "/a", "a/", "a//b", "a/B", "a/.b", "a/b..c", &long, "a/b/c"],
        expect![[r#"
            repository path `` must not be empty (character 1, the end)
            repository path `/a` must have a name on both sides of a `/` (character 1, `/`)
            repository path `a/` must have a name on both sides of a `/` (character 3, the end)
            repository path `a//b` must have a name on both sides of a `/` (character 3, `/`)
            repository path `a/B`: its component must hold only a-z, 0-9 and the separators `.`, `_`, `-` (character 3, `B`)
            repository path `a/.b`: its component must start with a-z or 0-9 (character 3, `.`)
            repository path `a/b..c`: its component must have single separators, save `__` and runs of `-` (character 5, `.`)
            repository path `a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/…` must have at most 255 characters (character 256, `/`)
            "a/b/c" is accepted
        "#]],
    );
}

#[test]
fn tag() {
    let long = "t".repeat(129);
    check::<Tag>(
        &["", &long, ".a", "-a", "a b", "a/b", "a+b", "时间", "_a.b-C"],
        expect![[r#"
        tag `` must not be empty (character 1, the end)
        tag `ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt` must have at most 128 characters (character 129, `t`)
        tag `.a` must start with a letter, a digit or `_` (character 1, `.`)
        tag `-a` must start with a letter, a digit or `_` (character 1, `-`)
        tag `a b` must hold only a-z, A-Z, 0-9, `_`, `.` and `-` (character 2, ` `)
        tag `a/b` must hold only a-z, A-Z, 0-9, `_`, `.` and `-` (character 2, `/`)
        tag `a+b` must hold only a-z, A-Z, 0-9, `_`, `.` and `-` (character 2, `+`)
        tag `时间` must hold only a-z, A-Z, 0-9, `_`, `.` and `-` (character 1, `时`)
        "_a.b-C" is accepted
    "#]],
    );
}

#[test]
fn host() {
    let label = format!("a.{}.com", "b".repeat(64));
    check::<Host>(
        &[
            "",
            "a b",
            "a..b",
            ".a",
            "a.",
            "-a.com",
            "a-.com",
            &label,
            "a:",
            "a:0",
            "a:080",
            "a:65536",
            "a:5x",
            "a:1:2",
            "[::1",
            "[::g]",
            "[::1]5000",
            "::1",
            "http://a",
            "HTTPS://a.com/",
            "[::1]:5000",
            "127.0.0.1:5000",
            "localhost",
            "a:65535",
        ],
        expect![[r#"
            registry host `` must not be empty (character 1, the end)
            registry host `a b` must hold only letters, digits, `-` and `.` (character 2, ` `)
            registry host `a..b` must have a letter or digit on both sides of a dot (character 3, `.`)
            registry host `.a` must have a letter or digit on both sides of a dot (character 1, `.`)
            registry host `a.` must have a letter or digit on both sides of a dot (character 3, the end)
            registry host `-a.com` must not begin a label with `-` (character 1, `-`)
            registry host `a-.com` must not end a label with `-` (character 2, `-`)
            registry host `a.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.com` must have at most 63 characters between dots (character 66, `b`)
            registry host `a:` must have a port of 1–65535 after the colon (character 3, the end)
            registry host `a:0` must have a port of 1–65535 after the colon (character 3, `0`)
            registry host `a:080` must have a port of 1–65535 after the colon (character 3, `0`)
            registry host `a:65536` must have a port of 1–65535 after the colon (character 3, `6`)
            registry host `a:5x`: its port must hold only digits (character 4, `x`)
            registry host `a:1:2`: its port must hold only digits (character 4, `:`)
            registry host `[::1` must have an IPv6 address between `[` and `]` (character 2, `:`)
            registry host `[::g]` must have an IPv6 address between `[` and `]` (character 2, `:`)
            registry host `[::1]5000` must have an IPv6 address between `[` and `]` (character 2, `:`)
            registry host `::1` must have a letter or digit on both sides of a dot (character 1, `:`)
            registry host `http://a` must start with the name itself: leave `http://` or `https://` away (character 1, `h`)
            registry host `HTTPS://a.com/` must start with the name itself: leave `http://` or `https://` away (character 1, `H`)
            "[::1]:5000" is accepted
            "127.0.0.1:5000" is accepted
            "localhost" is accepted
            "a:65535" is accepted
        "#]],
    );
}

#[test]
fn reference() {
    check::<Reference>(
        &[
            "",
            "python",
            "python:3.9",
            "library/python:3.9",
            "swr.x.com/",
            "swr.x.com/a:",
            "swr.x.com/a:t:u",
            "swr.x.com/A/b:t",
            "swr.x.com:0/a",
            "swr.x.com/a@",
            "swr.x.com/a@sha512:00",
            "swr.x.com/a:t@sha256:00",
            "https://swr.x.com/a:t",
            "swr.x.com/a b:t",
            "localhost/a",
        ],
        expect![[r#"
            image reference `` must start with a registry host, which has a dot or port or is `localhost`, and `/` (character 1, the end)
            image reference `python` must start with a registry host, which has a dot or port or is `localhost`, and `/` (character 7, the end)
            image reference `python:3.9` must start with a registry host, which has a dot or port or is `localhost`, and `/` (character 11, the end)
            image reference `library/python:3.9` must start with a registry host, which has a dot or port or is `localhost`, and `/` (character 8, `/`)
            image reference `swr.x.com/`: its repository path must not be empty (character 11, the end)
            image reference `swr.x.com/a:`: its tag must not be empty (character 13, the end)
            image reference `swr.x.com/a:t:u`: its tag must hold only a-z, A-Z, 0-9, `_`, `.` and `-` (character 14, `:`)
            image reference `swr.x.com/A/b:t`: its repository path must hold only a-z, 0-9 and the separators `.`, `_`, `-` (character 11, `A`)
            image reference `swr.x.com:0/a`: its registry host must have a port of 1–65535 after the colon (character 11, `0`)
            image reference `swr.x.com/a@`: its digest must start with `sha256:` (character 13, the end)
            image reference `swr.x.com/a@sha512:00`: its digest must start with `sha256:` (character 13, `s`)
            image reference `swr.x.com/a:t@sha256:00`: its digest must have 64 lowercase hex digits after `sha256:` (character 24, the end)
            image reference `https://swr.x.com/a:t` must start with the name itself: leave `http://` or `https://` away (character 1, `h`)
            image reference `swr.x.com/a b:t`: its repository path must hold only a-z, 0-9 and the separators `.`, `_`, `-` (character 12, ` `)
            "localhost/a" is accepted
        "#]],
    );
}

#[test]
fn digest() {
    let hex = "0".repeat(64);
    let texts = ["".to_owned(), hex.clone(), format!("sha256:{}g", &hex[1..]), format!("sha256:{hex}0")];
    let upper = format!("sha256:A{}", &hex[1..]);
    check::<Digest>(
        &[&texts[0], &texts[1], &texts[2], &texts[3], &upper, "sha256:"],
        expect![[r#"
        digest `` must start with `sha256:` (character 1, the end)
        digest `0000000000000000000000000000000000000000000000000000000000000000` must start with `sha256:` (character 1, `0`)
        digest `sha256:000000000000000000000000000000000000000000000000000000000000000g` must have 64 lowercase hex digits after `sha256:` (character 71, `g`)
        digest `sha256:00000000000000000000000000000000000000000000000000000000000000000` must have 64 lowercase hex digits after `sha256:` (character 72, `0`)
        digest `sha256:A000000000000000000000000000000000000000000000000000000000000000` must have 64 lowercase hex digits after `sha256:` (character 8, `A`)
        digest `sha256:` must have 64 lowercase hex digits after `sha256:` (character 8, the end)
    "#]],
    );
}

#[test]
fn timestamp() {
    check::<Timestamp>(
        &[
            "",
            "2022102818132",
            "202210281813255",
            "2022-10-28T18:13:25",
            "19691231235959",
            "20220028181325",
            "20221328181325",
            "20220431181325",
            "20220229181325",
            "21000229181325",
            "20221000181325",
            "20221028241325",
            "20221028186025",
            "20221028181360",
            "２０２２１０２８１８１３２５",
            "20000229000000",
        ],
        expect![[r#"
            timestamp `` must have 14 digits, YYYYmmddHHMMSS (character 1, the end)
            timestamp `2022102818132` must have 14 digits, YYYYmmddHHMMSS (character 14, the end)
            timestamp `202210281813255` must have 14 digits, YYYYmmddHHMMSS (character 15, `5`)
            timestamp `2022-10-28T18:13:25` must hold only digits (character 5, `-`)
            timestamp `19691231235959` must have a year of 1970 or later (character 1, `1`)
            timestamp `20220028181325` must have a month of 01–12 (character 5, `0`)
            timestamp `20221328181325` must have a month of 01–12 (character 5, `1`)
            timestamp `20220431181325` must have a day that its month has (character 7, `3`)
            timestamp `20220229181325` must have a day that its month has (character 7, `2`)
            timestamp `21000229181325` must have a day that its month has (character 7, `2`)
            timestamp `20221000181325` must have a day that its month has (character 7, `0`)
            timestamp `20221028241325` must have an hour of 00–23 (character 9, `2`)
            timestamp `20221028186025` must have a minute of 00–59 (character 11, `6`)
            timestamp `20221028181360` must have a second of 00–59 (character 13, `6`)
            timestamp `２０２２１０２８１８１３２５` must hold only digits (character 1, `２`)
            "20000229000000" is accepted
        "#]],
    );
}

#[test]
fn version_and_platform() {
    check::<Version>(
        &["", "1..2", ".1", "1.", "1.8.1+a", "1-2", "1_2", "5.1.RC2"],
        expect![[r#"
        version `` must not be empty (character 1, the end)
        version `1..2` must have no two separators side by side (character 3, `.`)
        version `.1` must start with a letter or digit (character 1, `.`)
        version `1.` must end with a letter or digit (character 2, `.`)
        version `1.8.1+a` must hold only letters, digits and `.` (character 6, `+`)
        version `1-2` must hold only letters, digits and `.` (character 2, `-`)
        version `1_2` must hold only letters, digits and `.` (character 2, `_`)
        "5.1.RC2" is accepted
    "#]],
    );
    check::<Platform>(
        &["", "euler-2.8", "_a", "a_", "a._b", "x86_64"],
        expect![[r#"
        platform `` must not be empty (character 1, the end)
        platform `euler-2.8` must hold only letters, digits, `.` and `_` (character 6, `-`)
        platform `_a` must start with a letter or digit (character 1, `_`)
        platform `a_` must end with a letter or digit (character 2, `_`)
        platform `a._b` must have no two separators side by side (character 3, `_`)
        "x86_64" is accepted
    "#]],
    );
}

#[test]
fn image_tag() {
    let good = "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325";
    let long = good.replace("5.1.RC2", &"5".repeat(68));
    check::<ImageTag>(
        &[
            "",
            "2022110901",
            "py_3.9",
            "py_-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325",
            // The hyphen that people type where the underscore belongs.
            "py_3.9-ms_1.8.1-cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325",
            "py_3.9-ms_1.8.1_cann_5.1_RC2-euler_2.8.3-aarch64-d910-20221028181325",
            "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-20221028181325",
            "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-xxx",
            "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221032181325",
            "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325-x",
            &long,
            good,
        ],
        expect![[r#"
            image tag `` must not be empty (character 1, the end)
            image tag `2022110901` must read `py_<python>-ms_<mindspore>_cann_<cann>-<os>-<arch>-<chip>-<timestamp>` (character 1, `2`)
            image tag `py_3.9` must read `py_<python>-ms_<mindspore>_cann_<cann>-<os>-<arch>-<chip>-<timestamp>` (character 7, the end)
            image tag `py_-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325`: its Python version must not be empty (character 4, `-`)
            image tag `py_3.9-ms_1.8.1-cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325` must read `py_<python>-ms_<mindspore>_cann_<cann>-<os>-<arch>-<chip>-<timestamp>` (character 16, `-`)
            image tag `py_3.9-ms_1.8.1_cann_5.1_RC2-euler_2.8.3-aarch64-d910-20221028181325`: its CANN version must hold only letters, digits and `.` (character 25, `_`)
            image tag `py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-20221028181325` must read `py_<python>-ms_<mindspore>_cann_<cann>-<os>-<arch>-<chip>-<timestamp>` (character 64, the end)
            image tag `py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-xxx`: its timestamp must hold only digits (character 55, `x`)
            image tag `py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221032181325`: its timestamp must have a day that its month has (character 61, `3`)
            image tag `py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325-x`: its timestamp must hold only digits (character 69, `-`)
            image tag `py_3.9-ms_1.8.1_cann_55555555555555555555555555555555555555555555555555555555555555555555-euler_2.8.3-aarch64-d910-20221028181325` must have at most 128 characters (character 129, `5`)
            "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325" is accepted
        "#]],
    );
}

#[test]
fn an_error_says_its_parts() {
    let error = "组织.x".parse::<OrgName>().unwrap_err();
    assert_eq!((error.what(), error.text(), error.character()), ("organisation", "组织.x", 1));
    assert!(matches!(error.rule(), image_name::Rule::Characters(_)));
}

#[test]
fn a_tag_of_too_long_parts_is_refused() {
    let version = |length: usize| "1".repeat(length).parse::<Version>().unwrap();
    let platform = || "a".parse::<Platform>().unwrap();
    let time = Timestamp::new(2022, 10, 28, 18, 13, 25).unwrap();
    let make =
        |length| ImageTag::new(version(length), version(31), version(1), platform(), platform(), platform(), time);
    assert_eq!(make(62).unwrap().to_tag().as_str().len(), 128);
    assert!(make(63).unwrap_err().to_string().ends_with("must have at most 128 characters (character 129, `5`)"));
}

#[test]
fn a_foreign_megabyte_does_not_fill_the_terminal() {
    assert!("é".repeat(1 << 19).parse::<Tag>().unwrap_err().to_string().len() < 1000);
}
