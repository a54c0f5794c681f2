//! Watches of the kinds of objects beside workloads: of Services that templates made from the start, and of what paths ask
//! for as soon as one does.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use kube::api::ObjectMeta;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::task::JoinSet;

use super::children::{Concern, Sight};
use super::context::{Context, Published};
use super::watching;
use crate::api::labels;
use crate::observability::Gate;
use crate::plan::companions::CompanionKind;
use crate::plan::template::ObjectKey;

/// How long the server keeps one watch open, in seconds: it is by its end that a dead connection is noticed.
const WATCH_SECONDS: u32 = 25;

/// Watches, for ever. `gate` opens when what templates made has been seen.
pub async fn watch(client: Client, gate: Gate, context: Arc<Context>) {
    let mut watches = JoinSet::new(); // they end with this task
    watches.spawn(Watch::of_templates(client.clone(), gate, context.clone()).run());
    let mut started = BTreeSet::new();
    loop {
        for kind in wanted(&context).difference(&started.clone()) {
            tracing::info!(kind = kind.kind, api_version = kind.api_version, "a path asks for objects of a kind");
            watches.spawn(Watch::of_all(client.clone(), kind.clone(), context.clone()).run());
            started.insert(kind.clone());
        }
        context.kinds_wanted.notified().await;
    }
}

/// The kinds that the paths in force ask for, and Services where something selects them.
fn wanted(context: &Context) -> BTreeSet<CompanionKind> {
    let mut kinds = BTreeSet::new();
    for published in context.roads.all() {
        let Published::Ready(in_force) = published else { continue };
        let rules = in_force.revisions().flat_map(|revision| &revision.rules);
        let companions = rules.flat_map(|rule| &rule.resources);
        kinds.extend(companions.filter_map(|companion| context.allowed.find(companion).cloned()));
    }
    if kinds.iter().any(CompanionKind::selects_services) {
        kinds.insert(CompanionKind::service());
    }
    kinds
}

struct Watch {
    client: Client,
    kind: CompanionKind,
    /// Only what templates made, and the gate that waits for it.
    gate: Option<Gate>,
    context: Arc<Context>,
    seen: HashSet<ObjectKey>,
}

impl Watch {
    fn of_templates(client: Client, gate: Gate, context: Arc<Context>) -> Self {
        Self { client, kind: CompanionKind::service(), gate: Some(gate), context, seen: HashSet::new() }
    }

    fn of_all(client: Client, kind: CompanionKind, context: Arc<Context>) -> Self {
        Self { client, kind, gate: None, context, seen: HashSet::new() }
    }

    async fn run(mut self) {
        let (group, version) = self.kind.api_version.rsplit_once('/').unwrap_or(("", &self.kind.api_version));
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.kind.api_version.clone(),
            kind: self.kind.kind.clone(),
            plural: self.kind.plural.clone(),
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let config = Config::default().timeout(WATCH_SECONDS);
        let config = if self.gate.is_some() { config.labels(labels::TEMPLATE) } else { config };
        let mut events = std::pin::pin!(watching::events(api, config).backoff(watching::pauses()));
        while let Some(event) = events.next().await {
            self.take(event);
        }
    }

    fn take(&mut self, event: Result<Event<DynamicObject>, watcher::Error>) {
        match event {
            Ok(Event::Init) => self.seen.clear(),
            Ok(Event::InitApply(object)) => {
                self.seen.extend(self.key(&object.metadata));
                self.learn(&object);
            }
            Ok(Event::InitDone) => {
                let gone = self.context.children.complete(&self.kind, &self.seen, self.gate.is_some());
                self.wake(gone);
                self.seen.clear();
                if let Some(gate) = &self.gate {
                    self.context.children.saw_templates();
                    gate.set_ready();
                } else {
                    self.saw(Sight::Listed);
                }
            }
            Ok(Event::Apply(object)) => self.learn(&object),
            Ok(Event::Delete(object)) => {
                let concern = self.key(&object.metadata).and_then(|key| self.context.children.forget(&key));
                self.wake(concern);
            }
            Err(error) => {
                tracing::warn!(kind = self.kind.kind, %error, "a watch of objects beside workloads failed");
                if self.gate.is_none() {
                    self.saw(Sight::Blind(reason(&error)));
                }
            }
        }
    }

    fn key(&self, metadata: &ObjectMeta) -> Option<ObjectKey> {
        Some(self.kind.key(metadata.namespace.as_deref()?, metadata.name.as_deref()?))
    }

    fn learn(&self, object: &DynamicObject) {
        let (Some(key), Ok(json)) = (self.key(&object.metadata), serde_json::to_value(object)) else { return };
        self.wake(self.context.children.learn(&key, &json));
    }

    /// Every service waits for the first answer.
    fn saw(&self, sight: Sight) {
        if self.context.children.saw(&self.kind, sight) {
            let _ = self.context.path_changed.unbounded_send(()); // the receiver lives as long as the process
        }
    }

    fn wake(&self, concerns: impl IntoIterator<Item = Concern>) {
        for concern in concerns {
            let services = match concern {
                Concern::Service { namespace, name } => vec![(namespace, name)],
                Concern::Namespace(namespace) => self.context.fleet.table().services_in(&namespace),
            };
            for (namespace, name) in services {
                self.context.wake_service(&namespace, &name);
            }
        }
    }
}

/// What the API server says, or the error in its own words.
fn reason(error: &watcher::Error) -> String {
    let source = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => source,
        other => return other.to_string(),
    };
    match source {
        kube::Error::Api(status) if status.code == 404 => "the API server does not serve it".to_owned(),
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
