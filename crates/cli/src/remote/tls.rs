//! TLS for nodes behind `https://`: which certificates are trusted, and what is wrong with one that is not.
//!
//! Trusted is what the system trusts. Whoever has an authority of their own adds it there, or names it in
//! `SSL_CERT_FILE` as for other programs.

use std::sync::Arc;

use anyhow::ensure;
use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The certificates that the system trusts.
///
/// # Errors
/// Where it trusts nobody.
pub(super) fn trusted() -> anyhow::Result<Vec<Certificate<'static>>> {
    let found = rustls_native_certs::load_native_certs();
    let mut reasons = found.errors.iter().map(|error| format!(": {error}"));
    ensure!(
        !found.certs.is_empty(),
        "no certificates are trusted on this system{}; install them (ca-certificates), or name a file of them in \
         SSL_CERT_FILE",
        reasons.next().unwrap_or_default()
    );
    Ok(found.certs.iter().map(|found| Certificate::from_der(found).to_owned()).collect())
}

/// How connections are made secret where these are trusted.
pub(super) fn config(trusted: Vec<Certificate<'static>>) -> TlsConfig {
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build()
}

/// What to do about a fault.
pub(super) const fn advice(fault: &rustls::Error) -> &'static str {
    match fault {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            ": add its authority to those that the system trusts, or name it in SSL_CERT_FILE"
        }
        _ => "",
    }
}

/// What is wrong with TLS, if that is what `error` is about: asking again is of no use then.
pub(super) fn fault(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(fault) => Some(fault),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}
