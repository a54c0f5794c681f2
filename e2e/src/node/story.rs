//! What a platform engineer does with two nodes: install, look, let a team in.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::api::WorkloadKind;
use serde_json::{Value, json};

use super::pods::{self, Replica};
use super::{Clock, PAUSE, REPOSITORY, Ring, RingOptions, TAG, faults, release};
use crate::bench::fleet::Fleet;
use crate::bench::writes::{create, each};
use crate::chart;
use crate::installed::NAMESPACE;
use crate::story::{Style, Team};
use crate::wait;

/// The promise: from the start of the container until the kubelet takes it for ready; twice that for the program of a short
/// ring, which nothing has made fast.
const READY: f64 = 2.0;
/// The promise: memory of a pod at [`WORKLOADS`].
const MEMORY: f64 = 20.0 * 1024.0 * 1024.0;
/// The same, of what the process holds a moment after it has adopted a tenth of them: also the pages of its program, which
/// replicas share and the cgroup is not charged with.
const RESIDENT: f64 = 20.0 * 1024.0 * 1024.0;
const WORKLOADS: usize = 1_000;

/// Plays all of it.
pub(super) async fn play(ring: &mut Ring, options: &RingOptions, clock: &mut Clock) -> Result<()> {
    let mark = ring.control_plane.audit_mark()?;
    let replicas = install(ring, options, clock).await?;
    let team = a_team(ring).await.context("a team's Deployment")?;
    clock.done("a Deployment of two pods was adopted without a restart, and got its defaults at its next rollout");
    if !options.short {
        memory(ring, &replicas).await?;
        clock.done(&format!("{WORKLOADS} workloads are there"));
    }
    let lines = pods::logs_are_clean(ring, &replicas).await?;
    let still = pods::replicas(&ring.client, &ring.nodes).await?;
    ensure!(pids(&still) == pids(&replicas), "replicas were replaced: {still:?}");
    clock.done(&format!("{lines} lines of log without an error, and no replica has restarted"));
    faults::play(ring, options, mark, clock).await?;
    release::play(ring, &team, clock).await
}

fn pids(replicas: &[Replica]) -> BTreeSet<u32> {
    replicas.iter().map(|replica| replica.pid).collect()
}

/// The chart as it is by default.
async fn install(ring: &Ring, options: &RingOptions, clock: &mut Clock) -> Result<Vec<Replica>> {
    let plane = &ring.control_plane;
    let labels = "pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted";
    let namespace =
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}, labels: {{{labels}}}}}}}");
    plane.apply(&namespace).await?;
    let values = json!({"image": {"repository": REPOSITORY, "tag": TAG}});
    let helm = async {
        let said = plane.helm_chart("install", &chart::folder(), &values, &["--wait", "--timeout", "2m"]).await?;
        said.success().map(drop)
    };
    let ready = pods::first_ready(&ring.client, helm).await;
    let wide = plane.kubectl(["get", "pods", "-n", NAMESPACE, "-o", "wide"]).await?;
    let ready = match ready {
        Ok(ready) => ready,
        Err(error) => {
            let events = plane.kubectl(["get", "events", "-n", NAMESPACE]).await.unwrap_or_default();
            return Err(error.context(format!("install the chart:\n{wide}\n{events}")));
        }
    };
    clock.done("helm install --wait");
    print!("{wide}");
    let mut replicas = pods::replicas(&ring.client, &ring.nodes).await?;
    replicas.sort_by(|one, other| one.node.cmp(&other.node));
    ensure!(replicas.len() == 2 && replicas[0].node != replicas[1].node, "two replicas on two nodes: {replicas:?}");
    for replica in &replicas {
        println!("{}", replica.confined()?);
        let seen = ready.get(&replica.name).context("a replica that was never seen to be ready")?;
        let took = seen.duration_since(replica.started()?).as_secs_f64();
        println!("{}: Ready {took:.2} s after its container started", replica.name);
        let most = if options.short { 2.0 * READY } else { READY };
        ensure!(took <= most, "{} was Ready after {took:.2} s, more than {most} s", replica.name);
    }
    Ok(replicas)
}

/// A team that was there before its path, and deploys once more; the answer is its namespace.
async fn a_team(ring: &Ring) -> Result<String> {
    let mut team = Team::new(&ring.control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    team.rolls_out(&deployment("1")).await?;
    let before = pods::lives(ring, &team.namespace).await?;
    ensure!(before.len() == 2, "{before:?}");
    ring.control_plane
        .expect("", "goldenpath/web-service", "{.status.conditions[?(@.type==\"Ready\")].status}", "True")
        .await?;
    team.takes("web-service", &json!({})).await?;
    team.still().await?;
    let after = pods::lives(ring, &team.namespace).await?;
    ensure!(before == after, "adoption touched pods: {before:?}, {after:?}");
    let object = team.rolls_out(&deployment("2")).await?;
    let spec = team.pod_spec(&object);
    ensure!(spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "no default was filled: {spec}");
    ensure!(spec["containers"][0]["resources"]["requests"]["memory"] == "100Mi", "no request was filled: {spec}");
    let rolled = wait::until("the old pods to be gone", Duration::from_mins(1), async || {
        let lives = pods::lives(ring, &team.namespace).await?;
        ensure!(lives.len() == 2, "{lives:?}");
        Ok(Some(lives))
    })
    .await?;
    ensure!(rolled.is_disjoint(&before) && rolled.iter().all(|(_, restarts)| *restarts == 0), "{rolled:?}");
    Ok(team.namespace)
}

fn deployment(version: &str) -> Value {
    let labels = json!({"app": "web"});
    let pod = json!({"containers": [{"name": "app", "image": PAUSE}], "terminationGracePeriodSeconds": 1});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": {"version": version}}, "spec": pod},
        },
    })
}

/// A fleet of which a tenth is claimed, as in benchmarks, and what the pods hold then.
async fn memory(ring: &Ring, replicas: &[Replica]) -> Result<()> {
    const AT_A_TIME: usize = 16;
    let (fleet, client) = (Fleet::new(WORKLOADS, WORKLOADS / 10, 1), &ring.client);
    each(0..fleet.namespaces, AT_A_TIME, async |i| create(client, "/api/v1/namespaces", &fleet.namespace(i)).await)
        .await?;
    each(0..fleet.workloads, AT_A_TIME, async |workload| {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", fleet.namespace_of(workload));
        create(client, &path, &fleet.manifest(workload)).await
    })
    .await?;
    each(0..fleet.services, AT_A_TIME, async |index| {
        let mut service = fleet.service(index);
        service["spec"]["goldenPathRef"]["name"] = json!("web-service");
        let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
        create(client, &format!("/apis/goldenpath.dev/v1alpha1/namespaces/{namespace}/platformservices"), &service)
            .await
    })
    .await?;
    wait::until("every service to be ready", Duration::from_secs(45), async || {
        let query = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status} {end}";
        let text = ring.control_plane.kubectl(["get", "psvc", "-A", "-o", query]).await?;
        let ready = text.split_whitespace().filter(|word| *word == "True").count();
        ensure!(ready > fleet.services, "{ready} of {}", fleet.services + 1);
        Ok(Some(()))
    })
    .await?;
    for replica in replicas {
        let (pod, process) = replica.memory()?;
        let [pod_size, size] = [pod, process].map(|bytes| format!("{:.1} MiB", bytes / 1024.0 / 1024.0));
        println!("{}: {pod_size} in the pod's cgroup, {size} resident", replica.name);
        ensure!(pod <= MEMORY, "{} holds {pod_size}, more than 20", replica.name);
        ensure!(process <= RESIDENT, "{} holds {size}, more than 20", replica.name);
    }
    Ok(())
}
