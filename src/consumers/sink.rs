//! What the watch of one resource sees, on its way through the entries that ask for it into the table.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::table::{Blind, EntryId, Seen};
use super::{Consumers, Entry, home_of, is_namespace, is_selected};
use crate::api::{GROUP, labels};
use crate::fleet::Sink;
use crate::fleet::decode::Head;
use crate::fleet::errors::{Skipped, WatchError};
use crate::plan::consumers::fix::remedy;
use crate::plan::consumers::matcher::service_of;
use crate::plan::consumers::{Served, Sight};
use crate::plan::metadata::label;

/// One run of the watch of one resource.
pub(super) struct ConsumerSink {
    pub consumers: Consumers,
    pub resource: Served,
    pub run: u64,
    pub entries: Vec<Arc<Entry>>,
}

impl ConsumerSink {
    fn tell(&self, news: bool) {
        if news {
            self.consumers.0.changed.notify_one();
        }
    }

    /// What the entries say of an object. Nothing where nobody is ever asked to migrate anything.
    fn seen<'a>(&self, namespace: &'a str, name: &'a str, object: &'a Value) -> Seen<'a> {
        let home = home_of(&self.resource, namespace, name);
        if labels::is_excluded(home.unwrap_or_default(), &self.consumers.0.operator_namespace) || is_managed(object) {
            return Seen { namespace, name, ..Seen::default() };
        }
        let looks = self.entries.iter().any(|entry| entry.matcher.looks_at_namespaces());
        let of = if looks { self.consumers.namespace(namespace) } else { Value::Null };
        let sights: Vec<_> = self.entries.iter().map(|entry| (entry.id, entry.matcher.look(object, &of))).collect();
        Seen {
            namespace,
            name,
            team: label(object, labels::TEAM).filter(|team| !team.is_empty()),
            service: service_of(object),
            remedies: self.remedies(home, object, &of, &sights),
            sights,
        }
    }

    /// What the fix of each Deprecation does to an object that is old by an entry of it.
    fn remedies(
        &self,
        home: Option<&str>,
        object: &Value,
        of: &Value,
        sights: &[(EntryId, Sight)],
    ) -> Vec<(EntryId, Result<String, String>)> {
        let mut known: Vec<(&str, Result<String, String>)> = Vec::new();
        let mut remedies = Vec::new();
        for (entry, (id, sight)) in self.entries.iter().zip(sights) {
            let (Some(fix), Sight::Matched { .. }) = (&entry.fix, sight) else { continue };
            let before = known.iter().find(|(deprecation, _)| *deprecation == &*entry.deprecation);
            let outcome = if let Some((_, outcome)) = before {
                outcome.clone()
            } else {
                let siblings = self.entries.iter().filter(|other| other.deprecation == entry.deprecation);
                let selected = siblings.filter(|other| other.id == *id || self.selects(other, home, object));
                let outcome = remedy(fix, object, of, selected.map(|other| (&*other.name, &other.matcher)));
                outcome.map(|patch| Value::Object(patch).to_string()).map_err(|unfit| unfit.to_string())
            };
            // one that does not mean the object, as long as its namespace is as it is, says nothing for the others
            if before.is_none() && self.selects(entry, home, object) {
                known.push((&entry.deprecation, outcome.clone()));
            }
            remedies.push((*id, outcome));
        }
        remedies
    }

    /// Whether an entry means an object, by its home. Of a namespace its own labels count, which another watch may bring later.
    fn selects(&self, entry: &Entry, home: Option<&str>, object: &Value) -> bool {
        let home = home.filter(|_| entry.matcher.has_selector());
        let own = |home| if is_namespace(&self.resource) { object.clone() } else { self.consumers.namespace(home) };
        is_selected(&entry.matcher, home.map(own).as_ref())
    }
}

/// What another controller owns is as that controller makes it: nobody can move it, and no policy refuses it.
fn is_managed(object: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let foreign = |owner: &Value| {
        let group = owner.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let group = group.split_once('/').map_or("", |(group, _)| group);
        owner.get("controller") == Some(&Value::Bool(true)) && group != GROUP
    };
    owners.into_iter().flatten().any(foreign)
}

impl Sink for ConsumerSink {
    type Object<'a> = Head<'a>;

    fn name(&self) -> &str {
        &self.resource.plural
    }

    fn url(&self) -> String {
        self.resource.url()
    }

    fn heard(&self) {
        let news = self.consumers.table().heard(&self.resource, self.run, None);
        self.tell(news);
    }

    fn failed(&self, error: &WatchError) {
        self.consumers.0.metrics.watch_failed(&self.resource.plural, error.reason());
        let forbidden = matches!(error, WatchError::Answer { code: 403, .. });
        // what was seen counts on; what nobody can see any more does not become less
        let lasts = forbidden || matches!(error, WatchError::Answer { .. });
        if lasts {
            let blind = Blind { forbidden, message: error.to_string() };
            let news = self.consumers.table().heard(&self.resource, self.run, Some(blind));
            self.tell(news);
        }
    }

    fn begin(&self) {
        self.consumers.0.metrics.listed(&self.resource.plural);
        self.consumers.table().begin(&self.resource, self.run);
    }

    fn see<'a>(&self, head: &Head<'_>, raw: impl FnOnce() -> Option<&'a RawValue>) {
        let (namespace, name) = (&*head.metadata.namespace, &*head.metadata.name);
        if name.is_empty() {
            return self.skip(Skipped::NoName);
        }
        let Some(object) = raw().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok()) else {
            return self.skip(Skipped::Malformed);
        };
        let seen = self.seen(namespace, name, &object);
        let news = self.consumers.table().see(&self.resource, self.run, seen);
        self.tell(news);
    }

    fn remove(&self, head: &Head<'_>) {
        let (namespace, name) = (&*head.metadata.namespace, &*head.metadata.name);
        let news = self.consumers.table().remove(&self.resource, self.run, namespace, name);
        self.tell(news);
    }

    fn skip(&self, why: Skipped) {
        tracing::warn!(resource = self.resource.plural, reason = why.reason(), "an object was skipped");
        self.consumers.0.metrics.skipped(&self.resource.plural, why);
    }

    fn complete(&self, _version: u64) {
        let entries = self.entries.iter().map(|entry| entry.id);
        self.consumers.table().complete(&self.resource, self.run, entries);
        tracing::info!(resource = %self.resource, entries = self.entries.len(), "every object of a resource is in sight");
        self.tell(true);
        self.consumers.0.listed.notify_one();
    }

    /// Rows have no versions that could be newer than the list.
    fn set_back(&self) {}
}
