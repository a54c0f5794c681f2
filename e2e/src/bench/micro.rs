//! The inner loops without a cluster: reading one line of a watch into the table, the checks of one workload, and all of its
//! verdicts.
//!
//! Seconds of these go into the report. Under callgrind the same loops are counted in instructions, which do not depend
//! on how busy the machine is (`make instructions`).

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use goldenpath::api::{GoldenPath, WorkloadKind};
use goldenpath::cel::Subject;
use goldenpath::fleet::Table;
use goldenpath::fleet::decode::Frame;
use goldenpath::fleet::deploys::Moment;
use goldenpath::plan::exceptions::Exceptions;
use goldenpath::plan::revision::{Revision, Rule};
use goldenpath::plan::service::template;
use goldenpath::plan::verdict::{Standing, Subjected, verdicts};
use serde_json::{Value, json};

use super::fleet::{DEFAULTS, Fleet, PATH_YAML, name};
use super::stats::amount;

/// A Deployment of the fleet as a real API server sent it, with its managedFields.
const DEPLOYMENT: &str = include_str!("deployment.json");
/// Different objects: more than fit into the processor's caches.
const OBJECTS: usize = 1_000;

/// Seconds that one object takes.
#[derive(Clone, Copy, Debug)]
pub struct Micro {
    /// Reading its line into the table
    pub decode: f64,
    /// Its twelve checks
    pub check: f64,
    /// Its twelve verdicts: whose each value is, its copies without the road's values, and the checks
    pub evaluate: f64,
}

/// Measures them one after the other, on one thread: so many lines, and a tenth as many workloads.
///
/// # Errors
/// When the object or the path of the benchmark is broken.
pub fn measure(lines: usize) -> Result<Micro> {
    let timed = |count: usize, work: fn(usize) -> Result<()>| {
        let started = Instant::now();
        work(0)?;
        let prepared = started.elapsed();
        work(count)?;
        // What both calls prepare is taken off.
        anyhow::Ok(started.elapsed().saturating_sub(prepared * 2).as_secs_f64() / amount(count))
    };
    let workloads = lines / 10;
    Ok(Micro { decode: timed(lines, decode)?, check: timed(workloads, check)?, evaluate: timed(workloads, evaluate)? })
}

/// Reads so many lines.
///
/// # Errors
/// When the object of the benchmark cannot be read.
pub fn decode(count: usize) -> Result<()> {
    let at = Moment { uptime: 0, wall: jiff::Timestamp::UNIX_EPOCH };
    let lines: Vec<String> = (0..OBJECTS).map(line).collect::<Result<_>>()?;
    let mut left = count;
    while left > 0 {
        // An empty one each time: the first list of an operator makes every row anew.
        let mut table = Table::new("goldenpath-system");
        table.begin(WorkloadKind::Deployment);
        for line in lines.iter().take(left) {
            let frame: Frame<'_> = serde_json::from_str(line)?;
            let version = frame.object.version().context("no version")?;
            black_box(table.see(WorkloadKind::Deployment, &frame.object, version, at));
        }
        left = left.saturating_sub(OBJECTS);
        black_box(&table);
    }
    Ok(())
}

/// Evaluates the checks of so many workloads, and nothing else.
///
/// # Errors
/// When the path of the benchmark is not valid, or a check does not run.
pub fn check(count: usize) -> Result<()> {
    each(count, |Subjected { kind, object, namespace }, revision| {
        let subject = Subject { object, namespace_object: namespace, template: template(kind, object) };
        let mut checked = 0;
        for check in revision.rules.iter().filter_map(Rule::compiled_check) {
            let check = check.map_err(|error| anyhow!("{error}"))?;
            black_box(check.evaluate(&subject)?);
            checked += 1;
        }
        ensure!(checked == DEFAULTS, "{checked} checks");
        Ok(())
    })
}

/// Evaluates so many workloads.
///
/// # Errors
/// When the path of the benchmark is not valid.
pub fn evaluate(count: usize) -> Result<()> {
    each(count, |workload, revision| {
        let found = verdicts(workload, revision, &Standing::Adopted, &Exceptions::default());
        ensure!(found.len() == DEFAULTS, "{} verdicts", found.len());
        black_box(found);
        Ok(())
    })
}

/// Does something with so many workloads and the path of the benchmark.
fn each(count: usize, work: impl Fn(Subjected<'_>, &Revision) -> Result<()>) -> Result<()> {
    let path: GoldenPath = serde_saphyr::from_str(PATH_YAML)?;
    let revision = Revision::draft(&path)?;
    let objects: Vec<Value> = (0..OBJECTS).map(object).collect::<Result<_>>()?;
    let namespace = Fleet::new(OBJECTS, 0, 1).namespace(0);
    for object in objects.iter().cycle().take(count) {
        work(Subjected { kind: WorkloadKind::Deployment, object, namespace: &namespace }, &revision)?;
    }
    Ok(())
}

fn line(index: usize) -> Result<String> {
    Ok(json!({"type": "ADDED", "object": object(index)?}).to_string())
}

fn object(index: usize) -> Result<Value> {
    let mut object: Value = serde_json::from_str(DEPLOYMENT)?;
    let metadata = &mut object["metadata"];
    metadata["name"] = name(index).into();
    metadata["namespace"] = Fleet::new(OBJECTS, 0, 1).namespace_of(index).into();
    metadata["resourceVersion"] = (index + 1).to_string().into();
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_as_large_as_a_real_one_and_all_loops_run() {
        let line = line(0).unwrap();
        assert!((7_000..9_000).contains(&line.len()), "{} bytes", line.len());
        decode(OBJECTS + 1).unwrap();
        check(2).unwrap();
        evaluate(2).unwrap();
    }
}
