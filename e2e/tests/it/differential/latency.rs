//! What a policy costs a team: creates and updates of adopted and of unadopted Deployments, interleaved.

use std::time::{Duration, Instant};

use goldenpath::api::{WorkloadKind, labels};
use goldenpath_e2e::road::{InForce, Kind, canonical};
use goldenpath_e2e::{ControlPlane, concurrency, wait};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::requests::{Call, Target, Verb, Who, send};
use super::web_service;

const REVISION: &str = "latency-web";
const SAMPLES: usize = 400;
/// The most that the median of an adopted workload's request may be, in medians of an unadopted one's.
const MOST: f64 = 2.0;
/// On a machine that does other things as well, one of so many has to keep it.
const ROUNDS: usize = 3;

#[tokio::test]
async fn latency_of_an_adopted_workload_is_at_most_twice_that_of_another() {
    concurrency::alone().await;
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespace = control_plane.namespace("latency").await.unwrap();
    let road = canonical(&client, &namespace, &web_service::road()).await.unwrap();
    assert_eq!(road.0.len(), 18);
    let mut policies = InForce::new(&client);
    let revisions = [(REVISION.to_owned(), road, Kind::Revision)];
    policies.add(&namespace, &revisions, false).await.unwrap();
    let mut rounds = Vec::new();
    // what else the machine does falls on both sides, but not evenly: a true regression shows in every round
    while rounds.len() < ROUNDS && rounds.last().is_none_or(|ratios: &[f64; 2]| ratios.iter().any(|r| *r > MOST)) {
        rounds.push(round(&client, &namespace, rounds.len()).await);
    }
    policies.remove().await.unwrap();
    assert!(rounds.last().unwrap().iter().all(|ratio| *ratio <= MOST), "{rounds:?}");
}

/// Creates, then updates the images of, new Deployments; gives the ratio of each.
async fn round(client: &Client, namespace: &str, number: usize) -> [f64; 2] {
    // create, update of the image; unadopted, adopted
    let mut times = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for (step, image) in ["1", "2"].into_iter().enumerate() {
        for n in 0..SAMPLES + 5 {
            for adopted in [0, 1] {
                let took = timed(client, namespace, image, &format!("w{number}-{n}"), adopted == 1).await;
                // the first ones warm up connection and caches
                if n >= 5 {
                    times[step][adopted].push(took);
                }
            }
        }
        // an update that meets the controller's own is done twice by the API server
        settled(client, namespace).await;
    }
    println!("latency: 18 leaves, 3 containers, {SAMPLES} samples each, ms (p50, p95)");
    println!("latency:           unadopted        adopted   ratio of p50");
    let mut ratios = [0.0; 2];
    for ((what, [without, with]), kept) in ["create", "update"].iter().zip(&mut times).zip(&mut ratios) {
        *kept = at(with, 50) / at(without, 50);
        println!(
            "latency: {what}   {:6.1} {:6.1}  {:6.1} {:6.1}   {kept:.2}",
            at(without, 50),
            at(without, 95),
            at(with, 50),
            at(with, 95)
        );
    }
    ratios
}

/// A percentile in milliseconds.
fn at(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times[times.len() * percent / 100].as_secs_f64() * 1000.0
}

async fn settled(client: &Client, namespace: &str) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    wait::until("the Deployment controller to see every generation", Duration::from_mins(1), async || {
        let all = deployments.list(&ListParams::default()).await?;
        let seen = |d: &Deployment| d.status.as_ref().and_then(|s| s.observed_generation) == d.metadata.generation;
        Ok(all.items.iter().all(seen).then_some(()))
    })
    .await
    .unwrap();
}

async fn timed(client: &Client, namespace: &str, image: &str, name: &str, adopted: bool) -> Duration {
    let name = format!("{name}-{adopted}");
    let mut body = manifest(&name, image);
    if adopted {
        body["metadata"]["labels"] = json!({labels::REVISION: REVISION});
    }
    let target = Target { kind: WorkloadKind::Deployment, namespace: namespace.to_owned(), name };
    // server-side apply for both: the same manager creates and updates
    let call = Call { verb: Verb::Apply, manager: "team", body };
    let start = Instant::now();
    let answer = send(client, &target, &call, Who::Team, false).await.unwrap();
    let took = start.elapsed();
    let object = answer.accepted().unwrap();
    let mounts = &object["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
    assert_eq!(mounts.is_array(), adopted, "{object}");
    took
}

fn manifest(name: &str, image: &str) -> Value {
    let container = |c: &str| {
        json!({
            "name": c, "image": format!("example.com/{c}:{image}"), "args": ["--serve"],
            "env": [{"name": "MODE", "value": "production"}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
        })
    };
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            // no pods: their creation would be measured as well
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container("app"), container("proxy"), container("log")]},
            },
        },
    })
}
