//! Certificates for one run, made by openssl.

use std::path::Path;

use super::Log;

/// A key `NAME-key.pem` and its certificate `NAME.pem` in a folder, unless they are there. It signs itself, and other
/// certificates too, where the options of `openssl req` do not say otherwise.
pub fn certificate(log: &Log, folder: &Path, name: &str, options: &str) -> anyhow::Result<()> {
    if folder.join(format!("{name}.pem")).exists() {
        return Ok(());
    }
    let make = log.command("openssl").dir(folder).words("req -x509 -newkey rsa:2048 -nodes -days 2");
    let make = make.words(&format!("-subj /CN={name} -out {name}.pem -keyout {name}-key.pem {options}"));
    make.run().map(drop)
}
