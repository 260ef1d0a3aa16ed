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
    const POPEN: &str = "subprocess.Popen(command, env=envs)";
    const SWITCH: &str = "            os.chdir(directory)\n";
    const HEAD: &str = "    @contextmanager\n    def switch_directory(self, directory):\n        owd = os.getcwd()\n";
    let by = |name: &str| format!("import subprocess\n{name}\n");
    let class = |init: &str| {
        format!(
            "import subprocess\n\nclass Popen(subprocess.Popen):\n    def __init__(self, command):\n        {init}\n\n"
        )
    };
    let before = |statement: &str| format!("        {statement}\n{WITH}");
    let by_try = "        try: os.chdir(directory)\n        except OSError: pass\n        try:\n";
    for (changes, expected) in [
        // By another name.
        (
            &[(IMPORT, &*by("from os import chdir as go")), (WITH, &format!("{WITH}            go(work)\n"))][..],
            "conflict 3",
        ),
        (&[(IMPORT, &by("import os as o")), (WITH, &format!("{WITH}            o.chdir(work)\n"))], "conflict 28"),
        (&[(WITH, &before("from os import fchdir"))], "conflict 26"),
        (&[(WITH, &before("getattr(os, 'chdir')(work)"))], "conflict 26"),
        // By a class or function of the script, called or not.
        (
            &[(WITH, &format!("{WITH}            enter()\n")), (LAST, &behind("def enter(): os.chdir('/')\n"))],
            "conflict 40",
        ),
        (
            &[
                (WITH, &format!("{WITH}            A.enter()\n")),
                (LAST, &behind("class A:\n    def enter(): os.chdir('/')\n")),
            ],
            "conflict 41",
        ),
        (&[(LAST, &behind("class A:\n    def enter(it): os.chdir(it)\n"))], "conflict 40"),
        // By what starts the process.
        (&[(IMPORT, &class("super().__init__(command, cwd=work)")), (POPEN, "Popen(command)")], "conflict 4"),
        (&[(IMPORT, &class("super().__init__(command, **{'cwd': work})")), (POPEN, "Popen(command)")], "conflict 4"),
        (&[(IMPORT, &class("super().__init__(command, -1, *work)")), (POPEN, "Popen(command)")], "conflict 4"),
        (&[(IMPORT, &by("subprocess.Popen = run_in(work)"))], "conflict 3"),
        (&[(IMPORT, &by("subprocess = wrap(subprocess)"))], "conflict 3"),
        (&[(IMPORT, "from common import subprocess\n")], "conflict 2"),
        (&[(IMPORT, "from common import Popen\n"), (POPEN, "Popen(command)")], "conflict 2"),
        (&[(POPEN, "Popen(command)")], "conflict 5"),
        (&[(IMPORT, "from subprocess import Popen, PIPE\n"), (POPEN, "Popen(command, stdout=PIPE)")], "applied 26"),
        (&[("command):", "command, subprocess):")], "conflict 24"),
        (&[(WITH, &before("self.options.setdefault('cwd', work)"))], "conflict 26"),
        (&[(WITH, &before("self.switch_directory = switch"))], "conflict 26"),
        (&[(POPEN, "RankProcess(command)")], "conflict 26"),
        (&[(POPEN, "common.Popen(command)")], "conflict 26"),
        // By the switch.
        (
            &[(SWITCH, "            os.makedirs(directory, exist_ok=True)\n            os.chdir(directory)\n")],
            "applied 26",
        ),
        (&[("        try:\n", "        os.chdir(directory)\n        try:\n"), (SWITCH, "")], "applied 26"),
        (
            &[("        owd =", "        log.info(directory)\n        owd ="), ("yield\n", "yield directory\n")],
            "applied 26",
        ),
        (&[(HEAD, &HEAD.replace("@", "@staticmethod\n    @contextlib.").replace("self, ", ""))], "applied 26"),
        (&[(SWITCH, "            os.chdir(self.get_working_dir())\n")], "conflict 30"),
        (&[(SWITCH, "            os.chdir(os.path.join(directory, 'work'))\n")], "conflict 30"),
        (&[(SWITCH, "            os.chdir(work)\n            os.chdir(directory)\n")], "conflict 30"),
        (&[(SWITCH, "            os.chdir(directory)\n            os.chdir('work')\n")], "conflict 30"),
        (&[(SWITCH, "            directory = work\n            os.chdir(directory)\n")], "conflict 30"),
        (&[(SWITCH, "            if self.moves: os.chdir(directory)\n")], "conflict 30"),
        (&[(SWITCH, "            pass\n")], "conflict 30"),
        (&[("        try:\n", by_try), (SWITCH, "")], "conflict 30"),
        (&[(HEAD, &HEAD.replace("@contextmanager", "@entered"))], "conflict 30"),
        (&[("def switch_directory(", "def switch(")], "not-found 5"),
    ] {
        assert_eq!(brief(&judge(short_with(changes)).edits[1].1), expected, "{changes:?}");
    }
}
