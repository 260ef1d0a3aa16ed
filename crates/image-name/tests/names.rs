//! What is parsed prints as it was, and what is printed parses to what it was; every refusal names its rule and character.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use std::{collections::BTreeMap, str::FromStr};

use expect_test::expect_file;
use image_name::{Digest, Host, NameError, OrgName, Reference, RepoPath, Repository, Tag, TagPart, TagTemplate};
use image_name::{Timestamp, user_image_url};
use proptest::{option, prelude::*};

/// Parses, prints, and passes through serde.
fn back<T>(text: &str) -> T
where
    T: FromStr<Err = NameError>
        + ToString
        + serde::Serialize
        + serde::de::DeserializeOwned
        + PartialEq
        + std::fmt::Debug,
{
    let name: T = text.parse().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(name.to_string(), text);
    let json = serde_json::to_string(&name).unwrap();
    assert_eq!(json, serde_json::to_string(text).unwrap());
    assert_eq!(serde_json::from_str::<T>(&json).unwrap(), name);
    name
}

/// Parses and prints.
type Printed = fn(&str) -> Result<String, NameError>;

fn printed<T: FromStr<Err = NameError> + ToString>(text: &str) -> Result<String, NameError> {
    text.parse().map(|name: T| name.to_string())
}

fn part(key: &str, text: &str) -> Result<String, NameError> {
    TagPart::new(key, text).map(|part| part.to_string())
}

/// Reads a tag by the default template, and makes it again.
fn image_tag(text: &str) -> Result<String, NameError> {
    let template = TagTemplate::default();
    let read = template.read_tag(text)?;
    template.render(&read.values, read.timestamp).map(|tag| tag.to_string())
}

const KINDS: [(&str, Printed); 12] = [
    ("OrgName", printed::<OrgName>),
    ("Repository", printed::<Repository>),
    ("RepoPath", printed::<RepoPath>),
    ("Tag", printed::<Tag>),
    ("Host", printed::<Host>),
    ("Reference", printed::<Reference>),
    ("Digest", printed::<Digest>),
    ("Timestamp", printed::<Timestamp>),
    ("Version", |text| part("cann", text)),
    ("Platform", |text| part("os", text)),
    ("ImageTag", image_tag),
    ("TagTemplate", printed::<TagTemplate>),
];

const COMPONENT: &str = "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,8}){0,3}";
const HOST: &str = "([a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?\\.){1,3}[a-z]{2,3}(:[1-9][0-9]{0,3})?";
const TAG: &str = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}";
const VERSION: &str = "[0-9A-Za-z]{1,3}(\\.[0-9A-Za-z]{1,3}){0,3}";
const PLATFORM: &str = "[0-9A-Za-z]{1,3}([._][0-9A-Za-z]{1,3}){0,3}";

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(COMPONENT, 1..5).prop_map(|parts| parts.join("/"))
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let (date, time) = ((1970u16..=9999, 1u8..=12, 1u8..=31), (0u8..24, 0u8..60, 0u8..60));
    (date, time).prop_filter_map("no such day", |((year, month, day), (hour, minute, second))| {
        Timestamp::new(year, month, day, hour, minute, second).ok()
    })
}

/// A template, and values for its placeholders.
fn template() -> impl Strategy<Value = (TagTemplate, BTreeMap<String, TagPart>)> {
    let version = ("[a-z]{0,3}-?[a-z_]{1,3}", "x[a-z]{1,3}", VERSION, "[-_]");
    let platform = ("[a-z]{0,3}", prop_oneof!["os", "arch", "chip"], PLATFORM, "-");
    let versions = proptest::collection::vec(version, 0..3);
    (option::of(platform), versions, 0..4usize).prop_filter_map("two of one name", |(platform, versions, at)| {
        let (mut pieces, mut values) = (Vec::new(), BTreeMap::new());
        for (before, key, value, after) in platform.into_iter().chain(versions) {
            values.insert(key.clone(), TagPart::new(&key, &value).unwrap());
            pieces.push(format!("{before}{{{key}}}{after}"));
        }
        pieces.insert(at.min(pieces.len()), "{timestamp}-".to_owned());
        let text = pieces.concat();
        Some((text.strip_prefix('-').unwrap_or(&text).parse().ok()?, values))
    })
}

#[test]
fn the_digest_of_bytes_is_their_sha256() {
    // FIPS 180-2, appendix B.1.
    let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Digest::of("abc").to_string(), expected);
}

proptest! {
    #[test]
    fn texts(
        org in "[a-z][a-z0-9]{0,9}((__|_|-)[a-z0-9]{1,9}){0,4}",
        repository in COMPONENT,
        path in path(),
        tag in TAG,
        host in HOST,
        version in VERSION,
        platform in PLATFORM,
        bytes: [u8; 32],
    ) {
        let (org, repository, tag) = (back::<OrgName>(&org), back::<Repository>(&repository), back::<Tag>(&tag));
        prop_assert_eq!(user_image_url(&org, &repository, &tag), format!("{org}/{repository}:{tag}"));
        let of_both = RepoPath::of(&org, &repository);
        prop_assert_eq!(back::<RepoPath>(of_both.as_str()), of_both);
        back::<RepoPath>(&path);
        back::<Host>(&host);
        prop_assert_eq!(part("torch", &version).unwrap(), version);
        prop_assert_eq!(part("chip", &platform).unwrap(), platform);
        prop_assert_eq!(*back::<Digest>(&Digest::from_bytes(bytes).to_string()).as_bytes(), bytes);
    }

    #[test]
    fn references(
        host in HOST,
        path in path(),
        tag in option::of(TAG),
        digest in option::of(any::<[u8; 32]>()),
    ) {
        let reference = Reference {
            host: host.parse().unwrap(),
            path: path.parse().unwrap(),
            tag: tag.map(|tag| tag.parse().unwrap()),
            digest: digest.map(Digest::from_bytes),
        };
        prop_assert_eq!(back::<Reference>(&reference.to_string()), reference);
    }

    #[test]
    fn a_template_reads_back_what_it_makes((template, values) in template(), time in timestamp()) {
        back::<TagTemplate>(&template.to_string());
        let tag = template.render(&values, time).unwrap();
        prop_assert_eq!(tag.as_str().parse::<Tag>().unwrap(), tag.clone());
        let read = template.read_tag(tag.as_str()).unwrap();
        prop_assert_eq!((read.values, read.timestamp), (values, time));
    }

    #[test]
    fn timestamps_are_in_order_and_seconds_apart(one in timestamp(), other in timestamp()) {
        back::<Timestamp>(&one.to_string());
        prop_assert_eq!(one.cmp(&other), one.unix_seconds().cmp(&other.unix_seconds()));
    }

    #[test]
    fn any_text_is_refused_in_words_or_prints_as_it_was(text in "\\PC{0,40}|[a-z0-9:/@.\\[\\]_-]{0,40}") {
        for (kind, printed) in KINDS {
            match printed(&text) {
                Ok(name) => prop_assert_eq!(&name, &text, "{}", kind),
                Err(error) => {
                    let said = error.to_string();
                    let character = said.rsplit_once(" (character ").unwrap().1.split(',').next().unwrap();
                    prop_assert!((1..=text.chars().count() + 1).contains(&character.parse().unwrap()), "{said}");
                }
            }
        }
    }
}

#[test]
fn the_image_of_the_manual() {
    let text = "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325";
    let template = TagTemplate::default();
    let read = template.read_tag(text).unwrap();
    let value = |key: &str| read.values[key].as_str();
    assert_eq!(["python", "mindspore", "cann"].map(value), ["3.9", "1.8.1", "5.1.RC2"]);
    assert_eq!(["os", "arch", "chip"].map(value), ["euler_2.8.3", "aarch64", "d910"]);
    assert_eq!(read.timestamp.rfc3339(), "2022-10-28T18:13:25Z");
    let tag = template.render(&read.values, read.timestamp).unwrap();
    let url = user_image_url(&"mindxsdk".parse().unwrap(), &"fmtk-ma".parse().unwrap(), &tag);
    assert_eq!(url, format!("mindxsdk/fmtk-ma:{text}"));
}

#[test]
fn the_base_of_the_manual() {
    let base: Reference = back("swr.cn-central-221.ovaijisuan.com/mindxsdk/fmtk-ma_base:2022110901");
    assert_eq!(base.manifest_reference(), "2022110901");
    let digest = Digest::from_bytes([7; 32]);
    let pinned = Reference { digest: Some(digest), ..base.clone() };
    assert_eq!(pinned.manifest_reference(), digest.to_string());
    assert_eq!(Reference { tag: None, ..base }.manifest_reference(), "latest");
}

#[test]
fn seconds_since_1970() {
    // As `date -u -d <time> +%s` prints them.
    let known = [
        ("19700101000000", 0),
        ("19991231235959", 946_684_799),
        ("20000229120000", 951_825_600),
        ("20000301000000", 951_868_800),
        ("20221028181325", 1_666_980_805),
        ("21000301000000", 4_107_542_400),
        ("99991231235959", 253_402_300_799),
    ];
    for (text, seconds) in known {
        assert_eq!(text.parse::<Timestamp>().unwrap().unix_seconds(), seconds, "{text}");
    }
}

#[test]
fn hosts_know_their_parts() {
    let parts = |text: &str| {
        let host: Host = text.parse().unwrap();
        (host.name().to_owned(), host.port(), host.is_loopback())
    };
    assert_eq!(parts("swr.x.com"), ("swr.x.com".to_owned(), None, false));
    assert_eq!(parts("localhost:5000"), ("localhost".to_owned(), Some(5000), true));
    assert_eq!(parts("127.0.0.2:80"), ("127.0.0.2".to_owned(), Some(80), true));
    assert_eq!(parts("[::1]:443"), ("::1".to_owned(), Some(443), true));
    assert_eq!(parts("10.0.0.1"), ("10.0.0.1".to_owned(), None, false));
}

/// The text with `{a*3}` written out.
fn expanded(text: &str) -> String {
    let Some((before, (times, after))) = text.split_once('{').and_then(|(b, rest)| Some((b, rest.split_once('}')?)))
    else {
        return text.to_owned();
    };
    let Some((part, times)) = times.split_once('*') else { return text.to_owned() };
    [before, &part.repeat(times.parse().unwrap()), after].concat()
}

#[test]
fn a_text_that_is_no_name_is_told_the_rule_and_the_character() {
    let mut answered = String::new();
    for line in include_str!("refusals.txt").lines() {
        let asked = line.split_once(" =>").map_or(line, |(asked, _)| asked);
        let Some((kind, text)) = asked.split_once(' ').filter(|(kind, _)| *kind != "#") else {
            answered += &format!("{line}\n");
            continue;
        };
        let text = &expanded(text);
        let (_, printed) = KINDS.into_iter().find(|(name, _)| *name == kind).unwrap();
        let said = match printed(text) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string().replacen(&format!("`{text}`"), "…", 1),
        };
        answered += &format!("{asked} => {said}\n");
    }
    expect_file!["refusals.txt"].assert_eq(&answered);
}

#[test]
fn the_image_of_the_platform() {
    let template: TagTemplate =
        back("pytorch_{torch}-cann_{cann}-py_{python}-hce_{hce}-{arch}-{chip}-{timestamp}-{commit}");
    let keys: Vec<&str> = template.keys().collect();
    assert_eq!(keys, ["torch", "cann", "python", "hce", "arch", "chip", "commit"]);
    let tag = "pytorch_2.7.1-cann_8.3.rc1-py_3.11-hce_2.0.2509-aarch64-snt9b-20251205091605-e41006e";
    let read = template.read_tag(tag).unwrap();
    let values: Vec<&str> = keys.iter().map(|key| read.values[*key].as_str()).collect();
    assert_eq!(values, ["2.7.1", "8.3.rc1", "3.11", "2.0.2509", "aarch64", "snt9b", "e41006e"]);
    assert_eq!(template.render(&read.values, read.timestamp).unwrap().as_str(), tag);
}

#[test]
fn a_tag_of_too_long_parts_is_refused_and_so_is_one_without_a_value() {
    let template: TagTemplate = "{a}-{b}-{timestamp}".parse().unwrap();
    let time = Timestamp::new(2022, 10, 28, 18, 13, 25).unwrap();
    let part = |length| TagPart::new("a", &"1".repeat(length)).unwrap();
    let make = |length| template.render(&[("a".to_owned(), part(64)), ("b".to_owned(), part(length))].into(), time);
    assert_eq!(make(48).unwrap().as_str().len(), 128);
    let said = make(51).unwrap_err().to_string();
    assert!(said.ends_with("must have at most 128 characters, not 131 (character 129, `3`)"), "{said}");
    let said = template.render(&[("a".to_owned(), part(1))].into(), time).unwrap_err().to_string();
    assert_eq!(said, "tag template `{a}-{b}-{timestamp}` must have a value for `b` (character 5, `{`)");
}

#[test]
fn a_foreign_megabyte_does_not_fill_the_terminal() {
    let said = "é".repeat(1 << 19).parse::<Tag>().unwrap_err().to_string();
    assert!(said.len() < 1000 && said.contains(&("é".repeat(200) + "…`")), "{said}");
}
