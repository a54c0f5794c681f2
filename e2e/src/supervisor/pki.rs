//! Certificates and keys of one control plane, made anew each time.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Clients of every control plane.
///
/// kwok is not `admin`, so that the audit log keeps the simulation apart from what a test does.
pub const CLIENTS: [ClientOf<'static>; 4] = [
    ("admin", "admin", Some("system:masters")),
    ("kwok", "kwok", Some("system:masters")),
    ("kube-controller-manager", "system:kube-controller-manager", None),
    ("kube-scheduler", "system:kube-scheduler", None),
];

/// A client with a certificate: file name, common name, organisation.
pub type ClientOf<'a> = (&'a str, &'a str, Option<&'a str>);

/// Writes `ca.crt`, `<name>.crt` and `<name>.key` of the API server, which has further `hosts`, and of each client, `sa.key`
/// and `sa.pub`.
pub fn write(folder: &Path, hosts: &[&str], clients: &[ClientOf<'_>]) -> Result<()> {
    let file = |name: &str, content: String| {
        let path = folder.join(name);
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))
    };
    let authority = Authority::new("goldenpath test control plane")?;
    let mut leaves = vec![("kube-apiserver", authority.server("kube-apiserver", hosts)?)];
    for (name, common_name, organisation) in clients {
        leaves.push((name, authority.client(common_name, *organisation)?));
    }
    file("ca.crt", authority.certificate)?;
    for (name, leaf) in leaves {
        file(&format!("{name}.crt"), leaf.cert.pem())?;
        file(&format!("{name}.key"), leaf.signing_key.serialize_pem())?;
    }

    let accounts = KeyPair::generate()?;
    file("sa.key", accounts.serialize_pem())?;
    file("sa.pub", accounts.public_key_pem())
}

/// Whom servers and clients of one control plane trust. Its key ends with this value.
pub struct Authority {
    /// PEM, for `certificate-authority` of a kubeconfig.
    pub certificate: String,
    signer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages.extend([KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature]);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, signer: Issuer::new(params, key) })
    }

    /// Certificate and key of a server on this machine, which has further `hosts`.
    pub fn server(&self, common_name: &str, hosts: &[&str]) -> Result<CertifiedKey<KeyPair>> {
        let hosts = ["127.0.0.1", "localhost", "kubernetes.default.svc"].iter().chain(hosts);
        let hosts: Vec<String> = hosts.map(|host| (*host).to_owned()).collect();
        self.leaf(CertificateParams::new(hosts)?, common_name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self, common_name: &str, organisation: Option<&str>) -> Result<CertifiedKey<KeyPair>> {
        let mut params = CertificateParams::new([])?;
        if let Some(organisation) = organisation {
            params.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        self.leaf(params, common_name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn leaf(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<CertifiedKey<KeyPair>> {
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        params.extended_key_usages.push(usage);
        let signing_key = KeyPair::generate()?;
        let cert = params.signed_by(&signing_key, &self.signer);
        let cert = cert.with_context(|| format!("sign the certificate of {common_name}"))?;
        Ok(CertifiedKey { cert, signing_key })
    }
}
