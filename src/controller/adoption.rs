//! The one writer of `GoldenPath.status.adoption`: thousands of workloads, one status a path.
//!
//! It merges into a part of the status that the path's own passes leave alone, so that the two never wait for each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::{Api, ResourceExt};
use serde_json::json;

use super::context::Context;
use super::errors::Error;
use crate::api::{GoldenPath, PathAdoption};
use crate::clock;
use crate::fleet::Contact;
use crate::observability;
use crate::status::adoption::path_adoption;
use crate::status::counts::Counts;

/// Least time between two rounds, and so between two writes to one path.
const PACE: Duration = Duration::from_secs(1);
/// A week begins without any event.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// Services that are still not evaluated then, after a start, wait for something that may never come.
const SETTLES: Duration = Duration::from_mins(1);

/// Writes whenever counts have changed, for ever.
pub async fn write_adoption(contacts: &[Contact], context: &Context) {
    context.leadership.begun().await;
    let mut written: HashMap<String, PathAdoption> = HashMap::new();
    let started = tokio::time::Instant::now();
    loop {
        let _ = tokio::time::timeout(LOOK_AGAIN, context.fleet.changed()).await;
        tokio::time::sleep(PACE).await;
        // half a fleet would look like a fall of adoption
        let settled = started.elapsed() > SETTLES || context.fleet.table().unevaluated() == 0;
        if !settled || !contacts.iter().all(Contact::is_synced) {
            continue;
        }
        let (counts, ..) = context.fleet.snapshot();
        let paths: Vec<Arc<_>> = context.paths.state();
        for path in paths.iter().filter_map(|path| path.0.as_ref().ok()) {
            let subject = observability::Subject { kind: "Adoption", namespace: None, name: &path.name_any() };
            // the next change tries again; the error is logged and counted
            let _ =
                observability::observe(subject, &context.metrics, round(path, &counts, &mut written, context)).await;
        }
        written.retain(|name, _| paths.iter().any(|path| path.0.as_ref().is_ok_and(|path| path.name_any() == *name)));
    }
}

async fn round(
    path: &GoldenPath,
    counts: &Counts,
    written: &mut HashMap<String, PathAdoption>,
    context: &Context,
) -> Result<(), Error> {
    let name = path.name_any();
    // what was written may not have come back through the watch yet
    let before = written.get(&name).or_else(|| path.status.as_ref()?.adoption.as_ref());
    let adoption = path_adoption(counts, &name, &path.spec.default_for, before, clock::now());
    if before == Some(&adoption) {
        return Ok(());
    }
    let api: Api<GoldenPath> = Api::all(context.requests.client());
    let status = json!({"metadata": {"uid": path.uid()}, "status": {"adoption": adoption}});
    context.requests.merge_status(&api, &name, &status).await?;
    written.insert(name, adoption);
    Ok(())
}
