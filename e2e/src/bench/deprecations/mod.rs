//! Many Deprecations over the whole fleet: what they hold in memory, how soon a changed expression is counted, what a storm
//! of old objects writes, and what their policies cost a request.
//!
//! Each of them means the workloads whose names end in one of two numbers, so that together they mean every workload once;
//! with `everything` each means every workload.

mod admission;
mod storm;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::process::usage;
use super::report::Budget;
use super::scrape::Page;
use super::stage::Stage;
use super::stats::{Spread, amount, is};
use super::table::Table;
use super::writes::{create, each, merge};
use crate::Operator;

pub use admission::Admission;
pub use storm::Storm;

/// Requests at a time.
const CONCURRENCY: usize = 16;
/// How long a count may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often the page is read: the error of the times, at most.
const LOOK: Duration = Duration::from_millis(20);
/// Where they are.
const URL: &str = "/apis/goldenpath.dev/v1alpha1/deprecations";
/// Names end in so many different numbers.
const NUMBERS: usize = 100;
/// What the operator logs at the end of a list.
const IN_SIGHT: &str = "every object of a resource is in sight";

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Deprecations {
    /// How many Deprecations
    pub count: usize,
    /// Objects of the fleet
    pub objects: usize,
    /// Bytes for each object when each is old by one of them, over an operator whose Deprecations match nothing
    pub an_object: f64,
    /// Bytes for each object and Deprecation when every object is old by each of them
    pub a_pair: f64,
    /// Seconds from the end of the list that a changed expression asks for until `/metrics` has the new count, one a change
    pub evaluated: Vec<f64>,
    /// Seconds of the same from the change on
    pub changed: Vec<f64>,
    /// A storm of old objects
    pub storm: Storm,
    /// Requests, one a round
    pub admission: Vec<Admission>,
}

impl Deprecations {
    /// The promises.
    #[must_use]
    pub fn budgets(&self) -> Vec<Budget> {
        let mut budgets = Vec::new();
        let mut add = |what: String, limit: f64, values: Vec<f64>| {
            budgets.extend(Spread::of(values).map(|measured| Budget { what, limit, measured }));
        };
        let Self { count, objects, storm, .. } = self;
        let of = format!("{count} Deprecations over {objects} objects");
        add(format!("{of}: bytes an object, each old by one of them"), 400.0, vec![self.an_object]);
        add(format!("{of}: bytes an object and Deprecation, each old by all"), 400.0, vec![self.a_pair]);
        add("from the end of a list to the count of a changed expression, s".to_owned(), 2.0, self.evaluated.clone());
        let what = format!("a storm of {} old objects: most writes to one status within 5 s", storm.objects);
        add(what, 1.0, vec![amount(storm.within_five_seconds)]);
        add("objects that are counted wrong at its end".to_owned(), 0.0, vec![amount(storm.wrong)]);
        let added = |added: fn(&Admission) -> f64| self.admission.iter().map(|round| added(round) * 1e3).collect();
        let what = format!("added to a creation by {count} policies that do not match, p50, ms");
        add(what, 3.0, added(|round| round.others - round.without));
        add("added by one that matches, p50, ms".to_owned(), 2.0, added(|round| round.matching - round.others));
        budgets
    }

    /// Everything that was measured.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut table = Table::new(["", "Measured"]);
        let mut row = |what: &str, values: Vec<f64>| {
            table
                .row([what.to_owned(), Spread::of(values).map_or_else(|| "-".to_owned(), |spread| spread.to_string())]);
        };
        row("from the change of an expression to its count, s", self.changed.clone());
        row("storm: created in, s", vec![self.storm.created]);
        row("storm: all counted after, s", vec![self.storm.counted]);
        row("storm: writes to the status of one Deprecation", vec![amount(self.storm.writes)]);
        let of = |value: fn(&Admission) -> f64| self.admission.iter().map(|round| value(round) * 1e3).collect();
        row("creation without policies, p50, ms", of(|round| round.without));
        row("creation with those that do not match, p50, ms", of(|round| round.others));
        row("creation with one more that matches, p50, ms", of(|round| round.matching));
        format!("{} Deprecations over {} Deployments:\n\n{table}", self.count, self.objects)
    }
}

/// Runs an operator with `count` Deprecations. They are gone afterwards.
///
/// # Errors
/// When something is refused or does not come in time.
pub async fn run(stage: &Stage, count: usize, rounds: usize, settle: Duration) -> Result<Deprecations> {
    let mut operator = stage.start_operator().await?;
    let all = All { stage, operator: &operator, count };
    let mut results = Deprecations { count, objects: stage.fleet.workloads, ..Deprecations::default() };
    all.memory(&mut results, settle).await.context("hold what is old")?;
    for _ in 0..rounds {
        let (evaluated, changed) = all.change().await.context("change an expression")?;
        results.evaluated.push(evaluated);
        results.changed.push(changed);
    }
    results.storm = storm::run(stage, &operator, stage.fleet.workloads).await.context("a storm of old objects")?;
    for _ in 0..rounds {
        results.admission.push(admission::round(&all).await.context("ask the policies")?);
    }
    each(0..count, CONCURRENCY, async |n| delete(stage, &name(n)).await).await?;
    operator.terminate().await?;
    Ok(results)
}

/// All of them, with who counts.
struct All<'a> {
    stage: &'a Stage,
    operator: &'a Operator,
    count: usize,
}

impl All<'_> {
    async fn memory(&self, results: &mut Deprecations, settle: Duration) -> Result<()> {
        let workloads = self.stage.fleet.workloads;
        each(0..self.count, CONCURRENCY, async |n| {
            create(&self.stage.client, URL, &deprecation(&name(n), DEPLOYMENTS, "object.metadata.name == 'nobody'"))
                .await
        })
        .await?;
        self.all_see(0).await?;
        let none = self.steady(settle).await?;
        each(0..self.count, CONCURRENCY, async |n| self.matches(n, &ends_in(&numbers(n, self.count))).await).await?;
        self.all_see(workloads).await?;
        results.an_object = (self.steady(settle).await? - none) / amount(workloads);
        say(&format!("{:.0} bytes an object of {workloads}", results.an_object));
        each(0..self.count, CONCURRENCY, async |n| self.matches(n, "has(object.spec)").await).await?;
        self.all_see(workloads * self.count).await?;
        results.a_pair = (self.steady(settle).await? - none) / amount(workloads * self.count);
        say(&format!("{:.0} bytes an object and Deprecation", results.a_pair));
        each(0..self.count, CONCURRENCY, async |n| self.matches(n, &ends_in(&numbers(n, self.count))).await).await?;
        self.all_see(workloads).await
    }

    /// Changes the expression of the first one, and back: seconds from the list's end, and from the change, to the count.
    async fn change(&self) -> Result<(f64, f64)> {
        let numbers = numbers(0, self.count);
        let fewer = (0..self.stage.fleet.workloads).filter(|workload| workload % NUMBERS == numbers[0]).count();
        let before = self.operator.log().len();
        let (started, at) = (Instant::now(), jiff::Timestamp::now());
        self.matches(0, &ends_in(&numbers[..1])).await?;
        self.sees(&[&format!("deprecation=\"{}\"", name(0))], fewer).await?;
        let changed = started.elapsed().as_secs_f64();
        let listed = in_sight(&self.operator.log()[before..]).context("no list has ended")?;
        let evaluated = changed - listed.duration_since(at).as_secs_f64();
        say(&format!("a changed expression: counted {evaluated:.2} s after its list, {changed:.2} s after the change"));
        self.matches(0, &ends_in(&numbers)).await?;
        self.all_see(self.stage.fleet.workloads).await?;
        Ok((evaluated, changed))
    }

    async fn matches(&self, n: usize, expression: &str) -> Result<()> {
        let spec = deprecation(&name(n), DEPLOYMENTS, expression)["spec"].clone();
        self.merge(n, &json!({"spec": {"matches": spec["matches"]}})).await
    }

    async fn merge(&self, n: usize, changes: &Value) -> Result<()> {
        merge(&self.stage.client, &format!("{URL}/{}", name(n)), changes).await
    }

    async fn all_see(&self, objects: usize) -> Result<()> {
        self.sees(&[], objects).await
    }

    /// Waits until the page counts so many objects, and every Deprecation has said so.
    async fn sees(&self, labels: &[&str], objects: usize) -> Result<()> {
        let started = Instant::now();
        loop {
            let seen = Page::of(self.operator.port()).await?.sum("goldenpath_deprecated_objects", labels);
            if is(seen, amount(objects)) && self.is_whole(labels).await? {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "{seen} old objects {labels:?} are counted, and {objects} are there");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A Deprecation whose objects are being listed is not on the page: none of them may be missing.
    async fn is_whole(&self, labels: &[&str]) -> Result<bool> {
        if !labels.is_empty() {
            return Ok(true);
        }
        let ready = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        let text = self.stage.control_plane.kubectl(["get", "deprecations", "-o", ready]).await?;
        Ok(text.split_whitespace().count() == self.count && !text.contains("Unknown"))
    }

    async fn steady(&self, settle: Duration) -> Result<f64> {
        tokio::time::sleep(settle).await;
        Ok(usage(self.operator.pid())?.resident)
    }
}

/// When the last list ended, by the log.
fn in_sight(log: &str) -> Option<jiff::Timestamp> {
    let line = log.lines().rev().find(|line| line.contains(IN_SIGHT))?;
    serde_json::from_str::<Value>(line).ok()?["timestamp"].as_str()?.parse().ok()
}

const DEPLOYMENTS: (&str, &str) = ("apps", "deployments");

fn name(n: usize) -> String {
    format!("old-{n:02}")
}

/// The numbers in which the names end that one of them means.
fn numbers(n: usize, count: usize) -> Vec<usize> {
    (n..NUMBERS).step_by(count).collect()
}

/// Nobody has moved who has no label.
fn ends_in(numbers: &[usize]) -> String {
    let ends: Vec<String> = numbers.iter().map(|n| format!("object.metadata.name.endsWith('{n:02}')")).collect();
    format!("({}) && !(has(object.metadata.labels) && 'moved' in object.metadata.labels)", ends.join(" || "))
}

/// A Deprecation that no gate holds but the least notice.
fn deprecation(name: &str, (group, resource): (&str, &str), expression: &str) -> Value {
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1",
        "kind": "Deprecation",
        "metadata": {"name": name},
        "spec": {
            "title": "Workloads of the old sort",
            "owner": {"team": "platform", "contact": "#paved-road"},
            "matches": [{
                "name": "sort",
                "resourceRules": [{"apiGroups": [group], "resources": [resource]}],
                "expression": expression,
            }],
            "replacement": {
                "guideURL": "https://docs.example.com/moving",
                "fix": {"patch": {"metadata": {"labels": {"moved": "yes"}}}},
            },
            "gates": {"replacementStage": "None", "requireObjectiveMet": false, "minReplacementAdopters": 0, "minNotice": "1s"},
        },
    })
}

async fn delete(stage: &Stage, name: &str) -> Result<()> {
    super::writes::send(&stage.client, http::Method::DELETE, &format!("{URL}/{name}"), "application/json", &json!({}))
        .await
}

fn say(text: &str) {
    eprintln!("bench: Deprecations: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_they_mean_every_workload_once() {
        for count in [1, 2, 3, 50, 100] {
            let mut all: Vec<usize> = (0..count).flat_map(|n| numbers(n, count)).collect();
            all.sort_unstable();
            assert_eq!(all, (0..NUMBERS).collect::<Vec<_>>(), "{count}");
        }
    }

    #[test]
    fn the_end_of_a_list_is_read_from_the_log() {
        let line =
            |second: u8, text: &str| json!({"timestamp": format!("2026-11-26T12:00:{second:02}Z"), "message": text});
        let log = [line(1, IN_SIGHT), line(2, IN_SIGHT), line(3, "another")].map(|line| line.to_string()).join("\n");
        assert_eq!(in_sight(&log).map(|at| at.to_string()).as_deref(), Some("2026-11-26T12:00:02Z"));
        assert_eq!(in_sight("what is no JSON"), None);
    }
}
