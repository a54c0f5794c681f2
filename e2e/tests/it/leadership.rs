//! Two replicas: one writes, the other watches and takes over. A story has a control plane of its own, since the operator of
//! the other stories is elected by nobody.

use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath_e2e::audit::{AuditEvent, account};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::replicas::Replicas;
use goldenpath_e2e::wait;

/// How long a change may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// The promise about a leader that leaves, and about one that dies; twice that on a machine that runs other stories.
const LEAVES: Duration = Duration::from_secs(2);
const DIES: Duration = Duration::from_secs(12);

#[tokio::test]
async fn one_of_two_replicas_writes_and_the_other_takes_over() -> Result<()> {
    let (cluster, mark, mut first, mut second) = Replicas::led().await?;
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
    wait::until("a new Lease", PATIENCE, async || Ok((cluster.holder().await? == "third").then_some(()))).await?;
    ensure!(cluster.answered("again").await?.1 == "third" && third.is_alive(), "{}", third.log());
    cluster.one_at_a_time(mark)
}

/// Nothing is written while nothing happens, but the Lease.
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
    Ok(())
}

#[tokio::test]
async fn a_leader_that_was_stopped_in_the_middle_writes_nothing_afterwards() -> Result<()> {
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
    cluster.one_at_a_time(mark)
}
