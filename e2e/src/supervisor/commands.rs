//! Command lines of the control plane's programs. Each flag that is not obvious says why it is there.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::options::Options;
use crate::programs::Programs;

/// etcd, by default without fsync: the data is thrown away at the end.
pub fn etcd(programs: &Programs, folder: &Path, options: &Options, client: u16, peer: u16) -> Command {
    let client = format!("http://127.0.0.1:{client}");
    let mut command = Command::new(&programs.etcd);
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &format!("http://127.0.0.1:{peer}")])
        // 2 GiB by default, and 100,000 Deployments with their last revisions need more.
        .args(["--quota-backend-bytes", "8589934592", "--log-level", "warn"])
        .args((!options.fsync).then_some("--unsafe-no-fsync"));
    command
}

/// kube-apiserver with RBAC and an audit log.
pub fn api_server(programs: &Programs, folder: &Path, options: &Options, etcd: u16, port: u16) -> Command {
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let mut command = Command::new(programs.kubernetes.join("kube-apiserver"));
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd}"))
        .args(["--bind-address=127.0.0.1".to_owned(), format!("--secure-port={port}")])
        .arg(file("tls-cert-file", "kube-apiserver.crt"))
        .arg(file("tls-private-key-file", "kube-apiserver.key"))
        .arg(file("client-ca-file", "ca.crt"))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(file("service-account-key-file", "sa.pub"))
        .arg(file("service-account-signing-key-file", "sa.key"))
        .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true"])
        // The default reconciler refuses a loopback address; nobody reaches the API through the Service here.
        .arg("--endpoint-reconciler-type=none")
        .arg(file("audit-policy-file", "audit-policy.json"))
        .arg(file("audit-log-path", "audit.log"))
        // Blocking: an event is in the file before its response ends, so counts need no waiting.
        // No rotation: marks are byte offsets.
        .args(["--audit-log-mode=blocking", "--audit-log-maxsize=0"])
        .args(&options.api_server_flags);
    command
}

/// Who, what, when and the answer's code of every request, without bodies; one line a request, when it is answered.
pub fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            // Two thirds of all lines, and no test asks for them.
            {
                "level": "None",
                "users": ["kwok", "system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"],
                "verbs": ["get", "list", "watch"],
            },
            {
                "level": "None",
                "userGroups": ["system:serviceaccounts:kube-system", "system:nodes"],
                "verbs": ["get", "list", "watch"],
            },
            {"level": "Metadata"},
        ],
    })
}

/// kube-controller-manager; a port of its own would only be one more to collide on.
pub fn controller_manager(programs: &Programs, folder: &Path) -> Command {
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let mut command = Command::new(programs.kubernetes.join("kube-controller-manager"));
    command
        .arg(file("kubeconfig", "kube-controller-manager.kubeconfig"))
        .arg(file("service-account-private-key-file", "sa.key"))
        .arg(file("root-ca-file", "ca.crt"))
        .arg(file("flex-volume-plugin-dir", "volume-plugins")) // else in /usr
        .args(["--use-service-account-credentials", "--leader-elect=false", "--secure-port=0"])
        .args(["--kube-api-qps=500", "--kube-api-burst=1000"]);
    command
}

/// kube-scheduler.
pub fn scheduler(programs: &Programs, folder: &Path) -> Command {
    let mut command = Command::new(programs.kubernetes.join("kube-scheduler"));
    command.arg(format!("--kubeconfig={}", folder.join("kube-scheduler.kubeconfig").display())).args([
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]);
    command
}

/// kwok, which plays the kubelet of every node.
pub fn kwok(programs: &Programs, folder: &Path, port: u16) -> Command {
    let mut command = Command::new(&programs.kwok);
    command
        .arg(format!("--kubeconfig={}", folder.join("kwok.kubeconfig").display()))
        .arg(format!("--config={}", programs.kwok_stages.display()))
        // Without an address it would listen on all interfaces.
        .args(["--manage-all-nodes=true".to_owned(), format!("--server-address=127.0.0.1:{port}")])
        // Without leases kube-controller-manager takes each node for dead after 50 s, and its pods for not ready for ever.
        .arg("--node-lease-duration-seconds=40");
    command
}
