//! Two replicas: one writes, the other watches and takes over. A story has a control plane of its own, since the operator of
//! the other stories is elected by nobody.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::audit::{AuditEvent, Mark, account};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, Options, wait};
use serde_json::{Value, json};

use super::chart::shipped;

/// How long a change may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// The promise about a leader that leaves, and about one that dies; twice that on a machine that runs other stories.
const LEAVES: Duration = Duration::from_secs(2);
const DIES: Duration = Duration::from_secs(12);

struct Cluster {
    control_plane: ControlPlane,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Cluster {
    async fn new() -> Result<Self> {
        let control_plane = ControlPlane::start(Options::default()).await?;
        let kubeconfig = control_plane.install_goldenpath().await?;
        let namespace = control_plane.namespace("leadership").await?;
        Ok(Self { control_plane, kubeconfig, namespace })
    }

    /// With a path, two replicas, of which the first leads, and something that it has answered.
    async fn led() -> Result<(Self, Mark, Operator, Operator)> {
        let cluster = Self::new().await?;
        let mark = cluster.control_plane.audit_mark()?;
        let first = cluster.replica("first").await?;
        is_led_by(&first, PATIENCE).await?;
        let second = cluster.replica("second").await?;
        let path = json!(shipped("web-service", "1", &["enableServiceLinks"]));
        cluster.control_plane.golden_path(&path.to_string()).await?;
        let (_, who) = cluster.answered("before").await?;
        ensure!(who == "first" && !leads(&second).await?, "{who} has answered");
        Ok((cluster, mark, first, second))
    }

    async fn replica(&self, name: &str) -> Result<Operator> {
        let env = [("GOLDENPATH_LEADER_ELECT", "true"), ("POD_NAME", name)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let options = OperatorOptions { kubeconfig: self.kubeconfig.clone(), env, ..OperatorOptions::default() };
        Operator::start(&self.control_plane, &options).await
    }

    /// What the replicas wrote since a mark: who, as it calls itself, and what.
    fn writes(&self, mark: Mark) -> Result<Vec<(String, AuditEvent)>> {
        let user = account(NAMESPACE, ACCOUNT);
        let events = self.control_plane.audit_since(mark)?.into_iter();
        let ours = events.filter(|event| event.user == user && event.is_write());
        Ok(ours.map(|event| (replica(&event.user_agent), event)).collect())
    }

    /// Asks for something that the leader answers, and says how long that took, and who it was.
    async fn answered(&self, name: &str) -> Result<(Duration, String)> {
        let (mark, started) = (self.control_plane.audit_mark()?, Instant::now());
        self.control_plane.apply(&deployed(&self.namespace, name).to_string()).await?;
        wait::until("a leader to adopt", PATIENCE, async || {
            let writes = self.writes(mark)?;
            let adopted = writes.iter().find(|(_, event)| event.resource == "deployments" && event.name == name);
            Ok(adopted.map(|(replica, _)| (started.elapsed(), replica.clone())))
        })
        .await
    }
}

/// The name of the replica in a user agent, `goldenpath/0.1.0 (a_0123456789abcdef)`.
fn replica(user_agent: &str) -> String {
    user_agent.split(['(', '_']).nth(1).unwrap_or(user_agent).to_owned()
}

/// A workload and its service.
fn deployed(namespace: &str, name: &str) -> Value {
    let labels = json!({"app": name});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}]}});
    let service = json!({"goldenPathRef": {"name": "web-service"}, "workloads": [{"name": "app", "ref": {"kind": "Deployment", "name": name}}]});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
            "metadata": {"name": name, "namespace": namespace}, "spec": service,
        },
    ]})
}

async fn leads(operator: &Operator) -> Result<bool> {
    Ok(operator.metrics().await?.lines().any(|line| line == "goldenpath_leader 1"))
}

async fn is_led_by(operator: &Operator, patience: Duration) -> Result<()> {
    wait::until("the replica to lead", patience, async || {
        ensure!(leads(operator).await?, "it follows; its log:\n{}", operator.log());
        Ok(Some(()))
    })
    .await
}

/// The holder in the Lease as it is.
async fn holder(cluster: &Cluster) -> Result<String> {
    let query = ["get", "lease", "goldenpath", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}"];
    Ok(cluster.control_plane.kubectl(query).await?.split('_').next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn one_of_two_replicas_writes_and_the_other_takes_over() -> Result<()> {
    let (cluster, mark, mut first, mut second) = Cluster::led().await?;
    let page = second.metrics().await?;
    ensure!(!page.contains("goldenpath_workloads"), "a replica that follows counts the cluster too: {page}");

    let refused = cluster.control_plane.goldenpath(["release"]).await?;
    let words = "an operator leads (first_";
    ensure!(refused.stderr.contains(words) && refused.stderr.contains("helm uninstall"), "{}", refused.stderr);
    idle(&cluster).await?;

    // it leaves: the lease is free at once
    let (status, took) = first.terminate().await?;
    ensure!(status.success(), "SIGTERM: {status}; {}", first.log());
    let (answered, who) = cluster.answered("left").await?;
    eprintln!("leadership: the leader left within {took:?}, and the next one has answered after {answered:?}");
    ensure!(who == "second" && answered < LEAVES, "{who} after {answered:?}");

    // it dies: the lease runs out
    let third = cluster.replica("third").await?;
    second.kill().await?;
    let (answered, who) = cluster.answered("died").await?;
    eprintln!("leadership: the leader died, and the next one has answered after {answered:?}");
    ensure!(who == "third" && answered < DIES, "{who} after {answered:?}");

    // somebody deletes the Lease: whoever held it takes it again
    cluster.control_plane.kubectl(["delete", "lease", "goldenpath", "-n", NAMESPACE]).await?;
    wait::until("a new Lease", PATIENCE, async || Ok((holder(&cluster).await? == "third").then_some(()))).await?;
    ensure!(cluster.answered("again").await?.1 == "third" && third.is_alive(), "{}", third.log());
    one_at_a_time(&cluster, mark)
}

/// Nothing is written while nothing happens, but the Lease.
async fn idle(cluster: &Cluster) -> Result<()> {
    const SECONDS: u32 = 10;
    let user = account(NAMESPACE, ACCOUNT);
    let is_its = |event: &AuditEvent| event.user == user && event.is_write_of_objects();
    cluster.control_plane.is_still(Duration::from_secs(3), PATIENCE, is_its).await?;
    let mark = cluster.control_plane.audit_mark()?;
    tokio::time::sleep(Duration::from_secs(SECONDS.into())).await;
    let writes = cluster.writes(mark)?;
    let others: Vec<_> = writes.iter().filter(|(_, event)| event.resource != "leases").collect();
    ensure!(others.is_empty(), "{others:#?}");
    ensure!((3..=7).contains(&writes.len()), "{} renewals in {SECONDS} s", writes.len());
    Ok(())
}

#[tokio::test]
async fn a_leader_that_was_stopped_in_the_middle_writes_nothing_afterwards() -> Result<()> {
    let (cluster, mark, mut first, second) = Cluster::led().await?;
    first.freeze(true)?;
    let (answered, who) = cluster.answered("stopped").await?;
    ensure!(who == "second" && answered < DIES, "{who} after {answered:?}");
    first.freeze(false)?;
    let status = first.ends().await?;
    ensure!(status.code() == Some(1), "{status}");
    let log = first.log();
    ensure!(log.contains("this replica leads no more, and starts anew"), "{log}");
    ensure!(leads(&second).await? && cluster.answered("after").await?.1 == "second", "{}", second.log());
    one_at_a_time(&cluster, mark)
}

/// By the audit log: between the first write of a replica and its last nobody else has written. What was refused counts too.
fn one_at_a_time(cluster: &Cluster, mark: Mark) -> Result<()> {
    let mut terms: BTreeMap<String, (jiff::Timestamp, jiff::Timestamp, usize)> = BTreeMap::new();
    let mut last = BTreeMap::new();
    for (replica, event) in cluster.writes(mark)? {
        // a Lease that was taken meanwhile refuses whoever held it: that is what it is for
        if event.resource == "leases" && event.code == 409 {
            continue;
        }
        last.insert(replica.clone(), format!("{} {} {}", event.verb, event.uri, event.code));
        let term = terms.entry(replica).or_insert((event.time, event.time, 0));
        (term.0, term.1, term.2) = (term.0.min(event.time), term.1.max(event.time), term.2 + 1);
    }
    let mut in_order: Vec<_> = terms.into_iter().collect();
    in_order.sort_by_key(|(_, (from, ..))| *from);
    for (replica, (from, to, writes)) in &in_order {
        eprintln!("leadership: {replica} wrote {writes} times from {from} to {to}");
    }
    let pairs = in_order.windows(2);
    let overlap = pairs.clone().find(|pair| matches!(pair, [(_, (_, end, _)), (_, (begin, ..))] if begin <= end));
    ensure!(in_order.len() > 1, "only {in_order:?} wrote");
    overlap
        .map_or(Ok(()), |pair| Err(anyhow::anyhow!("two wrote at a time: {pair:?}, in the end {last:?}")))
        .context("fencing")
}
