//! Consumers of what is old: watches of whatever Deprecations match, started as they need and shared between them.
//!
//! ```text
//!  Deprecations ── want ──> entries ── resolve (discovery) ──> one watch a resource ── look ──> table ── count ──> tallies
//! ```
//!
//! Every object is parsed and looked at once, when a watch shows it, with the entries of all Deprecations that ask for its
//! resource; only what an entry says of it is kept. So a changed entry lists its resources anew.
//!
//! The workloads that the fleet watches are watched here a second time where an entry asks for them: an entry comes, changes
//! and goes, and each time lists its resource anew, which would throw the fleet's watch back on which readiness and every
//! service depend. What it costs is one more stream of changes a kind.

pub mod count;
mod follow;
pub mod metrics;
mod sink;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::Notify;

pub use count::{Home, Homes};
pub use table::{EntryId, Table};

use crate::api::DeprecationMatch;
use crate::fleet::Fleet;
use crate::fleet::metrics::WatchMetrics;
use crate::plan::consumers::{InSight, InvalidMatch, Matcher, Problem, Served, Unresolved};

/// An entry of the `matches` of one Deprecation.
#[derive(Debug)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// Its name.
    pub name: Arc<str>,
    /// The Deprecation.
    deprecation: Arc<str>,
    spec: DeprecationMatch,
    /// The patch that the Deprecation says makes an old object a new one.
    fix: Option<Arc<Map<String, Value>>>,
    /// The same, compiled.
    pub matcher: Matcher,
}

/// What a Deprecation wants to know.
#[derive(Clone, Debug, Default)]
struct Wanted {
    entries: Vec<Arc<Entry>>,
    /// Counts how often what is old has changed.
    version: u64,
}

/// What an entry asks for, as far as the API server serves it.
#[derive(Clone, Debug, Default)]
struct Found {
    resources: Vec<Served>,
    unresolved: Vec<Unresolved>,
}

/// All consumers. Clones share them.
#[derive(Clone)]
pub struct Consumers(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    wanted: Mutex<BTreeMap<String, Wanted>>,
    found: Mutex<HashMap<EntryId, Found>>,
    next: Mutex<EntryId>,
    /// Entries have changed.
    rearranged: Notify,
    /// A namespace has changed.
    moved: Notify,
    /// Something that is counted has changed.
    changed: Notify,
    /// A list has ended.
    listed: Notify,
    fleet: Fleet,
    operator_namespace: String,
    metrics: WatchMetrics,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The namespace by whose labels an object is selected: a namespace by its own, as in admission. Nothing for what is in none.
fn home_of<'a>(resource: &Served, namespace: &'a str, name: &'a str) -> Option<&'a str> {
    let home = if is_namespace(resource) { name } else { namespace };
    (!home.is_empty()).then_some(home)
}

fn is_namespace(resource: &Served) -> bool {
    resource.group.is_empty() && resource.plural == "namespaces"
}

/// Whether an entry means an object, by its home. What is in no namespace is meant by every entry, as in admission.
fn is_selected(matcher: &Matcher, home: Option<&Value>) -> bool {
    home.is_none_or(|home| matcher.selects(home))
}

impl Consumers {
    /// None yet. Namespaces are the fleet's.
    #[must_use]
    pub fn new(fleet: Fleet, operator_namespace: &str, metrics: WatchMetrics) -> Self {
        Self(Arc::new(Shared {
            table: Mutex::default(),
            wanted: Mutex::default(),
            found: Mutex::default(),
            next: Mutex::default(),
            rearranged: Notify::new(),
            moved: Notify::new(),
            changed: Notify::new(),
            listed: Notify::new(),
            fleet,
            operator_namespace: operator_namespace.to_owned(),
            metrics,
        }))
    }

    /// Registers what a Deprecation matches, and the patch that is to make it new. An entry that has not changed goes on as
    /// it is. Entries that cannot be compiled change nothing.
    pub fn want(
        &self,
        deprecation: &str,
        matches: &[DeprecationMatch],
        fix: Option<&Map<String, Value>>,
    ) -> Result<(), InvalidMatch> {
        let before = lock(&self.0.wanted).get(deprecation).cloned().unwrap_or_default();
        let (name, fix): (Arc<str>, _) = (deprecation.into(), fix.cloned().map(Arc::new));
        let mut entries = Vec::with_capacity(matches.len());
        for spec in matches {
            entries.push(match before.entries.iter().find(|entry| entry.spec == *spec) {
                Some(same) if same.fix == fix => same.clone(),
                known => Arc::new(Entry {
                    id: self.next_id(),
                    name: spec.name.as_str().into(),
                    deprecation: name.clone(),
                    spec: spec.clone(),
                    fix: fix.clone(),
                    matcher: known.map_or_else(|| Matcher::compile(spec), |known| Ok(known.matcher.clone()))?,
                }),
            });
        }
        let ids = |entries: &[Arc<Entry>]| entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
        if ids(&before.entries) != ids(&entries) {
            // with another fix the same is old as before, and can be compared
            let same = before.entries.iter().map(|entry| &entry.spec).eq(entries.iter().map(|entry| &entry.spec));
            let wanted = Wanted { entries, version: before.version + u64::from(!same) };
            lock(&self.0.wanted).insert(deprecation.to_owned(), wanted);
            self.0.rearranged.notify_one();
        }
        Ok(())
    }

    /// Forgets a Deprecation that is gone.
    pub fn forget(&self, deprecation: &str) {
        if lock(&self.0.wanted).remove(deprecation).is_some() {
            self.0.rearranged.notify_one();
        }
    }

    /// A namespace has changed: expressions that look at it are asked again, and objects in it are counted anew.
    pub fn namespace_changed(&self) {
        self.0.moved.notify_one();
        self.0.changed.notify_one();
    }

    /// Something beside the objects has changed that is counted, such as a claim of a service.
    pub fn count_again(&self) {
        self.0.changed.notify_one();
    }

    /// Resolves after the next change of anything that is counted.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Resolves after the next end of a list.
    pub async fn listed(&self) {
        self.0.listed.notified().await;
    }

    /// How much of what a Deprecation matches is in sight.
    #[must_use]
    pub fn in_sight(&self, deprecation: &str) -> InSight {
        let Some(wanted) = lock(&self.0.wanted).get(deprecation).cloned() else { return InSight::default() };
        let (found, table) = (lock(&self.0.found), self.table());
        let mut complete = true;
        let mut problems = BTreeSet::new();
        for entry in &wanted.entries {
            let Some(Found { resources, unresolved }) = found.get(&entry.id) else {
                complete = false;
                continue;
            };
            let name = || entry.name.to_string();
            problems.extend(unresolved.iter().map(|why| Problem::Unresolved { entry: name(), why: why.clone() }));
            for resource in resources {
                let rows = table.of(resource);
                match rows.and_then(|rows| rows.blind.clone()) {
                    Some(blind) if blind.forbidden => {
                        problems.insert(Problem::Forbidden { resource: resource.clone() });
                    }
                    Some(blind) => {
                        problems.insert(Problem::Blind { resource: resource.clone(), message: blind.message });
                    }
                    None => {}
                }
                complete &= rows.is_some_and(|rows| rows.has_listed(entry.id));
            }
        }
        InSight { complete, problems: problems.into_iter().collect(), version: wanted.version }
    }

    /// What each entry of a Deprecation looks at, by its name. Nothing until the API server has said what it serves.
    #[must_use]
    pub fn targets(&self, deprecation: &str) -> Option<BTreeMap<String, Vec<Served>>> {
        let wanted = lock(&self.0.wanted).get(deprecation).cloned()?;
        let found = lock(&self.0.found);
        let target = |entry: &Arc<Entry>| Some((entry.name.to_string(), found.get(&entry.id)?.resources.clone()));
        wanted.entries.iter().map(target).collect()
    }

    /// The entries of every Deprecation.
    fn entries(&self) -> BTreeMap<String, Vec<Arc<Entry>>> {
        lock(&self.0.wanted).iter().map(|(name, wanted)| (name.clone(), wanted.entries.clone())).collect()
    }

    /// The table, for a moment.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.0.table)
    }

    /// A namespace as it was seen last; null for one that was not seen, or for no namespace.
    fn namespace(&self, name: &str) -> Value {
        if name.is_empty() { Value::Null } else { self.0.fleet.table().namespace(name).unwrap_or_default() }
    }

    fn next_id(&self) -> EntryId {
        let mut next = lock(&self.0.next);
        *next = next.wrapping_add(1);
        *next
    }
}
