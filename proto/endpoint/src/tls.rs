//! Mutual TLS, with a CA of the run or with given files.
//!
//! With `--tls-dir` the coordinator makes a CA whose key it forgets at once, keeps its own key in memory, and writes
//! what workers need: `ca.pem`, `worker.pem`, `worker-key.pem`. Whoever has that folder is a worker. Workers expect the
//! name [`COORDINATOR_NAME`] of it, under whatever address they reach it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// The name in the certificate of a coordinator that makes its own.
pub const COORDINATOR_NAME: &str = "stedi-coordinator";

/// File of the CA, in the folder of `--tls-dir`.
pub const CA_FILE: &str = "ca.pem";
/// File of the workers' certificate.
pub const CERT_FILE: &str = "worker.pem";
/// File of its key.
pub const KEY_FILE: &str = "worker-key.pem";

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("failed to {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in the files cannot be used.
    #[error("the TLS files cannot be used: are they PEM, and does the key belong to the certificate?")]
    Unusable(#[source] tonic::transport::Error),
    /// No certificate could be made.
    #[error("failed to make certificates")]
    Make(#[from] rcgen::Error),
}

/// The command line of TLS, the same for both sides. Without any of these there is none.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsFiles {
    /// Mutual TLS with a CA of the run: the coordinator writes its files into this folder, workers read them
    #[arg(long, env = "STEDI_TLS_DIR", value_name = "DIR", conflicts_with_all = ["tls_ca", "tls_cert", "tls_key"])]
    tls_dir: Option<PathBuf>,
    /// Mutual TLS: PEM file of the CA that the other side's certificate must come from
    #[arg(long, env = "STEDI_TLS_CA", value_name = "FILE", requires_all = ["tls_cert", "tls_key"])]
    tls_ca: Option<PathBuf>,
    /// PEM file of this side's certificate
    #[arg(long, env = "STEDI_TLS_CERT", value_name = "FILE", requires = "tls_ca")]
    tls_cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, env = "STEDI_TLS_KEY", value_name = "FILE", requires = "tls_ca")]
    tls_key: Option<PathBuf>,
}

impl TlsFiles {
    /// Whether there is to be TLS.
    pub fn is_on(&self) -> bool {
        self.tls_dir.is_some() || self.tls_ca.is_some()
    }

    /// The coordinator's side; makes certificates and writes the workers' files if it was told a folder. `None` without TLS.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn server(&self) -> Result<Option<ServerTlsConfig>, TlsError> {
        if let Some(dir) = &self.tls_dir {
            let made = RunCertificates::make()?;
            made.write(dir)?;
            return Ok(Some(made.server_config()));
        }
        match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (Some(ca), Some(cert), Some(key)) => Ok(Some(server_config(&read(ca)?, &read(cert)?, &read(key)?))),
            _ => Ok(None),
        }
    }

    /// The worker's side. `None` without TLS.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn client(&self) -> Result<Option<ClientTlsConfig>, TlsError> {
        let with = |ca: &Path, cert: &Path, key: &Path| {
            let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
            Ok::<_, TlsError>(config.identity(Identity::from_pem(read(cert)?, read(key)?)))
        };
        if let Some(dir) = &self.tls_dir {
            let config = with(&dir.join(CA_FILE), &dir.join(CERT_FILE), &dir.join(KEY_FILE))?;
            return Ok(Some(config.domain_name(COORDINATOR_NAME)));
        }
        match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (Some(ca), Some(cert), Some(key)) => Ok(Some(with(ca, cert, key)?)),
            _ => Ok(None),
        }
    }
}

/// What a coordinator makes for one run, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct RunCertificates {
    /// The certificate of the CA. Nobody has its key.
    pub ca: String,
    /// The coordinator's certificate.
    pub server: String,
    /// Its key.
    pub server_key: String,
    /// The workers' certificate.
    pub worker: String,
    /// Its key.
    pub worker_key: String,
}

impl std::fmt::Debug for RunCertificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // keys do not belong into logs
        f.write_str("RunCertificates")
    }
}

impl RunCertificates {
    /// Makes a CA and two certificates of it, and forgets the CA's key.
    ///
    /// # Errors
    /// If there is no randomness to be had.
    pub fn make() -> Result<Self, TlsError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "stedi run");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let ca_key = KeyPair::generate()?;
        let ca = params.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(params, ca_key);
        let (server, server_key) = signed(&issuer, COORDINATOR_NAME, ExtendedKeyUsagePurpose::ServerAuth)?;
        let (worker, worker_key) = signed(&issuer, "stedi-worker", ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(Self { ca, server, server_key, worker, worker_key })
    }

    /// The coordinator's side.
    pub fn server_config(&self) -> ServerTlsConfig {
        server_config(self.ca.as_bytes(), self.server.as_bytes(), self.server_key.as_bytes())
    }

    fn write(&self, dir: &Path) -> Result<(), TlsError> {
        fs::create_dir_all(dir).map_err(|source| failed("write", dir, source))?;
        for (name, text) in [(CA_FILE, &self.ca), (CERT_FILE, &self.worker), (KEY_FILE, &self.worker_key)] {
            let path = dir.join(name);
            // a new file, because permissions are given when one is made
            let _ = fs::remove_file(&path);
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            file.and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(|source| failed("write", &path, source))?;
        }
        Ok(())
    }
}

fn server_config(ca: &[u8], cert: &[u8], key: &[u8]) -> ServerTlsConfig {
    let identity = Identity::from_pem(cert, key);
    ServerTlsConfig::new().identity(identity).client_ca_root(Certificate::from_pem(ca))
}

fn signed(
    issuer: &Issuer<'_, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| failed("read", path, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> TlsError {
    TlsError::File { action, path: path.to_owned(), source }
}
