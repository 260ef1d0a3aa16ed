//! Where wheels go, and where the base's Python looks.

use wheel_double::WheelDouble;

use super::{World, check};

/// A base with this Python besides, and a wheel for it.
fn world(python: &str) -> World {
    let mut world = World::new(&format!("versions.cann = 'none'\nlaunch.front = false\n{python}"));
    world.wheel(&WheelDouble::new("one"));
    world
}

fn of_debian(python: &str) -> World {
    let mut world = world(python);
    world.file("etc/os-release", b"ID=debian\nVERSION_ID=11\n").program("usr/bin/python3.9");
    world.link("usr/bin/python3", "python3.9").dir("usr/lib/python3.9", 0o755, 0).dir("usr/local/bin", 0o755, 0);
    world.dir("usr/lib/python3/dist-packages", 0o755, 0);
    world.recipe.versions.os = "debian_11".parse().unwrap();
    world
}

#[test]
fn a_folder_that_no_python_looks_into_is_refused_with_the_key_to_set() {
    // A link to a Python is no environment.
    let mut linked = world("python.prefix = '/opt/env'");
    linked.link("opt/env/bin/python3.9", "/opt/py/bin/python3.9").dir("opt/env/lib/python3.9/site-packages", 0o755, 0);
    let mut other = world("python = { prefix = '/opt/py', site_packages = '/opt/py/lib/python3.8/site-packages' }");
    other.program("opt/py/bin/python3.8").dir("opt/py/lib/python3.8/site-packages", 0o755, 0);
    let rows = [
        ("the manual's prefix", of_debian("python.interpreter = '/usr/bin/python3'")),
        ("a link", linked),
        (
            "what pip would call it elsewhere",
            of_debian("python = { interpreter = '/usr/bin/python3', prefix = '/usr' }"),
        ),
        ("another prefix", world("python = { interpreter = '/opt/py/bin/python3.9', prefix = '/opt/pyy' }")),
        ("another Python's", other),
    ];
    check("site_packages", &rows.map(|(title, world)| world.said(title)).concat());
}

#[test]
fn folders_that_its_python_looks_into_are_taken() {
    let debian = "python.interpreter = '/usr/bin/python3'\npython.prefix = '/usr/local'\npython.site_packages =";
    for folder in ["/usr/local/lib/python3.9/dist-packages", "/usr/lib/python3/dist-packages"] {
        let plan = of_debian(&format!("{debian} '{folder}'")).plan().unwrap();
        assert!(!plan.warnings.iter().any(|warning| warning.contains("wheels")), "{folder}: {:?}", plan.warnings);
    }
    // The official image's, of which Debian's is beside; an environment of a Python elsewhere; a user's own; PYTHONPATH.
    let check = |python: &str, more: fn(&mut World)| {
        let mut world = world(python);
        more(&mut world);
        let plan = world.plan().unwrap();
        assert!(!plan.warnings.iter().any(|warning| warning.contains("wheels")), "{python}: {:?}", plan.warnings);
    };
    check("python.prefix = '/usr/local'", |world| {
        world.file("etc/os-release", b"ID=debian\n").program("usr/local/bin/python3.9");
        world.dir("usr/local/lib/python3.9", 0o755, 0);
        world.recipe.versions.os = "debian".parse().unwrap();
    });
    check("python.prefix = '/opt/env'", |world| {
        world
            .link("opt/env/bin/python3.9", "/opt/py/bin/python3.9")
            .file("opt/env/pyvenv.cfg", b"home = /opt/py/bin\n");
        world.dir("opt/env/lib/python3.9/site-packages", 0o755, 0);
    });
    let own = "python.prefix = '/opt/py'\npython.site_packages =";
    check(&format!("{own} '/home/ma-user/.local/lib/python3.9/site-packages'"), |_| {});
    // Where a shell looks anyway: the sample's base has no `/usr/local` to begin with.
    check("python.prefix = '/opt/py'\nenvironment.PATH = '/opt/new/bin:/bin'", |world| {
        world.recipe.python.prefix = "/opt/new".parse().unwrap();
    });
    check(&format!("{own} '/opt/more'\nenvironment.PYTHONPATH = '/x:/opt/more'"), |_| {});
}

#[test]
fn what_can_not_be_told_is_warned_of() {
    let warned = |mut world: World, more: fn(&mut World)| {
        more(&mut world);
        world.plan().unwrap().warnings.into_iter().filter(|it| it.contains("wheels")).collect::<Vec<_>>().join("\n")
    };
    let own = "python.prefix = '/opt/py'\npython.site_packages =";
    let text = [
        warned(world(&format!("{own} '/opt/vendor'")), |world| {
            world.dir("opt/vendor", 0o755, 0);
        }),
        warned(world(&format!("{own} '/opt/other/lib/python3.9/site-packages'")), |world| {
            world.program("opt/other/bin/python3.9").dir("opt/other/lib/python3.9", 0o755, 0);
        }),
        // A script that starts a Python is none itself.
        warned(world("python = { interpreter = '/opt/run/bin/python3.9', prefix = '/opt/run' }"), |world| {
            world.file("opt/run/bin/python3.9", b"#!/bin/sh\n");
        }),
        warned(world(&format!("{own} '/{}'\npython.interpreter = '/opt/py/bin/python3.9'", super::SITE)), |world| {
            world.recipe.python.prefix = "/opt/pyy".parse().unwrap();
        }),
    ];
    check("site_packages_unknown", &(text.join("\n") + "\n"));
}

#[test]
fn nothing_is_said_where_no_wheel_goes_anywhere() {
    let mut world = of_debian("python.interpreter = '/usr/bin/python3'");
    world.wheels.clear();
    assert!(world.plan().is_ok());
}
