//! The benchmark on a fleet so small that only the harness is tested: a harness that nobody runs is soon broken.

use anyhow::Result;
use goldenpath_e2e::bench::{Settings, run};
use goldenpath_e2e::concurrency;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_measurement_of_the_benchmark_runs_to_its_end() -> Result<()> {
    concurrency::among_few().await;
    let settings = Settings {
        workloads: 50,
        claimed: 4,
        per_service: 1,
        runs: 1,
        settle: 0,
        idle: 1,
        relists: 1,
        events: 20,
        scrapes: 5,
        lines: 1_000,
        deprecations: 2,
        only_deprecations: false,
        without_kube_state_metrics: true,
    };
    let results = run(&settings).await?;
    // and the Deployment of the chart
    assert_eq!(results.rounds.null_client[0].read.objects, 50 + 1 + namespaces());
    assert_eq!(results.latency[0].events, 20);
    assert_eq!((results.idle.writes, results.idle.lists), (0, 0), "{:?}", results.idle);
    assert_eq!(results.adoption.requests.get("patch deployments"), Some(&4), "{:?}", results.adoption.requests);
    assert_eq!((results.adoption.conflicts[0], results.adoption.repeated[0]), (0.0, 0.0));
    let waves = &results.waves;
    assert_eq!((waves.steps.iter().map(|step| step.workloads).sum::<usize>(), waves.rollouts), (4, 1), "{waves:?}");
    let old = &results.deprecations;
    assert_eq!((old.storm.wrong, old.storm.objects, old.admission.len()), (0, 50, 1), "{old:?}");
    assert!(old.storm.within_five_seconds <= 1, "{old:?}");
    let tables = results.tables();
    assert!(tables.contains("| peak through 1 relists / before"), "{tables}");
    Ok(())
}

/// Five of the fleet, and those that every cluster or installation has.
const fn namespaces() -> usize {
    let of_kubernetes = 4; // default, kube-system, kube-public, kube-node-lease
    let of_the_operator_and_the_peers = 2;
    5 + of_kubernetes + of_the_operator_and_the_peers
}
