//! What can be chosen about a control plane; one type for the command line of the supervisor and for tests.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::builder::FalseyValueParser;

use crate::programs::older_kubernetes;

/// Choices of one control plane.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Simulated nodes, each with 1000 cores, 4 TiB and room for 5000 pods
    #[arg(long, default_value_t = 1)]
    pub nodes: u32,
    /// Keep the data folder (logs, audit log, etcd) at the end
    #[arg(long, env = "GOLDENPATH_KEEP", value_parser = FalseyValueParser::new())]
    pub keep: bool,
    /// Kubernetes version to run, such as v1.37.1; by default the one of tools/kubernetes/go.mod
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
    /// Further flag of kube-apiserver, such as --feature-gates=Name=true (repeatable; the last of a kind wins)
    #[arg(long = "api-server-flag", value_name = "FLAG", allow_hyphen_values = true)]
    pub api_server_flags: Vec<String>,
    /// Run etcd with fsync, as benchmarks need it; by default it is faster and loses data when the machine stops
    #[arg(long)]
    pub fsync: bool,
    /// Run etcd and kube-apiserver only: no controllers, no scheduler, no nodes
    #[arg(long)]
    pub bare: bool,
    /// Start from a copy of this data folder of an etcd that has ended
    #[arg(long, value_name = "FOLDER")]
    pub etcd_data: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 1,
            keep: false,
            kubernetes_version: None,
            api_server_flags: Vec::new(),
            fsync: false,
            bare: false,
            etcd_data: None,
        }
    }
}

impl Options {
    /// A control plane without the kind MutatingAdmissionPolicy, as before Kubernetes 1.36.
    #[must_use]
    pub fn without_mutating_policies() -> Self {
        let kind = "admissionregistration.k8s.io/v1/mutatingadmissionpolic";
        let flags = [
            format!("--runtime-config={kind}ies=false,{kind}ybindings=false"),
            // it waits for ever for what is not served
            "--disable-admission-plugins=MutatingAdmissionPolicy".to_owned(),
        ];
        Self { api_server_flags: flags.into(), ..Self::default() }
    }

    /// The last control plane without MutatingAdmissionPolicy `v1`.
    ///
    /// # Errors
    /// When tools/kubernetes-1.35 pins no version.
    pub fn older() -> Result<Self> {
        Ok(Self { kubernetes_version: Some(older_kubernetes()?), ..Self::default() })
    }

    /// The arguments from which the supervisor parses these same options.
    #[must_use]
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args = vec![format!("--nodes={}", self.nodes)];
        args.extend(self.keep.then(|| "--keep".to_owned()));
        args.extend(self.kubernetes_version.iter().map(|version| format!("--kubernetes-version={version}")));
        args.extend(self.api_server_flags.iter().map(|flag| format!("--api-server-flag={flag}")));
        args.extend(self.fsync.then(|| "--fsync".to_owned()));
        args.extend(self.bare.then(|| "--bare".to_owned()));
        let mut args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
        if let Some(folder) = &self.etcd_data {
            args.extend(["--etcd-data".into(), folder.into()]);
        }
        args
    }
}
