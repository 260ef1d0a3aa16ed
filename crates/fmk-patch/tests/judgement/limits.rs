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
fn two_hundred_levels_are_allowed_and_one_more_is_not() {
    let expected = format!("its brackets and operators are nested deeper than {MAX_NESTING} near line 37");
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "", "]"),
        ("{1: ", "2", "}"),
        ("f(", "", ")"),
        ("a[", "0", "]"),
        ("", "z", "()"),
        ("", "z", ".b"),
        ("1 + ", "1", ""),
        ("2 ** ", "1", ""),
        ("not ", "1", ""),
        ("-", "1", ""),
        ("a and ", "b", ""),
        ("lambda: ", "1", ""),
    ] {
        let text = |depth: usize| format!("{SHORT}x = {}{middle}{}\n", open.repeat(depth), close.repeat(depth));
        assert!(judge(text(MAX_NESTING)).output.is_some(), "{open}{middle}{close}");
        for depth in [MAX_NESTING + 1, 5000, 70_000] {
            assert_eq!(refused(text(depth)), expected, "{open}{middle}{close} {depth}");
        }
        // Not closed at all.
        let unclosed = format!("{SHORT}x = {}{middle}", open.repeat(70_000));
        assert!(open.is_empty() || refused(unclosed) == expected, "{open}");
    }
    for open in ["(x := ", "a if b else ", "f'{", "not -~+", "await ", "async ", "*", "a()|"] {
        assert_eq!(refused(format!("{SHORT}x = {}", open.repeat(3000))), expected, "{open}");
    }
    let blocks = |depth: usize| (0..depth).map(|depth| format!("{}if x:\n", " ".repeat(depth))).collect::<String>();
    assert!(patch(format!("{}{}pass\n", blocks(200), " ".repeat(200)).as_bytes(), Edits::ALL).is_ok());
    let too_deep = "its blocks are nested deeper than 200 near line 202";
    assert_eq!(refused(format!("{}{}pass\n", blocks(201), " ".repeat(201))), too_deep);
    assert_eq!(refused(blocks(300)), too_deep);
}

#[test]
fn a_small_stack_of_the_caller_is_enough() {
    let deep = format!("{SHORT}x = {}{}\n", "(".repeat(200), ")".repeat(200));
    let thread = std::thread::Builder::new().stack_size(128 << 10);
    thread.spawn(move || assert!(patch(deep.as_bytes(), Edits::ALL).unwrap().is_good())).unwrap().join().unwrap();
}

#[test]
fn no_python() {
    let not_valid = |text: &str, message: &str| assert_eq!(refused(text), format!("it is not valid Python: {message}"));
    not_valid("print 'Python 2'\n", "Simple statements must be separated by newlines or semicolons at line 1");
    not_valid("class FMK:\ndef run(self): pass\n", "Expected an indented block after `class` definition at line 2");
    not_valid("\x7fELF", "Got unexpected token \u{7f} at line 1");
    not_valid(&format!("x = '''{}", "'' ".repeat(2000)), "missing closing quote in string literal at line 1");
    not_valid(&format!("x = f'{}", "{".repeat(3000)), "f-string: unterminated string at line 1");
    assert_eq!(refused(b"\xff\xfe"), "byte 0 (line 1) is not valid UTF-8");
    assert_eq!(refused("x = 1\0\n"), "it has a zero byte at line 1");
}

/// Texts of nearly a mebibyte that would take minutes if some walk were taken for each of their parts.
#[test]
fn many_of_anything_take_no_longer() {
    let fill = |unit: &str| unit.repeat((MAX_BYTES - 10_000) / unit.len());
    let in_gen_env = |unit: &str| {
        SHORT.replace("        return current_envs\n", &format!("{}        return current_envs\n", fill(unit)))
    };
    let in_run = |unit: &str| SHORT.replace("        with self", &format!("{}        with self", fill(unit)));
    let set =
        "        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', p)\n        return current_envs\n";
    let doubled: String = (1..10_000).map(|n| format!("        p{n} = p{0} + p{0}\n", n - 1)).collect();
    for text in [
        fill("@a\n") + "def f(): pass\n",
        fill("\\\n") + "x = 1\n",
        format!("if a: pass\n{}", fill("elif b: pass\n")),
        format!("match x:\n    case {}b(): pass\n", "a()|".repeat(60)),
        format!("{SHORT}{}", fill("class FMK: pass\n")),
        format!("{SHORT}{}", fill("    def run(self): pass\n")),
        format!("{}{SHORT}", fill("import os\n")),
        in_gen_env("        return {}\n"),
        in_gen_env("        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', 1)\n"),
        in_gen_env("        os.makedirs(p, exist_ok=True)\n").replace("        return current_envs\n", set),
        in_gen_env("        self.get_log_dir(current_envs)\n").replace("        return current_envs\n", set),
        in_gen_env("        if x: a = b\n"),
        in_run("        with self.switch_directory(self.folder_of_the_code(of=the, user=s).code): Popen(lambda: 1)\n"),
        in_run("        def f(self): self.switch_directory(1)\n"),
        in_run("        with a: os = 1\n"),
        in_run("        with self.switch_directory(1, 2), self.switch_directory(1, 2): pass\n"),
        format!("{SHORT}{}", fill("    def a(self): subprocess.Popen(b)\n")),
        in_run("        o = {}; Popen(**o)\n"),
        format!("{}{SHORT}", fill("class A: Popen(os.chdir)\n")),
        SHORT.replace(
            "        return current_envs\n",
            &format!("        p0 = ''\n{doubled}{}", set.replace("p)", "p9999)")),
        ),
    ] {
        let report = patch(text.as_bytes(), Edits::ALL).unwrap();
        assert_eq!(report.edits.len(), 2);
    }
}
