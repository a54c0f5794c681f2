//! Everything that runs for Deprecations: their passes, the watches of what they match, and the count of it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::{self, UnboundedReceiver};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, controller, watcher};
use kube::{Api, Client};

use super::consumption::count_consumers;
use super::context::Context;
use super::deprecation;
use super::deprecations::{Deprecations, GuardedDeprecation, show};
use super::policies::{Feedback, owners};
use super::run::controller_of;
use super::slim;
use crate::api::labels;
use crate::consumers::Consumers;
use crate::observability::Gate;

/// How soon namespaces are looked for again after a start.
const NAMESPACES_COME: Duration = Duration::from_millis(100);
/// Passes at a time.
const CONCURRENCY: u16 = 4;

/// Deprecations that are watched.
pub struct Watched {
    deprecations: Controller<GuardedDeprecation>,
    woken: UnboundedReceiver<ObjectRef<GuardedDeprecation>>,
}

/// Begins to watch them; what is shared of them comes with it.
pub fn watch(client: Client, config: watcher::Config, consumers: Consumers) -> (Deprecations, Watched) {
    let (wake, woken) = mpsc::unbounded();
    let deprecations = controller_of(Api::<GuardedDeprecation>::all(client), config, slim::deprecation);
    (Deprecations::new(deprecations.store(), consumers, wake), Watched { deprecations, woken })
}

impl Watched {
    /// Runs everything, for ever.
    pub async fn run(self, client: Client, gate: Gate, context: Arc<Context>) {
        show(&context);
        tokio::join!(
            pass(self, context.clone()),
            follow_consumers(client, &context),
            count_consumers(&context),
            listed(gate, &context),
        );
    }
}

async fn listed(gate: Gate, context: &Context) {
    if context.deprecations.store.wait_until_ready().await.is_ok() {
        let _ = context.listed.deprecations.set(()); // nobody else sets it
        gate.set_ready();
        forgotten_deprecations(context).await;
    }
}

async fn pass(watched: Watched, context: Arc<Context>) {
    watched
        .deprecations
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(watched.woken)
        .run(deprecation::reconcile, |object, _, context| deprecation::failed(&object, &context), context.clone())
        .for_each_concurrent(None, |result| {
            let context = context.clone();
            async move {
                if let Err(controller::Error::ObjectNotFound(gone)) = result {
                    until_withdrawn(&gone.name, &context).await;
                }
            }
        })
        .await;
}

/// Watches what Deprecations match. Namespaces come first: an expression that looks at them would find none.
async fn follow_consumers(client: Client, context: &Context) {
    while !context.sees_namespaces() {
        tokio::time::sleep(NAMESPACES_COME).await;
    }
    let discover = || async {
        let served = context.requests.served().await;
        served.inspect_err(|error| tracing::warn!(%error, "the API server does not say what it serves")).ok()
    };
    context.deprecations.consumers.follow(client, discover).await;
}

/// Deprecations that were deleted while no operator ran.
async fn forgotten_deprecations(context: &Context) {
    context.leadership.begun().await;
    let left = loop {
        match owners::<Feedback>(labels::DEPRECATION, context).await {
            Ok(left) => break left,
            Err(error) => {
                tracing::warn!(%error, "policies of deleted Deprecations could not be looked for; they are looked for again");
                // no object is called so
                tokio::time::sleep(context.deprecations.backoff.failed(&String::new())).await;
            }
        }
    };
    context.deprecations.backoff.succeeded(&String::new());
    let left = left.into_iter().filter(|name| context.deprecations.store.get(&ObjectRef::new(name)).is_none());
    let withdrawals: Vec<_> = left.map(|name| async move { until_withdrawn(&name, context).await }).collect();
    futures::future::join_all(withdrawals).await;
}

/// Takes back what a deleted Deprecation asked of the API server.
async fn until_withdrawn(name: &str, context: &Context) {
    if context.waited_to_lead().await && context.deprecations.store.get(&ObjectRef::new(name)).is_some() {
        return; // it came back meanwhile
    }
    while let Err(error) = deprecation::gone(name, context).await {
        tracing::warn!(name, %error, "what a deleted Deprecation refused could not be taken back");
        tokio::time::sleep(context.deprecations.backoff.failed(&name.to_owned())).await;
        if context.deprecations.store.get(&ObjectRef::new(name)).is_some() {
            return; // it is back
        }
    }
}
