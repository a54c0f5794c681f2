//! The same claim for workloads that others have written.

use std::collections::BTreeMap;

use futures::StreamExt;
use goldenpath::api::WorkloadKind;
use goldenpath::plan::leaf::Road;
use goldenpath_e2e::road::{InForce, Kind, canonical};
use goldenpath_e2e::{ControlPlane, corpus};
use kube::Client;
use serde_json::{Value, json};

use super::checks::{changed_effects, differences, expected, team_view};
use super::requests::{Answer, Call, Target, Verb, Who, send};
use super::web_service;
use super::workloads::template;

const REVISION: &str = "corpus-web";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_over_real_manifests() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespace = control_plane.namespace("corpus").await.unwrap();
    let road = canonical(&client, &namespace, &web_service::road()).await.unwrap();
    let mut policies = InForce::new(&client);
    let revisions = [(REVISION.to_owned(), road.clone(), Kind::Revision)];
    policies.add(&namespace, &revisions, true).await.unwrap();
    let workloads: Vec<(String, Value)> = corpus()
        .unwrap()
        .into_iter()
        .flat_map(|file| file.documents.into_iter().map(move |d| (file.name.clone(), d)))
        .filter(|(_, d)| kind_of(d).is_some())
        .collect();
    let checks = futures::stream::iter(&workloads).map(|(file, workload)| {
        let (client, namespace, road) = (&client, &namespace, &road);
        async move {
            let name = format!("{file}: {} {}", workload["kind"], workload["metadata"]["name"]);
            check(client, namespace, road, workload).await.map_err(|why| format!("{name}: {why}"))
        }
    });
    let results: Vec<Result<&str, String>> = checks.buffer_unordered(8).collect().await;
    policies.remove().await.unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for what in results.iter().flatten() {
        *counts.entry(what).or_default() += 1;
    }
    println!("differential: {} workloads of the corpus, {counts:?}", workloads.len());
    let failures: Vec<&String> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

fn kind_of(document: &Value) -> Option<WorkloadKind> {
    let kind: WorkloadKind = serde_json::from_value(document["kind"].clone()).ok()?;
    (document["apiVersion"] == kind.api_version()).then_some(kind)
}

async fn check(client: &Client, namespace: &str, road: &Road, workload: &Value) -> Result<&'static str, String> {
    let kind = kind_of(workload).unwrap();
    let name = workload["metadata"]["name"].as_str().unwrap_or_default();
    let target = Target { kind, namespace: namespace.to_owned(), name: name.to_owned() };
    let create = async |revision: Option<&str>| {
        let mut body = workload.clone();
        body["metadata"]["namespace"] = json!(namespace);
        if let Some(revision) = revision {
            body["metadata"]["labels"]["goldenpath.dev/revision"] = json!(revision);
        }
        let call = Call { verb: Verb::Create, manager: "kubectl-create", body };
        send(client, &target, &call, Who::Team, true).await.map_err(|e| e.to_string())
    };
    let (without, made) = (create(None).await?, create(Some(REVISION)).await?);
    let (without, made) = match (without, made) {
        (Answer::Accepted(without), Answer::Accepted(made)) => (without, made),
        (Answer::Accepted(_), Answer::Refused(why)) => return Err(format!("WORSE: {why}")),
        (Answer::Refused(_), Answer::Accepted(_)) => return Ok("accepted thanks to the road"),
        (Answer::Refused(_), Answer::Refused(_)) => return Ok("refused alike"),
    };
    let expected = expected(kind, &without, Some(road));
    let differing = differences(&expected, template(kind, &made));
    if !differing.is_empty() {
        return Err(format!("UNEQUAL: {differing:#?}"));
    }
    let gone = differences(&team_view(kind, &made, road), template(kind, &without));
    if !gone.is_empty() {
        return Err(format!("RELEASE: {gone:#?}"));
    }
    let changed = changed_effects(kind, &without, &made);
    if !changed.is_empty() {
        return Err(format!("EFFECT: {changed:#?}"));
    }
    Ok(if differences(template(kind, &without), template(kind, &made)).is_empty() {
        "equal, nothing filled"
    } else {
        "equal, filled"
    })
}
