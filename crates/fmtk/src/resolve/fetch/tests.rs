//! Fetching with a stand-in for pip; pip itself is run by `cargo xtask e2e`.

use expect_test::expect_file;
use wheel_fake::FakeWheel;

use super::*;
use crate::{recipe::Overrides, terminal::report};

struct Folder {
    folder: tempfile::TempDir,
    store: Store,
    pins: Pins,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store, pins: Pins::default() }
    }

    fn wheels(&self) -> std::path::PathBuf {
        self.folder.path().join("pypi")
    }

    fn fetch(&self, requirements: &[&str]) -> anyhow::Result<Fetched> {
        let pip = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/resolve/fetch/fake_pip.sh");
        self.fetch_by(&pip, requirements)
    }

    fn fetch_by(&self, python: &Path, requirements: &[&str]) -> anyhow::Result<Fetched> {
        self.fetch_of(python, &recipe(requirements))
    }

    fn fetch_of(&self, python: &Path, recipe: &Recipe) -> anyhow::Result<Fetched> {
        let uv = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/resolve/fetch/fake_uv.sh");
        let (tools, progress) = (Tools { python, uv: &uv }, Progress::new(true));
        fetch_by(tools, recipe, &self.wheels(), &self.pins, &Call::plain(), &self.store, &progress)
    }
}

fn recipe(requirements: &[&str]) -> Recipe {
    let set = [format!("pypi.requirements={requirements:?}")];
    Recipe::parse("", "image.toml", Path::new("/"), Overrides { set: &set, ..Overrides::default() }).unwrap()
}

#[test]
fn pip_is_asked_for_the_target() {
    let recipe = Recipe::parse("python.glibc = \"2.19\"", "", Path::new("/"), Overrides::default()).unwrap();
    let request = Request::of(&recipe);
    let arguments = request.arguments(Path::new("/build"), false);
    let lines: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
    expect_file!["arguments.txt"].assert_eq(&lines.join("\n"));
    let [requirements, constraints] = request.files(None);
    assert_eq!(requirements, ("requirements.txt", "mindspore-ascend==1.8.1\n".to_owned()));
    assert_eq!(constraints, ("constraints.txt", "numpy<1.24\nprotobuf<3.21\n".to_owned()));
    let exact: Vec<_> = request.arguments(Path::new("/build"), true);
    assert!(["--no-deps", "--require-hashes"].iter().all(|flag| exact.contains(&flag.into())));
    // Where there is no pip, another machine can do it.
    expect_file!["bash_line.txt"].assert_eq(&format!("{}\n{}\n", request.bash_line(&Pins::default()).unwrap(), {
        let known = FileRecord { size: 5, sha256: Digest::of("a") };
        let files = [("a-1-py3-none-any.whl".to_owned(), known)].into();
        request.bash_line(&Pins { files, exact: true, ..Pins::default() }).unwrap()
    }));
    let markers: serde_json::Value = serde_json::from_str(&request.marker_environment()).unwrap();
    assert_eq!((&markers["python_version"], &markers["platform_machine"]), (&"3.9".into(), &"aarch64".into()));
    // An older glibc takes no manylinux.
    let recipe = Recipe::parse("python.glibc = \"2.16\"", "", Path::new("/"), Overrides::default()).unwrap();
    assert_eq!(Request::of(&recipe).platforms, ["linux_aarch64"]);
}

/// Of another index somebody else's package could come, whose build script would run.
#[test]
fn a_source_comes_from_the_index_that_its_wheels_come_from() {
    let text = "pypi.resolver = 'uv'\npypi.requirements = ['own']\n[[pypi.index]]\nurl = 'http://own/simple'\n\
                only = ['own']\n[[pypi.index]]\nurl = 'http://mirror/simple'\n";
    let request = Request::of(&Recipe::parse(text, "", Path::new("/"), Overrides::default()).unwrap());
    assert_eq!(request.source_lines("own", &["own<2"]), "--index-url http://own/simple\nown<2\n");
    assert_eq!(request.source_lines("other", &["other"]), "--index-url http://mirror/simple\nother\n");
    assert_eq!(Request::of(&recipe(&["a"])).source_lines("a", &["a"]), "a\n");
}

/// A transcript: lines with `$` are done, and what follows them is what comes of it. `UPDATE_EXPECT=1` writes that anew.
#[test]
fn transcript() {
    let (mut place, mut said) = (Folder::new(), String::new());
    for line in include_str!("transcript.txt").lines().filter(|line| line.starts_with(['$', '#'])) {
        said += &format!("{line}\n");
        let Some(line) = line.strip_prefix("$ ") else {
            place = Folder::new();
            continue;
        };
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (file, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let requirements: Vec<&str> = rest.split_whitespace().collect();
        let path = place.wheels().join(file);
        match what {
            "fetch" => {
                let shown = |error: Error| report::render(&error).replace(place.folder.path().to_str().unwrap(), "");
                let fetched = place.fetch(&requirements).map_err(shown);
                said += &fetched.map_or_else(|error| error, |fetched| format!("{fetched:?}\n"));
            }
            "state" => {
                let state = state(&recipe(&requirements), &place.wheels(), &place.store).unwrap();
                said += &format!("{state:?}\n").replace(place.folder.path().to_str().unwrap(), "");
            }
            // What the lock names, and whether it is of the recipe's requirements.
            "lock" | "stale-lock" => {
                let known = |one: &str| FileRecord { size: 5, sha256: Digest::of(format!("{one}\n")) };
                let file = |one: &str| format!("{}-py3-none-any.whl", one.replace("==", "-"));
                let files = requirements.iter().map(|one| (file(one), known(one))).collect();
                place.pins = Pins { files, exact: what == "lock", ..Pins::default() };
            }
            // From now on, with what pip builds: the distribution and its tags.
            "build-pure" => {
                place.pins.build_pure = true;
                let built = place.folder.path().join("built");
                let _ = fs::remove_dir_all(&built);
                fs::create_dir(&built).unwrap();
                FakeWheel::new("source_alone").tag(text).write(&built).unwrap();
            }
            "upgrade" => place.pins = Pins { upgrade: true, ..Pins::default() },
            // What is in the folder, but for the lock.
            "list" => {
                let names = fs::read_dir(place.wheels()).into_iter().flatten().map(|entry| entry.unwrap().file_name());
                let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
                names.sort();
                said += &format!("{names:?} {}\n", if was_here(&place.wheels()) { "fetched" } else { "never fetched" });
            }
            "remove" => fs::remove_file(path).unwrap(),
            "show" => said += &format!("{}\n", fs::read_to_string(path).unwrap().trim_end()),
            "write" => fs::write(path, text).unwrap(),
            // As the power leaves it: some wheels moved in, the rest still in the work folder, the record open.
            "interrupt" => {
                let mut record = Record::load(&place.wheels()).unwrap().unwrap();
                let known = record.files.values().next().unwrap().clone();
                record.request = None;
                record.files.insert(file.to_owned(), known);
                record.save(&place.wheels()).unwrap();
                fs::write(path, "b==1\n").unwrap();
                fs::create_dir_all(place.wheels().join(PARTIAL).join("wheels")).unwrap();
            }
            "lead-out" => {
                let path = place.wheels().join("fetched.json");
                fs::write(&path, fs::read_to_string(&path).unwrap().replace("a-1-py3", "../a-1-py3")).unwrap();
            }
            _ => panic!("{line}"),
        }
    }
    expect_file!["transcript.txt"].assert_eq(&said);
}

#[test]
fn a_machine_without_python_is_told_so() {
    let place = Folder::new();
    let none = Path::new("/nonexistent/python3");
    let error = place.fetch_by(none, &["a==1"]).unwrap_err();
    assert!(
        report::render(&error).starts_with("error: failed to run `python3`, which pip needs\ncaused by: No such file")
    );
}

#[test]
fn a_moxing_that_a_requirement_pulls_in_is_refused() {
    let place = Folder::new();
    let wheels = place.folder.path().join("arrived");
    fs::create_dir(&wheels).unwrap();
    fs::write(wheels.join("moxing-1.0-py3-none-any.whl"), "").unwrap();
    assert!(arrived(&wheels, &place.store).unwrap_err().to_string().contains("is not MoXing"));
    fs::rename(wheels.join("moxing-1.0-py3-none-any.whl"), wheels.join("a.tar.gz")).unwrap();
    assert_eq!(arrived(&wheels, &place.store).unwrap_err().to_string(), "pip downloaded a file that is not a wheel");
}

#[test]
fn of_two_fetches_at_once_one_downloads() {
    let place = Folder::new();
    let fetched = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| place.fetch(&["a==1"]).unwrap().downloaded));
        both.map(|one| one.join().unwrap())
    });
    assert_eq!(fetched.iter().filter(|downloaded| **downloaded).count(), 1);
}

#[test]
fn a_fetch_that_fails_while_moving_in_is_left_open() {
    let place = Folder::new();
    place.fetch(&["a==1"]).unwrap();
    let old = Record::load(&place.wheels()).unwrap().unwrap();
    let known = old.files.values().next().unwrap().clone();
    let files = [("a-1-py3-none-any.whl".to_owned(), known.clone()), ("gone-1-py3-none-any.whl".to_owned(), known)];
    let new = Record { request: Some(Request::of(&recipe(&["gone==1"]))), files: files.into() };
    let nowhere = place.folder.path().join("nowhere");
    let arrived = new.files.clone();
    assert!(settle(&old, new, &arrived, &nowhere, &place.wheels()).is_err());
    for wanted in ["a==1", "gone==1"] {
        let state = state(&recipe(&[wanted]), &place.wheels(), &place.store).unwrap();
        assert!(matches!(state, State::Stale(_, why) if why.ends_with("was interrupted")));
    }
    assert!(place.fetch(&["a==1"]).unwrap().downloaded);
}

/// Requirements of which `b` has an index of its own, and one that requires what is no use here.
const BY_UV: &str = "[pypi]\nresolver = 'uv'\nrequirements = ['needs-nvidia==1', 'b==1']\nconstraints = []\n\
                     exclude = ['nvidia-*']\n[[pypi.index]]\nurl = 'http://own/simple'\nonly = ['b']\n";

fn recipe_of(text: &str, folder: &Path) -> Recipe {
    Recipe::parse(text, "image.toml", folder, Overrides::default()).unwrap()
}

fn pip() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/resolve/fetch/fake_pip.sh")
}

/// The stand-ins make another wheel of the same name for each index, and refuse another hash, as pip does.
#[test]
fn what_uv_chose_comes_by_hash_and_from_the_index_that_is_its_own() {
    let place = Folder::new();
    let fetched = |text: &str| place.fetch_of(&pip(), &recipe_of(text, Path::new("/")));
    let wheels = ["b-1-py3-none-any.whl", "needs_nvidia-1-py3-none-any.whl"];
    assert_eq!(fetched(BY_UV).unwrap().files, wheels);
    let content = |file: &str| fs::read_to_string(place.wheels().join(file)).unwrap();
    assert_eq!(wheels.map(content), ["b==1http://own/simple\n", "needs-nvidia==1\n"]);
    // What the recipe says now is there; what it says no longer comes again, and why is told.
    assert!(!fetched(BY_UV).unwrap().downloaded);
    let with_default = format!("{BY_UV}[[pypi.index]]\nurl = 'http://mirror/simple'\n");
    let why = |text: &str| match state(&recipe_of(text, Path::new("/")), &place.wheels(), &place.store).unwrap() {
        State::Stale(_, why) => why.split_once(": ").unwrap().1.to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(why(BY_UV), "Complete");
    assert_eq!(why(&with_default), "index `http://mirror/simple` is new");
    assert_eq!(why(&BY_UV.replace("['nvidia-*']", "[]")), "exclude `nvidia-*` is gone");
    assert_eq!(why("pypi.requirements = ['b==1', 'needs-nvidia==1']\npypi.constraints = []").split(',').count(), 3);
    assert!(fetched(&with_default).unwrap().downloaded);
    assert_eq!(content(wheels[1]), "needs-nvidia==1http://mirror/simple\n");
    // Without the pattern it would have come.
    assert_eq!(fetched(&BY_UV.replace("['nvidia-*']", "[]")).unwrap().files.len(), 4);
}

#[test]
fn what_uv_can_not_do_is_told() {
    let place = Folder::new();
    let said = |text: &str| report::render(&place.fetch_of(&pip(), &recipe_of(text, Path::new("/"))).unwrap_err());
    let broken = said("[pypi]\nresolver = 'uv'\nrequirements = ['broken==1']\nconstraints = []");
    assert!(broken.contains("uv could not resolve broken==1\n  error: No solution found\n"), "{broken}");
    let quoted = said("[pypi]\nresolver = 'uv'\nrequirements = ['quoting==1']\nconstraints = []");
    assert!(quoted.contains("http://****@main/") && !quoted.contains("secret"), "{quoted}");
    let old = said(
        &BY_UV
            .replace("'b==1'", "'old-uv==1', 'b==1'")
            .replace("'needs-nvidia==1', ", "")
            .replace("'old-uv==1'", "'old-uv==1', 'needs-nvidia==1'"),
    );
    assert!(old.contains("uv did not leave out `nvidia-a`, `nvidia-b`"), "{old}");
    let pure = Folder { pins: Pins { build_pure: true, ..Pins::default() }, ..Folder::new() };
    let pure = report::render(&pure.fetch_of(&pip(), &recipe_of(BY_UV, Path::new("/"))).unwrap_err());
    assert!(pure.contains("`--build-pure` is for what pip resolves"), "{pure}");
    let none = said("[pypi]\nresolver = 'uv'\nrequirements = ['a==1']\n[python]\nglibc = '2.16'");
    assert!(none.contains("uv knows no wheels for glibc 2.16"), "{none}");
    let tools = Tools { python: &pip(), uv: Path::new("/nonexistent/uv") };
    let recipe = recipe_of(BY_UV, Path::new("/"));
    let (pins, progress) = (Pins::default(), Progress::new(true));
    let absent = fetch_by(tools, &recipe, &place.wheels(), &pins, &Call::plain(), &place.store, &progress);
    let absent = report::render(&absent.unwrap_err());
    assert!(absent.starts_with("error: failed to run `uv`\ncaused by: No such file"), "{absent}");
    assert!(absent.contains("`pip install uv`"), "{absent}");
}

#[test]
fn what_another_tool_locked_comes_by_its_hash() {
    let place = Folder::new();
    let lock = |hash: Digest| {
        fs::write(place.folder.path().join("locked.txt"), format!("A==1 --hash={hash}\n")).unwrap();
        recipe_of("pypi.locked = 'locked.txt'", place.folder.path())
    };
    let right = lock(Digest::of("a==1\n"));
    assert_eq!(place.fetch_of(&pip(), &right).unwrap().files, ["a-1-py3-none-any.whl"]);
    assert!(!place.fetch_of(&pip(), &right).unwrap().downloaded);
    let other = lock(Digest::of("other"));
    let State::Stale(_, why) = state(&other, &place.wheels(), &place.store).unwrap() else { panic!("not stale") };
    assert!(why.ends_with(": other hashes are locked"), "{why}");
    let error = report::render(&place.fetch_of(&pip(), &other).unwrap_err());
    assert!(error.contains("pip could not download 1 wheel of `locked.txt`\n  THESE PACKAGES DO NOT MATCH"), "{error}");
    assert!(error.contains("hint: correct the file that `pypi.locked` names, or set `[[pypi.index]]`"), "{error}");
    // By hand it counts only if it is that file.
    let right = lock(Digest::of("a==1\n"));
    for (content, expected) in [("other", Some("`a-1-py3-none-any.whl` in")), ("a==1\n", None)] {
        let place = Folder::new();
        fs::create_dir(place.wheels()).unwrap();
        fs::write(place.wheels().join("a-1-py3-none-any.whl"), content).unwrap();
        let fetch = || place.fetch_of(&pip(), &right).err().map(|error| report::render(&error));
        let error = fetch();
        assert_eq!(error, fetch(), "the second time");
        assert_eq!(error.is_some(), expected.is_some(), "{error:?}");
        assert!(error.unwrap_or_default().contains(expected.unwrap_or_default()));
    }
}
