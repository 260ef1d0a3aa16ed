//! The names that both edits use: the class, its methods, and `os`.

use expect_test::expect;

use crate::judged::{SHORT, check, check_short, short_with};

#[test]
fn classes_and_methods() {
    check_short(
        &[("class FMK:", "class Fmk:")],
        expect![[r#"
        log-path: not-found: there is no class `FMK`
        code-cwd: not-found: there is no class `FMK`
    "#]],
    );
    check(
        format!("{SHORT}\n\nclass FMK:\n    pass\n"),
        expect![[r#"
        log-path: ambiguous: class `FMK` is defined at lines 5, 30
        code-cwd: ambiguous: class `FMK` is defined at lines 5, 30
    "#]],
    );
    check(
        format!("{SHORT}\n\nFMK = wrap(FMK)\n"),
        expect![[r#"
        log-path: ambiguous: `FMK` is bound again at line 30
        code-cwd: ambiguous: `FMK` is bound again at line 30
    "#]],
    );
    check(
        format!("{SHORT}\n\nclass FMKManager(FMK):\n    def run(self):\n        return 1\n"),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -10,6 +10,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -23,7 +27,7 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
    check_short(
        &[("    def run(", "    def run(self):\n        pass\n\n    def run(")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: ambiguous: method `FMK.run` is defined at lines 24, 27
    "#]],
    );
    check_short(
        &[("    def run(", "    def start(")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: not-found: class `FMK` has no method `run`
    "#]],
    );
    check_short(
        &[("def gen_env_for_fmk(", "def gen_env(")],
        expect![[r#"
        log-path: not-found: class `FMK` has no method `gen_env_for_fmk`
        code-cwd: applied (line 26)
    "#]],
    );
    check(
        "",
        expect![[r#"
        log-path: not-found: there is no class `FMK`
        code-cwd: not-found: there is no class `FMK`
    "#]],
    );
}

#[test]
fn decorators_and_hints() {
    check_short(
        &[
            ("class FMK:", "@register('FMK')\nclass FMK(Base, metaclass=Meta):"),
            (
                "    def gen_env_for_fmk(self, rank_size):",
                "    @trace\n    @retry(times=3)\n    def gen_env_for_fmk(self, rank_size: int = 8, *, more: 'X' = None) -> 'Dict[str, str]':",
            ),
            ("        current_envs = os", "        current_envs: dict = os"),
            (
                "    def run(self, rank_size, command):",
                "    @trace\n    async def run(self, /, rank_size: int, command: list) -> object:",
            ),
        ],
        expect![[r#"
            log-path: applied (line 16)
            code-cwd: applied (line 30)
        "#]],
    );
}

#[test]
fn os_is_imported_where_it_is_missing() {
    check(
        short_with(&[("import os\n", ""), ("os.environ.copy()", "{}"), ("not in os.environ", "not in {}")]),
        expect![[r#"
            log-path: applied (line 12)
            code-cwd: applied (line 25)
            @@ -1,4 +1,5 @@
            +import os
            @@ -9,6 +10,10 @@
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -22,5 +27,5 @@
            -        with self.switch_directory(self.get_working_dir()):
            +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        "#]],
    );
    check(
        short_with(&[("import os\nimport subprocess\n", "'''Doc.'''\n")]),
        expect![[r#"
        log-path: applied (line 12)
        code-cwd: applied (line 25)
        @@ -1,4 +1,5 @@
        +import os
        @@ -9,6 +10,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -22,5 +27,5 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
    check(
        short_with(&[(
            "import os\nimport subprocess\n",
            "from __future__ import annotations\nfrom subprocess import (\n    Popen,\n    PIPE,\n)  # both\n",
        )]),
        expect![[r#"
            log-path: applied (line 16)
            code-cwd: applied (line 29)
            @@ -3,6 +3,7 @@
            +import os
            @@ -13,6 +14,10 @@
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -26,5 +31,5 @@
            -        with self.switch_directory(self.get_working_dir()):
            +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        "#]],
    );
    check(
        short_with(&[("import os\n", "import os as system\n")]),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -1,5 +1,6 @@
        +import os
        @@ -10,6 +11,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -23,5 +28,5 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
    check(
        short_with(&[("import os\n", "if DEBUG:\n    import os\n")]),
        expect![[r#"
        log-path: applied (line 14)
        code-cwd: applied (line 27)
        @@ -1,6 +1,7 @@
        +import os
        @@ -11,6 +12,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -24,5 +29,5 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
    check(
        short_with(&[("import subprocess\n", "from common import *\n")]),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -1,5 +1,6 @@
        +import os
        @@ -10,6 +11,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -23,5 +28,5 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
}

#[test]
fn os_is_the_module() {
    for import in [
        "import os.path\n",
        "import sys, os\n",
        "import os as os\n",
        "import re; import os\n",
        "from common import *\nimport os\n",
    ] {
        let report = crate::judged::judge(short_with(&[("import os\n", import)]));
        assert!(report.splices.iter().all(|splice| !splice.text.starts_with(b"import")), "{import}");
        assert!(report.is_good(), "{import}");
    }
}

#[test]
fn os_is_something_else() {
    check_short(
        &[("import os\n", "from common import os\n")],
        expect![[r#"
        log-path: conflict: `os` is not only the module: see line 1
        code-cwd: conflict: `os` is not only the module: see line 1
    "#]],
    );
    check_short(
        &[("import os\n", "try:\n    import os\nexcept ImportError:\n    os = None\n")],
        expect![[r#"
        log-path: conflict: `os` is not only the module: see line 4
        code-cwd: conflict: `os` is not only the module: see line 4
    "#]],
    );
    check_short(
        &[("rank_size, command):", "rank_size, command, os=None):")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: `os` is not the module in `run`: see line 24
    "#]],
    );
    check_short(
        &[("        envs = self", "        import os.path as os\n        envs = self")],
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: conflict: `os` is not the module in `run`: see line 25
    "#]],
    );
    check_short(
        &[("            return subprocess", "            import os\n            return subprocess")],
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: conflict: `os` may not be imported yet: `run` does so at line 27
        "#]],
    );
    check(
        format!("{SHORT}\n\ndef hide():\n    global os\n    os = None\n"),
        expect![[r#"
        log-path: conflict: `os` is not only the module: see line 32
        code-cwd: conflict: `os` is not only the module: see line 32
    "#]],
    );
    check(
        format!("{SHORT}\n\nfrom common import *\n"),
        expect![[r#"
        log-path: conflict: `os` may be something else after the `import *` at line 30
        code-cwd: conflict: `os` may be something else after the `import *` at line 30
    "#]],
    );
}
