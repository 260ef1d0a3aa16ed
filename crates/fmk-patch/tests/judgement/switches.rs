//! Edit *code-cwd*: which calls of `switch_directory` are changed, and when it is refused.

use expect_test::expect;

use crate::judged::{check, check_short, judge, short_with};

const WITH: &str = "        with self.switch_directory(self.get_working_dir()):\n";
const CALL: &str = "self.switch_directory(self.get_working_dir())";

#[test]
fn the_argument_alone_is_replaced() {
    for call in [
        "self.switch_directory( work ) as folder",
        "self.switch_directory(directory=work)",
        "self.switch_directory((work))",
        "self.switch_directory(work,)",
        "self.lock, self.switch_directory('%s' % (work)), open(log) as file",
        "(self.switch_directory(f'{work}'))",
    ] {
        let report = judge(short_with(&[(CALL, call)]));
        let output = String::from_utf8(report.output.unwrap()).unwrap();
        let line = output.lines().find(|line| line.contains("with self") || line.contains("with (self")).unwrap();
        let argument = if call.contains("'%s'") {
            "'%s' % (work)"
        } else if call.contains("f'") {
            "f'{work}'"
        } else {
            "work"
        };
        let expected = call.replace(argument, "os.getenv(\"MODEL_TASK_CWD\", os.getcwd())");
        assert_eq!(line.trim(), format!("with {expected}:"));
    }
}

#[test]
fn an_argument_over_several_lines() {
    check(
        short_with(&[(
            CALL,
            "self.switch_directory(\n            # Where it works.\n            os.path.join(\n                root,\n                'device')  # here\n        )",
        )]),
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: applied (line 26)
            @@ -10,6 +10,10 @@
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -25,8 +29,6 @@
            -            os.path.join(
            -                root,
            -                'device')  # here
            +            os.getenv("MODEL_TASK_CWD", os.getcwd())  # here
        "#]],
    );
}

#[test]
fn already_there() {
    for argument in [
        r#"os.getenv("MODEL_TASK_CWD", os.getcwd())"#,
        "os.getenv('MODEL_TASK_CWD', default=os.getcwd())",
        "os.environ.get('MODEL_TASK_CWD', os.getcwd())",
        "os.getenv('MODEL_TASK_CWD') or os.getcwd()",
    ] {
        let report = judge(short_with(&[("self.get_working_dir()", argument)]));
        assert_eq!(report.edits[1].1.to_string(), "already-applied (line 26)", "{argument}");
    }
    check_short(
        &[(
            WITH,
            "        work = os.getenv('MODEL_TASK_CWD', os.getcwd())\n        with self.switch_directory(work):\n",
        )],
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: already-applied (line 27)
        "#]],
    );
    // Near, but not the same.
    check_short(
        &[("self.get_working_dir()", "os.getenv('MODEL_TASK_CWD', '/')")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
    "#]],
    );
    check_short(
        &[("self.get_working_dir()", "os.environ['MODEL_TASK_CWD']")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
    "#]],
    );
}

#[test]
fn what_a_loop_assigns_for_its_next_round_counts() {
    let round = |before: &str, first: &str, last: &str| {
        let body = format!(
            "        {before}\n        while command:\n            {first}\n            with self.switch_directory(work):\n                pass\n            {last}\n        if True:\n"
        );
        judge(short_with(&[(WITH, &body)])).edits[1].1.to_string()
    };
    let right = "work = os.getenv('MODEL_TASK_CWD', os.getcwd())";
    assert_eq!(round(right, "pass", "pass"), "already-applied (line 29)");
    assert_eq!(round(right, "pass", "work = '/'"), "applied (line 29)");
    assert_eq!(round("pass", right, "work = '/'"), "already-applied (line 29)");
    assert_eq!(round("work = '/'", "pass", right), "applied (line 29)");
}

#[test]
fn nested_and_several() {
    check(
        short_with(&[(
            WITH,
            "        if rank_size == 1:\n            with self.switch_directory(os.getenv('MODEL_TASK_CWD', os.getcwd())):\n                return 1\n\n        def start():\n            with self.switch_directory(command):\n                pass\n        async with self.switch_directory(''):\n",
        )]),
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: applied (lines 31, 33)
            @@ -10,6 +10,10 @@
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -28,7 +32,7 @@
            -            with self.switch_directory(command):
            +            with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
            -        async with self.switch_directory(''):
            +        async with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        "#]],
    );
}

#[test]
fn a_run_too_long_to_be_followed() {
    let long = format!("{}{WITH}", "        x = x + x + x + x\n".repeat(20_000));
    check_short(
        &[(WITH, &long)],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 20026)
    "#]],
    );
}

#[test]
fn uses_that_are_not_understood() {
    for (call, line) in [
        ("super().switch_directory(work)", 26),
        ("FMK.switch_directory(self, work)", 26),
        ("stack.enter_context(self.switch_directory(work))", 26),
        ("self.switch_directory(self.switch_directory(work))", 26),
    ] {
        let report = judge(short_with(&[(CALL, call)]));
        let expected =
            format!("conflict: line {line} uses `switch_directory` other than in `with self.switch_directory(…)`");
        assert_eq!(report.edits[1].1.to_string(), expected, "{call}");
    }
    check_short(
        &[(WITH, "        self = self.other\n        with self.switch_directory(1):\n")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: line 27 uses `switch_directory` other than in `with self.switch_directory(…)`
    "#]],
    );
    check_short(
        &[(CALL, "self.switch_directory(a, b)")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: `switch_directory` at line 26 has not just one argument
    "#]],
    );
    check_short(
        &[(CALL, "self.switch_directory(*a)")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: `switch_directory` at line 26 has not just one argument
    "#]],
    );
    check_short(
        &[(CALL, "self.switch_directory(**a)")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: `switch_directory` at line 26 has not just one argument
    "#]],
    );
    check_short(
        &[(CALL, "self.switch_directory()")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: `switch_directory` at line 26 has not just one argument
    "#]],
    );
    check_short(
        &[(CALL, "self.switch_directory(work := self.get_working_dir())")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: the argument of `switch_directory` at line 26 does more than name a folder
    "#]],
    );
    let many = WITH.replace(":\n", ": pass\n").repeat(51);
    check_short(
        &[(WITH, &format!("{many}        if command:\n"))],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: `FMK.run` has 51 calls of `switch_directory`
    "#]],
    );
}

#[test]
fn without_any() {
    check_short(
        &[(WITH, "        if True:\n")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: not-applicable: Popen at line 27 runs in no `switch_directory`
    "#]],
    );
    check_short(
        &[(WITH, "        if True:\n"), ("subprocess.Popen(", "start(")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: not-found: `FMK.run` has no `with self.switch_directory(…)`
    "#]],
    );
    check_short(
        &[
            (WITH, "        if True:\n"),
            (
                "    def run(",
                "    def start(self):\n        with self.switch_directory(''):\n            pass\n\n    def run(",
            ),
        ],
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: conflict: `switch_directory` is called at line 25, not in `FMK.run`
        "#]],
    );
}
