//! The files of Debian, EulerOS and Ubuntu, as folders of their own.

use std::path::PathBuf;

use clap::Parser;

use super::{system::DAEMON_JSON, *};

/// As `cargo xtask host-setup` reads them.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: HostSetupArgs,
}

/// What `dockerd` of EulerOS's package is started with (its `docker.service`).
const EULER_UNIT: &str = "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\nEnvironmentFile=-/etc/sysconfig/docker-storage\n\
    ExecStart=/usr/bin/dockerd $OPTIONS $DOCKER_STORAGE_OPTIONS $INSECURE_REGISTRY\n";
/// Debian's, which reads `/etc/default/docker` too.
const DEBIAN_UNIT: &str =
    "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\n";
const HOSTS_TEXT: &str = "127.0.0.1\tlocalhost\n";

struct Host(tempfile::TempDir);

impl Host {
    fn new(files: &[(&str, &str)]) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = host.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|_| "absent".to_owned())
    }

    fn run(&self, flags: &[&str]) -> anyhow::Result<()> {
        let root = self.0.path().to_str().unwrap();
        // The recipe of this workspace is its user's.
        let words = ["host-setup", "--recipe", "/dev/null", "--registry", "swr.x.com", "--root", root];
        let Line { args } = Line::parse_from(words.iter().chain(flags));
        run(&args, &Progress::new(true))
    }

    fn set(&self) {
        self.run(&["--ip", "10.0.0.7"]).unwrap();
    }

    fn undo(&self) {
        self.run(&["--undo"]).unwrap();
    }

    /// Every file with its text.
    fn files(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

#[test]
fn debian_gets_a_daemon_json_and_hosts_and_all_of_it_goes_again() {
    let host = Host::new(&[
        ("etc/hosts", HOSTS_TEXT),
        ("lib/systemd/system/docker.service", DEBIAN_UNIT),
        ("etc/default/docker", "# DOCKER_OPTS=\"--dns 8.8.8.8\"\n"),
    ]);
    let before = host.files();
    host.run(&["--ip", "10.0.0.7", "--dry-run"]).unwrap();
    assert_eq!(host.files(), before);
    host.run(&["--ip", "10.0.0.7", "--modelarts-host", "modelarts.x.com"]).unwrap();
    assert_eq!(host.read(DAEMON_JSON), "{\n    \"insecure-registries\": [\n        \"swr.x.com\"\n    ]\n}\n");
    assert_eq!(host.read(HOSTS), format!("{HOSTS_TEXT}10.0.0.7 swr.x.com # fmtk\n10.0.0.7 modelarts.x.com # fmtk\n"));
    let after = host.files();
    host.run(&["--ip", "10.0.0.7", "--modelarts-host", "modelarts.x.com"]).unwrap();
    assert_eq!(host.files(), after, "a second run changed something");
    host.run(&["--undo", "--modelarts-host", "modelarts.x.com"]).unwrap();
    assert_eq!(host.files(), before);
}

#[test]
fn a_daemon_json_keeps_its_layout_and_what_others_wrote_since() {
    let text = "{\r\n\t\"log-driver\" : \"json-file\",\r\n\t\"insecure-registries\" : [\"a.b\"]\r\n}";
    let host = Host::new(&[(DAEMON_JSON, text), ("etc/hosts", "127.0.0.1 localhost")]);
    let before = host.files();
    host.set();
    assert_eq!(host.read(DAEMON_JSON), text.replace("\"a.b\"", "\"a.b\", \"swr.x.com\""));
    host.undo();
    assert_eq!(host.files(), before);

    host.set();
    let theirs = |text: &str| text.replace("json-file", "journald");
    fs::write(host.path(DAEMON_JSON), theirs(&host.read(DAEMON_JSON))).unwrap();
    fs::write(host.path(HOSTS), host.read(HOSTS) + "1.1.1.1 one\n").unwrap();
    host.undo();
    assert_eq!(host.read(DAEMON_JSON), theirs(text));
    assert_eq!(host.read(HOSTS), "127.0.0.1 localhost\n1.1.1.1 one\n");
}

#[test]
fn what_was_there_before_us_is_not_undone() {
    let text = "{\"insecure-registries\":[\"swr.x.com\"]}";
    let host = Host::new(&[(DAEMON_JSON, text), ("etc/hosts", "10.0.0.7 swr.x.com\n")]);
    let before = host.files();
    host.set();
    host.undo();
    assert_eq!(host.files(), before);
}

/// Where docker's service of each system reads the setting, what it then says, and that an undo leaves nothing.
#[test]
fn each_system_gets_it_where_its_service_reads_it() {
    const SYSCONFIG: &str = "etc/sysconfig/docker";
    const DEFAULT: &str = "etc/default/docker";
    let made = "{\n    \"insecure-registries\": [\n        \"swr.x.com\"\n    ]\n}\n";
    let sysconfig = "# options\nOPTIONS='--live-restore'\nDOCKER_STORAGE_OPTIONS=\nINSECURE_REGISTRY=''\n";
    let set = sysconfig.replace("REGISTRY=''", "REGISTRY='--insecure-registry swr.x.com'");
    let in_options = sysconfig.replace("restore'", "restore --insecure-registry=a.b'");
    let set_in_options = in_options.replace("=a.b'", "=a.b --insecure-registry swr.x.com'");
    let ubuntu = "# Docker Upstart and SysVinit configuration file\n#DOCKER_OPTS=\"--dns 8.8.8.8\"\n";
    let set_in_ubuntu = format!("{ubuntu}DOCKER_OPTS=\"--insecure-registry swr.x.com\"\n");
    let unit = "usr/lib/systemd/system/docker.service";
    let euler = (unit, EULER_UNIT);
    let (in_json, set_in_json) = ("{\"insecure-registries\":[]}", "{\"insecure-registries\":[\"swr.x.com\"]}");
    for (files, path, expected) in [
        (&[euler, (SYSCONFIG, sysconfig)][..], SYSCONFIG, &*set),
        (&[euler, (SYSCONFIG, &in_options)], SYSCONFIG, &set_in_options),
        // A file that the service does not read; docker's own file has the key already.
        (&[(unit, DEBIAN_UNIT), (SYSCONFIG, sysconfig)], DAEMON_JSON, made),
        (&[euler, (SYSCONFIG, sysconfig), (DAEMON_JSON, in_json)], DAEMON_JSON, set_in_json),
        (&[("etc/init/docker.conf", "respawn\n"), (DEFAULT, ubuntu)], DEFAULT, &set_in_ubuntu),
    ] {
        let host = Host::new(files);
        let before = host.files();
        host.run(&[]).unwrap();
        assert_eq!(host.read(path), expected);
        assert_eq!(host.read(HOSTS), "absent", "no address was given");
        let changed = host.files().iter().filter(|file| !before.contains(file)).count();
        assert_eq!(changed, 2, "{path}: the file and its backup");
        host.undo();
        assert_eq!(host.files(), before);
    }
    // A file that was empty goes as one that was not there.
    let host = Host::new(&[(DAEMON_JSON, ""), ("etc/hosts", HOSTS_TEXT)]);
    host.set();
    assert_eq!(host.read(DAEMON_JSON), made);
    host.undo();
    assert_eq!(host.files(), [(host.path("etc/hosts").display().to_string(), HOSTS_TEXT.to_owned())]);
}

const UNIT: &str = "lib/systemd/system/docker.service";
const DROPPED: &str = "etc/systemd/system/docker.service.d/registry.conf";

/// Units that say it themselves: what is in the way, or the file that is changed.
#[test]
fn what_systemd_gives_docker_is_read_by_its_rules() {
    const MADE: &str = "{\n    \"insecure-registries\": [\n        \"swr.x.com\"\n    ]\n}\n";
    let start = |options: &str| format!("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// {options}\n");
    let conflict = |line: usize| {
        format!(
            "docker would not start with insecure registries in `/{DAEMON_JSON}` and at line {line} of `/{DROPPED}`"
        )
    };
    let doubled = |key: &str, word: &str| {
        format!(
            "docker does not start again: `{key}` is in `/{DAEMON_JSON}` and, as `{word}`, at line 3 of `/{DROPPED}`"
        )
    };
    let env = "etc/docker/docker.env";
    for (dropped, other, expected) in [
        (start("--insecure-registry=a:5000"), ("x", ""), conflict(3)),
        (start("--insecure-registry a:5000"), ("x", ""), conflict(3)),
        (start("\\\n  # why\n  --insecure-registry=a:5000"), ("x", ""), conflict(5)),
        ("[Service]\nEnvironment=A=1 \"DOCKER_OPTS=--x --insecure-registry=a\"\n".to_owned(), ("x", ""), conflict(2)),
        (start("--insecure-registry=a --insecure-registry=swr.x.com"), ("x", ""), "nothing".to_owned()),
        // What is taken back or in the shadow of another counts for nothing.
        (start("--insecure-registry=a") + &start(""), ("x", ""), format!("{DAEMON_JSON}: {MADE}")),
        (
            start(""),
            ("run/systemd/system/docker.service.d/registry.conf", &*start("--insecure-registry=a")),
            format!("{DAEMON_JSON}: {MADE}"),
        ),
        (
            start("--insecure-registry=a"),
            ("etc/systemd/system/docker.service.d/z.conf", &*start("")),
            format!("{DAEMON_JSON}: {MADE}"),
        ),
        (
            start("$MORE"),
            ("etc/systemd/system/service.d/registry.conf", "[Service]\nEnvironment=MORE=--insecure-registry=a\n"),
            format!("{DAEMON_JSON}: {MADE}"),
        ),
        // What is dropped in to every service counts, and so do files that a pattern names.
        (
            start("$MORE"),
            ("etc/systemd/system/service.d/a.conf", "[Service]\nEnvironment=MORE=--insecure-registry=a\n"),
            conflict(2).replace(DROPPED, "etc/systemd/system/service.d/a.conf"),
        ),
        (
            start("$MORE") + "EnvironmentFile=-/etc/docker/*.env\n",
            (env, "MORE=--insecure-registry=a\n"),
            format!("{env}: MORE=\"--insecure-registry=a --insecure-registry swr.x.com\"\n"),
        ),
        // Files that take more.
        (
            start("$MORE") + "EnvironmentFile=-/etc/docker/docker.env\n",
            (env, "MORE=--x --insecure-registry=a\n"),
            format!("{env}: MORE=\"--x --insecure-registry=a --insecure-registry swr.x.com\"\n"),
        ),
        (
            start("$MORE") + "EnvironmentFile=/etc/docker/docker.env\n",
            (env, "MORE=\"--insecure-registry=a \\\n--x\"\n"),
            format!("can't change `/{env}`: `MORE` is written in a way that is not understood"),
        ),
        (
            start("--config-file=/etc/docker/own.json"),
            ("etc/docker/own.json", "{}"),
            format!("etc/docker/own.json: {}", MADE.trim_end()),
        ),
        // What is in both places already would keep docker from starting again.
        (start(""), (DAEMON_JSON, "{\"hosts\": []}"), doubled("hosts", "-H")),
        (start("--log-opt=a=b"), (DAEMON_JSON, "{\"log-opts\": {}}"), doubled("log-opts", "--log-opt=a=b")),
        (
            start("--insecure-registry=swr.x.com"),
            (DAEMON_JSON, MADE),
            doubled("insecure-registries", "--insecure-registry=swr.x.com"),
        ),
    ] {
        let host = Host::new(&[(UNIT, DEBIAN_UNIT), (DROPPED, &dropped), other]);
        let before = host.files();
        let said = match host.run(&[]) {
            Err(error) => report::problems(&error)[0].0.replace(host.0.path().to_str().unwrap(), ""),
            Ok(()) => {
                let changed = host.files().into_iter().find(|file| !before.contains(file) && !file.1.is_empty());
                changed.map_or("nothing".to_owned(), |(path, text)| {
                    format!("{}: {text}", path.strip_prefix(&format!("{}/", host.0.path().display())).unwrap())
                })
            }
        };
        assert_eq!(said.split("; nothing was").next().unwrap(), expected, "{dropped}");
        host.undo();
        assert_eq!(host.files(), before, "{dropped}");
    }
    // An undo looks in both places.
    let host = Host::new(&[(UNIT, DEBIAN_UNIT)]);
    host.run(&[]).unwrap();
    fs::create_dir_all(host.path(DROPPED).parent().unwrap()).unwrap();
    fs::write(host.path(DROPPED), start("--insecure-registry=a")).unwrap();
    host.undo();
    assert_eq!(host.read(DAEMON_JSON), "absent");
}

#[test]
fn what_can_not_be_written_is_known_before_the_first_change() {
    let edit = Edit::Daemon { host: "swr.x.com".to_owned() };
    let error = Change::plan(Path::new("/proc/fmtk/daemon.json"), &edit).unwrap().check().unwrap_err();
    assert_eq!(error.to_string(), "can't write to the folder `/proc`; nothing was changed");
}

#[test]
fn all_that_is_in_the_way_is_said_and_nothing_changed() {
    let host = Host::new(&[(DAEMON_JSON, "{\n  \"a\": 1,\n}\n"), ("etc/hosts", "10.0.0.8 swr.x.com\n")]);
    let before = host.files();
    let said = report::render(&host.run(&["--ip", "10.0.0.7"]).unwrap_err());
    assert!(said.contains("daemon.json`: it is not valid JSON at line 3, column 1; nothing was changed\n"), "{said}");
    assert!(said.contains("hosts`: line 1 has `swr.x.com` at `10.0.0.8`, not `10.0.0.7`"), "{said}");
    assert!(said.contains("hint: if that line is wrong"), "{said}");
    assert_eq!(report::exit(&host.run(&["--ip", "10.0.0.7"]).unwrap_err()), report::Exit::Input);
    assert_eq!(host.files(), before);
}

#[test]
fn what_an_undo_would_change_is_told_line_by_line_and_nothing_is_changed() {
    let host = Host::new(&[("etc/hosts", "127.0.0.1 localhost\n::1 localhost"), (DAEMON_JSON, "{\n    \"a\": 1\n}\n")]);
    let dry = || {
        let before = host.files();
        let words = ["host-setup", "--undo", "--registry", "swr.x.com", "--root", host.0.path().to_str().unwrap()];
        let Line { args } = Line::parse_from(words);
        host.run(&["--undo", "--dry-run"]).unwrap();
        assert_eq!(host.files(), before);
        let (changes, _) = plan(&args, "swr.x.com", None, vec!["swr.x.com".to_owned()]).unwrap();
        let needed: Vec<&Change> = changes.iter().filter(|change| change.is_needed()).collect();
        let text: String = needed.iter().map(|change| change.diff()).collect();
        let changed = text.lines().filter(|line| {
            line.starts_with(['+', '-']) && !line.contains(host.0.path().file_name().unwrap().to_str().unwrap())
        });
        let removed = needed.iter().flat_map(|change| change.removes()).count();
        (changed.collect::<Vec<_>>().join("\n"), removed)
    };
    assert_eq!(dry(), (String::new(), 0));
    host.set();
    let (changed, removed) = dry();
    expect_test::expect![[r#"
        -    "a": 1,
        -    "insecure-registries": [
        -        "swr.x.com"
        -    ]
        +    "a": 1
        -::1 localhost
        -10.0.0.7 swr.x.com # fmtk
        +::1 localhost"#]]
    .assert_eq(&changed);
    assert_eq!(removed, 2);
}
