//! What stands for CANN's installer: a real archive of Debian's makeself that installs a small tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use wheel_fake::FakeWheel;

use super::{
    Log,
    files::{data, read, script, write},
};

pub const CANN: &str = "5.1.RC2";

/// makeself refuses flags that it does not know; CANN's archives hand them on.
const REFUSAL: &str = "    -*)\n\techo Unrecognized flag : \"\\$1\" >&2\n\tMS_Help\n\texit 1\n\t;;\n";

/// Where Debian's package has the script that archives begin with.
const HEADER: &str = "/usr/share/makeself/makeself-header.sh";

/// Makes `Ascend-cann-toolkit_<version>_linux-aarch64.run` in a folder.
pub fn cann_fake(log: &Log, folder: &Path) -> anyhow::Result<PathBuf> {
    cann_fake_with(log, folder, "")
}

/// The same, which does this, too, when all else is installed; `$kit` is where.
pub fn cann_fake_with(log: &Log, folder: &Path, more: &str) -> anyhow::Result<PathBuf> {
    let file = format!("Ascend-cann-toolkit_{CANN}_linux-aarch64.run");
    cann_fake_of(log, folder, &file, &(stand_in("cann_fake.sh")?.replace("@VERSION@", CANN) + more))
}

/// What a stand-in does, which reads its flags as all of them do.
fn stand_in(name: &str) -> anyhow::Result<String> {
    Ok(read(&data(name))?.replace("@FLAGS@\n", &read(&data("cann_flags.sh"))?))
}

/// Makes a package of CANN 8 or later.
pub fn cann_package(log: &Log, folder: &Path, file: &str, parts: [&str; 4]) -> anyhow::Result<PathBuf> {
    cann_fake_of(log, folder, file, &cann_package_script(parts)?)
}

/// What such a package does: one of `toolkit`, `ops` and `nnal`; version; chip of operators; a text in one of its files.
pub fn cann_package_script(parts: [&str; 4]) -> anyhow::Result<String> {
    let text = stand_in("cann_packages.sh")?;
    let names = ["@KIND@", "@VERSION@", "@CHIP@", "@TEXT@"];
    Ok(names.iter().zip(parts).fold(text, |text, (name, part)| text.replace(name, part)))
}

/// Makes a package that does as this script says, with the sums that makeself makes by itself and SHA-256; a wheel `te`
/// is in it.
pub fn cann_fake_of(log: &Log, folder: &Path, file: &str, install: &str) -> anyhow::Result<PathBuf> {
    let content = folder.join("cann-content");
    script(&content.join("install.sh"), install)?;
    FakeWheel::new("te").write(&content)?;

    let header = read(Path::new(HEADER))?;
    ensure!(header.contains(REFUSAL), "`{HEADER}` is of another makeself than 2.4");
    let own_header = folder.join("header.sh");
    write(&own_header, header.replace(REFUSAL, "    -*)\n\tbreak ;;\n"))?;

    let file = folder.join(file);
    let makeself = log.command("makeself").words("--quiet --sha256 --keep-umask --header");
    let makeself = makeself.args([&own_header, &content, &file]).args(["a stand-in for CANN", "./install.sh"]);
    makeself.run()?;
    let removed = fs::remove_dir_all(&content).and_then(|()| fs::remove_file(&own_header));
    removed.with_context(|| format!("failed to clear up in `{}`", folder.display()))?;
    Ok(file)
}
