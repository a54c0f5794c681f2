//! Keeps the watches in step with what Deprecations ask for and with what the API server serves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::sink::ConsumerSink;
use super::table::EntryId;
use super::{Consumers, Entry, Found, lock};
use crate::fleet::Watch;
use crate::plan::consumers::{Resolved, Served, resolve};

/// Nothing says that a kind has come or gone; it is noticed after this at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// What discovery does not tell of any more is gone after this: an aggregated API that does not answer is listed without
/// its resources, and is back when it answers.
const GONE_AFTER: Duration = Duration::from_secs(50);
/// A changed namespace lists what looks at namespaces anew, and no more often than this.
const PACE: Duration = Duration::from_secs(5);
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

/// Resources that are watched, and when discovery told of each last.
#[derive(Default)]
struct Seen(HashMap<Served, Instant>);

impl Seen {
    /// What is served, with what was served a moment ago.
    fn with_recent(&mut self, mut served: Vec<Served>, now: Instant) -> Vec<Served> {
        for (resource, last) in &mut self.0 {
            if served.contains(resource) {
                *last = now;
            } else if now.duration_since(*last) < GONE_AFTER {
                served.push(resource.clone());
            }
        }
        self.0.extend(
            served
                .iter()
                .map(|resource| (resource.clone(), now))
                .filter(|(r, _)| !self.0.contains_key(r))
                .collect::<Vec<_>>(),
        );
        served
    }

    /// Forgets what nobody watches.
    fn keep(&mut self, is_watched: impl Fn(&Served) -> bool) {
        self.0.retain(|resource, _| is_watched(resource));
    }
}

impl Consumers {
    /// Watches what is asked for, for ever. `discover` asks the API server what it serves; without an answer everything
    /// stays as it is.
    pub async fn follow<F>(&self, client: Client, discover: impl Fn() -> F)
    where
        F: Future<Output = Option<Vec<Served>>>,
    {
        let (mut running, mut seen): (HashMap<Served, Running>, Seen) = Default::default();
        let mut run = 0;
        loop {
            let moved = tokio::select! {
                () = self.0.rearranged.notified() => false,
                () = self.0.moved.notified() => true,
                () = tokio::time::sleep(LOOK_AGAIN) => false,
            };
            if moved && !self.looks_at_namespaces() {
                continue;
            }
            if moved {
                // who changes an entry does not wait for it
                let _ = tokio::time::timeout(PACE, self.0.rearranged.notified()).await;
            }
            tokio::time::sleep(SETTLES).await;
            let entries = self.entries();
            let served = if entries.is_empty() { Some(Vec::new()) } else { discover().await };
            let Some(served) = served else {
                // the API server may be back in a moment, and until then nobody is counted
                self.0.rearranged.notify_one();
                tokio::time::sleep(SETTLES * 10).await;
                continue;
            };
            let served = seen.with_recent(served, Instant::now());
            let wanted = self.arrange(entries.into_values().flatten(), &served);
            seen.keep(|resource| wanted.contains_key(resource));
            running.retain(|resource, _| wanted.contains_key(resource) || self.forgets(resource));
            for (resource, entries) in wanted {
                let ids: BTreeSet<EntryId> = entries.iter().map(|entry| entry.id).collect();
                let looks = entries.iter().any(|entry| entry.matcher.looks_at_namespaces());
                let same = running.get(&resource).is_some_and(|running| running.entries == ids);
                // a list that is on its way ends first: changes that come faster would never let it
                let lists = same && !self.has_listed(&resource, &ids);
                if moved && looks && lists {
                    self.0.moved.notify_one();
                }
                if same && !(moved && looks && !lists) {
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

    fn looks_at_namespaces(&self) -> bool {
        self.entries().values().flatten().any(|entry| entry.matcher.looks_at_namespaces())
    }

    fn has_listed(&self, resource: &Served, entries: &BTreeSet<EntryId>) -> bool {
        self.table().of(resource).is_some_and(|rows| entries.iter().all(|entry| rows.has_listed(*entry)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_discovery_forgets_for_a_moment_is_still_there() {
        let (routes, now) = (Served { plural: "routes".into(), ..Served::default() }, Instant::now());
        let mut seen = Seen::default();
        assert_eq!(seen.with_recent(vec![routes.clone()], now).len(), 1);
        assert_eq!(seen.with_recent(Vec::new(), now + LOOK_AGAIN), std::slice::from_ref(&routes), "a hiccup");
        assert_eq!(seen.with_recent(vec![routes.clone()], now + LOOK_AGAIN * 2).len(), 1);
        assert_eq!(seen.with_recent(Vec::new(), now + LOOK_AGAIN * 4), [], "gone");
        seen.keep(|_| false);
        assert!(seen.0.is_empty());
    }
}
