//! Line endings, indentation, encodings: what is put in looks like what stands around it, and all else stays.

use expect_test::expect;

use crate::judged::{SHORT, check, judge, short_with};

#[test]
fn line_endings_of_the_neighbours() {
    check(
        SHORT.replace('\n', "\r\n"),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -10,6 +10,10 @@
        +        log_dir = FMK.get_log_dir()\r
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)\r
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)\r
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)\r
        @@ -23,5 +27,5 @@
        -        with self.switch_directory(self.get_working_dir()):\r
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):\r
    "#]],
    );
    check(
        SHORT.replace('\n', "\r"),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -1,1 +1,1 @@
        -import os\rimport subprocess\r\r\rclass FMK:\r    def __init__(self, index, device):\r        self.job_id = get_job_id()\r        self.rank_id = device.rank_id\r\r    def gen_env_for_fmk(self, rank_size):\r        current_envs = os.environ.copy()\r        current_envs['RANK_SIZE'] = str(rank_size)\r        return current_envs\r\r    @staticmethod\r    def get_log_dir():\r        return '/tmp/log'\r\r    @staticmethod\r    def set_env_if_not_exist(envs, env_name, env_value):\r        if env_name not in os.environ:\r            envs[env_name] = env_value\r\r    def run(self, rank_size, command):\r        envs = self.gen_env_for_fmk(rank_size)\r        with self.switch_directory(self.get_working_dir()):\r            return subprocess.Popen(command, env=envs)\r
        \ No newline at end of file
        +import os\rimport subprocess\r\r\rclass FMK:\r    def __init__(self, index, device):\r        self.job_id = get_job_id()\r        self.rank_id = device.rank_id\r\r    def gen_env_for_fmk(self, rank_size):\r        current_envs = os.environ.copy()\r        current_envs['RANK_SIZE'] = str(rank_size)\r        log_dir = FMK.get_log_dir()\r        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)\r        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)\r        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)\r        return current_envs\r\r    @staticmethod\r    def get_log_dir():\r        return '/tmp/log'\r\r    @staticmethod\r    def set_env_if_not_exist(envs, env_name, env_value):\r        if env_name not in os.environ:\r            envs[env_name] = env_value\r\r    def run(self, rank_size, command):\r        envs = self.gen_env_for_fmk(rank_size)\r        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):\r            return subprocess.Popen(command, env=envs)\r
        \ No newline at end of file
    "#]],
    );
    // Mixed: only the line of the `return` counts.
    check(
        short_with(&[("return current_envs\n", "return current_envs\r\n")]),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -10,6 +10,10 @@
        +        log_dir = FMK.get_log_dir()\r
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)\r
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)\r
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)\r
        @@ -23,5 +27,5 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
}

/// [`SHORT`] with `gen_env_for_fmk` as its last method.
fn return_last(ending: &str) -> String {
    let (head, rest) = SHORT.split_once("    def gen_env_for_fmk").unwrap();
    let (method, tail) = rest.split_once("\n    @static").unwrap();
    let text = format!("{head}    @static{tail}\n    def gen_env_for_fmk{method}");
    text.trim_end().replace('\n', ending)
}

#[test]
fn no_final_newline() {
    for ending in ["\n", "\r\n", "\r"] {
        let text = return_last(ending);
        let output = String::from_utf8(judge(&text).output.unwrap()).unwrap();
        assert!(output.ends_with(&format!("exist_ok=True){ending}        return current_envs")), "{ending:?}");
        assert_eq!(output.matches(ending).count(), text.matches(ending).count() + 4);
    }
    check(
        SHORT.trim_end(),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -10,6 +10,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -23,5 +27,5 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        \ No newline at end of file
    "#]],
    );
    check(
        short_with(&[("return subprocess.Popen(command, env=envs)\n", "return")]),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -10,6 +10,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -23,5 +27,5 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        \ No newline at end of file
    "#]],
    );
}

#[test]
fn tabs() {
    check(
        SHORT.replace("    ", "\t"),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -10,6 +10,10 @@
        +\t\tlog_dir = FMK.get_log_dir()
        +\t\tprocess_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +\t\tFMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +\t\tos.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -23,5 +27,5 @@
        -\t\twith self.switch_directory(self.get_working_dir()):
        +\t\twith self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
    // Tabs and blanks mixed, as Python 3 allows it: each block is consistent in itself.
    check(
        short_with(&[
            ("        current_envs = os", "\t    current_envs = os"),
            (
                "        current_envs['RANK_SIZE'] = str(rank_size)\n        return",
                "\t    current_envs['RANK_SIZE'] = str(rank_size)\n\t    return",
            ),
        ]),
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: applied (line 26)
            @@ -10,6 +10,10 @@
            +\t    log_dir = FMK.get_log_dir()
            +\t    process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +\t    FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +\t    os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -23,5 +27,5 @@
            -        with self.switch_directory(self.get_working_dir()):
            +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        "#]],
    );
}

#[test]
fn one_blank_and_a_form_feed() {
    check(
        SHORT.replace("    ", " "),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -10,6 +10,10 @@
        +  log_dir = FMK.get_log_dir()
        +  process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +  FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +  os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -23,5 +27,5 @@
        -  with self.switch_directory(self.get_working_dir()):
        +  with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
    check(
        short_with(&[("\n\nclass FMK", "\n\x0c\nclass FMK")]),
        expect![[r#"
        log-path: applied (line 13)
        code-cwd: applied (line 26)
        @@ -10,6 +10,10 @@
        +        log_dir = FMK.get_log_dir()
        +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        @@ -23,5 +27,5 @@
        -        with self.switch_directory(self.get_working_dir()):
        +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
    "#]],
    );
}

#[test]
fn byte_order_mark_and_cookies() {
    let head = |first: &[u8]| [first, SHORT.as_bytes()].concat();
    for first in [
        &b"\xef\xbb\xbf"[..],
        b"\xef\xbb\xbf# -*- coding: utf-8 -*-\n",
        b"# -*- coding: gbk -*-\n# \xb2\xce\xca\xfd \x81\x5c\n",
        b"#!/usr/bin/python\n# vim: fileencoding=latin-1\nX = '\xe9'\n",
        "# \u{4e2d}\u{6587}\n".as_bytes(),
    ] {
        let output = judge(head(first)).output.unwrap();
        assert!(output.starts_with(first));
    }
}

#[test]
fn a_byte_order_mark_without_any_import() {
    let text = format!("\u{feff}{}", short_with(&[("import os\nimport subprocess\n\n\n", "")]));
    let output = String::from_utf8(judge(text).output.unwrap()).unwrap();
    assert!(output.starts_with("\u{feff}import os\nclass FMK:\n"));
}

#[test]
fn the_return_shares_its_line() {
    let conflict = |new: &str| {
        let report = judge(short_with(&[("str(rank_size)\n        return current_envs\n", new)]));
        report.edits[0].1.to_string()
    };
    assert_eq!(
        conflict("str(rank_size); return current_envs\n"),
        "conflict: the `return` at line 12 shares its line with another statement"
    );
    assert_eq!(
        conflict("str(rank_size); \\\n        return current_envs\n"),
        "conflict: the `return` at line 13 shares its line with another statement"
    );
    assert_eq!(
        conflict("1\n        if rank_size: return current_envs\n"),
        "conflict: the `return` at line 13 shares its line with another statement"
    );
}

#[test]
fn a_return_over_several_lines() {
    check(
        short_with(&[("return current_envs\n", "return (  # all of\n            current_envs\n        )\n")]),
        expect![[r#"
            log-path: applied (line 13)
            code-cwd: applied (line 28)
            @@ -10,6 +10,10 @@
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
            @@ -25,5 +29,5 @@
            -        with self.switch_directory(self.get_working_dir()):
            +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
        "#]],
    );
}
