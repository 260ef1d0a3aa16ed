//! CANN of several packages, and where the image's variables come from.

use super::*;
use crate::{
    cann::Variables,
    recipe::{NNAL, OPS},
};

const HOME: &str = "/usr/local/Ascend/ascend-toolkit/latest";

/// A recipe of this CANN, and these kinds of packages.
fn world(version: &str, kinds: &[&str]) -> World {
    let mut world = World::new(&RECIPE.replace("\"none\"", &format!("\"{version}\"")));
    let step =
        |kind: &&str| CannStep { package: package(kind, &format!("{kind}.run"), kind.as_bytes()), installed: None };
    let steps = kinds.iter().map(step).collect();
    world.cann = Some(CannInput { steps, engine: Some("podman"), ..CannInput::default() });
    world
}

impl World {
    /// All is installed, and this was learned.
    fn learned(mut self, variables: &[(&str, &str)]) -> Self {
        let cann = self.cann.get_or_insert_default();
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        cann.variables = Some(variables.iter().map(pair).collect::<Variables>());
        cann.engine = None;
        for (size, step) in (1..).zip(&mut cann.steps) {
            let layer = Layer { digest: Digest::of("layer"), size, diff_id: Digest::of("tar"), tar_size: size };
            step.installed = Some(Installed {
                layers: vec![layer],
                entries: 1,
                wheels: Vec::new(),
                outside: Vec::new(),
                setid: Vec::new(),
                removed: Vec::new(),
                latest: false,
                dirs: std::collections::BTreeMap::new(),
            });
        }
        self
    }

    fn with(mut self, set: &[&str], variables: &[&'static str], folders: &[&str]) -> Self {
        self.set.extend(set.iter().map(|one| (*one).to_owned()));
        self.variables.extend(variables);
        for folder in folders {
            self.dir(folder, 0o755, 0);
        }
        self
    }

    /// What is said, and the variables of the image.
    fn with_variables(&self) -> String {
        let env = self.plan().map(|plan| plan.config.env).unwrap_or_default();
        let ours = env.iter().filter(|(name, _)| !["FMTK_LAUNCH_RANKS", "PYTHONUNBUFFERED"].contains(&name.as_str()));
        let said = self.said();
        let lines = said.lines().filter(|line| !line.starts_with("drop") && !line.contains("fmtk-launch"));
        let lines = lines.map(|line| format!("{line}\n"));
        lines.chain(ours.map(|(name, value)| format!("env {name}={value}\n"))).collect()
    }
}

#[test]
fn each_package_has_layers_of_its_own_and_variables_are_learned_or_the_base_s() {
    let all = [CANN, OPS, NNAL];
    let of_8 = || world("8.3.RC1", &all);
    let learned = [("ASCEND_HOME_PATH", HOME), ("LD_LIBRARY_PATH", "/cann/lib64:/base"), ("ATB_X", "1")];
    let own = ["environment.LD_LIBRARY_PATH=/own:${LD_LIBRARY_PATH}", "environment.ATB_X=false"];
    let of_base = ["ASCEND_TOOLKIT_HOME=/own"];
    let tree = ["usr/local/Ascend/ascend-toolkit/8.3.RC1"];
    let newer = ["usr/local/Ascend/cann-8.5.0"];
    let old = ["usr/local/Ascend/ascend-toolkit/5.1.RC2"];
    let mut no_engine = world("8.3.RC1", &[]);
    no_engine.cann = Some(CannInput::default());
    let of_quay = |variables: &[&'static str]| {
        let mut world = world("8.3.RC1", &[]).with(&[], variables, &tree);
        world.dir("usr/local/Ascend/nnal/atb", 0o755, 0).file("usr/local/Ascend/nnal/atb/set_env.sh", b"");
        world
    };
    let worlds = [
        ("before", of_8()),
        ("after, and what the recipe adds", of_8().learned(&learned).with(&own, &["LD_LIBRARY_PATH=/base"], &[])),
        ("the recipe sets all by itself", of_8().with(&["environment.ASCEND_HOME_PATH=/x"], &[], &[])),
        ("5.1 has its table", world("5.1.RC2", &[CANN]).with(&["environment.PATH=false"], &[], &[])),
        ("the base has 5.1", world("5.1.RC2", &[]).with(&[], &[], &old)),
        ("the base has another's variables", world("5.1.RC2", &[]).with(&[], &of_base, &[])),
        ("the base has another", world("5.1.RC2", &[]).with(&[], &[], &newer)),
        ("the base has variables of its own", world("8.3.RC1", &[]).with(&[], &of_base, &tree)),
        (
            "its entry point sets them, and they are learned",
            world("8.3.RC1", &[]).learned(&learned).with(&[], &[], &tree),
        ),
        ("its entry point sets them, and they will be learned", world("8.3.RC1", &[]).with(&[], &[], &tree)),
        ("its entry point sets them, and no engine is there", no_engine.with(&[], &[], &tree)),
        ("nnal upon the base's own", world("8.3.RC1", &[NNAL]).with(&[], &of_base, &tree)),
        ("its entry point sets nnal's", of_quay(&of_base)),
        ("its config has nnal's too", of_quay(&["ASCEND_HOME_PATH=/own", "ATB_HOME_PATH=/own"])),
        ("operators upon another", world("8.3.RC1", &[OPS]).with(&[], &[], &newer)),
        ("operators upon nothing", world("8.3.RC1", &[OPS])),
        ("a toolkit upon another", of_8().with(&[], &[], &newer)),
    ];
    let said = worlds.iter().map(|(title, world)| format!("# {title}\n{}\n", world.with_variables()));
    expect_file!["said/cann-packages.txt"].assert_eq(&said.collect::<String>());
}
