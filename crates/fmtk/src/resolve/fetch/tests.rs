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
        let (recipe, progress) = (recipe(requirements), Progress::new(true));
        fetch_by(python, &recipe, &self.wheels(), &self.pins, &Call::plain(), &self.store, &progress)
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
    let [requirements, constraints] = request.files();
    assert_eq!(requirements, ("requirements.txt", "mindspore-ascend==1.8.1\n".to_owned()));
    assert_eq!(constraints, ("constraints.txt", "numpy<1.24\nprotobuf<3.21\n".to_owned()));
    let exact: Vec<_> = request.arguments(Path::new("/build"), true);
    assert!(["--no-deps", "--require-hashes"].iter().all(|flag| exact.contains(&flag.into())));
    // Where there is no pip, another machine can do it.
    expect_file!["bash_line.txt"].assert_eq(&format!("{}\n{}\n", request.bash_line(&Pins::default()), {
        let known = FileRecord { size: 5, sha256: Digest::of("a") };
        let files = [("a-1-py3-none-any.whl".to_owned(), known)].into();
        request.bash_line(&Pins { files, exact: true, ..Pins::default() })
    }));
    let markers: serde_json::Value = serde_json::from_str(&request.marker_environment()).unwrap();
    assert_eq!((&markers["python_version"], &markers["platform_machine"]), (&"3.9".into(), &"aarch64".into()));
    // An older glibc takes no manylinux.
    let recipe = Recipe::parse("python.glibc = \"2.16\"", "", Path::new("/"), Overrides::default()).unwrap();
    assert_eq!(Request::of(&recipe).platforms, ["linux_aarch64"]);
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
