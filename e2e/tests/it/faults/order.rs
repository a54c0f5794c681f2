//! What comes late, twice, out of order or not at all: counts neither double nor get lost, and an old read never undoes a
//! newer fact.

use std::cell::RefCell;
use std::time::Duration;

use goldenpath::api::WorkloadKind::Deployment;
use goldenpath_e2e::fault_proxy::{Action, Disturbance, Fault, Refusal, Target};
use goldenpath_e2e::wait;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{BROKEN, Fleet, PATIENCE, event, same};

/// Lets the watch expire while nobody looks, so that everything is listed again. `meanwhile` happens in between.
async fn relisted(fleet: &Fleet, meanwhile: impl Future<Output = ()>) {
    let before = full_lists(fleet);
    let closed = fleet.proxy.fault(Fault::new(Target::any(BROKEN), Action::Close));
    let expired = fleet.proxy.fault(Fault::new(Target::watch(BROKEN), Action::Refuse(Refusal::EXPIRED)));
    fleet.disturb(BROKEN, Disturbance::Cut { after: 0 }).await;
    meanwhile.await;
    // From here on the older fault is gone and the younger one acts.
    drop(closed);
    let met = async || Ok((expired.met() > 0).then_some(()));
    wait::until("the watch to be answered 410", PATIENCE, met).await.unwrap();
    drop(expired);
    let listed = async || Ok((full_lists(fleet) > before).then_some(()));
    wait::until("a full list", PATIENCE, listed).await.unwrap();
}

/// Full lists that were answered.
fn full_lists(fleet: &Fleet) -> usize {
    let exchanges = fleet.proxy.exchanges(&Target::any(BROKEN));
    exchanges.iter().filter(|exchange| exchange.request.is_full_list() && exchange.code == Some(200)).count()
}

/// One more Deployment that is counted: every line before it has been taken in by then.
async fn marker(fleet: &Fleet, expected: usize) {
    fleet.create(Deployment, "marker").await;
    fleet.counts(Deployment, expected).await;
}

async fn live(fleet: &Fleet, name: &str) -> Value {
    serde_json::to_value(fleet.api(Deployment).get(name).await.unwrap()).unwrap()
}

#[tokio::test]
async fn counts_stay_while_everything_is_listed_again_after_410() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two", "three"]).await;
    // The watch after this one is answered 410, and the list after that takes its time: a dip or a bump would show.
    let expired = Fault::new(Target::watch(BROKEN), Action::Refuse(Refusal::EXPIRED)).nth(1);
    let drip = Action::Drip { bytes: 200, pause: Duration::from_millis(10) };
    let slow = Fault::new(Target::watch(BROKEN), drip).nth(2);
    let _faults = [fleet.proxy.fault(expired), fleet.proxy.fault(slow)];
    let before = full_lists(&fleet);
    fleet.disturb(BROKEN, Disturbance::End).await;
    let list = || {
        let watches = fleet.proxy.exchanges(&Target::watch(BROKEN)).into_iter();
        watches.filter(|e| e.request.is_full_list() && e.code == Some(200)).nth(before)
    };
    wait::until("the list to begin", PATIENCE, async || Ok(list())).await.unwrap();
    let seen = RefCell::new(Vec::new());
    wait::until("the list to end", PATIENCE, async || {
        let counted = fleet.counted(Deployment).await?;
        seen.borrow_mut().push(counted);
        Ok(list().and_then(|list| list.ended))
    })
    .await
    .unwrap();
    let seen = seen.into_inner();
    assert!(seen.len() > 2, "the list was too quick to be looked at");
    assert!(seen.iter().all(|counted| same(*counted, 3)), "{seen:?}");
    marker(&fleet, 4).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn deletions_that_nobody_saw_are_found_by_the_next_list() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two", "three"]).await;
    relisted(&fleet, async {
        fleet.delete(Deployment, "one").await;
        fleet.delete(Deployment, "two").await;
    })
    .await;
    fleet.counts(Deployment, 1).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn deletions_during_a_short_break_are_found_without_a_list() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    let before = full_lists(&fleet);
    let closed = fleet.proxy.fault(Fault::new(Target::any(BROKEN), Action::Close));
    fleet.disturb(BROKEN, Disturbance::Cut { after: 0 }).await;
    fleet.delete(Deployment, "one").await;
    drop(closed);
    fleet.counts(Deployment, 1).await;
    assert_eq!(full_lists(&fleet), before);
}

#[tokio::test]
async fn a_workload_that_went_and_came_back_while_nobody_looked_is_counted_once() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    relisted(&fleet, async {
        fleet.delete(Deployment, "one").await;
        fleet.create(Deployment, "one").await;
    })
    .await;
    marker(&fleet, 3).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn ten_expired_watches_in_a_row_leave_the_counts_right() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one"]).await;
    // Pauses grow from one refusal to the next; after each list the next watch is refused again.
    for round in 0..10 {
        let expired = Fault::new(Target::watch(BROKEN), Action::Refuse(Refusal::EXPIRED)).nth(1);
        let expired = fleet.proxy.fault(expired);
        let before = full_lists(&fleet);
        fleet.disturb(BROKEN, Disturbance::End).await;
        let listed = async || Ok((expired.met() > 0 && full_lists(&fleet) > before).then_some(()));
        wait::until(&format!("list {round}"), PATIENCE, listed).await.unwrap();
    }
    marker(&fleet, 2).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn an_old_frame_does_not_undo_a_newer_fact() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one"]).await;
    let old = live(&fleet, "one").await;
    let other = format!("{}-other", fleet.team);
    let moved = Patch::Merge(json!({"metadata": {"labels": {"goldenpath.dev/team": other}}}));
    fleet.api(Deployment).patch("one", &PatchParams::default(), &moved).await.unwrap();
    fleet.counts(Deployment, 0).await;

    fleet.tell(BROKEN, event("MODIFIED", &old)).await;
    marker(&fleet, 1).await;
    let labels = [("team", other.as_str()), ("kind", "Deployment")];
    let moved = fleet.metric("goldenpath_unclaimed_workloads", &labels).await.unwrap();
    assert!(same(moved, 1), "{moved}");
}

#[tokio::test]
async fn an_old_frame_does_not_bring_back_what_was_deleted() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    let old = live(&fleet, "one").await;
    fleet.delete(Deployment, "one").await;
    fleet.counts(Deployment, 1).await;

    fleet.tell(BROKEN, event("ADDED", &old)).await;
    fleet.tell(BROKEN, event("MODIFIED", &old)).await;
    marker(&fleet, 2).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn an_old_frame_does_not_bring_back_what_a_list_has_swept_away() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    let old = live(&fleet, "one").await;
    relisted(&fleet, fleet.delete(Deployment, "one")).await;
    fleet.counts(Deployment, 1).await;

    fleet.tell(BROKEN, event("MODIFIED", &old)).await;
    marker(&fleet, 2).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn an_old_deletion_does_not_remove_what_was_made_anew() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one"]).await;
    let old = live(&fleet, "one").await;
    fleet.delete(Deployment, "one").await;
    fleet.counts(Deployment, 0).await;
    fleet.create(Deployment, "one").await;
    fleet.counts(Deployment, 1).await;

    fleet.tell(BROKEN, event("DELETED", &old)).await;
    marker(&fleet, 2).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn a_frame_that_comes_three_times_is_counted_once() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one"]).await;
    let object = live(&fleet, "one").await;
    for kind in ["ADDED", "ADDED", "MODIFIED"] {
        fleet.tell(BROKEN, event(kind, &object)).await;
    }
    marker(&fleet, 2).await;
    fleet.equals_a_recount().await;
}

/// Where a watch goes on is told by the newest line, not by the last one: a line from the past must not lead back there.
#[tokio::test]
async fn a_watch_goes_on_from_the_newest_line_and_not_from_an_old_one() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one"]).await;
    let old = live(&fleet, "one").await;
    let newest = fleet.create(Deployment, "two").await.metadata.resource_version.unwrap();
    fleet.counts(Deployment, 2).await;
    fleet.tell(BROKEN, event("MODIFIED", &old)).await;
    fleet.disturb(BROKEN, Disturbance::End).await;
    let before = fleet.proxy.exchanges(&Target::watch(BROKEN)).len();
    let again = async || Ok(fleet.proxy.exchanges(&Target::watch(BROKEN)).get(before).cloned());
    let query = wait::until("the next watch", PATIENCE, again).await.unwrap().request.query;
    let version = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
    let version: u64 = version.unwrap_or_default().parse().unwrap_or_else(|_| panic!("no version in {query}"));
    assert!(version >= newest.parse::<u64>().unwrap(), "{query}, the newest was {newest}");
}
