//! Tables of app_configs as people write them, and properties over generated ones.

use std::{fs, os::unix::fs::PermissionsExt};

use file_edit::{EditError, apply};
use proptest::prelude::*;

use super::{change, plan};

const URL: &str = "mindxsdk/fmtk-ma:py_3.9-ms_1.8.1";

/// The text with the value set.
fn set(text: &str) -> Result<String, String> {
    let splice = change(text.as_bytes(), URL).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(apply(text.as_bytes(), splice.as_slice())).unwrap())
}

#[track_caller]
fn becomes(text: &str, expected: &str) {
    assert_eq!(set(text).as_deref(), Ok(expected));
    assert_eq!(set(expected).as_deref(), Ok(expected), "not the same a second time");
}

/// `$` is the value.
#[track_caller]
fn at_mark(text: &str, old: &str, new: &str) {
    becomes(&text.replace('$', old), &text.replace('$', new));
}

#[test]
fn only_the_value_changes() {
    let text = "# user_image_url: not this\nscenario:\n  modelarts: # here\n    user_image_url: $   # the image\n    \
                other: 'user_image_url: x'\nuser_image_url: not this\nother:\n  modelarts:\n    user_image_url: nor this\n";
    for text in [text.to_owned(), text.replace('\n', "\r\n"), text.trim_end().to_owned(), format!("\u{feff}{text}")] {
        at_mark(&text, "org/old:1", URL);
        at_mark(&text, "'org/old:1'", &format!("'{URL}'"));
        at_mark(&text, "\"org/old:1\"", &format!("\"{URL}\""));
        at_mark(&text, "\"\\x41 é\"", &format!("\"{URL}\""));
        at_mark(&text, "null", URL);
        at_mark(&text, "~", URL);
        at_mark(&text, "''", &format!("'{URL}'"));
        at_mark(&text, "12", URL);
        at_mark(&text, "{镜像组织名称}/x".trim_start_matches('{'), URL);
    }
    becomes(
        "scenario:\n  modelarts:\n    user_image_url: org/old:1",
        &format!("scenario:\n  modelarts:\n    user_image_url: {URL}"),
    );
    becomes(
        "scenario:\n  modelarts:\n    user_image_url: \"org/old\n      \"\n    a: 1\n",
        &format!("scenario:\n  modelarts:\n    user_image_url: \"{URL}\"\n    a: 1\n"),
    );
    becomes(
        "---\n中: 文\nscenario:\n    modelarts:\n        '中': 文\n        \"user_image_url\" : x\n...\n",
        &format!("---\n中: 文\nscenario:\n    modelarts:\n        '中': 文\n        \"user_image_url\" : {URL}\n...\n"),
    );
}

#[test]
fn a_value_with_a_tag_or_an_anchor_is_not_set_yet() {
    for before in ["!x ", "&a "] {
        let refused = Err("line 3: `user_image_url` is written in a way that is not understood".to_owned());
        assert_eq!(set(&format!("scenario:\n  modelarts:\n    user_image_url: {before}{URL}\n")), refused);
    }
}

#[test]
fn an_empty_value_goes_behind_its_colon() {
    for (old, new) in [
        ("user_image_url:", format!("user_image_url: {URL}")),
        ("user_image_url:   # none yet", format!("user_image_url: {URL}   # none yet")),
        ("user_image_url:\r", format!("user_image_url: {URL}\r")),
    ] {
        becomes(
            &format!("scenario:\n  modelarts:\n    {old}\n    a: 1\n"),
            &format!("scenario:\n  modelarts:\n    {new}\n    a: 1\n"),
        );
        becomes(&format!("scenario:\n  modelarts:\n    {old}"), &format!("scenario:\n  modelarts:\n    {new}"));
    }
    becomes(
        "scenario: {modelarts: {user_image_url: , a: 1}}",
        &format!("scenario: {{modelarts: {{user_image_url: \"{URL}\" , a: 1}}}}"),
    );
}

#[test]
fn a_missing_key_becomes_the_first_of_its_mapping() {
    for (old, new) in [
        (
            "scenario:\n  modelarts: # one\n      a: 1\n      b: |\n        text\n\n# end\n",
            "scenario:\n  modelarts: # one\n      user_image_url: $\n      a: 1\n      b: |\n        text\n\n# end\n",
        ),
        (
            "scenario:\r\n  modelarts:\r\n    a: 1\r\n    b: 2",
            "scenario:\r\n  modelarts:\r\n    user_image_url: $\r\n    a: 1\r\n    b: 2",
        ),
        (
            "scenario:\n  modelarts:\n    # the list\n    a:\n      - 1\nz: 1\n",
            "scenario:\n  modelarts:\n    user_image_url: $\n    # the list\n    a:\n      - 1\nz: 1\n",
        ),
        (
            "scenario:\n  'modelarts':\n    'a': \"x # y\" # z\n",
            "scenario:\n  'modelarts':\n    user_image_url: $\n    'a': \"x # y\" # z\n",
        ),
    ] {
        becomes(old, &new.replace('$', URL));
    }
}

#[test]
fn flow_style_and_merged_mappings() {
    becomes(
        "scenario: { modelarts: { user_image_url: 'x', a: 1 } } # all\n",
        &format!("scenario: {{ modelarts: {{ user_image_url: '{URL}', a: 1 }} }} # all\n"),
    );
    becomes(
        "d: &d {user_image_url: x}\nscenario:\n  modelarts:\n    <<: *d\n    a: 1\n",
        &format!(
            "d: &d {{user_image_url: x}}\nscenario:\n  modelarts:\n    user_image_url: {URL}\n    <<: *d\n    a: 1\n"
        ),
    );
}

#[test]
fn what_can_not_be_set_is_refused_by_name() {
    let not_understood = "line 3: `user_image_url` is written in a way that is not understood";
    let mapping =
        |line: usize, path: &str| format!("line {line}: `{path}` is not a mapping, or not one that is used here alone");
    let of_modelarts = mapping(2, "scenario.modelarts");
    for (text, expected) in [
        ("", "it holds 0 YAML documents where one is expected"),
        ("a: 1\n", "it has no `scenario`"),
        ("scenario:\n  local: 1\n", "it has no `scenario.modelarts`"),
        ("scenario:\n  modelarts:\n", &of_modelarts),
        ("scenario: 5\n", &mapping(1, "scenario")),
        ("- scenario\n", &mapping(1, "the document")),
        ("scenario:\n  modelarts: &m\n    a: 1\nb: *m\n", &of_modelarts),
        ("m: &m {a: 1}\nscenario:\n  modelarts: *m\n", &mapping(3, "scenario.modelarts")),
        ("scenario: {modelarts: {a: 1}}\n", "line 1: `user_image_url` is written in a way that is not understood"),
        ("scenario:\n\tmodelarts:\n\t\tuser_image_url: x\n", "it is not valid YAML: line 2:"),
        (&"[".repeat(100_000), "it is not valid YAML: line 1: recursion limit exceeded"),
        (&"- ".repeat(10_000), &mapping(1, "the document")),
    ] {
        let said = set(text).unwrap_err();
        assert!(said.starts_with(expected), "{text:.50}: {said}");
    }
    for (entry, expected) in [
        ("user_image_url: x\n---\na: 1", "it holds 2 YAML documents where one is expected"),
        ("user_image_url: x\n    user_image_url: y", "line 4: `user_image_url` is there a second time"),
        ("a: 1\n  modelarts:\n    b: 1", "line 4: `modelarts` is there a second time"),
        ("user_image_url: |\n      x", not_understood),
        ("user_image_url: x\n      y", not_understood),
        ("user_image_url: [x]", not_understood),
        ("user_image_url: {}", not_understood),
        ("user_image_url: !!str x", not_understood),
        ("user_image_url: &u x\nb: *u", not_understood),
    ] {
        assert_eq!(set(&format!("scenario:\n  modelarts:\n    {entry}\n")), Err(expected.to_owned()), "{entry}");
    }
    assert_eq!(change(b"a: \xff", URL).unwrap_err().to_string(), "it is not UTF-8 at byte 3");
}

#[test]
fn the_file_is_replaced_behind_its_link_and_one_that_is_refused_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("real.yaml"), folder.path().join("app_config.yaml"));
    let text = "scenario:\n  modelarts:\n    user_image_url: x\n";
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.yaml", &link).unwrap();
    let planned = plan(&link, URL).unwrap();
    assert!(
        planned.diff().ends_with(&format!("-    user_image_url: x\n+    user_image_url: {URL}\n")),
        "{}",
        planned.diff()
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    planned.write().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text.replace(": x", &format!(": {URL}")));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
    assert!(link.is_symlink());
    assert!(!plan(&link, URL).unwrap().changes());
    let error = planned.write().unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(EditError::ChangedMeanwhile(_))), "{error:#}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

proptest! {
    /// Whatever stands around the value stays, byte for byte.
    #[test]
    fn the_rest_of_the_file_stays(
        before in "(# [a-zé中: ]{0,9}\n|[a-r][a-z]{0,5}: [a-z中0-9]{1,5}( # .{0,5}é)?\n|\n){0,5}",
        siblings in "(    [a-s]{1,6}: ('[a-z# ]{0,5}'|[a-z]{1,4}|\\[1, 2\\])( +# [a-z中]{0,5})?\n|\n|    # [a-z]{0,4}\n){0,4}",
        value in "(x|'y z'|\"a # b\"|org/x:1|~|)",
        tail in "( +# [a-z中]{0,5})?",
        crlf: bool,
    ) {
        let with = |value: &str| {
            let text = format!("{before}scenario:\n  modelarts:\n{siblings}    user_image_url: {value}{tail}\n{siblings}z: 1\n");
            if crlf { text.replace('\n', "\r\n") } else { text }
        };
        let old = with(&value);
        prop_assume!(!set(&old).is_err_and(|error| error.starts_with("it is not valid YAML")));
        let quote = value.chars().next().filter(|letter| matches!(letter, '\'' | '"')).map(String::from).unwrap_or_default();
        let new = set(&old).unwrap();
        let blank = |text: &str| text.replace(' ', "");
        prop_assert_eq!(blank(&new), blank(&with(&format!("{quote}{URL}{quote}"))));
        prop_assert_eq!(set(&new), Ok(new.clone()));
    }

    /// Any text is set or refused, and never panics.
    #[test]
    fn any_text_is_judged(text in "(scenario|modelarts|user_image_url|[:{}\\[\\]&*a'\"|>?!~, \n\r\t#-]|é|: |\n  |\n    ){0,40}") {
        let _ = set(&text);
        let _ = set(&format!("scenario:\n  modelarts:\n    user_image_url: {text}"));
        let _ = set(&format!("scenario:\n  modelarts:\n    {text}"));
    }
}
