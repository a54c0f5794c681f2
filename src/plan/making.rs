//! What to do to the object of a workload as a whole: make it, keep it as its template says, hand it over.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::applied::Contested;
use super::fallback::{claims, forget};
use super::metadata::{annotation, is_ending, label, pointer, records};
use super::service::{Blocker, Labels, PathFacts, ServiceFacts, WorkloadFacts, controller_of, wanted_labels};
use super::template::{Built, InvalidTemplate, ObjectKey};
use crate::api::{Mode, PlatformService, Reason, labels};

/// What was observed about a workload with a template.
#[derive(Clone, Debug)]
pub struct MadeFacts {
    /// What its template makes.
    pub built: Result<Built, InvalidTemplate>,
    /// The live Service of its name, if there is one.
    pub service: Option<Value>,
    /// An autoscaler has the say about its replicas.
    pub autoscaled: bool,
}

/// What to do to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Making {
    /// Nothing: it is the team's own, or nothing may be written.
    Nothing,
    /// Make it, born with these labels.
    Create(BTreeMap<String, String>),
    /// Keep it as its template says.
    Keep,
    /// It was made from a template and is named by a `ref` now: what it says stays, and becomes the team's.
    HandOver,
}

/// Whether nothing is made and nothing taken away for a service. The garbage collector deletes what a service owns before
/// the service itself, where somebody asks for that order.
#[must_use]
pub fn is_left_alone(service: &PlatformService) -> bool {
    service.spec.suspend || service.metadata.deletion_timestamp.is_some()
}

/// Decides about one workload that nothing stands in the way of.
#[must_use]
pub fn decide(facts: &ServiceFacts, workload: &WorkloadFacts) -> Making {
    if is_left_alone(&facts.service) {
        return Making::Nothing;
    }
    match (&workload.made, &workload.object) {
        (None, Some(object)) if is_held(object, &facts.service) => Making::HandOver,
        (None, _) => Making::Nothing,
        // it ends, and is made anew when it is gone
        (Some(_), Some(object)) if is_ending(object) => Making::Nothing,
        (Some(_), Some(_)) => Making::Keep,
        (Some(_), None) => match (&facts.path, facts.mode()) {
            (_, Mode::Observe) => Making::Create(BTreeMap::new()),
            // born on the road: a path that comes a moment later would cost a rollout
            (PathFacts::Ready(route), _) => {
                Making::Create(born_with(wanted_labels(facts, &route.revision, &Value::Null)))
            }
            _ => Making::Nothing,
        },
    }
}

/// What is not there yet has no label that would have to go.
fn born_with(labels: Labels) -> BTreeMap<String, String> {
    labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Why a workload with a template cannot be made, or one without is not asked for as it should be.
#[must_use]
pub fn blocker(facts: &ServiceFacts, workload: &WorkloadFacts, who: &str) -> Option<Blocker> {
    let entry = &workload.workload;
    let invalid = |message: String| Some(Blocker { reason: Reason::InvalidTemplate, message });
    match (&entry.reference, &entry.template) {
        (Some(_), Some(_)) => return invalid(format!("workloads[{}] has both ref and template; keep one", entry.name)),
        (None, None) => {
            return invalid(format!("workloads[{}] has neither ref nor template; write one of them", entry.name));
        }
        _ => {}
    }
    let made = workload.made.as_ref()?;
    if let Err(error) = &made.built {
        return invalid(format!("workloads[{}].{error}", entry.name));
    }
    let same = |other: &&WorkloadFacts| other.workload.name != entry.name && other.target == workload.target;
    if let Some(other) = facts.workloads.iter().find(same) {
        let text = format!("{who}: the entry {} names it, too; remove one of them", other.workload.name);
        return Some(Blocker { reason: Reason::NameTaken, message: text });
    }
    let object = workload.object.as_ref().filter(|object| !is_ours(object, &facts.service))?;
    let owner = controller_of(object).map_or_else(String::new, |owner| format!(" and belongs to {owner}"));
    let text = format!(
        "{who}: exists{owner}, and was not made by this PlatformService, so it is left alone; \
         name it by ref instead of template, or rename the entry"
    );
    Some(Blocker { reason: Reason::NameTaken, message: text })
}

/// What a Service of somebody else in the place of ours means.
#[must_use]
pub fn service_taken(key: &ObjectKey, entry: &str) -> Blocker {
    let text = format!(
        "workloads[{entry}]: {key} exists, and was not made by this PlatformService, so it is left alone; \
         delete it, leave port out, or rename the entry"
    );
    Blocker { reason: Reason::NameTaken, message: text }
}

/// What it means that another manager holds fields.
#[must_use]
pub fn conflict(key: &ObjectKey, entry: &str, contested: &[Contested]) -> Option<Blocker> {
    let first = contested.first()?;
    let Contested { field, manager, .. } = first;
    let more = if contested.len() > 1 { format!(" (and {} more)", contested.len() - 1) } else { String::new() };
    let who = format!("workloads[{entry}]: {key}: {field}{more}");
    let message = if first.again {
        format!("{who} was put back once and {manager} changed it again, so it stays; change the template instead")
    } else {
        format!("{who} is applied by {manager}, too, so its value stays; take it out there, or out of the template")
    };
    Some(Blocker { reason: Reason::FieldConflict, message })
}

/// Whether an object was made for a service: it is owned by it, or says so and is owned by nobody else.
#[must_use]
pub fn is_ours(object: &Value, service: &PlatformService) -> bool {
    let labelled = label(object, labels::TEMPLATE).is_some_and(|name| Some(name) == service.metadata.name.as_deref());
    is_owned_by(object, service) || (labelled && controller_of(object).is_none())
}

/// Whether a service owns an object.
#[must_use]
pub fn is_owned_by(object: &Value, service: &PlatformService) -> bool {
    let uid = service.metadata.uid.as_deref();
    uid.is_some() && owners(object).any(|owner| owner.get("uid").and_then(Value::as_str) == uid)
}

/// Whether the operator still holds an object that it made.
fn is_held(object: &Value, service: &PlatformService) -> bool {
    is_owned_by(object, service) || is_applied(object) && is_ours(object, service)
}

/// Whether an entry names by `ref` what was made before: then the Service of that name goes on with it.
#[must_use]
pub fn is_kept_name(workload: &WorkloadFacts, name: &str) -> bool {
    workload.made.is_none() && workload.target.name == name
}

/// Whether the operator applies an object.
#[must_use]
pub fn is_applied(object: &Value) -> bool {
    annotation(object, labels::APPLIED).is_some()
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

/// Lets go of an object as JSON patch: the owner reference, the operator's records, and the `gone` labels leave; every
/// value stays. Applying less would take the values out instead, and leaving the records would make everybody else's
/// next server-side apply a conflict with us.
#[must_use]
pub fn hand_over(object: &Value, gone: &[&str]) -> Value {
    let at = |path: &str| object.pointer(path).cloned();
    let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": at("/metadata/uid")})];
    let mut remove = |path: String| {
        operations.push(json!({"op": "test", "path": path, "value": object.pointer(&path)}));
        operations.push(json!({"op": "remove", "path": path}));
    };
    if is_applied(object) {
        remove(pointer(["metadata", "annotations", labels::APPLIED]));
    }
    for name in gone.iter().filter(|name| label(object, name).is_some()) {
        remove(pointer(["metadata", "labels", name]));
    }
    let ours = |owner: &Value| {
        owner.get("kind") == Some(&json!("PlatformService")) && owner.get("controller") == Some(&json!(true))
    };
    for (position, _) in
        owners(object).enumerate().filter(|(_, owner)| ours(owner)).collect::<Vec<_>>().into_iter().rev()
    {
        remove(format!("/metadata/ownerReferences/{position}"));
    }
    let mut records: Vec<&Value> = records(object).collect();
    if let Some((position, _)) = claims(object).filter(|_| !gone.is_empty()) {
        operations.extend(forget(object).into_iter().flatten());
        records.remove(position);
    }
    let mine = |entry: &&Value| {
        entry.get("manager") == Some(&json!(labels::FIELD_MANAGER)) && entry.get("operation") == Some(&json!("Apply"))
    };
    if let Some(position) = records.iter().position(mine) {
        // the time of it may be another by now, and what it holds is no part of the question
        let path = format!("/metadata/managedFields/{position}");
        operations.push(json!({"op": "test", "path": format!("{path}/manager"), "value": labels::FIELD_MANAGER}));
        operations.push(json!({"op": "test", "path": format!("{path}/operation"), "value": "Apply"}));
        if records.len() > 1 {
            operations.push(json!({"op": "remove", "path": path}));
        } else {
            // an object without any records gets new ones with the next apply: a manager that owns all of it, and
            // conflicts; so the label that stays is on record
            let fields = json!({"f:metadata": {"f:labels": {format!("f:{}", labels::TEMPLATE): {}}}});
            operations.push(json!({"op": "replace", "path": format!("{path}/fieldsV1"), "value": fields}));
            operations.push(json!({"op": "replace", "path": format!("{path}/operation"), "value": "Update"}));
        }
    }
    json!(operations)
}

#[cfg(test)]
mod tests;
