//! Each shape of fmk.py that is in the wild, as a look-alike: what is found in it, and what is changed.

use crate::judged::{CALL, CODE_CWD, brief, judge};

const PRISTINE: &str = include_str!("../shapes/pristine.py");
const NEWER: &str = include_str!("../shapes/newer.py");
const PACKAGE_RELATIVE: &str = include_str!("../shapes/package_relative.py");
const NOTEBOOK_RELATIVE: &str = include_str!("../shapes/notebook_relative.py");
const REFACTORED: &str = include_str!("../shapes/refactored.py");
const ALREADY_PATCHED: &str = include_str!("../shapes/already_patched.py");

#[test]
fn each_gets_what_it_lacks() {
    let calls = |text: &str| Some(text.replace(CALL, CODE_CWD));
    let work_dir = |text: &str| Some(text.replace("self.switch_directory(work_dir)", CODE_CWD));
    let pristine = Some(ALREADY_PATCHED.to_owned());
    for (text, log_path, code_cwd, output) in [
        (PRISTINE, "applied 33", "applied 80", pristine),
        (NEWER, "already-applied 33 34", "applied 83", calls(NEWER)),
        (PACKAGE_RELATIVE, "already-applied 37 38", "applied 75 79", calls(PACKAGE_RELATIVE)),
        (NOTEBOOK_RELATIVE, "already-applied 37 38", "applied 76 80", work_dir(NOTEBOOK_RELATIVE)),
        (REFACTORED, "already-applied 25 26", "not-applicable 39", None),
        (ALREADY_PATCHED, "already-applied 34 35", "already-applied 85", None),
    ] {
        let report = judge(text);
        let statuses: Vec<String> = report.edits.iter().map(|(_, status)| brief(status)).collect();
        assert_eq!(statuses, [log_path, code_cwd], "{}", text.lines().next().unwrap());
        let made = report.output.map(|output| String::from_utf8(output).unwrap());
        if text == PRISTINE {
            // The one that was patched by hand has blank lines and comments elsewhere.
            assert_eq!(made.as_deref().map(code), output.as_deref().map(code));
        } else {
            assert_eq!(made, output);
        }
    }
}

/// The lines of a script without blank ones, comments and indentation.
fn code(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn the_look_alikes_are_like_the_shapes() {
    // The manual's "line 80" is true of the pristine shape.
    assert_eq!(PRISTINE.lines().nth(79).unwrap().trim(), format!("with {CALL}:"));
    assert_eq!(PACKAGE_RELATIVE.matches("\r\n").count(), PACKAGE_RELATIVE.matches('\n').count());
}
