//! Fetching with a stand-in for pip; pip itself is run by `cargo xtask e2e`.

use expect_test::{expect, expect_file};

use super::*;
use crate::{recipe::Overrides, terminal::report};

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn wheels(&self) -> std::path::PathBuf {
        self.folder.path().join("pypi")
    }

    fn fetch(&self, requirements: &[&str]) -> anyhow::Result<Fetched> {
        let pip = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/resolve/fetch/fake_pip.sh");
        fetch_by(&pip, &recipe(requirements), &self.wheels(), &self.store, &Progress::new(true))
    }

    /// What is in the folder, but for the lock.
    fn listed(&self) -> Vec<String> {
        let names = fs::read_dir(self.wheels()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != ".lock").collect();
        names.sort();
        names
    }
}

fn recipe(requirements: &[&str]) -> Recipe {
    let set = [format!("pypi.requirements={requirements:?}")];
    Recipe::parse("", "image.toml", Path::new("/"), Overrides { set: &set, base: None }).unwrap()
}

#[test]
fn pip_is_asked_for_the_target() {
    let recipe = Recipe::parse("python.glibc = \"2.19\"", "", Path::new("/"), Overrides::default()).unwrap();
    let request = Request::of(&recipe);
    let arguments = request.arguments(Path::new("/build"), Path::new("/build/wheels"));
    let lines: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
    expect_file!["arguments.txt"].assert_eq(&lines.join("\n"));
    let [requirements, constraints] = request.files();
    assert_eq!(requirements, ("requirements.txt", "mindspore-ascend==1.8.1\n".to_owned()));
    assert_eq!(constraints, ("constraints.txt", "numpy<1.24\nprotobuf<3.21\n".to_owned()));
    let markers: serde_json::Value = serde_json::from_str(&request.marker_environment()).unwrap();
    assert_eq!((&markers["python_version"], &markers["platform_machine"]), (&"3.9".into(), &"aarch64".into()));
    // An older glibc takes no manylinux.
    let recipe = Recipe::parse("python.glibc = \"2.16\"", "", Path::new("/"), Overrides::default()).unwrap();
    assert_eq!(Request::of(&recipe).platforms, ["linux_aarch64"]);
}

#[test]
fn a_second_fetch_runs_nothing() {
    let place = Place::new();
    assert_eq!(state(&recipe(&["a==1"]), &place.wheels()).unwrap(), State::Never);
    assert!(!was_here(&place.wheels()));
    let first = place.fetch(&["a==1", "b-c==2"]).unwrap();
    assert!(was_here(&place.wheels()));
    assert_eq!(first.files, ["a-1-py3-none-any.whl", "b_c-2-py3-none-any.whl"]);
    assert_eq!((first.downloaded, first.size), (true, 12));
    assert_eq!(place.listed(), ["a-1-py3-none-any.whl", "b_c-2-py3-none-any.whl", "fetched.json"]);
    assert_eq!(state(&recipe(&["a==1", "b-c==2"]), &place.wheels()).unwrap(), State::Complete);
    let second = place.fetch(&["a==1", "b-c==2"]).unwrap();
    assert_eq!(second, Fetched { downloaded: false, ..first });
}

#[test]
fn a_lost_or_changed_wheel_is_fetched_again() {
    let place = Place::new();
    let wheel = place.wheels().join("a-1-py3-none-any.whl");
    let wanted = recipe(&["a==1"]);
    place.fetch(&["a==1"]).unwrap();
    fs::remove_file(&wheel).unwrap();
    assert_eq!(state(&wanted, &place.wheels()).unwrap(), State::Lacking(vec!["a-1-py3-none-any.whl".to_owned()]));
    assert!(place.fetch(&["a==1"]).unwrap().downloaded);
    fs::write(&wheel, "a==2\n").unwrap();
    assert!(place.fetch(&["a==1"]).unwrap().downloaded);
    assert_eq!(fs::read_to_string(&wheel).unwrap(), "a==1\n");
}

#[test]
fn other_requirements_replace_what_was_fetched_and_nothing_else() {
    let place = Place::new();
    place.fetch(&["a==1", "b==1"]).unwrap();
    fs::write(place.wheels().join("own-1-py3-none-any.whl"), "own").unwrap();
    let own = vec!["a-1-py3-none-any.whl".to_owned(), "b-1-py3-none-any.whl".to_owned()];
    assert_eq!(state(&recipe(&["a==2"]), &place.wheels()).unwrap(), State::Other(own));
    place.fetch(&["a==2"]).unwrap();
    assert_eq!(place.listed(), ["a-2-py3-none-any.whl", "fetched.json", "own-1-py3-none-any.whl"]);
}

/// It took away what had been fetched, so that who built once without had to download all again.
#[test]
fn with_nothing_to_fetch_all_stays() {
    let place = Place::new();
    let nothing = Fetched { downloaded: false, files: Vec::new(), size: 0 };
    assert_eq!(place.fetch(&[]).unwrap(), nothing);
    assert!(!place.wheels().exists());
    place.fetch(&["a==1"]).unwrap();
    assert_eq!(place.fetch(&[]).unwrap(), nothing);
    assert_eq!(place.listed(), ["a-1-py3-none-any.whl", "fetched.json"]);
    assert_eq!(state(&recipe(&["a==1"]), &place.wheels()).unwrap(), State::Complete);
}

#[test]
fn an_interrupted_fetch_is_not_taken_for_a_done_one() {
    let place = Place::new();
    place.fetch(&["a==1"]).unwrap();
    // As the power left it: some wheels moved in, the rest still in the work folder, the record open.
    let mut record = Record::load(&place.wheels()).unwrap().unwrap();
    let known = record.files.values().next().unwrap().clone();
    record.request = None;
    record.files.insert("b-1-py3-none-any.whl".to_owned(), known);
    record.save(&place.wheels()).unwrap();
    fs::write(place.wheels().join("b-1-py3-none-any.whl"), "b==1\n").unwrap();
    fs::create_dir_all(place.wheels().join(PARTIAL).join("wheels")).unwrap();
    assert!(matches!(state(&recipe(&["a==1"]), &place.wheels()).unwrap(), State::Other(_)));
    assert!(place.fetch(&["a==1"]).unwrap().downloaded);
    assert_eq!(place.listed(), ["a-1-py3-none-any.whl", "fetched.json"]);
}

#[test]
fn a_failed_fetch_leaves_the_old_one() {
    let place = Place::new();
    place.fetch(&["a==1"]).unwrap();
    let error = place.fetch(&["b==1", "broken==1"]).unwrap_err();
    expect![[r#"
        error: pip could not download b==1, broken==1
        no matching distribution
        hint: `pip config list` shows the index, proxy and find-links that pip uses
    "#]]
    .assert_eq(&report::render(&error));
    assert_eq!(place.listed(), ["a-1-py3-none-any.whl", "fetched.json"]);
    assert_eq!(state(&recipe(&["a==1"]), &place.wheels()).unwrap(), State::Complete);
}

#[test]
fn a_machine_without_pip_is_told_so() {
    let place = Place::new();
    let text = report::render(&place.fetch(&["no-pip"]).unwrap_err());
    expect![[r#"
        error: the `python3` of this machine has no pip
        hint: install Python's pip, as by `apt-get install python3-pip`; or put the wheels into `/pypi` by hand
    "#]]
    .assert_eq(&text.replace(place.folder.path().to_str().unwrap(), ""));
    let none = Path::new("/nonexistent/python3");
    let error = fetch_by(none, &recipe(&["a==1"]), &place.wheels(), &place.store, &Progress::new(true)).unwrap_err();
    assert!(
        report::render(&error).starts_with("error: failed to run `python3`, which pip needs\ncaused by: No such file")
    );
}

#[test]
fn a_moxing_that_a_requirement_pulls_in_is_refused() {
    let place = Place::new();
    let wheels = place.folder.path().join("arrived");
    fs::create_dir(&wheels).unwrap();
    fs::write(wheels.join("moxing-1.0-py3-none-any.whl"), "").unwrap();
    assert!(arrived(&wheels, &place.store).unwrap_err().to_string().contains("is not MoXing"));
    fs::rename(wheels.join("moxing-1.0-py3-none-any.whl"), wheels.join("a.tar.gz")).unwrap();
    assert_eq!(arrived(&wheels, &place.store).unwrap_err().to_string(), "pip downloaded a file that is not a wheel");
}

#[test]
fn a_record_that_names_other_folders_is_not_believed() {
    let place = Place::new();
    place.fetch(&["a==1"]).unwrap();
    let text = fs::read_to_string(place.wheels().join("fetched.json")).unwrap();
    fs::write(place.wheels().join("fetched.json"), text.replace("a-1-py3", "../a-1-py3")).unwrap();
    assert_eq!(state(&recipe(&["a==1"]), &place.wheels()).unwrap(), State::Never);
}

#[test]
fn of_two_fetches_at_once_one_downloads() {
    let place = Place::new();
    let fetched = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| place.fetch(&["a==1"]).unwrap().downloaded));
        both.map(|one| one.join().unwrap())
    });
    assert_eq!(fetched.iter().filter(|downloaded| **downloaded).count(), 1);
}

#[test]
fn a_fetch_that_fails_while_moving_in_is_left_open() {
    let place = Place::new();
    place.fetch(&["a==1"]).unwrap();
    let old = Record::load(&place.wheels()).unwrap().unwrap();
    let known = old.files.values().next().unwrap().clone();
    let files = [("a-1-py3-none-any.whl".to_owned(), known.clone()), ("gone-1-py3-none-any.whl".to_owned(), known)];
    let new = Record { request: Some(Request::of(&recipe(&["gone==1"]))), files: files.into() };
    let nowhere = place.folder.path().join("nowhere");
    assert!(settle(&old, new, &nowhere, &place.wheels()).is_err());
    for wanted in ["a==1", "gone==1"] {
        assert!(matches!(state(&recipe(&[wanted]), &place.wheels()).unwrap(), State::Other(_)));
    }
    assert!(place.fetch(&["a==1"]).unwrap().downloaded);
}
