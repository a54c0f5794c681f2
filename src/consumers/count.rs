//! From the table to one tally a Deprecation, in one look at every row.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::table::{EntryId, Hit, Row, Says};
use super::{Consumers, Entry, home_of, is_namespace, is_selected};
use crate::api::{DeprecationExemption, WorkloadKind};
use crate::fleet::{Names, ServiceKey};
use crate::plan::consumers::exempt::{Whereabouts, exemption};
use crate::plan::consumers::{Remedy, Served};
use crate::status::consumption::{Consumer, Tally};
use crate::status::counts::UNOWNED;

/// Findings that a service is told of.
pub const MAX_FINDINGS: usize = 20;

/// What a namespace means for the objects in it.
#[derive(Clone, Debug, Default)]
pub struct Home {
    /// The namespace; null where it was not seen.
    pub object: Value,
    /// The team that it names.
    pub team: Option<Arc<str>>,
    /// Its services, with the teams that they declare.
    pub services: HashMap<String, Option<Arc<str>>>,
    /// The services that claim workloads.
    pub claims: HashMap<(WorkloadKind, String), String>,
}

/// Homes by the name of the namespace.
pub type Homes = HashMap<Arc<str>, Home>;

/// An object of a service that is old.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OldObject {
    /// The kind of the object, its resource, and where it is.
    pub resource: Served,
    /// Its name.
    pub name: String,
    /// What the fix of the Deprecation does to it.
    pub remedy: Remedy,
}

/// What is old of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldObjects {
    /// At most [`MAX_FINDINGS`] of each Deprecation: nobody knows here which of them ends first.
    pub some: BTreeMap<String, BTreeSet<OldObject>>,
    /// How many there are, by Deprecation.
    pub totals: BTreeMap<String, u64>,
    /// How many are exempt, by Deprecation.
    pub exempt: BTreeMap<String, u64>,
}

/// What one count found.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// By Deprecation.
    pub tallies: BTreeMap<String, Tally>,
    /// Objects that are old, of each service that has any.
    pub of_services: BTreeMap<ServiceKey, OldObjects>,
}

/// A Deprecation that is counted.
struct Counted<'a> {
    name: &'a str,
    exemptions: &'a [DeprecationExemption],
    tally: Tally,
}

impl Consumers {
    /// Namespaces of the objects that matter: those whose homes a count needs.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<Arc<str>> {
        let table = self.table();
        let in_namespaces = table.all().flat_map(|(_, rows)| rows.namespaces.keys().filter(|name| !name.is_empty()));
        let themselves = table.all().filter(|(resource, _)| is_namespace(resource));
        let themselves = themselves.flat_map(|(_, rows)| rows.namespaces.values().flat_map(HashMap::keys));
        in_namespaces.cloned().chain(themselves.map(|name| Arc::from(&**name))).collect()
    }

    /// Counts everything. `exemptions` are those of each Deprecation.
    #[must_use]
    pub fn count(
        &self,
        homes: &Homes,
        exemptions: &BTreeMap<String, Vec<DeprecationExemption>>,
        now: Timestamp,
    ) -> Count {
        let entries = self.entries();
        let none = Vec::new();
        let mut counted: Vec<Counted<'_>> = entries
            .keys()
            .map(|name| {
                let exemptions = exemptions.get(name).unwrap_or(&none);
                Counted { name, exemptions, tally: Tally::of(exemptions) }
            })
            .collect();
        let by_id: HashMap<EntryId, (usize, &Entry)> = entries
            .values()
            .enumerate()
            .flat_map(|(n, entries)| entries.iter().map(move |entry| (entry.id, (n, &**entry))))
            .collect();
        let mut of_services = BTreeMap::new();
        let table = self.table();
        let (nowhere, unowned) = (Home::default(), Names::default().get(UNOWNED));
        // a resource that entries look at in several versions is there once
        let mut once = HashSet::new();
        let mut versions: HashMap<(&String, &String), usize> = HashMap::new();
        for (resource, _) in table.all() {
            *versions.entry((&resource.group, &resource.plural)).or_default() += 1;
        }
        for (resource, rows) in table.all() {
            for (namespace, of_namespace) in &rows.namespaces {
                for (name, row) in of_namespace {
                    let of = home_of(resource, namespace, name);
                    let home = of.and_then(|of| homes.get(of)).unwrap_or(&nowhere);
                    let object = super::table::object(resource, namespace, name);
                    let place = Place { resource, namespace, name, row, home, unowned: &unowned, object: &object };
                    for hit in place.hits(&by_id) {
                        let (n, entry) = by_id[&hit.entry];
                        let several = versions[&(&resource.group, &resource.plural)] > 1;
                        if several && !once.insert((n, &resource.group, &resource.plural, namespace, name)) {
                            continue;
                        }
                        place.count(hit, entry, &mut counted[n], &mut of_services, now);
                    }
                }
            }
        }
        let tallies = counted.into_iter().map(|counted| (counted.name.to_owned(), counted.tally)).collect();
        Count { tallies, of_services }
    }
}

/// One object.
struct Place<'a> {
    resource: &'a Served,
    namespace: &'a Arc<str>,
    name: &'a str,
    row: &'a Row,
    home: &'a Home,
    unowned: &'a Arc<str>,
    /// How it is called in lists.
    object: &'a str,
}

impl Place<'_> {
    /// The first hit of each Deprecation: a match goes before an expression that fails.
    fn hits(&self, by_id: &HashMap<EntryId, (usize, &Entry)>) -> Vec<&Hit> {
        let mut first: BTreeMap<usize, &Hit> = BTreeMap::new();
        let home = home_of(self.resource, self.namespace, self.name).map(|_| &self.home.object);
        for hit in &self.row.hits {
            let Some((n, entry)) = by_id.get(&hit.entry) else { continue };
            if !is_selected(&entry.matcher, home) {
                continue;
            }
            let is_old = |hit: &Hit| matches!(hit.says, Says::Old { .. });
            match first.get(n) {
                Some(earlier) if !is_old(hit) || is_old(earlier) => {}
                _ => {
                    first.insert(*n, hit);
                }
            }
        }
        first.into_values().collect()
    }

    fn count(
        &self,
        hit: &Hit,
        entry: &Entry,
        counted: &mut Counted<'_>,
        of_services: &mut BTreeMap<ServiceKey, OldObjects>,
        now: Timestamp,
    ) {
        let (manager, remedy) = match &hit.says {
            Says::Old { manager, remedy } => (manager, remedy),
            Says::Unevaluable(words) => return counted.tally.add_unevaluable(&entry.name, self.object, words),
        };
        let at = Whereabouts {
            namespace: self.namespace,
            namespace_object: &self.home.object,
            service: self.row.service.as_deref(),
        };
        let exempt = exemption(counted.exemptions, at, now).map(|exemption| exemption.name.as_str());
        let service = self.service();
        if let Some(service) = service {
            let found = of_services.entry((self.namespace.to_string(), service.to_owned())).or_default();
            let sort = if exempt.is_some() { &mut found.exempt } else { &mut found.totals };
            *sort.entry(counted.name.to_owned()).or_default() += 1;
            if exempt.is_none() {
                let some = found.some.entry(counted.name.to_owned()).or_default();
                some.insert(OldObject {
                    resource: self.resource.clone(),
                    name: self.name.to_owned(),
                    remedy: remedy.clone(),
                });
                if some.len() > MAX_FINDINGS {
                    some.pop_last();
                }
            }
        }
        counted.tally.add(Consumer {
            object: self.object,
            team: self.team(service),
            service: service.map(|service| (self.namespace.clone(), service.into())),
            matched: entry.name.clone(),
            manager: manager.clone(),
            exempt: exempt.map(Into::into),
            unfit: if let Remedy::Unfit(why) = remedy { Some(why.clone()) } else { None },
        });
    }

    /// The service that the object belongs to: the one that its labels name or that claims it, else the one that has its
    /// name, which is how teams call an Ingress or an autoscaler.
    fn service(&self) -> Option<&str> {
        if self.namespace.is_empty() {
            return None;
        }
        let is_there = |name: &&str| self.home.services.contains_key(*name);
        let named = self.row.service.as_deref().filter(is_there);
        let claimed = || {
            let kind = WorkloadKind::ALL.into_iter().find(|kind| {
                let group = kind.api_version().split_once('/').map_or("", |(group, _)| group);
                group == self.resource.group && kind.plural() == self.resource.plural
            })?;
            self.home.claims.get(&(kind, self.name.to_owned())).map(String::as_str)
        };
        named.or_else(claimed).or_else(|| Some(self.name).filter(is_there))
    }

    /// The team that the service declares, else the object's, else the namespace's.
    fn team(&self, service: Option<&str>) -> Arc<str> {
        let declared = service.and_then(|service| self.home.services.get(service)?.clone());
        let team = declared.or_else(|| self.row.team.clone()).or_else(|| self.home.team.clone());
        team.unwrap_or_else(|| self.unowned.clone())
    }
}

#[cfg(test)]
mod tests;
