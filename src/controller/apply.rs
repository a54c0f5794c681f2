//! Apply: one plan's writes to workloads. Labels on metadata, and nothing else on what the team has made itself.

use std::time::Duration;

use kube::api::Patch;
use serde_json::{Value, json};

use super::context::Context;
use super::errors::Error;
use super::fallback::{follow, try_out};
use super::make::make;
use super::requests::Write;
use super::restarts::look;
use crate::api::{WorkloadKind, labels};
use crate::fleet::WorkloadKey;
use crate::plan::discreet::first_difference;
use crate::plan::gaps::normalise;
use crate::plan::leaf::Road;
use crate::plan::metadata::label;
use crate::plan::revision::Revision;
use crate::plan::route::Engine;
use crate::plan::service::{
    Action, Labels, PathFacts, ServiceFacts, WorkloadFacts, WorkloadPlan, template, with_labels,
};
use crate::plan::switch::without_left;
use crate::plan::verdict::{expected_template, has_gaps, is_skipped};
use crate::status::service::Outcome;

/// A policy that was just made is in force after about a second, later on other replicas of the API server.
pub const IN_FORCE: Duration = Duration::from_secs(15);

/// Carries out the plan for each workload.
pub async fn apply(facts: &ServiceFacts, plans: Vec<WorkloadPlan>, context: &Context) -> Result<Vec<Outcome>, Error> {
    let mut outcomes = Vec::with_capacity(plans.len());
    for (workload, plan) in facts.workloads.iter().zip(plans) {
        let mut outcome =
            Outcome { object: workload.object.clone(), blocker: plan.blocker.clone(), ..Outcome::default() };
        let key = &key_of(workload, facts);
        if let (Some(object), PathFacts::Ready(route)) = (&workload.object, &facts.path) {
            look(key, object, route, context);
        }
        // labels first: what is made or changed after them comes out as the road that they name says
        if let Some(object) = &workload.object
            && !is_fill(&plan.action)
        {
            label_it(workload, object, &plan.action, facts, &mut outcome, context).await?;
        }
        let made = make(facts, workload, &plan.making, outcome.object.as_ref(), context).await?;
        let rolls_out = made.object.is_some();
        outcome.labelled |= made.labelled;
        outcome.object = made.object.or(outcome.object);
        outcome.refused = outcome.refused.or(made.refused);
        outcome.unmade = made.unmade;
        // a change of the template is filled by itself
        if let (Some(object), true, false) = (&workload.object, is_fill(&plan.action), rolls_out) {
            outcome.wait = wait_for_turn(key, &plan.action, facts, context);
            if outcome.wait.is_none() && context.fallback.engine() == Engine::Policies {
                label_it(workload, object, &plan.action, facts, &mut outcome, context).await?;
            }
        }
        follow(key, facts, workload, &plan, &mut outcome, context).await?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn is_fill(action: &Action) -> bool {
    matches!(action, Action::Fill(_) | Action::Restart(_))
}

fn key_of(workload: &WorkloadFacts, facts: &ServiceFacts) -> WorkloadKey {
    let namespace = facts.service.metadata.namespace.clone().unwrap_or_default();
    WorkloadKey { kind: workload.target.kind, namespace, name: workload.target.name.clone() }
}

/// How long a restart has to wait at the longest; nothing when its turn has come.
fn wait_for_turn(key: &WorkloadKey, action: &Action, facts: &ServiceFacts, context: &Context) -> Option<Duration> {
    match (action, &facts.path) {
        (Action::Restart(_), PathFacts::Ready(route)) => {
            context.turns.begin(key, route, &context.fleet, context.leadership.leads_for()).err()
        }
        _ => None,
    }
}

/// Carries out what was decided about the labels of a workload.
async fn label_it(
    workload: &WorkloadFacts,
    object: &Value,
    action: &Action,
    facts: &ServiceFacts,
    outcome: &mut Outcome,
    context: &Context,
) -> Result<(), Error> {
    let at = Target::of(workload, object, context);
    match act(&at, action, &facts.path).await {
        Ok(Some(done)) => {
            outcome.labelled = matches!(action, Action::Adopt(_) | Action::Move(_)) && done.refused.is_none();
            outcome.object = done.object.or(outcome.object.take());
            outcome.refused = done.refused;
        }
        Ok(None) => {}
        Err(error) => match error.refusal() {
            Some(message) => outcome.refused = Some(format!("the API server refused the labels: {message}")),
            None => return Err(error),
        },
    }
    Ok(())
}

struct Target<'a> {
    kind: WorkloadKind,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    object: &'a Value,
    left: Option<&'a Road>,
    context: &'a Context,
}

struct Done {
    object: Option<Value>,
    refused: Option<String>,
}

impl<'a> Target<'a> {
    fn of(workload: &'a WorkloadFacts, object: &'a Value, context: &'a Context) -> Self {
        let (kind, left) = (workload.target.kind, workload.left.as_ref().map(|revision| &revision.road));
        let text =
            |field: &str| object.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).unwrap_or_default();
        Self { kind, namespace: text("namespace"), name: text("name"), uid: text("uid"), object, left, context }
    }

    /// A merge patch of metadata, on this very object: a workload that was deleted and made anew has another uid.
    async fn patch(&self, metadata: Value, write: Write) -> Result<Value, Error> {
        let mut patch = json!({"metadata": {"uid": self.uid}});
        if let (Some(target), Some(fields)) = (patch["metadata"].as_object_mut(), metadata.as_object()) {
            target.extend(fields.clone());
        }
        let requests = &self.context.requests;
        let answer = requests.patch_workload(self.kind, self.namespace, self.name, &Patch::Merge(patch), write).await?;
        if write == Write::Real {
            let (namespace, name) = (self.namespace.to_owned(), self.name.to_owned());
            self.context.fleet.learn(&WorkloadKey { kind: self.kind, namespace, name }, &answer);
        }
        Ok(answer)
    }
}

async fn act(target: &Target<'_>, action: &Action, path: &PathFacts) -> Result<Option<Done>, Error> {
    let written = |object| Some(Done { object: Some(object), refused: None });
    match (action, path) {
        (Action::Adopt(wanted), PathFacts::Ready(route)) => {
            if let Some(message) = dry_run(target, wanted, &route.revision).await? {
                return Ok(Some(Done { object: None, refused: Some(message) }));
            }
            Ok(written(target.patch(json!({"labels": wanted}), Write::Real).await?))
        }
        (Action::Move(wanted), PathFacts::Ready(route)) => {
            let differs = label(target.object, labels::REVISION) != Some(route.revision.name.as_str());
            // a policy that was just made may not be in force yet: a rollout in between would get neither road
            if differs && let Some(message) = dry_run(target, wanted, &route.revision).await? {
                return Ok(Some(Done { object: None, refused: Some(message) }));
            }
            Ok(written(target.patch(json!({"labels": wanted}), Write::Real).await?))
        }
        (Action::Fill(revision_name) | Action::Restart(revision_name), PathFacts::Ready(route)) => {
            let object = target.patch(json!({"annotations": {labels::FILL: revision_name}}), Write::Real).await?;
            let refused = has_gaps(target.kind, &object, &route.revision)
                .then(|| "the API server was asked to fill and did not; see the GoldenPath's status".to_owned());
            Ok(Some(Done { object: Some(object), refused }))
        }
        (Action::Release(path), _) => {
            let release = json!({"labels": {labels::REVISION: labels::release_revision(path)}});
            Ok(written(target.patch(release, Write::Real).await?))
        }
        (Action::Nothing | Action::Adopt(_) | Action::Move(_) | Action::Fill(_) | Action::Restart(_), _) => Ok(None),
    }
}

/// Asks the API server what it would make of the workload if it filled it now; an answer is why that must not be.
async fn dry_run(target: &Target<'_>, wanted: &Labels, revision: &Revision) -> Result<Option<String>, Error> {
    if is_skipped(target.object) {
        return Ok(None); // nothing would be filled
    }
    let labelled = with_labels(target.object, wanted);
    let expected = expected_template(target.kind, &without_left(target.kind, &labelled, target.left), revision);
    let mut unchanged = template(target.kind, target.object).clone();
    normalise(&mut unchanged);
    // another value than any revision's, which may stand there from before: only a change of it makes the policy act
    let patch = json!({"labels": wanted, "annotations": {labels::FILL: "dry-run"}});
    let started = tokio::time::Instant::now();
    loop {
        let answer = match target.context.fallback.engine() {
            Engine::Policies => target.patch(patch.clone(), Write::DryRun).await,
            Engine::Fallback => try_out(target.kind, &labelled, &revision.road, target.context).await,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let message = error.refusal().or_else(|| error.conflict().map(ToOwned::to_owned));
                let Some(message) = message else { return Err(error) };
                return Ok(Some(format!("the API server refuses the workload with the defaults: {message}")));
            }
        };
        let mut made = template(target.kind, &answer).clone();
        normalise(&mut made);
        // what somebody else applies on the server is labelled, and not filled
        let is_left = made == unchanged && target.context.fallback.engine() == Engine::Fallback;
        if made == expected || is_left {
            return Ok(None);
        }
        if made != unchanged {
            let first = first_difference(&expected, &made);
            return Ok(Some(format!(
                "the API server would make another template than the road: {first}; is another admission plugin at work?"
            )));
        }
        if started.elapsed() > IN_FORCE {
            return Ok(Some(format!("the policy of {} is not in force on the API server", revision.name)));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
