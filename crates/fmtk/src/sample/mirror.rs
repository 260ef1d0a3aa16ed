//! Where this machine has Debian's packages from: apt itself is asked, so every way of writing its sources is honoured.

use std::{fs, path::Path, process::Command};

/// Names a mirror of Debian's packages where apt has none, as on Debian's descendants.
pub const MIRROR_VARIABLE: &str = "FMTK_DEBIAN_MIRROR";

/// Keys that signed the release the sample is made from.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The address of a mirror that has Debian's main suites: `FMTK_DEBIAN_MIRROR`, else the one apt uses.
pub fn find() -> Option<String> {
    if let Some(mirror) = std::env::var(MIRROR_VARIABLE).ok().filter(|mirror| !mirror.is_empty()) {
        return Some(mirror);
    }
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    choose(&String::from_utf8_lossy(&output.stdout), &os_release)
}

/// Of apt's lines `URI RELEASE COMPONENT`, the URI of the main suite of this very Debian.
fn choose(targets: &str, os_release: &str) -> Option<String> {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches('"').to_owned())
    };
    // Descendants keep their own archives, which do not have Debian's releases.
    if value("ID").as_deref() != Some("debian") {
        return None;
    }
    let codename = value("VERSION_CODENAME");
    let suites = ["stable", "testing", "unstable", "sid"];
    let mut lines = targets.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    lines
        .find(|(_, release, component)| {
            *component == "main" && (Some(*release) == codename.as_deref() || suites.contains(release))
        })
        .map(|(uri, ..)| uri.to_owned())
}

/// apt's own proxy and TLS settings as a configuration file's text: mmdebstrap's apt does not read the machine's.
pub fn transport_settings() -> String {
    let output = Command::new("apt-config").args(["dump", "Acquire"]).output();
    let dump = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    transport_lines(&dump)
}

fn transport_lines(dump: &str) -> String {
    let wanted = |line: &&str| {
        let key = line.split_whitespace().next().unwrap_or_default();
        let mut parts = key.split("::").skip(1);
        matches!(parts.next(), Some("http" | "https" | "ftp")) && parts.next().is_some()
    };
    dump.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
}

/// One line of a sources list: `suite` of `mirror`, checked by Debian's keys where they are installed.
pub fn source_line(mirror: &str, suite: &str) -> String {
    if Path::new(KEYRING).exists() {
        format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n")
    } else {
        format!("deb {mirror} {suite} main\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "ID=debian\nVERSION_CODENAME=bookworm\n";

    #[test]
    fn the_mirror_is_that_of_the_main_suite() {
        let targets = "http://sec.example/debian-security/ bookworm-security main\n\
            http://docs.example/apt cloud main\n\
            http://mirror.example/debian/ bookworm-updates main\n\
            http://mirror.example/debian/ bookworm contrib\n\
            http://near.example/debian/ bookworm main\n";
        assert_eq!(choose(targets, DEBIAN).as_deref(), Some("http://near.example/debian/"));
        assert_eq!(choose("http://a.example/debian stable main", DEBIAN).as_deref(), Some("http://a.example/debian"));
    }

    #[test]
    fn a_descendant_of_debian_has_no_mirror_of_debian() {
        let targets = "http://mirror.example/ubuntu jammy main\n";
        assert_eq!(choose(targets, "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=jammy\n"), None);
        assert_eq!(choose("", DEBIAN), None);
        assert_eq!(choose("one-field\n", DEBIAN), None);
    }

    #[test]
    fn only_settings_of_the_transport_are_taken() {
        let dump = "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p.example:3128\";\n\
            Acquire::https::CAInfo \"/x.pem\";\nAcquire::Languages:: \"none\";\n";
        assert_eq!(
            transport_lines(dump),
            "Acquire::http::Proxy \"http://p.example:3128\";\nAcquire::https::CAInfo \"/x.pem\";\n"
        );
    }
}
