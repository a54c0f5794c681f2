//! Faults, while a path changes in waves and a Deprecation goes from stage to stage: leaders that are killed, a replica that is
//! cut off, a kubelet, an API server and a store that die. Undisturbed and disturbed, the change must end alike.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use kube::Client;
use rustix::process::Signal;

use super::change::{Change, late};
use super::outcome::{LEFT, outcome, same};
use super::pods::{self, Replica};
use super::system::run;
use super::writers::{Term, terms, writer};
use super::{CUT, Clock, Node, Ring, RingOptions, Servers};
use crate::audit::{AuditEvent, Mark, account};
use crate::bench::table::Table;
use crate::installed::{ACCOUNT, NAMESPACE};
use crate::supervisor::send;
use crate::{ControlPlane, wait};

const PATIENCE: Duration = Duration::from_mins(2);
/// How long the API server and its store are away: longer than a term, so that every fence is tried.
const AWAY: Duration = Duration::from_secs(5);
/// Between two deaths of leaders, where that goes on for minutes.
const EVERY: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    LeaderKilled,
    LeaderCutOff,
    KubeletKilled,
    ApiServerKilled,
    EtcdKilled,
}

impl Fault {
    fn all(options: &RingOptions) -> Vec<Self> {
        let kills = match options.minutes {
            Some(minutes) => minutes * 60 / EVERY.as_secs(),
            None if options.short => 1,
            None => 3,
        };
        let kills = (0..kills).map(|_| Self::LeaderKilled);
        let others = [Self::LeaderCutOff, Self::KubeletKilled, Self::ApiServerKilled, Self::EtcdKilled];
        kills.chain(others.into_iter().take(if options.short { 2 } else { 4 })).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::LeaderKilled => "leader killed",
            Self::LeaderCutOff => "leader cut off from the API",
            Self::KubeletKilled => "kubelet of the leader killed",
            Self::ApiServerKilled => "API server killed",
            Self::EtcdKilled => "etcd killed",
        }
    }
}

/// What came of a fault.
struct Overcome {
    fault: Fault,
    at: Timestamp,
    before: String,
    after: String,
    /// Seconds from the fault until the API server had taken all that was asked for
    asked: f64,
    /// Seconds from the fault until the write of a leader that was asked for since
    answered: f64,
    /// Seconds from the fault until all that was asked for was done and every replica ready
    whole: f64,
}

/// Plays a change twice, without and with faults, and compares. Nobody has written before the mark.
///
/// # Errors
/// When they do not end alike, or more than one replica wrote at a time or without the Lease.
pub(super) async fn play(ring: &mut Ring, options: &RingOptions, mark: Mark, clock: &mut Clock) -> Result<()> {
    let faults = Fault::all(options);
    let plane = &ring.control_plane;
    let change = Change::prepare(plane, "calm", faults.len()).await.context("prepare the undisturbed change")?;
    for step in 0..faults.len() {
        change.ask(step).await?;
        change.done(step).await?;
    }
    let calm = end(plane, &change, faults.len()).await?;
    clock.done(&format!("a path and a Deprecation have changed in {} steps, undisturbed", faults.len()));

    let calm_left = change.revisions[0].clone();
    let change = Change::prepare(plane, "wild", faults.len()).await.context("prepare the disturbed change")?;
    let mut storm = Storm { plane, client: &ring.client, servers: &mut ring.servers, nodes: &mut ring.nodes };
    let (began, mut overcome) = (Timestamp::now(), Vec::new());
    for (step, fault) in faults.into_iter().enumerate() {
        let started = Instant::now();
        let what =
            storm.blows(fault, &change, step).await.with_context(|| format!("{} in step {step}", fault.name()))?;
        eprintln!(
            "test-node: {}: answered after {:.1} s, {} -> {}",
            fault.name(),
            what.answered,
            what.before,
            what.after
        );
        overcome.push(what);
        if fault == Fault::LeaderKilled && options.minutes.is_some() {
            tokio::time::sleep(EVERY.saturating_sub(started.elapsed())).await;
        }
    }
    let wild = end(plane, &change, overcome.len()).await?;
    clock.done(&format!("the same with {} faults", overcome.len()));
    // who led has begun before the faults
    let terms = terms(ours(plane, mark)?)?;
    print!("{}\n{}", table_of(began, &overcome), table_of_terms(began, &terms));
    same(&calm, &wild)?;
    clock.done(&format!(
        "{} processes have led one after another, none wrote without the Lease; both changes ended alike, by {} values",
        terms.len(),
        calm.len()
    ));
    if !options.short {
        policies_are_gone(plane, &[&calm_left, &change.revisions[0]]).await?;
        clock.done("the policies of the revisions that everybody has left are gone");
    }
    Ok(())
}

/// Waits until no policy is left of revisions that nobody follows: a minute after a workload was seen with one it is looked
/// for again.
async fn policies_are_gone(plane: &ControlPlane, revisions: &[&str]) -> Result<()> {
    let selector = format!("goldenpath.dev/revision in ({})", revisions.join(","));
    wait::until("policies that act on nobody to go", PATIENCE, async || {
        let kinds = "mutatingadmissionpolicies,mutatingadmissionpolicybindings";
        let left = plane.kubectl(["get", kinds, "-l", &selector, "-o", "name"]).await?;
        ensure!(left.is_empty(), "{left}");
        Ok(Some(()))
    })
    .await
}

/// Everything that a change ends in, once nothing is written any more.
async fn end(plane: &ControlPlane, change: &Change<'_>, steps: usize) -> Result<Vec<String>> {
    change.finish(steps).await?;
    let user = account(NAMESPACE, ACCOUNT);
    let is_its = |event: &AuditEvent| event.user == user && event.is_write_of_objects();
    plane.is_still(Duration::from_secs(3), PATIENCE, is_its).await?;
    let [old, new] = &change.revisions;
    outcome(plane, change.run, &[(old.clone(), LEFT), (new.clone(), "<new>")]).await
}

/// What the replicas sent that stores something.
fn ours(plane: &ControlPlane, mark: Mark) -> Result<Vec<AuditEvent>> {
    let user = account(NAMESPACE, ACCOUNT);
    Ok(plane.audit_since(mark)?.into_iter().filter(|event| event.user == user && event.is_write()).collect())
}

/// What faults are made with.
struct Storm<'a> {
    plane: &'a ControlPlane,
    client: &'a Client,
    servers: &'a mut Servers,
    nodes: &'a mut [Node],
}

impl Storm<'_> {
    /// One fault, while a step of a change is asked for.
    async fn blows(&mut self, fault: Fault, change: &Change<'_>, step: usize) -> Result<Overcome> {
        let (before, leader) = self.leader().await?;
        let node = self.nodes.iter().position(|node| node.name == leader.node).context("no such node")?;
        let (mark, at) = (self.plane.audit_mark()?, Timestamp::now());
        let answers = async {
            change.ask(step).await?;
            let asked = Timestamp::now();
            let (time, who) = answered(self.plane, mark, change, step).await?;
            anyhow::Ok((asked, time, who))
        };
        let (asked, answered, after) = match fault {
            Fault::LeaderKilled => {
                send(leader.pid, Signal::KILL)?;
                // what has died too often is started again only after minutes; another pod is started at once
                let delete = ["delete", "pod", "-n", NAMESPACE, &leader.name, "--grace-period=0", "--force"];
                self.plane.kubectl(delete).await?;
                answers.await?
            }
            Fault::LeaderCutOff => {
                cut(&leader.address).await?;
                let found = answers.await;
                run("nft", ["delete", "table", "inet", CUT]).await?;
                found?
            }
            Fault::KubeletKilled => {
                self.nodes[node].kubelet.kill().await?;
                let found = answers.await?;
                self.nodes[node].kubelet.again()?;
                found
            }
            Fault::ApiServerKilled | Fault::EtcdKilled => {
                let is_etcd = fault == Fault::EtcdKilled;
                let dies = if is_etcd { &mut self.servers.etcd } else { &mut self.servers.api };
                dies.kill().await?;
                let comes_back = async {
                    tokio::time::sleep(AWAY).await;
                    dies.again()
                };
                tokio::try_join!(answers, comes_back)?.0
            }
        };
        change.done(step).await?;
        let count = self.nodes.len();
        wait::until("every replica to be ready", PATIENCE, async || {
            let ready = pods::replicas(self.client, self.nodes).await?;
            ensure!(ready.len() == count, "{ready:?}");
            Ok(Some(()))
        })
        .await?;
        let seconds = |to: Timestamp| to.duration_since(at).as_secs_f64();
        Ok(Overcome {
            fault,
            at,
            before,
            after,
            asked: seconds(asked),
            answered: seconds(answered),
            whole: seconds(Timestamp::now()),
        })
    }

    /// The holder of the Lease, and its pod.
    async fn leader(&self) -> Result<(String, Replica)> {
        wait::until("a leader", PATIENCE, async || {
            let query = ["get", "lease", "goldenpath", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}"];
            let holder = self.plane.kubectl(query).await?;
            let pod = holder.split('_').next().unwrap_or_default();
            let all = pods::replicas(self.client, self.nodes).await?;
            let found = all.iter().find(|replica| replica.name == pod);
            let leader = found.with_context(|| format!("{holder} leads, and these are ready: {all:?}"))?.clone();
            Ok(Some((holder, leader)))
        })
        .await
    }
}

/// When somebody has adopted what a step brought, and who.
async fn answered(plane: &ControlPlane, mark: Mark, change: &Change<'_>, step: usize) -> Result<(Timestamp, String)> {
    let (namespace, name) = (format!("{}-late", change.run), late(step));
    wait::until(&format!("a leader to adopt {name}"), PATIENCE, async || {
        let found = ours(plane, mark)?.into_iter().find(|event| {
            event.resource == "deployments" && event.code < 300 && event.name == name && event.namespace == namespace
        });
        Ok(found.map(|event| (event.time, writer(&event).to_owned())))
    })
    .await
}

/// Drops what an address sends to the API server.
async fn cut(address: &str) -> Result<()> {
    run("nft", ["add", "table", "inet", CUT]).await?;
    run("nft", ["add", "chain", "inet", CUT, "cut", "{ type filter hook input priority 0 ; }"]).await?;
    run("nft", ["add", "rule", "inet", CUT, "cut", "ip", "saddr", address, "tcp", "dport", "6443", "drop"])
        .await
        .map(drop)
}

/// The end of a name says enough: `x7k2p_0a1b`.
fn short(who: &str) -> String {
    let (pod, process) = who.rsplit_once('_').unwrap_or((who, ""));
    format!("{}_{}", pod.rsplit('-').next().unwrap_or(pod), process.get(..4).unwrap_or(process))
}

fn after(began: Timestamp, time: Timestamp) -> String {
    format!("{:.1}", time.duration_since(began).as_secs_f64())
}

fn table_of(began: Timestamp, overcome: &[Overcome]) -> Table {
    let mut table = Table::new([
        "Fault",
        "at, s",
        "leader",
        "next writer",
        "all asked after, s",
        "first right write after, s",
        "all well after, s",
    ]);
    for one in overcome {
        let figures = [one.asked, one.answered, one.whole].map(|seconds| format!("{seconds:.1}"));
        let names = [one.fault.name().to_owned(), after(began, one.at), short(&one.before), short(&one.after)];
        table.row(names.into_iter().chain(figures));
    }
    table
}

fn table_of_terms(began: Timestamp, terms: &[Term]) -> Table {
    let heads = ["Writer", "from, s", "to, s", "writes of objects", "latest after a renewal, s", "nobody before it, s"];
    let mut table = Table::new(heads);
    let mut last: Option<Timestamp> = None;
    for term in terms {
        let nobody = last.map(|last| format!("{:.1}", term.from.duration_since(last).as_secs_f64()));
        let latest = format!("{:.1}", term.latest.as_secs_f64());
        let figures = [after(began, term.from), after(began, term.to), term.writes.to_string(), latest];
        table.row([short(&term.who)].into_iter().chain(figures).chain(nobody));
        last = Some(term.to);
    }
    table
}
