//! What is found in a package folder, and what is said where it is not.

use expect_test::expect_file;

use super::*;
use crate::{recipe::Overrides, terminal::report};

const CANN_FILE: &str = "Ascend-cann-toolkit_5.1.RC2_linux-aarch64.run";
const MOXING: &str = "moxing_framework-2.0.0.rc2.4b57a67b-py2.py3-none-any.whl";
const KIT: &str = "Ascend_mindxsdk_mxTuningKit-1.0.0-py3-none-any.whl";
const MINDSPORE: &str = "pypi/mindspore_ascend-1.8.1-cp39-none-any.whl";
const OPS_910: &str = "Ascend-cann-kernels-910_5.1.RC2_linux-aarch64.run";
const NNAL_5: &str = "Ascend-cann-nnal_5.1.RC2_linux-aarch64.run";
const ALL: [&str; 4] = [CANN_FILE, MOXING, KIT, MINDSPORE];

struct Folder {
    folder: tempfile::TempDir,
    store: Store,
}

impl Folder {
    /// A package folder with these files, each of which holds its name.
    fn with(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let place = Self { folder, store };
        fs::create_dir_all(place.pkg().join("pypi")).unwrap();
        for file in files {
            fs::write(place.pkg().join(file), file).unwrap();
        }
        place
    }

    fn pkg(&self) -> PathBuf {
        self.folder.path().join("pkg")
    }

    /// What a fetch left beside its wheels.
    fn fetched(self, request: &serde_json::Value, files: &serde_json::Value) -> Self {
        let record = serde_json::json!({ "request": request, "files": files });
        fs::write(self.pkg().join("pypi/fetched.json"), record.to_string()).unwrap();
        self
    }

    fn folders(&self) -> Folders {
        Folders::of(self.pkg(), None, None)
    }

    fn said_to(&self, set: &[&str], call: &Call) -> String {
        let said = match find(&recipe(set), &self.folders(), &[], &self.store, call) {
            Ok(PackageSet { packages, unused, left_out }) => {
                assert!(packages.iter().all(|one| one.path.ends_with(&one.file) && one.path.is_file()));
                let shown = |one: &Package| format!("{} {} {} {}\n", one.kind, one.file, one.size, one.sha256.short());
                let packages: String = packages.iter().map(shown).collect();
                format!("{packages}unused: {unused:?}, left out: {left_out}\n")
            }
            Err(error) => report::render(&error),
        };
        said.replace(self.folder.path().to_str().unwrap(), "")
    }

    fn said(&self, set: &[&str]) -> String {
        self.said_to(set, &Call::plain())
    }
}

fn recipe(set: &[&str]) -> Recipe {
    let set: Vec<String> = set.iter().map(|argument| (*argument).to_owned()).collect();
    Recipe::parse("", "image.toml", Path::new("/"), Overrides { set: &set, ..Overrides::default() }).unwrap()
}

#[test]
fn packages_are_found_or_it_is_said_what_is_wrong() {
    use serde_json::Value::Null;
    let (none, no_cann) =
        (["pypi.requirements=[]"], ["packages.cann.required=false", "packages.moxing.required=false"]);
    let kit_alone = [&no_cann[..], &none].concat();
    let of_nothing = [&kit_alone[..], &["packages.tuning-kit.required=false"]].concat();
    let with = |more: &[&str]| Folder::with(&[&ALL[..], more].concat());
    let with_none = || Folder::with(&ALL[..3]);
    let known = |content: &str| {
        let known = serde_json::json!({ "size": content.len(), "sha256": Digest::of(content) });
        serde_json::json!({ "mindspore_ascend-1.8.1-cp39-none-any.whl": known })
    };
    let other =
        fetch::Request::of(&recipe(&["pypi.requirements=['a', 'b']", "versions.python=3.8", "python.glibc=2.17"]));
    let other = serde_json::to_value(other).unwrap();
    let request = serde_json::to_value(fetch::Request::of(&recipe(&[]))).unwrap();
    let belied = Folder::with(&[
        "Ascend-cann-toolkit_6.0.0_linux-x86_64.run",
        MOXING,
        KIT,
        "pypi/mindspore_ascend-1.9.0-cp39-none-any.whl",
        "pypi/no-wheel.whl",
    ]);
    // Wheels of an earlier fetch were complained about, and those that lay there by hand went in.
    let by_hand = || Folder::with(&[KIT, MINDSPORE, "pypi/numpy-1.0-py3-none-any.whl"]);
    let versions = || {
        let wheels = ["alpha-1.0", "beta-2.0", "local-1.2+cpu"].map(|name| format!("pypi/{name}-py3-none-any.whl"));
        Folder::with(&[&ALL[..3], &wheels.each_ref().map(String::as_str)].concat())
    };
    // A mistyped `--pkg` was answered with the lack of everything that the folder should have.
    let gone = || {
        let place = Folder::with(&[]);
        fs::remove_dir_all(place.pkg()).unwrap();
        place
    };
    // A link to a wheel that was moved away built an image without the wheel.
    let broken = || {
        let place = Folder::with(&[CANN_FILE, MOXING, MINDSPORE]);
        std::os::unix::fs::symlink("moved.whl", place.pkg().join(KIT)).unwrap();
        fs::create_dir(place.pkg().join("pypi/six-1.0-py3-none-any.whl")).unwrap();
        place
    };
    let cann_apart = || {
        Folder::with(&[
            "Ascend-cann-toolkit_8.3.RC1_linux-aarch64.run",
            "Ascend-cann-kernels-910b_8.2.RC1_linux-aarch64.run",
            "Ascend-cann-nnal_8.3.RC1_linux-x86_64.run",
            MOXING,
            KIT,
            MINDSPORE,
        ])
    };
    let mut said = String::new();
    for (title, place, set) in [
        ("the manual's", with(&["README.md", "notes.txt", "._hidden.whl", "stray-1.whl"]), &[][..]),
        ("an empty folder", Folder::with(&[]), &[]),
        ("no folder", gone(), &[]),
        ("no folder, and nothing of the vendor wanted, as before the sample's first fetch", gone(), &of_nothing),
        ("two files for one glob", with(&["moxing_framework-2.1.0-py3-none-any.whl"]), &[]),
        ("an installer, and no CANN wanted", with(&[]), &["versions.cann=none"]),
        ("a package that may be missing", Folder::with(&[KIT]), &kit_alone),
        ("nothing of PyPI wanted", by_hand(), &kit_alone),
        ("nothing of PyPI wanted, and fetched", by_hand().fetched(&Null, &serde_json::json!({})), &kit_alone),
        ("wanted, and a fetch was interrupted", by_hand().fetched(&Null, &serde_json::json!({})), &no_cann),
        ("wanted, and fetched for something else", by_hand().fetched(&other, &serde_json::json!({})), &no_cann),
        ("names that belie the tag", belied, &[]),
        (
            "PyTorch of another version than the tag's",
            Folder::with(
                &[&ALL[..], &["pypi/torch-2.8.0+cpu-py3-none-any.whl", "pypi/torch_npu-2.7.1-py3-none-any.whl"]]
                    .concat(),
            ),
            &["versions.torch=2.7.1", "versions.torch_npu=2.7.1"],
        ),
        ("two wheels of one distribution", with(&["pypi/Moxing.Framework-1-py3-none-any.whl"]), &[]),
        // Who asked for another version was told to fetch, and in the next line to take the old one.
        ("what the next fetch removes", with(&[]).fetched(&Null, &known(MINDSPORE)), &["versions.mindspore=1.9.0"]),
        ("what was fetched", with(&[]).fetched(&request, &known(MINDSPORE)), &[]),
        // An image was built without it, and nothing was said.
        ("what was fetched, and a wheel by hand is gone", with_none().fetched(&request, &serde_json::json!({})), &[]),
        ("a fetched wheel that was cut short", with(&[]).fetched(&request, &known("longer than it is")), &[]),
        // Only the build found it, and its hint did not help.
        (
            "a fetched wheel that was damaged, and is as long as before",
            with(&[]).fetched(&request, &known(&MINDSPORE.to_uppercase())),
            &[],
        ),
        ("another version than required, by hand", versions(), &["pypi.requirements=['alpha==2.0', 'beta']"]),
        (
            "another than a constraint allows",
            versions(),
            &["pypi.requirements=['alpha']", "pypi.constraints=['beta<1']"],
        ),
        ("a local version", versions(), &["pypi.requirements=['local==1.2', 'alpha~=1.0']"]),
        (
            "requirements and constraints for another Python",
            versions(),
            // pip takes the Python for the first of its series.
            &["pypi.requirements=['gone; python_full_version>\"3.9.0\"', 'alpha==2;os_name==\"nt\"']"],
        ),
        ("CANN in several packages", with(&[OPS_910, NNAL_5]), &[]),
        ("packages of CANN that do not belong together", cann_apart(), &["versions.cann=8.3.RC1"]),
        ("operators for two chips", with(&[OPS_910, "Atlas-A3-cann-kernels_5.1.RC2_linux-aarch64.run"]), &[]),
        ("a package that a glob takes for another", with(&[]), &["packages.nnal.glob=Ascend-cann-toolkit*.run"]),
        ("operators that are missing", with(&[]), &["packages.ops.glob=Ascend-cann-kernels-910_*.run"]),
        ("links to nothing", broken(), &["packages.tuning-kit.required=false"]),
        ("links to nothing, for what is required", broken(), &[]),
    ] {
        said += &format!("# {title}\n{}\n", place.said(set));
    }
    expect_file!["found.txt"].assert_eq(&said);
}

#[test]
fn the_sample_is_not_sent_to_the_sample() {
    let call = Call { sample: true, fetch: "cargo xtask fetch --sample".to_owned(), ..Call::plain() };
    let said = Folder::with(&[]).said_to(&[], &call);
    assert!(said.contains("hint: run `cargo xtask fetch --sample`\n") && !said.contains("image --sample"), "{said}");
}

/// A machine without pip was told to put the wheels there by hand, and the sample asked for pip again.
#[test]
fn wheels_put_there_by_hand_need_no_fetch() {
    let place = Folder::with(&[MINDSPORE]);
    let by_hand = |place: &Folder, set: &str| by_hand(&recipe(&[set]), &place.folders()).unwrap();
    assert!(by_hand(&place, "user=me"));
    assert!(!by_hand(&place, "pypi.requirements=['mindspore-ascend', 'mindpet']"));
    let place = place.fetched(&serde_json::Value::Null, &serde_json::json!({}));
    assert!(!by_hand(&place, "user=me"));
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

/// A fetch for one recipe removed what another's had brought.
#[test]
fn each_recipe_has_a_folder_for_its_wheels() {
    let pypi = |recipe: Option<&str>| Folders::of("pkg".into(), recipe.map(Path::new), None).pypi;
    let of_stack = Folders::of("pkg".into(), Some("torch.toml".as_ref()), Some("torch-2.7")).pypi;
    assert_eq!(of_stack, Path::new("pkg/pypi/torch/torch-2.7"));
    assert_eq!(pypi(None), Path::new("pkg/pypi"));
    assert_eq!(pypi(Some("a/image.toml")), Path::new("pkg/pypi"));
    assert_eq!(pypi(Some("a/torch.toml")), Path::new("pkg/pypi/torch"));
}

/// Knows every package by its key.
struct KnowsAll;

impl oci_image::Behind for KnowsAll {
    fn record(&self, kind: &str, _: &Digest) -> Option<serde_json::Value> {
        match kind {
            MAKESELF => Some(serde_json::json!({
                "interpreter": "/bin/sh", "label": "", "compression": null, "offset": 0, "parts": [],
            })),
            // Of a wheel without files.
            wheel_layer::OUTLINES => Some(serde_json::json!({
                "facts": {
                    "file": { "name": "a", "version": "1", "build": null, "pythons": [], "abis": [], "platforms": [] },
                    "name": "a", "version": "1", "wheel_version": [1, 0], "root_is_purelib": true, "tags": [],
                    "requires_python": null, "requires_dist": [], "dist_info": "a-1.dist-info", "commands": [],
                    "files": [], "record": [], "elf": [], "linked": [], "unfinished_scripts": [],
                },
                "names": [], "sizes": [], "compressed": [], "executable": [], "unlisted": [], "rows": [],
            })),
            _ => None,
        }
    }
    fn has_layer(&self, _: &Digest, _: u64, _: &Digest) -> bool {
        false
    }
    fn file(&self, _: &Digest) -> Option<Vec<u8>> {
        None
    }
}

/// A new machine had to have every package, though only one had changed.
#[test]
fn packages_of_the_lock_that_an_image_knows_count_as_there_unless_others_are() {
    let newer = KIT.replace("1.0.0", "2.0.0");
    let folder = Folder::with(&[&newer]);
    let locked = ALL.map(|file| {
        let kind = match file {
            CANN_FILE => CANN,
            MOXING => "moxing",
            KIT => "tuning-kit",
            _ => PYPI,
        };
        let file = file.rsplit('/').next().unwrap_or_default().to_owned();
        Package { kind: kind.to_owned(), path: PathBuf::new(), size: 7, sha256: Digest::of(&file), file }
    });
    let folders = folder.folders();
    let absent = |store: &Store| known_to_an_image(missing(&locked, &folders), store);
    assert!(absent(&folder.store).is_empty(), "nothing knows them");
    let store = folder.store.clone().before(std::sync::Arc::new(KnowsAll));
    let known = absent(&store);
    assert_eq!(known.len(), 4);
    let found = find(&recipe(&[]), &folders, &known, &store, &Call::plain()).unwrap().packages;
    let shown: Vec<String> = found.iter().map(|one| format!("{} {}", one.kind, one.file)).collect();
    let mindspore = MINDSPORE.trim_start_matches("pypi/");
    let expected = [(CANN, CANN_FILE), ("moxing", MOXING), (PYPI, mindspore), ("tuning-kit", &newer)];
    assert_eq!(shown, expected.map(|(kind, file)| format!("{kind} {file}")));
    assert!(found.iter().all(|one| one.path.exists() == (one.file == newer)));
    // None of what is here is passed over.
    fs::write(folders.pypi.join(mindspore), "other").unwrap();
    assert_eq!(absent(&store).len(), 3);
}
