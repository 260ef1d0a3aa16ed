//! Edit *log-path*: what counts as applied, where it goes, and when it is refused.

use expect_test::expect;

use crate::judged::{check, check_short, judge, short_with};

const SET: &str = "        return current_envs\n";

/// The status of *log-path* with `block` before the `return` of `gen_env_for_fmk`, at line 13, and `more` in the class.
fn status(block: &str, more: &str) -> String {
    let block: String = block.lines().map(|line| format!("        {line}\n")).collect();
    let more: String = more.lines().map(|line| format!("    {line}\n")).collect();
    let text = short_with(&[(SET, &format!("{block}{SET}\n{more}"))]);
    judge(format!("import pathlib\n{text}")).edits[0].1.to_string()
}

/// Ways to name the path.
const PATHS: [&str; 11] = [
    "os.path.join(FMK.get_log_dir(), self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)",
    "os.path.join(self.get_log_dir(), self.job_id, \"ascend\", \"process_log\", \"rank_\" + self.rank_id)",
    "f'{FMK.get_log_dir()}/{self.job_id}/ascend/process_log/rank_{self.rank_id}'",
    "f\"{FMK.get_log_dir()}/{self.job_id}\" \"/ascend/process_log/\" f'rank_{self.rank_id!s}'",
    "'%s/%s/ascend/process_log/rank_%s' % (FMK.get_log_dir(), self.job_id, self.rank_id)",
    "'{}/{}/ascend/process_log/rank_{}'.format(FMK.get_log_dir(), self.job_id, self.rank_id)",
    "FMK.get_log_dir() + os.sep + self.job_id + '/ascend/process_log' + '/rank_' + str(self.rank_id)",
    "os.path.join(FMK.get_log_dir(), self.job_id, 'ascend/process_log/rank_{}'.format(self.rank_id))",
    "str(pathlib.Path(FMK.get_log_dir()) / self.job_id / 'ascend' / 'process_log' / f'rank_{self.rank_id}')",
    "'/'.join([FMK.get_log_dir(), self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id])",
    "os.path.normpath(os.path.join(FMK.get_log_dir(), self.job_id, 'ascend/process_log', 'rank_%s' % self.rank_id))",
];

/// Ways to set the variable to `p`.
const SETTERS: [&str; 7] = [
    "FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', p)",
    "self.set_env_if_not_exist(current_envs, \"ASCEND_PROCESS_LOG_PATH\", env_value=p)",
    "current_envs['ASCEND_PROCESS_LOG_PATH'] = p",
    "current_envs.setdefault('ASCEND_PROCESS_LOG_PATH', p)",
    "current_envs.update({'ASCEND_PROCESS_LOG_PATH': p})",
    "current_envs.update(ASCEND_PROCESS_LOG_PATH=p)",
    "if 'ASCEND_PROCESS_LOG_PATH' not in os.environ: current_envs['ASCEND_PROCESS_LOG_PATH'] = p",
];

/// Ways to create the folder, in one line each.
const CREATORS: [&str; 7] = [
    "os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)",
    "os.makedirs(name=current_envs[\"ASCEND_PROCESS_LOG_PATH\"], mode=0o750, exist_ok=True)",
    "pathlib.Path(current_envs['ASCEND_PROCESS_LOG_PATH']).mkdir(parents=True, exist_ok=True)",
    "pathlib.Path(p).mkdir(0o750, True, True)",
    "os.makedirs(p, 0o750, True)",
    "os.makedirs(current_envs.get('ASCEND_PROCESS_LOG_PATH'), exist_ok=True)",
    "if not os.path.exists(p): os.makedirs(p)",
];

#[test]
fn applied_by_any_spelling() {
    for path in PATHS {
        for setter in SETTERS {
            for creator in CREATORS {
                let status = status(&format!("p = {path}\n{setter}\n{creator}"), "");
                assert_eq!(status, "already-applied (lines 15, 16)", "{path}\n{setter}\n{creator}");
            }
        }
    }
}

#[test]
fn the_folder_may_be_created_first_if_it_is_named_by_itself() {
    let path = format!("p = {}\n", PATHS[0]);
    let created_first = |creator: &str| status(&format!("{path}{creator}\n{}", SETTERS[0]), "");
    assert_eq!(created_first("os.makedirs(p, exist_ok=True)"), "already-applied (lines 15, 16)");
    assert_eq!(
        created_first(CREATORS[0]),
        "conflict: line 16 sets ASCEND_PROCESS_LOG_PATH, but its folder is not created"
    );
}

#[test]
fn applied_in_a_helper() {
    let body = "    p = f'{FMK.get_log_dir()}/{self.job_id}/ascend/process_log/rank_{self.rank_id}'
    FMK.set_env_if_not_exist(envs, 'ASCEND_PROCESS_LOG_PATH', p)
    os.makedirs(envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)";
    let helper = |head: &str, call: &str| status(call, &format!("{head}\n{body}"));
    assert_eq!(helper("def logs(self, envs):", "self.logs(current_envs)"), "already-applied (lines 19, 20)");
    assert_eq!(helper("def logs(self, envs):", "self.logs(envs=current_envs)"), "already-applied (lines 19, 20)");
    // Not called, called with something else, called under a condition.
    assert_eq!(helper("def logs(self, envs):", "pass"), "applied (line 15)");
    assert_eq!(
        helper("def logs(self, envs):", "self.logs({})"),
        "conflict: line 19 sets ASCEND_PROCESS_LOG_PATH, but not in what is returned"
    );
    assert_eq!(
        helper("def logs(self, envs):", "if rank_size > 1:\n    self.logs(current_envs)"),
        "conflict: line 20 sets ASCEND_PROCESS_LOG_PATH only under a condition"
    );
}

#[test]
fn almost_applied_is_a_conflict() {
    let path = format!("p = {}\n", PATHS[0]);
    let (set, create) = (SETTERS[0], CREATORS[0]);
    for (block, expected) in [
        (format!("{path}{set}"), "line 15 sets ASCEND_PROCESS_LOG_PATH, but its folder is not created"),
        (
            format!("{path}{set}\nos.makedirs(p)"),
            "line 15 sets ASCEND_PROCESS_LOG_PATH, but line 16 does not create its folder in every case",
        ),
        (
            format!("{path}{set}\nif rank_size:\n    {create}"),
            "line 15 sets ASCEND_PROCESS_LOG_PATH, but line 17 does not create its folder in every case",
        ),
        (
            format!("{path}{set}\npathlib.Path(p).mkdir(exist_ok=True)"),
            "line 15 sets ASCEND_PROCESS_LOG_PATH, but its folder is not created",
        ),
        (format!("p = '/var/log'\n{set}\n{create}"), "line 15 sets ASCEND_PROCESS_LOG_PATH to another path"),
        (
            format!("p = {}\n{set}\n{create}", PATHS[0].replace("rank_id", "device_id")),
            "line 15 sets ASCEND_PROCESS_LOG_PATH to another path",
        ),
        (
            format!("{path}os.environ['ASCEND_PROCESS_LOG_PATH'] = p"),
            "line 15 sets ASCEND_PROCESS_LOG_PATH, but not in what is returned",
        ),
        (
            "del current_envs['ASCEND_PROCESS_LOG_PATH']".to_owned(),
            "line 14 does something with ASCEND_PROCESS_LOG_PATH that is not understood",
        ),
        (
            "prepare(current_envs, 'ASCEND_PROCESS_LOG_PATH')".to_owned(),
            "line 14 does something with ASCEND_PROCESS_LOG_PATH that is not understood",
        ),
    ] {
        assert_eq!(status(&block, ""), format!("conflict: {expected}"), "{block}");
    }
}

#[test]
fn set_by_run_is_a_conflict() {
    check_short(
        &[("        with self", "        envs['ASCEND_PROCESS_LOG_PATH'] = '/tmp'\n        with self")],
        expect![[r#"
            log-path: conflict: line 26 sets ASCEND_PROCESS_LOG_PATH outside `FMK.gen_env_for_fmk`
            code-cwd: applied (line 27)
        "#]],
    );
}

#[test]
fn text_of_the_anchors_elsewhere_means_nothing() {
    check(
        short_with(&[
            (
                "        current_envs = os",
                "        # return current_envs, with ASCEND_PROCESS_LOG_PATH\n        current_envs = os",
            ),
            (
                "        return current_envs\n",
                "        # os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)\n        return current_envs\n",
            ),
            (
                "        envs = self",
                "        \"\"\"with self.switch_directory(os.getenv(\"MODEL_TASK_CWD\", os.getcwd())):\"\"\"\n        envs = self",
            ),
            (
                "\n\nclass FMK:\n",
                "\n\nclass Other:\n    def gen_env_for_fmk(self):\n        return 'return current_envs'\n\n\nclass FMK:\n    '''class FMK:\n    def gen_env_for_fmk(self):\n        return current_envs\n    '''\n",
            ),
        ]),
        expect![[r#"
            log-path: applied (line 24)
            code-cwd: applied (line 38)
            @@ -21,6 +21,10 @@
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -35,5 +39,5 @@
            -        with self.switch_directory(self.get_working_dir()):
            +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        "#]],
    );
}

#[test]
fn nested_functions_and_their_returns() {
    check(
        short_with(&[(
            "        current_envs['RANK",
            "        def size(of):\n            return str(of)\n\n        class Held:\n            def get(self):\n                return 1\n\n        name = lambda: current_envs\n        current_envs['RANK",
        )]),
        expect![[r#"
            log-path: applied (line 21)
            code-cwd: applied (line 34)
            @@ -18,6 +18,10 @@
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -31,5 +35,5 @@
            -        with self.switch_directory(self.get_working_dir()):
            +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        "#]],
    );
}

#[test]
fn where_it_returns() {
    check_short(
        &[("        return current_envs\n", "")],
        expect![[r#"
        log-path: not-found: `FMK.gen_env_for_fmk` has no `return`
        code-cwd: applied (line 25)
    "#]],
    );
    check_short(
        &[("        return current_envs\n", "        return dict(current_envs)\n")],
        expect![[r#"
        log-path: conflict: `FMK.gen_env_for_fmk` returns something other than a variable at line 13
        code-cwd: applied (line 26)
    "#]],
    );
    check_short(
        &[("        return current_envs\n", "        return os\n")],
        expect![[r#"
        log-path: conflict: `os`, which `FMK.gen_env_for_fmk` returns, is no variable of its own
        code-cwd: applied (line 26)
    "#]],
    );
    check_short(
        &[(
            "        return current_envs\n",
            "        if rank_size:\n            return {}\n        return current_envs\n",
        )],
        expect![[r#"
            log-path: ambiguous: `FMK.gen_env_for_fmk` returns at lines 14, 15
            code-cwd: applied (line 28)
        "#]],
    );
    check_short(
        &[("        return current_envs\n", "        if rank_size:\n            return current_envs\n")],
        expect![[r#"
            log-path: conflict: the edited text would be judged `conflict: line 16 sets ASCEND_PROCESS_LOG_PATH only under a condition`
            code-cwd: applied (line 27)
        "#]],
    );
    check_short(
        &[("        return current_envs\n", "        with lock:\n            return current_envs\n")],
        expect![[r#"
            log-path: applied (line 14)
            code-cwd: applied (line 27)
        "#]],
    );
    check_short(
        &[(
            "        return current_envs\n",
            "        try:\n            return current_envs\n        finally:\n            pass\n",
        )],
        expect![[r#"
            log-path: applied (line 14)
            code-cwd: applied (line 29)
        "#]],
    );
    check_short(
        &[("        return current_envs\n", "        yield current_envs\n")],
        expect![[r#"
        log-path: not-found: `FMK.gen_env_for_fmk` has no `return`
        code-cwd: applied (line 26)
    "#]],
    );
}

#[test]
fn what_the_new_statements_need() {
    check_short(
        &[("def get_log_dir():", "def log_dir():")],
        expect![[r#"
        log-path: conflict: class `FMK` has no method `get_log_dir`
        code-cwd: applied (line 26)
    "#]],
    );
    check_short(
        &[("    @staticmethod\n    def get_log_dir():", "    def get_log_dir(self):")],
        expect![[r#"
        log-path: conflict: `FMK.get_log_dir` at line 15 can't be called on the class with 0 arguments
        code-cwd: applied (line 25)
    "#]],
    );
    check_short(
        &[("    @staticmethod\n    def get_log_dir():", "    @classmethod\n    def get_log_dir(cls):")],
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: applied (line 26)
        "#]],
    );
    check_short(
        &[("(envs, env_name, env_value)", "(envs, **more)")],
        expect![[r#"
        log-path: conflict: `FMK.set_env_if_not_exist` at line 20 can't be called on the class with 3 arguments
        code-cwd: applied (line 26)
    "#]],
    );
    check_short(
        &[("self.job_id = get_job_id()", "pass")],
        expect![[r#"
        log-path: conflict: class `FMK` never sets `self.job_id`
        code-cwd: applied (line 26)
    "#]],
    );
    check_short(
        &[("self.rank_id = device.rank_id", "self.rank_id = int(device.rank_id)")],
        expect![[r#"
        log-path: conflict: `self.rank_id` is no string but a number at line 8
        code-cwd: applied (line 26)
    "#]],
    );
    check_short(
        &[("self.rank_id = device.rank_id", "self.rank_id: int = 0")],
        expect![[r#"
        log-path: conflict: `self.rank_id` is no string but a number at line 8
        code-cwd: applied (line 26)
    "#]],
    );
}

#[test]
fn names_that_are_taken() {
    check_short(
        &[("        current_envs['RANK", "        log_dir = '/x'\n        current_envs['RANK")],
        expect![[r#"
        log-path: applied (line 14)
        code-cwd: applied (line 27)
    "#]],
    );
    check_short(
        &[("        current_envs['RANK", "        call_later(lambda: process_log_path)\n        current_envs['RANK")],
        expect![[r#"
            log-path: conflict: `FMK.gen_env_for_fmk` uses the name `process_log_path` for something else
            code-cwd: applied (line 27)
        "#]],
    );
    check_short(
        &[("gen_env_for_fmk(self, rank_size):", "gen_env_for_fmk(self, rank_size, FMK=None):")],
        expect![[r#"
        log-path: conflict: `FMK` is something else in `FMK.gen_env_for_fmk`: see line 10
        code-cwd: applied (line 26)
    "#]],
    );
    check_short(
        &[("        current_envs['RANK", "        self = self.clone()\n        current_envs['RANK")],
        expect![[r#"
            log-path: conflict: `self` is assigned in `FMK.gen_env_for_fmk`
            code-cwd: applied (line 27)
        "#]],
    );
}

#[test]
fn other_names_for_the_instance_and_the_environment() {
    check(
        short_with(&[
            (
                "gen_env_for_fmk(self, rank_size):\n        current_envs = os",
                "gen_env_for_fmk(this, rank_size):\n        env = os",
            ),
            ("current_envs['RANK_SIZE']", "env['RANK_SIZE']"),
            ("return current_envs", "return env"),
        ]),
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: applied (line 26)
            @@ -10,6 +10,10 @@
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, this.job_id, 'ascend', 'process_log', 'rank_' + this.rank_id)
            +        FMK.set_env_if_not_exist(env, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(env['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -23,5 +27,5 @@
            -        with self.switch_directory(self.get_working_dir()):
            +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        "#]],
    );
}
