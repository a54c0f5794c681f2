//! `make demo`: the main job on an embedded real control plane, with every command shown as a person would type it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use goldenpath_e2e::{ControlPlane, Options, programs, wait};

/// Shows adoption on a control plane of its own, and stays up until Ctrl-C.
#[derive(Parser)]
struct Arguments {
    /// End after the last act instead of waiting for Ctrl-C.
    #[arg(long, env = "GOLDENPATH_DEMO_ONCE")]
    once: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        shown = show(arguments.once) => shown,
        _ = interrupted => { println!("\nEnded: nothing is left running."); Ok(()) }
    }
}

async fn show(once: bool) -> Result<()> {
    let started = Instant::now();
    say("Starting a real Kubernetes control plane on 127.0.0.1 (etcd, API server, controllers, simulated nodes) ...");
    let cluster = ControlPlane::start(Options::default()).await?;
    let account = cluster.install_goldenpath().await?;
    let _operator = cluster.start_operator(account).await?;
    println!(
        "Up in {:.0} s: the operator runs with its own ServiceAccount and nothing more.",
        started.elapsed().as_secs_f32()
    );
    before(&cluster).await?;
    adopt(&cluster).await?;
    deploy(&cluster).await?;
    if once {
        return Ok(());
    }
    println!("\nAll of this keeps running until Ctrl-C. Try, in another terminal:\n");
    println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("  alias kubectl={}", programs::Programs::find(None)?.kubectl.display());
    for command in [
        "kubectl get goldenpath,psvc -A",
        "kubectl describe psvc -n shop ledger",
        "kubectl set image -n shop deployment/catalog app=registry.example.com/catalog:4.3.0   # the team's next deploy",
        "kubectl set resources -n shop deployment/checkout --limits=memory=64Mi                # the road yields",
        "kubectl annotate -n shop deployment/checkout 'goldenpath.dev/skip=*'                  # break-glass: the values leave at once",
        "kubectl patch psvc -n shop checkout --type=merge -p '{\"spec\":{\"mode\":\"Observe\"}}'   # opt out: they leave with the next deploy",
    ] {
        println!("  {command}");
    }
    std::future::pending().await
}

async fn before(cluster: &ControlPlane) -> Result<()> {
    say("1. Three workloads run that nobody has prepared for anything.");
    run(cluster, &["apply", "-f", &file("1-workloads.yaml")]).await?;
    for object in ["deployment/checkout", "deployment/catalog"] {
        cluster.kubectl(["rollout", "status", "-n", "shop", object, "--timeout=60s"]).await?;
    }
    cluster.kubectl(["rollout", "status", "-n", "shop", "statefulset/ledger", "--timeout=60s"]).await?;
    run(cluster, &["get", "deployments,statefulsets", "-n", "shop", "-o", WORKLOADS]).await
}

/// The columns that matter: generations, and what was filled.
const WORKLOADS: &str = "custom-columns=KIND:.kind,NAME:.metadata.name,GENERATION:.metadata.generation,\
    REQUESTS:.spec.template.spec.containers[0].resources.requests,NON-ROOT:.spec.template.spec.securityContext.runAsNonRoot,\
    TOKEN:.spec.template.spec.automountServiceAccountToken";

async fn adopt(cluster: &ControlPlane) -> Result<()> {
    say("2. The platform team writes a golden path; it is compiled, proved on the API server and put in force.");
    run(cluster, &["apply", "-f", &file("2-golden-path.yaml")]).await?;
    run(cluster, &["wait", "--for=condition=Ready", "goldenpath/web-service", "--timeout=60s"]).await?;
    say(
        "3. The app teams name what they run. It is labelled, and nothing restarts: the generations stay as they were.",
    );
    run(cluster, &["apply", "-f", &file("3-services.yaml")]).await?;
    for name in ["checkout", "catalog", "ledger"] {
        let object = format!("psvc/{name}");
        cluster.expect("shop", &object, "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    }
    run(cluster, &["get", "psvc", "-n", "shop"]).await?;
    run(cluster, &["get", "deployments,statefulsets", "-n", "shop", "-o", WORKLOADS]).await
}

async fn deploy(cluster: &ControlPlane) -> Result<()> {
    say("4. The team of checkout deploys its next version, as ever. The defaults come with that one rollout.");
    run(cluster, &["set", "image", "-n", "shop", "deployment/checkout", "app=registry.example.com/checkout:1.1.0"])
        .await?;
    run(cluster, &["rollout", "status", "-n", "shop", "deployment/checkout", "--timeout=60s"]).await?;
    cluster.expect("shop", "psvc/checkout", "{.status.adoption.state}", "Adopted").await?;
    run(cluster, &["get", "psvc", "-n", "shop"]).await?;
    run(cluster, &["get", "deployments,statefulsets", "-n", "shop", "-o", WORKLOADS]).await?;
    let sets = wait::until("the ReplicaSets", Duration::from_secs(10), async || {
        let sets = cluster.kubectl(["get", "replicasets", "-n", "shop", "-l", "app=checkout", "-o", "name"]).await?;
        Ok(Some(sets.lines().count()))
    })
    .await?;
    ensure!(sets == 2, "checkout should have two ReplicaSets and has {sets}");
    println!("checkout has {sets} ReplicaSets: one before, one for the team's own deploy.");
    run(cluster, &["events", "-n", "shop", "--for", "platformservice/checkout"]).await
}

fn file(name: &str) -> String {
    programs::repository().join("manifests/demo").join(name).to_string_lossy().into_owned()
}

fn say(text: &str) {
    println!("\n{}", styled("1", text));
}

/// Bold (`1`) or dim (`2`), on a terminal that shows it.
fn styled(code: &str, text: &str) -> String {
    let plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    if plain { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
}

/// Shows a command as a person would type it, and its answer.
async fn run(cluster: &ControlPlane, arguments: &[&str]) -> Result<()> {
    let root = format!("{}/", programs::repository().display());
    let shown: Vec<String> = arguments
        .iter()
        .map(|a| a.replace(&root, ""))
        .map(|a| if a == WORKLOADS { "custom-columns=...".into() } else { a })
        .collect();
    println!("{}", styled("2", &format!("$ kubectl {}", shown.join(" "))));
    let answer = cluster.kubectl(arguments).await?;
    println!("{}", answer.trim_end());
    Ok(())
}
