//! Certificates and keys of one control plane, made anew each time.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Clients with a certificate: file name, common name, organisation.
///
/// kwok is not `admin`, so that the audit log keeps the simulation apart from what a test does.
pub const CLIENTS: [(&str, &str, Option<&str>); 4] = [
    ("admin", "admin", Some("system:masters")),
    ("kwok", "kwok", Some("system:masters")),
    ("kube-controller-manager", "system:kube-controller-manager", None),
    ("kube-scheduler", "system:kube-scheduler", None),
];

/// Writes `ca.crt`, `<name>.crt` and `<name>.key` of the API server and of each client, `sa.key` and `sa.pub`.
pub fn write(folder: &Path) -> Result<()> {
    let file = |name: &str, content: String| {
        let path = folder.join(name);
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))
    };
    let issuer = authority()?;
    file("ca.crt", issuer.certificate)?;

    let hosts = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let mut server = CertificateParams::new(hosts)?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    let mut leaves = vec![("kube-apiserver", server, ExtendedKeyUsagePurpose::ServerAuth)];
    for (name, common_name, organisation) in CLIENTS {
        let mut client = CertificateParams::new([])?;
        client.distinguished_name.push(DnType::CommonName, common_name);
        if let Some(organisation) = organisation {
            client.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        leaves.push((name, client, ExtendedKeyUsagePurpose::ClientAuth));
    }
    for (name, mut params, usage) in leaves {
        params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate()?;
        let certificate =
            params.signed_by(&key, &issuer.signer).with_context(|| format!("sign the certificate of {name}"))?;
        file(&format!("{name}.crt"), certificate.pem())?;
        file(&format!("{name}.key"), key.serialize_pem())?;
    }

    let accounts = KeyPair::generate()?;
    file("sa.key", accounts.serialize_pem())?;
    file("sa.pub", accounts.public_key_pem())
}

struct Authority {
    certificate: String,
    signer: Issuer<'static, KeyPair>,
}

fn authority() -> Result<Authority> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "goldenpath test control plane");
    params.key_usages.extend([KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature]);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    Ok(Authority { certificate, signer: Issuer::new(params, key) })
}
