//! What is remembered of the objects that Deprecations match: about 150 bytes each, and nothing of those that they do not.
//!
//! No client, no clock. Each resource has one watch, whose lines come in order; a list marks what it has seen, and its end
//! sweeps away what it has not.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::fleet::Names;
use crate::plan::consumers::{Remedy, Served, Sight};

/// An entry of `matches`. It has another number once anything about it has changed.
pub type EntryId = u32;

/// What is remembered of one object.
#[derive(Debug, Default)]
pub struct Row {
    /// The list in which it was seen last.
    epoch: u8,
    /// The team that it names.
    pub team: Option<Arc<str>>,
    /// The service that it names.
    pub service: Option<Arc<str>>,
    /// What entries say of it, of those that do not pass over it.
    pub hits: Box<[Hit]>,
}

/// What an entry says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The entry.
    pub entry: EntryId,
    /// Its expression fails on the object, which does not count as old then.
    pub unevaluable: bool,
    /// Who writes the object through an old API version.
    pub manager: Option<Arc<str>>,
    /// What the fix of the Deprecation does to it.
    pub remedy: Remedy,
}

/// Why a watch sees nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blind {
    /// The operator may not read the resource.
    pub forbidden: bool,
    /// What the API server says.
    pub message: String,
}

/// The objects of one resource.
#[derive(Debug, Default)]
pub struct Rows {
    run: u64,
    epoch: u8,
    /// Entries whose objects have all been seen.
    synced: BTreeSet<EntryId>,
    /// Why nothing is heard.
    pub blind: Option<Blind>,
    /// By namespace, empty for objects that are in none, and name.
    pub namespaces: HashMap<Arc<str>, HashMap<Box<str>, Row>>,
}

/// An object as a watch shows it.
#[derive(Clone, Debug, Default)]
pub struct Seen<'a> {
    /// Its namespace, empty where it is in none.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The team that it names.
    pub team: Option<&'a str>,
    /// The service that it names.
    pub service: Option<String>,
    /// What each entry says of it.
    pub sights: Vec<(EntryId, Sight)>,
    /// Of those that it is old by and whose Deprecation has a fix: the patch that makes it a new one, or why the fix does not.
    pub remedies: Vec<(EntryId, Result<String, String>)>,
}

/// All objects that matter.
#[derive(Debug, Default)]
pub struct Table {
    resources: HashMap<Served, Rows>,
    names: Names,
    /// One error of each entry whose expression fails: the object, and the words.
    errors: HashMap<EntryId, (String, String)>,
}

impl Table {
    /// A watch of a resource starts; lines of an earlier one count no more. What was seen stays until the list is complete.
    pub fn start(&mut self, resource: &Served, run: u64) {
        self.resources.entry(resource.clone()).or_default().run = run;
    }

    /// Forgets a resource that nothing asks for any more.
    pub fn forget(&mut self, resource: &Served) {
        self.resources.remove(resource);
    }

    /// The rows of a resource, while `run` is the number of its watch.
    fn rows(&mut self, resource: &Served, run: u64) -> Option<&mut Rows> {
        self.resources.get_mut(resource).filter(|rows| rows.run == run)
    }

    /// A list begins.
    pub fn begin(&mut self, resource: &Served, run: u64) {
        if let Some(rows) = self.rows(resource, run) {
            rows.epoch = rows.epoch.wrapping_add(1);
        }
    }

    /// An object was added, changed or listed. The answer is whether anything about it has changed that is counted.
    pub fn see(&mut self, resource: &Served, run: u64, seen: Seen<'_>) -> bool {
        let Seen { namespace, name, team, service, sights, remedies } = seen;
        if self.rows(resource, run).is_none() {
            return false;
        }
        let mut hits = Vec::new();
        for (entry, sight) in sights {
            let (unevaluable, manager) = match sight {
                Sight::NotMatched => continue,
                Sight::Matched { manager } => (false, manager.map(|manager| self.names.get(&manager))),
                Sight::Unevaluable(words) => {
                    self.errors.entry(entry).or_insert_with(|| (object(resource, namespace, name), words));
                    (true, None)
                }
            };
            let remedy = match remedies.iter().find(|(of, _)| *of == entry).map(|(_, remedy)| remedy) {
                None => Remedy::None,
                Some(Ok(patch)) => Remedy::Patch(self.names.get(patch)),
                Some(Err(why)) => Remedy::Unfit(self.names.get(why)),
            };
            hits.push(Hit { entry, unevaluable, manager, remedy });
        }
        if hits.is_empty() {
            return self.remove(resource, run, namespace, name);
        }
        let (team, service) = (team.map(|team| self.names.get(team)), service.map(|service| self.names.get(&service)));
        let namespace = self.names.get(namespace);
        let Some(rows) = self.rows(resource, run) else { return false };
        let epoch = rows.epoch;
        let row = rows.namespaces.entry(namespace).or_default().entry(name.into()).or_default();
        let hits = hits.into_boxed_slice();
        let same = row.hits == hits && row.team == team && row.service == service;
        *row = Row { epoch, team, service, hits };
        !same
    }

    /// An object was deleted, or nothing matches it any more. The answer is whether it was there.
    pub fn remove(&mut self, resource: &Served, run: u64, namespace: &str, name: &str) -> bool {
        let Some(rows) = self.rows(resource, run) else { return false };
        let Some(of_namespace) = rows.namespaces.get_mut(namespace) else { return false };
        let known = of_namespace.remove(name).is_some();
        if of_namespace.is_empty() {
            rows.namespaces.remove(namespace);
        }
        known
    }

    /// A list is complete: what it has not seen is gone, and the entries that it was made for have seen everything.
    pub fn complete(&mut self, resource: &Served, run: u64, entries: impl IntoIterator<Item = EntryId>) {
        let Some(rows) = self.rows(resource, run) else { return };
        let epoch = rows.epoch;
        for of_namespace in rows.namespaces.values_mut() {
            of_namespace.retain(|_, row| row.epoch == epoch);
            of_namespace.shrink_to_fit();
        }
        rows.namespaces.retain(|_, of_namespace| !of_namespace.is_empty());
        rows.synced = entries.into_iter().collect();
        rows.blind = None;
    }

    /// A watch failed, or is well again. The answer is whether that is news.
    pub fn heard(&mut self, resource: &Served, run: u64, blind: Option<Blind>) -> bool {
        let Some(rows) = self.rows(resource, run) else { return false };
        let news = rows.blind != blind;
        rows.blind = blind;
        news
    }

    /// The rows of a resource.
    #[must_use]
    pub fn of(&self, resource: &Served) -> Option<&Rows> {
        self.resources.get(resource)
    }

    /// All rows.
    pub fn all(&self) -> impl Iterator<Item = (&Served, &Rows)> {
        self.resources.iter()
    }

    /// An object on which the expression of an entry fails, and how.
    #[must_use]
    pub fn error(&self, entry: EntryId) -> Option<&(String, String)> {
        self.errors.get(&entry)
    }

    /// Forgets errors of entries that are none any more, or on whose objects nothing fails any more.
    pub fn keep_errors(&mut self, failing: &BTreeSet<EntryId>) {
        self.errors.retain(|entry, _| failing.contains(entry));
    }

    /// Objects that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.resources.values().flat_map(|rows| rows.namespaces.values()).map(HashMap::len).sum()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Rows {
    /// Whether every object has been seen with an entry.
    #[must_use]
    pub fn has_listed(&self, entry: EntryId) -> bool {
        self.synced.contains(&entry)
    }
}

/// How an object is called in lists and messages: its kind in lower case, its namespace if it is in one, and its name.
#[must_use]
pub fn object(resource: &Served, namespace: &str, name: &str) -> String {
    let kind = resource.kind.to_lowercase();
    if namespace.is_empty() { format!("{kind}/{name}") } else { format!("{kind}/{namespace}/{name}") }
}

#[cfg(test)]
mod tests;
