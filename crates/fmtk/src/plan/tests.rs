//! Plans of small wheels upon a small base.

mod account;
mod cann;
mod front;
mod own_files;
mod pieces;
mod scripts;

use std::sync::Arc;

use elf_fake::FakeLibrary;
use expect_test::expect_file;
use oci_image::{Attr, Base, BaseIndex, Digest, Layer, MTIME, Store};
use wheel_fake::FakeWheel;
use wheel_layer::WheelFacts;

use super::{CannInput, CannStep, Inputs, Plan, PlannedLayer, sourced_of_cann};
use crate::{
    cann::Installed,
    debian::{DebFacts, dpkg},
    options::Call,
    recipe::{CANN, Draft, Found, Overrides},
    resolve::{
        accounts,
        bytecode::Release,
        front as launch_front,
        own_file::PlannedFile,
        packages::{Package, Wheel},
        scripts::{Origin, Script},
        system::{self, Deb, SystemInput},
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
    recipe: String,
    /// What is laid over the recipe.
    set: Vec<String>,
    tar: tar::Builder<Vec<u8>>,
    wheels: Vec<Wheel>,
    architecture: String,
    base_layers: usize,
    /// Of the base's config.
    path: Option<String>,
    look: bool,
    scripts: Option<Vec<Script>>,
    files: Vec<PlannedFile>,
    /// Packages of the distribution, and whether they were chosen for this base.
    debs: Vec<Deb>,
    chosen: bool,
    cann: Option<CannInput>,
    /// The variables of the base's config.
    variables: Vec<&'static str>,
    allow_missing: bool,
    sample: bool,
    bytecode: Option<Release>,
}

impl World {
    fn new(recipe: &str) -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            recipe: recipe.to_owned(),
            set: Vec::new(),
            tar: tar::Builder::new(Vec::new()),
            wheels: Vec::new(),
            architecture: "arm64".to_owned(),
            base_layers: 1,
            path: None,
            look: true,
            scripts: None,
            files: Vec::new(),
            debs: Vec::new(),
            chosen: true,
            cann: None,
            variables: Vec::new(),
            allow_missing: false,
            sample: false,
            bytecode: None,
        };
        world.dir("home/ma-user", 0o750, 1000).file("etc/passwd", PASSWD);
        world.program("opt/py/bin/python3.9").dir(SITE, 0o755, 1000);
        world.file(&format!("{SITE}/mindspore.dist-info/METADATA"), b"Name: mindspore\nVersion: 1.8.1\n");
        world
    }

    /// Does what a line of a transcript says, whose first word is what it is about.
    fn apply(&mut self, line: &str) {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (path, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let path = &path.replace("SITE", SITE);
        match what {
            // Lines of TOML between bars, below the usual recipe where they begin with one.
            "recipe" => {
                let usual = if rest.starts_with('|') || rest.is_empty() { RECIPE } else { "" };
                *self = Self::new(&(usual.to_owned() + &rest.replace('|', "\n")));
            }
            "set" => self.set.push(rest.to_owned()),
            // Its mode and the user it belongs to.
            "dir" => {
                let (mode, uid) = more.split_once(' ').unwrap_or((more, "0"));
                self.dir(path, u32::from_str_radix(mode, 8).unwrap_or(0o755), uid.parse().unwrap());
            }
            "file" => drop(self.file(path, more.replace("\\n", "\n").as_bytes())),
            "program" => drop(self.program_of(path, u32::from_str_radix(more, 8).unwrap_or(0o755))),
            "link" => drop(self.link(path, more)),
            // Its name, or what it needs, and the versions that it defines.
            "library" => {
                let (library, versions) = more.split_once(' ').unwrap_or((more, ""));
                let library = versions.split_whitespace().fold(linked(library), |all, one| all.defines(one));
                self.file(path, &library.soname(path.rsplit('/').next().unwrap()).bytes());
            }
            // Its requirements, files of so many bytes, and libraries with what they need.
            "wheel" => {
                let name: &'static str = path.clone().leak();
                let part = |wheel: FakeWheel, part: &str| match (part.split_once('@'), part.split_once(':')) {
                    (Some((file, "NPU")), _) => wheel.file(file, &elf_fake::library_for(elf_fake::NPU)),
                    (Some((file, needed)), _) => wheel.file(file, &linked(needed).bytes()),
                    (None, Some((file, size))) => wheel.file(file, &vec![1; size.parse().unwrap()]),
                    (None, None) => wheel.requires(part),
                };
                self.wheel(&more.split_whitespace().fold(FakeWheel::new(name), part));
            }
            "own" => {
                let (owner, size) = more.split_once(' ').unwrap();
                let (uid, gid) = owner.split_once(':').unwrap();
                self.files.push(own_file(path, (uid.parse().unwrap(), gid.parse().unwrap()), size.parse().unwrap()));
            }
            // Its name and what is in it: files, folders (`usr/`), links (`a->b`), libraries (`usr/lib/liba.so@V1`); and a
            // command of its script (`!ldconfig`).
            "deb" => {
                let (mut data, mut script) = (debian_fake::Tar::default(), String::new());
                for part in more.split_whitespace() {
                    data = match (part.split_once("->"), part.split_once('@'), part.strip_prefix('!')) {
                        (Some((link, target)), ..) => data.link(link, target),
                        (_, Some((file, version)), _) => {
                            let library = linked("-").defines(version).soname(file.rsplit('/').next().unwrap());
                            data.file(file, 0o644, &library.bytes())
                        }
                        (.., Some(command)) => {
                            script = format!("#!/bin/sh\n{command} --some\n");
                            data
                        }
                        _ if part.ends_with('/') => data.folder(part, 0o755),
                        _ => data.file(part, 0o644, b"x"),
                    };
                }
                let control = format!("Package: {path}\nVersion: 1-2\nArchitecture: arm64\n");
                self.deb(
                    &format!("{path}_1-2_arm64.deb"),
                    debian_fake::Deb::new(&control, data).tells("postinst", &script),
                );
            }
            "chosen" => self.chosen = path == "here",
            // Of which kind the wheels are.
            "kind" => self.wheels.iter_mut().for_each(|wheel| wheel.package.kind.clone_from(path)),
            "large" => self.large(),
            "installer" => {
                let installer = package(CANN, path, b"run");
                self.cann = Some(CannInput {
                    steps: vec![CannStep { package: installer, installed: None }],
                    engine: Some("podman"),
                    ..CannInput::default()
                });
            }
            "machine" => self.architecture.clone_from(path),
            "python" => {
                let numbers: Vec<u32> = path.split('.').map(|number| number.parse().unwrap()).collect();
                self.bytecode = Some(Release(numbers[0], numbers[1], numbers[2]));
            }
            "layers" => self.base_layers = path.parse().unwrap(),
            "path" => self.path = Some(rest.to_owned()),
            "look" => self.look = path == "yes",
            "sample" => self.sample = path == "yes",
            "missing" => self.allow_missing = path == "allowed",
            _ => panic!("{line}"),
        }
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

    fn program(&mut self, path: &str) -> &mut Self {
        self.program_of(path, 0o755)
    }

    /// An ELF program for aarch64.
    fn program_of(&mut self, path: &str, mode: u32) -> &mut Self {
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0".to_vec();
        elf.resize(80, 0);
        self.entry(path, tar::EntryType::Regular, mode, 0, &elf)
    }

    fn link(&mut self, path: &str, target: &str) -> &mut Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.tar.append_link(&mut header, path, target).unwrap();
        self
    }

    fn wheel(&mut self, wheel: &FakeWheel) -> &mut Self {
        let path = wheel.write(self.folder.path()).unwrap();
        let (bytes, facts) = (std::fs::read(&path).unwrap(), Arc::new(WheelFacts::read(&path).unwrap()));
        self.wheels.push(Wheel { package: package("kit", path.file_name().unwrap().to_str().unwrap(), &bytes), facts });
        self
    }

    fn deb(&mut self, file: &str, deb: debian_fake::Deb) {
        let bytes = deb.bytes();
        let path = self.folder.path().join(file);
        std::fs::write(&path, &bytes).unwrap();
        let package = Package { path, ..package("system", file, &bytes) };
        let store = Store::open(&self.folder.path().join("store")).unwrap();
        let facts = DebFacts::cached(&store, &package.path, package.size, package.sha256).unwrap();
        self.debs.push(Deb { package, facts: Arc::new(facts) });
    }

    fn system(&self, store: &Store, index: Option<&BaseIndex>) -> SystemInput {
        let installed = system::installed(store, index).unwrap();
        let chosen_for = installed.as_ref().filter(|_| self.chosen).map(|installed| Digest::of(&installed.status));
        SystemInput { debs: self.debs.clone(), chosen_for, installed }
    }

    /// Has the wheel's `.bin` files take 60 MiB each.
    fn large(&mut self) {
        let facts = Arc::make_mut(&mut self.wheels[0].facts);
        let large = facts.files.iter_mut().filter(|file| file.name.ends_with(".bin"));
        large.for_each(|file| file.compressed = 60 << 20);
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let overrides = Overrides { set: &self.set, base: Some("oci:base"), stack: None };
        let draft = Draft::parse(&self.recipe, "image.toml", self.folder.path(), overrides)?;
        let store = Store::open(&self.folder.path().join("store")).unwrap();
        let mut tar = self.tar.get_ref().clone();
        tar.extend([0; 1024]);
        let mut base = base(&store, &tar, &self.architecture, &self.variables);
        let asked: Vec<String> =
            accounts::FILES.into_iter().chain([launch_front::PATH, dpkg::STATUS]).map(str::to_owned).collect();
        let index = BaseIndex::build(&store, &base, &store, &asked).unwrap();
        let found = if self.look { draft.find(&index, self.path.as_deref()) } else { Found::default() };
        let recipe = draft.completed(&found)?;
        base.layers = vec![base.layers[0].clone(); self.base_layers];
        let index = self.look.then_some(&index);
        let sourced =
            |cann: &CannInput| sourced_of_cann(&recipe, &base, index, cann.steps.iter().map(|step| &step.package.kind));
        Plan::new(&Inputs {
            recipe: &recipe,
            timestamp: "20221028181325".parse().unwrap(),
            wheels: self.wheels.clone(),
            cann: self.cann.clone().map(|cann| CannInput { sourced: sourced(&cann), ..cann }),
            files: self.files.clone(),
            system: self.system(&store, index),
            origin: Origin::Kept,
            scripts: self.scripts.clone(),
            front: launch_front::of_base(&store, index).unwrap(),
            accounts: accounts::of_base(&store, index).unwrap(),
            base: &base,
            notes: found.notes,
            index,
            allow_missing: self.allow_missing,
            with_wheels: true,
            call: &Call { sample: self.sample, ..Call::plain() },
            fetched: false,
            scripts_folder: "pkg/ascend910".into(),
            bytecode: self.bytecode,
            oci: false,
        })
    }

    /// The plan's layers and warnings, or what is wrong.
    fn said(&self) -> String {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(error) => return report::render(&error),
        };
        let ours = ["layer", "note", "      +", "      -", "drop", "patch", "compile", "folder", "label   fmtk.allow"];
        let text = plan.to_string();
        let layers = text.lines().filter(|line| ours.iter().any(|start| line.starts_with(start)));
        let removed = plan.layers.iter().take(1).flat_map(PlannedLayer::removes).map(|path| format!("- {path}\n"));
        let warnings = plan.warnings.iter().map(|warning| format!("warning: {warning}\n"));
        let notes = plan.notes.iter().map(|note| format!("note: {note}\n"));
        layers.map(|line| without_digest(line) + "\n").chain(removed).chain(warnings).chain(notes).collect()
    }
}

/// Compares what these worlds' plans say, each below its title, with the file of this name.
fn check(name: &str, worlds: &[(&str, World)]) {
    let said: String = worlds.iter().map(|(title, world)| format!("# {title}\n{}\n", world.said())).collect();
    expect_file![format!("tests/said/{name}.txt")].assert_eq(&said);
}

/// Each file is a transcript: lines with `$` say what the world is, and what follows them is what its plan says.
/// `UPDATE_EXPECT=1` writes that anew.
#[test]
fn transcripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/tests/transcripts");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().filter(|line| line.starts_with(['$', '#'])).peekable();
        let (mut world, mut said) = (World::new(RECIPE), String::new());
        while let Some(line) = lines.next() {
            said += &format!("{line}\n");
            line.strip_prefix("$ ").into_iter().for_each(|line| world.apply(line));
            if line.starts_with('$') && !lines.peek().is_some_and(|next| next.starts_with('$')) {
                said += &format!("{}\n", world.said());
            }
        }
        expect_file![path].assert_eq(&said);
    }
}

/// A library that needs these others, as `libm.so.6:GLIBC_2.17:GLIBC_2.29,liby.so`; `-` for none.
fn linked(needed: &str) -> FakeLibrary {
    needed.split(',').filter(|one| *one != "-").fold(FakeLibrary::new(), |library, needed| {
        let mut parts = needed.split(':');
        let name = parts.next().unwrap();
        library.needs(name, &parts.collect::<Vec<_>>())
    })
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

fn base(store: &Store, tar: &[u8], architecture: &str, variables: &[&str]) -> Base {
    let diff_id = Digest::of(tar);
    let config = serde_json::json!({
        "os": "linux", "architecture": architecture, "config": { "Env": variables },
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
fn the_same_inputs_give_the_same_plan() {
    let mut world = World::new(RECIPE);
    world.wheel(&FakeWheel::new("one")).wheel(&FakeWheel::new("two"));
    let plan = world.plan().unwrap();
    assert_eq!(plan, world.plan().unwrap());
    // In whatever order the packages were found.
    world.wheels.reverse();
    assert_eq!(plan, world.plan().unwrap());
}

#[test]
fn every_version_is_a_label_and_what_is_made_for_is_none() {
    let labels = |set: &[&str]| {
        let mut world = World::new(RECIPE);
        world.set = set.iter().map(|set| (*set).to_owned()).collect();
        let names: Vec<String> = world.plan().unwrap().config.labels.into_keys().collect();
        names.into_iter().filter(|name| name.matches('.').count() == 1).collect::<Vec<String>>()
    };
    assert_eq!(labels(&[]), ["fmtk.cann", "fmtk.mindspore", "fmtk.python"]);
    let torch = ["versions.mindspore=false", "versions.torch=2.7.1", "versions.own=1", "tag={torch}-{timestamp}"];
    let torch = labels(&[&torch[..], &["pypi.requirements=[]"]].concat());
    assert_eq!(torch, ["fmtk.cann", "fmtk.own", "fmtk.python", "fmtk.torch"]);
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
    let wheel = FakeWheel::new("one").file("one-1.0.data/scripts/x", b"");
    world
        .link("py", "opt/py")
        .dir("opt/py/bin", 0o711, 0)
        .dir("usr/bin", 0o755, 0)
        .link("usr/local", "bin")
        .wheel(&wheel);
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Wheel(wheel)) = plan.layers.first() else { panic!("{plan}") };
    let (bin, site) = ("/opt/py/bin", format!("/{SITE}"));
    let known = ["/opt", "/opt/py", bin, "/opt/py/lib", "/opt/py/lib/python3.9", &site];
    let info = format!("{site}/one-1.0.dist-info");
    let mut folders = [&known[..], &[&info]].concat();
    folders.sort();
    assert_eq!(wheel.installed.folders.iter().collect::<Vec<_>>(), folders);
    assert_eq!(plan.parents[&site].uid, 1000);
    // A folder that nothing else goes through stays as the base has it, too.
    assert_eq!((plan.parents[bin].mode, plan.parents[bin].uid), (0o711, 0));
    let tools = ["/usr/bin/bin/fmtk-launch", "/usr/bin/bin/fmk-patch"].map(str::to_owned).into();
    assert_eq!(plan.layers.last(), Some(&PlannedLayer::Tools { paths: tools }));
    assert_eq!(plan.parents.keys().collect::<Vec<_>>(), [&["/"], &known[..], &["/usr", "/usr/bin"]].concat());
}

/// `/usr/local/man -> share/man` is in every Debian.
#[test]
fn a_wheel_goes_behind_the_links_of_the_base() {
    let mut world = World::new(RECIPE);
    let wheel = FakeWheel::new("one").file("one-1.0.data/data/man/man1/one.1", b"");
    world.dir("opt/py/share/man", 0o700, 1000).link("opt/py/man", "share/man").wheel(&wheel);
    let plan = world.plan().unwrap();
    let Some(PlannedLayer::Wheel(wheel)) = plan.layers.first() else { panic!("{plan}") };
    let folders = &wheel.installed.folders;
    assert!(folders.contains("/opt/py/share/man/man1") && !folders.contains("/opt/py/man"), "{folders:?}");
    assert_eq!(plan.parents["/opt/py/share/man"].mode, 0o700);
}

#[test]
fn cann_is_planned_by_its_installer_and_once_installed_by_what_it_left() {
    let world = |engine, installed| {
        let mut world = World::new(&format!("{RECIPE}\ncann = {{ user = true, drop = [\"/tmp\", \"*.pyc\"] }}\n"));
        world.dir("usr", 0o755, 0).dir("usr/local", 0o755, 0).dir("usr/local/bin", 0o711, 0);
        world.wheel(&FakeWheel::new("alpha"));
        let file = "Ascend-cann-toolkit_none_linux-aarch64.run";
        let installer = Package { size: 1 << 30, ..package(CANN, file, b"run") };
        let steps = vec![CannStep { package: installer, installed }];
        world.cann = Some(CannInput { steps, engine, ..CannInput::default() });
        world
    };
    let layer = |size| Layer { digest: Digest::of("layer"), size, diff_id: Digest::of("tar"), tar_size: size };
    let dir = |mode| Attr { mode, uid: 0, gid: 0, mtime: MTIME };
    let installed = Installed {
        layers: vec![layer(400_000_000), layer(1000)],
        entries: 3,
        wheels: Vec::new(),
        outside: vec!["/opt/x".to_owned()],
        setid: vec!["/usr/local/Ascend/helper".to_owned()],
        removed: vec!["/etc/issue".to_owned()],
        latest: false,
        dirs: [("/usr/local/bin".to_owned(), dir(0o775))].into(),
    };
    // As one with umask 077 leaves them; the last two were meant so, or are needed by no job.
    let closed = [
        ("/usr/local", 0o755),
        ("/usr/local/bin", 0o700),
        ("/usr/local/Ascend", 0o700),
        ("/usr/local/Ascend/x", 0o750),
        ("/etc/Ascend", 0o500),
        ("/usr/local/Ascend/opp", 0o550),
        ("/opt/x", 0o700),
    ];
    let dirs = closed.map(|(path, mode)| (path.to_owned(), dir(mode))).into();
    let closed = world(None, Some(Installed { dirs, ..installed.clone() }));
    assert_eq!(closed.plan().unwrap().parents["/usr/local/bin"].mode, 0o755);
    let after = world(None, Some(installed));
    // A layer above CANN's must not take back what the installer made of a folder.
    assert_eq!(after.plan().unwrap().parents["/usr/local/bin"].mode, 0o775);
    // Before it is known how many layers they are, there has to be room for the most.
    let mut high = world(Some("podman"), None);
    high.base_layers = 118;
    let before = world(Some("podman"), None);
    check("cann", &[("before", before), ("after", after), ("folders left closed", closed), ("above 118 layers", high)]);
}
