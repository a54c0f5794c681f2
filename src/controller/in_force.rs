//! What of a path is in force: its revisions that services may follow, and how far the newest one may go.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::context::Context;
use super::revisions::Kept;
use crate::api::{GoldenPath, PlatformService, Rollout, RolloutPhase, RolloutStatus};
use crate::plan::exceptions::Terms;
use crate::plan::members::Member;
use crate::plan::revision::Revision;
use crate::plan::route::{InForce, Reach};
use crate::plan::waves::{Ongoing, advance};

/// The current revision and the others that services may follow, each with every literal that the path ever filled.
pub fn in_force(
    path: &GoldenPath,
    current: &Revision,
    kept: &Kept,
    now: Timestamp,
    context: &Context,
) -> (InForce, RolloutStatus) {
    let with_road = |revision: &Revision| Arc::new(Revision { road: kept.road(revision), ..revision.clone() });
    let services = context.services.state();
    let readable = || services.iter().filter_map(|service| service.0.as_ref().ok());
    let without = Rollout::default();
    let spec = path.spec.rollout.as_ref().unwrap_or(&without);
    let rollout = rollout(path, spec, &current.name, readable(), now, context);
    let wanted = others(path, &rollout, readable());
    let is_wanted = |revision: &&Revision| match &revision.version {
        _ if revision.name == current.name => false,
        _ if wanted.names.contains(&revision.name) => true,
        Some(version) => {
            wanted.pins.contains(version) && kept.version(version).is_some_and(|newest| newest.name == revision.name)
        }
        None => false,
    };
    let in_force = InForce {
        engine: context.fallback.engine(),
        others: kept.all().filter(is_wanted).map(with_road).collect(),
        reach: Reach::of(spec, &rollout),
        versions: kept.versions(),
        defaults: kept.defaults(),
        terms: Arc::new(Terms::of(path)),
        current: with_road(current),
    };
    (in_force, rollout)
}

/// Where the rollout of the current revision stands.
fn rollout<'a>(
    path: &GoldenPath,
    spec: &Rollout,
    revision: &str,
    services: impl Iterator<Item = &'a PlatformService>,
    now: Timestamp,
    context: &Context,
) -> RolloutStatus {
    let (name, status) = (path.name_any(), path.status.as_ref());
    let member = |service: &PlatformService| {
        let namespace = context.fleet.table().namespace(service.namespace().as_deref()?)?;
        Member::of(spec, &name, revision, service, &namespace)
    };
    let before = status.and_then(|status| status.current_revision.as_deref());
    let ongoing = Ongoing { spec, revision, before };
    advance(ongoing, status.and_then(|status| status.rollout.as_ref()), services.filter_map(member), now)
}

/// Revisions, by name or by version, that services may follow beside the current one.
struct Others {
    names: BTreeSet<String>,
    pins: BTreeSet<String>,
}

fn others<'a>(
    path: &GoldenPath,
    rollout: &RolloutStatus,
    services: impl Iterator<Item = &'a PlatformService>,
) -> Others {
    let name = path.name_any();
    let mut others = Others { names: rollout.stable_revision.iter().cloned().collect(), pins: BTreeSet::new() };
    let goes_on = rollout.phase != RolloutPhase::Complete;
    for service in services {
        let reference = service.spec.golden_path_ref.as_ref().filter(|reference| reference.name == name);
        others.pins.extend(reference.and_then(|reference| reference.version.clone()));
        let followed = service.status.as_ref().and_then(|status| status.golden_path.as_ref());
        if let Some(followed) = followed.filter(|followed| followed.name == name) {
            others.names.insert(followed.revision.clone());
            others.names.extend(followed.rolled_back.as_ref().map(|back| back.to.clone()));
            others.names.extend(followed.previous_revision.clone().filter(|_| goes_on));
        }
    }
    others
}
