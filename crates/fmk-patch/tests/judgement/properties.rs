//! What holds for texts that nobody has thought of.

use fmk_patch::{Edits, Status, patch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::judged::judge;

/// Blocks that may stand anywhere in a function, with one level of indentation as a tab. None uses a name of the edits.
const STATEMENTS: [&str; 16] = [
    "pass",
    "x = 1",
    "x, *y = [1, 2, (3, {'a': 4})]",
    "if x:\n\ty = 1\nelif y:\n\tpass\nelse:\n\tx = 2",
    "for x in range(3):\n\tcontinue\nelse:\n\tpass",
    "while x: x -= 1",
    "try:\n\tx = f(1)\nexcept (OSError, ValueError) as error:\n\tlog.info(error)\nfinally:\n\tpass",
    "def inner(a, *b, c=1, **d):\n\treturn current_envs",
    "class Inner:\n\tdef run(self):\n\t\treturn self",
    "y = lambda a, b=1: (a, b)",
    "z = [a for a in y if a if not x]",
    "# return current_envs",
    "'''with self.switch_directory(1):\nreturn current_envs'''",
    "assert x, 'with self.switch_directory(x):'",
    "with open(x) as y, z:\n\tpass",
    "x = f'{y!r:>{z}} {{current_envs}}' \\\n\t'ASCEND'",
];

/// Blocks that may stand outside all functions.
const TOP_LEVEL: [&str; 8] = [
    "import re",
    "from common import (\n\tA,\n\tB as b,\n)",
    "try:\n\timport json\nexcept ImportError:\n\tjson = None",
    "X = {'os': 1}",
    "def switch(directory):\n\tyield directory",
    "class Other(object):\n\tdef gen_env_for_fmk(self):\n\t\treturn {}",
    "if X:\n\tX = None",
    "# class FMK:",
];

const IMPORTS: [&str; 4] = ["import os", "import sys, os", "import os.path", "X = 0"];

const ARGUMENTS: [&str; 5] =
    ["self.get_working_dir()", "'/tmp'", "os.path.join(\n\t\t'a', # b\n\t\t'c')", "directory=x", "(x)"];

#[derive(Debug, Clone)]
struct Text {
    before: Vec<&'static str>,
    import: &'static str,
    after: Vec<&'static str>,
    in_environment: Vec<&'static str>,
    in_run: Vec<&'static str>,
    arguments: Vec<&'static str>,
    run_first: bool,
    bom: bool,
    indentation: &'static str,
    endings: Vec<&'static str>,
    ended: bool,
}

fn text() -> impl Strategy<Value = Text> {
    let endings = prop_oneof![
        Just(vec!["\n"]),
        Just(vec!["\r\n"]),
        Just(vec!["\r"]),
        vec(select(&["\n", "\r\n", "\r"][..]), 1..20),
    ];
    let blocks = || vec(select(&STATEMENTS[..]), 0..5);
    (
        (vec(select(&TOP_LEVEL[..]), 0..4), select(&IMPORTS[..]), vec(select(&TOP_LEVEL[..]), 0..4)),
        (blocks(), blocks(), vec(select(&ARGUMENTS[..]), 1..4)),
        (any::<bool>(), any::<bool>(), select(&["    ", "\t", " ", "  "][..]), endings, any::<bool>()),
    )
        .prop_map(|((before, import, after), (in_environment, in_run, arguments), layout)| {
            let (run_first, bom, indentation, endings, ended) = layout;
            Text {
                before,
                import,
                after,
                in_environment,
                in_run,
                arguments,
                run_first,
                bom,
                indentation,
                endings,
                ended,
            }
        })
}

impl Text {
    fn render(&self) -> Vec<u8> {
        let indent = |block: &str, depth: usize| -> String {
            block.lines().map(|line| format!("{}{line}\n", "\t".repeat(depth))).collect()
        };
        let blocks = |blocks: &[&str], depth: usize| -> String { blocks.iter().map(|it| indent(it, depth)).collect() };
        let environment = format!(
            "\tdef gen_env_for_fmk(self, rank_size):\n\t\tcurrent_envs = dict()\n{}\t\treturn current_envs\n",
            blocks(&self.in_environment, 2)
        );
        let switches: String = self
            .arguments
            .iter()
            .map(|argument| indent(&format!("with self.switch_directory({argument}):\n\tsubprocess.Popen(command)"), 2))
            .collect();
        let run = format!("\tdef run(self, rank_size, command):\n{}{switches}", blocks(&self.in_run, 2));
        let (first, last) = if self.run_first { (&run, &environment) } else { (&environment, &run) };
        let unix = format!(
            "{}{}\n{}class FMK:\n\tdef __init__(self):\n\t\tself.job_id = self.rank_id = ''\n\n{first}\n\
             \t@staticmethod\n\tdef get_log_dir():\n\t\treturn ''\n\n\
             \t@staticmethod\n\tdef set_env_if_not_exist(envs, name, value):\n\t\tenvs[name] = value\n\n{last}",
            blocks(&self.before, 0),
            self.import,
            blocks(&self.after, 0)
        );
        let mut lines: Vec<String> = unix.split('\n').map(|line| line.replace('\t', self.indentation)).collect();
        lines.pop();
        let mut bytes = if self.bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        let count = lines.len();
        for (number, line) in lines.into_iter().enumerate() {
            bytes.extend_from_slice(line.as_bytes());
            let ending = self.endings[number % self.endings.len()];
            if number + 1 < count || self.ended {
                bytes.extend_from_slice(ending.as_bytes());
            }
        }
        bytes
    }
}

/// Pieces of which texts are put together that may be Python or not.
const PIECES: [&str; 60] = [
    "class FMK",
    "class ",
    "def gen_env_for_fmk(self, rank_size)",
    "def run(self)",
    "def ",
    "async ",
    ":",
    "\n",
    "\n    ",
    "\n        ",
    "\n\t",
    "\r\n",
    "\r",
    "\\\n",
    "return current_envs",
    "return ",
    "current_envs",
    " = ",
    "with self.switch_directory(",
    "with ",
    ")",
    "(",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "'''",
    "\"\"\"",
    "f'",
    "f'{",
    "import os",
    "from os import path",
    "import *",
    "os.getenv(\"MODEL_TASK_CWD\", os.getcwd())",
    "FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)",
    "self",
    ".",
    ",",
    "lambda ",
    "if ",
    " else ",
    "for x in ",
    "yield ",
    "await ",
    "not ",
    "- ",
    "** ",
    "+ ",
    "a",
    "1",
    "@",
    "# ",
    "\u{feff}",
    "\u{4e2d}",
    "# coding: gbk",
    "match x:",
    "case ",
    "try:",
];

/// Texts that are mostly wrong.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let repeat = prop_oneof![8 => 1..2usize, 1 => 2..400usize, 1 => 3000..6000usize];
    vec((select(&PIECES[..]), repeat), 0..40)
        .prop_map(|pieces| pieces.iter().map(|(piece, times)| piece.repeat(*times)).collect::<String>().into_bytes())
}

/// What happens to one line of a good script.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Drop,
    Double,
    Indent,
    Dedent,
    Join,
    SwapWithNext,
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    use Damage::*;
    let shapes = [
        include_str!("../shapes/pristine.py"),
        include_str!("../shapes/newer.py"),
        include_str!("../shapes/package_relative.py"),
        include_str!("../shapes/refactored.py"),
        include_str!("../shapes/already_patched.py"),
    ];
    let damages =
        vec((any::<prop::sample::Index>(), select(vec![Drop, Double, Indent, Dedent, Join, SwapWithNext])), 1..4);
    (select(shapes.to_vec()), damages).prop_map(|(shape, damages)| {
        let mut lines: Vec<String> = shape.split_inclusive('\n').map(str::to_owned).collect();
        for (index, damage) in damages {
            let at = index.index(lines.len());
            match damage {
                Drop => drop(lines.remove(at)),
                Double => lines.insert(at, lines[at].clone()),
                Indent => lines[at].insert_str(0, "    "),
                Dedent => lines[at] = lines[at].replacen("    ", "", 1),
                Join => lines[at] = lines[at].trim_end().to_owned(),
                SwapWithNext => {
                    let next = (at + 1) % lines.len();
                    lines.swap(at, next);
                }
            }
        }
        lines.concat().into_bytes()
    })
}

/// Whatever the text is: refused, or judged with all that [`judge`] checks.
fn judged_or_refused(text: &[u8]) {
    if patch(text, Edits::ALL).is_ok() {
        judge(text);
    }
}

proptest! {
    #[test]
    fn the_edits_are_made_in_any_surroundings(text in text()) {
        let bytes = text.render();
        let report = judge(&bytes);
        for (edit, status) in &report.edits {
            let applied = matches!(status, Status::Applied { .. });
            prop_assert!(applied, "{edit}: {status}\n{}", String::from_utf8_lossy(&bytes));
        }
        // Nothing but the two edits and perhaps the import.
        let import = usize::from(text.import == "X = 0");
        prop_assert_eq!(report.splices.len(), 1 + text.arguments.len() + import);
    }

    #[test]
    fn damaged_scripts_are_never_damaged_further(text in damaged()) {
        judged_or_refused(&text);
    }

    #[test]
    fn nonsense_is_borne(text in soup()) {
        judged_or_refused(&text);
    }

    #[test]
    fn any_bytes_are_borne(text in vec(any::<u8>(), 0..300)) {
        judged_or_refused(&text);
    }
}
