//! A judgement with what must be true of every one.

use fmk_patch::{Edit, Edits, Report, Status, patch};

/// Judges `text` and checks what holds whatever the text is: the output differs only in the edits, and has them.
pub fn judge(text: impl AsRef<[u8]>) -> Report {
    let text = text.as_ref();
    let report = patch(text, Edits::ALL).unwrap();
    let Some(output) = &report.output else {
        assert!(report.splices.is_empty());
        return report;
    };
    assert!(report.is_good());
    assert!(file_edit::apply(text, &report.splices) == *output, "the output differs elsewhere");
    let again = patch(output, Edits::ALL).unwrap();
    assert_eq!(again.output, None, "a second run changes something");
    for ((edit, before), (_, after)) in report.edits.iter().zip(&again.edits) {
        let has_it = matches!(after, Status::AlreadyApplied { .. } | Status::NotApplicable { .. });
        assert!(has_it, "{edit} was {before} and is {after}");
    }
    report
}

/// A short script of the pristine kind, for changes by [`str::replace`].
pub const SHORT: &str = "\
import os
import subprocess
from contextlib import contextmanager

class FMK:
    def __init__(self, index, device):
        self.job_id = str(get_job_id())
        self.rank_id = str(device.rank_id)

    def gen_env_for_fmk(self, rank_size):
        current_envs = os.environ.copy()
        current_envs['RANK_SIZE'] = str(rank_size)
        return current_envs

    @staticmethod
    def get_log_dir():
        return '/tmp/log'

    @staticmethod
    def set_env_if_not_exist(envs, env_name, env_value):
        if env_name not in os.environ:
            envs[env_name] = env_value

    def run(self, rank_size, command):
        envs = self.gen_env_for_fmk(rank_size)
        with self.switch_directory(self.get_working_dir()):
            return subprocess.Popen(command, env=envs)

    @contextmanager
    def switch_directory(self, directory):
        owd = os.getcwd()
        try:
            os.chdir(directory)
            yield
        finally:
            os.chdir(owd)
";

/// The last line of [`SHORT`], and `text` after the class.
pub fn behind(text: &str) -> String {
    format!("{LAST}\n\n{text}")
}

/// The last line of [`SHORT`].
pub const LAST: &str = "            os.chdir(owd)\n";

/// [`SHORT`] with the first of each pair, which occurs once, replaced by the second.
pub fn short_with(changes: &[(&str, &str)]) -> String {
    let mut text = SHORT.to_owned();
    for (old, new) in changes {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text = text.replace(old, new);
    }
    text
}

/// A call as it is in most scripts, and with the edit *code-cwd*.
pub const CALL: &str = "self.switch_directory(self.get_working_dir())";
pub const CODE_CWD: &str = r#"self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd()))"#;

/// A text with the layout of [`SHORT`] with both edits.
pub fn edited(text: &str) -> String {
    let new = "        log_dir = FMK.get_log_dir()
        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
        return current_envs

    @static";
    text.replace("        return current_envs\n\n    @static", new).replace(CALL, CODE_CWD)
}

/// A status as its word and the lines that it names: `conflict 12`.
pub fn brief(status: &Status) -> String {
    let text = status.to_string();
    let lines = text.rsplit_once("line").map_or("", |(_, lines)| lines);
    let lines = lines.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    [status.word()].into_iter().chain(lines).collect::<Vec<_>>().join(" ")
}

/// Judges [`SHORT`] with the first of each row replaced by the second: the third is, by [`brief`], how each of `edits`
/// ends. The other can be made.
pub fn check_rows(edits: &[Edit], rows: &[(&str, &str, &str)]) {
    for (old, new, expected) in rows {
        for (edit, status) in judge(short_with(&[(old, new)])).edits {
            match edits.contains(&edit) {
                true => assert_eq!(brief(&status), *expected, "{edit}: {new}"),
                false => assert_eq!(status.word(), "applied", "{edit}: {new}"),
            }
        }
    }
}
