//! What Deprecations cost a team: creations of an object with no policy, with fifty that do not match it, and with one
//! more that does.

use std::time::Instant;

use goldenpath::api::DeprecationStage::{UpdateBlocked, Warning};

use super::*;

const POLICIES: usize = 50;
const SAMPLES: usize = 200;
/// The most that they may add to the median, in milliseconds: all that do not match, and the one that does.
const MOST: [f64; 2] = [3.0, 2.0];
/// On a machine that does other things as well, one of so many has to keep it.
const ROUNDS: usize = 3;

#[tokio::test]
async fn fifty_deprecations_cost_a_request_three_milliseconds_and_one_that_matches_two() {
    let spec = |expression: &str| {
        json!({
            "matches": [{"expression": expression}],
            "replacement": {"fix": {"patch": {"spec": {"paused": false}}}},
            "timeline": {"warnAt": "2026-01-15T00:00:00Z", "blockCreateAt": "2026-03-01T00:00:00Z", "blockUpdateAt": "2026-05-15T00:00:00Z"},
        })
    };
    let expression = "object.spec.template.spec.containers.exists(c, c.image.startsWith('nobody.example.com/'))";
    let mut others = Old::new("latency", &["deployments.v1.apps"], spec(expression)).await;
    let mut one = Old::new("latency", &["deployments.v1.apps"], spec("object.spec.paused == true")).await;
    // both in one namespace: the request is the same, what is in force is not
    one.namespace.clone_from(&others.namespace);
    one.spec.matches[0].namespace_selector.clone_from(&others.spec.matches[0].namespace_selector);
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS && rounds.last().is_none_or(|added: &[f64; 2]| added[0] > MOST[0] || added[1] > MOST[1])
    {
        rounds.push(round(&mut others, &mut one).await);
    }
    let kept = rounds.last().unwrap();
    assert!(kept[0] <= MOST[0] && kept[1] <= MOST[1], "{rounds:?}");
}

/// What is added by each, in milliseconds.
async fn round(others: &mut Old, one: &mut Old) -> [f64; 2] {
    let probe = deployment("nobody.example.com/a:1");
    let without = median(others).await;
    for n in 1..POLICIES {
        let compiled = others.compiled(&format!("latency-{n}"), UpdateBlocked, &[]);
        others.puts(compiled).await;
    }
    let compiled = others.compiled("latency-last", UpdateBlocked, &[]);
    others.puts(compiled).await;
    in_force(others, &probe, "latency-last").await;
    let not_matching = median(others).await;
    one.is_in(Warning, &[], &deployment("example.com/a:1")).await;
    let matching = median(others).await;
    one.lifts(&deployment("example.com/a:1")).await;
    others.lifts(&probe).await;
    let after = median(others).await;
    let without = without.min(after);
    println!(
        "deprecations: p50 of a creation in ms: {without:.2} without, {not_matching:.2} with {POLICIES} policies that do not match, {matching:.2} with one more that does"
    );
    [not_matching - without, matching - not_matching]
}

async fn in_force(old: &Old, probe: &Value, name: &str) {
    wait::until("all of them to be in force", TIMEOUT, async || {
        let said = old.dry_run("create", probe).await;
        ensure!(said.refusal().is_some(), "{name}: {said:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
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

/// The median of a creation that is not stored, in milliseconds.
async fn median(old: &Old) -> f64 {
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(old.client.clone(), &old.namespace);
    let object = serde_json::from_value(deployment("example.com/a:1")).unwrap();
    let params = PostParams { dry_run: true, field_manager: Some("team".to_owned()) };
    let mut times = Vec::new();
    for n in 0..SAMPLES + 20 {
        let start = Instant::now();
        deployments.create(&params, &object).await.unwrap();
        // the first ones warm up connection and caches
        if n >= 20 {
            times.push(start.elapsed());
        }
    }
    times.sort();
    times[SAMPLES / 2].as_secs_f64() * 1000.0
}
