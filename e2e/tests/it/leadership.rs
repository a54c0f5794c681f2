//! Two replicas: one writes, the other watches and takes over. A story has a control plane of its own, since the operator of
//! the other stories is elected by nobody.

mod starved;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::api::WorkloadKind;
use goldenpath::plan::claim;
use goldenpath_e2e::audit::{AuditEvent, Mark, account};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::replicas::{Replicas, requests};
use goldenpath_e2e::{Operator, OperatorOptions, concurrency, wait};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How long a change may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// The promise about a leader that leaves, and about one that dies; twice that, since processors may have other guests. The
/// stories run alone: beside another one and three busy loops a successor was seen to take 10 s.
const LEAVES: Duration = Duration::from_secs(2);
const DIES: Duration = Duration::from_secs(12);

#[tokio::test]
async fn one_of_two_replicas_writes_and_the_other_takes_over() -> Result<()> {
    concurrency::alone().await;
    let (cluster, mark, mut first, mut second) = Replicas::led().await?;
    let page = second.metrics().await?;
    ensure!(!page.contains("goldenpath_workloads"), "a replica that follows counts the cluster too: {page}");

    let refused = cluster.control_plane.goldenpath(["release"]).await?;
    let words = "an operator runs (first_";
    ensure!(refused.stderr.contains(words) && refused.stderr.contains("helm uninstall"), "{}", refused.stderr);
    deprecates(&cluster).await?;
    idle(&cluster).await?;

    // it leaves: the lease is free at once
    let leaves = Timestamp::now();
    let (status, took) = first.terminate().await?;
    ensure!(status.success(), "SIGTERM: {status}; {}", first.log());
    let (answered, who) = cluster.answered("left").await?;
    eprintln!("leadership: the leader left within {took:?}, and the next one has answered after {answered:?}");
    ensure!(who == "second" && answered < LEAVES, "{who} after {answered:?}");

    // it dies: the lease runs out
    let third = cluster.replica("third").await?;
    second.kill().await?;
    let (answered, who) = cluster.answered("died").await?;
    was_warm(&cluster, mark, "second", leaves)?; // by now its watches have ended for the API server, too
    eprintln!("leadership: the leader died, and the next one has answered after {answered:?}");
    ensure!(who == "third" && answered < DIES, "{who} after {answered:?}");

    // somebody deletes the Lease: whoever held it takes it again
    cluster.control_plane.kubectl(["delete", "lease", "goldenpath", "-n", NAMESPACE]).await?;
    wait::until("a new Lease", PATIENCE, async || Ok((cluster.holder().await? == "third").then_some(()))).await?;
    ensure!(cluster.answered("again").await?.1 == "third" && third.is_alive(), "{}", third.log());
    still_counts(&cluster, &third, mark).await?;
    another_installation(&cluster, third).await?;
    cluster.one_at_a_time(mark)
}

/// By the audit log: before it led, a replica has listed every kind of workload, and between that and its first write it has
/// listed none. A watch is in the log when it has ended, so the replica must have.
fn was_warm(cluster: &Replicas, mark: Mark, name: &str, leaves: Timestamp) -> Result<()> {
    let mut requests = requests(&cluster.control_plane, mark)?;
    requests.retain(|(replica, _)| replica == name);
    let is_first = |event: &AuditEvent| event.is_write_of_objects() && event.name != claim::NAME;
    let first = requests.iter().filter(|(_, event)| is_first(event)).map(|(_, event)| event.time).min();
    let first = first.context("it has written nothing")?;
    ensure!(leaves < first, "it wrote at {first}, and the leader left at {leaves}");
    // a watch that begins with every object is a list, too
    let is_list = |event: &AuditEvent| event.verb == "list" || event.uri.contains("sendInitialEvents=true");
    let lists = requests.iter().map(|(_, event)| event).filter(|event| is_list(event));
    let of = |kind: WorkloadKind| lists.clone().filter(move |event| event.resource == kind.plural());
    for kind in WorkloadKind::ALL {
        ensure!(of(kind).any(|event| event.time < leaves), "{name} never listed {kind}: {requests:#?}");
        let late: Vec<_> = of(kind).filter(|event| (leaves..=first).contains(&event.time)).collect();
        ensure!(late.is_empty(), "{name} listed {kind} before it wrote: {late:#?}");
    }
    eprintln!("leadership: {name} had a warm fleet, and wrote {:#} after the leader was told to leave", first - leaves);
    Ok(())
}

const CLAIM: [&str; 2] = ["validatingadmissionpolicy", "goldenpath-leader"];

/// Somebody installs it a second time: that one says who leads and writes nothing, until the first is gone.
async fn another_installation(cluster: &Replicas, mut first: Operator) -> Result<()> {
    let (elsewhere, options) = cluster.install_elsewhere("stranger").await?;
    let mark = cluster.control_plane.audit_mark()?;
    let stranger = without_a_right(cluster, &first, &options).await?;
    let line = stranger.is_unready("leadership: goldenpath is led by third_").await?;
    println!("leadership | {line}");
    ensure!(line.contains("of the installation in namespace goldenpath-system, and a cluster has one"), "{line}");
    ensure!(stranger.log().contains("goldenpath is led by third_"), "{}", stranger.log());
    ensure!(stranger.metrics().await?.contains("\ngoldenpath_led_elsewhere 1\n"), "{}", stranger.metrics().await?);
    wait::until("Events that kubectl shows with the pod", PATIENCE, async || {
        let said = cluster.control_plane.kubectl(["describe", "pod", "stranger", "-n", &elsewhere]).await?;
        for words in ["LedByAnotherInstallation", "goldenpath is led by third_", "Forbidden", LACKS] {
            ensure!(said.contains(words), "{words} is not in {said}");
        }
        Ok(Some(()))
    })
    .await?;
    ensure!(cluster.answered("guarded").await?.1 == "third" && !stranger.leads().await?, "{}", stranger.log());
    let writes = cluster.writes(mark)?;
    let strangers: Vec<_> =
        writes.iter().filter(|(who, event)| who == "stranger" && event.resource != "events").collect();
    ensure!(strangers.is_empty(), "{strangers:#?}");

    first.kill().await?;
    let (answered, who) = cluster.answered("inherited").await?;
    eprintln!("leadership: the first installation died, and the other one has answered after {answered:?}");
    ensure!(who == "stranger" && answered < DIES, "{who} after {answered:?}");
    stranger.ready().await?;
    let (_back, line) = cluster.follower(cluster.kubeconfig(), NAMESPACE, "fourth", "stranger").await?;
    ensure!(line.contains(&format!("of the installation in namespace {elsewhere},")), "{line}");
    ensure!(cluster.answered("kept").await?.1 == "stranger", "{}", stranger.log());
    Ok(())
}

/// What everybody says whose account may not see who leads.
const LACKS: &str = "the operator's account may not list validatingadmissionpolicies.admissionregistration.k8s.io";

/// The role of both loses the right to the claim, and somebody deletes it: whoever leads goes on and counts what it is refused,
/// and another one, whose replica is the answer, says what lacks and does not lead. With the right the claim is back.
async fn without_a_right(cluster: &Replicas, leader: &Operator, other: &OperatorOptions) -> Result<Operator> {
    let role = cluster.control_plane.kubectl(["get", "clusterrole", ACCOUNT, "-o", "json"]).await?;
    let rules = serde_json::from_str::<Value>(&role)?["rules"].take();
    let mut fewer = rules.clone();
    let kept = |rule: &Value| rule["resources"] != json!(["validatingadmissionpolicies"]);
    fewer.as_array_mut().into_iter().for_each(|rules| rules.retain(kept));
    let set = async |rules: &Value| {
        let patch = json!({"rules": rules}).to_string();
        cluster.control_plane.kubectl(["patch", "clusterrole", ACCOUNT, "--type=merge", "-p", &patch]).await
    };
    set(&fewer).await?;
    let stranger = Operator::start_unready(&cluster.control_plane, other, LACKS).await?;
    let line = stranger.is_unready(LACKS).await?;
    println!("leadership | {line}");
    ensure!(
        line.contains("nobody knows whether another installation leads") && line.contains("helm upgrade"),
        "{line}"
    );

    cluster.control_plane.kubectl(["delete"].into_iter().chain(CLAIM)).await?;
    for (replica, verb) in [(leader, "create"), (&stranger, "list")] {
        let resource = "validatingadmissionpolicies.admissionregistration.k8s.io";
        let series = format!("goldenpath_forbidden_requests_total{{resource=\"{resource}\",verb=\"{verb}\"}}");
        wait::until(&series, PATIENCE, async || Ok(replica.metrics().await?.contains(&series).then_some(()))).await?;
    }
    ensure!(cluster.answered("lacking").await?.1 == "third" && !stranger.leads().await?, "{}", leader.log());

    let named = || stranger.log().lines().any(|line| line.contains("a right is missing") && line.contains(LACKS));
    wait::until("the right to be named, since it lacks for long", PATIENCE, async || Ok(named().then_some(()))).await?;

    set(&rules).await?;
    wait::until("the claim to be back", PATIENCE, async || {
        let query = "jsonpath={.metadata.annotations.goldenpath\\.dev/leader}";
        let value = cluster.control_plane.kubectl(["get"].into_iter().chain(CLAIM).chain(["-o", query])).await?;
        ensure!(value.starts_with(&format!("{NAMESPACE}/third_")), "{value}");
        Ok(Some(()))
    })
    .await?;
    Ok(stranger)
}

const DEPRECATION: &str = "old-workloads";

/// Something that has consumers: two config maps that no replica changes.
async fn deprecates(cluster: &Replicas) -> Result<()> {
    let rule = json!([{"apiGroups": [""], "resources": ["configmaps"]}]);
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": cluster.namespace()}});
    let all = json!({"apiVersion": "v1", "kind": "List", "items": [
        map("old-a"), map("old-b"),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "read-config-maps", "labels": {"goldenpath.dev/aggregate-to-reader": "true"}},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
        },
        {
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": DEPRECATION},
            "spec": {"matches": [{"name": "map", "resourceRules": rule, "expression": "object.metadata.name.startsWith('old-')"}]},
        },
    ]});
    cluster.control_plane.apply(&all.to_string()).await?;
    let counted =
        ["wait", "--for=jsonpath={.status.consumers.remaining}=2", "--timeout=60s", &format!("depr/{DEPRECATION}")];
    cluster.control_plane.kubectl(counted).await.map(drop)
}

/// A leader that took over counts what the one before has counted, and writes no status that says the same.
async fn still_counts(cluster: &Replicas, leader: &Operator, mark: Mark) -> Result<()> {
    let labels = format!("goldenpath_deprecated_objects{{deprecation=\"{DEPRECATION}\"");
    let shown = wait::until("the count of the next leader", PATIENCE, async || {
        let page = leader.metrics().await?;
        Ok(page.lines().find(|line| line.starts_with(&labels)).map(str::to_owned))
    })
    .await?;
    ensure!(shown.ends_with(" 2"), "{shown}");
    let writes = cluster.writes(mark)?;
    let of_it =
        writes.iter().filter(|(_, event)| event.resource.starts_with("deprecations") && event.name == DEPRECATION);
    let others: Vec<_> = of_it.filter(|(replica, _)| replica != "first").collect();
    ensure!(others.is_empty(), "{others:#?}");
    eprintln!("leadership: the next leader shows {shown}, and has written nothing about it");
    Ok(())
}

/// Nothing is written while nothing happens, but the Lease, and nothing is listed.
async fn idle(cluster: &Replicas) -> Result<()> {
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
    let lists = cluster.control_plane.audit_since(mark)?.into_iter().filter(|e| e.user == user && e.verb == "list");
    let lists: Vec<_> = lists.map(|event| event.uri).collect();
    ensure!(lists.is_empty(), "{lists:#?}");
    Ok(())
}

#[tokio::test]
async fn a_leader_that_was_stopped_in_the_middle_writes_nothing_afterwards() -> Result<()> {
    concurrency::alone().await;
    let (cluster, mark, mut first, second) = Replicas::led().await?;
    first.freeze(true)?;
    let (answered, who) = cluster.answered("stopped").await?;
    ensure!(who == "second" && answered < DIES, "{who} after {answered:?}");
    first.freeze(false)?;
    let status = first.ends().await?;
    ensure!(status.code() == Some(1), "{status}");
    let log = first.log();
    ensure!(log.contains("this replica leads no more, and starts anew"), "{log}");
    ensure!(second.leads().await? && cluster.answered("after").await?.1 == "second", "{}", second.log());
    cluster.one_at_a_time_with_a_stop(mark, "first")?;
    starved::it_leads_on(&cluster, second).await
}
