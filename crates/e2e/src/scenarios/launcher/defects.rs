//! What the vendor's launcher does wrong, each in a situation that both launchers are put into.

use std::fs;

use serde_json::Value;

use super::{running::Ended, sandbox::Sandbox};
use crate::testbed::rank_table::{v0, v1};

/// Whether a launcher did what it should, and what it did, in a few words.
type Seen = (bool, String);

/// What happens; puts the launcher of a sandbox into it; whether the vendor's script has the edits of the manual in it.
type Situation = (&'static str, fn(Sandbox) -> anyhow::Result<Seen>, bool);

pub const SITUATIONS: &[Situation] = &[
    ("SIGTERM to the launcher", |sandbox| stopped(&sandbox, "TERM", 143), false),
    ("SIGINT to the launcher", |sandbox| stopped(&sandbox, "INT", 130), false),
    ("SIGHUP to the launcher", |sandbox| stopped(&sandbox, "HUP", 129), false),
    ("SIGKILL to the launcher", |sandbox| stopped(&sandbox, "KILL", 137), false),
    (
        "a rank is killed by SIGKILL",
        |sandbox| fails(&sandbox, 4, "[ $RANK_ID = 2 ] && kill -9 $$; exec sleep 1000", 137),
        false,
    ),
    ("a grandchild ignores SIGTERM", |sandbox| fails(&sandbox, 2, STUBBORN, 3), false),
    ("a rank leaves a daemon", |sandbox| fails(&sandbox, 1, "setsid sleep 1000 & exit 0", 0), false),
    ("8 ranks of `true`", quick, false),
    ("4 ranks write a lot", chatty, false),
    ("the rank table is not there yet", |sandbox| late_table(&sandbox, None), false),
    ("the rank table is half-written", |sandbox| late_table(&sandbox, Some(40)), false),
    ("the rank table never completes", never_complete, false),
    ("a rank starts the launcher again", twice, false),
    ("two servers, no MA_CURRENT_HOST_IP", several_servers, false),
    ("numbers in the table are no strings", integers, false),
    ("a rank table of a version that nobody knows", unknown_table, false),
    ("ASCEND_PROCESS_LOG_PATH is set", process_logs, false),
    ("MODEL_TASK_CWD is empty", |sandbox| code_folder(sandbox, ""), true),
    ("MODEL_TASK_CWD is not there", |sandbox| code_folder(sandbox, "/not/there"), true),
];

/// Its number (signal(7)).
const SIGTERM: i32 = 15;
/// A rank that says that it is there.
const TELLS: &str = ": >$OUT/$RANK_ID";
/// Rank 1 fails once its child is there, which ignores SIGTERM.
const STUBBORN: &str = r#"[ $RANK_ID = 1 ] || exec sleep 1000
sh -c 'trap "" TERM; : >"$OUT/up"; exec sleep 1000' &
until [ -e "$OUT/up" ]; do sleep 0.02; done; exit 3"#;

fn one_server(devices: u32) -> Value {
    v0(&[("job-0", "203.0.113.1", &(0..devices).collect::<Vec<_>>())])
}

fn as_text(number: usize) -> Value {
    number.to_string().into()
}

fn stopped(sandbox: &Sandbox, signal: &str, code: i32) -> anyhow::Result<Seen> {
    sandbox.table(one_server(4))?;
    let running = sandbox.start_shell(&format!("{TELLS}; exec sleep 1000"))?;
    running.until_told(4)?;
    if signal == "TERM" {
        // The vendor's sees to it only when it has started all ranks; before that it dies and they live.
        running.until_it_minds(SIGTERM)?;
    }
    running.signal(signal)?;
    ends(sandbox, &running.end()?, code)
}

fn fails(sandbox: &Sandbox, ranks: u32, script: &str, code: i32) -> anyhow::Result<Seen> {
    sandbox.table(one_server(ranks))?;
    ends(sandbox, &sandbox.shell(script)?, code)
}

fn ends(sandbox: &Sandbox, ended: &Ended, code: i32) -> anyhow::Result<Seen> {
    let left = sandbox.survivors()?;
    Ok((ended.code == code && left == 0, format!("exit code {}, {left} processes left", ended.code)))
}

/// The vendor's looks only each second whether its ranks have ended, and so is not gone before whoever does the same.
fn quick(sandbox: Sandbox) -> anyhow::Result<Seen> {
    sandbox.table(one_server(8))?;
    let (mut is_first, mut code) = (false, 0);
    // A machine that is busy with something else takes long once, and not three times.
    for _ in 0..3 {
        let mut running = sandbox.start(&["true".into()])?;
        is_first |= running.ends_before("sh", &["-c", "for rank in 0 1 2 3 4 5 6 7; do true & done; wait; sleep 1"])?;
        code = code.max(running.end()?.code);
    }
    let told = if is_first { "ends with them" } else { "ends a second later" };
    Ok((code == 0 && is_first, told.to_owned()))
}

/// Lines of each rank: enough for its pipe to fill many times.
const LINES: usize = 20_000;

fn chatty(mut sandbox: Sandbox) -> anyhow::Result<Seen> {
    // As in the image.
    sandbox.set("PYTHONUNBUFFERED", "1");
    sandbox.table(one_server(4))?;
    let body = "x".repeat(100);
    let program =
        format!("import os\nfor n in range({LINES}): print('<' + os.environ['RANK_ID'], f'{{n:06}} {body}>')");
    let ended = sandbox.start(&["python3".into(), "-c".into(), program.into()])?.end()?;
    let code = ended.code;
    let console = ended.console()?;
    let is_whole = |line: &&str| {
        let line = line.strip_prefix("[rank ").and_then(|rest| rest.split_once("] ")).map_or(*line, |(_, line)| line);
        let middle = line.strip_prefix('<').and_then(|rest| rest.strip_suffix(&format!(" {body}>")));
        middle.is_some_and(|middle| middle.len() == 8)
    };
    let whole = console.lines().filter(is_whole).count();
    let torn = console.lines().count() - whole;
    let told = format!("{torn} torn lines, {whole} whole ones of {}", 4 * LINES);
    Ok((code == 0 && torn == 0 && whole == 4 * LINES, told))
}

fn late_table(sandbox: &Sandbox, first: Option<usize>) -> anyhow::Result<Seen> {
    if let Some(length) = first {
        sandbox.table(&one_server(1).to_string()[..length])?;
    }
    let mut running = sandbox.start_shell(TELLS)?;
    let waits = running.until_it_says("waiting for the rank table")?;
    sandbox.table(one_server(1))?;
    let ended = running.end()?;
    let told = format!("{}, {}", if waits { "waits" } else { "does not wait" }, ended.how());
    Ok((waits && ended.code == 0 && sandbox.told()? == ["0"], told))
}

/// Whoever was told to wait for a second gives up long before somebody who sleeps for ten.
fn never_complete(mut sandbox: Sandbox) -> anyhow::Result<Seen> {
    sandbox.set_flags(&["--wait", "1s"]);
    sandbox.table(r#"{"status":"initializing"}"#)?;
    let mut running = sandbox.start_shell("exit 0")?;
    if !running.ends_before("sleep", &["10"])? {
        return Ok((false, "waits for ever".to_owned()));
    }
    let ended = running.end()?;
    let told = format!("gives up as told, exit code {}", ended.code);
    Ok((ended.code == 125 && ended.stderr.contains("initializing"), told))
}

fn twice(sandbox: Sandbox) -> anyhow::Result<Seen> {
    sandbox.table(one_server(1))?;
    let mut inner = sandbox.launcher.command.clone();
    inner.extend(["sh", "-c", TELLS].map(Into::into));
    let ended = sandbox.start(&inner)?.end()?;
    let ran = sandbox.told()?;
    let told = if ran.is_empty() { "never ran" } else { "ran" };
    Ok((ended.code == 0 && ran == ["0"], format!("exit code {}, the inner ranks {told}", ended.code)))
}

fn several_servers(mut sandbox: Sandbox) -> anyhow::Result<Seen> {
    sandbox.table_v1(&v1("1.0", &[("203.0.113.1", &[0, 1]), ("203.0.113.2", &[0, 1])], as_text))?;
    let ended = sandbox.shell(TELLS)?;
    let ran = sandbox.told()?;
    let told = format!("runs the ranks {ran:?}, exit code {}", ended.code);
    Ok((ran.is_empty() && ended.code == 2, told))
}

fn integers(mut sandbox: Sandbox) -> anyhow::Result<Seen> {
    sandbox.table_v1(&v1("1.0", &[("203.0.113.1", &[0, 1])], Value::from))?;
    let ended = sandbox.shell(TELLS)?;
    Ok((ended.code == 0 && sandbox.told()? == ["0", "1"], ended.how()))
}

fn unknown_table(mut sandbox: Sandbox) -> anyhow::Result<Seen> {
    sandbox.table_v1(&v1("1.3", &[("203.0.113.1", &[0, 1])], as_text))?;
    let ended = sandbox.shell(TELLS)?;
    let ran = sandbox.told()?.len();
    let told = format!("runs {ran} ranks, exit code {}", ended.code);
    Ok((ran == 0 && ended.code == 2 && ended.stderr.contains("1.3"), told))
}

fn process_logs(mut sandbox: Sandbox) -> anyhow::Result<Seen> {
    sandbox.table(one_server(2))?;
    let own = sandbox.path("own");
    sandbox.set("ASCEND_PROCESS_LOG_PATH", own);
    let tell = "[ -d $ASCEND_PROCESS_LOG_PATH ] && printf %s $ASCEND_PROCESS_LOG_PATH >$OUT/$RANK_ID";
    let ended = sandbox.shell(tell)?;
    let of = |rank: &str| fs::read_to_string(sandbox.path("out").join(rank)).unwrap_or_default();
    let is_shared = of("0") == of("1");
    let told = if is_shared { "all ranks share it" } else { "a folder in it for each rank" };
    Ok((ended.code == 0 && !is_shared, told.to_owned()))
}

fn code_folder(mut sandbox: Sandbox, value: &str) -> anyhow::Result<Seen> {
    sandbox.table(one_server(1))?;
    sandbox.set("MODEL_TASK_CWD", value);
    let ended = sandbox.shell("pwd >$OUT/cwd")?;
    let cwd = fs::read_to_string(sandbox.path("out/cwd")).unwrap_or_default();
    let told = format!("{}, ran in `{}`", ended.how(), cwd.trim_end());
    let is_right = match value {
        "" => ended.code == 0 && cwd.trim_end() == sandbox.path("code").to_string_lossy(),
        // Another folder than the user's own would be a guess.
        _ => ended.code == 2 && ended.crash().is_none() && ended.stderr.contains(value) && cwd.is_empty(),
    };
    Ok((is_right, told))
}
