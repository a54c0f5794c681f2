//! The restarts that the operator has asked for, by path.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;

use super::context::Context;
use crate::api::labels;
use crate::fleet::WorkloadKey;
use crate::plan::metadata::annotation;
use crate::plan::restarts::{DEFAULT, Restarts};
use crate::plan::rollout::waits_for;
use crate::plan::route::Route;

/// Turns of every path. A restart of the operator finds those that have not ended again, workload by workload.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<String, Restarts<WorkloadKey>>>);

impl Turns {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Restarts<WorkloadKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn of a workload, if it has come. Else the answer is when to ask again at the latest.
    pub fn begin(&self, key: &WorkloadKey, route: &Route) -> Result<(), Duration> {
        let most = route.terms.max_concurrent_restarts.unwrap_or(DEFAULT);
        let mut all = self.all();
        let restarts = all.entry(route.current.path.clone()).or_default();
        restarts.begin(key, most, Timestamp::now()).map_err(|wait| wait.try_into().unwrap_or_default())
    }
}

/// Looks whether a workload that was asked to restart has done so, and wakes who waits for that.
pub fn look(key: &WorkloadKey, object: &Value, route: &Route, context: &Context) {
    let asked = annotation(object, labels::FILL) == Some(route.revision.name.as_str());
    let restarts = asked && waits_for(key.kind, object).is_some();
    let mut all = context.turns.all();
    // most paths never restart anybody
    if !restarts && !all.contains_key(&route.current.path) {
        return;
    }
    let next = all.entry(route.current.path.clone()).or_default().look(key, restarts, Timestamp::now());
    drop(all);
    let Some(next) = next else { return };
    for service in context.fleet.table().claiming(&next) {
        // the receiver lives as long as the process
        let _ = context.wake.unbounded_send(ObjectRef::new(&service).within(&next.namespace));
    }
}
