//! Plans of small wheels upon a small base.

mod base;
mod claims;
mod front;
mod own_files;
mod pieces;
mod scripts;
mod site;

use std::sync::Arc;

use expect_test::{expect, expect_file};
use oci_image::{Attr, Base, BaseIndex, Digest, Layer, MTIME, Store};
use wheel_double::WheelDouble;
use wheel_layer::WheelFacts;

use super::{CannInput, Inputs, Plan, PlannedLayer};
use crate::{
    cann::Installed,
    options::Call,
    recipe::{CANN, Overrides, PYPI, Recipe},
    resolve::{
        front as launch_front,
        own_file::PlannedFile,
        packages::{Package, Wheel},
        scripts::{Origin, Script},
    },
    terminal::report,
};

const RECIPE: &str = r#"
    versions = { cann = "none", os = "debian_11" }
    python = { prefix = "/opt/py", interpreter = "/opt/py/bin/python3.9" }
    user = "ma-user"
    launch.front = false
"#;
const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\nma-user:x:1000:100::/home/ma-user:/bin/sh\n";
const SITE: &str = "opt/py/lib/python3.9/site-packages";

/// What a plan is made from, and who owns it.
struct World {
    folder: tempfile::TempDir,
    recipe: Recipe,
    tar: tar::Builder<Vec<u8>>,
    wheels: Vec<Wheel>,
    architecture: &'static str,
    base_layers: usize,
    look: bool,
    scripts: Option<Vec<Script>>,
    files: Vec<PlannedFile>,
    cann: Option<CannInput>,
    allow_missing: bool,
}

impl World {
    fn new(recipe: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = Overrides { base: Some("oci:base"), ..Overrides::default() };
        let mut world = Self {
            recipe: Recipe::parse(recipe, "image.toml", folder.path(), base).unwrap(),
            folder,
            tar: tar::Builder::new(Vec::new()),
            wheels: Vec::new(),
            architecture: "arm64",
            base_layers: 1,
            look: true,
            scripts: None,
            files: Vec::new(),
            cann: None,
            allow_missing: false,
        };
        world.dir("home/ma-user", 0o750, 1000).file("etc/passwd", PASSWD);
        world.program("opt/py/bin/python3.9").dir(SITE, 0o755, 1000);
        world.has("mindspore", "1.8.1");
        world
    }

    fn entry(&mut self, path: &str, kind: tar::EntryType, mode: u32, uid: u64, bytes: &[u8]) -> &mut Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(100);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes).unwrap();
        self
    }

    fn dir(&mut self, path: &str, mode: u32, uid: u64) -> &mut Self {
        self.entry(&format!("{path}/"), tar::EntryType::Directory, mode, uid, b"")
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> &mut Self {
        self.entry(path, tar::EntryType::Regular, 0o755, 0, bytes)
    }

    /// An ELF program for aarch64.
    fn program(&mut self, path: &str) -> &mut Self {
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0".to_vec();
        elf.resize(80, 0);
        self.file(path, &elf)
    }

    fn link(&mut self, path: &str, target: &str) -> &mut Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.tar.append_link(&mut header, path, target).unwrap();
        self
    }

    /// A distribution of this version that the base has; a second time it is another version.
    fn has(&mut self, name: &str, version: &str) -> &mut Self {
        let metadata = format!("Name: {name}\nVersion: {version}\n");
        self.file(&format!("{SITE}/{name}.dist-info/METADATA"), metadata.as_bytes())
    }

    /// A distribution that the base has, with or without a list of its files.
    fn installed(&mut self, name: &str, recorded: bool) -> &mut Self {
        let info = format!("{SITE}/{name}-0.9.dist-info");
        self.file(&format!("{info}/METADATA"), format!("Name: {name}\nVersion: 0.9\n").as_bytes());
        self.file(&format!("{SITE}/{name}.py"), b"");
        if recorded {
            let record = format!("{name}.py,,\n{name}-0.9.dist-info/METADATA,,\n{name}-0.9.dist-info/RECORD,,\n");
            self.file(&format!("{info}/RECORD"), record.as_bytes());
        }
        self
    }

    fn wheel(&mut self, wheel: &WheelDouble) -> &mut Self {
        let path = wheel.write(self.folder.path()).unwrap();
        let (bytes, facts) = (std::fs::read(&path).unwrap(), Arc::new(WheelFacts::read(&path).unwrap()));
        self.wheels.push(Wheel { package: package(PYPI, path.file_name().unwrap().to_str().unwrap(), &bytes), facts });
        self
    }

    /// Has the wheel's `.bin` files take 60 MiB each.
    fn large(&mut self) {
        let facts = Arc::make_mut(&mut self.wheels[0].facts);
        let large = facts.files.iter_mut().filter(|file| file.name.ends_with(".bin"));
        large.for_each(|file| file.compressed = 60 << 20);
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let store = Store::open(&self.folder.path().join("store")).unwrap();
        let mut tar = self.tar.get_ref().clone();
        tar.extend([0; 1024]);
        let mut base = base(&store, &tar, self.architecture);
        let index = BaseIndex::build(&store, &base, &store, &[launch_front::PATH.to_owned()]).unwrap();
        base.layers = vec![base.layers[0].clone(); self.base_layers];
        let index = self.look.then_some(&index);
        Plan::new(&Inputs {
            recipe: &self.recipe,
            timestamp: "20221028181325".parse().unwrap(),
            wheels: &self.wheels,
            cann: self.cann.as_ref(),
            files: &self.files,
            origin: &Origin::Kept,
            scripts: self.scripts.as_deref(),
            front: launch_front::of_base(&store, index).unwrap().as_ref(),
            base: &base,
            index,
            allow_missing: self.allow_missing,
            call: &Call::plain(),
            fetched: false,
            scripts_folder: "pkg/ascend910".into(),
            oci: false,
        })
    }

    /// The plan's layers and warnings, or what is wrong, below a title.
    fn said(&self, title: &str) -> String {
        let said = match self.plan() {
            Ok(plan) => {
                let is_ours = |line: &&str| {
                    ["layer", "      +", "      -", "drop", "patch", "folder"]
                        .iter()
                        .any(|start| line.starts_with(start))
                };
                let text = plan.to_string();
                let layers = text.lines().filter(is_ours).map(|line| without_digest(line) + "\n");
                let warnings = plan.warnings.iter().map(|warning| format!("warning: {warning}\n"));
                layers.chain(warnings).collect()
            }
            Err(error) => report::render(&error),
        };
        format!("# {title}\n{said}\n")
    }

    /// The same, compared with the file of this name.
    fn check(&self, name: &str) {
        check(name, &self.said(name));
    }
}

/// Compares a text with the file of this name; `UPDATE_EXPECT=1` writes it anew.
fn check(name: &str, text: &str) {
    expect_file![format!("tests/said/{name}.txt")].assert_eq(text);
}

fn package(kind: &str, file: &str, bytes: &[u8]) -> Package {
    let (kind, file, size) = (kind.to_owned(), file.to_owned(), bytes.len() as u64);
    Package { path: file.clone().into(), kind, file, size, sha256: Digest::of(bytes) }
}

/// A file of the user, of this many bytes, that goes to `to`.
fn own_file(to: &str, (uid, gid): (u64, u64), size: u64) -> PlannedFile {
    let from = format!("/here/{}", to.rsplit('/').next().unwrap()).into();
    PlannedFile { from, to: to.to_owned(), mode: 0o644, uid, gid, sha256: Digest::of(to), size }
}

/// The digests of made wheels say nothing to the reader.
fn without_digest(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().filter(|word| word.len() != 12 || word.contains('.')).collect();
    words.join(" ")
}

fn base(store: &Store, tar: &[u8], architecture: &str) -> Base {
    let diff_id = Digest::of(tar);
    let config = serde_json::json!({
        "os": "linux", "architecture": architecture, "config": {},
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    let config = serde_json::to_vec(&config).unwrap();
    let described = |kind: &str, bytes: &[u8]| {
        let media_type = format!("application/vnd.oci.image.{kind}");
        serde_json::json!({ "mediaType": media_type, "size": bytes.len(), "digest": store.put_blob(bytes).unwrap() })
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", &config),
        "layers": [described("layer.v1.tar", tar)],
    });
    Base::new("oci:base", &serde_json::to_vec(&manifest).unwrap(), None, config).unwrap()
}

#[test]
fn the_largest_wheel_comes_first() {
    let mut world = World::new(RECIPE);
    world.wheel(&WheelDouble::new("small")).wheel(&WheelDouble::new("large").file("data", &[1; 5000]));
    world.check("largest_first");
    // The same inputs give the same plan, in whatever order the packages were found.
    let plan = world.plan().unwrap();
    assert_eq!(plan, world.plan().unwrap());
    world.wheels.reverse();
    assert_eq!(plan, world.plan().unwrap());
}

#[test]
fn what_a_wheel_replaces_is_removed_from_the_base() {
    let mut world = World::new(RECIPE);
    world.installed("one", true).installed("other", true).wheel(&WheelDouble::new("one"));
    let mut said = world.said("with a list of its files");
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Whiteouts { paths, .. }) = plan.layers.first() else { panic!("{plan}") };
    expect![[r#"
        /opt/py/lib/python3.9/site-packages/one-0.9.dist-info
        /opt/py/lib/python3.9/site-packages/one.py"#]]
    .assert_eq(&paths.join("\n"));

    let mut world = World::new(RECIPE);
    world.installed("one", false).wheel(&WheelDouble::new("one"));
    said += &world.said("without");
    world.recipe.allow.no_record.insert("one".parse().unwrap());
    said += &world.said("without, and that is allowed");
    check("replaced", &said);
}

#[test]
fn folders_that_are_links_in_the_base_stay_links() {
    let mut world = World::new(
        r#"
        python = { prefix = "/py", interpreter = "/py/bin/python3.9" }
        user = "1000"
        launch.front = false
    "#,
    );
    let wheel = WheelDouble::new("one").file("one-1.0.data/scripts/x", b"");
    world.link("py", "opt/py").dir("usr/bin", 0o755, 0).link("usr/local", "bin").wheel(&wheel);
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Wheel(wheel)) = plan.layers.first() else { panic!("{plan}") };
    let (bin, site) = ("/opt/py/bin", format!("/{SITE}"));
    let known = ["/opt", "/opt/py", "/opt/py/lib", "/opt/py/lib/python3.9", &site];
    let info = format!("{site}/one-1.0.dist-info");
    let mut folders = [&known[..], &[bin, &info]].concat();
    folders.sort();
    assert_eq!(wheel.installed.folders.iter().collect::<Vec<_>>(), folders);
    assert_eq!(plan.parents[&site].uid, 1000);
    let tools = ["/usr/bin/bin/fmtk-launch", "/usr/bin/bin/fmk-patch"].map(str::to_owned).into();
    assert_eq!(plan.layers.last(), Some(&PlannedLayer::Tools { paths: tools }));
    assert_eq!(plan.parents.keys().collect::<Vec<_>>(), [&["/"], &known[..], &["/usr", "/usr/bin"]].concat());
}

/// `/usr/local/man -> share/man` is in every Debian.
#[test]
fn a_wheel_goes_behind_the_links_of_the_base() {
    let mut world = World::new(RECIPE);
    let wheel = WheelDouble::new("one").file("one-1.0.data/data/man/man1/one.1", b"");
    world.dir("opt/py/share/man", 0o700, 1000).link("opt/py/man", "share/man").wheel(&wheel);
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Wheel(wheel)) = plan.layers.first() else { panic!("{plan}") };
    let folders = &wheel.installed.folders;
    assert!(folders.contains("/opt/py/share/man/man1") && !folders.contains("/opt/py/man"), "{folders:?}");
    assert_eq!(plan.parents["/opt/py/share/man"].mode, 0o700);
}

#[test]
fn own_files_replace_no_folder() {
    let mut world = World::new(RECIPE);
    world.link("home/link", "ma-user").wheel(&WheelDouble::new("one"));
    for to in [
        &format!("/{SITE}/one-1.0.dist-info"),
        "/home/ma-user",
        "/home/link",
        "/opt/new",
        "/opt/new/x",
        "/etc/.wh.passwd",
        "/etc/passwd",
        "/home/ma-user/a/b",
        "/home/link/c",
    ] {
        world.files.push(PlannedFile { from: "config.yaml".into(), ..own_file(to, (0, 0), 0) });
    }
    world.check("own_files_and_folders");
}

#[test]
fn what_wheels_require_must_be_there() {
    let mut world = World::new(RECIPE);
    world.installed("other", true);
    world.wheel(&WheelDouble::new("one").requires("other<1").requires("third>=2").requires("late; python_version>'3'"));
    let mut said = world.said("missing");
    // Put there by hand beside its requirement's wheel, for which the recipe's fetch was never run.
    let path = std::mem::replace(&mut world.wheels[0].package.path, "pkg/pypi/one-1.0-py3-none-any.whl".into());
    said += &world.said("missing, of PyPI, and never fetched");
    world.wheels[0].package.path = path;
    world.allow_missing = true;
    said += &world.said("allowed");
    world.allow_missing = false;
    world.look = false;
    said += &world.said("the base is not known");
    check("required", &said);
}

#[test]
fn the_smallest_wheels_share_a_layer_where_there_is_no_room() {
    let mut world = World::new(RECIPE);
    for (name, size) in [("a", 500), ("b", 400), ("c", 300), ("d", 200)] {
        world.wheel(&WheelDouble::new(name).file(&format!("{name}.bin"), &vec![1; size]));
    }
    let mut said = String::new();
    for base_layers in [117, 119] {
        world.base_layers = base_layers;
        said += &world.said(&format!("above {base_layers} layers"));
    }
    check("room", &said);
}

#[test]
fn cann_is_planned_by_its_installer_and_once_installed_by_what_it_left() {
    let mut world = World::new(&format!("{RECIPE}\ncann = {{ user = true, drop = [\"/tmp\", \"*.pyc\"] }}\n"));
    world.dir("usr", 0o755, 0).dir("usr/local", 0o755, 0).dir("usr/local/bin", 0o711, 0);
    world.wheel(&WheelDouble::new("alpha"));
    let installer = Package { size: 1 << 30, ..package(CANN, "Ascend-cann-toolkit_none_linux-aarch64.run", b"run") };
    world.cann = Some(CannInput { installer, engine: Some("podman"), installed: None });
    let mut said = world.said("before");

    let layer = |size| Layer { digest: Digest::of("layer"), size, diff_id: Digest::of("tar"), tar_size: size };
    let changed = Attr { mode: 0o700, uid: 0, gid: 0, mtime: MTIME };
    let installed = Installed {
        layers: vec![layer(400_000_000), layer(1000)],
        entries: 3,
        wheels: Vec::new(),
        outside: vec!["/opt/x".to_owned()],
        setid: vec!["/usr/local/Ascend/helper".to_owned()],
        removed: vec!["/etc/issue".to_owned()],
        dropped: 7,
        latest: false,
        dirs: [("/usr/local/bin".to_owned(), changed)].into(),
    };
    world.cann = world.cann.map(|cann| CannInput { engine: None, installed: Some(installed), ..cann });
    said += &world.said("after");
    // A layer above CANN's must not take back what the installer made of a folder.
    assert_eq!(world.plan().unwrap().parents["/usr/local/bin"].mode, 0o700);

    // Before it is known how many layers they are, there has to be room for the most.
    world.base_layers = 117;
    said += &world.said("above 117 layers");
    check("cann", &said);
}
