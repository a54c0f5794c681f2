//! When a replica begins to lead, its stores may lack what the one before wrote last: a watch is behind by however long it takes,
//! and a pass over an older status would write that over the newer one, and send a digest again.
//!
//! So the first passes of a term wait until the stores are as new as the API server. That is enough: whoever led before has
//! stopped to write, and of our own writes we know. A precondition on every write was rejected: our own next write would fail
//! by it as long as the watch has not brought the last one back, and each failure is another request.

use std::collections::HashMap;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::context::Context;
use super::errors::Error;
use crate::api::{Deprecation, GoldenPath, PlatformService};

/// How often the stores are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// After this the API server is asked again: what was deleted meanwhile comes into no store.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// A watch that does not come is not waited for any longer: passes would never begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// Resolves when the stores are as new as the API server was when this was called.
pub async fn catch_up(context: &Context) {
    let started = Instant::now();
    let caught_up = async {
        tokio::join!(
            seen::<PlatformService>(&context.services, context),
            seen::<GoldenPath>(&context.paths, context),
            seen::<Deprecation>(&context.deprecations.store, context),
        )
    };
    if tokio::time::timeout(PATIENCE, caught_up).await.is_err() {
        tracing::warn!("the watches are behind what the last leader wrote; passes begin all the same");
    }
    tracing::info!(took = ?started.elapsed(), "this replica has seen what the last leader wrote");
}

async fn seen<K>(store: &Store<DeserializeGuard<K>>, context: &Context)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + 'static,
{
    let api: Api<K> = Api::all(context.requests.client());
    loop {
        let asked = Instant::now();
        match versions(&api, context).await {
            Ok(versions) => {
                while asked.elapsed() < ASK_AGAIN {
                    if !is_behind(&versions, &shown(store)) {
                        return;
                    }
                    sleep(LOOK).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "what the last leader wrote could not be looked at; it is tried again");
                sleep(ASK_AGAIN).await;
            }
        }
    }
}

/// The version of each object, by its uid.
type Versions = HashMap<String, u64>;

async fn versions<K>(api: &Api<K>, context: &Context) -> Result<Versions, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    Ok(context.requests.list_metadata(api).await?.iter().filter_map(version).collect())
}

fn shown<K>(store: &Store<DeserializeGuard<K>>) -> Versions
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.state().iter().filter_map(|object| version(&**object)).collect()
}

/// Resource versions of one resource are comparable numbers (KEP-5504).
fn version(object: &impl ResourceExt) -> Option<(String, u64)> {
    Some((object.uid()?, object.resource_version()?.parse().ok()?))
}

/// Whether a store lacks an object, or has an older one than there is.
fn is_behind(there: &Versions, shown: &Versions) -> bool {
    there.iter().any(|(uid, version)| shown.get(uid).is_none_or(|shown| shown < version))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_last_write_has_not_come(&[("a", 7), ("b", 9)], &[("a", 7), ("b", 8)], true)]
    #[case::an_object_has_not_come(&[("a", 7), ("b", 9)], &[("a", 7)], true)]
    #[case::all_has_come(&[("a", 7), ("b", 9)], &[("a", 7), ("b", 9)], false)]
    #[case::somebody_else_wrote_since(&[("a", 7)], &[("a", 12), ("new", 13)], false)]
    #[case::it_was_deleted_before(&[], &[("a", 7)], false)]
    fn a_store_is_behind_until_it_has_shown_every_version(
        #[case] there: &[(&str, u64)],
        #[case] shown: &[(&str, u64)],
        #[case] expected: bool,
    ) {
        let versions = |of: &[(&str, u64)]| of.iter().map(|(uid, version)| ((*uid).to_owned(), *version)).collect();
        assert_eq!(is_behind(&versions(there), &versions(shown)), expected);
    }
}
