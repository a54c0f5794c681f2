//! Faults drawn by a seed, on every kind at once, while workloads come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::audit;
use goldenpath_e2e::fault_proxy::{Action, Disturbance, Fault, Refusal, Target};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::wait;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{Cluster, Fleet, PATIENCE};
use crate::differential::random::Random;

/// Faults that each watch meets. Pauses double from one to the next, so that a fourth would take half a minute more.
const FAULTS: usize = 3;
/// Workloads of a kind that come and go. Few, so that names come back.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What the next request of a watch meets. A hang would take 30 s; it has stories of its own.
fn action(random: &mut Random) -> Action {
    let refusals = [
        Refusal::EXPIRED,
        Refusal::TOO_MANY_REQUESTS,
        Refusal::TOO_MANY_REQUESTS.retry_after(1),
        Refusal::INTERNAL_ERROR,
        Refusal::SERVICE_UNAVAILABLE,
        Refusal::FORBIDDEN,
    ];
    match random.below(6) {
        0 | 1 => Action::Refuse(*random.pick(&refusals)),
        2 => Action::Close,
        3 => Action::Cut { after: random.below(2000) },
        4 => Action::DropReply,
        _ => Action::Delay(Duration::from_millis(random.next() % 500)),
    }
}

/// How a running watch ends, so that there is a next request.
fn end(random: &mut Random) -> Disturbance {
    match random.below(3) {
        0 => Disturbance::End,
        1 => Disturbance::Cut { after: 0 },
        // Half an event, and the end.
        _ => Disturbance::Cut { after: random.below(1000) },
    }
}

/// Every fault of one watch: drawn from the seed and the resource alone, whatever the others do.
async fn harm(fleet: &Fleet, resource: &str, seed: u64) {
    let mut random = Random::new(seed ^ resource.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte)));
    for _ in 0..FAULTS {
        let (action, end) = (action(&mut random), end(&mut random));
        println!("{resource}: {end:?}, then {action:?}");
        // Of any verb: after an expired version it meets the list.
        let fault = fleet.proxy.fault(Fault::new(Target::any(resource), action).nth(1));
        fleet.disturb(resource, end).await;
        let met = async || Ok((fault.met() > 0).then_some(()));
        wait::until(&format!("{resource} to meet its fault"), PATIENCE, met).await.unwrap();
    }
}

/// Makes and deletes workloads of all kinds and changes the namespace, for ever.
async fn churn(fleet: &Fleet, seed: u64) {
    let mut random = Random::new(seed);
    let mut there = BTreeSet::new();
    let namespaces: Api<Namespace> = Api::all(fleet.client.clone());
    // As fast as an application team may be; the API server shall not be the bottleneck.
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    loop {
        pace.tick().await;
        let name = *random.pick(&NAMES);
        let Some(kind) = WorkloadKind::ALL.get(random.below(WorkloadKind::ALL.len() + 1)).copied() else {
            let note = Patch::Merge(json!({"metadata": {"annotations": {"note": random.next().to_string()}}}));
            namespaces.patch(&fleet.namespace, &PatchParams::default(), &note).await.unwrap();
            continue;
        };
        if there.remove(&(kind.plural(), name)) {
            fleet.delete(kind, name).await;
        } else {
            fleet.create(kind, name).await;
            there.insert((kind.plural(), name));
        }
    }
}

#[tokio::test]
async fn counts_are_right_after_any_faults_and_nothing_was_written() {
    let seed = std::env::var("GOLDENPATH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    println!("faults: GOLDENPATH_SEED={seed}");
    let fleet = Fleet::new().await;
    let control_plane = &Cluster::shared().await.control_plane;
    let mark = control_plane.audit_mark().unwrap();
    let resources = ["deployments", "statefulsets", "daemonsets", "cronjobs", "namespaces"];
    let harms = join_all(resources.map(|resource| harm(&fleet, resource, seed)));
    tokio::select! {
        _ = harms => (),
        () = churn(&fleet, seed) => (),
    }
    fleet.equals_a_recount().await;
    let mut events = control_plane.audit_since(mark).unwrap();
    events.retain(|event| event.namespace == fleet.namespace);
    let writes = audit::writes(&events, &audit::account(NAMESPACE, ACCOUNT));
    assert_eq!(writes.total(), 0, "GOLDENPATH_SEED={seed}: {writes}");
}
