//! What passes over services tell the table, and ask it.

use std::sync::Arc;

use serde_json::Value;

use super::claims::{ServiceKey, WorkloadKey};
use super::rows::Evaluation;
use super::table::Table;
use crate::status::counts::ServiceBucket;

impl Table {
    /// Registers what a service names: nothing when it is gone. Workloads that it named before and not any more are
    /// returned.
    pub fn claim(&mut self, service: &ServiceKey, workloads: &[WorkloadKey]) -> Vec<WorkloadKey> {
        let dropped = self.claims.replace(service, workloads);
        for key in dropped.iter().chain(workloads) {
            let is_claimed = self.claims.is_claimed(key);
            let is_dropped = !workloads.contains(key);
            self.change(key, false, |row| match &mut row.claimed {
                claimed if !is_claimed => *claimed = None,
                Some(claimed)
                    if is_dropped && claimed.evaluation.as_ref().is_some_and(|e| *e.service == *service.1) =>
                {
                    claimed.evaluation = None;
                }
                Some(_) => {}
                claimed @ None => *claimed = Some(Box::default()),
            });
        }
        if workloads.is_empty()
            && let Some(bucket) = self.services.remove(service)
        {
            self.counts.subtract_service(&bucket);
        }
        dropped
    }

    /// The one copy of a name.
    pub fn name(&mut self, name: &str) -> Arc<str> {
        self.names.get(name)
    }

    /// Names of the services that claim a workload, in its namespace.
    #[must_use]
    pub fn claiming(&self, workload: &WorkloadKey) -> Vec<String> {
        self.claims.of(workload)
    }

    /// Whether a service names a workload.
    #[must_use]
    pub fn is_claimed(&self, workload: &WorkloadKey) -> bool {
        self.claims.is_claimed(workload)
    }

    /// Takes in what a pass over a service found. A workload that it names and says nothing about is not its own.
    pub fn evaluated(&mut self, service: &ServiceKey, bucket: ServiceBucket, found: Vec<(WorkloadKey, Evaluation)>) {
        self.counts.add_service(&bucket);
        if let Some(before) = self.services.insert(service.clone(), bucket) {
            self.counts.subtract_service(&before);
        }
        for (key, evaluation) in found {
            self.change(&key, false, |row| {
                if let Some(claimed) = &mut row.claimed {
                    claimed.evaluation = Some(evaluation);
                }
            });
        }
    }

    /// Claimed workloads that no pass has evaluated yet.
    #[must_use]
    pub fn unevaluated(&self) -> usize {
        self.claimed().filter(|claimed| claimed.evaluation.is_none()).count()
    }

    /// A workload as it was seen last, if it is kept.
    #[must_use]
    pub fn object(&self, key: &WorkloadKey) -> Option<Value> {
        self.row(key)?.claimed.as_ref()?.kept.as_ref()?.object()
    }

    /// The resource version of a workload as it was seen last; nothing when it is not there at all.
    #[must_use]
    pub fn version(&self, key: &WorkloadKey) -> Option<u64> {
        self.row(key).map(|row| row.version)
    }

    /// A namespace as it was seen last.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<Value> {
        self.namespaces.get(name)?.kept.as_ref()?.object()
    }

    /// Services that name a workload in a namespace.
    #[must_use]
    pub fn services_in(&self, namespace: &str) -> Vec<ServiceKey> {
        self.claims.services().filter(|(of, _)| of == namespace).cloned().collect()
    }
}
