//! Edit *log-path*: what counts as applied, where it goes, and when it is refused.

use fmk_patch::Edit;

use crate::judged::{SHORT, brief, check_rows, edited, judge, short_with};

const RETURN: &str = "        return current_envs\n";
const FILL: &str = "        current_envs['RANK";

/// Judges [`SHORT`] with changes, for this edit.
fn check(rows: &[(&str, &str, &str)]) {
    check_rows(&[Edit::LogPath], rows);
}

/// The status of *log-path* with `block` before the `return` of `gen_env_for_fmk`, from line 13, and `more` in the class.
fn status(block: &str, more: &str) -> String {
    let block: String = block.lines().map(|line| format!("        {line}\n")).collect();
    let more: String = more.lines().map(|line| format!("    {line}\n")).collect();
    brief(&judge(short_with(&[(RETURN, &format!("{block}{RETURN}\n{more}"))])).edits[0].1)
}

/// Ways to name the path.
const PATHS: [&str; 5] = [
    "os.path.join(FMK.get_log_dir(), self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)",
    "os.path.join(self.get_log_dir(), self.job_id, \"ascend/process_log\", f\"rank_{self.rank_id}\")",
    "f'{FMK.get_log_dir()}/{self.job_id}/ascend/process_log/rank_{self.rank_id}'",
    "f\"{FMK.get_log_dir()}/{self.job_id}\" \"/ascend/process_log/\" f'rank_{self.rank_id}'",
    "FMK.get_log_dir() + '/' + self.job_id + '/ascend/process_log' + '/rank_' + str(self.rank_id)",
];

/// Ways to set the variable to `p`.
const SETTERS: [&str; 3] = [
    "FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', p)",
    "self.set_env_if_not_exist(current_envs, \"ASCEND_PROCESS_LOG_PATH\", p)",
    "current_envs['ASCEND_PROCESS_LOG_PATH'] = p",
];

/// Ways to create the folder.
const CREATORS: [&str; 5] = [
    "os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)",
    "os.makedirs(current_envs[\"ASCEND_PROCESS_LOG_PATH\"], mode=0o750, exist_ok=True)",
    "pathlib.Path(current_envs['ASCEND_PROCESS_LOG_PATH']).mkdir(parents=True, exist_ok=True)",
    "Path(p).mkdir(exist_ok=True, parents=True)",
    "os.makedirs(p, exist_ok=True)",
];

#[test]
fn applied_by_any_spelling_that_is_known() {
    for path in PATHS {
        for setter in SETTERS {
            for creator in CREATORS {
                let block = format!("p = {path}\n{setter}\n{creator}");
                assert_eq!(status(&block, ""), "already-applied 14 15", "{block}");
            }
        }
    }
    let (path, setter) = (format!("p = {}\n", PATHS[0]), SETTERS[0]);
    assert_eq!(status(&format!("{path}{}\n{setter}", CREATORS[4]), ""), "already-applied 14 15");
    assert_eq!(
        status(&format!("{path}{setter}\n{0}\nlog(os.getenv('ASCEND_PROCESS_LOG_PATH'))", CREATORS[0]), ""),
        "already-applied 14 15"
    );
}

#[test]
fn applied_in_a_helper_that_gets_the_environment() {
    let body = "    p = f'{FMK.get_log_dir()}/{self.job_id}/ascend/process_log/rank_{self.rank_id}'
    FMK.set_env_if_not_exist(envs, 'ASCEND_PROCESS_LOG_PATH', p)
    os.makedirs(envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)";
    for (head, call, expected) in [
        ("def logs(self, envs):", "self.logs(current_envs)", "already-applied 18 19"),
        ("def logs(self, size, envs):", "self.logs(rank_size, current_envs)", "already-applied 18 19"),
        // Not called, not surely called, called with something else, or in a way that is not followed.
        ("def logs(self, envs):", "pass", "conflict 18"),
        ("def logs(self, envs):", "self.logs({})", "conflict 18"),
        ("def logs(self, envs):", "if rank_size > 1: self.logs(current_envs)", "conflict 18"),
        ("def logs(self, envs):", "other.logs(current_envs)", "conflict 18"),
        ("def logs(self, envs):", "FMK.logs(current_envs, self)", "conflict 18"),
        ("def logs(self, envs):", "self.logs(envs=current_envs)", "conflict 18"),
        ("def logs(self, envs, size):", "self.logs(rank_size, current_envs)", "conflict 18"),
        ("async def logs(self, envs):", "self.logs(current_envs)", "conflict 18"),
        ("@later\ndef logs(self, envs):", "self.logs(current_envs)", "conflict 19"),
        ("@staticmethod\ndef logs(self, envs):", "self.logs(self, current_envs)", "conflict 19"),
        ("def logs(self, envs):\n    if self.quiet: return", "self.logs(current_envs)", "conflict 19"),
        ("def logs(self, envs):\n    envs = dict(envs)", "self.logs(current_envs)", "conflict 19"),
        ("def logs(self, envs):\n    pass\n\ndef logs(self, envs):", "self.logs(current_envs)", "conflict 21"),
    ] {
        assert_eq!(status(call, &format!("{head}\n{body}")), expected, "{head} {call}");
    }
}

#[test]
fn almost_applied_is_refused() {
    let path = format!("p = {}\n", PATHS[0]);
    let (set, create) = (SETTERS[0], CREATORS[0]);
    for (block, expected) in [
        // The folder is not surely created.
        (format!("{path}{set}"), "conflict 14"),
        (format!("{path}{set}\nos.makedirs(p)"), "conflict 14"),
        (format!("{path}{set}\nos.makedirs(p, exist_ok=False)"), "conflict 14"),
        (format!("{path}{set}\nif rank_size: {create}"), "conflict 14"),
        (format!("{path}{set}\nPath(p).mkdir(exist_ok=True)"), "conflict 14"),
        (format!("{path}{create}\n{set}"), "conflict 15"),
        (format!("{path}{set}\n# {create}\n'''{create}'''"), "conflict 14"),
        // Another path.
        (format!("p = '/var/log'\n{set}\n{create}"), "conflict 14"),
        (format!("p = {}\n{set}\n{create}", PATHS[0].replace("rank_id", "device_id")), "conflict 14"),
        (format!("p = {}\n{set}\n{create}", PATHS[0].replace("'rank_'", "'npu', 'rank_'")), "conflict 14"),
        (format!("p = {}\n{set}\n{create}", PATHS[2].replace("rank_id}", "rank_id!r}")), "conflict 14"),
        (format!("p = {}\n{set}\n{create}", &PATHS[2][1..]), "conflict 14"),
        (format!("{path}p = p or '/tmp'\n{set}\n{create}"), "conflict 15"),
        (format!("{set}\n{create}\n{path}"), "conflict 13"),
        // Another environment, or not surely, or not alone.
        (format!("{path}os.environ['ASCEND_PROCESS_LOG_PATH'] = p\n{create}"), "conflict 14"),
        (format!("{path}if rank_size: {set}\n{create}"), "conflict 14"),
        (format!("{path}def later():\n    {set}\n{create}"), "conflict 15"),
        (format!("{path}{set}\n{create}\ncurrent_envs = {{}}"), "conflict 16"),
        (format!("{path}{set}\n{create}\ndel current_envs['ASCEND_PROCESS_LOG_PATH']"), "ambiguous 14 16"),
        (format!("{path}{set}\n{set}\n{create}"), "ambiguous 14 15"),
        // What is not recognised.
        ("del current_envs['ASCEND_PROCESS_LOG_PATH']".to_owned(), "conflict 13"),
        ("prepare(current_envs, 'ASCEND_PROCESS_LOG_PATH')".to_owned(), "conflict 13"),
        ("current_envs.update(ASCEND_PROCESS_LOG_PATH='/tmp')".to_owned(), "conflict 13"),
        ("current_envs.update({f'ASCEND_PROCESS_LOG_PATH': '/tmp'})".to_owned(), "conflict 13"),
    ] {
        assert_eq!(status(&block, ""), expected, "{block}");
    }
    // Set before there is an environment, by `run`, or by its name.
    let early = format!("        {path}        {set}\n        {create}\n        current_envs = os");
    check(&[
        ("        current_envs = os", &early, "conflict 12"),
        ("        with self", "        envs['ASCEND_PROCESS_LOG_PATH'] = '/tmp'\n        with self", "conflict 26"),
        ("class FMK", "KEY = 'ASCEND_PROCESS_LOG_PATH'\nclass FMK", "conflict 5"),
    ]);
}

#[test]
fn text_of_the_anchors_elsewhere_means_nothing() {
    let block = "        log_dir = FMK.get_log_dir()
        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', log_dir)\n        return current_envs\n";
    let other = format!("class Other:\n    def gen_env_for_fmk(self, current_envs):\n{block}\n\nclass FMK:\n");
    let quoted = format!(
        "        '''{block}'''\n        # os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)\n{FILL}"
    );
    let inner = format!("        def inner(current_envs):\n            return current_envs\n{FILL}");
    let class = format!(
        "        class Held:\n            def get(self):\n                return 1\n        name = lambda: current_envs\n{FILL}"
    );
    let read =
        format!("        log('ASCEND_PROCESS_LOG_PATH is set', os.environ.get('ASCEND_PROCESS_LOG_PATH'))\n{FILL}");
    check(&[
        ("class FMK:\n", &other, "applied 20"),
        ("class FMK:\n", "class FMK:\n    '''class FMK:\n    return current_envs\n    '''\n", "applied 16"),
        (FILL, &quoted, "applied 18"),
        (FILL, &inner, "applied 15"),
        (FILL, &class, "applied 17"),
        (FILL, &read, "applied 14"),
    ]);
}

#[test]
fn where_it_returns() {
    check(&[
        (RETURN, "", "not-found 10"),
        (RETURN, "        yield current_envs\n", "not-found 10"),
        (RETURN, "        def inner():\n            return current_envs\n", "not-found 10"),
        (RETURN, "        return dict(current_envs)\n", "conflict 13"),
        (RETURN, "        return\n", "conflict 13"),
        (RETURN, "        return os\n", "conflict 13"),
        (RETURN, &format!("        if rank_size:\n            return {{}}\n{RETURN}"), "ambiguous 14 15"),
        (RETURN, "        if rank_size:\n            return current_envs\n", "conflict 14"),
        (RETURN, "        with lock:\n            return current_envs\n", "conflict 14"),
        (RETURN, &format!("{RETURN}        pass\n"), "conflict 13"),
    ]);
}

#[test]
fn what_the_new_statements_need() {
    const STATIC: &str = "    @staticmethod\n    def get_log_dir():";
    check(&[
        ("def get_log_dir():", "def log_dir():", "not-found 5"),
        (STATIC, "    def get_log_dir(self):", "conflict 15"),
        (STATIC, "    def get_log_dir():", "applied 13"),
        (STATIC, "    @classmethod\n    def get_log_dir(cls):", "conflict 16"),
        (STATIC, "    @property\n    def get_log_dir():", "conflict 16"),
        ("(envs, env_name, env_value)", "(envs, **more)", "conflict 20"),
        ("self.job_id = str(get_job_id())", "pass", "conflict 5"),
        ("    def run(", "    def rank_id(self):\n        return 1\n\n    def run(", "conflict 24"),
    ]);
}

#[test]
fn what_is_not_certainly_text_becomes_text() {
    const SET: &str = "        self.rank_id = str(device.rank_id)\n";
    let check = |set: &str, filled: &str, text: &str, expected: &str| {
        let set: String = set.lines().map(|line| format!("        {line}\n")).collect();
        let text = short_with(&[(SET, &set), (FILL, &format!("        {filled}\n{FILL}"))]) + text;
        let output = String::from_utf8(judge(&text).output.unwrap()).unwrap();
        assert!(output.contains(&format!("'process_log', 'rank_' + {expected})\n")), "{set}{filled}: {output}");
    };
    let passed_on = "current_envs['RANK_ID'] = self.rank_id";
    let convert = "\n    def convert(self, envs):\n        return {k: str(v) for k, v in envs.items()}\n";
    for (set, filled, expected) in [
        ("self.rank_id = str(device.rank_id)", "pass", "self.rank_id"),
        ("self.rank_id = f'{index}'", "pass", "self.rank_id"),
        ("self.rank_id = device.rank_id", passed_on, "self.rank_id"),
        ("self.rank_id = device.rank_id", "pass", "str(self.rank_id)"),
        ("self.rank_id: int = device.rank_id", passed_on, "str(self.rank_id)"),
        ("self.rank_id = index", passed_on, "str(self.rank_id)"),
        ("self.rank_id = index + 2", passed_on, "str(self.rank_id)"),
        ("self.rank_id = int(device.rank_id)", passed_on, "str(self.rank_id)"),
        ("self.rank_id = '0'\nself.rank_id += 1", passed_on, "str(self.rank_id)"),
        ("self.rank_id, self.device_id = '0', 1", passed_on, "str(self.rank_id)"),
    ] {
        check(set, filled, "", expected);
    }
    let in_place = "\n    def convert(self, envs):\n        for k, v in envs.items(): envs[k] = str(v)\n";
    check("self.rank_id = device.rank_id", passed_on, convert, "str(self.rank_id)");
    check("self.rank_id = device.rank_id", passed_on, in_place, "str(self.rank_id)");
    check("self.rank_id = device.rank_id", passed_on, "\n    rank_id: int\n", "str(self.rank_id)");
    check("pass", passed_on, "\n    rank_id: int = 0\n", "str(self.rank_id)");
    check("pass", passed_on, "\n    @property\n    def rank_id(self):\n        return 1\n", "str(self.rank_id)");
    let job = short_with(&[("str(get_job_id())", "get_job_id()")]);
    let output = String::from_utf8(judge(job).output.unwrap()).unwrap();
    assert!(output.contains("os.path.join(log_dir, str(self.job_id), 'ascend'"), "{output}");
}

#[test]
fn a_preset_variable_is_honoured_whatever_the_environment_is() {
    const MANUAL: &str = "FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)";
    const DIRECT: &str =
        "current_envs['ASCEND_PROCESS_LOG_PATH'] = os.environ.get('ASCEND_PROCESS_LOG_PATH', process_log_path)";
    let by_hand =
        format!("        process_log_path = {}\n        {MANUAL}\n        {}\n{RETURN}", PATHS[0], CREATORS[0]);
    const DONE: &str = "already-applied 14 15";
    for (environment, line, expected) in [
        ("os.environ.copy()", MANUAL, DONE),
        ("dict(os.environ, X='1')", MANUAL, DONE),
        ("dict(**os.environ)", MANUAL, DONE),
        ("{**os.environ, 'X': '1'}", MANUAL, DONE),
        ("{}; current_envs.update(os.environ)", MANUAL, DONE),
        ("os.environ", MANUAL, DONE),
        ("{}", DIRECT, "conflict 14"),
        ("dict(X='1')", DIRECT, "conflict 14"),
        ("{'PATH': os.environ['PATH']}", DIRECT, "conflict 14"),
        ("{k: v for k, v in os.environ.items() if k != 'X'}", DIRECT, "conflict 14"),
        // It is a copy, from which something is taken.
        ("os.environ.copy(); current_envs.clear()", DIRECT, "conflict 14"),
        ("os.environ.copy(); del current_envs[key]", DIRECT, "conflict 14"),
        ("os.environ.copy()\n        for key in old: current_envs.pop(key, None)", DIRECT, "conflict 15"),
        ("os.environ.copy(); current_envs.popitem()", DIRECT, "conflict 14"),
        ("os.environ.copy(); current_envs.pop('X'); del current_envs['Y']", MANUAL, DONE),
        ("os.environ.copy(); clean(current_envs)", DIRECT, DONE),
        ("os.environ.copy(); clean(envs=current_envs)", DIRECT, DONE),
        // It may be a copy: what is there stays, and what is added works with either.
        ("super().gen_env_for_fmk(rank_size)", DIRECT, DONE),
    ] {
        let text = short_with(&[("os.environ.copy()", environment)]);
        let output = String::from_utf8(judge(&text).output.unwrap()).unwrap();
        assert!(output.contains(line), "{environment}");
        assert_eq!(brief(&judge(text.replace(RETURN, &by_hand)).edits[0].1), expected, "{environment}");
    }
}

#[test]
fn names_that_are_taken() {
    let before = |statement: &str| format!("        {statement}\n{FILL}");
    check(&[
        (FILL, &before("log_dir = '/x'"), "conflict 12"),
        (FILL, &before("call_later(lambda: process_log_path)"), "conflict 12"),
        ("gen_env_for_fmk(self, rank_size):", "gen_env_for_fmk(self, rank_size, log_dir):", "conflict 10"),
        ("gen_env_for_fmk(self, rank_size):", "gen_env_for_fmk(self, rank_size, FMK=None):", "conflict 10"),
        (FILL, &before("self = self.clone()"), "conflict 12"),
        (FILL, &before("current_envs = dict(current_envs)"), "conflict 12"),
        ("gen_env_for_fmk(self, rank_size):", "gen_env_for_fmk(*all):", "conflict 10"),
        ("    def gen_env", "    @staticmethod\n    def gen_env", "conflict 11"),
    ]);
}

#[test]
fn other_names_for_the_instance_and_the_environment() {
    let renamed = |text: &str| text.replace("current_envs", "env").replace("(self, rank_size):", "(this, rank_size):");
    let text = renamed(SHORT);
    let expected = renamed(&edited(SHORT))
        .replace("log_dir, self.job_id", "log_dir, this.job_id")
        .replace("+ self.rank_id", "+ this.rank_id");
    assert_eq!(judge(&text).output, Some(expected.into_bytes()));
}
