//! The operator's pods, as the nodes run them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::Ring;
use super::kubelet::Node;
use crate::installed::NAMESPACE;

/// Selects the replicas, and not the pods of Jobs.
const SELECTOR: &str = "app.kubernetes.io/component=operator";

/// One replica that runs.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Name of its pod, by which its user agent names it
    pub name: String,
    /// Where it runs
    pub node: String,
    /// Its process, as the machine sees it
    pub pid: u32,
    /// Its address
    pub address: String,
    restarts: i32,
}

fn pods(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), NAMESPACE)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The replicas that are ready.
///
/// # Errors
/// When they cannot be listed, or the process of one is not found.
pub async fn replicas(client: &Client, nodes: &[Node]) -> Result<Vec<Replica>> {
    let mut found = Vec::new();
    for pod in pods(client).list(&ListParams::default().labels(SELECTOR)).await?.into_iter().filter(is_ready) {
        let name = pod.name_any();
        let status = pod.status.context("a pod without a status")?;
        let address = status.pod_ip.context("a pod without an address")?;
        let container = status.container_statuses.unwrap_or_default().pop().context("a pod without a container")?;
        let node = pod.spec.and_then(|spec| spec.node_name).context("a pod on no node")?;
        let on = nodes.iter().find(|n| n.name == node).with_context(|| format!("no node {node}"))?;
        let pid = on.pid(container.container_id.as_deref().unwrap_or_default()).await?;
        found.push(Replica { name, node, pid, address, restarts: container.restart_count });
    }
    Ok(found)
}

/// When each replica is seen to be ready for the first time, until `done`.
pub async fn first_ready(
    client: &Client,
    done: impl Future<Output = Result<()>>,
) -> Result<BTreeMap<String, jiff::Timestamp>> {
    let mut seen = BTreeMap::new();
    let watch = async {
        loop {
            let list = pods(client).list(&ListParams::default().labels(SELECTOR)).await;
            for pod in list.into_iter().flatten().filter(is_ready) {
                seen.entry(pod.name_any()).or_insert_with(jiff::Timestamp::now);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        done = done => done?,
        () = watch => bail!("the look at the pods ended"),
    }
    Ok(seen)
}

impl Replica {
    /// When its process began, which the kernel counts in steps of 10 ms since the machine's start.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn started(&self) -> Result<jiff::Timestamp> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let ticks = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(19)).context("no start")?;
        let uptime = fs::read_to_string("/proc/uptime")?;
        let uptime: f64 = uptime.split(' ').next().context("no uptime")?.parse()?;
        let per_second = f64::from(u32::try_from(rustix::param::clock_ticks_per_second())?);
        let age = uptime - ticks.parse::<f64>()? / per_second;
        Ok(jiff::Timestamp::now() - jiff::SignedDuration::try_from_secs_f64(age)?)
    }

    /// What the kernel lets it do; an error where that is more than the restricted profile allows.
    ///
    /// # Errors
    /// When it may do too much.
    pub fn confined(&self) -> Result<String> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.pid)).context("read the process");
        let (status, mounts) = (read("status")?, read("mountinfo")?);
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
        };
        let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).context("no root")?;
        let read_only = root.split(' ').nth(5).is_some_and(|options| options.split(',').any(|option| option == "ro"));
        let wanted = [
            ("Uid", "65532 65532 65532 65532"),
            ("Gid", "65532 65532 65532 65532"),
            ("Groups", "65532"),
            ("CapEff", "0000000000000000"),
            ("CapBnd", "0000000000000000"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
        ];
        for (name, value) in wanted {
            ensure!(of(name) == value, "{}: {name} is {}, not {value}", self.name, of(name));
        }
        ensure!(read_only, "{} can write to its root: {root}", self.name);
        let facts = wanted.map(|(name, _)| format!("{name} {}", of(name).split(' ').next().unwrap_or_default()));
        Ok(format!("{} on {}: {}, root read-only, {} restarts", self.name, self.node, facts.join(", "), self.restarts))
    }

    /// What the cgroup of its pod is charged with, without page cache that can go at once, and what its process holds; bytes.
    ///
    /// # Errors
    /// When the cgroup is not found.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", self.pid))?;
        let base = Path::new("/sys/fs/cgroup");
        let path =
            |prefix: &str| cgroup.lines().find_map(|line| line.split_once(prefix).map(|(_, path)| path.to_owned()));
        let (folder, usage, inactive) = match path(":memory:") {
            Some(path) => {
                (base.join("memory").join(path.trim_start_matches('/')), "memory.usage_in_bytes", "total_inactive_file")
            }
            None => {
                (base.join(path("::").context("no cgroup")?.trim_start_matches('/')), "memory.current", "inactive_file")
            }
        };
        let pod = folder.parent().context("a container in no pod")?;
        let used: f64 = fs::read_to_string(pod.join(usage))?.trim().parse()?;
        let stat = fs::read_to_string(pod.join("memory.stat"))?;
        let idle =
            stat.lines().find_map(|line| line.strip_prefix(inactive)?.strip_prefix(' ')).context("no such figure")?;
        Ok((used - idle.parse::<f64>()?, crate::bench::process::usage(self.pid)?.resident))
    }
}

/// No replica has logged an error, or one warning again and again.
///
/// # Errors
/// When one has, or its log cannot be read.
pub async fn logs_are_clean(ring: &Ring, replicas: &[Replica]) -> Result<usize> {
    let mut lines = 0;
    for replica in replicas {
        let log = ring.control_plane.kubectl(["logs", "-n", NAMESPACE, &replica.name]).await?;
        lines += log.lines().count();
        let bad: Vec<&str> = log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
        ensure!(bad.is_empty(), "{} logs errors:\n{}", replica.name, bad.join("\n"));
        let mut warnings: BTreeMap<String, usize> = BTreeMap::new();
        for line in log.lines() {
            let mut line: Value = serde_json::from_str(line).with_context(|| format!("parse {line}"))?;
            line["timestamp"] = Value::Null;
            if line["level"] == "WARN" {
                *warnings.entry(line.to_string()).or_default() += 1;
            }
        }
        ensure!(warnings.values().all(|times| *times == 1), "{} repeats warnings: {warnings:#?}", replica.name);
        ensure!(!log.is_empty(), "{} logs nothing", replica.name);
    }
    Ok(lines)
}

/// Pods of a namespace by name: `uid` and restarts of the first container.
///
/// # Errors
/// When they cannot be listed.
pub async fn lives(ring: &Ring, namespace: &str) -> Result<BTreeSet<(String, i64)>> {
    let list: Value =
        serde_json::from_str(&ring.control_plane.kubectl(["get", "pods", "-n", namespace, "-o", "json"]).await?)?;
    let pods = list["items"].as_array().into_iter().flatten();
    let life = |pod: &Value| {
        let restarts = pod.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_i64);
        Some((pod["metadata"]["uid"].as_str()?.to_owned(), restarts.unwrap_or(0)))
    };
    Ok(pods.filter(|pod| pod["metadata"].get("deletionTimestamp").is_none()).filter_map(life).collect())
}
