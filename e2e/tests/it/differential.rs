//! What the API server makes of a request equals what the pure function expects, and is never worse than without us.
//!
//! Every request is a dry run three times: as the operator, on whom no policy acts (so the answer is the object exactly
//! as admission saw it, `managedFields` included), as the team, and on a twin that was never adopted. Then it is sent.

mod catalogue;
mod checks;
mod corpus;
mod defaults;
mod empties;
mod latency;
pub mod random;
mod requests;
mod second;
mod story;
mod strategic;
mod web_service;
mod workloads;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Result;
use futures::StreamExt;
use goldenpath::plan::leaf::{Road, RoadLeaf};
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
    cases: AtomicUsize,
    steps: AtomicUsize,
    refused: AtomicUsize,
    rescued: AtomicUsize,
    twins: AtomicUsize,
    unsure: AtomicUsize,
    emptied: AtomicUsize,
    seconds: AtomicUsize,
    parted: AtomicUsize,
}

impl Counts {
    fn add(count: &AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What to run: so many cases of a seed, or one of them.
#[derive(Clone, Copy)]
struct Plan {
    seed: u64,
    cases: usize,
    only: Option<(usize, usize)>,
}

impl Plan {
    /// The same cases everywhere, so that a change is judged by what it changes; other seeds are for looking further.
    fn read() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let only = variable("GOLDENPATH_CASE").map(|text| {
            let (path, story) =
                text.split_once('-').expect("GOLDENPATH_CASE is the number of a path, - and that of a story");
            (path.parse().unwrap(), story.parse().unwrap())
        });
        Self {
            seed: variable("GOLDENPATH_SEED").map_or(20_261_122, |text| text.parse().unwrap()),
            cases: variable("GOLDENPATH_CASES").map_or(32, |text| text.parse().unwrap()),
            only,
        }
    }

    fn paths(self) -> Vec<usize> {
        self.only.map_or_else(|| (0..self.cases.div_ceil(STORIES)).collect(), |(path, _)| vec![path])
    }

    /// Whether story `m` of path `n` is one of the cases.
    fn has(self, n: usize, m: usize) -> bool {
        self.only.map_or(n * STORIES + m < self.cases, |only| only == (n, m))
    }

    fn path_seed(self, n: usize) -> u64 {
        self.seed.wrapping_mul(1_000_003).wrapping_add(n as u64)
    }

    /// How to run one case again.
    fn again(self, n: usize, m: usize) -> String {
        let seed = self.seed;
        format!("GOLDENPATH_SEED={seed} GOLDENPATH_CASE={n}-{m} cargo test -p goldenpath-e2e --test it {NAME}")
    }
}

/// Name of the test below.
const NAME: &str = "the_api_server_and_the_pure_function_agree_and_nothing_gets_worse";
/// A failure has a long story: so many are told.
const SHOWN: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_and_the_pure_function_agree_and_nothing_gets_worse() {
    let plan = Plan::read();
    println!("differential: GOLDENPATH_SEED={} GOLDENPATH_CASES={}", plan.seed, plan.cases);
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let mut spaces = Vec::new();
    for name in ["road", "twin", "second"] {
        spaces.push(control_plane.namespace(name).await.unwrap());
    }
    let spaces = [0, 1, 2].map(|n| spaces[n].as_str());
    let (counts, started) = (Counts::default(), Instant::now());
    let paths = futures::stream::iter(plan.paths()).map(|n| {
        let (client, counts) = (&client, &counts);
        async move {
            let failures = path(client, spaces, counts, plan, n).await;
            // the path itself: its policies are not accepted, or not in force
            failures
                .unwrap_or_else(|error| vec![(0, format!("{error:#}"))])
                .into_iter()
                .map(move |(m, why)| format!("case {n}-{m}: {why}\n  run it again: {}", plan.again(n, m)))
        }
    });
    let failures: Vec<String> = paths.buffer_unordered(3).collect::<Vec<_>>().await.into_iter().flatten().collect();
    let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!(
        "differential: {} cases, {} requests, {} refused alike; {} steps compared, {} of them with a twin, {} accepted \
         thanks to a yield, {} with a value that may be either's, {} with one set to be empty; {} times the fallback engine made the same, and \
         {} workloads came to what it cannot do; {:.0?}",
        read(&counts.cases),
        read(&requests::SENT),
        read(&counts.refused),
        read(&counts.steps),
        read(&counts.twins),
        read(&counts.rescued),
        read(&counts.unsure),
        read(&counts.emptied),
        read(&counts.seconds),
        read(&counts.parted),
        started.elapsed()
    );
    for failure in failures.iter().take(SHOWN) {
        println!("{failure}\n");
    }
    let which: Vec<&str> = failures.iter().filter_map(|f| f.split(':').next()).collect();
    assert!(failures.is_empty(), "GOLDENPATH_SEED={}: {} cases fail: {}", plan.seed, failures.len(), which.join(", "));
}

/// One path with its policies, and the workloads on it. Failures come with the number of their story.
async fn path(
    client: &Client,
    spaces: [&str; 3],
    counts: &Counts,
    plan: Plan,
    n: usize,
) -> Result<Vec<(usize, String)>> {
    let seed = plan.path_seed(n);
    let mut random = Random::new(seed);
    // loud policies show a wrong expression as a refused request; the original would only leave the gap open
    let loud = !n.is_multiple_of(4);
    let path = revisions(client, spaces[0], seed, &mut random).await;
    let mut policies = InForce::new(client);
    let roads = [
        (path.revision(1), path.first.clone(), Kind::Revision),
        (path.revision(2), path.second.clone(), Kind::Revision),
        (path.release(), path.second.release(), Kind::Release),
    ];
    policies.add(spaces[0], &roads, loud).await?;
    let seeds: Vec<(usize, u64)> = (0..STORIES).map(|m| (m, random.next())).collect();
    let stories = futures::stream::iter(seeds.into_iter().filter(|(m, _)| plan.has(n, *m))).map(|(m, seed)| {
        let path = &path;
        async move {
            Counts::add(&counts.cases);
            let mut random = Random::new(seed);
            let mut story = Story::new(client, path, counts, spaces, &format!("w{n}-{m}"), &mut random);
            let error = story.run(&mut random, STEPS).await.err()?;
            Some((m, format!("{error:#}\n  {}\n  {}", story.log.join("\n  "), described(&path.second))))
        }
    });
    let failures: Vec<Option<(usize, String)>> = stories.buffer_unordered(4).collect().await;
    policies.remove().await?;
    Ok(failures.into_iter().flatten().collect())
}

fn described(road: &Road) -> String {
    let line = |l: &RoadLeaf| format!("\n   {} {:?} formerly {:?}", l.leaf.field(None), l.wishes, l.formerly);
    format!("road: {}", road.0.iter().map(line).collect::<String>())
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
