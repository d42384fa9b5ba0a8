//! Nodes behind `https://`, and whose certificates are believed.

use std::{fs, path::Path, sync::Arc};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::TempDir;

use crate::{json, mock::Mock, sample::Sample, served::Served, stderr, warpline};

const NUMBER: &str = "15600001";

/// A node with a certificate for `host`, which is written to `file`.
fn node_of(host: &str, file: &Path) -> Mock {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, host);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(file, certificate.pem()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Mock::secure(Served::sample(&Sample::of_mainnet()), Arc::new(tls))
}

fn replay(mock: &Mock, trusted: &Path) -> assert_cmd::Command {
    let mut command = warpline();
    command.args(["replay", "--rpc", &mock.url, "--blocks", NUMBER, "--no-cache", "--json", "-"]);
    command.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
    command
}

#[test]
fn a_node_whose_certificate_is_trusted_is_asked() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("own.pem");
    let mock = node_of("127.0.0.1", &file);
    let report = json(&replay(&mock, &file).assert().code(0));
    assert_eq!(report["blocks"][0]["proof"], "state-root", "{report}");
    let source = report["blocks"][0]["source"].as_str().unwrap();
    assert!(source.starts_with("https://127.0.0.1:") && !source.contains("secret"), "{source}");
}

/// Nobody who listens in between is told anything, and nobody waits for it to become otherwise.
#[test]
fn a_node_whose_certificate_is_not_trusted_is_asked_nothing() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mock = node_of("127.0.0.1", &path("own.pem"));
    let elsewhere = node_of("node.example", &path("elsewhere.pem"));
    fs::write(path("none.pem"), "").unwrap();
    let table = [
        (
            &mock,
            "elsewhere.pem",
            "UnknownIssuer: add its authority to those that the system trusts",
        ),
        (&elsewhere, "elsewhere.pem", "certificate not valid for name"),
        (&mock, "none.pem", "no certificates are trusted on this system"),
    ];
    for (mock, trusted, complaint) in table {
        let said = stderr(&replay(mock, &path(trusted)).assert().code(2));
        assert!(said.contains(complaint) && !said.contains("times)"), "{said}");
        assert!(!said.contains("secret"), "{said}");
        assert_eq!(mock.requests(), 0);
    }
}
