//! Line endings, indentation, encodings: what is put in looks like what stands around it, and all else stays.

use fmk_patch::Edit;

use crate::judged::{SHORT, check_rows, edited, judge};

/// Changes a text with or without the edits in the same way.
pub type Layout = fn(&str) -> Vec<u8>;

fn with_head(head: &[u8], text: &str) -> Vec<u8> {
    [head, text.as_bytes()].concat()
}

/// Has `change` change each line that the edit *log-path* adds and those around, and `other` all others.
fn lines(text: &str, change: fn(&str) -> String, other: fn(&str) -> String) -> Vec<u8> {
    let is_there = |line: &str| ["current_envs", "log_dir =", "process_log_path ="].iter().any(|it| line.contains(it));
    let changed = text.split_inclusive('\n').map(|line| if is_there(line) { change(line) } else { other(line) });
    changed.collect::<String>().into()
}

fn with_cr(line: &str) -> String {
    line.replace('\n', "\r\n")
}

/// The line with an ending that depends on how it begins.
fn with_any_ending(line: &str) -> String {
    let endings = ["\n", "\r\n", "\r"];
    line.replace('\n', endings[line.bytes().take(20).map(usize::from).sum::<usize>() % endings.len()])
}

/// The text with `gen_env_for_fmk` as its last method, and no final newline.
fn return_last(text: &str) -> String {
    let (head, rest) = text.split_once("    def gen_env_for_fmk(self, rank_size)").unwrap();
    let (method, tail) = rest.split_once("\n    @static").unwrap();
    format!("{head}    @static{tail}\n    def gen_env_for_fmk(self, rank_size){method}").trim_end().to_owned()
}

pub const LAYOUTS: [(&str, Layout); 19] = [
    ("LF", |text| text.into()),
    ("CR LF", |text| text.replace('\n', "\r\n").into()),
    ("CR", |text| text.replace('\n', "\r").into()),
    ("CR LF at the return, else of all kinds", |text| lines(text, with_cr, with_any_ending)),
    ("no final newline", |text| text.trim_end().into()),
    ("the return last, LF", |text| return_last(text).into()),
    ("the return last, CR LF", |text| return_last(text).replace('\n', "\r\n").into()),
    ("the return last, CR", |text| return_last(text).replace('\n', "\r").into()),
    ("tabs", |text| text.replace("    ", "\t").into()),
    ("tabs before blanks", |text| lines(text, |line| line.replacen("        ", "\t    ", 1), str::to_owned)),
    ("one blank", |text| text.replace("    ", " ").into()),
    ("a form feed", |text| text.replace("\n\nclass", "\n\x0c\nclass").into()),
    ("a comment that ends with a backslash", |text| text.replace("= str(rank_size)\n", "= 1  # C:\\\\ x\n").into()),
    ("a byte order mark", |text| with_head(b"\xef\xbb\xbf", text)),
    ("a mark and a cookie", |text| with_head(b"\xef\xbb\xbf# -*- coding: utf-8 -*-\n", text)),
    ("GBK with a byte like a backslash", |text| {
        with_head(b"# -*- coding: gbk -*-\n# \xb2\xce\xca\xfd \x81\x5c\n", text)
    }),
    ("Latin-1", |text| with_head(b"#!/usr/bin/python\n# vim: fileencoding=latin-1\nX = '\xe9'\n", text)),
    ("UTF-8", |text| with_head("# \u{4e2d}\u{6587}\n".as_bytes(), text)),
    ("a return over several lines", |text| {
        text.replace("return current_envs\n\n", "return (  # all of\n            current_envs\n        )\n\n").into()
    }),
];

#[test]
fn nothing_but_the_edits_changes_and_they_look_like_their_neighbours() {
    for (name, layout) in LAYOUTS {
        assert_eq!(judge(layout(SHORT)).output, Some(layout(&edited(SHORT))), "{name}");
    }
}

#[test]
fn a_return_that_shares_its_line_is_left() {
    const END: &str = "str(rank_size)\n        return current_envs\n";
    check_rows(
        &[Edit::LogPath],
        &[
            (END, "str(rank_size); return current_envs\n", "conflict 12"),
            (END, "str(rank_size); \\\n        return current_envs\n", "conflict 13"),
            (END, "1\n        if rank_size: return current_envs\n", "conflict 13"),
        ],
    );
}
