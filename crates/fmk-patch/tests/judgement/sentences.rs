//! What is said of each way to fail, one script for each.

use expect_test::expect_file;

use crate::judged::{CALL, judge, short_with};

#[test]
fn each_names_the_line_where_it_looked() {
    const RETURN: &str = "return current_envs\n";
    const FILL: &str = "current_envs['RANK_SIZE']";
    const SET: &str = "FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', FMK.get_log_dir() + '/' + self.job_id + '/ascend/process_log/rank_' + self.rank_id)\n        return current_envs\n";
    let mut said = String::new();
    for change in [
        ("class FMK:", "class Fmk:"),
        ("class FMK:", "class FMK: pass\nclass FMK:"),
        ("def gen_env_for_fmk", "def gen_env"),
        ("def run(", "def gen_env_for_fmk(self): pass\n    def run("),
        (RETURN, "pass\n"),
        (RETURN, "return\n        return\n"),
        (RETURN, "return 1\n"),
        (RETURN, "if 1: return current_envs\n"),
        (RETURN, "pass; return current_envs\n"),
        (RETURN, SET),
        (
            RETURN,
            "FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', '/tmp')\n        return current_envs\n",
        ),
        (RETURN, "f('ASCEND_PROCESS_LOG_PATH')\n        return current_envs\n"),
        (RETURN, "f('ASCEND_PROCESS_LOG_PATH', 'ASCEND_PROCESS_LOG_PATH')\n        return current_envs\n"),
        ("    def gen_env", "    @staticmethod\n    def gen_env"),
        (FILL, "current_envs = log_dir"),
        (FILL, "x = log_dir"),
        ("(envs, env_name, env_value)", "(envs)"),
        ("self.job_id =", "self.job ="),
        ("    def run(", "    def rank_id(self): pass\n    def run("),
        ("import os\n", ""),
        ("import os\n", "import os\nos = 1\n"),
        ("import os\n", "import os\nfrom x import *\n"),
        ("command):", "os):"),
        (CALL, "switch_directory(1)"),
        (CALL, "self.switch_directory()"),
        (CALL, "self.switch_directory((yield))"),
        ("envs = self.", "self = self."),
        ("    def run(", "    @classmethod\n    def run("),
        ("            return sub", "            pass\n        return sub"),
        ("return subprocess.Popen", "return start"),
        ("(command", "(*command"),
        ("env=envs", "cwd=work"),
        ("env=envs", "preexec_fn=enter"),
        ("env=envs", "**self.options"),
        ("envs = self.", "os.chdir(work); envs = self."),
        ("envs = self.", "subprocess.Popen = start; envs = self."),
        ("envs = self.", "options['cwd'] = 1; envs = self."),
        ("import subprocess\n", ""),
        ("subprocess.Popen", "Popen"),
        ("os.chdir(directory)", "os.chdir(work)"),
        (CALL, "lock"),
        ("def run(", "def run(self): pass\n    def start("),
    ] {
        for (edit, status) in &judge(short_with(&[change])).edits {
            if !matches!(status.word(), "applied" | "already-applied") {
                said.push_str(&format!("{edit}: {status}\n"));
            }
        }
    }
    expect_file!["sentences.txt"].assert_eq(&said);
}
