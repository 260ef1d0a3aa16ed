//! An archive of packages: the indexes of a release, checked by its signature.

use std::{fs, io, io::Read as _, process::Command};

use anyhow::{Context, anyhow};
use debian_package::XzReader;
use oci_image::{Descriptor, Digest};
use registry::{Cause, FileServer};

use super::{
    Release, Vendor,
    mirror::{self, Mirrors, Servers},
};
use crate::terminal::{
    progress::Progress,
    report::{self, WithHint},
};

/// 16 MiB: a release's list of indexes has 150 KB.
const RELEASE_LIMIT: u64 = 16 << 20;

/// What a signed release begins with (RFC 9580, section 7).
const SIGNED: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";

/// 256 MiB: the index of a release, unpacked, has 60 MB.
const INDEX_LIMIT: u64 = 256 << 20;

/// The indexes of an archive, each the text of a `Packages` file, newest updates last.
#[derive(Debug, Clone, Default)]
pub struct Archive(pub Vec<String>);

impl Archive {
    /// Reads the release's packages for arm64, with its updates. Says so where a mirror has no updates.
    pub fn read(
        release: &Release,
        mirrors: &Mirrors,
        keyring: Option<&[u8]>,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let Release { vendor, codename } = release;
        let updates = format!("{codename}-updates");
        let security = format!("{codename}-security");
        let of_security = match vendor {
            Vendor::Debian => mirrors.security.as_ref(),
            Vendor::Ubuntu => Some(&mirrors.main),
        };
        let suites = [(Some(&mirrors.main), codename), (Some(&mirrors.main), &updates), (of_security, &security)];
        progress.line(&format!("reading the index of {} from {}", release.name(), mirrors.main[0]));
        let step = progress.step("reading the index of packages");
        let mut texts = Vec::new();
        for (servers, suite) in suites {
            let read = servers.map(|servers| suite_of(servers, suite, vendor.components(), keyring));
            match read {
                Some(Ok(read)) => texts.extend(read),
                Some(Err(error)) if suite == codename || !mirror::is_missing(&error) => {
                    return Err(mirror::hinted(error, &mirrors.main[0], &mirrors.another));
                }
                _ => progress.line(&format!("note: {} has no `{suite}`, whose updates are left out", mirrors.main[0])),
            }
        }
        drop(step);
        Ok(Self(texts))
    }
}

/// The indexes of one suite, from the first server that has it.
fn suite_of(
    servers: &Servers,
    suite: &str,
    components: &[&str],
    keyring: Option<&[u8]>,
) -> anyhow::Result<Vec<String>> {
    let all = |server: &FileServer| -> anyhow::Result<Vec<String>> {
        let release = release(server, suite, keyring)?;
        components.iter().map(|component| index(server, suite, component, &release)).collect()
    };
    let [mirror, old] = servers;
    match all(mirror) {
        Err(error) if mirror::is_missing(&error) => all(old).map_err(|of_old| match mirror::cause(&of_old) {
            // A mirror that lacks the suite is the trouble, not the archive that can't be reached either.
            Some(_) => error,
            None => of_old,
        }),
        other => other,
    }
}

/// The release's list of indexes, whose signature is checked.
pub fn release(server: &FileServer, suite: &str, keyring: Option<&[u8]>) -> anyhow::Result<String> {
    let path = format!("dists/{suite}/InRelease");
    let signed = server.unchecked(&path, RELEASE_LIMIT)?;
    if !signed.starts_with(SIGNED) {
        return Err(Cause::Protocol(server.to_string(), format!("its `{path}` is not a signed release")).into());
    }
    verified(&signed, keyring, server.to_string().starts_with("https://"))
        .with_context(|| format!("the release `{suite}` of {server} can't be trusted"))
}

/// An index of the release, whose digest is checked.
pub fn index(server: &FileServer, suite: &str, component: &str, release: &str) -> anyhow::Result<String> {
    let name = format!("{component}/binary-arm64/Packages.xz");
    let (digest, size) =
        listed(release, &name).with_context(|| format!("the release `{suite}` of {server} lists no `{name}`"))?;
    let wanted = Descriptor { media_type: "application/x-xz".to_owned(), digest, size, urls: Vec::new() };
    // Whole before it is unpacked: of a damaged file the digest is told, and not what xz makes of it.
    let mut packed = Vec::new();
    let downloaded = server.file(&format!("dists/{suite}/{name}"), &wanted)?.read_to_end(&mut packed);
    downloaded.with_context(|| format!("failed to download `{name}` of {server}"))?;
    let mut text = String::new();
    let unpacked = XzReader::new(&packed[..], true).take(INDEX_LIMIT).read_to_string(&mut text);
    unpacked.with_context(|| format!("failed to read `{name}` of {server}"))?;
    Ok(text)
}

/// The text that one of these keys has signed, as gpgv says. A server with a certificate is believed where there is no
/// gpgv or no key, as package indexes of other kinds are.
fn verified(signed: &[u8], keyring: Option<&[u8]>, has_certificate: bool) -> anyhow::Result<String> {
    let unsigned = |why: &str| match has_certificate {
        true => Ok(String::from_utf8_lossy(signed).into_owned()),
        false => Err(anyhow!("its signature can't be checked: {why}"))
            .hint("install gpgv and the keyring of the release, or use a mirror over `https://`: `system.mirror`"),
    };
    let Some(keyring) = keyring else { return unsigned("neither the base nor this machine has its keys") };
    let folder = tempfile::tempdir().context("failed to create a temporary folder")?;
    let [keys, file, text] = ["keys.gpg", "InRelease", "Release"].map(|name| folder.path().join(name));
    let write = |path, bytes| fs::write(path, bytes).context("failed to write a temporary file");
    write(&keys, keyring)?;
    write(&file, signed)?;
    let output = Command::new("gpgv").arg("--keyring").arg(&keys).arg("--output").args([&text, &file]).output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return unsigned("this machine has no `gpgv`"),
        output => output.context("failed to run gpgv")?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(anyhow!("gpgv: {}", report::printable(said.trim_end()))).hint(
            "the mirror's copy may be damaged, or the base may be older than the keys of the release: name another \
             mirror in `system.mirror` of the recipe, or use a newer base",
        );
    }
    fs::read_to_string(&text).context("gpgv wrote no text")
}

/// SHA-256 and length of a file in a release's list.
fn listed(release: &str, name: &str) -> Option<(Digest, u64)> {
    let mut lines =
        release.lines().skip_while(|line| *line != "SHA256:").skip(1).take_while(|line| line.starts_with(' '));
    lines.find_map(|line| {
        let mut fields = line.split_whitespace();
        let (digest, size, path) = (fields.next()?, fields.next()?, fields.next()?);
        (path == name).then_some((format!("sha256:{digest}").parse().ok()?, size.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use registry::{CredentialSource, Proxies, RegistryOptions, Retry};
    use registry_fake::{FakeRegistry, Fault, What};

    use super::*;

    fn server(host: &str) -> FileServer {
        let retry = Retry { sleep: Arc::new(|_| {}), ..Retry::default() };
        let (credentials, proxies) = (CredentialSource::Anonymous, Proxies::default());
        let options = RegistryOptions { credentials, proxies, retry, ..RegistryOptions::default() };
        FileServer::new(&format!("http://{host}/debian"), options).unwrap()
    }

    /// A mirror that answers every request so.
    fn mirror(status: u16, body: &str) -> FakeRegistry {
        let mirror = FakeRegistry::start();
        let answer = What::Answer { status, headers: Vec::new(), body: body.to_owned() };
        mirror.plan(Fault::on("GET", "/debian/", answer).always());
        mirror
    }

    #[test]
    fn a_mirror_without_updates_is_told_where_the_archive_of_old_releases_is_out_of_reach() {
        let mirror = mirror(404, "");
        let gone = FakeRegistry::start().host();
        let servers = [server(&mirror.host()), server(&gone)];
        let error = suite_of(&servers, "bookworm-updates", &["main"], None).unwrap_err();
        assert!(mirror::is_missing(&error), "{}", report::render(&error));
    }

    /// The page of a network that wants a sign-in, and a file that has been damaged.
    #[test]
    fn something_else_than_an_index_has_the_hint_that_a_package_has() {
        let mirror = mirror(200, "<html>Please sign in</html>");
        let server = server(&mirror.host());
        let listed = format!("SHA256:\n {} 27 main/binary-arm64/Packages.xz\n", "0".repeat(64));
        let release = release(&server, "bookworm", None).unwrap_err();
        let index = index(&server, "bookworm", "main", &listed).unwrap_err();
        for error in [release, index] {
            let said = report::render(&mirror::hinted(error, &server, "name another"));
            assert!(said.contains("\nhint: something answers in place of"), "{said}");
        }
    }

    #[test]
    fn a_file_of_a_release_is_found_by_its_digest() {
        let release = "Origin: Debian\nMD5Sum:\n d41d 0 main/x\nSHA256:\n \
            bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  12 main/x\n short 1 main/y\nOther: z\n";
        let (digest, size) = listed(release, "main/x").unwrap();
        assert_eq!((digest.hex(), size), ("b".repeat(64), 12));
        assert_eq!(listed(release, "main/y"), None);
        assert_eq!(listed(release, "main/z"), None);
    }

    #[test]
    fn a_release_that_nobody_signed_is_refused() {
        let text = b"Origin: Debian\nSHA256:\n";
        // Without gpgv this fails too: over plain HTTP nothing unsigned is ever believed.
        assert!(verified(text, Some(b"no keys"), false).is_err());
        assert!(verified(text, None, false).is_err());
        assert_eq!(verified(text, None, true).unwrap().as_bytes(), text);
    }
}
