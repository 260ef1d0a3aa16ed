//! Whose certificates are believed: the system's authorities, docker's per registry, and those the user names.

use std::{
    env, error,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

/// Where systems keep the authorities they trust, all in one file: Debian, Fedora and EulerOS (two generations), SUSE,
/// Alpine.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Folders with a folder for each registry, in it `*.crt`: docker's and podman's.
const PER_REGISTRY: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// 16 MiB: sixty times a system's bundle.
const LIMIT: u64 = 16 << 20;

/// A file of certificates that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to read certificates from `{path}`: {reason}")]
pub struct CaFileError {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
}

/// Whether this file can be one of [`crate::RegistryOptions::ca_files`]: it is there and has certificates, PEM. A pipe
/// is none, since each connection reads it anew.
pub fn check_ca_file(path: &Path) -> Result<(), CaFileError> {
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        let reason = "it is not a regular file, and would be read more than once".to_owned();
        return Err(CaFileError { path: path.to_owned(), reason });
    }
    read(path, &mut Vec::new())
}

/// Believes in authorities, and in a server's own certificate where that very one was named: a self-signed one that is
/// marked as an authority itself, as `openssl req -x509` makes it, is no server's certificate to others. Docker takes it
/// from `certs.d`, so we do.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// Without them everything is believed, for registries that the user has called insecure.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    named: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(crate) fn of_anything() -> Self {
        Self { authorities: None, named: Vec::new() }
    }

    /// For a registry host: `SSL_CERT_FILE` or the system's, what docker and podman have for this host, and `extra`.
    pub(crate) fn find(host: &str, extra: &[PathBuf]) -> Result<Self, Box<dyn error::Error + Send + Sync>> {
        let set = env::var_os("SSL_CERT_FILE").filter(|value| !value.is_empty()).map(PathBuf::from);
        let (mut system, mut named) = (Vec::new(), Vec::new());
        if let Some(path) = set.or_else(|| SYSTEM.iter().map(PathBuf::from).find(|path| path.is_file())) {
            read(&path, &mut system)?;
        }
        for folder in PER_REGISTRY {
            read_folder(&Path::new(folder).join(host), &mut named)?;
        }
        for path in extra {
            read(path, &mut named)?;
        }
        let mut roots = RootCertStore::empty();
        if system.is_empty() {
            // A system without any: Mozilla's list.
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        // Bundles hold a few certificates that only other libraries understand.
        roots.add_parsable_certificates(system.into_iter().chain(named.iter().cloned()));
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build()?;
        Ok(Self { authorities: Some(authorities), named })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        let verified = authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // `Other` is how "an authority where a server's certificate is expected" is told.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if self.named.iter().any(|named| named == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.authorities {
            Some(authorities) => authorities.verify_tls12_signature(message, certificate, signature),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.authorities {
            Some(authorities) => authorities.verify_tls13_signature(message, certificate, signature),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Reads all `*.crt` of a folder, which need not be there.
fn read_folder(folder: &Path, found: &mut Vec<CertificateDer<'static>>) -> Result<(), CaFileError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
    paths.sort();
    paths.iter().try_for_each(|path| read(path, found))
}

fn read(path: &Path, found: &mut Vec<CertificateDer<'static>>) -> Result<(), CaFileError> {
    let fail = |reason: String| CaFileError { path: path.to_owned(), reason };
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LIMIT).read_to_end(&mut pem))
        .map_err(|error| fail(error.to_string()))?;
    let before = found.len();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        found.push(certificate.map_err(|error| fail(error.to_string()))?);
    }
    if found.len() == before {
        return Err(fail("there is no PEM certificate in it".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_of_a_registry_are_every_crt_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = || rcgen::generate_simple_self_signed(vec!["r".to_owned()]).unwrap().cert.pem();
        fs::write(folder.path().join("a.crt"), certificate() + &certificate()).unwrap();
        fs::write(folder.path().join("b.crt"), certificate()).unwrap();
        fs::write(folder.path().join("client.cert"), "not for us").unwrap();
        let mut found = Vec::new();
        read_folder(folder.path(), &mut found).unwrap();
        assert_eq!(found.len(), 3);
        read_folder(&folder.path().join("absent"), &mut found).unwrap();
        fs::write(folder.path().join("c.crt"), "nothing").unwrap();
        let error = read_folder(folder.path(), &mut found).unwrap_err().to_string();
        assert!(error.ends_with("c.crt`: there is no PEM certificate in it"), "{error}");
    }
}
