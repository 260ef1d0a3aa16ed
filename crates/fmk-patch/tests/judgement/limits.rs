//! What is too large, too deep or no Python is refused before anything else, and nothing takes too long.

use fmk_patch::{Edits, MAX_BYTES, MAX_NESTING, patch};

use crate::judged::{SHORT, judge};

fn refused(text: impl AsRef<[u8]>) -> String {
    patch(text.as_ref(), Edits::ALL).unwrap_err().to_string()
}

#[test]
fn a_mebibyte_is_allowed_and_one_byte_more_is_not() {
    let filled = |bytes: usize| format!("{SHORT}{}\n", "#".repeat(bytes - SHORT.len() - 1));
    assert!(judge(filled(MAX_BYTES - 1000)).output.is_some());
    assert_eq!(refused(filled(MAX_BYTES + 1)), "it has 1048577 bytes, more than the 1048576 allowed");
    // The edits make a text longer, and the result must be accepted again.
    assert_eq!(
        refused(filled(MAX_BYTES)),
        "it could not be judged: with the edits it has 1048909 bytes, more than the 1048576 allowed"
    );
}

#[test]
fn deep_nesting_in_every_form() {
    let expected = format!("its brackets and operators are nested deeper than {MAX_NESTING} near line 28");
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{1:", "}"), ("f(", ")"), ("not ", ""), ("-", ""), ("1+", ""), ("lambda:", "")]
    {
        for depth in [MAX_NESTING + 1, 5000, 120_000] {
            let text = format!("{SHORT}x = {}1{}\n", open.repeat(depth), close.repeat(depth));
            assert_eq!(refused(text), expected, "{open} {depth}");
        }
        // Not closed at all.
        assert_eq!(refused(format!("{SHORT}x = {}", open.repeat(100_000))), expected, "{open}");
    }
    let blocks: String = (0..201).map(|depth| format!("{}if x:\n", " ".repeat(depth))).collect();
    assert_eq!(
        refused(format!("{blocks}{}pass\n", " ".repeat(201))),
        "its blocks are nested deeper than 200 near line 202"
    );
}

#[test]
fn no_python() {
    assert_eq!(
        refused("print 'Python 2'\n"),
        "it is not valid Python: Simple statements must be separated by newlines or semicolons at line 1"
    );
    assert_eq!(
        refused("class FMK:\ndef run(self): pass\n"),
        "it is not valid Python: Expected an indented block after `class` definition at line 2"
    );
    assert_eq!(refused(b"\xff\xfe"), "byte 0 (line 1) is not valid UTF-8");
    assert_eq!(refused("x = 1\0\n"), "it has a zero byte at line 1");
    assert_eq!(refused("\x7fELF"), "it is not valid Python: Got unexpected token \u{7f} at line 1");
}

/// Texts of nearly a mebibyte that would take minutes if some walk were taken for each of their parts.
#[test]
fn many_of_anything_take_no_longer() {
    let fill = |unit: &str| unit.repeat((MAX_BYTES - 10_000) / unit.len());
    let in_gen_env = |unit: &str| {
        SHORT.replace("        return current_envs\n", &format!("{}        return current_envs\n", fill(unit)))
    };
    let in_run = |unit: &str| SHORT.replace("        with self", &format!("{}        with self", fill(unit)));
    for text in [
        format!("{SHORT}{}", fill("class FMK: pass\n")),
        format!("{SHORT}{}", fill("    def run(self): pass\n")),
        in_gen_env("        return {}\n"),
        in_gen_env("        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', 1)\n"),
        in_gen_env("        log_dir = log_dir + '/' + self.rank_id\n"),
        in_gen_env("        if x: a = b\n"),
        in_gen_env("        self.get_log_dir(self.gen_env_for_fmk(1), self.gen_env_for_fmk(2))\n"),
        in_run("        with self.switch_directory(1): pass\n"),
        in_run("        def f(self): self.switch_directory(1)\n"),
        in_run("        with a: os = 1\n"),
        format!(
            "class A0: pass\n{}{SHORT}",
            (1..20_000).map(|n| format!("class A{n}(A{}): pass\n", n - 1)).collect::<String>()
        )
        .replace("class FMK:", "class FMK(A19999):")
        .replace("def get_log_dir", "def no_log_dir"),
    ] {
        let report = patch(text.as_bytes(), Edits::ALL).unwrap();
        assert_eq!(report.edits.len(), 2);
    }
}
