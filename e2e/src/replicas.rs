//! Several replicas of the operator, of which one leads, on a control plane of their own: the operator of other stories is
//! elected by nobody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use goldenpath::api::PlatformService;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use crate::audit::{AuditEvent, Mark};
use crate::chart::install_manifest;
use crate::installed::{ACCOUNT, NAMESPACE};
use crate::{ControlPlane, Operator, OperatorOptions, Options, kubeconfig, wait};

/// How long a change may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A control plane with the chart's account and rights, and a namespace of a team.
pub struct Replicas {
    /// Where they run
    pub control_plane: ControlPlane,
    client: Client,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Replicas {
    async fn new() -> Result<Self> {
        let control_plane = ControlPlane::start(Options::default()).await?;
        let kubeconfig = control_plane.install_goldenpath().await?;
        let namespace = control_plane.namespace("leadership").await?;
        let client = kubeconfig::client(control_plane.kubeconfig()).await?;
        Ok(Self { control_plane, client, kubeconfig, namespace })
    }

    /// With a path, two replicas, of which the first leads, and something that it has answered.
    ///
    /// # Errors
    /// When the control plane or a replica does not start, or another one answers.
    pub async fn led() -> Result<(Self, Mark, Operator, Operator)> {
        let cluster = Self::new().await?;
        let mark = cluster.control_plane.audit_mark()?;
        let first = cluster.replica("first").await?;
        wait::until("the replica to lead", PATIENCE, async || Ok(first.leads().await?.then_some(()))).await?;
        let second = cluster.replica("second").await?;
        let path = json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": "web-service"},
            "spec": {"version": "1", "defaults": [{"name": "links", "podTemplate": {"spec": {"enableServiceLinks": false}}}]},
        });
        cluster.control_plane.golden_path(&path.to_string()).await?;
        let (_, who) = cluster.answered("before").await?;
        ensure!(who == "first" && !second.leads().await?, "{who} has answered");
        Ok((cluster, mark, first, second))
    }

    /// The namespace of the team.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Starts one more, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn replica(&self, name: &str) -> Result<Operator> {
        Operator::start(&self.control_plane, &options(&self.kubeconfig, NAMESPACE, name)).await
    }

    /// Starts one more, which is to follow the replica `leader` of another installation; the answer has its line of `/readyz`.
    ///
    /// # Errors
    /// When it says something else.
    pub async fn follower(&self, kubeconfig: &Path, of: &str, name: &str, leader: &str) -> Result<(Operator, String)> {
        let (options, words) = (options(kubeconfig, of, name), format!("leadership: goldenpath is led by {leader}_"));
        let operator = Operator::start_unready(&self.control_plane, &options, &words).await?;
        let line = operator.is_unready(&words).await?;
        Ok((operator, line))
    }

    /// Installs it a second time, as the manifest says it for another namespace, and a pod by name that stands for its replica.
    /// The answer is the namespace, a kubeconfig of its account, and how to start the replica.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn install_elsewhere(&self, replica: &str) -> Result<(String, OperatorOptions)> {
        let namespace = self.control_plane.namespace("elsewhere").await?;
        let manifest = install_manifest()?.replace(NAMESPACE, &namespace);
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.control_plane.kubectl_stdin(apply, &manifest).await?;
        let closed = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": replica, "namespace": namespace},
            "spec": {
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "operator", "image": "example.com/goldenpath:1", "securityContext": closed}],
            },
        });
        self.control_plane.apply(&pod.to_string()).await?;
        let uid = ["get", "pod", replica, "-n", &namespace, "-o", "jsonpath={.metadata.uid}"];
        let uid = self.control_plane.kubectl(uid).await?;
        let kubeconfig = self.control_plane.as_account(&namespace, ACCOUNT).await?;
        let mut options = options(&kubeconfig, &namespace, replica);
        options.env.push(("POD_UID".to_owned(), uid));
        Ok((namespace, options))
    }

    /// A kubeconfig of the installation that is there first.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// As [`writes`].
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn writes(&self, mark: Mark) -> Result<Vec<(String, AuditEvent)>> {
        writes(&self.control_plane, mark)
    }

    /// Asks for something that the leader answers, and says who it was, and when its write reached the API server. Asked by a
    /// connection that is open: kubectl takes longer to start than a successor to answer.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn answer(&self, name: &str) -> Result<(Timestamp, String)> {
        let mark = self.control_plane.audit_mark()?;
        let (deployment, service) = deployed(name)?;
        Api::namespaced(self.client.clone(), &self.namespace).create(&PostParams::default(), &deployment).await?;
        Api::namespaced(self.client.clone(), &self.namespace).create(&PostParams::default(), &service).await?;
        wait::until("a leader to adopt", PATIENCE, async || {
            let writes = self.writes(mark)?;
            let adopted = writes.iter().find(|(_, event)| event.resource == "deployments" && event.name == name);
            Ok(adopted.map(|(replica, event)| (event.time, replica.clone())))
        })
        .await
    }

    /// As [`Self::answer`], with the time it took, our own request included.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn answered(&self, name: &str) -> Result<(Duration, String)> {
        let started = Instant::now();
        let (_, who) = self.answer(name).await?;
        Ok((started.elapsed(), who))
    }

    /// The holder in the Lease as it is.
    ///
    /// # Errors
    /// When there is none.
    pub async fn holder(&self) -> Result<String> {
        let query = ["get", "lease", "goldenpath", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}"];
        Ok(self.control_plane.kubectl(query).await?.split('_').next().unwrap_or_default().to_owned())
    }

    /// As [`one_at_a_time`].
    ///
    /// # Errors
    /// When two wrote at a time.
    pub fn one_at_a_time(&self, mark: Mark) -> Result<()> {
        one_at_a_time(&self.control_plane, mark)
    }

    /// The same where the process of a replica was stopped and went on. What it had handed to its connection before, one request
    /// at most, is read when it goes on, and given up at once, since its deadline is over: the API server says 504.
    ///
    /// # Errors
    /// When two wrote at a time.
    pub fn one_at_a_time_with_a_stop(&self, mark: Mark, stopped: &str) -> Result<()> {
        let mut writes = self.writes(mark)?;
        let last = writes.iter().rposition(|(replica, event)| replica == stopped && event.code != 409);
        if let Some(given_up) = last.filter(|at| writes[*at].1.code == 504) {
            eprintln!("leadership: given up: {} {}", writes[given_up].1.verb, writes[given_up].1.uri);
            writes.remove(given_up);
        }
        alone(writes)
    }
}

/// What replicas of any installation wrote since a mark: who, as it calls itself, and what.
///
/// # Errors
/// When the audit log cannot be read.
pub fn writes(control_plane: &ControlPlane, mark: Mark) -> Result<Vec<(String, AuditEvent)>> {
    Ok(requests(control_plane, mark)?.into_iter().filter(|(_, event)| event.is_write()).collect())
}

/// As [`writes`], with all that they read.
///
/// # Errors
/// When the audit log cannot be read.
pub fn requests(control_plane: &ControlPlane, mark: Mark) -> Result<Vec<(String, AuditEvent)>> {
    let (before, after) = ("system:serviceaccount:", format!(":{ACCOUNT}"));
    let events = control_plane.audit_since(mark)?.into_iter();
    let ours = events.filter(|event| event.user.starts_with(before) && event.user.ends_with(&after));
    Ok(ours.map(|event| (replica(&event.user_agent), event)).collect())
}

/// By the audit log: between the first write of a replica and its last nobody else has written. What was refused counts too.
///
/// # Errors
/// When two wrote at a time.
pub fn one_at_a_time(control_plane: &ControlPlane, mark: Mark) -> Result<()> {
    alone(writes(control_plane, mark)?)
}

fn alone(writes: Vec<(String, AuditEvent)>) -> Result<()> {
    let mut terms: BTreeMap<String, (Timestamp, Timestamp, usize)> = BTreeMap::new();
    let mut last = BTreeMap::new();
    for (replica, event) in writes {
        // a Lease that was taken meanwhile refuses whoever held it: that is what it is for
        if event.resource == "leases" && event.code == 409 {
            continue;
        }
        // who follows another installation says so on its own pod
        if event.resource == "events" && event.namespace == installation(&event) {
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

/// How to start a replica that is elected, as the chart does it.
#[must_use]
pub fn options(kubeconfig: &Path, namespace: &str, replica: &str) -> OperatorOptions {
    let env = [("GOLDENPATH_LEADER_ELECT", "true"), ("POD_NAME", replica), ("POD_NAMESPACE", namespace)];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    OperatorOptions { kubeconfig: kubeconfig.to_owned(), env, ..OperatorOptions::default() }
}

/// The namespace of the account that wrote.
fn installation(event: &AuditEvent) -> &str {
    event.user.rsplit(':').nth(1).unwrap_or_default()
}

/// The name of the replica in a user agent, `goldenpath/0.1.0 (a_0123456789abcdef)`.
fn replica(user_agent: &str) -> String {
    user_agent.split(['(', '_']).nth(1).unwrap_or(user_agent).to_owned()
}

/// A workload and its service.
fn deployed(name: &str) -> Result<(Deployment, PlatformService)> {
    let labels = json!({"app": name});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}]}});
    let spec = json!({"selector": {"matchLabels": labels}, "template": pod});
    let deployment = json!({"metadata": {"name": name}, "spec": spec});
    let spec = json!({"goldenPathRef": {"name": "web-service"}, "workloads": [{"name": "app", "ref": {"kind": "Deployment", "name": name}}]});
    let service = json!({"metadata": {"name": name}, "spec": spec});
    Ok((serde_json::from_value(deployment)?, serde_json::from_value(service)?))
}
