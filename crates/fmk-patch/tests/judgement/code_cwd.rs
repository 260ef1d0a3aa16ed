//! Edit *code-cwd*: which calls of `switch_directory` are changed, and when it is refused.

use fmk_patch::Edit;

use crate::judged::{CALL, LAST, behind, brief, check_rows, judge, short_with};

const WITH: &str = "        with self.switch_directory(self.get_working_dir()):\n";
const NEW: &str = "os.getenv(\"MODEL_TASK_CWD\", os.getcwd())";

/// Judges [`SHORT`](crate::judged::SHORT) with changes, for this edit.
fn check(rows: &[(&str, &str, &str)]) {
    check_rows(&[Edit::CodeCwd], rows);
}

#[test]
fn the_argument_alone_is_replaced() {
    for (before, argument, after) in [
        ("self.switch_directory( ", "work", " ) as folder"),
        ("self.switch_directory(directory=", "work", ")"),
        ("self.switch_directory((", "work", "))"),
        ("self.switch_directory(", "work", ",)"),
        ("self.lock, self.switch_directory(", "'%s' % (work)", "), open(log) as file"),
        ("(self.switch_directory(", "f'{work}'", "))"),
        (
            "self.switch_directory(\n            # Where.\n            ",
            "join(\n                a)",
            "  # here\n        )",
        ),
        // Near, but not the same; or the same in a way that is not recognised.
        ("self.switch_directory(", "os.getenv('MODEL_TASK_CWD', '/')", ")"),
        ("self.switch_directory(", "os.environ['MODEL_TASK_CWD']", ")"),
        ("self.switch_directory(", "os.getenv('MODEL_TASK_CWD', default=os.getcwd())", ")"),
        ("self.switch_directory(", "os.getenv('MODEL_TASK_CWD') or os.getcwd()", ")"),
    ] {
        let text = |argument: &str| short_with(&[(CALL, &format!("{before}{argument}{after}"))]);
        let output = judge(text(argument)).output.unwrap();
        assert!(String::from_utf8(output).unwrap().contains(&format!("with {before}{NEW}{after}:")), "{argument}");
        assert_eq!(brief(&judge(text(NEW)).edits[1].1), "already-applied 26", "{before}{after}");
    }
}

#[test]
fn several() {
    let nested = "        if rank_size == 1:
            with self.switch_directory(os.environ.get('MODEL_TASK_CWD', os.getcwd())):
                return 1\n        with lock, self.switch_directory(1), self.switch_directory(2): pass
        async with self.switch_directory(''):\n";
    check(&[(WITH, nested, "applied 29 29 30")]);
}

#[test]
fn uses_that_are_not_understood() {
    let before = |statement: &str| format!("        {statement}\n{WITH}");
    check(&[
        (CALL, "super().switch_directory(work)", "conflict 26"),
        (CALL, "FMK.switch_directory(self, work)", "conflict 26"),
        (CALL, "stack.enter_context(self.switch_directory(work))", "conflict 26"),
        (CALL, "self.switch_directory(self.switch_directory(work))", "conflict 26"),
        (WITH, &before("with other.switch_directory(1): pass"), "conflict 26"),
        (WITH, &before("switch = self.switch_directory"), "conflict 26"),
        (WITH, &before("def start():\n            with self.switch_directory(1): pass"), "conflict 27"),
        (WITH, &before("self = self.other"), "conflict 26"),
        ("run(self, ", "run(*all, ", "conflict 24"),
        (CALL, "self.switch_directory(a, b)", "conflict 26"),
        (CALL, "self.switch_directory(*a)", "conflict 26"),
        (CALL, "self.switch_directory(**a)", "conflict 26"),
        (CALL, "self.switch_directory()", "conflict 26"),
        // What would be lost.
        (CALL, "self.switch_directory(work := self.get_working_dir())", "conflict 26"),
        (CALL, "self.switch_directory((yield work))", "conflict 26"),
        (CALL, "self.switch_directory(a for a in b)", "conflict 26"),
    ]);
}

#[test]
fn the_process_is_started_in_the_with_and_stays_there() {
    const START: &str = "            return subprocess.Popen(command, env=envs)\n";
    let start = |text: &str| format!("            return subprocess.{text}\n");
    let body = |lines: &str| lines.lines().map(|line| format!("        {line}\n")).collect::<String>();
    let tee =
        "            process = subprocess.Popen(command)\n        subprocess.Popen(['tee'], stdin=process.stdout)\n";
    let method = |arguments: &str| {
        format!(
            "            return self.start(command)\n\n    def start(self, command):\n        return subprocess.Popen({arguments}\n"
        )
    };
    let own = |text: &str| format!("{START}\n    def enter(self):\n        {text}\n");
    check(&[
        (START, &start("run(command, check=True)"), "applied 26"),
        (START, &start("Popen(command, preexec_fn=os.setsid, cwd=None)"), "applied 26"),
        (START, &start("Popen(command, **{'env': envs})"), "applied 26"),
        (START, tee, "applied 26"),
        (CALL, &format!("{CALL}, subprocess.Popen(command) as process"), "applied 26"),
        (START, &start("Popen(command, cwd=os.getenv('MODEL_TASK_CWD', os.getcwd()))"), "applied 26"),
        (START, &start("Popen(command, preexec_fn=lambda: os.setpgid(0, 0))"), "applied 26"),
        (START, &start("Popen(command, preexec_fn=self.lead)"), "applied 26"),
        (START, &method("command)"), "applied 26"),
        (WITH, &format!("        subprocess.call(['mkdir', work])\n{WITH}"), "applied 27"),
        // Somewhere else, or nobody knows where.
        (START, "            pass\n        return subprocess.Popen(command, env=envs)\n", "conflict 28"),
        (CALL, &format!("subprocess.Popen(command) as process, {CALL}"), "conflict 26"),
        (START, "            self.start(command, envs)\n", "conflict 26"),
        (START, "            return lambda: subprocess.Popen(command)\n", "conflict 27"),
        (START, "            def start(): return subprocess.Popen(command)\n", "conflict 27"),
        (
            WITH,
            &body("if rank_size == 1:\n    return subprocess.call(command)\nwith self.switch_directory(1):"),
            "conflict 27",
        ),
        (
            WITH,
            &format!("        self.start(1)\n{WITH}            pass\n\n    def start(self, it):\n        with lock:\n"),
            "conflict 26",
        ),
        (START, &method("command)\n        with self.switch_directory(work): pass"), "conflict 26"),
        // A folder of its own.
        (START, &method("command, cwd=work)"), "conflict 30"),
        (
            START,
            &method("command, **envs)").replace("    return self", "    envs = {}\n            return self"),
            "conflict 31",
        ),
        (START, &start("Popen(command, env=envs,\n                cwd=self.get_working_dir())"), "conflict 28"),
        (START, &start("Popen(command, -1, None, None, None, None, None, True, False, work)"), "conflict 27"),
        (START, &start("Popen(*command)"), "conflict 27"),
        (START, &start("Popen(command, **self.options)"), "conflict 27"),
        (START, &start("Popen(command, **{'cwd': work})"), "conflict 27"),
        (START, &start("Popen(command, preexec_fn=enter)"), "conflict 27"),
        (START, &start("Popen(command, preexec_fn=lambda: os.chdir(work))"), "conflict 27"),
        (START, &own("os.chdir(self.get_working_dir())"), "conflict 30"),
        (WITH, &format!("{WITH}            os.chdir(self.get_working_dir())\n"), "conflict 27"),
    ]);
    let lead = [(START, &*start("Popen(command, preexec_fn=lead)")), (LAST, &behind("def lead(): os.setsid()\n"))];
    assert_eq!(brief(&judge(short_with(&lead)).edits[1].1), "applied 26");
    // Options by a name: lines 26 to 29, the process in the last.
    for (value, more, expected) in [
        ("{'env': envs, 'preexec_fn': os.setsid}", "pass", "applied 28"),
        ("{'cwd': work}", "pass", "conflict 26"),
        ("{'env': envs}", "options['cwd'] = work", "conflict 29"),
        ("self.options", "pass", "conflict 29"),
    ] {
        let before = format!("        options = {value}\n        {more}\n{WITH}");
        let text = short_with(&[(WITH, &before), ("(command, env=envs)", "(command, **options)")]);
        assert_eq!(brief(&judge(text).edits[1].1), expected, "{value} {more}");
    }
}

#[test]
fn without_any() {
    const POPEN: &str = "            return subprocess.Popen(";
    let with = format!("{WITH}{POPEN}");
    let all = format!("{with}command, env=envs)\n");
    let nothing = format!("        if True:\n{}", POPEN.replace("subprocess.Popen", "start"));
    let elsewhere = "    def walk(self):\n        with self.switch_directory(''): pass\n\n    def run(self): pass\n\n    def start(";
    let quoted = "        '''with self.switch_directory(1):'''  # with self.switch_directory(2):\n        if True:\n";
    check(&[
        (WITH, "        if True:\n", "not-applicable 27"),
        (WITH, quoted, "not-applicable 28"),
        (&all, "        return subprocess.Popen(command, cwd=self.get_working_dir())\n", "conflict 26"),
        (&all, "        os.chdir(self.get_working_dir())\n        return subprocess.Popen(command)\n", "conflict 26"),
        (&with, &nothing, "not-found 24"),
        ("    def run(", elsewhere, "conflict 25"),
    ]);
}

#[test]
fn nothing_but_the_switch_goes_to_another_folder() {
    const IMPORT: &str = "import subprocess\n";
    const GOES: &str = "            os.chdir(directory)\n";
    let before = |statement: &str| format!("        {statement}\n{WITH}");
    let import = |more: &str| format!("{IMPORT}{more}\n");
    check(&[
        // By another name.
        (IMPORT, &import("from os import chdir as go"), "conflict 3"),
        (WITH, &before("import os as o; o.chdir(work)"), "conflict 26"),
        (WITH, &before("getattr(os, 'fchdir')(work)"), "conflict 26"),
        // By a function or class of the script, called or not.
        (LAST, &behind("def enter(): os.chdir('/')\n"), "conflict 39"),
        (LAST, &behind("class A:\n    def enter(it): os.chdir(it)\n"), "conflict 40"),
        // By what starts the process.
        (
            LAST,
            &behind("class Rank(subprocess.Popen):\n    def __init__(self): super().__init__(cwd=work)\n"),
            "conflict 40",
        ),
        (WITH, &before("self.options.setdefault('cwd', work)"), "conflict 26"),
        (WITH, &before("self.switch_directory = switch"), "conflict 26"),
        (IMPORT, &import("subprocess.Popen = start_in(work)"), "conflict 3"),
        (IMPORT, &import("subprocess = wrap(subprocess)"), "conflict 3"),
        (IMPORT, "from common import subprocess\n", "conflict 2"),
        ("command):", "command, subprocess):", "conflict 24"),
        ("subprocess.Popen(", "Rank(", "conflict 26"),
        ("subprocess.Popen(", "common.Popen(", "conflict 26"),
        ("subprocess.Popen(", "Popen(", "conflict 5"),
        // By the switch.
        (GOES, &format!("            os.makedirs(directory, exist_ok=True)\n{GOES}"), "applied 26"),
        (
            "        try:\n            os.chdir(directory)\n",
            "        os.chdir(directory)\n        try:\n",
            "applied 26",
        ),
        ("    @contextmanager\n", "    @contextlib.contextmanager\n", "applied 26"),
        ("    @contextmanager\n", "    @entered\n", "conflict 30"),
        (GOES, "            os.chdir(self.get_working_dir())\n", "conflict 30"),
        (GOES, &format!("            os.chdir(work)\n{GOES}"), "conflict 30"),
        (GOES, &format!("{GOES}            os.chdir(work)\n"), "conflict 30"),
        (GOES, &format!("            directory = work\n{GOES}"), "conflict 30"),
        (GOES, "            if self.moves: os.chdir(directory)\n", "conflict 30"),
        (GOES, "            pass\n", "conflict 30"),
        (GOES, &format!("{GOES}        except OSError: pass\n        try:\n"), "conflict 30"),
        ("def switch_directory(", "def switch(", "not-found 5"),
    ]);
    let static_method = (
        "@contextmanager\n    def switch_directory(self, ",
        "@staticmethod\n    @contextmanager\n    def switch_directory(",
    );
    for (changes, expected) in [
        ([static_method, ("yield", "yield directory")], "applied 26"),
        ([(IMPORT, &*import("from subprocess import Popen")), ("subprocess.Popen(", "Popen(")], "applied 27"),
        ([(IMPORT, &import("from common import Popen")), ("subprocess.Popen(", "Popen(")], "conflict 3"),
        ([(IMPORT, &import("class Popen(subprocess.Popen): pass")), ("subprocess.Popen(", "Popen(")], "conflict 3"),
    ] {
        assert_eq!(brief(&judge(short_with(&changes)).edits[1].1), expected, "{changes:?}");
    }
}
