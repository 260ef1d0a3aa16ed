//! What the vendor's launcher does wrong, each in a situation that both launchers are put into.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{running::Ended, trial::Place};

/// A situation, and the judge of what a launcher does in it.
pub struct Situation {
    /// What happens.
    pub name: &'static str,
    /// Puts the launcher of a place into it.
    pub run: fn(Place) -> anyhow::Result<Seen>,
    /// Whether the vendor's script has the edits of the manual in it.
    pub is_patched: bool,
}

/// What a launcher did.
pub struct Seen {
    /// In a few words.
    pub text: String,
    /// Whether that is what it should do.
    pub is_right: bool,
}

/// All of them.
pub const SITUATIONS: &[Situation] = &[
    situation("SIGTERM to the launcher", |place| stopped(&place, "TERM", 143)),
    situation("SIGINT to the launcher", |place| stopped(&place, "INT", 130)),
    situation("SIGHUP to the launcher", |place| stopped(&place, "HUP", 129)),
    situation("SIGKILL to the launcher", |place| stopped(&place, "KILL", 137)),
    situation("a rank is killed by SIGKILL", |place| {
        fails(&place, 4, "[ $RANK_ID = 2 ] && kill -9 $$; exec sleep 1000", 137)
    }),
    situation("a grandchild ignores SIGTERM", |place| {
        let stubborn = r#"sh -c 'trap "" TERM; : >"$OUT/up"; exec sleep 1000' & until [ -e "$OUT/up" ]; do sleep 0.02; done; exit 3"#;
        fails(&place, 2, &format!("[ $RANK_ID = 1 ] || exec sleep 1000; {stubborn}"), 3)
    }),
    situation("a rank leaves a daemon", |place| fails(&place, 1, "setsid sleep 1000 & exit 0", 0)),
    situation("8 ranks of `true`", quick),
    situation("4 ranks write a lot", chatty),
    situation("the rank table is not there yet", |place| late_table(&place, None)),
    situation("the rank table is half-written", |place| late_table(&place, Some(&v0(1)[..40]))),
    situation("the rank table never completes", never_complete),
    situation("a rank starts the launcher again", twice),
    situation("two servers, no MA_CURRENT_HOST_IP", several_servers),
    situation("numbers in the table are no strings", integers),
    situation("a rank table of version 1.2", newer_table),
    situation("ASCEND_PROCESS_LOG_PATH is set", process_logs),
    Situation { is_patched: true, ..situation("MODEL_TASK_CWD is empty", |place| code_folder(place, "")) },
    Situation {
        is_patched: true,
        ..situation("MODEL_TASK_CWD is not there", |place| code_folder(place, "/not/there"))
    },
];

const fn situation(name: &'static str, run: fn(Place) -> anyhow::Result<Seen>) -> Situation {
    Situation { name, run, is_patched: false }
}

/// A rank that says that it is there and then waits.
const SLEEPER: &str = ": >$OUT/$RANK_ID; exec sleep 1000";

fn stopped(place: &Place, signal: &str, code: i32) -> anyhow::Result<Seen> {
    place.table(&v0(4))?;
    let running = place.shell(SLEEPER)?;
    running.until_told(4)?;
    if signal == "TERM" {
        // The vendor's sees to it only when it has started all ranks; before that it dies and they live.
        running.until_it_minds(libc::SIGTERM)?;
    }
    running.signal(signal)?;
    ends(place, running.end()?, code)
}

fn fails(place: &Place, ranks: u32, script: &str, code: i32) -> anyhow::Result<Seen> {
    place.table(&v0(ranks))?;
    ends(place, place.shell(script)?.end()?, code)
}

fn ends(place: &Place, ended: Ended, code: i32) -> anyhow::Result<Seen> {
    let left = place.survivors()?;
    Ok(Seen {
        text: format!("exit code {}, {left} processes left", ended.code),
        is_right: ended.code == code && left == 0,
    })
}

fn quick(place: Place) -> anyhow::Result<Seen> {
    place.table(&v0(8))?;
    let (mut best, mut code) = (Duration::MAX, 0);
    // A machine that is busy with something else takes long once, and not three times.
    for _ in 0..3 {
        let begin = Instant::now();
        let ended = place.start(&["true".into()])?.end()?;
        (best, code) = (best.min(begin.elapsed()), code.max(ended.code));
    }
    // A second is what the vendor's polls at.
    Ok(Seen { text: format!("{:.2} s", best.as_secs_f64()), is_right: code == 0 && best.as_millis() < 900 })
}

/// Lines of each rank: enough for its pipe to fill many times.
const LINES: usize = 20_000;

fn chatty(mut place: Place) -> anyhow::Result<Seen> {
    // As in the image.
    place.set("PYTHONUNBUFFERED", "1");
    place.table(&v0(4))?;
    let body = "x".repeat(100);
    let program =
        format!("import os\nfor n in range({LINES}): print('<' + os.environ['RANK_ID'], f'{{n:06}} {body}>')");
    let ended = place.start(&["python3".into(), "-c".into(), program.into()])?.end()?;
    let code = ended.code;
    let console = ended.console()?;
    let is_whole = |line: &&str| {
        let line = line.strip_prefix("[rank ").and_then(|rest| rest.split_once("] ")).map_or(*line, |(_, line)| line);
        line.strip_prefix('<')
            .and_then(|rest| rest.strip_suffix(&format!(" {body}>")))
            .is_some_and(|middle| middle.len() == 8)
    };
    let (whole, torn) = (console.lines().filter(is_whole).count(), console.lines().filter(|it| !is_whole(it)).count());
    Ok(Seen {
        text: format!("{torn} torn lines, {whole} whole ones of {}", 4 * LINES),
        is_right: code == 0 && torn == 0 && whole == 4 * LINES,
    })
}

fn late_table(place: &Place, first: Option<&str>) -> anyhow::Result<Seen> {
    if let Some(text) = first {
        place.table(text)?;
    }
    let mut running = place.shell(": >$OUT/$RANK_ID")?;
    let waits = running.until_it_says("waiting for the rank table")?;
    place.table(&v0(1))?;
    let ended = running.end()?;
    let text = match ended.crash() {
        Some(error) => format!("crashes: {error}"),
        None => format!("{}, exit code {}", if waits { "waits" } else { "does not wait" }, ended.code),
    };
    Ok(Seen { text, is_right: waits && ended.code == 0 && place.told()? == ["0"] })
}

fn never_complete(mut place: Place) -> anyhow::Result<Seen> {
    place.launcher = place.launcher.with(&["--wait", "1s"]);
    place.table(r#"{"status":"initializing"}"#)?;
    Ok(match place.shell("exit 0")?.end_within(Duration::from_secs(5))? {
        None => Seen { text: "waits for ever".to_owned(), is_right: false },
        Some(ended) => Seen {
            text: format!("gives up as told, exit code {}", ended.code),
            is_right: ended.code == 125 && ended.stderr.contains("initializing"),
        },
    })
}

fn twice(place: Place) -> anyhow::Result<Seen> {
    place.table(&v0(1))?;
    let mut inner = place.launcher.command.clone();
    inner.extend(["sh", "-c", ": >$OUT/$RANK_ID"].map(Into::into));
    let ended = place.start(&inner)?.end()?;
    let ran = place.told()?;
    Ok(Seen {
        text: format!("exit code {}, the inner ranks {}", ended.code, if ran.is_empty() { "never ran" } else { "ran" }),
        is_right: ended.code == 0 && ran == ["0"],
    })
}

fn several_servers(mut place: Place) -> anyhow::Result<Seen> {
    place.table_v1(&v1("1.0", &["203.0.113.1", "203.0.113.2"], |number| number.to_string().into()))?;
    let ended = place.shell(": >$OUT/$RANK_ID")?.end()?;
    let ran = place.told()?;
    let text = match &ran[..] {
        [] => format!("refuses, exit code {}", ended.code),
        ran => format!("runs ranks {}, exit code {}", ran.join(" and "), ended.code),
    };
    Ok(Seen { text, is_right: ran.is_empty() && ended.code == 2 })
}

fn integers(mut place: Place) -> anyhow::Result<Seen> {
    place.table_v1(&v1("1.0", &["203.0.113.1"], Value::from))?;
    let ended = place.shell(": >$OUT/$RANK_ID")?.end()?;
    let text = match ended.crash() {
        Some(error) => format!("crashes: {error}"),
        None => format!("exit code {}", ended.code),
    };
    Ok(Seen { text, is_right: ended.code == 0 && place.told()? == ["0", "1"] })
}

fn newer_table(mut place: Place) -> anyhow::Result<Seen> {
    place.table_v1(&v1("1.2", &["203.0.113.1"], |number| number.to_string().into()))?;
    let ended = place.shell(": >$OUT/$RANK_ID")?.end()?;
    let ran = place.told()?.len();
    Ok(Seen {
        text: format!("runs {ran} ranks, exit code {}", ended.code),
        is_right: ran == 0 && ended.code == 2 && ended.stderr.contains("1.2"),
    })
}

fn process_logs(mut place: Place) -> anyhow::Result<Seen> {
    place.table(&v0(2))?;
    let own = place.path("own");
    place.set("ASCEND_PROCESS_LOG_PATH", own);
    let ended =
        place.shell("[ -d $ASCEND_PROCESS_LOG_PATH ] && printf %s $ASCEND_PROCESS_LOG_PATH >$OUT/$RANK_ID")?.end()?;
    let of = |rank: &str| fs::read_to_string(place.path("out").join(rank)).unwrap_or_default();
    let is_shared = of("0") == of("1");
    Ok(Seen {
        text: if is_shared { "all ranks share it" } else { "a folder in it for each rank" }.to_owned(),
        is_right: ended.code == 0 && !is_shared,
    })
}

fn code_folder(mut place: Place, value: &str) -> anyhow::Result<Seen> {
    place.table(&v0(1))?;
    place.set("MODEL_TASK_CWD", value);
    let ended = place.shell("pwd >$OUT/cwd")?.end()?;
    let cwd = fs::read_to_string(place.path("out/cwd")).unwrap_or_default();
    let text = match ended.crash() {
        Some(error) => format!("crashes: {error}"),
        None if cwd.is_empty() => format!("says so, exit code {}", ended.code),
        None => format!("runs in the current folder, exit code {}", ended.code),
    };
    let is_right = match value {
        "" => ended.code == 0 && cwd.trim_end() == place.path("code").to_string_lossy(),
        // Another folder than the user's own would be a guess.
        _ => ended.code == 2 && ended.crash().is_none() && ended.stderr.contains(value) && cwd.is_empty(),
    };
    Ok(Seen { text, is_right })
}

/// A table of one server.
fn v0(devices: u32) -> String {
    let device =
        |number| json!({ "device_id": format!("{number}"), "device_ip": format!("198.51.100.{}", number + 1) });
    let devices: Vec<Value> = (0..devices).map(device).collect();
    json!({
        "status": "completed", "group_count": "1",
        "group_list": [{
            "group_name": "job", "device_count": devices.len().to_string(), "instance_count": "1",
            "instance_list": [{ "pod_name": "job-0", "server_id": "203.0.113.1", "devices": devices }],
        }],
    })
    .to_string()
}

/// A table of servers with two devices each; `number` writes the numbers.
fn v1(version: &str, servers: &[&str], number: fn(usize) -> Value) -> String {
    let device = |rank: usize| json!({ "device_id": number(rank % 2), "device_ip": format!("198.51.100.{}", rank + 1), "rank_id": number(rank) });
    let server =
        |(index, id): (usize, &&str)| json!({ "server_id": id, "device": [device(2 * index), device(2 * index + 1)] });
    let list: Vec<Value> = servers.iter().enumerate().map(server).collect();
    json!({ "version": version, "status": "completed", "server_count": number(servers.len()), "server_list": list })
        .to_string()
}
