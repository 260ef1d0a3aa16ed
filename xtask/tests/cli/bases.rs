//! Bases as people have them, each a few files of a layout: where these lie is what tells them apart.

use std::path::Path;

use oci_image::{ConfigEdits, TreeEntry, TreeKind};

use crate::layout::{entry, file, write};

/// A program for aarch64, which is enough of a Python.
pub fn python() -> Vec<u8> {
    let mut python = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0".to_vec();
    python.resize(80, 0);
    python
}

fn dir(path: &str) -> TreeEntry {
    entry(path, TreeKind::Dir)
}

fn system(os_release: &str, glibc: &str, libc: &str, users: &str, groups: &str) -> Vec<TreeEntry> {
    let libc_text = format!("\x7fELF GNU C Library stable release version {glibc}.\n");
    let users = format!("root:x:0:0:root:/root:/bin/bash\n{users}");
    let groups = format!("root:x:0:\nusers:x:100:\n{groups}");
    vec![
        file("etc/os-release", os_release.as_bytes()),
        file("etc/passwd", users.as_bytes()),
        file("etc/group", groups.as_bytes()),
        file(libc, libc_text.as_bytes()),
    ]
}

fn distribution(site: &str, name: &str, version: &str) -> Vec<TreeEntry> {
    let info = format!("{site}/{name}-{version}.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    vec![file(&format!("{info}/METADATA"), metadata.as_bytes()), file(&format!("{info}/RECORD"), b"")]
}

/// Writes a base into the layout of its name; `env` are variables of its config.
pub fn made(folder: &Path, name: &str) {
    let (mut entries, env): (Vec<TreeEntry>, &[(&str, &str)]) = match name {
        // Python of the system alone, and no CANN.
        "debian" => {
            let mut entries =
                system("ID=debian\nVERSION_ID=\"12\"\n", "2.36", "usr/lib/aarch64-linux-gnu/libc.so.6", "", "");
            entries.extend([
                file("usr/bin/python3.11", &python()),
                entry("usr/bin/python3", TreeKind::Symlink("python3.11".to_owned())),
                dir("usr/lib/python3/dist-packages"),
                dir("usr/lib/python3.11"),
            ]);
            (entries, &[("PATH", "/usr/local/bin:/usr/bin:/bin")])
        }
        // `lib64`, and user id 1000 taken by somebody of another group.
        "openeuler" => {
            let (users, groups) = ("openeuler:x:1000:1000::/home/openeuler:/bin/bash\n", "HwHiAiUser:x:1001:\n");
            let release = "ID=\"openEuler\"\nVERSION_ID=\"24.03\"\n";
            let mut entries = system(release, "2.38", "usr/lib64/libc.so.6", users, groups);
            entries.extend([
                file("usr/bin/python3.11", &python()),
                entry("usr/bin/python3", TreeKind::Symlink("python3.11".to_owned())),
                dir("usr/lib/python3.11/site-packages"),
                dir("usr/lib64/python3.11/site-packages"),
            ]);
            (entries, &[("PATH", "/usr/bin:/bin")])
        }
        // Like quay.io/ascend/cann: root alone, Python built from source, CANN as files, variables by the entry point.
        "cann-8.3" | "cann-8.2" | "cann-7.0" => {
            let (cann, version) = match name {
                "cann-8.3" => ("8.3.RC1", "3.11"),
                "cann-8.2" => ("8.2.RC1", "3.11"),
                _ => ("7.0.0", "3.8"),
            };
            let mut entries = system("ID=ubuntu\nVERSION_ID=\"22.04\"\n", "2.35", "lib/libc.so.6", "", "");
            entries.extend([
                file(&format!("usr/local/python{version}.10/bin/python{version}"), &python()),
                dir(&format!("usr/local/python{version}.10/lib/python{version}/site-packages")),
                dir(&format!("usr/local/Ascend/ascend-toolkit/{cann}/opp")),
                file("usr/local/Ascend/ascend-toolkit/set_env.sh", b"export ASCEND_HOME_PATH=/usr/local/Ascend\n"),
            ]);
            match version {
                "3.8" => (entries, &[("PATH", "/usr/local/python3.8.10/bin:/usr/bin:/bin")]),
                _ => (entries, &[("PATH", "/usr/local/python3.11.10/bin:/usr/bin:/bin")]),
            }
        }
        // Like ModelArts': conda, its user, PyTorch installed, CANN's variables in the config.
        "conda" => {
            let prefix = "home/ma-user/anaconda3/envs/PyTorch-2.7.1";
            let site = format!("{prefix}/lib/python3.11/site-packages");
            let users = "ma-user:x:1000:100::/home/ma-user:/bin/bash\n";
            let mut entries = system("ID=hce\nVERSION_ID=\"2.0\"\n", "2.34", "usr/lib64/libc.so.6", users, "");
            entries.extend([
                file(&format!("{prefix}/bin/python3.11"), &python()),
                file(&format!("{prefix}/conda-meta/history"), b""),
                file("home/ma-user/anaconda3/bin/python3.10", &python()),
                file("home/ma-user/anaconda3/conda-meta/history", b""),
                dir("home/ma-user/anaconda3/lib/python3.10/site-packages"),
                dir("usr/local/Ascend/cann-8.3.RC1"),
                entry("usr/local/Ascend/cann", TreeKind::Symlink("cann-8.3.RC1".to_owned())),
            ]);
            let there = [("torch", "2.7.1+cpu"), ("torch_npu", "2.7.1"), ("numpy", "1.26.4"), ("pyyaml", "6.0.2")];
            entries.extend(there.iter().flat_map(|(name, version)| distribution(&site, name, version)));
            let env = &[("PATH", "/usr/bin:/bin"), ("ASCEND_HOME_PATH", "/usr/local/Ascend/cann")];
            (entries, env)
        }
        // Nothing of it can be told: no Python, no glibc, no os-release, a CANN without a version.
        "bare" => (
            vec![dir("usr/local/Ascend/ascend-toolkit/latest"), file("etc/passwd", b"root:x:0:0::/root:/bin/sh\n")],
            &[],
        ),
        _ => panic!("no base is called `{name}`"),
    };
    // As every system has them.
    entries.extend(["home", "opt", "tmp", "root"].map(dir));
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    write(folder, name, vec![("all", entries)], ConfigEdits { env, ..ConfigEdits::default() });
}
