//! Which services name which workloads.

use std::collections::{BTreeSet, HashMap};

use crate::api::WorkloadKind;

/// Identity of a workload: kind, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Identity of a service: namespace, name.
pub type ServiceKey = (String, String);

/// Services by the workloads that they name, so that a workload's event finds them in one step.
#[derive(Debug, Default)]
pub struct Claims {
    by_workload: HashMap<WorkloadKey, BTreeSet<String>>,
    by_service: HashMap<ServiceKey, Vec<WorkloadKey>>,
}

impl Claims {
    /// Names of the services that claim a workload, in its namespace.
    #[must_use]
    pub fn of(&self, workload: &WorkloadKey) -> Vec<String> {
        self.by_workload.get(workload).into_iter().flatten().cloned().collect()
    }

    /// Every workload that a service names.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadKey> {
        self.by_workload.keys()
    }

    /// Whether anybody claims a workload.
    #[must_use]
    pub fn is_claimed(&self, workload: &WorkloadKey) -> bool {
        self.by_workload.contains_key(workload)
    }

    /// Every service that names a workload.
    pub fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.by_service.keys()
    }

    /// Replaces the claims of a service; the workloads that it named before and not any more are returned.
    pub fn replace(&mut self, service: &ServiceKey, workloads: &[WorkloadKey]) -> Vec<WorkloadKey> {
        let before = self.by_service.remove(service).unwrap_or_default();
        for workload in &before {
            if let Some(services) = self.by_workload.get_mut(workload) {
                services.remove(&service.1);
                if services.is_empty() {
                    self.by_workload.remove(workload);
                }
            }
        }
        for workload in workloads {
            self.by_workload.entry(workload.clone()).or_default().insert(service.1.clone());
        }
        let dropped = before.into_iter().filter(|w| !workloads.contains(w)).collect();
        if !workloads.is_empty() {
            self.by_service.insert(service.clone(), workloads.to_vec());
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(name: &str) -> WorkloadKey {
        WorkloadKey { kind: WorkloadKind::Deployment, namespace: "ns".into(), name: name.into() }
    }

    #[test]
    fn claims_follow_the_spec_and_tell_what_was_dropped() {
        let (mut claims, service) = (Claims::default(), |name: &str| ("ns".to_owned(), name.to_owned()));
        assert_eq!(claims.replace(&service("a"), &[workload("x"), workload("y")]), []);
        claims.replace(&service("b"), &[workload("x")]);
        assert_eq!(claims.of(&workload("x")), ["a", "b"]);
        assert_eq!(claims.replace(&service("a"), &[workload("y")]), [workload("x")]);
        assert_eq!(claims.of(&workload("x")), ["b"]);
        assert_eq!(claims.replace(&service("b"), &[]), [workload("x")]);
        assert!(claims.of(&workload("x")).is_empty() && !claims.is_claimed(&workload("x")));
    }
}
