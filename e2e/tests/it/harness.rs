//! The harness itself: what every other story takes for granted.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use goldenpath_e2e::{ControlPlane, Options, audit, corpus, programs, wait};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: example.com/web:1}]
";

async fn deployment(control_plane: &ControlPlane, prefix: &str) -> String {
    let namespace = control_plane.namespace(prefix).await.unwrap();
    control_plane.kubectl_stdin(["apply", "-n", &namespace, "-f", "-"], DEPLOYMENT).await.unwrap();
    namespace
}

/// Gone also means not a zombie: the supervisor has waited for it.
fn gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn deployment_becomes_available_on_simulated_nodes() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let namespace = deployment(control_plane, "available").await;
    let deployments: Api<Deployment> = Api::namespaced(control_plane.client().await.unwrap(), &namespace);
    let available = wait::until("3 available replicas", Duration::from_secs(30), async || {
        let available = deployments.get_status("web").await?.status.and_then(|status| status.available_replicas);
        anyhow::ensure!(available == Some(3), "{available:?}");
        Ok(available)
    });
    available.await.unwrap();
}

#[tokio::test]
async fn simulated_node_renews_its_lease_and_so_stays_ready() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let leases: Api<Lease> = Api::namespaced(control_plane.client().await.unwrap(), "kube-node-lease");
    let renewed = async || Ok(leases.get("node-0").await?.spec.and_then(|spec| spec.renew_time));
    let patience = Duration::from_secs(30);
    let first = wait::until("a lease of the node", patience, renewed).await.unwrap();
    let later = async || Ok(renewed().await?.filter(|time| *time != first));
    wait::until("the lease to be renewed", patience, later).await.unwrap();
}

#[tokio::test]
async fn audit_counts_a_write_of_a_service_account_and_no_dry_run() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let namespace = deployment(control_plane, "audit").await;
    control_plane
        .kubectl([
            "create",
            "rolebinding",
            "edit",
            "-n",
            &namespace,
            "--clusterrole=edit",
            &format!("--serviceaccount={namespace}:default"),
        ])
        .await
        .unwrap();
    let kubeconfig = control_plane.as_account(&namespace, "default").await.unwrap();
    let deployments: Api<Deployment> =
        Api::namespaced(control_plane.client_for(&kubeconfig).await.unwrap(), &namespace);
    let user = audit::account(&namespace, "default");

    let mark = control_plane.audit_mark().unwrap();
    let patch = Patch::Merge(json!({"metadata": {"labels": {"touched": "yes"}}}));
    deployments.patch("web", &PatchParams::default().dry_run(), &patch).await.unwrap();
    deployments.patch("web", &PatchParams::default(), &patch).await.unwrap();
    deployments.get("web").await.unwrap();
    let events = control_plane.audit_since(mark).unwrap();

    let counts = audit::writes(&events, &user);
    assert_eq!((counts.of("patch", "deployments"), counts.total()), (1, 1), "{counts}");
    let own: Vec<_> = events.iter().filter(|event| event.user == user).collect();
    let seen: Vec<_> =
        own.iter().map(|event| (event.verb.as_str(), event.dry_run, event.code, event.name.as_str())).collect();
    assert_eq!(seen, [("patch", true, 200, "web"), ("patch", false, 200, "web"), ("get", false, 200, "web")]);
}

#[tokio::test]
async fn failed_kubectl_says_why() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let output = control_plane.kubectl_output(["get", "widgets"], "").await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = output.success().unwrap_err().to_string();
    assert!(
        error.contains("widgets` failed (exit status: 1)") && error.contains("doesn't have a resource type"),
        "{error}"
    );
}

#[tokio::test]
async fn helm_installs_a_chart() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let namespace = control_plane.namespace("chart").await.unwrap();
    let chart = control_plane.folder().join("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: chart\nversion: 0.1.0\n").unwrap();
    std::fs::write(chart.join("templates/deployment.yaml"), DEPLOYMENT).unwrap();
    control_plane.helm(["install", "one", chart.to_str().unwrap(), "-n", &namespace]).await.unwrap();
    let found = control_plane.kubectl(["get", "deployment", "-n", &namespace, "-o", "name"]).await.unwrap();
    assert_eq!(found.trim(), "deployment.apps/web");
}

#[tokio::test]
async fn own_control_plane_leaves_no_process_and_no_folder() {
    let control_plane = ControlPlane::start(Options { nodes: 2, ..Options::default() }).await.unwrap();
    let nodes = control_plane.kubectl(["get", "nodes", "-o", "name"]).await.unwrap();
    assert_eq!(nodes, "node/node-0\nnode/node-1\n");
    let ready = control_plane.ready().clone();
    assert_eq!(ready.pids.len(), 5, "{ready:?}");
    assert!(!ready.pids.values().any(|pid| gone(*pid)), "{ready:?}");
    drop(control_plane);
    assert!(ready.pids.values().all(|pid| gone(*pid)), "{ready:?}");
    assert!(!ready.folder.exists(), "{ready:?}");
}

#[tokio::test]
async fn guarded_program_is_killed_when_stdin_closes() {
    let (mut guard, pid) = guard("").await;
    drop(guard.stdin.take());
    assert_eq!(guard.wait().unwrap().code(), Some(128 + 9));
    assert!(gone(pid));
}

#[tokio::test]
async fn guarded_program_gets_sigterm_and_its_exit_code_is_passed_on() {
    let (mut guard, pid) = guard("trap 'exit 7' TERM").await;
    // `wait` would close it, which kills.
    let _open = guard.stdin.take();
    assert!(Command::new("kill").arg(guard.id().to_string()).status().unwrap().success());
    assert_eq!(guard.wait().unwrap().code(), Some(7));
    assert!(gone(pid));
}

/// A shell under guard that has done `first` and then runs on, and its process id.
async fn guard(first: &str) -> (Child, u32) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut guard = Command::new(programs::sibling("control-plane").unwrap())
        .args(["guard", "--log", log.to_str().unwrap(), "--", "sh", "-c"])
        .arg(format!("{first}\necho started\nwhile :; do sleep 0.01; done"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let started = async || Ok(std::fs::read_to_string(&log)?.contains("started").then_some(()));
    wait::until("the shell to start", Duration::from_secs(10), started).await.unwrap();
    (guard, line.trim().parse().unwrap())
}

#[test]
fn corpus_is_read() {
    let files = corpus().unwrap();
    let documents: usize = files.iter().map(|file| file.documents.len()).sum();
    println!("{documents} documents in {} files", files.len());
    assert!(files.iter().all(|file| file.documents.iter().all(|document| document["kind"].is_string())));
}
