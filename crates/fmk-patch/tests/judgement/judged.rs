//! A judgement with what must be true of every one.

use expect_test::Expect;
use fmk_patch::{Edits, Report, Status, patch, unified_diff};

/// Judges `text` and checks what holds whatever the text is: the output differs only in the edits, and has them.
pub fn judge(text: impl AsRef<[u8]>) -> Report {
    let text = text.as_ref();
    let report = patch(text, Edits::ALL).unwrap();
    let Some(output) = &report.output else {
        assert!(report.splices.is_empty());
        return report;
    };
    assert!(report.is_good());
    let mut rebuilt = Vec::new();
    let mut kept = 0;
    for splice in &report.splices {
        rebuilt.extend_from_slice(&text[kept..splice.range.start]);
        rebuilt.extend_from_slice(&splice.text);
        kept = splice.range.end;
    }
    rebuilt.extend_from_slice(&text[kept..]);
    assert!(rebuilt == *output, "the output differs elsewhere");
    assert!(
        apply_diff(text, &unified_diff(b"fmk.py", text, &report.splices)) == *output,
        "the diff makes something else"
    );
    let again = patch(output, Edits::ALL).unwrap();
    assert_eq!(again.output, None, "a second run changes something");
    for ((edit, before), (_, after)) in report.edits.iter().zip(&again.edits) {
        let has_it = matches!(after, Status::AlreadyApplied { .. } | Status::NotApplicable { .. });
        assert!(has_it, "{edit} was {before} and is {after}");
    }
    report
}

/// Applies a unified diff as `patch` does, but with no tolerance: each line must be where the diff says.
fn apply_diff(old: &[u8], diff: &[u8]) -> Vec<u8> {
    let old: Vec<&[u8]> = old.split_inclusive(|&byte| byte == b'\n').collect();
    let mut diff = diff.split_inclusive(|&byte| byte == b'\n').peekable();
    assert_eq!(diff.next(), Some(&b"--- fmk.py\n"[..]));
    assert_eq!(diff.next(), Some(&b"+++ fmk.py\n"[..]));
    let mut new: Vec<Vec<u8>> = Vec::new();
    let mut at = 0;
    while let Some(header) = diff.next() {
        let header = std::str::from_utf8(header).unwrap();
        let numbers: Vec<usize> =
            header.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        let [old_start, old_count, new_start, new_count] = numbers[..] else { panic!("{header}") };
        let start = if old_count == 0 { old_start } else { old_start - 1 };
        new.extend(old[at..start].iter().map(|line| line.to_vec()));
        at = start;
        assert_eq!(new.len(), if new_count == 0 { new_start } else { new_start - 1 }, "{header}");
        let end = new.len() + new_count;
        while let Some(line) = diff.next_if(|line| !line.starts_with(b"@@")) {
            let no_newline = diff.next_if(|next| next.starts_with(b"\\ No newline")).is_some();
            let text = &line[1..line.len() - usize::from(no_newline)];
            if line[0] != b'+' {
                assert_eq!(old[at], text, "{header}");
                at += 1;
            }
            if line[0] != b'-' {
                new.push(text.to_vec());
            }
        }
        assert_eq!((at, new.len()), (start + old_count, end), "{header}");
    }
    new.extend(old[at..].iter().map(|line| line.to_vec()));
    new.concat()
}

/// The statuses of `text` and the diff to its output, with `\r` and tabs made visible.
pub fn check(text: impl AsRef<[u8]>, expected: Expect) {
    let text = text.as_ref();
    let report = judge(text);
    let mut actual = String::new();
    for (edit, status) in &report.edits {
        actual.push_str(&format!("{edit}: {status}\n"));
    }
    let diff = unified_diff(b"fmk.py", text, &report.splices);
    let diff = String::from_utf8_lossy(&diff);
    // The two lines with the name say nothing here, and context is no change.
    for line in diff.split_inclusive('\n').skip(2).filter(|line| !line.starts_with(' ')) {
        actual.push_str(&line.replace('\r', "\\r").replace('\t', "\\t"));
    }
    expected.assert_eq(&actual);
}

/// A short script of the pristine kind, for changes by [`str::replace`].
pub const SHORT: &str = "\
import os
import subprocess


class FMK:
    def __init__(self, index, device):
        self.job_id = get_job_id()
        self.rank_id = device.rank_id

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
";

/// [`SHORT`] with the first of each pair, which occurs once, replaced by the second.
pub fn short_with(changes: &[(&str, &str)]) -> String {
    let mut text = SHORT.to_owned();
    for (old, new) in changes {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text = text.replace(old, new);
    }
    text
}

/// Only the statuses of [`SHORT`] with changes.
pub fn check_short(changes: &[(&str, &str)], expected: Expect) {
    let report = judge(short_with(changes));
    let lines: Vec<String> = report.edits.iter().map(|(edit, status)| format!("{edit}: {status}\n")).collect();
    expected.assert_eq(&lines.concat());
}
