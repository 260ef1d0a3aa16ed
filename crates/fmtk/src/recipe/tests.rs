//! The recipe as people write it: defaults, layers of settings, and every way to get it wrong.

use std::{fs, path::PathBuf};

use expect_test::{expect, expect_file};

use super::{layout::MaxLayer, *};
use crate::terminal::report;
use image_name::ImageRef;

fn parse(text: &str, set: &[&str], base: Option<&str>) -> anyhow::Result<Recipe> {
    let set: Vec<String> = set.iter().map(|argument| (*argument).to_owned()).collect();
    Recipe::parse(text, "image.toml", Path::new("/project"), Overrides { set: &set, base, stack: None })
}

fn default() -> Recipe {
    parse("", &[], None).unwrap()
}

fn check<T: ToString>(found: impl IntoIterator<Item = T>, expected: &[&str]) {
    let found: Vec<String> = found.into_iter().map(|one| one.to_string()).collect();
    assert_eq!(found, expected);
}

/// The file that shows the defaults. The recipe itself is the user's: with a change to it, tests failed.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image.example.toml")
}

#[test]
fn the_example_shows_the_defaults() {
    let shown = Draft::load(&example(), true, Overrides::default()).unwrap().recipe;
    assert_eq!(shown, default());
    assert_eq!(shown.digest().unwrap(), default().digest().unwrap());
}

#[test]
fn every_key_of_the_example_is_a_default_of_its_own() {
    // Without its value each line must still give the same recipe, so that no default hides in the file.
    let text = fs::read_to_string(example()).unwrap();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains(" = ")) {
        let rest: Vec<&str> = text.lines().enumerate().filter(|(at, _)| *at != number).map(|(_, line)| line).collect();
        assert_eq!(parse(&rest.join("\n"), &[], None).unwrap(), default(), "{line}");
    }
}

#[test]
fn the_defaults_are_the_image_of_the_manual() {
    let recipe = default();
    let tag = recipe.image_tag("20221028181325".parse().unwrap()).unwrap();
    assert_eq!(tag.to_string(), "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325");
    assert_eq!(recipe.registry.repository.as_str(), "fmtk-ma");
    assert_eq!(recipe.python.abi(), "cp39");
    check(&recipe.pypi.requirements, &["mindspore-ascend==1.8.1"]);
    check(&recipe.pypi.constraints, &["numpy<1.24", "protobuf<3.21"]);
    assert!(!recipe.base.overridden);
    let home = recipe.layout.dirs[&"/home/ma-user".parse().unwrap()];
    assert_eq!((home.mode.bits(), home.owner), (0o750, recipe.layout.owner));
}

#[test]
fn a_missing_file_is_an_empty_one_unless_it_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.toml");
    assert_eq!(Draft::load(&file, false, Overrides::default()).unwrap().recipe, default());
    let error = Draft::load(&file, true, Overrides::default()).unwrap_err();
    assert_eq!(report::exit(&error), report::Exit::Input);
    // One that never ends.
    let endless = report::render(&Draft::load(Path::new("/dev/zero"), true, Overrides::default()).unwrap_err());
    assert!(endless.contains("it has more than 1048576 bytes"), "{endless}");
    // Some editors begin a file with a byte order mark.
    fs::write(&file, "\u{feff}user = \"root\"\n").unwrap();
    assert_eq!(Draft::load(&file, true, Overrides::default()).unwrap().recipe.user.to_string(), "root");
}

#[test]
fn arguments_come_before_the_file_and_the_file_before_the_defaults() {
    let text = "[versions]\nmindspore = \"1.7.0\"\nos = \"debian_11\"\n[environment]\nHCCL_CONNECT_TIMEOUT = \"3600\"";
    let recipe = parse(text, &["versions.mindspore=1.9.0", "layout.dirs.\"/srv\".mode=0700"], None).unwrap();
    let versions = ["python", "mindspore", "os"].map(|key| recipe.versions.get(key).unwrap());
    check(versions, &["3.9", "1.9.0", "debian_11"]);
    check(&recipe.pypi.requirements, &["mindspore-ascend==1.9.0"]);
    assert_eq!(recipe.layout.dirs[&"/srv".parse().unwrap()].mode.bits(), 0o700);
    assert_eq!(recipe.environment.len(), default().environment.len() + 1);
}

#[test]
fn a_set_value_is_read_as_toml_or_as_text_whichever_fits() {
    let set = ["versions.python=3.10", "layout.max_layer=1048576", "registry.insecure=true", "versions.mindspore='2'"];
    let recipe = parse("", &set, None).unwrap();
    assert_eq!(recipe.versions.get("python"), Some("3.10"));
    assert_eq!(recipe.python.interpreter.as_str(), "/home/ma-user/anaconda3/envs/MindSpore/bin/python3.10");
    assert_eq!(recipe.layout.max_layer, MaxLayer::Bytes(1 << 20));
    assert!(recipe.registry.insecure);
    assert_eq!(recipe.versions.get("mindspore"), Some("2"));
    let set = ["pypi.requirements=[\"mindpet==1.0.4\"]", "files=[{from=\"a\",to=\"/b\"}]", "environment.A=b=c"];
    let recipe = parse("", &set, None).unwrap();
    check(&recipe.pypi.requirements, &["mindpet==1.0.4"]);
    assert_eq!(recipe.environment["A"].to_string(), "b=c");
    // An argument's path begins where the command was run, the file's at the file.
    assert_eq!(recipe.files[0].from.path(), Path::new("a"));
    let recipe = parse("[[files]]\nfrom = \"a\"\nto = \"/b\"", &[], None).unwrap();
    assert_eq!(recipe.files[0].from.path(), Path::new("/project/a"));
}

#[test]
fn a_number_may_be_written_as_one_or_as_text() {
    let written = |text: &str| parse(text, &[], None).unwrap();
    let numbers = "[limits]\nimage = 5000000000\n[layout]\nmax_layer = 1048576\n[user]\nuid = 7\n[cann]\ncxx_abi = 0";
    let texts =
        "[limits]\nimage = \"5 GB\"\n[layout]\nmax_layer = \"1 MiB\"\n[user]\nuid = \"7\"\n[cann]\ncxx_abi = \"0\"";
    assert_eq!(written(numbers), written(texts));
    assert_eq!(written(numbers).limits.image.0, 5_000_000_000);
}

#[test]
fn a_set_table_leaves_the_keys_it_does_not_name() {
    let recipe = parse("[registry]\nhost = \"a.b\"", &["registry={insecure=true}"], None).unwrap();
    assert_eq!((recipe.registry.host.as_str(), recipe.registry.insecure), ("a.b", true));
}

#[test]
fn another_base_takes_the_digest_along() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = format!("[base]\nreference = \"oci:base:1\"\ndigest = \"{digest}\"");
    let recipe = parse(&text, &[], None).unwrap();
    assert_eq!(recipe.base.digest.unwrap().to_string(), digest);
    assert_eq!(recipe.base.source, ImageRef::Layout { dir: "/project/base".into(), tag: Some("1".to_owned()) });
    assert_eq!(recipe.base.reference.to_string(), "oci:base:1");
    let recipe = parse(&text, &[], Some("docker-archive:other.tar")).unwrap();
    assert_eq!((recipe.base.digest, recipe.base.overridden), (None, true));
    assert_eq!(recipe.base.source, ImageRef::Archive("other.tar".into()));
    let named = format!("[base]\nreference = \"a.b/c:1@{digest}\"");
    assert_eq!(parse(&named, &[], None).unwrap().base.digest.unwrap().to_string(), digest);
}

#[test]
fn without_cann_there_are_none_of_its_variables() {
    let recipe = parse("[versions]\ncann = \"none\"", &[], None).unwrap();
    assert_eq!(recipe.environment.keys().collect::<Vec<_>>(), ["PYTHONUNBUFFERED"]);
}

/// Whoever built without CANN upon an image of his own was asked for its installer all the same.
#[test]
fn only_cann_5_has_its_variables_in_a_table() {
    let recipe = parse("", &["versions.cann=8.5.0", "environment.ATB_X=false"], None).unwrap();
    check(recipe.environment.keys(), &["PYTHONUNBUFFERED"]);
    check(&recipe.left_out, &["ATB_X"]);
    let recipe = parse("", &["environment.PATH=/x", "environment.TOOLCHAIN_HOME=false"], None).unwrap();
    check(&recipe.of_table, &["ASCEND_AICPU_PATH", "ASCEND_OPP_PATH", "LD_LIBRARY_PATH", "PYTHONPATH"]);
    assert!(recipe.left_out.is_empty());
}

#[test]
fn the_abi_of_nnal_is_one_of_two() {
    let abi = |set: &str| {
        parse("", &[set], None).map(|recipe| recipe.cann.cxx_abi.to_string()).map_err(|error| report::render(&error))
    };
    assert_eq!(abi("cann.cxx_abi=0"), Ok("0".to_owned()));
    assert_eq!(abi("cann={cxx_abi=0}"), Ok("0".to_owned()));
    for wrong in ["2", "false", "[]"] {
        let said = abi(&format!("cann.cxx_abi={wrong}")).unwrap_err();
        assert!(said.contains("must be 0 or 1"), "{said}");
    }
}

#[test]
fn without_cann_its_package_is_not_asked_for_unless_it_is_said_to_be() {
    let required = |set: &[&str]| parse("", set, None).unwrap().packages["cann"].required;
    assert!(required(&[]));
    assert!(!required(&["versions.cann=none"]));
    assert!(required(&["versions.cann=none", "packages.cann.required=true"]));
    assert!(parse("", &["versions.cann=none"], None).unwrap().packages["moxing"].required);
}

#[test]
fn a_user_is_a_name_or_a_table() {
    let user = |text: &str, set: &[&str]| parse(text, set, None).unwrap().user;
    let table = user("user = { groups = [\"HwHiAiUser:1000\"] }", &["user.uid=1001", "user.create=replace"]);
    let account = table.account.clone().unwrap();
    assert_eq!((account.uid.0, account.gid.0, account.create), (1001, 100, Create::Replace));
    check(&account.groups, &["HwHiAiUser:1000"]);
    check([account.name, account.group], &["ma-user", "ma-group"]);
    assert_eq!(table.to_string(), "ma-user");
    assert_eq!(user("", &[]).account, None);
    let shown = "user = { name = \"ma-user\", uid = 1000, group = \"ma-group\", gid = 100, create = \"if-missing\" }";
    assert_eq!(user(shown, &[]), user("user = {}", &[]));
}

#[test]
fn a_default_variable_can_be_left_out_and_set() {
    let recipe = parse("[environment]\nTOOLCHAIN_HOME = false\nPATH = \"/a:${PATH}\"", &[], None).unwrap();
    assert!(!recipe.environment.contains_key("TOOLCHAIN_HOME"));
    let base = [("PATH".to_owned(), "/b".to_owned())].into();
    let path = resolve_environment(&recipe.environment, &base).into_iter().find(|(name, _)| name == "PATH");
    assert_eq!(path.unwrap().1, "/a:/b");
}

#[test]
fn a_kind_of_one_s_own_is_one_more_wheel() {
    let text = "[packages]\ncann.required = false\n[packages.kit]\nglob = \"kit-{mindspore}-*.whl\"";
    let recipe = parse(text, &[], None).unwrap();
    assert_eq!(recipe.packages["kit"], PackageSpec { glob: "kit-1.8.1-*.whl".to_owned(), required: true });
    assert_eq!(recipe.packages["cann"].glob, "Ascend-cann-toolkit_*.run");
    assert!(!recipe.packages["cann"].required);
    assert_eq!(recipe.packages.len(), 4);
}

/// It was an error with every stack that lacks the kind.
#[test]
fn a_kind_that_the_stack_lacks_need_not_be_there() {
    let set = ["packages.moxing.required=false".to_owned(), "packages.tuning-kit={required=false}".to_owned()];
    let torch = Overrides { set: &set, base: None, stack: Some("torch-2.7") };
    let recipe = Recipe::parse("", "image.toml", Path::new("/project"), torch).unwrap();
    assert_eq!(recipe.packages.keys().collect::<Vec<_>>(), ["cann"]);
    let said = |set: &str| report::render(&parse("", &[set], None).unwrap_err());
    assert!(said("packages.kit.required=true").contains("`packages.kit`: missing key `glob`"));
    assert!(said("packages.moxin.required=false").contains("hint: did you mean `packages.moxing`?"));
}

#[test]
fn the_tag_is_judged_as_it_was_written() {
    let said = |set: &[&str]| report::render(&parse("", set, None).unwrap_err());
    // The default's placeholders were judged in place of a tag that could not be read.
    expect![[r#"
        error: `--set tag=a b-{timestamp}`: `tag`: tag template `a b-{timestamp}` must hold only a-z, A-Z, 0-9, `_`, `.` and `-` (character 2, ` `)
    "#]]
    .assert_eq(&said(&["versions.mindspore=false", "pypi.requirements=[]", "tag=a b-{timestamp}"]));
    expect![[r#"
        error: the default: the tag's `{mindspore}` is not in `[versions]`
        hint: set `tag` to one without `{mindspore}`, or name a `stack`
    "#]]
    .assert_eq(&said(&["versions.mindspore=false", "pypi.requirements=[]"]));
}

#[test]
fn a_version_can_be_left_out_and_have_any_name() {
    let set = ["versions.mindspore=false", "versions.torch=2.7.1", "versions.hce=2.0", "versions.unused=1"];
    let tag = "tag=pytorch_{torch}-py_{python}-hce_{hce}-{timestamp}";
    let requirements = "pypi.requirements=[\"torch=={torch}\", \"own-{hce}>={unused}\"]";
    let recipe = parse("", &[&set[..], &[tag, requirements]].concat(), None).unwrap();
    let made = recipe.image_tag("20251205091605".parse().unwrap()).unwrap();
    assert_eq!(made.as_str(), "pytorch_2.7.1-py_3.9-hce_2.0-20251205091605");
    check(&recipe.pypi.requirements, &["torch==2.7.1", "own-2.0>=1"]);
    assert_eq!((recipe.versions.get("mindspore"), recipe.versions.get("unused")), (None, Some("1")));
    let same = parse("tag = \"py_{python}-ms_{mindspore}_cann_{cann}-{os}-{arch}-{chip}-{timestamp}\"", &[], None);
    assert_eq!(same.unwrap().digest().unwrap(), default().digest().unwrap());
}

#[test]
fn the_abi_is_that_of_the_version() {
    assert_eq!(parse("", &["versions.python=3.7.10"], None).unwrap().python.abi(), "cp37m");
    assert_eq!(parse("", &["versions.python=3.11"], None).unwrap().python.abi(), "cp311");
}

#[test]
fn the_digest_is_of_what_shapes_the_image() {
    let digest = |set: &[&str]| parse("", set, None).unwrap().digest().unwrap();
    for same in ["registry.insecure=true", "base.reference=oci:x", "registry.ca=x.pem", "limits.image=5 GB"] {
        assert_eq!(digest(&[same]), digest(&[]), "{same}");
    }
    for other in [
        "versions.cann=6.0",
        "user=root",
        "layout.owner=0:0",
        "labels.a=b",
        "environment.A=b",
        "allow.elf=[\"a\"]",
        "tag={timestamp}",
    ] {
        assert_ne!(digest(&[other]), digest(&[]), "{other}");
    }
    // With another one every image would be another.
    let of_defaults = "sha256:97413589503083ef6c69cfbe12d7ed4703ae7a5ea7bfc0b28b1312d2e7b36d16";
    assert_eq!(digest(&[]).to_string(), of_defaults);
    // Two machines have their recipe in two places.
    let text = "[[files]]\nfrom = \"a\"\nto = \"/b\"";
    let at = |folder: &str| Recipe::parse(text, "image.toml", Path::new(folder), Overrides::default()).unwrap();
    assert_eq!(at("/one").digest().unwrap(), at("/two").digest().unwrap());
}

#[test]
fn who_starts_ranks_is_one_of_two() {
    assert_eq!(parse("", &["launch.ranks=scripts"], None).unwrap().launch.ranks, Ranks::Scripts);
    assert!(!parse("[launch]\nfront = false", &[], None).unwrap().launch.front);
}

/// Files of `tests/`: recipes, in which lines as `#! --set KEY=VALUE` are arguments, and what is said of them.
#[test]
fn everything_wrong_is_said_at_once_with_the_line_and_the_nearest_key() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/recipe/tests");
    let recipes = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let recipes: Vec<PathBuf> = recipes.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    assert_eq!(recipes.len(), 13);
    for path in recipes {
        let text = fs::read_to_string(&path).unwrap();
        let set: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#! --set ")).collect();
        expect_file![path.with_extension("txt")].assert_eq(&report::render(&parse(&text, &set, None).unwrap_err()));
    }
}

#[test]
fn a_base_on_this_machine_is_told_how_it_is_written() {
    for base in ["base.tar", "base.d/layout", "r.x:5000/a/b"] {
        let expected = format!(
            "error: `--base {base}`: `base.reference`: `{base}` has neither a tag nor a digest; a file of this machine is \
             `docker-archive:{base}`, the folder of a layout `oci:{base}`\n"
        );
        assert_eq!(report::render(&parse("", &[], Some(base)).unwrap_err()), expected);
    }
    assert!(default().base.is_standard());
}

#[test]
fn an_argument_is_merged_as_deep_as_it_goes_and_numbers_are_text() {
    let text = "[layout.dirs]\n\"/a\" = { mode = \"0700\" }";
    let set = ["layout={dirs={\"/b\"={mode='0710'}}}", "environment.A=1", "layout.dirs.\"/a\".owner=0:0"];
    let recipe = parse(text, &set, None).unwrap();
    let dir = |path: &str| recipe.layout.dirs[&path.parse().unwrap()];
    let [a, b] = ["/a", "/b"].map(dir);
    assert_eq!((a.mode.bits(), a.owner.uid, b.mode.bits(), b.owner.uid), (0o700, 0, 0o710, 1000));
    assert_eq!(recipe.environment["A"].to_string(), "1");
}
