//! `goldenpath release`: what of ours is on an object, and the patches that take it off and put it back.
//!
//! Only metadata is touched, and of it no annotation: those on a Deployment change its generation. Without a policy they
//! say nothing to anybody.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::pointer;
use super::template::ObjectKey;
use crate::api::{GROUP, labels};

/// A pod that was asked to end is given half a minute by its kubelet, and a little more.
const ENDS: Duration = Duration::from_mins(1);
/// Pods of a Deployment that was deleted are asked to end a moment later.
const ASKED: Duration = Duration::from_secs(3);

/// Whether a pod that was there all the time, so long, may still be about to end.
#[must_use]
pub fn is_ending(pod: &ObjectMeta, waited: Duration) -> bool {
    waited < if pod.deletion_timestamp.is_some() { ENDS } else { ASKED }
}

/// What stands on one object: a line of the record.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Marks {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// The resource's name in URLs.
    pub resource: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which object of that name.
    pub uid: String,
    /// Our labels.
    pub labels: BTreeMap<String, String>,
    /// PlatformServices that own it. With their kind the object would go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<OwnerReference>,
}

/// Whether a label is one that the operator puts on objects. A team, and what the operator may read, people say.
#[must_use]
pub fn is_mark(label: &str) -> bool {
    labels::is_ours(label) && ![labels::TEAM, labels::AGGREGATE_TO_READER].contains(&label)
}

fn is_service(owner: &OwnerReference) -> bool {
    owner.api_version.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/'))
}

impl Marks {
    /// What stands on an object of a kind; nothing where nothing does.
    #[must_use]
    pub fn of(api_version: &str, kind: &str, resource: &str, object: &ObjectMeta) -> Option<Self> {
        let all = object.labels.iter().flatten().filter(|(name, _)| is_mark(name));
        let labels: BTreeMap<_, _> = all.map(|(name, value)| (name.clone(), value.clone())).collect();
        let owners: Vec<_> = object.owner_references.iter().flatten().filter(|o| is_service(o)).cloned().collect();
        if labels.is_empty() && owners.is_empty() {
            return None;
        }
        let [api_version, kind, resource] = [api_version, kind, resource].map(ToOwned::to_owned);
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (namespace, name, uid) = (text(&object.namespace), text(&object.name), text(&object.uid));
        Some(Self { api_version, kind, resource, namespace, name, uid, labels, owners })
    }

    /// Where the object is.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::of(&self.api_version, &self.kind, &self.resource, &self.namespace, &self.name)
    }

    /// The JSON patch that takes all of it off the object as it stands; nothing where nothing of it is there any more.
    ///
    /// Every operation is tested: what somebody changes meanwhile is refused by the server and stays.
    #[must_use]
    pub fn take_off(&self, object: &ObjectMeta) -> Option<Value> {
        let mut operations = self.begin();
        let live = object.labels.clone().unwrap_or_default();
        for name in self.labels.keys() {
            let Some(value) = live.get(name) else { continue };
            operations.push(json!({"op": "test", "path": label(name), "value": value}));
            operations.push(json!({"op": "remove", "path": label(name)}));
        }
        let owners = object.owner_references.as_deref().unwrap_or_default();
        // the last one first, since the places behind one that goes move up
        for (place, owner) in owners.iter().enumerate().rev().filter(|(_, owner)| self.has_owner(owner)) {
            let path = format!("/metadata/ownerReferences/{place}");
            operations.push(json!({"op": "test", "path": format!("{path}/uid"), "value": owner.uid}));
            operations.push(json!({"op": "remove", "path": path}));
        }
        (operations.len() > 1).then_some(Value::Array(operations))
    }

    /// The JSON patch that puts back what is missing of it; nothing where nothing is. A value that is another one by now
    /// stays. `owners` are those that still exist: an object with no other would go at once.
    #[must_use]
    pub fn put_back(&self, object: &ObjectMeta, owners: &[OwnerReference]) -> Option<Value> {
        let mut operations = self.begin();
        let live = object.labels.clone().unwrap_or_default();
        let missing: Vec<_> = self.labels.iter().filter(|(name, _)| !live.contains_key(*name)).collect();
        if object.labels.is_none() && !missing.is_empty() {
            operations.push(json!({"op": "add", "path": "/metadata/labels", "value": {}}));
        }
        for (name, value) in missing {
            operations.push(json!({"op": "add", "path": label(name), "value": value}));
        }
        let present = object.owner_references.as_deref().unwrap_or_default();
        let missing: Vec<_> = owners.iter().filter(|owner| !present.iter().any(|p| p.uid == owner.uid)).collect();
        if object.owner_references.is_none() && !missing.is_empty() {
            operations.push(json!({"op": "add", "path": "/metadata/ownerReferences", "value": []}));
        }
        for owner in missing {
            operations.push(json!({"op": "add", "path": "/metadata/ownerReferences/-", "value": owner}));
        }
        (operations.len() > 1).then_some(Value::Array(operations))
    }

    fn has_owner(&self, owner: &OwnerReference) -> bool {
        self.owners.iter().any(|ours| ours.uid == owner.uid)
    }

    /// Another object of the same name is none of this record's business.
    fn begin(&self) -> Vec<Value> {
        vec![json!({"op": "test", "path": "/metadata/uid", "value": self.uid})]
    }

    /// What it is, for people: `service=shop path=web-service`.
    #[must_use]
    pub fn shown(&self) -> String {
        let short = |name: &str| match name.split_once('/') {
            Some((domain, name)) if domain != GROUP => {
                let part = domain.strip_suffix(GROUP).unwrap_or(domain).trim_end_matches('.');
                format!("{part}/{name}")
            }
            Some((_, name)) => name.to_owned(),
            None => name.to_owned(),
        };
        let labels = self.labels.iter().map(|(name, value)| match value.as_str() {
            "" => short(name),
            value => format!("{}={value}", short(name)),
        });
        let owners = self.owners.iter().map(|owner| format!("owner={}/{}", owner.kind, owner.name));
        labels.chain(owners).collect::<Vec<_>>().join(" ")
    }
}

fn label(name: &str) -> String {
    pointer(["metadata", "labels", name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value)] // what is written in place is passed on
    fn object(labels: Value, owners: Value) -> ObjectMeta {
        let mut meta = json!({"name": "shop", "namespace": "prod", "uid": "u1", "labels": labels});
        if !owners.is_null() {
            meta["ownerReferences"] = owners;
        }
        serde_json::from_value(meta).unwrap()
    }

    fn owner(api_version: &str, uid: &str) -> Value {
        json!({"apiVersion": api_version, "kind": "PlatformService", "name": uid, "uid": uid})
    }

    fn marks(object: &ObjectMeta) -> Option<Marks> {
        Marks::of("apps/v1", "Deployment", "deployments", object)
    }

    fn patched(object: &ObjectMeta, patch: Value) -> Result<Value, json_patch::PatchError> {
        let mut value = json!({"metadata": object});
        json_patch::patch(&mut value, &serde_json::from_value::<json_patch::Patch>(patch).unwrap())?;
        Ok(value["metadata"].clone())
    }

    fn adopted() -> ObjectMeta {
        let labels = json!({"app": "shop", "goldenpath.dev/team": "a", "goldenpath.dev/service": "shop",
            "skip.goldenpath.dev/token": ""});
        let owners = json!([
            owner("goldenpath.dev/v1alpha1", "s1"),
            owner("example.com/v1", "x"),
            owner("goldenpath.dev/v1alpha1", "s2")
        ]);
        object(labels, owners)
    }

    #[test]
    fn a_pod_that_ends_is_waited_for_and_one_that_stays_is_not() {
        let stays = ObjectMeta::default();
        let ends: ObjectMeta = serde_json::from_value(json!({"deletionTimestamp": "2026-11-27T00:00:00Z"})).unwrap();
        assert!(is_ending(&stays, Duration::ZERO) && !is_ending(&stays, ASKED));
        assert!(is_ending(&ends, ASKED * 10) && !is_ending(&ends, ENDS));
    }

    #[test]
    fn what_is_not_ours_is_no_mark() {
        let labels = json!({"app": "shop", "goldenpath.dev/team": "a", "notgoldenpath.dev/service": "b"});
        assert_eq!(marks(&object(labels, json!([owner("goldenpath.dev.example.com/v1", "x")]))), None);
        assert_eq!(marks(&ObjectMeta::default()), None);
        assert!(!is_mark(labels::AGGREGATE_TO_READER) && is_mark(labels::SERVICE) && is_mark("skip.goldenpath.dev/a"));
    }

    #[test]
    fn everything_of_ours_goes_and_comes_back() {
        let before = adopted();
        let marks = marks(&before).unwrap();
        assert_eq!(marks.shown(), "service=shop skip/token owner=PlatformService/s1 owner=PlatformService/s2");
        let after = patched(&before, marks.take_off(&before).unwrap()).unwrap();
        assert_eq!(after["labels"], json!({"app": "shop", "goldenpath.dev/team": "a"}));
        assert_eq!(after["ownerReferences"], json!([owner("example.com/v1", "x")]));
        let after: ObjectMeta = serde_json::from_value(after).unwrap();
        assert_eq!(marks.take_off(&after), None);

        let back = patched(&after, marks.put_back(&after, &marks.owners).unwrap()).unwrap();
        assert_eq!(back["labels"], json!(before.labels));
        assert_eq!(back["ownerReferences"].as_array().unwrap().len(), 3);
        let back: ObjectMeta = serde_json::from_value(back).unwrap();
        assert_eq!(marks.put_back(&back, &marks.owners), None);
    }

    #[test]
    fn an_object_without_any_label_or_owner_gets_them_back() {
        let marks = marks(&adopted()).unwrap();
        let bare = ObjectMeta { uid: Some("u1".into()), ..ObjectMeta::default() };
        let back = patched(&bare, marks.put_back(&bare, &marks.owners[..1]).unwrap()).unwrap();
        assert_eq!(back["labels"], json!(marks.labels));
        assert_eq!(back["ownerReferences"], json!(marks.owners[..1]));
    }

    #[test]
    fn an_object_of_the_same_name_and_a_value_that_changed_are_left_alone() {
        let before = adopted();
        let marks = marks(&before).unwrap();
        let other = ObjectMeta { uid: Some("u2".into()), ..before.clone() };
        assert!(patched(&other, marks.take_off(&other).unwrap()).is_err());
        let mut changed = before.clone();
        changed.labels.as_mut().unwrap().insert("goldenpath.dev/service".into(), "other".into());
        // as it was when it was read, and as it is by now
        assert!(patched(&changed, marks.take_off(&before).unwrap()).is_err());
        assert!(!marks.put_back(&changed, &[]).is_some_and(|patch| patch.to_string().contains("service")));
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let marks = marks(&adopted()).unwrap();
        let text = serde_json::to_string(&marks).unwrap();
        assert!(!text.contains('\n'));
        assert_eq!(serde_json::from_str::<Marks>(&text).unwrap(), marks);
    }
}
