//! What stands for CANN's installer: a real archive of Debian's makeself that installs a small tree.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use wheel_double::WheelDouble;

use super::Log;

/// The installer's own words.
const SCRIPT: &str = include_str!("cann_double.sh");
/// makeself refuses flags that it does not know; CANN's archives hand them on.
const REFUSAL: &str = "    -*)\n\techo Unrecognized flag : \"\\$1\" >&2\n\tMS_Help\n\texit 1\n\t;;\n";

/// Where Debian's package has the script that archives begin with.
const HEADER: &str = "/usr/share/makeself/makeself-header.sh";

/// Makes `Ascend-cann-toolkit_<version>_linux-aarch64.run` in a folder, with the sums that makeself makes by itself and
/// SHA-256; a wheel `te` is in it.
pub fn cann_double(log: &Log, folder: &Path, version: &str) -> anyhow::Result<PathBuf> {
    let content = folder.join("cann-content");
    let failed = || format!("failed to write `{}`", content.display());
    fs::create_dir_all(&content).with_context(failed)?;
    let script = content.join("install.sh");
    fs::write(&script, SCRIPT.replace("@VERSION@", version)).with_context(failed)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).with_context(failed)?;
    WheelDouble::new("te").write(&content)?;

    let header = fs::read_to_string(HEADER).with_context(|| format!("failed to read `{HEADER}`"))?;
    ensure!(header.contains(REFUSAL), "`{HEADER}` is of another makeself than 2.4");
    let own_header = folder.join("header.sh");
    fs::write(&own_header, header.replace(REFUSAL, "    -*)\n\tbreak ;;\n")).with_context(failed)?;

    let file = folder.join(format!("Ascend-cann-toolkit_{version}_linux-aarch64.run"));
    log.command("makeself")
        .args(["--quiet", "--sha256", "--keep-umask", "--header"])
        .args([own_header.as_path(), content.as_path(), file.as_path()])
        .args(["a stand-in for CANN", "./install.sh"])
        .run()?;
    fs::remove_dir_all(&content).with_context(failed)?;
    fs::remove_file(&own_header).with_context(failed)?;
    Ok(file)
}
