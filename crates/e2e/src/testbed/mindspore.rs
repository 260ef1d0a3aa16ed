//! PyPI's MindSpore for this machine, which computes on the CPU: a real framework for real ranks.

use std::path::PathBuf;

use fmtk::resolve::place;

use super::{Log, files};

/// Starts from its scheduler, as all from 2.3 on; it wants the older NumPy.
const REQUIREMENTS: [&str; 2] = ["mindspore==2.7.1", "numpy<2"];

/// The programs of a virtual environment with it, `python` and `msrun` among them. It is made once, in `target`: 400 MB are
/// downloaded, and 1.2 GB are on the disk.
pub fn mindspore(log: &Log) -> anyhow::Result<PathBuf> {
    let folder = place::workspace().join("target/mindspore-2.7.1");
    let (programs, ready) = (folder.join("bin"), folder.join("ready"));
    if ready.is_file() {
        return Ok(programs);
    }
    log.command("python3").words("-m venv --clear").arg(&folder).run()?;
    let pip = log.command(programs.join("python")).words("-m pip install --quiet --only-binary=:all:");
    // What is imported gets its bytecode here, and the rest, which takes half a minute, needs none.
    pip.arg("--no-compile").args(REQUIREMENTS).run()?;
    log.command(programs.join("python")).args(["-c", "import mindspore"]).run()?;
    files::write(&ready, "")?;
    Ok(programs)
}
