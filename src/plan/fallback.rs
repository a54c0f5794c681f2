//! The fallback engine, for API servers without MutatingAdmissionPolicy `v1` (Kubernetes below 1.36): the same gaps, filled
//! by the operator right behind a rollout of the team's own.
//!
//! By server-side apply without force, under a field manager that does nothing else: what it holds is what it filled, so
//! that a smaller set takes values back, and whoever writes a field takes it over. To every other part of the operator
//! these values are nobody's, as if a policy had filled them: [`super::ownership::Ownership`] does not see that manager.
//!
//! A template that somebody else applies on the server (Helm 4, Argo CD, Flux) is left alone. Measured on 1.35.4: their
//! next apply that sets a field which we hold is a conflict, and one that drops a container in which we hold something
//! is refused, since our part of the container stays and has no image.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::gaps::{Gap, filled, gaps, normalise};
use super::leaf::{Place, Road, put};
use super::metadata::{pointer, records};
use super::ownership::fields_of_template;
use super::revision::hex;
use super::rollout::waits_for;
use super::service::{our_labels, template, template_hash};
use super::verdict::is_skipped;
use crate::api::{WorkloadKind, labels};

/// Least time between two writes to one template, beside those that a person asks for.
const PACE: SignedDuration = SignedDuration::from_mins(1);

/// So long at most what is held waits for the apply that would empty its parent. Tools apply milliseconds after they have
/// taken over what others wrote; who was stopped in between is not waited for longer, since whoever sets a field that is
/// held, or drops a container, is refused meanwhile.
const HOLDS: SignedDuration = SignedDuration::from_mins(1);

/// Where `kubectl apply` keeps what it applied on the client.
const LAST_APPLIED: &str = "/f:metadata/f:annotations/f:kubectl.kubernetes.io~1last-applied-configuration";

/// What is remembered of a workload from one look to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Hash of the pod template that was looked at, or written, last.
    pub template: String,
    /// Hash of the template without the road's values, as it was then: it changes by what others do alone.
    pub theirs: String,
    /// When the template was last written, or a write refused.
    pub wrote: Option<Timestamp>,
    /// A person had set the break-glass annotation.
    pub skipped: bool,
    /// What the plan asked for last: it is done once, whatever becomes of its trace on the object.
    pub asked: Option<String>,
    /// Why gaps stay open.
    pub why: Option<String>,
    /// Since when what is held waits for somebody's next apply.
    pub holds: Option<Timestamp>,
}

impl Seen {
    /// A workload as it is, with nothing to do before its template changes.
    #[must_use]
    pub fn settled(look: &Look<'_>, why: Option<String>) -> Self {
        let before = look.seen.cloned().unwrap_or_default();
        let template = template_hash(look.kind, look.object);
        Self { template, theirs: theirs(look), skipped: is_skipped(look.object), why, holds: None, ..before }
    }

    /// A workload of which nothing is let go yet; what else is remembered of it stays.
    #[must_use]
    pub fn holding(look: &Look<'_>) -> Self {
        let before = look.seen.cloned().unwrap_or_else(|| Self::settled(look, None));
        Self { holds: before.holds.or(Some(look.now)), ..before }
    }

    /// Whether this is what a look that changes nothing would remember: to find that out again costs a copy of the template.
    #[must_use]
    pub fn stands(&self, look: &Look<'_>, why: Option<&str>) -> bool {
        self.skipped == is_skipped(look.object)
            && self.why.as_deref() == why
            && self.holds.is_none()
            && !self.is_news(look.kind, look.object)
    }

    /// Whether the template is not the one that was looked at last.
    #[must_use]
    pub fn is_news(&self, kind: WorkloadKind, object: &Value) -> bool {
        self.template != template_hash(kind, object)
    }
}

/// One look at an adopted workload.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Its kind.
    pub kind: WorkloadKind,
    /// The whole object with its `managedFields`.
    pub object: &'a Value,
    /// The road of the revision that its label names.
    pub road: &'a Road,
    /// It leaves the path: nothing of the road is wanted, and the labels go.
    pub leaves: bool,
    /// The plan asks for a fill now, under this name.
    pub asked: Option<&'a str>,
    /// Hash of the template that it had when it was labelled, as the status of its service keeps it.
    pub labelled: Option<&'a str>,
    /// What is remembered of it.
    pub seen: Option<&'a Seen>,
    /// Now.
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing before the template changes; why gaps stay open, if any do.
    Settled(Option<String>),
    /// The last write was a moment ago.
    Wait(SignedDuration),
    /// Somebody's next apply would take out what is let go of before it: for so long at most it is held.
    Hold(SignedDuration),
    /// Server-side apply.
    Apply {
        /// All that is to be held.
        body: Value,
        /// The template that comes of it, unless somebody else writes in the same moment.
        expected: Value,
    },
    /// JSON patch: values or claims go.
    Patch(Value),
}

impl Decision {
    /// Whether an object is what a patch was decided for: whatever it tests holds.
    #[must_use]
    pub fn is_for(&self, object: &Value) -> bool {
        let Self::Patch(operations) = self else { return true };
        let mut tests = operations.as_array().into_iter().flatten().filter(|operation| operation["op"] == "test");
        tests.all(|test| object.pointer(test["path"].as_str().unwrap_or_default()) == test.get("value"))
    }
}

/// Decides about one workload.
#[must_use]
pub fn decide(look: &Look<'_>) -> Decision {
    let Look { kind, object, .. } = *look;
    let held = claims(object).is_some();
    if let Some(manager) = applier(kind, object) {
        return match holds(look) {
            Some(pause) => Decision::Hold(pause),
            None if held || look.leaves => Decision::Patch(let_go(look, &[])),
            None => left_to(look, manager),
        };
    }
    if let Some(patch) = brake_comes_back(look) {
        return Decision::Patch(patch);
    }
    let skipped = is_skipped(object);
    let takes_out = look.leaves || skipped;
    let asked = look.asked.filter(|asked| look.seen.is_none_or(|seen| seen.asked.as_deref() != Some(asked)));
    let is_due = skipped || asked.is_some() || is_due(look);
    if !is_due && !look.leaves {
        let why = taken_out_again(look).or_else(|| look.seen?.why.clone());
        return Decision::Settled(why);
    }
    let release = takes_out.then(|| look.road.release());
    let gaps = gaps(kind, object, release.as_ref().unwrap_or(look.road));
    let expected = filled(kind, object, &gaps);
    let mut stands = template(kind, object).clone();
    normalise(&mut stands);
    let is_there = stands == expected;
    match (takes_out, is_there) {
        (false, true) => Decision::Settled(None),
        (true, true) if !look.leaves => Decision::Settled(None),
        // nothing changes in the template, so there is nothing to wait for
        (true, true) => Decision::Patch(let_go(look, &[])),
        _ if !is_due => Decision::Settled(None),
        _ => match pause(look).filter(|_| !skipped && asked.is_none()) {
            Some(pause) => Decision::Wait(pause),
            None if takes_out => {
                let changes = json_patch::diff(template(kind, object), &expected);
                Decision::Patch(let_go(look, &changes.0))
            }
            None => Decision::Apply { body: body(look, &expected, &gaps), expected },
        },
    }
}

/// Whether the template was changed by others since the last look; or, at the first look after a start, since it was
/// labelled, and the rollout of that goes on. A rollout that is over is never followed by another that nobody asked for.
fn is_due(look: &Look<'_>) -> bool {
    if let Some(seen) = look.seen {
        return seen.is_news(look.kind, look.object) && seen.theirs != theirs(look);
    }
    // a CronJob restarts nothing
    let goes_on = || look.kind == WorkloadKind::CronJob || waits_for(look.kind, look.object).is_some();
    let now = template_hash(look.kind, look.object);
    look.labelled.is_some_and(|labelled| labelled != now) && goes_on()
}

/// `kubectl rollout undo` replaces all annotations, and whoever pulls the brake may do that next: a request that changes the
/// template cannot lose it.
fn brake_comes_back(look: &Look<'_>) -> Option<Value> {
    let Look { kind, object, .. } = *look;
    look.seen.filter(|seen| seen.skipped && !is_skipped(object) && !look.leaves && seen.is_news(kind, object))?;
    let mut operations = unchanged(look);
    if object.pointer("/metadata/annotations").is_none() {
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    let path = pointer(["metadata", "annotations", labels::SKIP]);
    operations.push(json!({"op": "add", "path": path, "value": labels::SKIP_ALL}));
    Some(Value::Array(operations))
}

/// The road's values went, and nothing else changed: filling them again could go on for ever.
fn taken_out_again(look: &Look<'_>) -> Option<String> {
    look.seen.filter(|seen| seen.is_news(look.kind, look.object) && seen.theirs == theirs(look)).map(|_| {
        "it was filled and taken out again without any other change, so it is filled only when the template changes"
            .to_owned()
    })
}

fn left_to(look: &Look<'_>, manager: &str) -> Decision {
    let opens = gaps(look.kind, look.object, look.road).iter().any(|gap| gap.adds().is_some());
    Decision::Settled(opens.then(|| {
        format!(
            "{manager} applies the template on the server, and what the operator holds there would be in its way, so \
             nothing is filled on Kubernetes below 1.36"
        )
    }))
}

fn pause(look: &Look<'_>) -> Option<SignedDuration> {
    let since = look.now.duration_since(look.seen?.wrote?);
    (since < PACE).then(|| PACE - since)
}

/// Hash of the template without the road's values.
fn theirs(look: &Look<'_>) -> String {
    let release = look.road.release();
    let view = filled(look.kind, look.object, &gaps(look.kind, look.object, &release));
    hex(&Sha256::digest(view.to_string().as_bytes())[..5])
}

fn is_ours(record: &Value) -> bool {
    record.get("manager") == Some(&json!(labels::FALLBACK_MANAGER))
}

/// What the engine holds of an object: the position of its record, and the fields.
#[must_use]
pub fn claims(object: &Value) -> Option<(usize, &Value)> {
    let found = records(object).enumerate().find(|(_, record)| is_ours(record));
    found.map(|(position, record)| (position, record.get("fieldsV1").unwrap_or(&Value::Null)))
}

/// How long what is held waits for somebody's next apply, if that would take it out once it is nobody's.
///
/// Whoever goes over to applying on the server first takes over what was recorded of `kubectl apply`, and `resources: {}` is
/// among it, which the API server once put in. The manifest does not have it, so the apply that follows takes it out, with
/// whatever is in there and nobody's: pods would restart that nobody has changed. What the engine holds by then stays.
/// Flux, Argo CD and Helm 4 write the records, then apply; kubectl applies, writes the records, and applies again.
fn holds(look: &Look<'_>) -> Option<SignedDuration> {
    let Look { kind, object, .. } = *look;
    let (_, fields) = claims(object)?;
    let held = fields_of_template(kind, fields)?;
    let applies_all = records(object).any(|record| is_anothers_apply(record) && names_images(kind, record));
    let is_next = |record: &&Value| is_anothers_apply(record) || (applies_all && is_of_apply_on_client(record));
    let mut next = records(object).filter(is_next).filter_map(|record| of_template(kind, record));
    next.any(|theirs| empties(theirs, held)).then_some(())?;
    let waited = look.now.duration_since(look.seen.and_then(|seen| seen.holds).unwrap_or(look.now));
    (waited < HOLDS).then(|| HOLDS - waited)
}

/// Whether a field that these fields end in is one below which something is held.
fn empties(theirs: &Value, held: &Value) -> bool {
    let below = |fields: &Value| fields.as_object().is_some_and(|fields| fields.keys().any(|name| name != "."));
    let mut named = theirs.as_object().into_iter().flatten().filter(|(name, _)| *name != ".");
    named.any(|(name, theirs)| {
        let Some(held) = held.get(name) else { return false };
        if below(theirs) { empties(theirs, held) } else { below(held) }
    })
}

fn of_template(kind: WorkloadKind, record: &Value) -> Option<&Value> {
    fields_of_template(kind, record.get("fieldsV1")?)
}

/// Whether this is the record of a whole manifest, and not of a field or two.
fn names_images(kind: WorkloadKind, record: &Value) -> bool {
    let containers = of_template(kind, record).and_then(|template| template.pointer("/f:spec/f:containers"));
    containers.and_then(Value::as_object).is_some_and(|all| all.values().any(|fields| fields.get("f:image").is_some()))
}

/// Whether this is what kubectl takes over once it has applied on the server.
fn is_of_apply_on_client(record: &Value) -> bool {
    let of_update = record.get("operation") == Some(&json!("Update"));
    of_update && record.get("fieldsV1").is_some_and(|fields| fields.pointer(LAST_APPLIED).is_some())
}

fn is_anothers_apply(record: &Value) -> bool {
    record.get("operation") == Some(&json!("Apply"))
        && record.get("manager") != Some(&json!(labels::FIELD_MANAGER))
        && !is_ours(record)
}

/// Who applies the pod spec on the server, other than the operator.
fn applier(kind: WorkloadKind, object: &Value) -> Option<&str> {
    let of_pods = |record: &&Value| of_template(kind, record).is_some_and(|template| template.get("f:spec").is_some());
    records(object).filter(|record| is_anothers_apply(record)).find(of_pods)?.get("manager")?.as_str()
}

/// The operations that drop the record of what the engine holds: the values stay, and are nobody's.
#[must_use]
pub fn forget(object: &Value) -> Option<[Value; 2]> {
    let (position, _) = claims(object)?;
    let path = format!("/metadata/managedFields/{position}");
    let test = json!({"op": "test", "path": format!("{path}/manager"), "value": labels::FALLBACK_MANAGER});
    Some([test, json!({"op": "remove", "path": path})])
}

/// The JSON patch that changes the template, if it is still this one, drops the record, and the labels where the workload
/// leaves.
fn let_go(look: &Look<'_>, changes: &[json_patch::PatchOperation]) -> Value {
    let Look { kind, object, leaves, .. } = *look;
    let at = template_pointer(kind);
    let mut operations = unchanged(look);
    // what becomes nobody's may be what the next apply takes out: it goes only as long as the others hold what they held
    let others =
        records(object).enumerate().filter(|(_, record)| !is_ours(record) && of_template(kind, record).is_some());
    operations.extend(others.map(|(position, record)| {
        json!({"op": "test", "path": format!("/metadata/managedFields/{position}"), "value": record})
    }));
    operations.extend(forget(object).into_iter().flatten());
    for change in changes {
        let mut change = json!(change);
        change["path"] = json!(format!("{at}{}", change["path"].as_str().unwrap_or_default()));
        operations.push(change);
    }
    let mut remove = |map: &str, name: &str| {
        operations.push(json!({"op": "remove", "path": pointer(["metadata", map, name])}));
    };
    if leaves {
        our_labels(object).for_each(|name| remove("labels", &name));
        if object.pointer("/metadata/annotations").is_some_and(|all| all.get(labels::FILL).is_some()) {
            remove("annotations", labels::FILL);
        }
    }
    Value::Array(operations)
}

fn template_pointer(kind: WorkloadKind) -> String {
    format!("/{}", kind.template_path().join("/"))
}

/// The preconditions of a patch. Not the version of the object: a status changes all the time while a rollout goes on.
fn unchanged(look: &Look<'_>) -> Vec<Value> {
    let Look { kind, object, .. } = *look;
    vec![
        json!({"op": "test", "path": "/metadata/uid", "value": object.pointer("/metadata/uid")}),
        json!({"op": "test", "path": template_pointer(kind), "value": template(kind, object)}),
    ]
}

/// All that is to be held: what is held already and still expected, and what is added. A value that somebody else has
/// taken over is in neither.
fn body(look: &Look<'_>, expected: &Value, gaps: &[Gap<'_>]) -> Value {
    let Look { kind, object, asked, .. } = *look;
    let held_template = claims(object).and_then(|(_, fields)| fields_of_template(kind, fields));
    let mut claim = held_template.and_then(|fields| extract(fields, expected)).unwrap_or_else(|| json!({}));
    for gap in gaps {
        if let (Some(value), Some(root)) = (gap.adds(), root_of(&mut claim, gap)) {
            put(root, &gap.road.leaf, value);
        }
    }
    Place::ALL.into_iter().filter_map(Place::list).for_each(|list| in_order(&mut claim, list, expected));
    let metadata = |name: &str| object.pointer(&format!("/metadata/{name}"));
    let mut metadata = json!({"name": metadata("name"), "namespace": metadata("namespace"), "uid": metadata("uid")});
    let fill = asked.or_else(|| object.pointer("/metadata/annotations")?.get(labels::FILL)?.as_str());
    if let Some(fill) = fill {
        metadata["annotations"] = json!({labels::FILL: fill});
    }
    let mut whole = claim;
    for name in kind.template_path().iter().rev() {
        whole = json!({*name: whole});
    }
    whole["apiVersion"] = json!(kind.api_version());
    whole["kind"] = json!(kind);
    whole["metadata"] = metadata;
    whole
}

/// What a set of fields names of a value.
fn extract(fields: &Value, value: &Value) -> Option<Value> {
    let names = fields.as_object()?;
    if names.is_empty() {
        return Some(value.clone());
    }
    match value {
        Value::Object(members) => {
            let member = |(name, inner): (&String, &Value)| {
                let name = name.strip_prefix("f:")?;
                Some((name.to_owned(), extract(inner, members.get(name)?)?))
            };
            let kept: Map<String, Value> = names.iter().filter_map(member).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(entries) => {
            let of_entry = |entry: &Value| {
                let inner = names.iter().find_map(|(name, inner)| {
                    let key: Map<String, Value> = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
                    key.iter().all(|(field, value)| entry.get(field) == Some(value)).then_some(inner)
                })?;
                extract(inner, entry)
            };
            let kept: Vec<Value> = entries.iter().filter_map(of_entry).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

fn root_of<'a>(template: &'a mut Value, gap: &Gap<'_>) -> Option<&'a mut Value> {
    let spec = template.as_object_mut()?.entry("spec").or_insert_with(|| json!({}));
    let Some(list) = gap.road.leaf.place.list() else { return Some(spec) };
    let (_, name) = gap.container.as_ref()?;
    let containers = spec.as_object_mut()?.entry(list).or_insert_with(|| json!([])).as_array_mut()?;
    let position = containers.iter().position(|container| container["name"] == **name).unwrap_or_else(|| {
        containers.push(json!({"name": name}));
        containers.len() - 1
    });
    containers.get_mut(position)
}

/// Containers in the order of the template, or the API server would change it; and only those in which something is held.
fn in_order(claim: &mut Value, list: &str, expected: &Value) {
    let order = |name: &Value| {
        let all = expected["spec"][list].as_array().into_iter().flatten();
        all.into_iter().position(|container| container["name"] == *name)
    };
    let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else { return };
    containers.retain(|container| container.as_object().is_some_and(|fields| fields.len() > 1));
    containers.sort_by_key(|container| order(&container["name"]));
    if containers.is_empty() {
        spec.remove(list);
    }
}

#[cfg(test)]
mod tests;
