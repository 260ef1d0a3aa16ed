//! Each shape of fmk.py that is in the wild, as a look-alike: what is found in it, and what is changed.

use expect_test::expect;

use crate::judged::{check, judge};

const PRISTINE: &str = include_str!("../shapes/pristine.py");
const NEWER: &str = include_str!("../shapes/newer.py");
const PACKAGE_RELATIVE: &str = include_str!("../shapes/package_relative.py");
const NOTEBOOK_RELATIVE: &str = include_str!("../shapes/notebook_relative.py");
const REFACTORED: &str = include_str!("../shapes/refactored.py");
const ALREADY_PATCHED: &str = include_str!("../shapes/already_patched.py");

#[test]
fn pristine() {
    // The manual's "line 80" is true of this shape.
    assert_eq!(PRISTINE.lines().nth(79).unwrap().trim(), "with self.switch_directory(self.get_working_dir()):");
    check(
        PRISTINE,
        expect![[r#"
        log-path: applied (line 33)
        code-cwd: applied (line 80)
        @@ -30,6 +30,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -77,7 +81,7 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
}

#[test]
fn newer() {
    check(
        NEWER,
        expect![[r#"
        log-path: already-applied (lines 33, 34)
        code-cwd: applied (line 83)
        @@ -80,7 +80,7 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
}

#[test]
fn package_relative() {
    assert_eq!(PACKAGE_RELATIVE.matches("\r\n").count(), PACKAGE_RELATIVE.matches('\n').count());
    check(
        PACKAGE_RELATIVE,
        expect![[r#"
        log-path: already-applied (lines 37, 38)
        code-cwd: applied (lines 75, 79)
        @@ -72,11 +72,11 @@
        -            with self.switch_directory(self.get_working_dir()):\r
        +            with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):\r
        -        with self.switch_directory(self.get_working_dir()):\r
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):\r
    "#]],
    );
    let output = judge(PACKAGE_RELATIVE).output.unwrap();
    assert!(output.windows(2).all(|pair| pair[1] != b'\n' || pair[0] == b'\r'));
}

#[test]
fn notebook_relative() {
    check(
        NOTEBOOK_RELATIVE,
        expect![[r#"
        log-path: already-applied (lines 37, 38)
        code-cwd: applied (lines 76, 80)
        @@ -73,11 +73,11 @@
        -            with self.switch_directory(work_dir):
        +            with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        -        with self.switch_directory(work_dir):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
}

#[test]
fn refactored() {
    check(
        REFACTORED,
        expect![[r#"
        log-path: already-applied (lines 25, 26)
        code-cwd: not-applicable: Popen at line 39 runs in no `switch_directory`
    "#]],
    );
}

#[test]
fn already_patched() {
    check(
        ALREADY_PATCHED,
        expect![[r#"
        log-path: already-applied (lines 34, 35)
        code-cwd: already-applied (line 85)
    "#]],
    );
}

#[test]
fn the_edits_of_the_pristine_shape_make_the_patched_one() {
    let output = String::from_utf8(judge(PRISTINE).output.unwrap()).unwrap();
    let code = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(code(&output), code(ALREADY_PATCHED));
}
