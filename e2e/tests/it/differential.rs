//! What the API server makes of a request equals what the pure function expects, and is never worse than without us.
//!
//! Every request is a dry run three times: as the operator, on whom no policy acts (so the answer is the object exactly
//! as admission saw it, `managedFields` included), as the team, and on a twin that was never adopted. Then it is sent.

mod catalogue;
mod checks;
mod corpus;
mod defaults;
mod latency;
pub mod random;
mod requests;
mod story;
mod strategic;
mod web_service;
mod workloads;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Result;
use futures::StreamExt;
use goldenpath::plan::leaf::Road;
use goldenpath::plan::probe;
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::road::{InForce, Kind, canonical};
use kube::Client;

use checks::roots_that_cannot_start;
use defaults::Theme;
use random::Random;
use story::{Path, Story};

/// Workloads of one path, and steps of one workload.
const STORIES: usize = 12;
const STEPS: usize = 9;

/// What was looked at.
#[derive(Default)]
pub struct Counts {
    steps: AtomicUsize,
    refused: AtomicUsize,
    rescued: AtomicUsize,
    twins: AtomicUsize,
}

impl Counts {
    fn add(count: &AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_and_the_pure_function_agree_and_nothing_gets_worse() {
    // the same cases everywhere, so that a change is judged by what it changes; other seeds are for looking further
    let seed = number("GOLDENPATH_SEED").unwrap_or(20_261_122);
    let cases = usize::try_from(number("GOLDENPATH_CASES").unwrap_or(32)).unwrap();
    println!("differential: GOLDENPATH_SEED={seed} GOLDENPATH_CASES={cases}");
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let spaces = (control_plane.namespace("road").await.unwrap(), control_plane.namespace("twin").await.unwrap());
    let (counts, started) = (Counts::default(), Instant::now());
    let paths = futures::stream::iter(0..cases.div_ceil(STORIES)).map(|n| {
        let (client, spaces, counts) = (&client, (spaces.0.as_str(), spaces.1.as_str()), &counts);
        async move {
            let seed = seed.wrapping_mul(1_000_003).wrapping_add(n as u64);
            path(client, spaces, counts, seed, n).await.unwrap()
        }
    });
    let failures: Vec<Vec<String>> = paths.buffer_unordered(3).collect().await;
    let failures: Vec<String> = failures.into_iter().flatten().collect();
    let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!(
        "differential: {cases} cases, {} requests, {} refused alike; {} steps compared, {} of them with a twin, {} accepted thanks to a yield, {:.0?}",
        read(&requests::SENT),
        read(&counts.refused),
        read(&counts.steps),
        read(&counts.twins),
        read(&counts.rescued),
        started.elapsed()
    );
    for failure in failures.iter().take(number("GOLDENPATH_SHOW").map_or(5, |n| n.try_into().unwrap())) {
        println!("{failure}\n");
    }
    assert!(failures.is_empty(), "{} of {cases} cases fail; GOLDENPATH_SEED={seed}", failures.len());
}

/// One path with its policies, and the workloads on it.
async fn path(client: &Client, spaces: (&str, &str), counts: &Counts, seed: u64, n: usize) -> Result<Vec<String>> {
    let mut random = Random::new(seed);
    // loud policies show a wrong expression as a refused request; the original would only leave the gap open
    let loud = !n.is_multiple_of(4);
    let path = revisions(client, spaces.0, seed, &mut random).await;
    let mut policies = InForce::new(client);
    let roads = [
        (path.revision(1), path.first.clone(), Kind::Revision),
        (path.revision(2), path.second.clone(), Kind::Revision),
        (path.release(), path.second.release(), Kind::Release),
    ];
    policies.add(spaces.0, &roads, loud).await?;
    let stories = futures::stream::iter(0..STORIES).map(|m| {
        let (path, seed) = (&path, random.next());
        async move {
            let mut random = Random::new(seed);
            let name = format!("w{n}-{m}");
            let mut story = Story::new(client, path, counts, spaces, &name, &mut random);
            let mut run = async || -> Result<()> {
                if story.create(&mut random).await? {
                    for _ in 0..STEPS {
                        story.step(&mut random).await?;
                    }
                }
                Ok(())
            };
            let result = run().await;
            result.err().map(|error| {
                let mut log = story.log.clone();
                log.push(format!(
                    "road: {}",
                    path.second
                        .0
                        .iter()
                        .map(|l| format!("\n   {} {:?} formerly {:?}", l.leaf.field(None), l.wishes, l.formerly))
                        .collect::<String>()
                ));
                format!("{name}: {error:#}\n  {}", log.join("\n  "))
            })
        }
    });
    let failures: Vec<Option<String>> = stories.buffer_unordered(4).collect().await;
    policies.remove().await?;
    Ok(failures.into_iter().flatten().collect())
}

/// Two revisions of a random path that the API server accepts.
async fn revisions(client: &Client, namespace: &str, seed: u64, random: &mut Random) -> Path {
    for _ in 0..200 {
        let theme = Theme::random(random);
        let first = theme.revision(random);
        let second = theme.revision(random);
        let (first, second) = (canonical(client, namespace, &first).await, canonical(client, namespace, &second).await);
        // a path that starts nothing is not worth following
        let starts = |road: &Road| roots_that_cannot_start(&probe::written_out(road)["spec"]["template"]).is_empty();
        if let (Ok(first), Ok(mut second)) = (first, second) {
            if !starts(&first) || !starts(&second) {
                continue;
            }
            second.remember(&first);
            return Path { name: format!("differential-{seed:x}"), first, second };
        }
    }
    panic!("no valid path in 200");
}
