//! The recipe as people write it: defaults, layers of settings, and every way to get it wrong.

use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::{layout::MaxLayer, *};
use crate::terminal::report;
use image_name::ImageRef;

fn parse(text: &str, set: &[&str], base: Option<&str>) -> anyhow::Result<Recipe> {
    let set: Vec<String> = set.iter().map(|argument| (*argument).to_owned()).collect();
    Recipe::parse(text, "image.toml", Path::new("/project"), Overrides { set: &set, base })
}

fn default() -> Recipe {
    parse("", &[], None).unwrap()
}

fn check_error(text: &str, set: &[&str], expected: Expect) {
    expected.assert_eq(&report::render(&parse(text, set, None).unwrap_err()));
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
    let shown = Recipe::load(&example(), true, Overrides::default()).unwrap();
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
    let tag = recipe.image_tag(&"20221028181325".parse().unwrap()).unwrap();
    assert_eq!(tag.to_string(), "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325");
    assert_eq!(recipe.registry.repository.as_str(), "fmtk-ma");
    assert_eq!(recipe.python.abi(), "cp39");
    check(&recipe.pypi.requirements, &["mindspore-ascend==1.8.1"]);
    check(&recipe.pypi.constraints, &["numpy<1.24", "protobuf<3.21"]);
    assert_eq!(recipe.warnings(), [""; 0]);
    assert!(!recipe.base.overridden);
    let home = recipe.layout.dirs[&"/home/ma-user".parse().unwrap()];
    assert_eq!((home.mode.bits(), home.owner), (0o750, recipe.layout.owner));
}

#[test]
fn a_missing_file_is_an_empty_one_unless_it_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.toml");
    assert_eq!(Recipe::load(&file, false, Overrides::default()).unwrap(), default());
    let error = Recipe::load(&file, true, Overrides::default()).unwrap_err();
    assert_eq!(report::exit(&error), report::Exit::Input);
}

#[test]
fn arguments_come_before_the_file_and_the_file_before_the_defaults() {
    let text = "[versions]\nmindspore = \"1.7.0\"\nos = \"debian_11\"\n[environment]\nHCCL_CONNECT_TIMEOUT = \"3600\"";
    let recipe = parse(text, &["versions.mindspore=1.9.0", "layout.dirs.\"/srv\".mode=0700"], None).unwrap();
    let versions = &recipe.versions;
    check([&versions.python, &versions.mindspore], &["3.9", "1.9.0"]);
    assert_eq!(versions.os.as_str(), "debian_11");
    check(&recipe.pypi.requirements, &["mindspore-ascend==1.9.0"]);
    assert_eq!(recipe.layout.dirs[&"/srv".parse().unwrap()].mode.bits(), 0o700);
    assert_eq!(recipe.environment.len(), default().environment.len() + 1);
}

#[test]
fn a_set_value_is_read_as_toml_or_as_text_whichever_fits() {
    let set = ["versions.python=3.10", "layout.max_layer=1048576", "registry.insecure=true", "versions.mindspore='2'"];
    let recipe = parse("", &set, None).unwrap();
    assert_eq!(recipe.versions.python.as_str(), "3.10");
    assert_eq!(recipe.python.interpreter.as_str(), "/home/ma-user/anaconda3/envs/MindSpore/bin/python3.10");
    assert_eq!(recipe.layout.max_layer, MaxLayer::Bytes(1 << 20));
    assert!(recipe.registry.insecure);
    assert_eq!(recipe.versions.mindspore.as_str(), "2");
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
fn without_cann_its_package_is_not_asked_for_unless_it_is_said_to_be() {
    let required = |set: &[&str]| parse("", set, None).unwrap().packages["cann"].required;
    assert!(required(&[]));
    assert!(!required(&["versions.cann=none"]));
    assert!(required(&["versions.cann=none", "packages.cann.required=true"]));
    assert!(parse("", &["versions.cann=none"], None).unwrap().packages["moxing"].required);
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

#[test]
fn untried_versions_are_said_to_be() {
    let recipe = parse("", &["versions.python=3.11", "versions.mindspore=2.0.0"], None).unwrap();
    check(
        recipe.warnings(),
        &[
            "Python `3.11` is untried here; known to work are 3.7, 3.8, 3.9",
            "MindSpore `2.0.0` is untried here; known to work are 1.7.0, 1.7.1, 1.8.0, 1.8.1, 1.9.0",
        ],
    );
    assert_eq!(parse("", &["versions.python=3.7.10"], None).unwrap().python.abi(), "cp37m");
    assert_eq!(recipe.python.abi(), "cp311");
}

#[test]
fn the_digest_is_of_what_shapes_the_image() {
    let digest = |set: &[&str]| parse("", set, None).unwrap().digest().unwrap();
    for same in ["registry.insecure=true", "base.reference=oci:x", "registry.ca=x.pem"] {
        assert_eq!(digest(&[same]), digest(&[]), "{same}");
    }
    for other in
        ["versions.cann=6.0", "user=root", "layout.owner=0:0", "labels.a=b", "environment.A=b", "allow.elf=[\"a\"]"]
    {
        assert_ne!(digest(&[other]), digest(&[]), "{other}");
    }
    // Two machines have their recipe in two places.
    let text = "[[files]]\nfrom = \"a\"\nto = \"/b\"";
    let at = |folder: &str| Recipe::parse(text, "image.toml", Path::new(folder), Overrides::default()).unwrap();
    assert_eq!(at("/one").digest().unwrap(), at("/two").digest().unwrap());
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    let text = r#"
verions.python = "3.9"
mindspore = "1.8.1"

[base]
refrence = "a.b/c:1"

[layout.dirs]
"/srv" = { mod = "0755" }

[python]
something_else = 1

[[files]]
from = "a"
to = "/a"
own = "0:0"
"#;
    check_error(
        text,
        &["registry.hots=a.b", "environment_=1", "pypi.\"a=b\"=1"],
        expect![[r#"
            error: `image.toml` line 2: unknown key `verions`
            hint: did you mean `versions`?
            error: `image.toml` line 3: unknown key `mindspore`
            hint: did you mean `versions.mindspore`?
            error: `image.toml` line 6: unknown key `base.refrence`
            hint: did you mean `base.reference`?
            error: `image.toml` line 9: unknown key `layout.dirs."/srv".mod`
            hint: did you mean `layout.dirs."/srv".mode`?
            error: `image.toml` line 12: unknown key `python.something_else`
            hint: the nearest key is `python.site_packages`; there are `prefix`, `site_packages`, `interpreter`, `glibc`
            error: `image.toml` line 17: unknown key `files.own`
            hint: did you mean `files.owner`?
            error: `--set registry.hots=a.b`: unknown key `registry.hots`
            hint: did you mean `registry.host`?
            error: `--set environment_=1`: unknown key `environment_`
            hint: did you mean `environment`?
            error: `--set pypi."a=b"=1`: unknown key `pypi."a=b"`
            hint: the nearest key is `pypi.constraints`; there are `requirements`, `constraints`
        "#]],
    );
}

#[test]
fn wrong_values_are_all_said_with_their_lines() {
    let text = r#"
user = "a b"
workdir = "home"
scripts = ""
versions = { python = "3", mindspore = "1.8.1-x", arch = "x86_64", chip = 910 }

[base]
reference = "mindxsdk/base:1"
digest = "sha512:0"

[python]
prefix = "/opt/../x"
glibc = 2.28

[registry]
host = "a b"
ip = "1.2.3"
insecure = "yes"

[packages]
cann.glob = "cann.zip"
moxing.glob = "wheels/*.whl"
tuning-kit.glob = "kit-{version}-*.whl"
mine = {}
Mine.glob = "[*.whl"

[pypi]
requirements = ["moxing", "mindpet==1.0.4", "-r x"]
constraints = "numpy"

[environment]
"A B" = "1"
C = true
D = "${"

[layout]
owner = "ma-user:ma-group"
max_layer = "1 kB"
dirs."home" = { mode = 750 }

[[files]]
from = "a"
[[files]]
from = "a"
to = "/"
[[files]]
from = "b"
to = "/"

[allow]
elf = ["a/b"]

[labels]
x = 1
"#;
    check_error(
        text,
        &[],
        expect![[r#"
            error: `image.toml` line 2: `user`: `a b` is no user: a name or number, and after a colon a group
            error: `image.toml` line 3: `workdir`: `home` must begin with `/`
            error: `image.toml` line 4: `scripts`: must be `auto`, `keep` or a folder
            error: `image.toml` line 5: `versions.python`: `3` has no major and minor number, as `3.9`
            error: `image.toml` line 5: `versions.mindspore`: version `1.8.1-x` must hold only letters, digits and `.` (character 6, `-`)
            error: `image.toml` line 5: `versions.arch`: `x86_64`: every image is for `aarch64`
            error: `image.toml` line 5: `versions.chip`: invalid type: integer `910`, expected a string
            error: `image.toml` line 8: `base.reference`: `mindxsdk/base:1` is not `host/org/repo:tag[@digest]`, `oci:DIR[:tag]`, `docker-archive:FILE`, `docker-daemon:NAME` or `podman:NAME`: image reference `mindxsdk/base:1` must start with a registry host, which has a dot or port or is `localhost`, and `/` (character 9, `/`)
            error: `image.toml` line 9: `base.digest`: digest `sha512:0` must start with `sha256:` (character 1, `s`)
            error: `image.toml` line 12: `python.prefix`: `/opt/../x` must have no `.`, `..` or empty part and no `/` at the end
            error: `image.toml` line 13: `python.glibc`: invalid type: floating point `2.28`, expected a string
            error: `image.toml` line 16: `registry.host`: registry host `a b` must hold only letters, digits, `-` and `.` (character 2, ` `)
            error: `image.toml` line 17: `registry.ip`: invalid IP address syntax
            error: `image.toml` line 18: `registry.insecure`: invalid type: string "yes", expected a boolean
            error: `image.toml` line 21: `packages.cann.glob`: `cann.zip` must end with `.run`
            error: `image.toml` line 22: `packages.moxing.glob`: `wheels/*.whl` must be the pattern of a file name, without folders
            error: `image.toml` line 23: `packages.tuning-kit.glob`: `kit-{version}-*.whl`: `{version}` is no key of `[versions]`
            error: `image.toml` line 24: `packages.mine`: missing key `glob`
            error: `image.toml` line 25: `packages.Mine`: `Mine` can not be a kind: lowercase letters, digits and `-`, not `pypi`
            error: `image.toml` line 25: `packages.Mine.glob`: `[*.whl` is no glob: Pattern syntax error near position 0: invalid range pattern
            error: `image.toml` line 28: `pypi.requirements`: `moxing`: PyPI's `moxing` is not MoXing, whose wheel goes into the package folder
            error: `image.toml` line 28: `pypi.requirements`: `-r x` does not begin with a distribution's name
            error: `image.toml` line 29: `pypi.constraints`: invalid type: string "numpy", expected an array
            error: `image.toml` line 32: `environment."A B"`: a variable's name has letters, digits and `_`, and no digit first
            error: `image.toml` line 33: `environment.C`: must be text, or `false` to leave it out
            error: `image.toml` line 34: `environment.D`: `${` is not closed, or names no variable
            error: `image.toml` line 37: `layout.owner`: `ma-user:ma-group` is no owner: numeric user and group, "1000:100"
            error: `image.toml` line 38: `layout.max_layer`: must be 1 MiB to 10 GB, or `auto`
            error: `image.toml` line 39: `layout.dirs.home`: `home` must begin with `/`
            error: `image.toml` line 41: `files`: missing key `to`
            error: `image.toml` line 45: `files.to`: `/` is no file's path
            error: `image.toml` line 48: `files.to`: `/` is given twice
            error: `image.toml` line 48: `files.to`: `/` is no file's path
            error: `image.toml` line 51: `allow.elf`: `a/b` is no distribution's name: letters, digits and `-`, `_`, `.` between them
            error: `image.toml` line 54: `labels.x`: invalid type: integer `1`, expected a string
        "#]],
    );
}

#[test]
fn wrong_arguments_are_said_as_given() {
    check_error(
        "user = \"root\"",
        &[
            "versions",
            "=1",
            "a..b=1",
            "user.name=1",
            "versions.python=-1",
            "layout.max_layer=-1",
            "files=1",
            "labels=1",
        ],
        expect![[r#"
            error: `--set user.name=1`: `user`: invalid type: table, expected a string
            error: `--set versions.python=-1`: `versions.python`: version `-1` must hold only letters, digits and `.` (character 1, `-`)
            error: `--set layout.max_layer=-1`: `layout.max_layer`: `-1` is no size: a whole number of bytes, or one with KiB, MiB, GiB, kB, MB or GB
            error: `--set files=1`: `files`: invalid type: string "1", expected an array
            error: `--set labels=1`: `labels`: invalid type: string "1", expected a table
            error: `--set versions` is not `KEY=VALUE`, as in `versions.mindspore=1.9.0`
            error: `--set =1` is not `KEY=VALUE`, as in `versions.mindspore=1.9.0`
            error: `--set a..b=1` is not `KEY=VALUE`, as in `versions.mindspore=1.9.0`
        "#]],
    );
}

#[test]
fn a_file_that_is_no_toml_is_shown_where_it_ends_being_so() {
    check_error(
        "[versions]\npython = 3.9.1\n",
        &[],
        expect![[r#"
            error: failed to read recipe `image.toml`
            caused by: TOML parse error at line 2, column 13
              |
            2 | python = 3.9.1
              |             ^^
            invalid float, expected nothing
        "#]],
    );
}

#[test]
fn a_digest_beside_another_is_refused() {
    let digest = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
    let text = format!("[base]\nreference = \"a.b/c:1@{}\"\ndigest = \"{}\"", digest('0'), digest('1'));
    check_error(
        &text,
        &[],
        expect![[r#"
        error: `image.toml` line 3: `base.digest`: differs from the digest in `base.reference`
    "#]],
    );
}

#[test]
fn a_tag_that_would_be_too_long_is_refused() {
    let text = format!("[versions]\ncann = \"{0}\"\nmindspore = \"{0}\"", "1".repeat(40));
    check_error(
        &text,
        &[],
        expect![[r#"
        error: image tag `py_3.9-ms_1111111111111111111111111111111111111111_cann_1111111111111111111111111111111111111111-euler_2.8.3-aarch64-d910-19800101000000` must have at most 128 characters (character 129, `0`)
        hint: shorten a part in `[versions]`
    "#]],
    );
}

#[test]
fn who_starts_ranks_is_one_of_two_and_said_in_one_place() {
    assert_eq!(parse("", &["launch.ranks=scripts"], None).unwrap().launch.ranks, Ranks::Scripts);
    assert!(!parse("[launch]\nfront = false", &[], None).unwrap().launch.front);
    check_error(
        "[launch]\nranks = \"both\"\nfronts = true\n[environment]\nFMTK_LAUNCH_RANKS = \"scripts\"",
        &[],
        expect![[r#"
            error: `image.toml` line 2: `launch.ranks`: unknown variant `both`, expected `native` or `scripts`
            error: `image.toml` line 3: unknown key `launch.fronts`
            hint: did you mean `launch.front`?
            error: `image.toml` line 5: `environment.FMTK_LAUNCH_RANKS`: the image has it from `launch.ranks`; set that
        "#]],
    );
}

#[test]
fn what_has_the_wrong_shape_hides_nothing_else() {
    check_error(
        "user.name = \"x\"\ndigest = \"x\"\nlaunch = [true]\npackages.kit.required = true\n[[files]]\nfrom = \"a\"\nmode = 7\n\
         to_ = \"/b\"\n[layout]\ndirs = []\n[packages.own]\nglob = 1\n[allow]\nelf = [[]]",
        &["labels.a={b=1}", "registry.insecure=1", "allow.no_record=[1]", "[cann]\nuser=true"],
        expect![[r#"
            error: `image.toml` line 1: `user`: invalid type: table, expected a string
            error: `image.toml` line 2: unknown key `digest`
            hint: did you mean `base.digest`?
            error: `image.toml` line 3: `launch`: invalid type: array, expected a table
            error: `image.toml` line 4: `packages.kit`: missing key `glob`
            error: `image.toml` line 7: `files.mode`: invalid type: integer `7`, expected a string
            error: `image.toml` line 8: unknown key `files.to_`
            hint: did you mean `files.to`?
            error: `image.toml` line 10: `layout.dirs`: invalid type: array, expected a table
            error: `image.toml` line 12: `packages.own.glob`: invalid type: integer `1`, expected a string
            error: `image.toml` line 14: `allow.elf`: invalid type: array, expected a string
            error: `--set labels.a={b=1}`: `labels.a`: invalid type: table, expected a string
            error: `--set registry.insecure=1`: `registry.insecure`: invalid type: string "1", expected a boolean
            error: `--set allow.no_record=[1]`: `allow.no_record`: invalid type: integer `1`, expected a string
            error: `--set [cann]
            user=true` is not `KEY=VALUE`, as in `versions.mindspore=1.9.0`
        "#]],
    );
    check_error(
        "[files]\n[[versions]]\npython = \"3.9\"",
        &["base=oci:x", "registry=[1]"],
        expect![[r#"
            error: `image.toml` line 1: `files`: invalid type: table, expected an array
            error: `image.toml` line 2: `versions`: invalid type: array, expected a table
            error: `--set base=oci:x`: `base`: invalid type: string "oci:x", expected a table
            error: `--set registry=[1]`: `registry`: invalid type: array, expected a table
        "#]],
    );
}

#[test]
fn a_base_on_this_machine_is_told_how_it_is_written() {
    for base in ["base.tar", "base.d/layout"] {
        let said = report::render(&parse("", &[], Some(base)).unwrap_err());
        assert!(said.contains("`oci:") && said.contains("`docker-archive:"), "{said}");
    }
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
