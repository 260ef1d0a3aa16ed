//! What speaks against a base.

use expect_test::expect;

use super::World;

#[test]
fn a_base_of_another_system_or_with_another_user_id_is_refused() {
    let mut world = World::new("python = { prefix = \"/opt/py\" }");
    world.file("etc/passwd", b"ma-user:x:1001:1001::/home/ma-user:/bin/sh\n");
    world.file("etc/os-release", b"ID=ubuntu\nVERSION_ID=\"18.04\"\nPRETTY_NAME=\"Ubuntu 18.04.6 LTS\"\n");
    world.check(expect![[r#"
        error: the base `oci:base` is Ubuntu 18.04.6 LTS, and the tag would say `euler_2.8.3`
        hint: set `versions.os` to `ubuntu_18.04`
        error: `ma-user` has the user id 1001 in the base `oci:base`, and what is added would belong to 1000
        hint: set `layout.owner` to "1001:1001"
    "#]]);
    for (os, release) in [
        ("euler_2.8.3", "ID=\"euleros\"\nVERSION_ID=\"2.0\"\n"),
        ("ubuntu_18.04", "ID=ubuntu\nVERSION_ID=\"18.04\"\n"),
        ("debian_11.5", "ID=debian\nVERSION_ID=\"11\"\n"),
        ("euler_2.8.3", "PRETTY_NAME=nothing\n"),
    ] {
        let mut world =
            World::new(&format!("python.prefix = \"/opt/py\"\nversions = {{ cann = \"none\", os = \"{os}\" }}"));
        world.file("etc/os-release", release.as_bytes());
        assert!(world.plan().is_ok_and(|plan| plan.warnings.is_empty()), "{os} {release}");
    }
    for (os, release) in
        [("euler_2.8.3", "ID=\"openEuler\"\nVERSION_ID=\"22.03\"\n"), ("debian_11", "ID=debian\nVERSION_ID=\"12\"\n")]
    {
        let mut world =
            World::new(&format!("python.prefix = \"/opt/py\"\nversions = {{ cann = \"none\", os = \"{os}\" }}"));
        world.file("etc/os-release", release.as_bytes());
        assert!(world.plan().is_err(), "{os} {release}");
    }
}

#[test]
fn a_base_that_is_not_what_the_recipe_says_is_refused() {
    let mut world = World::new(
        r#"
        versions = { python = "3.8" }
        python = { prefix = "/opt/py" }
        user = "nobody:100"
    "#,
    );
    world.architecture = "amd64";
    world.check(expect![[r#"
        error: the base `oci:base` is for linux/amd64, the image is for linux/arm64
        hint: name an arm64 base with `--base`
        error: the base `oci:base` has no Python 3.8 at `/opt/py/bin/python3.8`; it has Python 3.9 at `/opt/py/bin/python3.9`
        hint: set `python.interpreter`, `python.prefix` and `versions.python` to what the base has
        error: the base `oci:base` has no user `nobody`
        hint: set `user` to a number or to one that it has: root, ma-user
    "#]]);
}
