//! The restarts that the operator has asked for, by path.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::context::Context;
use crate::api::labels;
use crate::clock;
use crate::fleet::{Fleet, WorkloadKey};
use crate::plan::metadata::{annotation, newest, records};
use crate::plan::restarts::{DEFAULT, Restarts};
use crate::plan::rollout::waits_for;
use crate::plan::route::Route;

/// No turn is given so long after a start, while services were not looked at; one may never be.
const SETTLES: Duration = Duration::from_mins(1);
/// The pause until then.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Turns of every path. After a start of the operator those that have not ended are found again, workload by workload.
#[derive(Default)]
pub struct Turns {
    by_path: Mutex<HashMap<String, Restarts<WorkloadKey>>>,
}

impl Turns {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Restarts<WorkloadKey>>> {
        self.by_path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn of a workload, if it has come. Else the answer is when to ask again at the latest. `leads_for` is how long
    /// this replica has led.
    pub fn begin(&self, key: &WorkloadKey, route: &Route, fleet: &Fleet, leads_for: Duration) -> Result<(), Duration> {
        // those that a leader before has asked are known when every service was looked at
        if leads_for < SETTLES && fleet.table().unevaluated() > 0 {
            return Err(LOOK_AGAIN);
        }
        let most = route.terms.max_concurrent_restarts.unwrap_or(DEFAULT);
        let mut all = self.all();
        let restarts = all.entry(route.current.path.clone()).or_default();
        restarts.begin(key, most, clock::now()).map_err(|wait| wait.try_into().unwrap_or_default())
    }
}

/// When the operator last wrote labels or `fill` on a workload.
fn asked_at(object: &Value) -> Option<Timestamp> {
    let is_ours = |record: &&Value| record.get("manager").and_then(Value::as_str) == Some(labels::FIELD_MANAGER);
    newest(records(object).filter(is_ours))
}

/// Looks whether a workload that was asked to restart has done so, and wakes who waits for that.
pub fn look(key: &WorkloadKey, object: &Value, route: &Route, context: &Context) {
    let is_paused = object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true);
    let rolls_out = !is_paused && waits_for(key.kind, object).is_some();
    let asked_at = annotation(object, labels::FILL).filter(|_| rolls_out).and_then(|_| asked_at(object));
    let mut all = context.turns.all();
    // most paths never restart anybody
    if asked_at.is_none() && !all.contains_key(&route.current.path) {
        return;
    }
    let next = all.entry(route.current.path.clone()).or_default().look(key, rolls_out, asked_at, clock::now());
    drop(all);
    let Some(next) = next else { return };
    for service in context.fleet.table().claiming(&next) {
        context.wake_service(&next.namespace, &service);
    }
}
