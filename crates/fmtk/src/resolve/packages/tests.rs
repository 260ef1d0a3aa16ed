//! What is found in a package folder, and what is said where it is not.

use expect_test::{Expect, expect};

use super::*;
use crate::{recipe::Overrides, terminal::report};

const CANN_FILE: &str = "Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run";
const MOXING: &str = "moxing_framework-2.0.0.rc2.4b57a67b-py2.py3-none-any.whl";
const KIT: &str = "Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl";
const MINDSPORE: &str = "pypi/mindspore_ascend-1.8.1-cp39-none-any.whl";

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn with(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        fs::create_dir_all(folder.path().join("pkg/pypi")).unwrap();
        for file in files {
            fs::write(folder.path().join("pkg").join(file), file).unwrap();
        }
        Self { folder, store }
    }

    fn find(&self, set: &[&str]) -> anyhow::Result<Found> {
        let set: Vec<String> = set.iter().map(|argument| (*argument).to_owned()).collect();
        let overrides = Overrides { set: &set, base: None };
        let recipe = Recipe::parse("", "image.toml", Path::new("/"), overrides).unwrap();
        find(&recipe, &self.folder.path().join("pkg"), &self.store, &Call::plain())
    }

    fn check_error(&self, set: &[&str], expected: Expect) {
        let text = report::render(&self.find(set).unwrap_err());
        expected.assert_eq(&text.replace(self.folder.path().to_str().unwrap(), ""));
    }
}

#[test]
fn the_packages_of_the_manual_are_found() {
    let place =
        Place::with(&[CANN_FILE, MOXING, KIT, MINDSPORE, "README.md", "notes.txt", "._hidden.whl", "stray-1.whl"]);
    let found = place.find(&[]).unwrap();
    let shown: Vec<String> = found
        .packages
        .iter()
        .map(|one| format!("{} {} {} {}", one.kind, one.file, one.size, one.sha256.short()))
        .collect();
    expect![[r#"
        cann Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run 45 846a51edd4db
        moxing moxing_framework-2.0.0.rc2.4b57a67b-py2.py3-none-any.whl 56 bc7d2f47649e
        pypi mindspore_ascend-1.8.1-cp39-none-any.whl 45 6ed6203d4c18
        tuning-kit Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl 50 255065a2d9dc"#]]
    .assert_eq(&shown.join("\n"));
    assert!(found.packages.iter().all(|one| one.path.ends_with(&one.file) && one.path.is_file()));
    assert_eq!(found.packages.iter().filter(|one| one.is_installer()).count(), 1);
    assert_eq!(found.unused, ["stray-1.whl"]);
}

#[test]
fn an_empty_folder_is_told_what_belongs_there() {
    Place::with(&[]).check_error(&[], expect![[r#"
        error: no `cann` package: nothing in `/pkg` is named `Ascend-cann-toolkit_*.run`
        hint: copy the toolkit for aarch64 from https://www.hiascend.com/software/cann/community-history to `/pkg`; or take a base that has CANN, and give `--set packages.cann.required=false`
        error: no `moxing` package: nothing in `/pkg` is named `moxing_framework-*.whl`
        hint: copy the MoXing wheel that ModelArts gave you to `/pkg` (PyPI's `moxing` is not it); or, to do without or take a base that has it, give `--set packages.moxing.required=false`
        error: no `tuning-kit` package: nothing in `/pkg` is named `Ascend_mindxsdk_mxTuningKit-*.whl`
        hint: copy the mxTuningKit wheel of MindX SDK to `/pkg`; or, for its open successor `mindpet`, add it to `pypi.requirements`, or take a base that has either, and give `--set packages.tuning-kit.required=false`
        error: `mindspore-ascend==1.8.1` of PyPI is not in `/pkg/pypi`
        hint: run `cargo xtask fetch`
        hint: `cargo xtask image --sample` makes a small real image without the vendor's packages
    "#]]);
}

#[test]
fn two_files_for_one_glob_are_both_named() {
    let second = "moxing_framework-2.1.0-py3-none-any.whl";
    Place::with(&[CANN_FILE, MOXING, second, KIT, MINDSPORE]).check_error(&[], expect![[r#"
        error: 2 packages for `moxing`: `moxing_framework-2.0.0.rc2.4b57a67b-py2.py3-none-any.whl`, `moxing_framework-2.1.0-py3-none-any.whl`
        hint: leave one of them in `/pkg`, or narrow `packages.moxing.glob`
    "#]]);
}

#[test]
fn a_package_that_may_be_missing_may() {
    let set = ["packages.cann.required=false", "packages.moxing.required=false", "pypi.requirements=[]"];
    let found = Place::with(&[KIT]).find(&set).unwrap();
    assert_eq!(found.packages.len(), 1);
}

/// Wheels of an earlier fetch were complained about, and those that lay there by hand went in.
#[test]
fn without_requirements_nothing_of_pypi_goes_in() {
    let place = Place::with(&[KIT, MINDSPORE, "pypi/numpy-1.0-py3-none-any.whl"]);
    let set = ["packages.cann.required=false", "packages.moxing.required=false", "pypi.requirements=[]"];
    let check = || {
        let found = place.find(&set).unwrap();
        assert_eq!(found.packages.iter().map(|one| &*one.kind).collect::<Vec<_>>(), ["tuning-kit"]);
        assert_eq!((found.left_out, found.unused.len()), (2, 0));
    };
    check();
    fs::write(place.folder.path().join("pkg/pypi/fetched.json"), r#"{"request":null,"files":{}}"#).unwrap();
    check();
    assert_eq!(place.find(&set[..2]).unwrap_err().to_string().lines().count(), 1);
}

#[test]
fn names_that_belie_the_tag_are_refused() {
    let place = Place::with(&[
        "Ascend-cann-toolkit_6.0.0_linux-x86_64.run",
        MOXING,
        KIT,
        "pypi/mindspore_ascend-1.9.0-cp39-none-any.whl",
        "pypi/no-wheel.whl",
    ]);
    place.check_error(
        &[],
        expect![[r#"
        error: `Ascend-cann-toolkit_6.0.0_linux-x86_64.run` is CANN `6.0.0`, but the image's tag would say `5.1.RC2`
        hint: give `--set versions.cann=6.0.0`, or another installer
        error: `Ascend-cann-toolkit_6.0.0_linux-x86_64.run` is for `x86_64`, the image for `aarch64`
        hint: take the installer whose name ends with `linux-aarch64.run`
        error: `mindspore_ascend-1.9.0-cp39-none-any.whl` is MindSpore `1.9.0`, but the image's tag would say `1.8.1`
        hint: give `--set versions.mindspore=1.9.0`, or another wheel
        error: `no-wheel.whl` is not named as a wheel, NAME-VERSION-PYTHON-ABI-PLATFORM.whl
    "#]],
    );
}

#[test]
fn two_wheels_of_one_distribution_are_refused() {
    let place = Place::with(&[CANN_FILE, MOXING, KIT, MINDSPORE, "pypi/Moxing.Framework-1-py3-none-any.whl"]);
    place.check_error(&[], expect![[r#"
        error: 2 wheels of `moxing-framework`: `/pkg/moxing_framework-2.0.0.rc2.4b57a67b-py2.py3-none-any.whl`, `/pkg/pypi/Moxing.Framework-1-py3-none-any.whl`
        hint: leave the one that the image shall have
    "#]]);
}

#[test]
fn what_was_fetched_for_another_recipe_or_lost_is_not_built_with() {
    let place = Place::with(&[CANN_FILE, MOXING, KIT, MINDSPORE]);
    let folder = place.folder.path().join("pkg/pypi");
    fs::write(folder.join("fetched.json"), r#"{"request":null,"files":{}}"#).unwrap();
    place.check_error(
        &[],
        expect![[r#"
            error: `/pkg/pypi` was fetched for other requirements than the recipe's
            hint: run `cargo xtask fetch`
        "#]],
    );
}

/// Who asked for another version was told to fetch, and in the next line to take the old one.
#[test]
fn what_the_next_fetch_takes_away_is_not_judged() {
    let place = Place::with(&[CANN_FILE, MOXING, KIT, MINDSPORE]);
    let known = serde_json::json!({ "size": 45, "sha256": Digest::from_bytes([0; 32]) });
    let record = serde_json::json!({ "request": null, "files": { "mindspore_ascend-1.8.1-cp39-none-any.whl": known } });
    fs::write(place.folder.path().join("pkg/pypi/fetched.json"), record.to_string()).unwrap();
    place.check_error(
        &["versions.mindspore=1.9.0"],
        expect![[r#"
            error: `/pkg/pypi` was fetched for other requirements than the recipe's
            hint: run `cargo xtask fetch`
        "#]],
    );
}

/// A mistyped `--pkg` was answered with the lack of everything that the folder should have.
#[test]
fn a_folder_that_is_not_there_is_said_first() {
    let place = Place::with(&[]);
    fs::remove_dir_all(place.folder.path().join("pkg")).unwrap();
    let said = |set: &[&str]| place.find(set).map_err(|error| report::render(&error)).err();
    let first = format!("error: no such folder for packages: `{}/pkg`\nhint: ", place.folder.path().display());
    assert!(said(&[]).unwrap().starts_with(&first), "{:?}", said(&[]));
    // With nothing of the vendor none need be there, as before the sample's first fetch.
    let none = ["cann", "moxing", "tuning-kit"].map(|kind| format!("packages.{kind}.required=false"));
    let none: Vec<&str> = none.iter().map(String::as_str).chain(["pypi.requirements=[]"]).collect();
    assert_eq!(said(&none), None);
}

#[test]
fn the_sample_is_not_sent_to_the_sample() {
    let place = Place::with(&[]);
    let recipe = Recipe::parse("", "image.toml", Path::new("/"), Overrides::default()).unwrap();
    let call = Call { sample: true, fetch: "cargo xtask fetch --sample".to_owned(), ..Call::plain() };
    let said = report::render(&find(&recipe, &place.folder.path().join("pkg"), &place.store, &call).unwrap_err());
    assert!(said.contains("hint: run `cargo xtask fetch --sample`\n") && !said.contains("image --sample"), "{said}");
}

/// A machine without pip was told to put the wheels there by hand, and the sample asked for pip again.
#[test]
fn wheels_put_there_by_hand_need_no_fetch() {
    let place = Place::with(&[MINDSPORE]);
    let folder = place.folder.path().join("pkg");
    let by_hand = |set: &str| {
        let set = [set.to_owned()];
        let recipe = Recipe::parse("", "image.toml", Path::new("/"), Overrides { set: &set, base: None }).unwrap();
        by_hand(&recipe, &folder).unwrap()
    };
    assert!(by_hand("user=me"));
    assert!(!by_hand("pypi.requirements=['mindspore-ascend', 'mindpet']"));
    fs::write(folder.join("pypi/fetched.json"), r#"{"request":null,"files":{}}"#).unwrap();
    assert!(!by_hand("user=me"));
}

#[test]
fn a_fetched_wheel_that_was_cut_short_is_named() {
    let place = Place::with(&[CANN_FILE, MOXING, KIT, MINDSPORE]);
    let recipe = Recipe::parse("", "image.toml", Path::new("/"), Overrides::default()).unwrap();
    let sha256 = Digest::from_bytes([0; 32]);
    let files = serde_json::json!({ "mindspore_ascend-1.8.1-cp39-none-any.whl": { "size": 46, "sha256": sha256 } });
    let record = serde_json::json!({ "request": fetch::Request::of(&recipe), "files": files });
    fs::write(place.folder.path().join("pkg/pypi/fetched.json"), record.to_string()).unwrap();
    place.check_error(
        &[],
        expect![[r#"
            error: files fetched into `/pkg/pypi` are gone or changed: `mindspore_ascend-1.8.1-cp39-none-any.whl`
            hint: run `cargo xtask fetch`
        "#]],
    );
}

#[test]
fn the_folder_is_the_argument_s_the_environment_s_or_the_workspace_s() {
    let from = |argument: Option<&str>, build_path: Option<&str>| {
        folder_from(argument.map(Path::new), build_path.map(PathBuf::from), Path::new("/w")).display().to_string()
    };
    assert_eq!(from(Some("p"), Some("/d")), "p");
    assert_eq!(from(None, Some("/d")), "/d/pkg");
    assert_eq!(from(None, Some("")), "/w/pkg");
    assert_eq!(from(None, None), "/w/pkg");
}

/// A link to a wheel that was moved away built an image without the wheel.
#[test]
fn a_link_to_nothing_is_no_missing_package() {
    let place = Place::with(&[CANN_FILE, MOXING, MINDSPORE]);
    let pkg = place.folder.path().join("pkg");
    std::os::unix::fs::symlink("moved.whl", pkg.join(KIT)).unwrap();
    fs::create_dir(pkg.join("pypi/six-1.0-py3-none-any.whl")).unwrap();
    let expected = expect![[r#"
        error: `/pkg/Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl` is no file that can be read
        hint: copy the file there, or mend the link
        error: `/pkg/pypi/six-1.0-py3-none-any.whl` is no file that can be read
        hint: copy the file there, or mend the link
    "#]];
    place.check_error(&["packages.tuning-kit.required=false"], expected);
    let text = report::render(&place.find(&[]).unwrap_err());
    assert!(!text.contains("no `tuning-kit` package"), "{text}");
}
