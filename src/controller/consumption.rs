//! The one counter of what is old: thousands of objects, one status a Deprecation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use tokio::time::Instant;

use super::context::Context;
use super::deprecations::Counted;
use super::observe::workload_keys;
use crate::api::{DeprecationExemption, ExemptionKind, labels};
use crate::clock;
use crate::consumers::{Home, Homes};
use crate::fleet::ServiceKey;
use crate::plan::metadata::label;
use crate::status::consumption::Tally;

/// Least time between two writes to one Deprecation because of its consumers, and between two counts because of a change.
const PACE: Duration = Duration::from_secs(5);
/// Least time between two counts, also where a list has ended that somebody waits for.
const LEAST: Duration = Duration::from_secs(1);
/// What changes together is counted together.
const SETTLES: Duration = Duration::from_millis(300);
/// Services and namespaces change what is counted without a word to us.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Counts whenever something has changed, for ever.
pub async fn count_consumers(context: &Context) {
    let (mut last, mut pace) = (None, Pace::default());
    let consumers = &context.deprecations.consumers;
    loop {
        let _ = tokio::time::timeout(until_next_end(context), consumers.changed()).await;
        tokio::time::sleep(SETTLES).await;
        if let Some(last) = last {
            // who has changed an expression does not wait for the pace of everything else
            let listed = async {
                tokio::time::sleep_until(last + LEAST).await;
                consumers.listed().await;
            };
            let _ = tokio::time::timeout_at(last + PACE, listed).await;
        }
        if !sees_everybody(context) {
            consumers.count_again();
            continue;
        }
        last = Some(Instant::now());
        round(context, &mut pace).await;
    }
}

/// When each Deprecation was told of a count last, and which of them a count is kept from until it is time.
#[derive(Default)]
struct Pace {
    told: HashMap<String, Instant>,
    waiting: BTreeSet<String>,
}

impl Pace {
    /// Those that are told now. What cannot be counted yet is told at once, and does not put off what can.
    fn due(&mut self, is_complete: impl Fn(&str) -> bool, now: Instant) -> Vec<String> {
        let (told, mut due) = (&mut self.told, Vec::new());
        self.waiting.retain(|name| {
            let complete = is_complete(name);
            let waits = complete && told.get(name).is_some_and(|last| *last + PACE > now);
            if !waits {
                due.push(name.clone());
            }
            if complete && !waits {
                told.insert(name.clone(), now);
            }
            waits
        });
        told.retain(|_, last| *last + PACE > now);
        due
    }
}

/// Teams and services decide whose an object is.
fn sees_everybody(context: &Context) -> bool {
    context.sees_services() && context.listed.deprecations.initialized()
}

/// Until an exemption ends, or something may have changed that nobody tells.
fn until_next_end(context: &Context) -> Duration {
    let now = clock::now();
    let all = context.deprecations.readable();
    let ends = all.iter().flat_map(|deprecation| &deprecation.spec.exemptions).map(|exemption| exemption.expires_at.0);
    let next = ends.filter(|end| *end > now).min();
    let next = next.and_then(|end| Duration::try_from(end.duration_since(now)).ok());
    next.map_or(LOOK_AGAIN, |next| LOOK_AGAIN.min(next))
}

async fn round(context: &Context, pace: &mut Pace) {
    let all = &context.deprecations;
    let exemptions: BTreeMap<String, Vec<DeprecationExemption>> =
        all.readable().into_iter().map(|d| (d.name_any(), d.spec.exemptions)).collect();
    // what comes into sight while it is counted is counted next time
    let sights: Vec<_> = exemptions.keys().map(|name| (name.clone(), all.consumers.in_sight(name))).collect();
    // a hundred thousand objects are nothing for the task of all controllers
    let (consumers, homes, now) = (all.consumers.clone(), homes(context), clock::now());
    let count = move || (consumers.count(&homes, &exemptions, now), exemptions);
    let Ok((count, exemptions)) = tokio::task::spawn_blocking(count).await else { return };
    let mut tallies = count.tallies;
    let counted = |(name, sight)| {
        let tally: Arc<Tally> = tallies.remove(&name).unwrap_or_default().into();
        (name, (sight, tally))
    };
    let tallies = sights.into_iter().map(counted).collect();
    let count = Counted { tallies, of_services: count.of_services, exemptions };
    let known = all.keep(count.clone());
    let is_first = known.is_none();
    let before = known.unwrap_or_default();
    let changed = count.tallies.iter().filter(|(name, tally)| before.tallies.get(*name) != Some(*tally));
    pace.waiting.extend(changed.map(|(name, _)| name.clone()));
    let is_complete = |name: &str| count.tallies.get(name).is_some_and(|(sight, _)| sight.complete);
    pace.due(is_complete, Instant::now()).iter().for_each(|name| all.wake(name));
    if !pace.waiting.is_empty() {
        all.consumers.count_again();
    }
    let wake = |(namespace, name): &ServiceKey| context.wake_service(namespace, name);
    let of_either: BTreeSet<&ServiceKey> = before.of_services.keys().chain(count.of_services.keys()).collect();
    for key in of_either {
        if before.of_services.get(key) != count.of_services.get(key) {
            wake(key);
        }
    }
    if !is_first {
        wake_asking(&before, &count, context);
    }
    // what their statuses tell may be of a Deprecation that is in sight again, or gone
    if is_first || !before.half_seen().eq(count.half_seen()) || !before.tallies.keys().eq(count.tallies.keys()) {
        for service in context.services.state().iter().filter_map(|service| service.0.as_ref().ok()) {
            if service.status.as_ref().is_some_and(|status| !status.deprecations.is_empty()) {
                context.wake_service(&service.namespace().unwrap_or_default(), &service.name_any());
            }
        }
        count.of_services.keys().for_each(wake);
    }
}

/// Services hear of an exemption that was granted or taken back, whether anything of theirs leans on it or not.
fn wake_asking(before: &Counted, count: &Counted, context: &Context) {
    let changed = |name: &String| before.exemptions.get(name) != count.exemptions.get(name);
    let names: BTreeSet<&String> =
        before.exemptions.keys().chain(count.exemptions.keys()).filter(|name| changed(name)).collect();
    if names.is_empty() {
        return;
    }
    for service in context.services.state().iter().filter_map(|service| service.0.as_ref().ok()) {
        let requests = service.spec.exemption_requests.iter().map(|request| &request.subject);
        let asks = requests.filter(|subject| subject.kind == ExemptionKind::Deprecation).map(|subject| &subject.name);
        let told = service.status.iter().flat_map(|status| &status.exemptions).map(|exemption| &exemption.source);
        let has = told.filter(|source| source.kind == ExemptionKind::Deprecation).map(|source| &source.name);
        let (namespace, service_name) = (service.namespace().unwrap_or_default(), service.name_any());
        let granted = |exemption: &DeprecationExemption| {
            exemption.namespace.as_ref() == Some(&namespace) && exemption.service.as_ref() == Some(&service_name)
        };
        let by_name =
            || names.iter().any(|name| count.exemptions.get(*name).is_some_and(|all| all.iter().any(granted)));
        if asks.chain(has).any(|name| names.contains(name)) || by_name() {
            context.wake_service(&namespace, &service_name);
        }
    }
}

/// What the namespaces mean that have anything old in them.
fn homes(context: &Context) -> Homes {
    let mut homes: Homes = Homes::new();
    for namespace in context.deprecations.consumers.namespaces() {
        let object = context.fleet.table().namespace(&namespace).unwrap_or_default();
        let team = label(&object, labels::TEAM).filter(|team| !team.is_empty()).map(Into::into);
        homes.insert(namespace, Home { object, team, ..Home::default() });
    }
    if homes.is_empty() {
        return homes;
    }
    for service in context.services.state().iter().filter_map(|service| service.0.as_ref().ok()) {
        let Some(home) = homes.get_mut(service.namespace().unwrap_or_default().as_str()) else { continue };
        home.services.insert(service.name_any(), service.spec.team.as_deref().map(Into::into));
        for workload in workload_keys(service) {
            home.claims.entry((workload.kind, workload.name)).or_insert_with(|| service.name_any());
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deprecation_is_told_of_a_count_every_five_seconds_at_most() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut due = |complete: bool, after: u64| {
            pace.waiting.insert("ing".into());
            pace.due(|_| complete, start + Duration::from_secs(after)).len()
        };
        assert_eq!(due(true, 0), 1);
        assert_eq!((due(true, 1), due(true, 4)), (0, 0), "not yet");
        assert_eq!(due(false, 4), 1, "its objects are being listed anew");
        assert_eq!((due(true, 5), due(true, 6), due(true, 10)), (1, 0, 1));
        pace.waiting.insert("other".into());
        assert_eq!(pace.due(|_| true, start + Duration::from_secs(11)), ["other"]);
        assert!(pace.due(|_| true, start + Duration::from_secs(14)).is_empty());
    }
}
