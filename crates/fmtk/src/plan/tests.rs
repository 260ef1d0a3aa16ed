//! Plans of small wheels upon a small base.

mod base;
mod claims;
mod front;
mod own_files;
mod pieces;
mod scripts;
mod site;

use expect_test::{Expect, expect};
use oci_image::{Attr, Base, Digest, Layer, MTIME, Store};
use wheel_double::WheelDouble;
use wheel_layer::WheelFacts;

use super::{CannInput, Inputs, Plan, PlannedBase, PlannedLayer, WheelInput};
use crate::{
    cann::Installed,
    options::Call,
    recipe::{Overrides, Recipe},
    resolve::{front::Replaced, own_file::PlannedFile, scripts::Found},
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
    wheels: Vec<WheelInput>,
    facts: Vec<WheelFacts>,
    architecture: &'static str,
    base_layers: usize,
    look: bool,
    scripts: Option<Found>,
    replaced: Replaced,
    files: Vec<PlannedFile>,
    cann: Option<CannInput>,
    allow_missing: bool,
}

impl World {
    fn new(recipe: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe::parse(recipe, "image.toml", folder.path(), Overrides::default()).unwrap();
        let mut world = Self {
            folder,
            recipe,
            tar: tar::Builder::new(Vec::new()),
            wheels: Vec::new(),
            facts: Vec::new(),
            architecture: "arm64",
            base_layers: 1,
            look: true,
            scripts: None,
            replaced: Replaced::Nothing,
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
        let bytes = std::fs::read(&path).unwrap();
        self.facts.push(WheelFacts::read(&path).unwrap());
        self.wheels.push(WheelInput {
            path: path.file_name().unwrap().into(),
            sha256: Digest::of(&bytes),
            size: bytes.len() as u64,
        });
        self
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let store = Store::open(&self.folder.path().join("store")).unwrap();
        let mut tar = self.tar.get_ref().clone();
        tar.extend([0; 1024]);
        let (base, diff_id) = base(&store, &tar, self.architecture);
        let index = oci_image::BaseIndex::build(&store, &base, &store, &[]).unwrap();
        Plan::new(&Inputs {
            recipe: &self.recipe,
            recipe_digest: diff_id,
            timestamp: "20221028181325".parse().unwrap(),
            wheels: self.wheels.iter().map(copy).collect(),
            facts: &self.facts,
            cann: self.cann.clone(),
            files: self.files.clone(),
            scripts: self.scripts.clone(),
            scripts_wanted: false,
            replaced: self.replaced.clone(),
            base: PlannedBase {
                reference: "oci:base".to_owned(),
                source: "oci:base".to_owned(),
                digest: base.manifest_digest,
                layers: self.base_layers,
                size: base.size(),
                inspected: self.look,
            },
            platform: base.config.platform(),
            base_env: Vec::new(),
            index: self.look.then_some(&index),
            allow_missing: self.allow_missing,
            call: Call::plain(),
            fetched: false,
            scripts_folder: "pkg/ascend910".into(),
            oci: false,
        })
    }

    /// The plan's layers and warnings, or what is wrong.
    fn check(&self, expect: Expect) {
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
        expect.assert_eq(&said);
    }
}

/// The digests of made wheels say nothing to the reader.
fn without_digest(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().filter(|word| word.len() != 12 || word.contains('.')).collect();
    words.join(" ")
}

fn copy(wheel: &WheelInput) -> WheelInput {
    WheelInput { path: wheel.path.clone(), ..*wheel }
}

fn base(store: &Store, tar: &[u8], architecture: &str) -> (Base, Digest) {
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
    (Base::new("oci:base", &serde_json::to_vec(&manifest).unwrap(), None, config).unwrap(), diff_id)
}

#[test]
fn the_largest_wheel_comes_first() {
    let mut world = World::new(RECIPE);
    world.wheel(&WheelDouble::new("small")).wheel(&WheelDouble::new("large").file("data", &[1; 5000]));
    world.check(expect![[r#"
        layer large 1.0 6.0 kB large-1.0-py3-none-any.whl
        layer small 1.0 891 B small-1.0-py3-none-any.whl
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
}

#[test]
fn the_same_inputs_give_the_same_plan() {
    let mut world = World::new(RECIPE);
    world.wheel(&WheelDouble::new("one")).wheel(&WheelDouble::new("two"));
    let plan = world.plan().unwrap();
    assert_eq!(plan, world.plan().unwrap());
    // In whatever order the packages were found.
    world.wheels.reverse();
    world.facts.reverse();
    assert_eq!(plan, world.plan().unwrap());
}

#[test]
fn what_a_wheel_replaces_is_taken_out_of_the_base() {
    let mut world = World::new(RECIPE);
    world.installed("one", true).installed("other", true).wheel(&WheelDouble::new("one"));
    world.check(expect![[r#"
        layer without the base's one 0.9 (2 paths)
        layer one 1.0 863 B one-1.0-py3-none-any.whl
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Whiteouts { paths, .. }) = plan.layers.first() else { panic!("{plan}") };
    expect![[r#"
        /opt/py/lib/python3.9/site-packages/one-0.9.dist-info
        /opt/py/lib/python3.9/site-packages/one.py"#]]
    .assert_eq(&paths.join("\n"));
}

#[test]
fn what_the_base_has_no_list_of_is_not_replaced_unasked() {
    let mut world = World::new(RECIPE);
    world.installed("one", false).wheel(&WheelDouble::new("one"));
    world.check(expect![[r#"
        error: the base's one 0.9 in `/opt/py/lib/python3.9/site-packages` has no list of its files (RECORD, installed-files.txt), so that it can't be replaced
        hint: leave the wheel out, or put "one" into `allow.no_record` to lay it over the old one
    "#]]);
    world.recipe.allow.no_record.insert("one".parse().unwrap());
    world.check(expect![[r#"
        layer one 1.0 863 B one-1.0-py3-none-any.whl
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
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
    world.link("py", "opt/py").dir("usr/bin", 0o755, 0).link("usr/local", "bin").wheel(&WheelDouble::new("one"));
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Wheel(wheel)) = plan.layers.first() else { panic!("{plan}") };
    assert_eq!(wheel.layout.purelib, "/opt/py/lib/python3.9/site-packages");
    assert_eq!(wheel.layout.scripts, "/opt/py/bin");
    assert_eq!(wheel.layout.interpreter, "/py/bin/python3.9");
    assert_eq!(wheel.layout.parents["/opt/py/lib/python3.9/site-packages"].uid, 1000);
    let tools =
        PlannedLayer::Tools { paths: vec!["/usr/bin/bin/fmtk-launch".to_owned(), "/usr/bin/bin/fmk-patch".to_owned()] };
    assert_eq!(plan.layers.last(), Some(&tools));
    assert_eq!(plan.parents.keys().collect::<Vec<_>>(), ["/", "/usr", "/usr/bin"]);
}

/// `/usr/local/man -> share/man` is in every Debian.
#[test]
fn a_wheel_goes_behind_the_links_of_the_base() {
    let mut world = World::new(RECIPE);
    let wheel = WheelDouble::new("one").file("one-1.0.data/data/man/man1/one.1", b"");
    world.dir("opt/py/share/man", 0o700, 1000).link("opt/py/man", "share/man").wheel(&wheel);
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Wheel(wheel)) = plan.layers.first() else { panic!("{plan}") };
    let real = "/opt/py/share/man";
    let links = [("/opt/py/man".to_owned(), real.to_owned()), ("/opt/py/man/man1".to_owned(), format!("{real}/man1"))];
    assert_eq!(wheel.layout.links, links.into());
    assert_eq!(wheel.layout.parents[real].mode, 0o700);
}

#[test]
fn own_files_replace_no_folder() {
    let mut world = World::new(RECIPE);
    world.link("home/link", "ma-user").wheel(&WheelDouble::new("one"));
    let of_wheel = &format!("/{SITE}/one-1.0.dist-info");
    for to in [
        of_wheel,
        "/home/ma-user",
        "/home/link",
        "/opt/new",
        "/opt/new/x",
        "/etc/.wh.passwd",
        "/etc/passwd",
        "/home/ma-user/a/b",
        "/home/link/c",
    ] {
        let file = PlannedFile {
            from: "config.yaml".into(),
            to: to.to_owned(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            sha256: Digest::from_bytes([0; 32]),
            size: 0,
        };
        world.files.push(file);
    }
    world.check(expect![[r#"
        error: `/opt/py/lib/python3.9/site-packages/one-1.0.dist-info` of `[[files]]` is a folder of a wheel, which a file would replace
        hint: give the file's own path: `to = "/opt/py/lib/python3.9/site-packages/one-1.0.dist-info/config.yaml"`
        error: `/home/ma-user` of `[[files]]` is a folder of the base, which a file would replace
        hint: give the file's own path: `to = "/home/ma-user/config.yaml"`
        error: `/home/link` of `[[files]]` is a folder of the base, which a file would replace
        hint: give the file's own path: `to = "/home/link/config.yaml"`
        error: `/opt/new` of `[[files]]` is a file, and `/opt/new/x` would lie in it
        error: `/etc/.wh.passwd` of `[[files]]` has the name of a whiteout, which takes a file of the base away
        hint: give it a name that does not begin with `.wh.`
    "#]]);
}

#[test]
fn what_wheels_require_must_be_there() {
    let mut world = World::new(RECIPE);
    world.installed("other", true);
    world.wheel(&WheelDouble::new("one").requires("other<1").requires("third>=2").requires("late; python_version>'3'"));
    world.check(expect![[r#"
        error: `one` requires `late; python_version>'3'`, which is not there
        hint: add `"late"` to `pypi.requirements` and run `cargo xtask fetch`, or copy the wheel to the package folder and give it a kind in `[packages]`, or give `--allow-missing`
        error: `one` requires `third>=2`, which is not there
        hint: add `"third>=2"` to `pypi.requirements` and run `cargo xtask fetch`, or copy the wheel to the package folder and give it a kind in `[packages]`, or give `--allow-missing`
    "#]]);
    // Put there by hand beside its requirement's wheel, for which the recipe's fetch was never run.
    let path = std::mem::replace(&mut world.wheels[0].path, "pkg/pypi/one-1.0-py3-none-any.whl".into());
    let said = report::render(&world.plan().unwrap_err());
    assert!(said.contains("\nhint: run `cargo xtask fetch`, or copy"), "{said}");
    world.wheels[0].path = path;
    world.allow_missing = true;
    world.check(expect![[r#"
        layer one 1.0 951 B one-1.0-py3-none-any.whl
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
        warning: `one` requires `late; python_version>'3'`, which is not there
        warning: `one` requires `third>=2`, which is not there
    "#]]);
    world.allow_missing = false;
    world.look = false;
    world.check(expect![[r#"
        layer one 1.0 951 B one-1.0-py3-none-any.whl
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
        warning: the base `oci:base` was not looked into: its Python, glibc, users and folders are taken to be what the recipe says, and distributions that it has installed are neither counted nor replaced
        warning: `one` requires `late; python_version>'3'`, which is not there, unless the base has it
        warning: `one` requires `other<1`, which is not there, unless the base has it
        warning: `one` requires `third>=2`, which is not there, unless the base has it
    "#]]);
}

#[test]
fn the_smallest_wheels_share_a_layer_where_there_is_no_room() {
    let mut world = World::new(RECIPE);
    world.base_layers = 117;
    for (name, size) in [("a", 500), ("b", 400), ("c", 300), ("d", 200)] {
        world.wheel(&WheelDouble::new(name).file(&format!("{name}.bin"), &vec![1; size]));
    }
    world.check(expect![[r#"
        layer a 1.0 1.5 kB a-1.0-py3-none-any.whl
        layer shared by 3 wheels 3.8 kB
        + b 1.0 1.4 kB b-1.0-py3-none-any.whl
        + c 1.0 1.3 kB c-1.0-py3-none-any.whl
        + d 1.0 1.2 kB d-1.0-py3-none-any.whl
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);
    world.base_layers = 119;
    world.check(expect![[r#"
        error: no room for the layers of 4 wheels above 120 other layers, 119 of them the base's: 120 can be stacked
        hint: take a base with fewer layers, or a larger `layout.max_layer`
    "#]]);
}

#[test]
fn cann_is_planned_by_its_installer_and_once_installed_by_what_it_left() {
    let mut world = World::new(&format!("{RECIPE}\ncann = {{ user = true, drop = [\"/tmp\", \"*.pyc\"] }}\n"));
    world.dir("usr", 0o755, 0).dir("usr/local", 0o755, 0).dir("usr/local/bin", 0o711, 0);
    world.wheel(&WheelDouble::new("alpha"));
    let of = |text: &str| Digest::of(text);
    let path = "Ascend-cann-toolkit_none_linux-aarch64.run".into();
    world.cann = Some(CannInput { path, sha256: of("run"), size: 1 << 30, engine: Some("podman"), installed: None });
    world.check(expect![[r#"
        layer CANN none by podman Ascend-cann-toolkit_none_linux-aarch64.run
        + user HwHiAiUser
        drop /tmp *.pyc
        layer alpha 1.0 891 B alpha-1.0-py3-none-any.whl
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
    "#]]);

    let layer = |size| Layer { digest: of("layer"), size, diff_id: of("tar"), tar_size: size };
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
    world.check(expect![[r#"
        layer CANN none 400.0 MB Ascend-cann-toolkit_none_linux-aarch64.run
        + in 2 layers
        + user HwHiAiUser
        + /opt/x
        - /etc/issue
        drop /tmp *.pyc (7 changes)
        layer alpha 1.0 891 B alpha-1.0-py3-none-any.whl
        layer /usr/local/bin/fmtk-launch /usr/local/bin/fmk-patch
        warning: CANN brings files that run with their owner's or group's rights, which older pools refuse where root owns them: /usr/local/Ascend/helper; those that jobs can do without can be named in `cann.drop`
        warning: CANN was installed without `/usr/local/Ascend/ascend-toolkit/latest`, to which `[environment]` leads
    "#]]);
    // A layer above CANN's must not take back what the installer made of a folder.
    assert_eq!(world.plan().unwrap().parents["/usr/local/bin"].mode, 0o700);

    // Before it is known how many layers they are, there has to be room for the most.
    world.base_layers = 117;
    world.check(expect![[r#"
        error: no room for the layers of 1 wheel above 120 other layers, 117 of them the base's: 120 can be stacked
        hint: take a base with fewer layers, or a larger `layout.max_layer`
    "#]]);
}
