//! What lies where: compared, when it was written, with what pip 26.0.1 leaves of the same wheels.

use expect_test::{Expect, expect};
use wheel_layer::{Layout, Options};

use crate::wheel_file::{WheelFile, layers, layout, store, unpack};

const REGULAR: u32 = 0o100_000;

/// Lists modes and paths, and the contents of what `show` picks.
fn check(wheel: &WheelFile, layout: &Layout, show: &[&str], expect: Expect) {
    let (folder, store) = store();
    let made = layers(&store, &wheel.write(folder.path()), layout, &Options::default()).unwrap();
    let mut text = String::new();
    for (path, mode, bytes) in made.iter().flat_map(|layer| unpack(&store, layer)) {
        text += &format!("{mode:o} {path}\n");
        if show.iter().any(|end| path.ends_with(end)) {
            let shown = String::from_utf8(bytes).unwrap().replace('\r', "␍");
            text.extend(shown.lines().map(|line| format!("    |{line}\n")));
        }
    }
    expect.assert_eq(&text);
}

#[test]
fn a_plain_wheel() {
    let wheel = WheelFile::demo()
        .file("demo/__init__.py", b"")
        .file_with_mode("demo/tool.sh", b"#!/bin/sh\n", REGULAR | 0o755)
        .file("demo/empty/", b"");
    check(
        &wheel,
        &layout(),
        &["RECORD", "INSTALLER", "REQUESTED"],
        expect![[r#"
        755 opt/
        755 opt/py/
        755 opt/py/lib/
        755 opt/py/lib/python3.9/
        755 opt/py/lib/python3.9/site-packages/
        755 opt/py/lib/python3.9/site-packages/demo/
        644 opt/py/lib/python3.9/site-packages/demo/__init__.py
        755 opt/py/lib/python3.9/site-packages/demo/tool.sh
        755 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/METADATA
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/WHEEL
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/INSTALLER
            |pip
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/REQUESTED
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/RECORD
            |demo-1.0.dist-info/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4␍
            |demo-1.0.dist-info/METADATA,sha256=NKonpgZPlYtBt4GiF_KQ_Qq1-WUeK25Kzas0G3uTwwU,46␍
            |demo-1.0.dist-info/RECORD,,␍
            |demo-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |demo-1.0.dist-info/WHEEL,sha256=JCVX9z8V-js2aV5qmQR2E3fiCs-Yu3vPO91cCBmO1JM,59␍
            |demo/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |demo/tool.sh,sha256=qAdtPSjSHgIBKyDq99v3VAmmJ3E0Q5Al8oLjaOMwWr8,10␍
    "#]],
    );
}

/// Debian and the official Python image have `/usr/local/man -> share/man`: a folder there would replace the link.
#[test]
fn what_leads_through_a_link_of_the_base_goes_behind_it() {
    let links = [("/opt/py/man/man1".to_owned(), "/opt/py/share/man/man1".to_owned())].into();
    check(
        &WheelFile::demo().file("demo-1.0.data/data/man/man1/demo.1", b"").file("demo-1.0.data/data/man/x", b""),
        &Layout { links, ..layout() },
        &["RECORD"],
        expect![[r#"
            755 opt/
            755 opt/py/
            755 opt/py/share/
            755 opt/py/share/man/
            755 opt/py/share/man/man1/
            644 opt/py/share/man/man1/demo.1
            755 opt/py/man/
            644 opt/py/man/x
            755 opt/py/lib/
            755 opt/py/lib/python3.9/
            755 opt/py/lib/python3.9/site-packages/
            755 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/
            644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/METADATA
            644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/WHEEL
            644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/INSTALLER
            644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/REQUESTED
            644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/RECORD
                |../../../man/man1/demo.1,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
                |../../../man/x,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
                |demo-1.0.dist-info/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4␍
                |demo-1.0.dist-info/METADATA,sha256=NKonpgZPlYtBt4GiF_KQ_Qq1-WUeK25Kzas0G3uTwwU,46␍
                |demo-1.0.dist-info/RECORD,,␍
                |demo-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
                |demo-1.0.dist-info/WHEEL,sha256=JCVX9z8V-js2aV5qmQR2E3fiCs-Yu3vPO91cCBmO1JM,59␍
        "#]],
    );
}

/// pip looks at the type bits too, and takes any of the three execute bits for all.
#[test]
fn only_what_is_marked_as_an_executable_regular_file_is_executable() {
    let wheel = WheelFile::demo()
        .file_with_mode("a", b"x", 0o755)
        .file_with_mode("b", b"x", REGULAR | 0o654)
        .file_with_mode("c", b"x", REGULAR | 0o444)
        .file_with_mode("link", b"/etc/passwd", 0o120_777);
    check(
        &wheel,
        &layout(),
        &["link"],
        expect![[r#"
        755 opt/
        755 opt/py/
        755 opt/py/lib/
        755 opt/py/lib/python3.9/
        755 opt/py/lib/python3.9/site-packages/
        644 opt/py/lib/python3.9/site-packages/a
        755 opt/py/lib/python3.9/site-packages/b
        644 opt/py/lib/python3.9/site-packages/c
        644 opt/py/lib/python3.9/site-packages/link
            |/etc/passwd
        755 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/METADATA
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/WHEEL
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/INSTALLER
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/REQUESTED
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/RECORD
    "#]],
    );
}

#[test]
fn every_scheme_has_its_folder() {
    let mut wheel = WheelFile::new("Demo.Kit", "1.0")
        .file("shared.py", b"from the root")
        .file("Demo.Kit-1.0.data/purelib/shared.py", b"from purelib")
        .file("Demo.Kit-1.0.data/purelib/pure.py", b"")
        .file("Demo.Kit-1.0.data/platlib/plat.so", b"")
        .file("Demo.Kit-1.0.data/headers/kit/a.h", b"")
        .file("Demo.Kit-1.0.data/data/etc/kit.conf", b"")
        .file("Demo.Kit-1.0.data/scripts/plain", b"#!/bin/sh\n");
    wheel.wheel = wheel.wheel.replace("true", "false");
    let debian = Layout {
        purelib: "/opt/py/lib/python3/dist-packages".to_owned(),
        platlib: "/opt/py/lib/python3.9/dist-packages".to_owned(),
        ..layout()
    };
    check(
        &wheel,
        &debian,
        &["shared.py", "RECORD"],
        expect![[r#"
        755 opt/
        755 opt/py/
        755 opt/py/lib/
        755 opt/py/lib/python3.9/
        755 opt/py/lib/python3.9/dist-packages/
        644 opt/py/lib/python3.9/dist-packages/shared.py
            |from the root
        755 opt/py/lib/python3/
        755 opt/py/lib/python3/dist-packages/
        644 opt/py/lib/python3/dist-packages/shared.py
            |from purelib
        644 opt/py/lib/python3/dist-packages/pure.py
        644 opt/py/lib/python3.9/dist-packages/plat.so
        755 opt/py/include/
        755 opt/py/include/python3.9/
        755 opt/py/include/python3.9/demo-kit/
        755 opt/py/include/python3.9/demo-kit/kit/
        644 opt/py/include/python3.9/demo-kit/kit/a.h
        755 opt/py/etc/
        644 opt/py/etc/kit.conf
        755 opt/py/bin/
        644 opt/py/bin/plain
        755 opt/py/lib/python3.9/dist-packages/Demo.Kit-1.0.dist-info/
        644 opt/py/lib/python3.9/dist-packages/Demo.Kit-1.0.dist-info/METADATA
        644 opt/py/lib/python3.9/dist-packages/Demo.Kit-1.0.dist-info/WHEEL
        644 opt/py/lib/python3.9/dist-packages/Demo.Kit-1.0.dist-info/INSTALLER
        644 opt/py/lib/python3.9/dist-packages/Demo.Kit-1.0.dist-info/REQUESTED
        644 opt/py/lib/python3.9/dist-packages/Demo.Kit-1.0.dist-info/RECORD
            |../../../bin/plain,sha256=qAdtPSjSHgIBKyDq99v3VAmmJ3E0Q5Al8oLjaOMwWr8,10␍
            |../../../etc/kit.conf,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |../../../include/python3.9/demo-kit/kit/a.h,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |../../python3/dist-packages/pure.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |../../python3/dist-packages/shared.py,sha256=s_OXd2M_dA8nzSN1LO6_pFC4MEBUHdEs-i_p5agH-04,12␍
            |Demo.Kit-1.0.dist-info/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4␍
            |Demo.Kit-1.0.dist-info/METADATA,sha256=63yqqtXBydzFsIJnmIVsbAbiM-hU9PaiGq5HImVblZ8,50␍
            |Demo.Kit-1.0.dist-info/RECORD,,␍
            |Demo.Kit-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |Demo.Kit-1.0.dist-info/WHEEL,sha256=YBGw2cJ70z9UARYLXJWZ8Xx0zPYQRJBbn04AvN6TXyI,60␍
            |plat.so,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |shared.py,sha256=1nPS1xaoebkU4YX8WjnNfQaE4YwXIJLuJa3d7mHieUQ,13␍
    "#]],
    );
}

#[test]
fn scripts_get_the_interpreter_of_the_target() {
    let wheel = WheelFile::demo()
        .file_with_mode("demo-1.0.data/scripts/py", b"#!python -u\nprint(1)\n", REGULAR | 0o755)
        .file("demo-1.0.data/scripts/other", b"#!/usr/bin/python\n");
    check(
        &wheel,
        &layout(),
        &["bin/py", "bin/other", "RECORD"],
        expect![[r#"
        755 opt/
        755 opt/py/
        755 opt/py/bin/
        755 opt/py/bin/py
            |#!/opt/py/bin/python3.9
            |print(1)
        644 opt/py/bin/other
            |#!/usr/bin/python
        755 opt/py/lib/
        755 opt/py/lib/python3.9/
        755 opt/py/lib/python3.9/site-packages/
        755 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/METADATA
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/WHEEL
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/INSTALLER
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/REQUESTED
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/RECORD
            |../../../bin/other,sha256=NitRv1rlYBoXQIqFoD-bnbxRWsQ36UJzjZdNncRaXYM,18␍
            |../../../bin/py,sha256=N3EnWlu-dx6jhWCUpNzGKl_iN1C7OUM2eVXfVA_xO1U,33␍
            |demo-1.0.dist-info/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4␍
            |demo-1.0.dist-info/METADATA,sha256=NKonpgZPlYtBt4GiF_KQ_Qq1-WUeK25Kzas0G3uTwwU,46␍
            |demo-1.0.dist-info/RECORD,,␍
            |demo-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |demo-1.0.dist-info/WHEEL,sha256=JCVX9z8V-js2aV5qmQR2E3fiCs-Yu3vPO91cCBmO1JM,59␍
    "#]],
    );
}

#[test]
fn commands_replace_what_setuptools_made_for_them() {
    let wheel = WheelFile::demo()
        .commands("[console_scripts]\ntool = demo.cli:Tool.main\n[gui_scripts]\nwin = demo:gui [extra]\n")
        .file("demo-1.0.data/scripts/tool", b"#!python\nsetuptools\n")
        .file("demo-1.0.data/scripts/win-script.py", b"#!python\nsetuptools\n")
        .file("demo-1.0.data/scripts/tool.EXE", b"MZ")
        .file("demo-1.0.data/scripts/tool2", b"#!/bin/sh\n");
    let layout = Layout { interpreter: "/opt/my py/bin/python".to_owned(), ..layout() };
    check(
        &wheel,
        &layout,
        &["bin/tool", "bin/win", "RECORD"],
        expect![[r#"
        755 opt/
        755 opt/py/
        755 opt/py/lib/
        755 opt/py/lib/python3.9/
        755 opt/py/lib/python3.9/site-packages/
        755 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/entry_points.txt
        755 opt/py/bin/
        644 opt/py/bin/tool2
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/METADATA
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/WHEEL
        755 opt/py/bin/tool
            |#!/bin/sh
            |'''exec' "/opt/my py/bin/python" "$0" "$@"
            |' '''
            |import sys
            |
            |from demo.cli import Tool
            |
            |if __name__ == "__main__":
            |    if sys.argv[0].endswith(".exe"):
            |        sys.argv[0] = sys.argv[0][:-4]
            |    sys.exit(Tool.main())
        755 opt/py/bin/win
            |#!/bin/sh
            |'''exec' "/opt/my py/bin/python" "$0" "$@"
            |' '''
            |import sys
            |
            |from demo import gui
            |
            |if __name__ == "__main__":
            |    if sys.argv[0].endswith(".exe"):
            |        sys.argv[0] = sys.argv[0][:-4]
            |    sys.exit(gui())
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/INSTALLER
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/REQUESTED
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/RECORD
            |../../../bin/tool,sha256=8yQBNEQ8zAv8dW-gwR25QJ81QAPy9r_rGVAWhCfAGy4,227␍
            |../../../bin/tool2,sha256=qAdtPSjSHgIBKyDq99v3VAmmJ3E0Q5Al8oLjaOMwWr8,10␍
            |../../../bin/win,sha256=K66pIvGLUJGPrkNUNF-dRFMlNo2PBN26DzkmLb6nYV8,216␍
            |demo-1.0.data/scripts/tool,sha256=RThYTd91qjVPmDZMbbukrR9Gyu4BkIE8mDJuVHFxSX4,20␍
            |demo-1.0.data/scripts/tool.EXE,sha256=m421EO9CuO1Uo3EmNv2lWk-M_NVJPiC3SrAM1POXny0,2␍
            |demo-1.0.data/scripts/win-script.py,sha256=RThYTd91qjVPmDZMbbukrR9Gyu4BkIE8mDJuVHFxSX4,20␍
            |demo-1.0.dist-info/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4␍
            |demo-1.0.dist-info/METADATA,sha256=NKonpgZPlYtBt4GiF_KQ_Qq1-WUeK25Kzas0G3uTwwU,46␍
            |demo-1.0.dist-info/RECORD,,␍
            |demo-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |demo-1.0.dist-info/WHEEL,sha256=JCVX9z8V-js2aV5qmQR2E3fiCs-Yu3vPO91cCBmO1JM,59␍
            |demo-1.0.dist-info/entry_points.txt,sha256=gOgawfKn1XpBZ-r-Cx_2gW0K7UzKXUbzovLQBB6UaQY,81␍
    "#]],
    );
}

#[test]
fn record_keeps_strange_rows_and_files() {
    let mut wheel = WheelFile::demo()
        .file("na,me \"q\".txt", b"q")
        .file("unlisted", b"u")
        .file("demo-1.0.dist-info/INSTALLER", b"conda\n")
        .file("über.txt", b"u");
    wheel.record = Some(
        "\"na,me \"\"q\"\".txt\",sha256=jjXCzTv2ZBvbDiBQt2kyy7LmA0oN2swdm-qCprpX988,1\ngone,,\n\
         über.txt,sha256=C_6TXnDDIcfKOvx1zg0MovmLVCLgCLsxwAxtfx8cCtY,1\n"
            .to_owned(),
    );
    check(
        &wheel,
        &layout(),
        &["RECORD", "INSTALLER"],
        expect![[r#"
        755 opt/
        755 opt/py/
        755 opt/py/lib/
        755 opt/py/lib/python3.9/
        755 opt/py/lib/python3.9/site-packages/
        644 opt/py/lib/python3.9/site-packages/na,me "q".txt
        644 opt/py/lib/python3.9/site-packages/unlisted
        644 opt/py/lib/python3.9/site-packages/über.txt
        755 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/METADATA
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/WHEEL
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/INSTALLER
            |pip
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/REQUESTED
        644 opt/py/lib/python3.9/site-packages/demo-1.0.dist-info/RECORD
            |demo-1.0.dist-info/INSTALLER,,␍
            |demo-1.0.dist-info/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4␍
            |demo-1.0.dist-info/METADATA,,␍
            |demo-1.0.dist-info/RECORD,,␍
            |demo-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0␍
            |demo-1.0.dist-info/WHEEL,,␍
            |gone,,␍
            |"na,me ""q"".txt",sha256=jjXCzTv2ZBvbDiBQt2kyy7LmA0oN2swdm-qCprpX988,1␍
            |unlisted,,␍
            |über.txt,sha256=C_6TXnDDIcfKOvx1zg0MovmLVCLgCLsxwAxtfx8cCtY,1␍
    "#]],
    );
}
