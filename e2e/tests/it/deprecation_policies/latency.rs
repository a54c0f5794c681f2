//! What Deprecations cost a team: creations of an object where no policy looks at it, where fifty do that do not match it,
//! and where one more does that matches.

use std::time::Instant;

use goldenpath::api::DeprecationStage::{UpdateBlocked, Warning};
use goldenpath_e2e::concurrency;
use k8s_openapi::api::apps::v1::Deployment;

use super::*;

const POLICIES: usize = 50;
const SAMPLES: usize = 200;
/// The most that they may add to the median, in milliseconds: all that do not match, and the one that does.
const MOST: [f64; 2] = [3.0, 2.0];
/// On a machine that does other things as well, one of so many has to keep it.
const ROUNDS: usize = 3;

#[tokio::test]
async fn fifty_deprecations_cost_a_request_three_milliseconds_and_one_that_matches_two() {
    concurrency::alone().await;
    let nobody = |host: &str| {
        format!("object.spec.template.spec.containers.exists(c, c.image.startsWith('{host}.example.com/'))")
    };
    let mut fifty = old(&nobody("nobody")).await;
    let mut one = old("object.spec.paused == true").await;
    let without = fifty.control_plane.namespace("latency").await.unwrap();
    // where the one is in force the fifty are as well
    let both =
        json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [fifty.namespace, one.namespace]});
    fifty.spec.matches[0].namespace_selector = serde_json::from_value(json!({"matchExpressions": [both]})).unwrap();
    for n in 1..=POLICIES {
        if n == POLICIES {
            // the API server hears of it last: when it refuses, they all do
            fifty.spec.matches[0].expression = Some(nobody("last"));
        }
        let compiled = fifty.compiled(&format!("latency-{n}"), UpdateBlocked, &[]);
        fifty.puts(compiled).await;
    }
    wait::until("all of them to be in force", TIMEOUT, async || {
        let said = fifty.dry_run("create", &deployment("last.example.com/a:1")).await;
        ensure!(said.refusal().is_some(), "{said:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
    one.is_in(Warning, &[], &deployment("example.com/a:1")).await;
    let namespaces = [&without, &fifty.namespace, &one.namespace];
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS && rounds.last().is_none_or(|added: &[f64; 2]| added[0] > MOST[0] || added[1] > MOST[1])
    {
        rounds.push(round(&one.client, namespaces).await);
    }
    fifty.ends().await;
    one.ends().await;
    let kept = rounds.last().unwrap();
    assert!(kept[0] <= MOST[0] && kept[1] <= MOST[1], "{rounds:?}");
}

async fn old(expression: &str) -> Old {
    let spec = json!({
        "matches": [{"expression": expression}],
        "replacement": {"fix": {"patch": {"spec": {"paused": false}}}},
        "timeline": {"warnAt": "2026-01-15T00:00:00Z", "blockCreateAt": "2026-03-01T00:00:00Z", "blockUpdateAt": "2026-05-15T00:00:00Z"},
    });
    Old::new("latency", &["deployments.v1.apps"], spec).await
}

/// What is added to the median of a creation that is not stored, in milliseconds: by the fifty, and by the one.
///
/// By turns in the three namespaces, so that what else the machine does falls on all of them.
async fn round(client: &Client, namespaces: [&String; 3]) -> [f64; 2] {
    let apis = namespaces.map(|namespace| Api::<Deployment>::namespaced(client.clone(), namespace));
    let object = serde_json::from_value(deployment("example.com/a:1")).unwrap();
    let params = PostParams { dry_run: true, field_manager: Some("team".to_owned()) };
    let mut times = [const { Vec::new() }; 3];
    for n in 0..SAMPLES + 20 {
        for (api, times) in apis.iter().zip(&mut times) {
            let start = Instant::now();
            api.create(&params, &object).await.unwrap();
            // the first ones warm up connection and caches
            if n >= 20 {
                times.push(start.elapsed());
            }
        }
    }
    let [without, fifty, one] = times.map(|mut times| {
        times.sort();
        times[SAMPLES / 2].as_secs_f64() * 1000.0
    });
    println!(
        "deprecations: p50 of a creation in ms: {without:.2} without, {fifty:.2} with {POLICIES} policies that do not match, {one:.2} with one more that does"
    );
    [fifty - without, one - fifty]
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"paused": true, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "image": image}, {"name": "b", "image": "example.com/b:1"}]},
        }},
    })
}
