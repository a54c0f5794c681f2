//! Keeps the watches in step with what Deprecations ask for and with what the API server serves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::task::AbortHandle;

use super::sink::ConsumerSink;
use super::table::EntryId;
use super::{Consumers, Entry, Found, lock};
use crate::fleet::Watch;
use crate::plan::consumers::{Resolved, Served, resolve};

/// Nothing says that a kind has come or gone; it is noticed after this at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Deprecations come in bursts, and each change lists its resources anew.
const SETTLES: Duration = Duration::from_millis(200);

/// A watch that runs.
struct Running {
    entries: BTreeSet<EntryId>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Consumers {
    /// Watches what is asked for, for ever. `discover` asks the API server what it serves; without an answer everything
    /// stays as it is.
    pub async fn follow<F>(&self, client: Client, discover: impl Fn() -> F)
    where
        F: Future<Output = Option<Vec<Served>>>,
    {
        let mut running: HashMap<Served, Running> = HashMap::new();
        let mut run = 0;
        loop {
            let moved = tokio::select! {
                () = self.0.rearranged.notified() => false,
                () = self.0.moved.notified() => true,
                () = tokio::time::sleep(LOOK_AGAIN) => false,
            };
            tokio::time::sleep(SETTLES).await;
            let entries = self.entries();
            let served = if entries.is_empty() { Some(Vec::new()) } else { discover().await };
            let Some(served) = served else {
                // the API server may be back in a moment, and until then nobody is counted
                self.0.rearranged.notify_one();
                tokio::time::sleep(SETTLES * 10).await;
                continue;
            };
            let wanted = self.arrange(entries.into_values().flatten(), &served);
            running.retain(|resource, _| wanted.contains_key(resource) || self.forgets(resource));
            for (resource, entries) in wanted {
                let ids: BTreeSet<EntryId> = entries.iter().map(|entry| entry.id).collect();
                let looks = entries.iter().any(|entry| entry.matcher.looks_at_namespaces());
                let same = running.get(&resource).is_some_and(|running| running.entries == ids);
                if same && !(moved && looks) {
                    continue;
                }
                run += 1;
                let task = self.start(&client, resource.clone(), run, entries);
                running.insert(resource, Running { entries: ids, task });
            }
            self.0.changed.notify_one();
        }
    }

    /// Remembers what each entry finds, and says which resources are to be watched, and for whom.
    pub(super) fn arrange(
        &self,
        entries: impl Iterator<Item = Arc<Entry>>,
        served: &[Served],
    ) -> BTreeMap<Served, Vec<Arc<Entry>>> {
        let (mut wanted, mut found): (BTreeMap<Served, Vec<_>>, HashMap<_, _>) = Default::default();
        for entry in entries {
            let Resolved { resources, unresolved } = resolve(&entry.spec.resource_rules, served);
            for resource in &resources {
                wanted.entry(resource.clone()).or_default().push(entry.clone());
            }
            found.insert(entry.id, Found { resources, unresolved });
        }
        *lock(&self.0.found) = found;
        wanted
    }

    fn forgets(&self, resource: &Served) -> bool {
        tracing::info!(%resource, "nothing asks for a resource any more, or it is not served");
        self.table().forget(resource);
        false
    }

    fn start(&self, client: &Client, resource: Served, run: u64, entries: Vec<Arc<Entry>>) -> AbortHandle {
        tracing::info!(%resource, entries = entries.len(), "Deprecations ask for a resource");
        self.table().start(&resource, run);
        let sink = ConsumerSink { consumers: self.clone(), resource, run, entries };
        tokio::spawn(Watch::new(sink, client.clone()).run()).abort_handle()
    }
}
