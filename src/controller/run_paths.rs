//! Everything that runs for GoldenPaths: their passes, and the end of what deleted ones left.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, controller};

use super::context::{Context, GuardedPath};
use super::path;
use super::policies::{Fills, owners};
use super::run::settled;
use crate::api::labels;
use crate::observability::Gate;

/// Passes at a time: each may wait for a proof.
const CONCURRENCY: u16 = 4;
/// A path looks at the statuses of its services, which come back through a watch.
const SETTLES: Duration = Duration::from_millis(500);

/// Runs the passes, for ever.
pub async fn run_paths(
    paths: Controller<GuardedPath>,
    context: Arc<Context>,
    woken: UnboundedReceiver<ObjectRef<GuardedPath>>,
) {
    paths
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(settled(woken, SETTLES))
        .run(path::reconcile, |object, _, context| path::failed(&object, &context), context.clone())
        .for_each_concurrent(None, |result| {
            let context = context.clone();
            async move {
                if let Err(controller::Error::ObjectNotFound(gone)) = result {
                    until_gone(&gone.name, &context).await;
                }
            }
        })
        .await;
}

/// Opens the gate once all paths have been seen, and looks after those that are gone.
pub async fn paths_listed(gate: Gate, context: &Context) {
    if context.paths.wait_until_ready().await.is_ok() {
        let _ = context.listed.paths.set(());
        gate.set_ready();
        // services waited for it; the receiver lives as long as the process
        let _ = context.path_changed.unbounded_send(());
        forgotten_paths(context).await;
    }
}

/// Paths that were deleted while no operator ran.
async fn forgotten_paths(context: &Context) {
    context.leadership.begun().await;
    match owners::<Fills>(labels::PATH, context).await {
        Ok(left) => {
            let left = left.into_iter().filter(|name| context.paths.get(&ObjectRef::new(name)).is_none());
            let waits: Vec<_> = left.map(|name| async move { until_gone(&name, context).await }).collect();
            futures::future::join_all(waits).await;
        }
        Err(error) => tracing::warn!(%error, "policies of deleted paths could not be looked for"),
    }
}

/// Waits until the last workload of a deleted path has left, and removes what the path left.
async fn until_gone(name: &str, context: &Context) {
    if context.waited_to_lead().await && context.paths.get(&ObjectRef::new(name)).is_some() {
        return; // it came back meanwhile
    }
    loop {
        match path::gone(name, context).await {
            Ok(true) => return,
            Ok(false) => tokio::time::sleep(Duration::from_secs(30)).await,
            Err(error) => {
                tracing::warn!(name, %error, "a deleted path could not be cleaned up");
                tokio::time::sleep(context.path_backoff.failed(&name.to_owned())).await;
            }
        }
        if context.paths.get(&ObjectRef::new(name)).is_some() {
            return; // it is back
        }
    }
}
