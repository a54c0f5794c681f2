//! `goldenpath release`: takes every policy, binding and label of ours off a cluster, before or after the chart goes.
//!
//! Policies go first: as long as one acts, the API server puts the labels back that somebody takes off. What was filled
//! stays, since it stands in pod templates: nothing restarts, and no generation changes.

mod cluster;
mod record;
mod running;

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;

use cluster::{Cluster, Outcome};
use record::table;

pub use cluster::ReleaseError;

use crate::plan::release::Marks;

/// Objects that are patched at a time.
const CONCURRENCY: usize = 8;

/// What to do.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print what would be taken off, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Put labels back from the record that a release wrote. Policies come back with the operator.
    #[arg(long, value_name = "RECORD")]
    undo: Option<PathBuf>,
    /// File to write the record to, which must not exist yet [default: goldenpath-release-<time>.jsonl].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["undo", "dry_run"])]
    record: Option<PathBuf>,
    /// Context of the kubeconfig; without it, the current one.
    #[arg(long)]
    context: Option<String>,
}

/// Does it, and says what was done.
pub async fn release(args: Args) -> Result<(), ReleaseError> {
    let cluster = Cluster::connect(args.context).await?;
    match args.undo {
        Some(path) => undo(&cluster, record::read(&path)?, args.dry_run).await,
        None => take_off(&cluster, args.dry_run, args.record).await,
    }
}

async fn take_off(cluster: &Cluster, dry_run: bool, record: Option<PathBuf>) -> Result<(), ReleaseError> {
    let running = cluster.running().await?;
    if let Some(running) = running.as_ref().filter(|_| !dry_run) {
        return Err(ReleaseError::Runs(running.clone()));
    }
    let policies = cluster.policies().await?;
    let (marked, unseen) = cluster.marked().await?;
    if policies.is_empty() && marked.is_empty() {
        println!("Nothing to take off: no policy, no binding and no label of Goldenpath is on this cluster.");
        return unseen.into_result();
    }
    print!("{}", table(&policies, &marked, "TAKES OFF"));
    let gone = count(policies.len(), "policy or binding", "policies and bindings");
    if dry_run {
        println!("\nWould delete {gone}, and take labels off {}. Nothing was changed.", objects(marked.len()));
        if let Some(running) = running {
            println!("An operator runs ({running}): stop it before the release.");
        }
        return unseen.into_result();
    }
    let path = record.unwrap_or_else(|| record::default_path(Timestamp::now()));
    record::write(&path, &marked)?;
    println!("\nRecord: {} (`goldenpath release --undo {0}` puts the labels back)", path.display());
    for policy in &policies {
        cluster.delete(policy).await?;
    }
    let outcomes = each(&marked, |marks| cluster.take_off(marks)).await;
    println!("Deleted {gone}, and took labels off {} of {}.", done(&outcomes), objects(marked.len()));
    println!("Workloads run on as they are, with the values that they have.");
    told(&marked, &outcomes, "was changed by somebody else meanwhile: run the release again")?;
    unseen.into_result()
}

async fn undo(cluster: &Cluster, marked: Vec<Marks>, dry_run: bool) -> Result<(), ReleaseError> {
    print!("{}", table(&[], &marked, "PUTS BACK"));
    if dry_run {
        println!("\nWould put labels back on {}. Nothing was changed.", objects(marked.len()));
        return Ok(());
    }
    let outcomes = each(&marked, |marks| cluster.put_back(marks)).await;
    println!("\nPut labels back on {} of {}.", done(&outcomes), objects(marked.len()));
    println!("Policies come back with the operator: install the chart, if it is gone.");
    told(&marked, &outcomes, "was changed by somebody else meanwhile: run the undo again")
}

/// Every object, some at a time, in their order.
async fn each<'a, F: Future<Output = Outcome>>(marked: &'a [Marks], act: impl Fn(&'a Marks) -> F) -> Vec<Outcome> {
    stream::iter(marked).map(act).buffered(CONCURRENCY).collect().await
}

/// Says what was not as expected; an error if something is left to do.
fn told(marked: &[Marks], outcomes: &[Outcome], changed: &str) -> Result<(), ReleaseError> {
    let mut left = BTreeMap::new();
    for (marks, outcome) in marked.iter().zip(outcomes) {
        let what = format!("{} {}/{}", marks.kind, marks.namespace, marks.name);
        match outcome {
            Outcome::Done => {}
            Outcome::Gone => println!("{what} is gone: nothing to do"),
            Outcome::Another => println!("{what} is another object by now: left alone"),
            Outcome::Changed => drop(left.insert(what, changed.to_owned())),
            Outcome::Failed(why) => drop(left.insert(what, why.clone())),
        }
    }
    for (what, why) in &left {
        println!("{what}: {why}");
    }
    if left.is_empty() { Ok(()) } else { Err(ReleaseError::Left(objects(left.len()))) }
}

fn done(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count()
}

fn objects(number: usize) -> String {
    count(number, "object", "objects")
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
