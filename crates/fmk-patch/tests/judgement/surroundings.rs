//! The class, its methods, and `os`: what both edits are about and what they need.

use fmk_patch::{Edit, Edits, Status, patch};

use crate::judged::{CALL, CODE_CWD, LAST, SHORT, behind, check_rows, edited, judge, short_with};

const IMPORT: &str = "import os\n";
const HEAD: &str = "class FMK:";
const ENV: &str = "        envs = self";

#[test]
fn neighbours_that_change_nothing() {
    let hints = "def gen_env_for_fmk(self, rank_size: int = 8, *, more: 'X' = None) -> 'Dict[str, str]':";
    for (old, new) in [
        (HEAD, "class Other:\n    def run(self): pass\nclass FMK:"),
        (HEAD, "@register('FMK')\nclass FMK(Base, metaclass=Meta):"),
        (LAST, &behind("class FMKManager(FMK):\n    def run(self):\n        return 1\n")),
        ("    def gen_env", "    @trace\n    @retry(times=3)\n    def gen_env"),
        ("def gen_env_for_fmk(self, rank_size):", hints),
        ("        current_envs = os", "        current_envs: dict = os"),
        ("    def run(self, rank_size,", "    @trace\n    async def run(self, /, rank_size: int,"),
        (IMPORT, "import os.path\n"),
        (IMPORT, "import sys, os\n"),
        (IMPORT, "import os as os\n"),
        (IMPORT, "import re; import os\n"),
        (IMPORT, "import os\nimport os.path\n"),
        (IMPORT, "from common import *\nimport os\n"),
    ] {
        let text = short_with(&[(old, new)]);
        assert_eq!(judge(&text).output, Some(edited(&text).into_bytes()), "{new}");
    }
}

#[test]
fn classes_and_methods() {
    check_rows(
        &Edit::ALL,
        &[
            (HEAD, "class Fmk:", "not-found"),
            (HEAD, "def f():\n  class FMK:\n   pass\nclass Fmk:", "not-found"),
            (HEAD, "class FMK:\n    pass\nclass FMK:", "ambiguous 5 7"),
            (LAST, &behind("FMK = wrap(FMK)\n"), "ambiguous 5 39"),
            (LAST, &behind("def f():\n    global FMK\n"), "ambiguous 5 40"),
            (LAST, &behind("if True:\n    class FMK: pass\n"), "ambiguous 5 40"),
        ],
    );
    let second = "    def run(self):\n        pass\n\n    def run(";
    check_rows(
        &[Edit::CodeCwd],
        &[("    def run(", second, "ambiguous 24 27"), ("def run(", "def start(", "not-found 5")],
    );
    check_rows(&[Edit::LogPath], &[("def gen_env_for_fmk(", "def gen_env(", "not-found 5")]);
    assert_eq!(judge("").edits, judge(SHORT.replace(HEAD, "class Fmk:")).edits);
}

#[test]
fn os_must_be_the_module() {
    check_rows(
        &Edit::ALL,
        &[
            (IMPORT, "import os\nfrom common import *\n", "conflict 2"),
            (LAST, &behind("from common import *\n"), "conflict 39"),
            (IMPORT, "", "conflict 4"),
            (IMPORT, "import os as system\n", "conflict 5"),
            (IMPORT, "if DEBUG:\n    import os\n", "conflict 2"),
            (IMPORT, "from common import os\n", "conflict 1"),
            (IMPORT, "import os\ntry:\n    import x\nexcept ImportError:\n    os = None\n", "conflict 5"),
            (LAST, &behind("def hide():\n    global os\n    os = None\n"), "conflict 40"),
        ],
    );
    check_rows(
        &[Edit::CodeCwd],
        &[
            ("rank_size, command):", "rank_size, command, os=None):", "conflict 24"),
            (ENV, "        import os.path as os\n        envs = self", "conflict 25"),
            (ENV, "        import os\n        envs = self", "conflict 25"),
        ],
    );
}

#[test]
fn only_what_is_asked_for() {
    let only = patch(SHORT.as_bytes(), Edits { log_path: false, code_cwd: true }).unwrap();
    assert_eq!(only.edits, [(Edit::CodeCwd, Status::Applied { lines: vec![26] })]);
    assert_eq!(only.output, Some(SHORT.replace(CALL, CODE_CWD).into_bytes()));
}
