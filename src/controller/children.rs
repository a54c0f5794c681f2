//! Objects that the operator made beside workloads, as the API server has them: Services for now.
//!
//! Only what carries our label is watched, so a cluster in which nothing was made pays for an empty watch. A Service of
//! somebody else in the place of one of ours is found by asking for it when ours is to be made.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use kube::api::ObjectMeta;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::Value;

use super::context::Context;
use crate::api::labels;
use crate::fleet::Kept;
use crate::observability::Gate;
use crate::plan::applied::PutBack;
use crate::plan::service::label;
use crate::plan::template::ObjectKey;

/// How long the server keeps one watch open, in seconds: it is by its end that a dead connection is noticed.
const WATCH_SECONDS: u32 = 25;

/// What is known about objects that were made.
#[derive(Default)]
pub struct Children(Mutex<Known>);

#[derive(Default)]
struct Known {
    rows: BTreeMap<ObjectKey, Row>,
    /// Kinds of which a list was ever complete.
    listed: HashSet<String>,
}

struct Row {
    service: String,
    version: u64,
    kept: Kept,
}

impl Children {
    /// Whether all objects of a kind have been seen.
    pub fn is_listed(&self, kind: &str) -> bool {
        self.known().listed.contains(kind)
    }

    /// An object as it was seen last.
    pub fn object(&self, key: &ObjectKey) -> Option<Value> {
        self.known().rows.get(key)?.kept.object()
    }

    /// What was made for a service.
    pub fn of(&self, namespace: &str, service: &str) -> Vec<ObjectKey> {
        let known = self.known();
        let mine = known.rows.iter().filter(|(key, row)| key.namespace == namespace && row.service == service);
        mine.map(|(key, _)| key.clone()).collect()
    }

    /// Takes in an object that was watched, read or written. The answer is its service.
    pub fn learn(&self, key: &ObjectKey, object: &Value) -> Option<String> {
        let service = label(object, labels::TEMPLATE)?.to_owned();
        let version = object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()?;
        let mut known = self.known();
        if known.rows.get(key).is_some_and(|row| row.version > version) {
            return None;
        }
        let kept = Kept::new(&serde_json::value::to_raw_value(object).ok()?);
        known.rows.insert(key.clone(), Row { service: service.clone(), version, kept });
        Some(service)
    }

    /// An object is gone, or carries our label no more. The answer is the service that it was made for.
    pub fn forget(&self, key: &ObjectKey) -> Option<String> {
        self.known().rows.remove(key).map(|row| row.service)
    }

    /// A list of a kind is complete: what was not in it is gone. The answer is whose that was.
    fn complete(&self, kind: &str, seen: &HashSet<ObjectKey>) -> Vec<(String, String)> {
        let mut known = self.known();
        known.listed.insert(kind.to_owned());
        let mut gone = Vec::new();
        known.rows.retain(|key, row| {
            let stays = key.kind != kind || seen.contains(key);
            if !stays {
                gone.push((key.namespace.clone(), row.service.clone()));
            }
            stays
        });
        gone
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was put back of objects, by their uid. A restart forgets it: then one edit more is put back.
#[derive(Default)]
pub struct PutBacks(Mutex<HashMap<String, PutBack>>);

/// More than any cluster has objects that people edit by hand; it only bounds the memory.
const MAX_PUT_BACKS: usize = 4096;

impl PutBacks {
    /// What was put back of an object.
    pub fn of(&self, object: &Value) -> PutBack {
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        self.all().get(uid).cloned().unwrap_or_default()
    }

    /// Remembers what an apply of the content `hash` has put back.
    pub fn remember(&self, object: &Value, hash: &str, fields: Vec<(String, String)>) {
        if fields.is_empty() {
            return;
        }
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        let mut all = self.all();
        if all.len() >= MAX_PUT_BACKS {
            all.clear();
        }
        let known = all.entry(uid.to_owned()).or_default();
        if known.hash != hash {
            *known = PutBack { hash: hash.to_owned(), fields: Vec::new() };
        }
        known.fields.extend(fields);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, PutBack>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches the Services that were made, for ever, and wakes the PlatformServices that they were made for.
pub async fn watch(client: Client, gate: &Gate, context: &Arc<Context>) {
    let resource = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        plural: "services".to_owned(),
    };
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let config = Config::default().labels(labels::TEMPLATE).timeout(WATCH_SECONDS);
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut seen = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                seen.extend(key(&object.metadata));
                learn(&object, context);
            }
            Ok(Event::InitDone) => {
                for (namespace, service) in context.children.complete(&resource.kind, &seen) {
                    wake(&namespace, &service, context);
                }
                seen.clear();
                gate.set_ready();
            }
            Ok(Event::Apply(object)) => learn(&object, context),
            Ok(Event::Delete(object)) => {
                if let Some((key, service)) =
                    key(&object.metadata).and_then(|k| Some((k.clone(), context.children.forget(&k)?)))
                {
                    wake(&key.namespace, &service, context);
                }
            }
            Err(error) => tracing::warn!(%error, "the watch of made Services failed"),
        }
    }
}

fn key(metadata: &ObjectMeta) -> Option<ObjectKey> {
    Some(ObjectKey::service(metadata.namespace.as_deref()?, metadata.name.as_deref()?))
}

fn learn(object: &DynamicObject, context: &Context) {
    let (Some(key), Ok(json)) = (key(&object.metadata), serde_json::to_value(object)) else { return };
    if let Some(service) = context.children.learn(&key, &json) {
        wake(&key.namespace, &service, context);
    }
}

fn wake(namespace: &str, service: &str, context: &Context) {
    // the receiver lives as long as the process; a service that does not exist is woken in vain
    let _ = context.wake.unbounded_send(ObjectRef::new(service).within(namespace));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(service: &str, version: u64) -> Value {
        json!({"metadata": {"uid": "1", "resourceVersion": version.to_string(), "labels": {labels::TEMPLATE: service}}})
    }

    #[test]
    fn an_older_fact_never_undoes_a_newer_one_and_a_list_tells_what_is_gone() {
        let children = Children::default();
        let (a, b) = (ObjectKey::service("shop", "a"), ObjectKey::service("shop", "b"));
        assert!(!children.is_listed("Service"));
        assert_eq!(children.learn(&a, &object("cart", 5)).as_deref(), Some("cart"));
        assert_eq!(children.learn(&a, &object("cart", 4)), None);
        children.learn(&b, &object("cart", 6));
        assert_eq!(children.of("shop", "cart"), [a.clone(), b.clone()]);
        assert_eq!(children.of("other", "cart"), []);
        assert_eq!(children.complete("Service", &[a.clone()].into()), [("shop".to_owned(), "cart".to_owned())]);
        assert!(children.is_listed("Service") && children.object(&b).is_none() && children.object(&a).is_some());
        assert_eq!(children.forget(&a).as_deref(), Some("cart"));
    }

    #[test]
    fn what_was_put_back_is_remembered_for_one_content() {
        let put_backs = PutBacks::default();
        let (object, field) = (object("cart", 1), |name: &str| (name.to_owned(), "kubectl".to_owned()));
        put_backs.remember(&object, "a", vec![field("x")]);
        put_backs.remember(&object, "a", vec![field("y")]);
        assert_eq!(put_backs.of(&object), PutBack { hash: "a".to_owned(), fields: vec![field("x"), field("y")] });
        put_backs.remember(&object, "b", vec![field("z")]);
        assert_eq!(put_backs.of(&object).fields, [field("z")]);
        put_backs.remember(&object, "c", vec![]);
        assert_eq!(put_backs.of(&object).hash, "b");
    }
}
