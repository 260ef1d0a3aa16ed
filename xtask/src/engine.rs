//! The container engines of this machine; CANN's installer, `--load` and `try` need one.

mod guard;
mod load;
mod probe;
mod way;

use std::{path::Path, process::Command};

use anyhow::anyhow;
use oci_image::Store;

pub use self::{guard::Guard, load::load, probe::probe, way::Way};

use crate::{args::Engine, report::WithHint};

/// The program that serves the choice: docker where its daemon answers, else podman.
pub fn program(choice: Engine) -> anyhow::Result<&'static str> {
    let answers = |program: &str| {
        // `version` of docker asks the daemon too; without one it fails.
        let asked = Command::new(program).args(["version", "--format", "{{.Server.Version}}"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let there =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    match choice {
        Engine::Docker if answers("docker") => Ok("docker"),
        Engine::Docker => Err(anyhow!("docker does not answer"))
            .hint("start its daemon (`systemctl start docker`) or choose `--engine podman`"),
        Engine::Podman if there("podman") => Ok("podman"),
        Engine::Podman => Err(anyhow!("podman is not installed")).hint("install podman or choose `--engine docker`"),
        Engine::Auto if answers("docker") => Ok("docker"),
        Engine::Auto if there("podman") => Ok("podman"),
        Engine::Auto => Err(anyhow!("neither a docker daemon answers nor is podman installed"))
            .hint("install podman or docker; `--load` can be replaced by `--output docker-archive:FILE`, CANN's installer has to be run"),
    }
}

/// A short name of the store, for labels and containers: runs with other stores are none of ours.
pub fn here(store: &Store) -> String {
    crate::scripts::digest(store.root().as_os_str().as_encoded_bytes()).hex()[..12].to_owned()
}

/// Removes containers with a label: those of runs whose guard was killed too. A lock is to be held, so that none of them is
/// in use.
pub fn remove_leftovers(program: &str, label: &str) {
    let filter = format!("label={label}");
    let Ok(listed) = Command::new(program).args(["ps", "--all", "--quiet", "--filter", &filter]).output() else {
        return;
    };
    for id in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
        // What can't be removed is in nobody's way: each run's container has a name of its own.
        let _ = Command::new(program).args(["rm", "--force", "--volumes", id]).output();
    }
}

/// The value of `--mount` for a folder of the host. Fields are those of CSV for both engines: one with a comma or a quote
/// in it is quoted.
pub fn mount(source: &Path, target: &str, read_only: bool) -> String {
    let source = format!("source={}", source.display());
    let source = if source.contains([',', '"']) { format!("\"{}\"", source.replace('"', "\"\"")) } else { source };
    format!("type=bind,{source},target={target}{}", if read_only { ",readonly" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_comma_is_one_field() {
        assert_eq!(mount(Path::new("/pkg"), "/p", true), "type=bind,source=/pkg,target=/p,readonly");
        assert_eq!(mount(Path::new("/a,\"b"), "/p", false), "type=bind,\"source=/a,\"\"b\",target=/p");
    }
}
